//! One endpoint of an upstream: its addresses, its connections in numbers, and what is known of its health.

use std::sync::Arc;

use crate::address::Address;
use crate::config::{EndpointConfig, Host, Protocol};
use crate::counters::EndpointCounters;
use crate::deadline::DeadlineKey;
use crate::key::ConnId;
use crate::request::Needs;
use crate::time::{Duration, Instant};

/// How long an endpoint whose dial failed is left alone the first time. It doubles with each failure that follows.
const REST_MIN: Duration = Duration::from_secs(1);
/// How long an endpoint is left alone at most.
const REST_MAX: Duration = Duration::from_secs(30);
/// So many connections, one after the other, may end in vain before the endpoint is left alone as if it could not be dialled: one that is about to leave
/// says so to whoever still finds it, and its successor is dialled at once.
const VAIN_MAX: u32 = 3;

/// Whether the system has what a connection to an endpoint takes: a descriptor, a port, memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Means {
    /// As far as is known.
    Enough,
    /// It had not when it was dialled a moment ago: for now nobody tries.
    Wanting,
    /// It may have it again, which one dial is to show.
    Doubtful,
    /// That dial is under way.
    Tried,
}

/// An endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// Where it is, as the configuration has it.
    pub config: EndpointConfig,
    /// The same as a word, for records and figures.
    pub label: Arc<str>,
    /// Its place in the configuration.
    pub(super) place: usize,
    /// Where it can be dialled. Empty while its name is not resolved.
    addresses: Vec<Address>,
    /// Whose turn it is to be dialled.
    next_address: usize,
    /// Whether the adapter was asked for its addresses and has not answered.
    pub resolving: bool,
    /// When it is asked for them again.
    pub resolve_deadline: Option<DeadlineKey>,
    /// Its connections, from the order to connect to their end.
    pub connections: u32,
    /// Those of them that take no more requests.
    pub draining: u32,
    /// Connections that no engine owns, the one that was used last at the end.
    pub idle: Vec<ConnId>,
    /// Connections that take requests, or will, and whose engine has an entry.
    pub(super) seated: u32,
    /// Requests on its streams.
    pub active: u32,
    /// Its last dial failed a moment ago.
    pub resting: bool,
    /// When it did, where one has.
    rests_since: Instant,
    /// When a rest ends: the last that was armed, whether or not it has been cut short since.
    pub rest_deadline: Option<DeadlineKey>,
    /// Dials that failed since one succeeded.
    failures: u32,
    /// Addresses that were dialled in vain since one was reached, and when: not long ago.
    unreached: Vec<(Address, Instant)>,
    /// Connections that ended in vain since one did not.
    vain: u32,
    /// Whether this system can dial it at all.
    pub means: Means,
    /// The streams that it allowed at a time when it was last asked: what holds on a new connection until it is told.
    pub streams_max: Option<u32>,
    /// Connections that take requests, and on which it allows no stream for now.
    pub barred: u32,
    /// What TLS has agreed on with it last.
    pub agreed: Option<Protocol>,
    /// Connections that take requests, and on which it understands extended CONNECT (RFC 8441): of several behind one address some may.
    pub offering: u32,
    /// Whether any of them does, or did the last that said.
    pub tunnels: Option<bool>,
    /// The largest head that it takes, as it said last; `None`: any.
    pub(super) head_max: Option<u32>,
    /// A new configuration has it no more.
    pub retired: bool,
    /// What happened here; of connections, what those did that are gone.
    pub counters: EndpointCounters,
}

impl Endpoint {
    /// An endpoint that nobody has dialled yet.
    pub(crate) fn new(config: EndpointConfig) -> Self {
        let addresses = match &config.host {
            Host::Address(address) => vec![address.clone()],
            Host::Name { .. } => Vec::new(),
        };
        Self {
            label: config.to_string().into(),
            config,
            place: 0,
            addresses,
            next_address: 0,
            resolving: false,
            resolve_deadline: None,
            connections: 0,
            draining: 0,
            idle: Vec::new(),
            seated: 0,
            active: 0,
            resting: false,
            rests_since: Instant::ZERO,
            rest_deadline: None,
            failures: 0,
            unreached: Vec::new(),
            vain: 0,
            means: Means::Enough,
            streams_max: None,
            barred: 0,
            agreed: None,
            offering: 0,
            tunnels: None,
            head_max: None,
            retired: false,
            counters: EndpointCounters::default(),
        }
    }

