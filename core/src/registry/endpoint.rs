//! One endpoint of an upstream: its addresses, its connections in numbers, and what is known of its health.

use std::sync::Arc;

use crate::address::Address;
use crate::config::{EndpointConfig, Host, Protocol};
use crate::counters::EndpointCounters;
use crate::deadline::DeadlineKey;
use crate::key::ConnId;
use crate::request::{DeadlineTarget, Needs};
use crate::time::Duration;

/// How long an endpoint whose dial failed is left alone the first time. It doubles with each failure that follows.
const REST_MIN: Duration = Duration::from_secs(1);
/// How long an endpoint is left alone at most.
const REST_MAX: Duration = Duration::from_secs(30);
/// So many connections, one after the other, may end in vain before the endpoint is left alone as if it could not be dialled: one that is about to leave
/// says so to whoever still finds it, and its successor is dialled at once.
const VAIN_MAX: u32 = 3;

/// An endpoint.
#[derive(Clone, Debug)]
pub struct Endpoint {
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
    pub resolve_deadline: Option<DeadlineKey<DeadlineTarget>>,
    /// Its connections, from the order to connect to their end.
    pub connections: u32,
    /// Those of them that take no more requests.
    pub draining: u32,
    /// Connections that no engine owns, the one that was used last at the end.
    pub idle: Vec<ConnId>,
    /// Requests on its streams.
    pub active: u32,
    /// Its last dial failed a moment ago.
    pub resting: bool,
    /// When a rest ends: the last that was armed, whether or not it has been cut short since.
    pub rest_deadline: Option<DeadlineKey<DeadlineTarget>>,
    /// Dials that failed since one succeeded.
    failures: u32,
    /// Addresses that were dialled in vain, one after the other.
    unreached: usize,
    /// Connections that ended in vain since one did not.
    vain: u32,
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
    /// A new configuration has it no more.
    pub retired: bool,
    /// What happened here; of connections, what those did that are gone.
    pub counters: EndpointCounters,
}

impl Endpoint {
    /// An endpoint that nobody has dialled yet.
    pub fn new(config: EndpointConfig) -> Self {
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
            active: 0,
            resting: false,
            rest_deadline: None,
            failures: 0,
            unreached: 0,
            vain: 0,
            streams_max: None,
            barred: 0,
            agreed: None,
            offering: 0,
            tunnels: None,
            retired: false,
            counters: EndpointCounters::default(),
        }
    }

    /// What is spoken with it, as far as is known.
    pub fn spoken(&self) -> Protocol {
        self.agreed.unwrap_or(self.config.protocol)
    }

    /// Its connections, but for those that take no more requests.
    pub fn serving(&self) -> u32 {
        self.connections.saturating_sub(self.draining)
    }

    /// Whether it may serve a request with these needs, as far as is known.
    pub fn serves(&self, needs: Needs) -> bool {
        match (needs, self.spoken()) {
            (Needs::Anything, _) | (Needs::Tunnel | Needs::Http1, Protocol::Http1) => true,
            (Needs::Tunnel, Protocol::Http2) => self.tunnels != Some(false),
            (Needs::Http1, Protocol::Http2) => false,
        }
    }

    /// Whether somebody has to say where it is before it can be dialled.
    pub fn is_unresolved(&self) -> bool {
        self.addresses.is_empty()
    }

    /// Where it was found to be. An empty answer changes nothing: the last known addresses may still be right. Says whether that is elsewhere than
    /// before.
    pub fn resolved(&mut self, addresses: Vec<Address>) -> bool {
        self.resolving = false;
        let differ = |one: &[Address], other: &[Address]| one.iter().any(|address| !other.contains(address));
        let news = !addresses.is_empty()
            && (differ(&addresses, &self.addresses) || differ(&self.addresses, &addresses));
        if !addresses.is_empty() {
            self.addresses = addresses;
        }
        news
    }

    /// The address to dial; each in turn.
    pub fn take_address(&mut self) -> Option<Address> {
        let address = self.addresses.get(self.next_address % self.addresses.len().max(1)).cloned();
        self.next_address = self.next_address.wrapping_add(1);
        address
    }

    /// A dial failed. Says whether the name has another address, which has not been tried since one was reached.
    pub fn has_another(&mut self) -> bool {
        self.unreached += 1;
        let another = self.unreached < self.addresses.len();
        if !another {
            self.unreached = 0;
        }
        another
    }

    /// Where it can be dialled nobody is reached. Says how long the endpoint rests.
    pub fn failed(&mut self) -> Duration {
        self.resting = true;
        let rest = REST_MIN.saturating_mul(1 << self.failures.min(5)).min(REST_MAX);
        self.failures = self.failures.saturating_add(1);
        rest
    }

    /// A connection that stood has ended, in vain if it has carried nothing and did not stand long. Says whether so many have that it is no different
    /// from one that cannot be dialled.
    pub fn ended(&mut self, in_vain: bool) -> bool {
        self.vain = if in_vain { self.vain.saturating_add(1) } else { 0 };
        self.is_useless()
    }

    /// More of its connections have ended in vain than there are: of several behind one address a few may be about to leave.
    fn is_useless(&self) -> bool {
        self.vain > VAIN_MAX.max(self.connections)
    }

    /// A request's stream is gone.
    pub fn stream_over(&mut self) {
        self.active = self.active.saturating_sub(1);
    }

    /// A request was answered.
    pub fn served(&mut self) {
        self.vain = 0;
    }

    /// A connection of it takes no more requests. What the last one said that did is not for those which come.
    pub(super) fn forget_what_was_offered(&mut self) {
        if self.serving() == 0 {
            self.tunnels = None;
        }
    }

    /// A backend said what it allows. That alone is no use where all end in vain.
    pub fn succeeded(&mut self) {
        if !self.is_useless() {
            self.resting = false;
            self.failures = 0;
            self.unreached = 0;
        }
    }
}
