//! Requests and responses.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::Duration;

use http::{HeaderMap, Request, Response, StatusCode};
use shuntyard_adapter::Options;
use shuntyard_core::address::Address;
use shuntyard_core::config::{Config, ListenerConfig, Protocol, Timeouts};
use shuntyard_core::h2::ServerEvent;

use crate::adapters::{Adapter, Running};
use crate::on_every_adapter;
use crate::peers::{Origin, PATIENCE, Peer, any_port, backend, inet, nobody};

on_every_adapter! {
    a_request_goes_to_the_backend_and_its_answer_comes_back,
    fields_content_and_trailers_pass_both_ways,
    a_hundred_requests_share_one_connection_to_the_backend,
    octets_that_come_one_by_one_make_whole_messages,
    a_refused_backend_is_told_to_the_client,
    a_client_of_http_1_is_served,
    a_client_of_http_1_is_told_where_it_is_not_spoken_and_the_connection_ends_without_reset,
    listeners_speak_what_each_of_them_says,
    unix_sockets_serve_on_both_sides,
    a_backend_whose_queue_is_full_is_called_again,
    several_workers_serve_on_one_port,
}

fn a_request_goes_to_the_backend_and_its_answer_comes_back(adapter: &dyn Adapter) {
    let (origin, config) = Origin::start();
    let server = Running::start(adapter, config);
    let mut client = Peer::connect(&server.address);
    for path in ["/one", "/two"] {
        let answer = client.ask(path);
        assert_eq!((answer.status, answer.content), (StatusCode::OK, path.as_bytes().to_vec()));
    }
    drop(client);
    server.end();
    origin.end();
}

fn fields_content_and_trailers_pass_both_ways(adapter: &dyn Adapter) {
    let (listener, config) = backend();
    let server = Running::start(adapter, config);
    let mut client = Peer::connect(&server.address);
    let request = Request::post("http://origin.test/x?y=z").header("colour", "green").body(()).unwrap();
    let asked = client.http.send_request(&request, false).unwrap();
    client.http.send_data(asked, b"ping", false).unwrap();
    client.http.send_trailers(asked, &trailer("checksum", "1")).unwrap();
    client.flush();

    let mut upstream = Peer::accept(&listener);
    let (stream, request) = upstream.find(|event| match event {
        ServerEvent::Request { stream, request, end: false } => Some((stream, request)),
        _ => None,
    });
    assert_eq!(request.uri(), "http://origin.test/x?y=z");
    assert_eq!(request.headers()["colour"], "green");
    let mut content = Vec::new();
    let trailers = loop {
        match upstream.next().unwrap() {
            ServerEvent::Data { data, credit, .. } => {
                content.extend_from_slice(&data);
                upstream.http.release(stream, credit);
            }
            ServerEvent::Trailers { trailers, .. } => break trailers,
            _ => {}
        }
    };
    assert_eq!((&content[..], &trailers["checksum"]), (&b"ping"[..], &"1".parse().unwrap()));
    upstream.http.send_response(stream, &Response::builder().status(201).body(()).unwrap(), false).unwrap();
    upstream.http.send_data(stream, b"pong", false).unwrap();
    upstream.http.send_trailers(stream, &trailer("checksum", "2")).unwrap();
    upstream.flush();

    let answer = client.response(asked);
    assert_eq!((answer.status, &answer.content[..]), (StatusCode::CREATED, &b"pong"[..]));
    assert_eq!(answer.trailers["checksum"], "2");
    drop((client, upstream));
    server.end();
}

fn trailer(name: &'static str, value: &str) -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().unwrap())])
}

/// All of them have reached the backend before it answers the first one, and it answers the last one first.
fn a_hundred_requests_share_one_connection_to_the_backend(adapter: &dyn Adapter) {
    let (listener, config) = backend();
    let server = Running::start(adapter, config);
    let mut clients = [(); 2].map(|()| Peer::connect(&server.address));
    let asked = clients
        .each_mut()
        .map(|client| Vec::from_iter((0..50).map(|number| client.get(&format!("/{number}")))));
    let mut upstream = Peer::accept(&listener);
    let mut requests: Vec<_> = (0..100).map(|_| upstream.request()).collect();
    while let Some((stream, path)) = requests.pop() {
        upstream.answer(stream, path.as_bytes());
    }
    for (client, asked) in clients.iter_mut().zip(asked) {
        for (number, answer) in client.responses(&asked).into_iter().enumerate() {
            assert_eq!(answer.content, format!("/{number}").into_bytes());
        }
    }
    assert_eq!(server.requests(), 100);
    drop((clients, upstream));
    server.end();
}

fn octets_that_come_one_by_one_make_whole_messages(adapter: &dyn Adapter) {
    let (listener, config) = backend();
    let server = Running::start(adapter, config);
    let mut client = Peer::connect(&server.address);
    client.write_octets = 1;
    let asked = client.get("/slow");
    let mut upstream = Peer::accept(&listener);
    upstream.write_octets = 1;
    let (stream, path) = upstream.request();
    assert_eq!(path, "/slow");
    let content: Vec<u8> = (0..=255).cycle().take(1000).collect();
    upstream.answer(stream, &content);
    assert_eq!(client.response(asked).content, content);
    drop((client, upstream));
    server.end();
}

fn a_refused_backend_is_told_to_the_client(adapter: &dyn Adapter) {
    let server = Running::start(adapter, nobody());
    let mut client = Peer::connect(&server.address);
    for _ in 0..2 {
        assert_eq!(client.ask("/").status, StatusCode::BAD_GATEWAY);
    }
    drop(client);
    server.end();
}

