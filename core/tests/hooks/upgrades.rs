//! Upgrades over HTTP/1.1, as hooks see them.

use std::sync::{Arc, Mutex};

use http::{Response, StatusCode};
use shuntyard_core::fields::{FieldName, FieldSection};
use shuntyard_core::hooks::{Context, HeadMut, HookFailed, Hooks, Verdict};
use shuntyard_core::key::ConnId;
use shuntyard_core::message::{Method, RequestHead, ResponseHead};
use shuntyard_core::record::{Cause, Outcome};

use crate::memory::Memory;
use crate::requests;

const HANDSHAKE: &[u8] = b"GET /chat HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Says what it sees, and answers those that ask for a tunnel, if it has an answer.
struct Watch {
    seen: Arc<Mutex<Vec<String>>>,
    answer: Option<u16>,
}

impl Watch {
    fn see(&self, what: impl core::fmt::Debug) {
        self.seen.lock().unwrap().push(format!("{what:?}"));
    }
}

impl Hooks for Watch {
    fn arrived(&mut self, _: &Context<'_>, request: &FieldSection) -> Verdict {
        let of = |name| request.value_of(name).map(String::from_utf8_lossy);
        self.see((of(FieldName::Method), of(FieldName::Protocol), of(FieldName::Path)));
        let is_tunnel = request.value_of(FieldName::Protocol).is_some();
        assert!(request.get(b"upgrade").is_none());
        assert!(!is_tunnel || request.get(b"sec-websocket-key").is_none());
        match self.answer {
            Some(status) if is_tunnel => {
                let mut answer = Response::new("".into());
                *answer.status_mut() = StatusCode::from_u16(status).expect("a status");
                Verdict::Answer(answer)
            }
            _ => Verdict::Forward,
        }
    }

    fn request(
        &mut self,
        _: &Context<'_>,
        request: &mut HeadMut<'_, RequestHead>,
    ) -> Result<Verdict, HookFailed> {
        self.see(request.head().method);
        Ok(Verdict::Forward)
    }

    fn response(
        &mut self,
        _: &Context<'_>,
        response: &mut HeadMut<'_, ResponseHead>,
    ) -> Result<Verdict, HookFailed> {
        self.see(response.head().status);
        Ok(Verdict::Forward)
    }
}

/// A client over HTTP/1.1 that has asked for a WebSocket, and what hooks have seen.
fn asking(upgrades: &[&str], answer: Option<u16>) -> (Memory, ConnId, Arc<Mutex<Vec<String>>>) {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let hooks = Watch { seen: Arc::clone(&seen), answer };
    let change = |config: &mut shuntyard_core::config::Config| {
        config.routes[0].upgrades = upgrades.iter().map(|&upgrade| upgrade.into()).collect();
    };
    let mut memory = Memory::of(change, |gateway| gateway.with_hooks(Box::new(hooks)));
    memory.backend_config.extended_connect = true;
    let client = memory.connect_mute();
    memory.inject(client, HANDSHAKE);
    (memory, client, seen)
}

fn answered(memory: &mut Memory, client: ConnId) -> String {
    let octets = memory.sent_to(client);
    String::from_utf8_lossy(&octets).lines().next().unwrap_or_default().to_owned()
}

#[test]
fn an_upgrade_over_http1_is_an_extended_connect_to_hooks() {
    let (mut memory, client, seen) = asking(&["websocket"], None);
    let backend = *memory.backends().iter().find(|&&id| id != client).expect("a backend");
    let (far, _) = requests(&mut memory, backend).pop().expect("the request");
    memory.backend(backend).send_response(far, &Response::new(()), false).expect("open");
    memory.settle();
    assert_eq!(answered(&mut memory, client), "HTTP/1.1 101 Switching Protocols");
    let expected = [
        r#"(Some("CONNECT"), Some("websocket"), Some("/chat"))"#.to_owned(),
        format!("{:?}", Method::Connect),
        "200".to_owned(),
    ];
    assert_eq!(seen.lock().unwrap()[..], expected);
}

#[test]
fn one_that_no_route_allows_is_the_get_that_it_was() {
    let (_, _, seen) = asking(&[], Some(200));
    assert_eq!(seen.lock().unwrap()[0], r#"(Some("GET"), None, Some("/chat"))"#);
}

#[test]
fn hooks_decline_an_upgrade_and_cannot_accept_it() {
    let (mut memory, client, _) = asking(&["websocket"], Some(403));
    assert_eq!(answered(&mut memory, client), "HTTP/1.1 403 Forbidden");
    for status in [200, 299] {
        let (mut memory, client, _) = asking(&["websocket"], Some(status));
        assert_eq!(answered(&mut memory, client), "HTTP/1.1 500 Internal Server Error");
        let tunnel = Outcome::LocalReply(Cause::HookFailed(HookFailed::Tunnel));
        assert_eq!(memory.records[0].outcome, tunnel);
    }
}
