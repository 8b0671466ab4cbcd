//! Hooks that see and change heads, answer by themselves, fail, and see the end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use shuntyard_core::config::{ConnectionConfig, HeaderRule, HostPattern, PathPattern, RouteConfig, Scope};
use shuntyard_core::error::ErrorCode;
use shuntyard_core::fields::FieldSection;
use shuntyard_core::gateway::Gateway;
use shuntyard_core::h2::{ClientEvent, Protocol, ServerEvent, StreamKey};
use shuntyard_core::hooks::{Context, FieldError, HeadMut, HookFailed, Hooks, Verdict};
use shuntyard_core::key::ConnId;
use shuntyard_core::message::{Malformed, RequestHead, ResponseHead, Version};
use shuntyard_core::record::{AttemptOutcome, Cause, Outcome, Record};
use shuntyard_requirements::req;

use crate::memory::Memory;
use crate::transforms::Squeeze;
use crate::{get, post, requests, response, values};

type Forward = Result<Verdict, HookFailed>;

/// Hooks made of functions.
struct Made<A, Q, P> {
    arrived: A,
    request: Q,
    response: P,
}

impl<A, Q, P> Hooks for Made<A, Q, P>
where
    A: FnMut(&Context<'_>) -> Verdict + Send,
    Q: FnMut(&Context<'_>, &mut HeadMut<'_, RequestHead>) -> Forward + Send,
    P: FnMut(&Context<'_>, &mut HeadMut<'_, ResponseHead>) -> Forward + Send,
{
    fn arrived(&mut self, context: &Context<'_>, _: &FieldSection) -> Verdict {
        (self.arrived)(context)
    }

    fn request(&mut self, context: &Context<'_>, request: &mut HeadMut<'_, RequestHead>) -> Forward {
        (self.request)(context, request)
    }

    fn response(&mut self, context: &Context<'_>, response: &mut HeadMut<'_, ResponseHead>) -> Forward {
        (self.response)(context, response)
    }
}

fn on_request(
    request: impl FnMut(&Context<'_>, &mut HeadMut<'_, RequestHead>) -> Forward + Send + 'static,
) -> Box<dyn Hooks> {
    let response = |_: &Context<'_>, _: &mut HeadMut<'_, ResponseHead>| Ok(Verdict::Forward);
    Box::new(Made { arrived: |_: &Context<'_>| Verdict::Forward, request, response })
}

fn on_response(
    response: impl FnMut(&Context<'_>, &mut HeadMut<'_, ResponseHead>) -> Forward + Send + 'static,
) -> Box<dyn Hooks> {
    let request = |_: &Context<'_>, _: &mut HeadMut<'_, RequestHead>| Ok(Verdict::Forward);
    Box::new(Made { arrived: |_: &Context<'_>| Verdict::Forward, request, response })
}

fn memory(hooks: Box<dyn Hooks>) -> Memory {
    Memory::of(|_| {}, |gateway| gateway.with_hooks(hooks))
}

fn answer(status: u16, content: &'static str) -> Verdict {
    let mut answer = Response::new(content.into());
    *answer.status_mut() = StatusCode::from_u16(status).expect("a status");
    Verdict::Answer(answer)
}

#[test]
fn b81_a_hook_sees_and_changes_the_request_once_per_attempt() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&seen);
    let mut memory = memory(on_request(move |context, request| {
        let Context { attempt, route, upstream, endpoint, client, .. } = context;
        log.lock()
            .unwrap()
            .push(format!("{:?} {attempt} {route:?} {upstream:?} {endpoint:?} {client}", context.request));
        assert_eq!(request.head().method, shuntyard_core::message::Method::Get);
        assert_eq!(request.get("x-old"), Some(&b"1"[..]), "each attempt starts from the original head");
        request.set("x-old", attempt.to_string())?;
        request.add("x-attempt", attempt.to_string())?;
        request.remove("cookie")?;
        request.set_path(format!("/attempt/{attempt}"))?;
        request.set_authority("elsewhere.example")?;
        Ok(Verdict::Forward)
    }));
    let client = memory.connect(ConnectionConfig::default());
    memory.client(client).send_request(&get(), true).expect("a slot");
    memory.settle();
    let backend = memory.backends()[0];
    for attempt in 1..=3 {
        let (stream, request) = requests(&mut memory, backend).remove(0);
        let number = attempt.to_string();
        assert_eq!(*request.uri(), *format!("http://elsewhere.example/attempt/{attempt}"));
        assert_eq!(values(request.headers(), "x-attempt"), [&number]);
        assert_eq!(values(request.headers(), "x-old"), [&number]);
        assert_eq!(request.headers().get("cookie"), None);
        memory.backend(backend).reset(stream, ErrorCode::REFUSED_STREAM);
        memory.settle();
        memory.wait(Duration::from_secs(2));
    }
    let of = |attempt| {
        format!(
            "RequestId(0) {attempt} Some(\"default\") Some(\"default\") Some(\"127.0.0.1:9000\") 127.0.0.1:50000"
        )
    };
    assert_eq!(seen.lock().unwrap()[..3], [of(1), of(2), of(3)]);
}

/// What nobody must guess stays out of compression tables, whoever has written it (RFC 7541 section 7.1.3).
#[test]
fn values_that_hooks_write_may_be_marked_and_keep_their_marks() {
    let mut memory = memory(on_request(|_, request| {
        request.set_sensitive("x-api-key", "SECRET")?;
        request.set("authorization", "other")?;
        request.set("x-plain", "1")?;
        Ok(Verdict::Forward)
    }));
    let client = memory.connect(ConnectionConfig::default());
    let mut request = get();
    let mut value: http::HeaderValue = "Basic YTpi".parse().expect("a value");
    value.set_sensitive(true);
    request.headers_mut().insert("authorization", value);
    memory.client(client).send_request(&request, true).expect("a slot");
    memory.settle();
    let backend = memory.backends()[0];
    let (_, request) = requests(&mut memory, backend).remove(0);
    let marked = |name: &str| request.headers().get(name).map(|value| value.is_sensitive());
    assert_eq!(["x-api-key", "authorization", "x-plain"].map(marked), [Some(true), Some(true), Some(false)]);
}

/// RFC 9110 section 9.3.6: the authority of CONNECT is where the tunnel leads. A configuration that changes it is refused, and so is a hook.
#[test]
fn the_target_of_connect_is_out_of_reach() {
    let refused: Arc<Mutex<Vec<bool>>> = Arc::default();
    let log = Arc::clone(&refused);
    let hooks = on_request(move |_, request| {
        log.lock().unwrap().push(request.set_authority("elsewhere.example:1").is_err());
        Ok(Verdict::Forward)
    });
    let mut memory = Memory::of(
        |config| {
            config.routes[0].connect = true;
            config.upstreams[0].endpoints[0].protocol = shuntyard_core::config::Protocol::Http1;
        },
        |gateway| gateway.with_hooks(hooks),
    );
    memory.mute_backends = true;
    let client = memory.connect(ConnectionConfig::default());
    memory.settle();
    let request = http::Request::connect("a.example:443").body(()).expect("a request");
    memory.client(client).send_request(&request, true).expect("a slot");
    memory.settle();
    assert_eq!(*refused.lock().unwrap(), [true]);
}

#[test]
fn b81_a_hook_sees_and_changes_the_response_head_before_header_rules_do() {
    let hooks = on_response(|context, response| {
        assert_eq!((context.attempt, context.endpoint), (1, Some("127.0.0.1:9000")));
        assert_eq!((response.head().status, response.get("x-a")), (200, Some(&b"1"[..])));
        response.set_status(299)?;
        response.set("x-a", "2")?;
        response.set("x-b", "hook")?;
        Ok(Verdict::Forward)
    });
    let rule = HeaderRule::Set { name: "x-b".into(), value: "rule".into() };
    let mut memory = Memory::of(
        |config| config.routes[0].response_headers = vec![rule],
        |gateway| gateway.with_hooks(hooks),
    );
    let client = memory.connect(ConnectionConfig::default());
    memory.client(client).send_request(&get(), true).expect("a slot");
    memory.settle();
    let backend = memory.backends()[0];
    let (stream, _) = requests(&mut memory, backend).remove(0);
    let head = Response::builder().header("x-a", "1").body(()).expect("a response");
    memory.backend(backend).send_response(stream, &head, true).expect("an open stream");
    memory.settle();
    let response = response(&mut memory, client);
    assert_eq!(response.status(), 299);
    assert_eq!(
        (values(response.headers(), "x-a"), values(response.headers(), "x-b")),
        (vec!["2"], vec!["rule"])
    );
    assert_eq!((memory.records[0].status, memory.attempts[0].status), (299, 200), "to each side what it saw");
}

/// What is configured on the way of a request runs for one that is handed over to another's engine as for one alone.
#[test]
fn b38_requests_of_a_shared_engine_pass_the_same_hooks_as_those_alone() {
    let octets = |share| {
        let hooks = on_request(|context, request| {
            request.set("x-request", context.request.0.to_string())?;
            Ok(Verdict::Forward)
        });
        let rule = HeaderRule::Set { name: "x-rule".into(), value: "1".into() };
        let mut memory = Memory::of(
            |config| {
                config.upstreams[0].share = share;
                config.routes[0].request_headers = vec![rule];
            },
            |gateway| gateway.with_hooks(hooks),
        );
        let client = memory.connect(ConnectionConfig::default());
        for _ in 0..10 {
            memory.client(client).send_request(&get(), true).expect("a slot");
        }
        memory.settle();
        let backends = memory.backends();
        let mut heads = Vec::new();
        for &backend in &backends {
            heads.extend(
                requests(&mut memory, backend).into_iter().map(|(_, request)| format!("{request:?}")),
            );
        }
        heads.sort_unstable();
        (backends.len(), heads)
    };
    let (shared, alone) = (octets(Scope::Worker), octets(Scope::None));
    assert_eq!((shared.0, alone.0), (1, 10));
    assert_eq!((shared.1.len(), &shared.1), (10, &alone.1));
}

/// Nothing that belongs to one request is told with another that shares its connections.
#[test]
fn f36_a_hook_is_told_of_its_own_request_only() {
    let hooks = on_request(|context, request| {
        let route = context.route.unwrap_or_default();
        let path = request.get(":path").unwrap_or_default();
        assert_eq!(path, format!("/{route}").as_bytes());
        request.set("x-route", route)?;
        Ok(Verdict::Forward)
    });
    let route = |name: &str| RouteConfig {
        host: HostPattern::Any,
        path: PathPattern::Exact(format!("/{name}").into()),
        ..RouteConfig::any(name, "default")
    };
    let routes = vec![route("one"), route("two")];
    let mut memory = Memory::of(|config| config.routes = routes, |gateway| gateway.with_hooks(hooks));
    let client = memory.connect(ConnectionConfig::default());
    for n in 0..20 {
        let path = if n % 3 == 0 { "one" } else { "two" };
        let request = Request::get(format!("http://a/{path}")).body(()).expect("a request");
        memory.client(client).send_request(&request, true).expect("a slot");
    }
    memory.settle();
    let backends = memory.backends();
    let arrived = requests(&mut memory, backends[0]);
    assert_eq!((backends.len(), arrived.len()), (1, 20));
    for (_, request) in arrived {
        assert_eq!(*request.uri().path(), format!("/{}", request.headers()["x-route"].to_str().unwrap()));
    }
}

/// Hooks know no thread: a gateway goes on with them in another one as if nothing had happened.
#[test]
fn f30_hooks_move_between_threads_with_their_gateway() {
    let seen: Arc<Mutex<Vec<u64>>> = Arc::default();
    let log = Arc::clone(&seen);
    let mut memory = memory(on_request(move |context, _| {
        log.lock().unwrap().push(context.request.0);
        Ok(Verdict::Forward)
    }));
    let client = memory.connect(ConnectionConfig::default());
    for _ in 0..3 {
        memory = std::thread::spawn(move || {
            memory.client(client).send_request(&get(), true).expect("a slot");
            memory.settle();
            memory
        })
        .join()
        .expect("the thread ends well");
    }
    assert_eq!(*seen.lock().unwrap(), [0, 1, 2]);
    fn moves<T: Send>() {}
    moves::<Gateway>();
}

#[test]
fn a_hook_answers_a_request_that_came_at_no_cost_to_a_backend() {
    let hooks = Made {
        arrived: |context: &Context<'_>| {
            assert_eq!((context.attempt, context.endpoint), (0, None));
            answer(401, "who?")
        },
        request: |_: &Context<'_>, _: &mut HeadMut<'_, RequestHead>| panic!("it was answered"),
        response: |_: &Context<'_>, _: &mut HeadMut<'_, ResponseHead>| panic!("it was answered"),
    };
    // Even where no route leads anywhere.
    let mut memory =
        Memory::of(|config| config.routes.clear(), |gateway| gateway.with_hooks(Box::new(hooks)));
    let client = memory.connect(ConnectionConfig::default());
    memory.client(client).send_request(&post(), false).expect("a slot");
    memory.settle();
    let mut events = Vec::new();
    while let Some(event) = memory.client(client).poll_event().expect("a sound connection") {
        events.push(event);
    }
    let head = events.iter().find_map(|event| match event {
        ClientEvent::Response { response, .. } => Some(response),
        _ => None,
    });
    let head = head.expect("a response came");
    assert_eq!((head.status().as_u16(), values(head.headers(), "content-length")), (401, vec!["4"]));
    assert_eq!(values(head.headers(), "date"), ["Sun, 06 Nov 1994 08:49:37 GMT"]);
    assert!(
        events
            .iter()
            .any(|event| matches!(event, ClientEvent::Data { data, end: true, .. } if data == "who?"))
    );
    assert_eq!((memory.dials.len(), memory.records.len()), (0, 1));
    assert_eq!(
        (memory.records[0].status, memory.records[0].outcome),
        (401, Outcome::LocalReply(Cause::HookAnswered))
    );
    assert_eq!(memory.gateway.view().requests, 0);
}

#[test]
fn a_hook_is_told_where_and_by_which_version_its_client_came() {
    let seen: Arc<Mutex<Vec<_>>> = Arc::default();
    let log = Arc::clone(&seen);
    let mut memory = memory(on_request(move |context, _| {
        log.lock().unwrap().push((context.listener.map(ToString::to_string), context.version));
        Ok(Verdict::Forward)
    }));
    let mute = memory.connect_mute();
    memory.inject(mute, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    for _ in 0..2 {
        let client = memory.connect(ConnectionConfig::default());
        memory.client(client).send_request(&get(), true).expect("a slot");
        memory.settle();
    }
    let of = |port: u16, version| (Some(format!("127.0.0.1:{port}")), version);
    let expected = [of(50001, Version::Http11), of(50000, Version::Http2), of(50000, Version::Http2)];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn a_hook_answers_instead_of_an_attempt_or_of_a_response() {
    let mut memory = memory(on_request(|_, _| Ok(answer(403, ""))));
    let client = memory.connect(ConnectionConfig::default());
    for _ in 0..3 {
        memory.client(client).send_request(&get(), true).expect("a slot");
    }
    memory.settle();
    assert_eq!(response(&mut memory, client).status(), 403);
    let backend = memory.backends()[0];
    assert_eq!(requests(&mut memory, backend).len(), 0);
    let ended: Vec<_> = memory.records.iter().map(|end| (end.status, end.attempts)).collect();
    assert_eq!(ended, [(403, 0); 3]);

    let mut memory = self::memory(on_response(|_, _| Ok(answer(503, "later"))));
    let client = memory.connect(ConnectionConfig::default());
    memory.client(client).send_request(&get(), true).expect("a slot");
    memory.settle();
    let backend = memory.backends()[0];
    let (stream, _) = requests(&mut memory, backend).remove(0);
    memory.backend(backend).send_response(stream, &Response::new(()), false).expect("an open stream");
    memory.settle();
    assert_eq!(response(&mut memory, client).status(), 503);
    // What is little may come, for a second.
    assert!(matches!(memory.backend(backend).poll_event(), Ok(None)));
    memory.wait(Duration::from_secs(1));
    let told = memory.backend(backend).poll_event();
    assert!(matches!(told, Ok(Some(ServerEvent::Reset { error_code: ErrorCode::CANCEL, .. }))), "{told:?}");
    assert_eq!((memory.attempts[0].outcome, memory.attempts[0].status), (AttemptOutcome::Abandoned, 200));
    assert_eq!((memory.records[0].status, memory.records[0].maybe_executed), (503, 1));
    let view = memory.gateway.view();
    assert_eq!((view.requests, view.reserved_octets, view.buffered_octets), (0, 0, 0));
}

/// Backends count the resets that they get, and their connection is shared: what is left of a response that nobody wants may come, if it
/// is little.
#[test]
fn what_a_hook_makes_of_responses_does_not_strain_the_backend() {
    for answers in [true, false] {
        let hooks =
            on_response(move |_, _| if answers { Ok(answer(503, "later")) } else { Err("broken".into()) });
        let mut memory =
            Memory::of(|config| config.upstreams[0].connections_max = 1, |gateway| gateway.with_hooks(hooks));
        let client = memory.connect(ConnectionConfig::default());
        for n in 0..102 {
            memory.client(client).send_request(&get(), true).expect("a slot");
            memory.settle();
            let backend = memory.backends()[0];
            let mut streams = Vec::new();
            while let Some(event) = memory.backend(backend).poll_event().expect("a sound connection") {
                assert!(!matches!(event, ServerEvent::Reset { .. }), "request {n}: {event:?}");
                if let ServerEvent::Request { stream, .. } = event {
                    streams.push(stream);
                }
            }
            assert_eq!(streams.len(), 1, "request {n} comes at once");
            let head = Response::builder().header("content-length", 4).body(()).expect("a response");
            memory.backend(backend).send_response(streams[0], &head, false).expect("an open stream");
            memory.settle();
            let status = if answers { 503 } else { 500 };
            assert_eq!(response(&mut memory, client).status(), status);
            memory.backend(backend).send_data(streams[0], b"gone", true).expect("an open stream");
            memory.settle();
        }
        assert_eq!(memory.dials.len(), 1);
    }
    // One that is long is told to end.
    let mut memory = memory(on_response(|_, _| Ok(answer(503, "later"))));
    let client = memory.connect(ConnectionConfig::default());
    memory.client(client).send_request(&get(), true).expect("a slot");
    memory.settle();
    let backend = memory.backends()[0];
    let (stream, _) = requests(&mut memory, backend).remove(0);
    let head = Response::builder().header("content-length", 1 << 20).body(()).expect("a response");
    memory.backend(backend).send_response(stream, &head, false).expect("an open stream");
    memory.settle();
    let told = memory.backend(backend).poll_event();
    assert!(matches!(told, Ok(Some(ServerEvent::Reset { error_code: ErrorCode::CANCEL, .. }))), "{told:?}");
}

/// To what, is the route's to say.
#[test]
fn rfc9110_15_5_22_a_426_of_a_hook_offers_what_the_route_allows() {
    req!("9110-15.5.22-01");
    for late in [false, true] {
        let hooks = Made {
            arrived: move |_: &Context<'_>| if late { Verdict::Forward } else { answer(426, "") },
            request: |_: &Context<'_>, _: &mut HeadMut<'_, RequestHead>| Ok(answer(426, "")),
            response: |_: &Context<'_>, _: &mut HeadMut<'_, ResponseHead>| Ok(Verdict::Forward),
        };
        let mut memory = memory(Box::new(hooks));
        let client = memory.connect_mute();
        memory.inject(client, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        let response = String::from_utf8(memory.sent_to(client)).expect("text");
        assert!(response.starts_with("HTTP/1.1 426 "), "{response}");
        assert!(response.contains("\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"), "{response}");
    }
}

/// A hook that fails, and one that makes what is not well-formed: a defined end, and no octet for the backend.
#[test]
fn what_a_hook_makes_is_checked_and_its_failures_are_500() {
    let reasons = [
        HookFailed::Own("broken"),
        HookFailed::Field(FieldError::Value),
        HookFailed::Field(FieldError::Reserved),
        HookFailed::Malformed(Malformed::PathInvalid),
        HookFailed::Malformed(Malformed::AuthorityInvalid),
        HookFailed::Field(FieldError::Reserved),
        HookFailed::Answer,
        HookFailed::Answer,
    ];
    let bad: [fn(&mut HeadMut<'_, RequestHead>) -> Forward; 8] = [
        |_| Err("broken".into()),
        |request| Ok(request.set("x", "a\r\nsplit: 1").map(|()| Verdict::Forward)?),
        |request| Ok(request.set("content-length", "5").map(|()| Verdict::Forward)?),
        |request| Ok(request.set_path("no slash").map(|()| Verdict::Forward)?),
        |request| Ok(request.set_authority("user@host").map(|()| Verdict::Forward)?),
        |_| {
            let answer =
                Response::builder().header("connection", "close").body("".into()).expect("a response");
            Ok(Verdict::Answer(answer))
        },
        |_| Ok(answer(100, "")),
        |_| Ok(answer(204, "content")),
    ];
    for (number, (bad, reason)) in bad.into_iter().zip(reasons).enumerate() {
        let mut memory = memory(on_request(move |_, request| bad(request)));
        let client = memory.connect(ConnectionConfig::default());
        memory.client(client).send_request(&get(), true).expect("a slot");
        memory.settle();
        let response = response(&mut memory, client);
        assert_eq!(response.status(), 500, "{number}");
        assert_eq!(response.headers()["proxy-status"], "shuntyard; error=proxy_internal_error");
        let backend = memory.backends()[0];
        assert_eq!(requests(&mut memory, backend).len(), 0, "{number}");
        assert_eq!(memory.records[0].outcome, Outcome::LocalReply(Cause::HookFailed(reason)), "{number}");
        assert_eq!(memory.gateway.view().requests, 0);
    }
}

#[test]
fn a_hook_that_fails_on_a_response_is_500_and_others_go_on() {
    let mut memory = memory(on_response(|context, response| {
        if context.request.0 == 0 {
            response.set("x", "\n")?;
        }
        Ok(Verdict::Forward)
    }));
    let client = memory.connect(ConnectionConfig::default());
    for _ in 0..2 {
        memory.client(client).send_request(&get(), true).expect("a slot");
    }
    memory.settle();
    let backend = memory.backends()[0];
    for (stream, _) in requests(&mut memory, backend) {
        memory.backend(backend).send_response(stream, &Response::new(()), true).expect("an open stream");
        memory.settle();
    }
    assert_eq!(response(&mut memory, client).status(), 500);
    assert_eq!(response(&mut memory, client).status(), 200);
    assert_eq!(memory.gateway.view().requests, 0);
}

struct Reader(Arc<Mutex<Vec<Record>>>);

impl Hooks for Reader {
    fn record(&mut self, record: &Record) {
        self.0.lock().unwrap().push(record.clone());
    }
}

#[test]
fn b81_a_hook_sees_every_end_although_nobody_asked_for_records() {
    let seen: Arc<Mutex<Vec<Record>>> = Arc::default();
    let hooks = Box::new(Reader(Arc::clone(&seen)));
    let mut memory = Memory::of(|config| config.records = false, |gateway| gateway.with_hooks(hooks));
    let client = memory.connect(ConnectionConfig::default());
    memory.client(client).send_request(&get(), true).expect("a slot");
    memory.settle();
    let backend = memory.backends()[0];
    let (stream, _) = requests(&mut memory, backend).remove(0);
    memory.backend(backend).send_response(stream, &Response::new(()), true).expect("an open stream");
    memory.settle();
    assert_eq!((memory.started, memory.attempts.len(), memory.records.len()), (0, 0, 0));
    let seen = seen.lock().unwrap();
    let [Record::Started { request, .. }, Record::Attempt(attempt), Record::Ended(end)] = &seen[..] else {
        panic!("{seen:?}");
    };
    assert_eq!(
        (*request, attempt.request, attempt.outcome),
        (end.request, end.request, AttemptOutcome::Complete)
    );
    assert_eq!((end.status, end.outcome), (200, Outcome::Complete));
}

/// What a program counts for each route, on both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Figures {
    requests: u64,
    attempts: u64,
    client_octets: (u64, u64),
    backend_octets: (u64, u64),
    first_octet: Duration,
    last_octet: Duration,
}

#[derive(Default)]
struct Counting {
    routes: BTreeMap<u64, String>,
    figures: Arc<Mutex<BTreeMap<String, Figures>>>,
}

impl Hooks for Counting {
    fn arrived(&mut self, context: &Context<'_>, _: &FieldSection) -> Verdict {
        self.routes.insert(context.request.0, context.route.unwrap_or_default().to_owned());
        Verdict::Forward
    }

    fn record(&mut self, record: &Record) {
        let mut figures = self.figures.lock().unwrap();
        match record {
            Record::Started { .. } => {}
            Record::Attempt(attempt) => {
                let figures = figures.entry(self.routes[&attempt.request.0].clone()).or_default();
                figures.attempts += 1;
                figures.backend_octets.0 += attempt.request_octets;
                figures.backend_octets.1 += attempt.response_octets;
            }
            Record::Ended(end) => {
                // What the gateway refuses has not arrived.
                let Some(route) = self.routes.remove(&end.request.0) else { return };
                let figures = figures.entry(route).or_default();
                figures.requests += 1;
                figures.client_octets.0 += end.request_octets;
                figures.client_octets.1 += end.response_octets;
                figures.first_octet += end.responded.unwrap_or(end.ended).saturating_since(end.accepted);
                figures.last_octet += end.ended.saturating_since(end.accepted);
            }
        }
    }
}

#[test]
fn b80_figures_that_a_hook_counts_for_each_route_add_up_to_the_log() {
    let hooks = Counting::default();
    let figures = Arc::clone(&hooks.figures);
    let route = |name: &str| RouteConfig {
        path: PathPattern::Prefix(format!("/{name}").into()),
        ..RouteConfig::any(name, "default")
    };
    let routes = vec![route("one"), route("two")];
    let mut memory =
        Memory::of(|config| config.routes = routes, |gateway| gateway.with_hooks(Box::new(hooks)));
    let client = memory.connect(ConnectionConfig::default());
    for n in 0..12 {
        let uri = format!("http://a/{}", if n % 3 == 0 { "one" } else { "two" });
        let request = Request::post(uri).body(()).expect("a request");
        let stream = memory.client(client).send_request(&request, false).expect("a slot");
        memory.client(client).send_data(stream, &vec![1; 100 * n], true).expect("an open stream");
        memory.settle();
        let backend = memory.backends()[0];
        memory.wait(Duration::from_millis(7));
        let (stream, _) = requests(&mut memory, backend).remove(0);
        memory.backend(backend).send_response(stream, &Response::new(()), false).expect("an open stream");
        memory.settle();
        memory.wait(Duration::from_millis(5));
        memory.backend(backend).send_data(stream, &vec![2; 1000 * n], true).expect("an open stream");
        memory.settle();
    }
    let figures = figures.lock().unwrap();
    assert_eq!((figures["one"].requests, figures["two"].requests), (4, 8));
    assert_eq!(figures["one"].first_octet, Duration::from_millis(4 * 7));
    assert_eq!(figures["two"].last_octet, Duration::from_millis(8 * 12));
    let sum = |of: fn(&Figures) -> u64| figures.values().map(of).sum::<u64>();
    let (ends, attempts) = (&memory.records, &memory.attempts);
    assert_eq!((sum(|of| of.requests), sum(|of| of.attempts)), (ends.len() as u64, attempts.len() as u64));
    assert_eq!(sum(|of| of.client_octets.0), ends.iter().map(|end| end.request_octets).sum());
    assert_eq!(sum(|of| of.client_octets.1), ends.iter().map(|end| end.response_octets).sum());
    assert_eq!(sum(|of| of.backend_octets.0), attempts.iter().map(|attempt| attempt.request_octets).sum());
    assert_eq!(sum(|of| of.backend_octets.1), attempts.iter().map(|attempt| attempt.response_octets).sum());
    assert_eq!(sum(|of| of.client_octets.1), 66_000);
}

/// They have records, and no hook is asked.
#[test]
fn what_the_gateway_refuses_has_not_arrived() {
    let hooks = Counting::default();
    let figures = Arc::clone(&hooks.figures);
    let mut memory = memory(Box::new(hooks));
    let client = memory.connect_mute();
    memory.inject(client, b"TRACE /a HTTP/1.1\r\nhost: a\r\nmax-forwards: 0\r\n\r\n");
    memory.inject(client, b"OPTIONS /a HTTP/1.1\r\nhost: a\r\nmax-forwards: 0\r\n\r\n");
    memory.inject(client, b"GET a HTTP/1.1\r\nhost: a\r\n\r\n");
    let ends: Vec<_> = memory.records.iter().map(|end| (end.status, end.attempts)).collect();
    assert_eq!(ends.len(), 3, "{ends:?}");
    assert!(ends.iter().all(|&(_, attempts)| attempts == 0), "{ends:?}");
    assert_eq!((memory.started, figures.lock().unwrap().len()), (3, 0));
}

/// A field that a backend or a client trusts must not come behind the hook's back.
#[test]
fn what_hooks_set_does_not_come_back_in_trailers() {
    /// When the request's trailers come.
    #[derive(Clone, Copy, PartialEq)]
    enum When {
        Frozen,
        Live,
        /// And a second time for another attempt.
        Again,
    }
    for (when, transforms) in
        [When::Frozen, When::Live, When::Again].map(|when| [(when, false), (when, true)]).concat()
    {
        let hooks = Made {
            arrived: |_: &Context<'_>| Verdict::Forward,
            request: move |_: &Context<'_>, request: &mut HeadMut<'_, RequestHead>| -> Forward {
                request.set("x-user", "verified")?;
                request.remove("x-secret")?;
                if transforms {
                    request.transform(Box::new(Squeeze::default()));
                }
                Ok(Verdict::Forward)
            },
            response: move |_: &Context<'_>, response: &mut HeadMut<'_, ResponseHead>| -> Forward {
                response.set("x-user", "verified")?;
                response.remove("x-secret")?;
                if transforms {
                    response.transform(Box::new(Squeeze::default()));
                }
                Ok(Verdict::Forward)
            },
        };
        let mut memory = memory(Box::new(hooks));
        let trailers: http::HeaderMap = ["x-user", "x-ok", "x-secret", "x-user"]
            .map(|name| (name.parse().expect("a name"), http::HeaderValue::from_static("admin")))
            .into_iter()
            .collect();
        let names =
            |trailers: &http::HeaderMap| -> Vec<_> { trailers.keys().map(|name| name.to_string()).collect() };
        memory.hold_connects = when == When::Frozen;
        let client = memory.connect(ConnectionConfig::default());
        let stream = memory.client(client).send_request(&post(), false).expect("a slot");
        memory.settle();
        memory.client(client).send_data(stream, b"aaaaa", false).expect("an open stream");
        memory.client(client).send_trailers(stream, &trailers).expect("an open stream");
        memory.settle();
        memory.release_connects();
        let backend = memory.backends()[0];
        for attempt in 0..if when == When::Again { 2 } else { 1 } {
            let (mut arrived, mut came) = (None, None);
            while let Some(event) = memory.backend(backend).poll_event().expect("a sound connection") {
                match event {
                    ServerEvent::Request { stream, .. } => arrived = Some(stream),
                    ServerEvent::Trailers { trailers, .. } => came = Some(names(&trailers)),
                    _ => {}
                }
            }
            assert_eq!(came.expect("trailers"), ["x-ok"], "attempt {attempt}");
            let stream = arrived.expect("a request");
            if when == When::Again && attempt == 0 {
                memory.backend(backend).reset(stream, ErrorCode::REFUSED_STREAM);
                memory.settle();
                memory.wait(Duration::from_secs(2));
                continue;
            }
            memory.backend(backend).send_response(stream, &Response::new(()), false).expect("an open stream");
            memory.backend(backend).send_data(stream, b"aaaaa", false).expect("an open stream");
            memory.backend(backend).send_trailers(stream, &trailers).expect("an open stream");
            memory.settle();
        }
        let mut came = None;
        while let Some(event) = memory.client(client).poll_event().expect("a sound connection") {
            if let ClientEvent::Trailers { trailers, .. } = event {
                came = Some(names(&trailers));
            }
        }
        assert_eq!(came.expect("trailers"), ["x-ok"]);
    }
}

/// An idle connection that was adopted for a request that a hook then answers is nobody's own.
#[test]
fn what_was_adopted_for_an_answered_request_is_idle_again() {
    let hooks = on_request(|_, request| {
        let path = request.get(":path").map(<[u8]>::to_vec).unwrap_or_default();
        Ok(if path == b"/answered" { answer(200, "") } else { Verdict::Forward })
    });
    let mut memory = Memory::of(
        |config| {
            config.upstreams[0].share = Scope::Client;
            config.upstreams[0].connections_max = 1;
        },
        |gateway| gateway.with_hooks(hooks),
    );
    let clients: Vec<_> = (0..2).map(|_| memory.connect(ConnectionConfig::default())).collect();
    let get = |path: &str| Request::get(format!("http://example.com{path}")).body(()).expect("a request");
    memory.client(clients[0]).send_request(&get("/first"), true).expect("a slot");
    memory.settle();
    let backend = memory.backends()[0];
    let (stream, _) = requests(&mut memory, backend).remove(0);
    memory.backend(backend).send_response(stream, &Response::new(()), true).expect("open");
    memory.settle();
    assert_eq!(memory.gateway.view().engines, 0);
    memory.client(clients[0]).send_request(&get("/answered"), true).expect("a slot");
    memory.settle();
    let engines = memory.gateway.view().engines;
    memory.client(clients[1]).send_request(&get("/other"), true).expect("a slot");
    memory.settle();
    let at_once = requests(&mut memory, backend).len();
    memory.wait(Duration::from_secs(4));
    assert_eq!((engines, at_once, requests(&mut memory, backend).len()), (0, 1, 0));
}

/// A client that has asked for a tunnel to a backend that offers them.
fn asking_for_a_tunnel(hooks: Box<dyn Hooks>) -> (Memory, ConnId, StreamKey) {
    let mut memory = memory(hooks);
    memory.backend_config.extended_connect = true;
    let client = memory.connect(ConnectionConfig::default());
    memory.learn_offers(client);
    let request = Request::builder()
        .method("CONNECT")
        .uri("http://example.com/chat")
        .extension(Protocol("websocket".to_owned()))
        .body(())
        .expect("a request");
    let stream = memory.client(client).send_request(&request, false).expect("a slot");
    memory.settle();
    (memory, client, stream)
}

/// They see and change heads; the octets are not content, and pass as they are.
#[test]
fn tunnels_pass_hooks_and_no_transforms() {
    for (on_request_side, on_response_side) in [(false, false), (true, false), (false, true)] {
        let hooks = Made {
            arrived: |_: &Context<'_>| Verdict::Forward,
            request: move |_: &Context<'_>, request: &mut HeadMut<'_, RequestHead>| -> Forward {
                request.set("x-seen", "1")?;
                if on_request_side {
                    request.transform(Box::new(Squeeze::default()));
                }
                Ok(Verdict::Forward)
            },
            response: move |_: &Context<'_>, response: &mut HeadMut<'_, ResponseHead>| -> Forward {
                if on_response_side {
                    response.transform(Box::new(Squeeze::default()));
                }
                Ok(Verdict::Forward)
            },
        };
        let (mut memory, client, stream) = asking_for_a_tunnel(Box::new(hooks));
        let backend = memory.backends()[0];
        let (far, request) = requests(&mut memory, backend).pop().expect("the request");
        assert_eq!(values(request.headers(), "x-seen"), ["1"]);
        memory.backend(backend).send_response(far, &Response::new(()), false).expect("open");
        memory.client(client).send_data(stream, b"to the backend", false).expect("open");
        memory.backend(backend).send_data(far, b"to the client", true).expect("open");
        memory.settle();
        assert_eq!(octets_at(&mut memory, client), b"to the client");
        assert!(memory.records.is_empty(), "the client's direction is open");
        memory.client(client).send_data(stream, b", and more", true).expect("open");
        memory.settle();
        let mut octets = Vec::new();
        while let Some(event) = memory.backend(backend).poll_event().expect("sound") {
            if let ServerEvent::Data { data, .. } = event {
                octets.extend_from_slice(&data);
            }
        }
        assert_eq!(octets, b"to the backend, and more");
        assert_eq!(memory.records[0].outcome, Outcome::Complete);
        assert_eq!(memory.gateway.view().requests, 0);
    }
}

fn octets_at(memory: &mut Memory, client: ConnId) -> Vec<u8> {
    let mut octets = Vec::new();
    while let Some(event) = memory.client(client).poll_event().expect("sound") {
        if let ClientEvent::Data { data, .. } = event {
            octets.extend_from_slice(&data);
        }
    }
    octets
}

/// A status that opens a tunnel is the backend's to give, and to refuse.
#[test]
fn no_hook_opens_a_tunnel_or_closes_one_that_stands() {
    let arrived = Made {
        arrived: |_: &Context<'_>| answer(200, "here"),
        request: |_: &Context<'_>, _: &mut HeadMut<'_, RequestHead>| Ok(Verdict::Forward),
        response: |_: &Context<'_>, _: &mut HeadMut<'_, ResponseHead>| Ok(Verdict::Forward),
    };
    let changes = |to| on_response(move |_, head| Ok(head.set_status(to).map(|()| Verdict::Forward)?));
    let hooks: [(Box<dyn Hooks>, u16); 4] = [
        (Box::new(arrived), 0),
        (on_request(|_, _| Ok(answer(200, ""))), 0),
        (changes(200), 403),
        (changes(403), 200),
    ];
    for (hooks, status) in hooks {
        let (mut memory, client, _) = asking_for_a_tunnel(hooks);
        if status > 0 {
            let backend = memory.backends()[0];
            let (far, _) = requests(&mut memory, backend).pop().expect("the request");
            let mut answer = Response::new(());
            *answer.status_mut() = StatusCode::from_u16(status).expect("a status");
            memory.backend(backend).send_response(far, &answer, false).expect("open");
            memory.settle();
        }
        assert_eq!(response(&mut memory, client).status(), 500, "{status}");
        let tunnel = Outcome::LocalReply(Cause::HookFailed(HookFailed::Tunnel));
        assert_eq!(memory.records[0].outcome, tunnel, "{status}");
    }
    // Any other answer is a hook's to give.
    let (mut memory, client, _) = asking_for_a_tunnel(on_request(|_, _| Ok(answer(403, "no"))));
    assert_eq!(response(&mut memory, client).status(), 403);
}

/// A hook that checks who may do what is not left out because it has panicked once.
#[test]
fn without_hooks_that_have_panicked_nothing_goes_on() {
    let mut memory = memory(on_request(|_, _| panic!("of a bug")));
    let client = memory.connect(ConnectionConfig::default());
    memory.client(client).send_request(&get(), true).expect("a slot");
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        memory.settle();
        memory.settle();
    }));
    assert!(caught.is_err(), "nobody has asked the hook");
    let next = memory.connect(ConnectionConfig::default());
    memory.client(next).send_request(&get(), true).expect("a slot");
    memory.settle();
    assert_eq!(response(&mut memory, next).status(), 500);
    let outcomes: Vec<_> = memory.records.iter().map(|record| record.outcome).collect();
    assert!(outcomes.contains(&Outcome::LocalReply(Cause::HookFailed(HookFailed::Panicked))), "{outcomes:?}");
    for backend in memory.backends().into_iter().filter(|&id| id != client && id != next) {
        assert!(requests(&mut memory, backend).is_empty());
    }
}