fn a_client_of_http_1_is_served(adapter: &dyn Adapter) {
    let (origin, config) = Origin::start();
    let server = Running::start(adapter, config);
    let mut client = TcpStream::connect(inet(&server.address)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let two = "GET /one HTTP/1.1\r\nhost: a\r\n\r\nGET /two HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    client.write_all(two.as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer.matches("HTTP/1.1 200 ").count(), 2, "{answer}");
    assert!(answer.find("/one").unwrap() < answer.find("/two").unwrap(), "{answer}");
    drop(client);
    server.end();
    origin.end();
}

fn a_client_of_http_1_is_told_where_it_is_not_spoken_and_the_connection_ends_without_reset(
    adapter: &dyn Adapter,
) {
    let server = Running::start(adapter, Config { http1: false, ..nobody() });
    let mut client = TcpStream::connect(inet(&server.address)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 505 "), "{answer}");
    drop(client);
    server.end();
}

fn listeners_speak_what_each_of_them_says(adapter: &dyn Adapter) {
    let listener = |only| ListenerConfig { only, ..ListenerConfig::new(any_port()) };
    let listeners = vec![listener(Some(Protocol::Http2)), listener(None), listener(Some(Protocol::Http1))];
    let options = Options { workers: 2.try_into().unwrap(), ..Options::new(vec![any_port(); 3]) };
    let server = Running::start_with(adapter, Config { listeners, ..nobody() }, options);
    let statuses = server.addresses.iter().map(|address| {
        let mut client = TcpStream::connect(inet(address)).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer[9..12].to_owned()
    });
    assert_eq!(statuses.collect::<Vec<_>>(), ["505", "502", "502"]);
    server.end();
}

fn unix_sockets_serve_on_both_sides(adapter: &dyn Adapter) {
    let unique = std::ptr::from_ref(adapter).cast::<()>().addr();
    let name = format!("shuntyard-{}-{:?}-{unique}", std::process::id(), thread::current().id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let place = |name: &str| Address::Unix(folder.join(name).to_str().unwrap().into());
    let listener = UnixListener::bind(folder.join("backend")).unwrap();
    let options = Options { workers: 2.try_into().unwrap(), ..Options::new(vec![place("front")]) };
    let server = Running::start_with(adapter, Config::new(vec![place("backend")]), options);

    let mut client = Peer::connect(&server.address);
    let asked = client.get("/unix");
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut upstream = Peer::serve(Box::new(stream));
    let (stream, path) = upstream.request();
    upstream.answer(stream, path.as_bytes());
    assert_eq!(client.response(asked).content, b"/unix");
    drop((client, upstream, listener));
    std::fs::remove_file(folder.join("backend")).unwrap();

    // Nobody has the name any more: refused, like a port that nobody listens on.
    assert_eq!(Peer::connect(&server.address).ask("/").status, StatusCode::BAD_GATEWAY);
    server.end();
    assert!(!folder.join("front").exists());
    std::fs::remove_dir_all(&folder).unwrap();
}

/// A Unix socket turns away at once who finds its queue full. That is no dead backend: it has not come to accept.
fn a_backend_whose_queue_is_full_is_called_again(adapter: &dyn Adapter) {
    let name = format!("shuntyard-full-{}-{:?}", std::process::id(), thread::current().id());
    let place = std::env::temp_dir().join(name);
    let listener = UnixListener::bind(&place).unwrap();
    socket2::SockRef::from(&listener).listen(0).unwrap();
    let first = UnixStream::connect(&place).unwrap();
    let config = Config::new(vec![Address::Unix(place.to_str().unwrap().into())]);
    let server = Running::start(adapter, config.clone());
    let mut client = Peer::connect(&server.address);
    let asked = client.get("/late");
    // Called more than once in vain, if this is long enough.
    thread::sleep(Duration::from_millis(100));
    drop((listener.accept().unwrap(), first));
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut upstream = Peer::serve(Box::new(stream));
    let (stream, path) = upstream.request();
    upstream.answer(stream, path.as_bytes());
    assert_eq!(client.response(asked).content, b"/late");
    drop((client, upstream));
    server.end_and_replay();

    // For no longer than a connection may take.
    let short = Duration::from_millis(200);
    let config = Config { timeouts: Timeouts { connect: short, ..config.timeouts }, ..config };
    let server = Running::start(adapter, config);
    let _first = UnixStream::connect(&place).unwrap();
    assert_eq!(Peer::connect(&server.address).ask("/never").status, StatusCode::GATEWAY_TIMEOUT);
    drop(listener.accept().unwrap());
    server.end();
    // It was given up: nobody comes any more.
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    std::fs::remove_file(&place).unwrap();
}

fn several_workers_serve_on_one_port(adapter: &dyn Adapter) {
    let (origin, config) = Origin::start();
    let server = Running::start_workers(adapter, config, 4);
    // The kernel spreads them by their ports: that all are one worker's happens in 4^39 runs once.
    let mut clients: Vec<_> = (0..40).map(|_| Peer::connect(&server.address)).collect();
    let asked: Vec<_> = clients.iter_mut().map(|client| client.get("/")).collect();
    for (client, stream) in clients.iter_mut().zip(asked) {
        assert_eq!(client.response(stream).content, b"/");
    }
    let fronts = server.handle.inspect(PATIENCE, |gateway, _| gateway.view().fronts);
    let busy = fronts.iter().filter(|&&fronts| fronts > 0).count();
    assert!(busy > 1 && fronts.iter().sum::<usize>() == 40, "{fronts:?}");
    drop(clients);
    server.end();
    origin.end();
}
