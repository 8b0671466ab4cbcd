//! Several upstreams, their endpoints, and where these are.

use std::io::{ErrorKind, Write};
use std::net::TcpListener;

use http::StatusCode;
use shuntyard_adapter::Options;
use shuntyard_core::address::Address;
use shuntyard_core::config::{
    Config, EndpointConfig, HeaderRule, Host, HostPattern, PathPattern, Protocol, RouteConfig, UpstreamConfig,
};
use shuntyard_core::gateway::AttemptOutcome;
use shuntyard_core::h2::ServerEvent;

use crate::adapters::{Adapter, Running};
use crate::on_every_adapter;
use crate::peers::{Origin, Peer, backend, nobody};

on_every_adapter! {
    host_and_path_choose_an_upstream_and_their_answers_interleave,
    nobody_serves_what_no_route_matches,
    header_rules_change_what_both_sides_see,
    an_endpoint_that_cannot_be_reached_is_passed_over,
    an_endpoint_that_dies_hands_its_requests_to_the_other_and_records_name_both,
    a_name_is_resolved_and_one_without_address_is_told,
    ipv6_serves_on_both_sides,
}

/// Requests to `api.test` or below `/v1/` go to the first, all others to the second.
fn two_upstreams(first: &TcpListener, second: &TcpListener) -> Config {
    let upstream =
        |name, listener: &TcpListener| UpstreamConfig::new(name, vec![listener.local_addr().unwrap().into()]);
    let mut config = Config::of_upstream(upstream("site", second));
    config.upstreams.push(upstream("api", first));
    let by_host =
        RouteConfig { host: HostPattern::Exact("api.test".into()), ..RouteConfig::any("host", "api") };
    let by_path = RouteConfig { path: PathPattern::Prefix("/v1/".into()), ..RouteConfig::any("path", "api") };
    config.routes = vec![by_host, by_path, RouteConfig::any("rest", "site")];
    config
}

