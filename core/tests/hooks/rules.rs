//! The header rules of routes.

use std::time::Duration;

use http::Response;
use shuntyard_core::config::{Config, ConnectionConfig, HeaderRule, RouteConfig};
use shuntyard_core::error::ErrorCode;
use shuntyard_core::gateway::Gateway;
use shuntyard_core::time::{Instant, WallClock};

use crate::memory::Memory;
use crate::{get, requests, response, values};

fn set(name: &str, value: &str) -> HeaderRule {
    HeaderRule::Set { name: name.into(), value: value.into() }
}

fn add(name: &str, value: &str) -> HeaderRule {
    HeaderRule::Add { name: name.into(), value: value.into() }
}

fn remove(name: &str) -> HeaderRule {
    HeaderRule::Remove { name: name.into() }
}

fn ruled(route: &mut RouteConfig) {
    route.request_headers =
        vec![remove("cookie"), set("x-old", "2"), add("x-old", "3"), add("x-new", ""), set("x-new", "4")];
    route.response_headers = vec![set("server", "yard"), remove("x-secret"), add("set-cookie", "b=2")];
}

#[test]
fn header_rules_change_both_heads() {
    let mut memory = Memory::new(|config| ruled(&mut config.routes[0]));
    let client = memory.connect(ConnectionConfig::default());
    memory.client(client).send_request(&get(), true).expect("a slot");
    memory.settle();
    let backend = memory.backends()[0];
    let (stream, request) = requests(&mut memory, backend).remove(0);
    assert_eq!(values(request.headers(), "cookie"), [""; 0]);
    assert_eq!(values(request.headers(), "x-old"), ["2", "3"]);
    assert_eq!(values(request.headers(), "x-new"), ["4"]);
    let answer =
        Response::builder().header("x-secret", "s").header("set-cookie", "a=1").body(()).expect("a response");
    memory.backend(backend).send_response(stream, &answer, true).expect("an open stream");
    memory.settle();
    let response = response(&mut memory, client);
    assert_eq!(values(response.headers(), "server"), ["yard"]);
    assert_eq!(values(response.headers(), "x-secret"), [""; 0]);
    assert_eq!(values(response.headers(), "set-cookie"), ["a=1", "b=2"]);
    assert_eq!(
        memory.records[0].fields.get(b"cookie"),
        Some(&b"a=1"[..]),
        "the record has the head that came"
    );
}

/// The first attempt leaves no trace in the second.
#[test]
fn b81_header_rules_start_from_the_original_head_in_each_attempt() {
    let mut memory =
        Memory::new(|config| config.routes[0].request_headers = vec![add("x-old", "2"), remove("cookie")]);
    let client = memory.connect(ConnectionConfig::default());
    memory.client(client).send_request(&get(), true).expect("a slot");
    memory.settle();
    let backend = memory.backends()[0];
    for attempt in 1..=3 {
        let (stream, request) = requests(&mut memory, backend).remove(0);
        assert_eq!(values(request.headers(), "x-old"), ["1", "2"], "attempt {attempt}");
        assert_eq!(values(request.headers(), "cookie"), [""; 0], "attempt {attempt}");
        memory.backend(backend).reset(stream, ErrorCode::REFUSED_STREAM);
        memory.settle();
        memory.wait(Duration::from_secs(2));
    }
}

/// A rule that lets caches keep a page must not let them keep its absence.
#[test]
fn answers_of_the_gateway_itself_stay_as_they_are() {
    let mut memory = Memory::new(|config| ruled(&mut config.routes[0]));
    memory.refuse = true;
    let client = memory.connect(ConnectionConfig::default());
    memory.client(client).send_request(&get(), true).expect("a slot");
    memory.settle();
    let response = response(&mut memory, client);
    assert_eq!((response.status().as_u16(), response.headers().get("server")), (502, None));
}

#[test]
fn header_rules_that_are_not_valid_make_no_gateway() {
    let rules = [
        set("content-length", "5"),
        remove("expect"),
        set(":path", "/"),
        set("X-Upper", "1"),
        set("x", "a\r\nb: c"),
    ];
    for rule in rules {
        let mut config = Config::new(vec![shuntyard_core::address::Address::unspecified()]);
        config.routes[0].response_headers = vec![rule];
        let wall = WallClock { at: Instant::ZERO, unix_seconds: 0 };
        assert!(Gateway::new(config, 1, Instant::ZERO, wall).is_err());
    }
}
