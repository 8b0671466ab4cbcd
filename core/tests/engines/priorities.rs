//! RFC 9218 in the queue: of one client's frozen requests the more urgent are thawed first.

use http::Request;
use shuntyard_core::config::{ConnectionConfig, Saturation};
use shuntyard_core::h2::ServerEvent;
use shuntyard_core::key::ConnId;
use shuntyard_requirements::req;

use crate::memory::Memory;
use crate::memory::talk::get;

/// A gateway before one backend that takes a request at a time.
fn one_at_a_time() -> Memory {
    let mut memory = Memory::new(|config| config.upstreams[0].on_saturation = Saturation::Queue);
    memory.backend_config.max_concurrent_streams = 1;
    memory
}

fn ask(memory: &mut Memory, client: ConnId, path: &str, signal: &str) {
    let mut request: Request<()> = get(path);
    if !signal.is_empty() {
        request.headers_mut().insert("priority", signal.parse().expect("a value"));
    }
    memory.client(client).send_request(&request, true).expect("a slot");
    memory.settle();
}

/// The paths in the order in which the backend sees them, each answered at once.
fn served(memory: &mut Memory) -> Vec<String> {
    let mut paths = Vec::new();
    loop {
        let backend = memory.backends()[0];
        let mut arrived = None;
        while let Some(event) = memory.backend(backend).poll_event().expect("a sound connection") {
            if let ServerEvent::Request { stream, request, .. } = event {
                let signal =
                    request.headers().get("priority").map(|value| value.to_str().unwrap().to_owned());
                arrived = Some((stream, request.uri().path().to_owned(), signal));
            }
        }
        let Some((stream, path, signal)) = arrived else { return paths };
        paths.push(path + &signal.map_or(String::new(), |signal| format!(" {signal}")));
        let answer = http::Response::new(());
        memory.backend(backend).send_response(stream, &answer, true).expect("an open stream");
        memory.settle();
    }
}

#[test]
fn rfc9218_9_the_more_urgent_are_thawed_first_and_fields_pass() {
    req!("9218-13.2-02");
    let mut memory = one_at_a_time();
    let client = memory.connect(ConnectionConfig::default());
    for (path, signal) in
        [("/first", "u=7"), ("/a", "u=5"), ("/b", ""), ("/c", "u=0"), ("/d", "u=3"), ("/e", "u=0, i")]
    {
        ask(&mut memory, client, path, signal);
    }
    assert_eq!(served(&mut memory), ["/first u=7", "/c u=0", "/e u=0, i", "/b", "/d u=3", "/a u=5"]);
}

/// Urgency orders the requests of one client; it takes nothing from another.
#[test]
fn rfc9218_13_1_clients_take_turns_whatever_they_say() {
    req!("9218-13.2-02");
    let mut memory = one_at_a_time();
    let (greedy, modest) =
        (memory.connect(ConnectionConfig::default()), memory.connect(ConnectionConfig::default()));
    ask(&mut memory, greedy, "/first", "u=0");
    for path in ["/g1", "/g2"] {
        ask(&mut memory, greedy, path, "u=0");
    }
    for path in ["/m1", "/m2"] {
        ask(&mut memory, modest, path, "u=7");
    }
    let served: Vec<_> = served(&mut memory).iter().map(|path| path[..3].to_owned()).collect();
    assert_eq!(served, ["/fi", "/g1", "/m1", "/g2", "/m2"]);
}
