//! Credentials that hold for the rest of their connection to a backend (RFC 4559, NTLM): nobody else may have it.

use http::Request;
use shuntyard_core::config::{ConnectionConfig, Protocol};

use crate::memory::Memory;
use crate::memory::talk::{content, events};
use crate::said;

#[test]
fn a_connection_that_was_proven_is_nobody_elses() {
    let schemes =
        [("NTLM TlRMTVNTUAAB", 2), ("negotiate YIIG", 2), ("Basic bnRsbTo=", 1), ("Bearer ntlm", 1)];
    for (credentials, dials) in schemes {
        let mut memory = Memory::new(|config| config.upstreams[0].endpoints[0].protocol = Protocol::Http1);
        memory.mute_backends = true;
        for proven in [true, false] {
            let client = memory.connect(ConnectionConfig::default());
            let mut request = Request::get("http://a/");
            if proven {
                request = request.header("authorization", credentials);
            }
            memory.client(client).send_request(&request.body(()).expect("one"), true).expect("a slot");
            memory.settle();
            let mut heard =
                memory.backends().into_iter().map(|backend| (backend, said(&mut memory, backend)));
            let (backend, asked) = heard.find(|(_, asked)| !asked.is_empty()).expect("a request");
            assert_eq!(asked.contains(credentials), proven, "{asked}");
            assert!(!asked.contains("connection:"), "{asked}");
            memory.inject(backend, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
            assert_eq!(content(&events(&mut memory, client)), (b"hi".to_vec(), true));
        }
        assert_eq!(memory.dials.len(), dials, "{credentials}");
    }
}

/// Each of them costs a connection to the backend: so many come of one client as others pay for, and no more.
#[test]
fn who_wants_a_connection_for_each_request_pays_for_it() {
    let mut memory = Memory::new(|config| config.upstreams[0].endpoints[0].protocol = Protocol::Http1);
    memory.mute_backends = true;
    let client = memory.connect_mute();
    let mut asked = 0;
    while !memory.closed.contains(&client) && asked < 1_000 {
        memory.inject(client, b"GET / HTTP/1.1\r\nhost: a\r\nauthorization: negotiate x\r\n\r\n");
        let mut heard = memory.backends().into_iter().map(|conn| (conn, said(&mut memory, conn)));
        let heard = heard.find(|(conn, asked)| *conn != client && !asked.is_empty());
        let Some((backend, _)) = heard else { break };
        memory.inject(backend, b"HTTP/1.1 204 No Content\r\n\r\n");
        memory.kill(backend);
        asked += 1;
    }
    assert!((100..300).contains(&asked), "{asked}");
}
