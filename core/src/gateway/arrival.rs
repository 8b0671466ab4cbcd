//! Connections of clients whose octets are not HTTP yet: the adapter still hears whose they are, or shakes hands with them.

use crate::address::Address;
use crate::config::Protocol;
use crate::fields::{FieldName, FieldSection};
use crate::gateway::conn::{self, Conn, Life, Side};
use crate::gateway::due::Kind;
use crate::gateway::{Accepted, ConnId, Connected, Gateway};
use crate::h2::Role;
use crate::routes::host_of;
use crate::session::Session;
use crate::time::Instant;

impl Gateway {
    /// A client's connection was accepted, and something stands in front of HTTP: words of a balancer, a handshake of TLS. Then
    /// `handle_introduced`, where the listener has it so, and `handle_connected`; or `handle_closed`. The deadline of the preface counts
    /// from now; past a limit of clients it is closed at once.
    pub fn handle_arriving(&mut self, info: Accepted, now: Instant) -> ConnId {
        let at = self.config.listeners.iter().position(|of| of.address == info.local);
        let said = at.and_then(|at| self.config.listeners.get(at));
        let (only, introduced) = said.map_or((None, false), |said| (said.only, said.introduced));
        let (listener, hooks_place) = (at.and_then(conn::place), self.hooks.place_of(&info.local));
        // In a drain whoever stood in the kernel's queue may finish, and hears of it then.
        let peer = info.peer.canonical();
        let stays = self.admit((!introduced).then_some(&peer), now);
        let session = Session::H2(self.new_connection(Role::Server));
        let side = Side::front(peer, !introduced);
        let conn = Conn::new(session, side, Life::Connecting, now);
        let id = self.conns.insert(Conn { only, listener, hooks_place, ..conn });
        self.account.front.opened += 1;
        self.arm_conn(id, Kind::Preface, now);
        if !stays {
            self.close_now(id, now);
        }
        self.pace_accepting();
        id
    }

    /// Whether a request came by a connection that was opened for a name of another group (RFC 9110 section 15.5.20): clients send requests for
    /// several names over one connection where one certificate is for all of them (RFC 9113 section 9.1.1), and have not shown there
    /// what the other name asks for.
    pub(super) fn is_misdirected(&self, conn: ConnId, fields: &FieldSection) -> bool {
        let Some(entry) = self.conns.get(conn) else { return false };
        let said = entry.listener.and_then(|at| self.config.listeners.get(conn::index(at)));
        let Some(groups) = said.map(|said| &said.groups).filter(|groups| !groups.is_empty()) else {
            return false;
        };
        let authority = fields.value_of(FieldName::Authority).or_else(|| fields.value_of(FieldName::Host));
        let Some(asked) = authority.filter(|authority| !authority.is_empty()) else { return false };
        let opened_for = entry.tls.as_ref().and_then(|tls| tls.server_name.as_deref());
        groups.of(host_of(asked)) != opened_for.and_then(|name| groups.of(name.as_bytes()))
    }

    /// Whose word is taken for who clients are has changed there: those who have shown a certificate are asked to leave, as if they had
    /// become old. What they have asked for is answered.
    pub(super) fn part(&mut self, listener: &Address, now: Instant) {
        let at = self.config.listeners.iter().position(|of| of.address == *listener);
        let has_shown = |entry: &Conn| entry.tls.as_ref().is_some_and(|tls| tls.certificate.is_some());
        let came_there = |entry: &Conn| entry.is_front() && entry.listener.map(conn::index) == at;
        let leave = |(id, entry): (ConnId, &Conn)| (came_there(entry) && has_shown(entry)).then_some(id);
        let leaving: Vec<_> = self.conns.iter().filter_map(leave).collect();
        for id in leaving.into_iter().filter(|_| at.is_some()) {
            self.ask_to_leave(id, now);
        }
    }

    /// The balancer in front of a connection of [`handle_arriving`](Self::handle_arriving) has said whose it is; `None`: its own. Until then
    /// it counts as nobody's. Past the limit of connections of that client it is closed at once.
    pub fn handle_introduced(&mut self, conn: ConnId, client: Option<Address>, now: Instant) {
        let waiting = |entry: &&mut Conn| entry.life == Life::Connecting;
        let Some(Side::Front { peer, counted, .. }) =
            self.conns.get_mut(conn).filter(waiting).map(|entry| &mut entry.side)
        else {
            self.ignored_events += 1;
            return;
        };
        if core::mem::replace(counted, true) {
            self.ignored_events += 1;
            return;
        }
        if let Some(client) = client {
            *peer = client.canonical();
        }
        let peer = peer.clone();
        if !self.count_client(&peer) {
            self.close_now(conn, now);
        }
    }

    /// The handshake is done. What was agreed on is spoken; over TLS nothing but HTTP/1.1 where nothing was, and else what the first octets tell.
    pub(super) fn arrived(&mut self, id: ConnId, facts: Connected, now: Instant) {
        let Some(entry) = self.conns.get_mut(id) else { return };
        entry.life = Life::Open;
        let is_secured = facts.tls.is_some();
        entry.agreed = facts.protocol;
        entry.tls = facts.tls;
        // 9113-3.3-01: HTTP/2 over TLS is agreed on.
        let by_default = facts.protocol.is_none() && is_secured;
        if facts.protocol == Some(Protocol::Http1) || (by_default && self.spoken_with(id).0) {
            self.speak_http1(id, now);
        } else if by_default {
            return self.close_now(id, now);
        }
        if self.drain.is_some() {
            // RFC 9113 section 6.8: as one that has had its time. What it asks for before it can know of that is answered.
            self.ask_to_leave(id, now);
        }
        self.touch(id);
        self.dispatch_at = Some(now);
    }

    /// What ALPN has chosen is spoken, and is what the endpoint is expected to choose again. Nothing has been said yet.
    pub(super) fn agreed_with_backend(&mut self, id: ConnId, protocol: Option<Protocol>) {
        let Some(protocol) = protocol else { return };
        let Some(Conn { session, side: Side::Backend(engine), .. }) = self.conns.get(id) else { return };
        let endpoint = engine.endpoint;
        let spoken = match session {
            Session::H2(_) | Session::Dormant(_) => Protocol::Http2,
            Session::H1(_) => Protocol::Http1,
        };
        if let Some(endpoint) = self.registry.endpoint_mut(endpoint) {
            endpoint.agreed = Some(protocol);
        }
        if spoken == protocol {
            return;
        }
        // It may have more connections than it might before.
        self.registry.wake_upstream(endpoint.upstream);
        let session = match protocol {
            Protocol::Http2 => Session::H2(self.new_connection(Role::Client)),
            Protocol::Http1 => self.new_http1(Role::Client),
        };
        if let Some(entry) = self.conns.get_mut(id) {
            entry.session = session;
        }
    }
}