    /// What is spoken with it, as far as is known.
    pub(crate) fn spoken(&self) -> Protocol {
        self.agreed.unwrap_or(self.config.protocol)
    }

    /// Its connections, but for those that take no more requests.
    pub(crate) fn serving(&self) -> u32 {
        self.connections.saturating_sub(self.draining)
    }

    /// Whether its connections serve somebody, or might.
    pub(super) fn is_at_work(&self) -> bool {
        self.active > 0 || !self.idle.is_empty()
    }

    /// Whether one of its connections is idle, or on its way without anybody who has ordered it.
    pub(super) fn has_unseated(&self) -> bool {
        self.serving() > self.seated
    }

    /// Whether it could not be dialled when that was tried last.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.failures > 0
    }

    /// Whether it may serve a request with these needs, whose head another has found to be of this size, as far as is known.
    pub(crate) fn serves(&self, needs: Needs, head: u32) -> bool {
        let is_of_the_kind = match (needs, self.spoken()) {
            // Of a head that nobody has turned down the size is not known.
            (Needs::Anything, _) => return true,
            (Needs::LargeHead, _) | (Needs::Tunnel | Needs::Http1, Protocol::Http1) => true,
            (Needs::Tunnel, Protocol::Http2) => self.tunnels != Some(false),
            (Needs::Http1, Protocol::Http2) => false,
        };
        is_of_the_kind && self.head_max.is_none_or(|max| head <= max)
    }

    /// Whether somebody has to say where it is before it can be dialled.
    pub(crate) fn is_unresolved(&self) -> bool {
        self.addresses.is_empty()
    }

    /// Where it was found to be. An empty answer changes nothing: the last known addresses may still be right. Says whether that is elsewhere than
    /// before.
    pub(crate) fn resolved(&mut self, addresses: Vec<Address>) -> bool {
        self.resolving = false;
        let differ = |one: &[Address], other: &[Address]| one.iter().any(|address| !other.contains(address));
        let news = !addresses.is_empty()
            && (differ(&addresses, &self.addresses) || differ(&self.addresses, &addresses));
        if !addresses.is_empty() {
            self.unreached.retain(|(address, _)| addresses.contains(address));
            self.addresses = addresses;
        }
        news
    }

    /// The address to dial; each in turn, but for those that were not reached a moment ago.
    pub(crate) fn take_address(&mut self, now: Instant) -> Option<Address> {
        self.forgive_addresses(now);
        let count = self.addresses.len();
        let mut in_turn = (0..count).map(|n| (self.next_address.wrapping_add(n)) % count);
        let next = in_turn.find(|&at| !self.is_unreached(&self.addresses[at]));
        let next = next.or((count > 0).then(|| self.next_address % count))?;
        self.next_address = (next + 1) % count;
        self.addresses.get(next).cloned()
    }

    fn is_unreached(&self, address: &Address) -> bool {
        self.unreached.iter().any(|(of, _)| of == address)
    }

    /// What was found out long ago says nothing of now.
    fn forgive_addresses(&mut self, now: Instant) {
        self.unreached.retain(|&(_, at)| now.saturating_since(at) < REST_MAX);
    }

    /// A dial of the address failed; `None`: the name has none. Says whether there is another, which has not been tried of late, since one was
    /// reached. Where the endpoint rests already it is one of those that were ordered before.
    pub(crate) fn has_another(&mut self, failed: Option<Address>, now: Instant) -> bool {
        if self.resting {
            return false;
        }
        self.forgive_addresses(now);
        if let Some(failed) = failed.filter(|failed| !self.is_unreached(failed)) {
            self.unreached.push((failed, now));
        }
        let another = self.addresses.iter().any(|address| !self.is_unreached(address));
        if !another {
            self.unreached.clear();
        }
        another
    }

    /// Where it can be dialled nobody is reached. Says how long the endpoint rests.
    pub(crate) fn failed(&mut self, now: Instant) -> Duration {
        (self.resting, self.rests_since) = (true, now);
        let rest = REST_MIN.saturating_mul(1 << self.failures.min(5)).min(REST_MAX);
        self.failures = self.failures.saturating_add(1);
        rest
    }

    /// A connection that stood has ended, in vain if nothing that it carried was processed and it did not stand long. Says whether so many have that it is no different
    /// from one that cannot be dialled.
    pub(crate) fn ended(&mut self, in_vain: bool) -> bool {
        self.vain = if in_vain { self.vain.saturating_add(1) } else { 0 };
        self.is_useless()
    }

    /// More of its connections have ended in vain than there are: of several behind one address a few may be about to leave.
    fn is_useless(&self) -> bool {
        self.vain > VAIN_MAX.max(self.connections)
    }

    /// A request's stream is gone.
    pub(crate) fn stream_over(&mut self) {
        self.active = self.active.saturating_sub(1);
    }

    /// A request was answered. Somebody is there: it rests for no longer than the first time, however many dials have failed beside that, and not so short
    /// that it is dialled with each answer. Says whether a rest ends.
    #[inline]
    pub(crate) fn served(&mut self, now: Instant) -> bool {
        self.vain = 0;
        self.is_in_doubt() && now.saturating_since(self.rests_since) >= REST_MIN && self.succeeded()
    }

    /// A connection of it takes no more requests. What the last one said that did is not for those which come.
    pub(super) fn forget_what_was_offered(&mut self) {
        if self.serving() == 0 {
            (self.tunnels, self.head_max) = (None, None);
        }
    }

    /// A backend said what it allows. That alone is no use where all end in vain. Says whether a rest ends.
    pub(crate) fn succeeded(&mut self) -> bool {
        if self.is_useless() {
            return false;
        }
        self.failures = 0;
        self.unreached.clear();
        core::mem::take(&mut self.resting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::ZERO;

    /// Each address is tried before the endpoint rests, however many dials go to the others meanwhile.
    #[test]
    fn addresses_that_were_not_reached_are_passed_over() {
        let named = Host::Name { name: "backend.example".into(), port: 80 };
        let address = |port: u16| Address::from(core::net::SocketAddr::from(([10, 0, 0, 1], port)));
        let mut endpoint = Endpoint::new(EndpointConfig { host: named, ..address(1).into() });
        assert_eq!(endpoint.take_address(NOW), None);
        endpoint.resolved((1..=3).map(address).collect());
        let taken: Vec<_> = (0..4).map(|_| endpoint.take_address(NOW).unwrap()).collect();
        assert_eq!(taken, [1, 2, 3, 1].map(address));
        // Two dials of the first fail: that is one address.
        assert!(endpoint.has_another(Some(address(1)), NOW) && endpoint.has_another(Some(address(1)), NOW));
        assert_eq!([(); 3].map(|()| endpoint.take_address(NOW).unwrap()), [2, 3, 2].map(address));
        assert!(endpoint.has_another(Some(address(3)), NOW));
        assert_eq!(endpoint.take_address(NOW), Some(address(2)));
        assert!(!endpoint.has_another(Some(address(2)), NOW), "all have been tried");
        // After the rest it begins anew. What the name has no more is forgotten.
        assert!(endpoint.has_another(Some(address(2)), NOW));
        endpoint.resolved(vec![address(2), address(4)]);
        assert_eq!([(); 2].map(|()| endpoint.take_address(NOW).unwrap()), [4, 4].map(address));
        // One that was not reached long ago is one that has not been tried.
        let later = NOW + REST_MAX;
        assert!(endpoint.has_another(Some(address(4)), later), "the other was not reached long ago");
        endpoint.succeeded();
        assert!([(); 2].map(|()| endpoint.take_address(NOW).unwrap()).contains(&address(2)));
        // A name without addresses has no other.
        assert!(!Endpoint::new(address(1).into()).has_another(Some(address(1)), NOW));
    }
}
