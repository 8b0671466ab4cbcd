//! Tunnels: a request that became a stream of octets both ways (RFC 9110 section 9.3.6, RFC 8441). Each direction ends by
//! itself, and the request is over when both have.

use std::sync::Arc;

use crate::config::{Config, ConnectionConfig};
use crate::error::ErrorCode;
use crate::fields::{FieldName, FieldSection};
use crate::gateway::Gateway;
use crate::gateway::answer::token_or_string;
use crate::message::{Method, RequestHead};
use crate::record::Cause;
use crate::request::{FrontAddress, Live, RequestKey, Tunnel};
use crate::routes::Route;
use crate::time::Instant;

/// Which end of a tunnel was passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// What the client sends.
    ToBackend,
    /// What the backend sends.
    ToClient,
}

/// What holds for clients' connections: an upgrade that no route allows is not looked at, and who answers has the gateway's name.
pub(super) fn front_config(config: &Config) -> ConnectionConfig {
    let mut upgrades: Vec<_> =
        config.routes.iter().flat_map(|route| &route.upgrades).map(Arc::clone).collect();
    upgrades.sort_unstable();
    upgrades.dedup();
    let (_, error) = Cause::RequestMalformed.status();
    let proxy_status = format!("{}; error={error}", token_or_string(&config.via)).into();
    ConnectionConfig { upgrades, proxy_status: Some(proxy_status), ..config.front.clone() }
}

/// Whether a request asks for a tunnel that its route does not have.
pub(super) fn is_refused(head: &RequestHead, fields: &FieldSection, route: Option<&Route>) -> bool {
    let allowed = |route: &Route| match fields.value_of(FieldName::Protocol) {
        Some(protocol) => route.allows_upgrade(protocol),
        None => route.connect,
    };
    head.method == Method::Connect && !route.is_some_and(allowed)
}

/// The head of an upgrade becomes that of the request which it is without.
fn as_get(head: &mut RequestHead, fields: &mut FieldSection, seed: u64) {
    fields.replace_value(FieldName::Method, b"GET", seed);
    fields.retain(|line| line.facts.name != FieldName::Protocol);
    (head.method, head.extended_connect) = (Method::Get, false);
}

/// Whether a response with this status says that a tunnel stands (RFC 9110 section 9.3.6).
pub(super) fn opens_tunnel(method: Method, status: u16) -> bool {
    method == Method::Connect && (200..300).contains(&status)
}

impl Gateway {
    /// An upgrade over HTTP/1.1 that its route does not allow is ignored (9110-7.8-02): the request becomes the GET that it was, without
    /// content. Says whether it is one.
    pub(super) fn ignore_upgrade(
        &mut self,
        front: FrontAddress,
        head: &mut RequestHead,
        fields: &mut FieldSection,
    ) -> bool {
        let entry = self.conns.get_mut(front.conn);
        let ignored = entry.is_some_and(|entry| entry.session.decline_upgrade(front.stream));
        if ignored {
            as_get(head, fields, self.seed);
        }
        ignored
    }

    /// A backend has answered a request for an upgrade as the GET that it is over HTTP/1.1. Says whether the client has asked for no more
    /// than that: one that speaks HTTP/2 wants a tunnel, or none.
    pub(super) fn decline_upgrade(&mut self, key: RequestKey) -> bool {
        let Some(request) = self.requests.get_mut(key) else { return false };
        let FrontAddress { conn, stream } = request.awaiting.front;
        let declined = self.conns.get_mut(conn).is_some_and(|entry| entry.session.decline_upgrade(stream));
        if declined {
            let mut head = request.awaiting.head;
            // What left for the backend stays as it was.
            as_get(&mut head, &mut request.fields, self.seed);
            // A GET without content: nothing of it is still to come.
            (request.awaiting.head, request.awaiting.content_end) = (head, true);
        }
        declined
    }

    /// The backend has agreed to a tunnel: octets go both ways from now on, and no length is told. The client may have ended
    /// its direction before.
    pub(super) fn open_tunnel(&mut self, key: RequestKey, fields: &mut FieldSection) {
        let Some(request) = self.requests.get_mut(key) else { return };
        let conns = &self.conns;
        let has_sent = |live: &mut Live| {
            conns.get(live.conn()).is_some_and(|entry| entry.session.has_sent(live.stream()))
        };
        let client_ended = request.live_mut().is_some_and(has_sent);
        request.awaiting.tunnel = Some(Tunnel { client_ended, ..Tunnel::default() });
        fields.retain(|line| line.facts.name != FieldName::ContentLength); // 9110-8.6-06, 9110-9.3.6-06
    }

    /// The end of one direction was passed on. With the second the tunnel is over.
    #[inline(always)]
    pub(super) fn tunnel_ended(&mut self, key: RequestKey, direction: Direction, now: Instant) {
        let Some(request) = self.requests.get_mut(key) else { return };
        let Some(tunnel) = &mut request.awaiting.tunnel else { return };
        match direction {
            Direction::ToBackend => tunnel.client_ended = true,
            Direction::ToClient => tunnel.backend_ended = true,
        }
        if tunnel.client_ended && tunnel.backend_ended {
            self.backend_done(key, now);
            self.response_left(key, now);
        }
    }

    /// The backend has ended its direction, and its end waits for the client to take what came before it.
    pub(super) fn tunnel_ends(&mut self, key: RequestKey) {
        if let Some(tunnel) = self.requests.get_mut(key).and_then(|request| request.awaiting.tunnel.as_mut())
        {
            tunnel.backend_ends = true;
        }
    }

    /// The backend has reset the stream without an error: what the client sends is of no use to it any more. Where it has ended its own direction that is the
    /// end of a tunnel in good order (RFC 9113 section 8.1). Says whether it is.
    pub(super) fn tunnel_closed(&mut self, key: RequestKey, code: ErrorCode, now: Instant) -> bool {
        code == ErrorCode::NO_ERROR && self.backend_leaves_tunnel(key, now)
    }

    /// The backend takes nothing more from a tunnel. Where it has ended its own direction what it said is not thrown away (RFC 9110 section 9.3.6), and the
    /// tunnel is over when that has left. Says whether it has.
    pub(super) fn backend_leaves_tunnel(&mut self, key: RequestKey, now: Instant) -> bool {
        let tunnel = self.requests.get_mut(key).and_then(|request| request.awaiting.tunnel.as_mut());
        let ends = |tunnel: &&mut Tunnel| tunnel.backend_ends || tunnel.backend_ended;
        let Some(tunnel) = tunnel.filter(ends) else { return false };
        tunnel.client_ended = true;
        let has_left = tunnel.backend_ended;
        if let Some((conn, ..)) = self.take_from_backend(key, now) {
            self.release_request(key, u32::MAX);
            self.stream_ended(conn, now);
        }
        // Otherwise the cut of its end tells.
        if has_left {
            self.response_left(key, now);
        }
        true
    }
}
