//! Connections of clients whose octets are not HTTP yet: the adapter still shakes hands with them.

use crate::config::Protocol;
use crate::gateway::conn::{Conn, Life, Side};
use crate::gateway::deadlines::Kind;
use crate::gateway::{Accepted, ConnId, Connected, Gateway};
use crate::h2::Role;
use crate::record::Cause;
use crate::session::Session;
use crate::time::Instant;

impl Gateway {
    /// A client's connection was accepted, and something stands in front of HTTP: a handshake of TLS. Then `handle_connected`, or
    /// `handle_closed`. The deadline of the preface counts from now; past a limit of clients it is closed at once.
    pub fn handle_arriving(&mut self, info: Accepted, now: Instant) -> ConnId {
        // In a drain whoever stood in the kernel's queue may finish, and hears of it then.
        let stays = self.admit(&info.peer, now) || self.drain.is_some();
        let session = Session::H2(self.new_connection(Role::Server));
        let side = Side::front(info.peer);
        let only = self.only_at(&info.local);
        let id = self.conns.insert(Conn { only, ..Conn::new(session, side, Life::Connecting, now) });
        self.account.front.opened += 1;
        self.arm_conn(id, Kind::Preface, now);
        if !stays {
            self.close_now(id, now);
        }
        self.pace_accepting();
        id
    }

    /// The handshake is done. What was agreed on is spoken; where nothing was, the first octets tell.
    pub(super) fn arrived(&mut self, id: ConnId, facts: Connected, now: Instant) {
        let Some(entry) = self.conns.get_mut(id) else { return };
        entry.life = Life::Open;
        entry.agreed = facts.protocol;
        entry.tls = facts.tls;
        if facts.protocol == Some(Protocol::Http1) {
            self.speak_http1(id, now);
        }
        if self.drain.is_some() {
            self.close_gracefully(id, Cause::Draining, now);
        }
        self.touch(id);
        self.dispatch_at = Some(now);
    }

    /// What ALPN has chosen is spoken, and is what the endpoint is expected to choose again. Nothing has been said yet.
    pub(super) fn agreed_with_backend(&mut self, id: ConnId, protocol: Option<Protocol>) {
        let Some(protocol) = protocol else { return };
        let Some(Conn { session, side: Side::Backend(engine), .. }) = self.conns.get(id) else { return };
        let (upstream, endpoint) = (engine.upstream, engine.endpoint);
        let spoken = match session {
            Session::H2(_) => Protocol::Http2,
            Session::H1(_) => Protocol::Http1,
        };
        if let Some(endpoint) = self.registry.endpoint_mut(upstream, endpoint) {
            endpoint.agreed = Some(protocol);
        }
        if spoken == protocol {
            return;
        }
        let session = match protocol {
            Protocol::Http2 => Session::H2(self.new_connection(Role::Client)),
            Protocol::Http1 => self.new_http1(Role::Client),
        };
        if let Some(entry) = self.conns.get_mut(id) {
            entry.session = session;
        }
    }
}