/// Whether a connection waits to be accepted.
fn somebody_waits(listener: &TcpListener) -> bool {
    listener.set_nonblocking(true).unwrap();
    let accepted = listener.accept();
    listener.set_nonblocking(false).unwrap();
    !matches!(accepted, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

/// One client connection, two engines, a connection each.
fn host_and_path_choose_an_upstream_and_their_answers_interleave(adapter: &dyn Adapter) {
    let [(api, _), (site, _)] = [backend(), backend()];
    let server = Running::start(adapter, two_upstreams(&api, &site));
    let mut client = Peer::connect(&server.address);
    let asked = [
        client.get_from("api.test", "/a"),
        client.get_from("origin.test", "/b"),
        client.get_from("origin.test", "/v1/c"),
        client.get_from("origin.test:8080", "/v1"),
    ];
    let mut upstreams = [Peer::accept(&api), Peer::accept(&site)];
    let [to_api, to_site] = [0, 1].map(|at: usize| [upstreams[at].request(), upstreams[at].request()]);
    assert_eq!(to_api.each_ref().map(|(_, path)| path.as_str()), ["/a", "/v1/c"]);
    assert_eq!(to_site.each_ref().map(|(_, path)| path.as_str()), ["/b", "/v1"]);
    // Neither waits for the other: the answers come in another order than the questions.
    for (at, (stream, path)) in [(1, &to_site[1]), (0, &to_api[1]), (1, &to_site[0]), (0, &to_api[0])] {
        upstreams[at].answer(*stream, path.as_bytes());
        let place = ["/a", "/b", "/v1/c", "/v1"].iter().position(|asked| asked == path).unwrap();
        assert_eq!(client.response(asked[place]).content, path.as_bytes());
    }
    assert!(!somebody_waits(&api) && !somebody_waits(&site), "a connection was enough for each");
    drop((client, upstreams));
    let attempts = server.attempts();
    server.end();
    let upstream_of: Vec<_> = attempts().iter().map(|attempt| attempt.upstream.to_string()).collect();
    assert_eq!(upstream_of, ["site", "api", "site", "api"]);
}

fn nobody_serves_what_no_route_matches(adapter: &dyn Adapter) {
    let [(api, _), (site, _)] = [backend(), backend()];
    let mut config = two_upstreams(&api, &site);
    config.routes.pop();
    let server = Running::start(adapter, config);
    let mut client = Peer::connect(&server.address);
    assert_eq!(client.ask("/v1").status, StatusCode::NOT_FOUND);
    drop(client);
    server.end();
}

fn header_rules_change_what_both_sides_see(adapter: &dyn Adapter) {
    let (listener, mut config) = backend();
    let set = |name: &str, value: &str| HeaderRule::Set { name: name.into(), value: value.into() };
    config.routes[0].request_headers = vec![set("x-env", "test")];
    config.routes[0].response_headers = vec![set("x-served-by", "yard")];
    let server = Running::start(adapter, config);
    let mut client = Peer::connect(&server.address);
    let asked = client.get("/one");
    let mut upstream = Peer::accept(&listener);
    let (stream, env) = upstream.find(|event| match event {
        ServerEvent::Request { stream, request, .. } => Some((stream, request.headers()["x-env"].clone())),
        _ => None,
    });
    assert_eq!(env, "test");
    upstream.answer(stream, b"1");
    assert_eq!(client.response(asked).headers["x-served-by"], "yard");
    drop((client, upstream));
    server.end();
}

/// The configuration with one more endpoint before those it has.
fn preceded_by(endpoint: EndpointConfig, mut config: Config) -> Config {
    config.upstreams[0].endpoints.insert(0, endpoint);
    config
}

fn an_endpoint_that_cannot_be_reached_is_passed_over(adapter: &dyn Adapter) {
    let (origin, config) = Origin::start();
    let unreachable = nobody().upstreams.remove(0).endpoints.remove(0);
    let server = Running::start(adapter, preceded_by(unreachable, config));
    let mut client = Peer::connect(&server.address);
    for path in ["/one", "/two", "/three"] {
        let answer = client.ask(path);
        assert_eq!((answer.status, &answer.content[..]), (StatusCode::OK, path.as_bytes()));
    }
    drop(client);
    server.end();
    origin.end();
}

/// It has the request and says that it did not process it: so any request may be sent again.
fn an_endpoint_that_dies_hands_its_requests_to_the_other_and_records_name_both(adapter: &dyn Adapter) {
    let (origin, config) = Origin::start();
    let (dying, other) = backend();
    let dying_name = dying.local_addr().unwrap().to_string();
    let living_name = config.upstreams[0].endpoints[0].host.to_string();
    let first = other.upstreams[0].endpoints[0].clone();
    let server = Running::start(adapter, preceded_by(first, config));
    let mut client = Peer::connect(&server.address);
    let asked = client.post("/twice");
    client.http.send_data(asked, b"", true).unwrap();
    client.flush();
    let mut upstream = Peer::accept(&dying);
    upstream.request();
    drop(dying);
    // GOAWAY, and the last stream that it has processed is none.
    upstream.flush();
    upstream.stream.write_all(b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0").unwrap();
    upstream.read_to_end();
    drop(upstream);
    let answer = client.response(asked);
    assert_eq!((answer.status, &answer.content[..]), (StatusCode::OK, &b"/twice"[..]));
    assert_eq!(client.ask("/again").content, b"/again");
    drop(client);
    let attempts = server.attempts();
    server.end();
    origin.end();
    let told: Vec<_> = attempts()
        .iter()
        .map(|attempt| {
            let complete = match attempt.outcome {
                AttemptOutcome::Complete => true,
                AttemptOutcome::Unprocessed(_) => false,
                other => panic!("{other:?}"),
            };
            (attempt.request.0, attempt.number, attempt.endpoint.to_string(), complete)
        })
        .collect();
    assert_eq!(
        told,
        [(0, 1, dying_name, false), (0, 2, living_name.clone(), true), (1, 1, living_name, true),]
    );
}

fn named(name: &str, port: u16) -> EndpointConfig {
    EndpointConfig { host: Host::Name { name: name.into(), port }, protocol: Protocol::Http2, tls: None }
}

/// `localhost` may be ::1 first, where nobody listens.
fn a_name_is_resolved_and_one_without_address_is_told(adapter: &dyn Adapter) {
    let (origin, mut config) = Origin::start();
    let Host::Address(Address::Inet(address)) = config.upstreams[0].endpoints[0].host else {
        panic!("an address")
    };
    config.upstreams[0].endpoints = vec![named("localhost", address.port())];
    // RFC 6761 section 6.4: this name never exists.
    let mut nowhere = UpstreamConfig::new("nowhere", Vec::new());
    nowhere.endpoints = vec![named("nobody.invalid", 80)];
    config.upstreams.push(nowhere);
    let to_nowhere =
        RouteConfig { path: PathPattern::Exact("/nowhere".into()), ..RouteConfig::any("nowhere", "nowhere") };
    config.routes.insert(0, to_nowhere);
    let server = Running::start(adapter, config);
    let mut client = Peer::connect(&server.address);
    assert_eq!(client.ask("/one").content, b"/one");
    let told = client.ask("/nowhere");
    assert_eq!(told.status, StatusCode::BAD_GATEWAY);
    assert_eq!(client.ask("/two").content, b"/two");
    drop(client);
    server.end();
    origin.end();
}

fn ipv6_serves_on_both_sides(adapter: &dyn Adapter) {
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        let _ = writeln!(std::io::stderr(), "SKIPPED this machine has no IPv6");
        return;
    };
    let config = Config::new(vec![listener.local_addr().unwrap().into()]);
    let front = Address::Inet("[::1]:0".parse().unwrap());
    let server = Running::start_with(adapter, config, Options::new(vec![front]));
    let mut client = Peer::connect(&server.address);
    let asked = client.get("/six");
    let mut upstream = Peer::accept(&listener);
    let (stream, path) = upstream.request();
    upstream.answer(stream, path.as_bytes());
    assert_eq!(client.response(asked).content, b"/six");
    drop((client, upstream));
    server.end();
}
