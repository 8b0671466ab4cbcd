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
