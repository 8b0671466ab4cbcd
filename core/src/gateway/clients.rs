//! Who may come: connections of one client, and room where the table of clients is full.

use core::net::{IpAddr, Ipv6Addr};
use std::collections::BTreeMap;

use crate::address::Address;
use crate::counters::Limit;
use crate::gateway::conn::{Conn, Life, Side};
use crate::gateway::crowd::Crowd;
use crate::gateway::due::{DeadlineTarget, Kind};
use crate::gateway::{ConnId, Gateway};
use crate::record::Cause;
use crate::time::Instant;

/// How many deadlines are looked at for one idle client: most belong to clients that are.
const LOOKED_AT: usize = 16;

/// How many idle clients are sent away in one step where the table has become smaller than what is in it.
const SHED_AT_ONCE: usize = 64;
/// How many more with each client that has gone meanwhile: more than one, so that it takes few round trips.
const SHED_WITH_EACH: usize = 2;

/// Connections of a client, and what large heads of its requests hold.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    connections: u32,
    /// In KiB, each head rounded up, so that it is no larger than the other.
    heads: u32,
}

/// What clients have. Of IPv6 a network of 64 bits is one client: that is what a single customer has.
#[derive(Clone, Debug, Default)]
pub(super) struct Clients {
    of: BTreeMap<IpAddr, Held>,
    /// What they have of what is scarce.
    pub(super) crowd: Crowd,
    /// Connections that take their leave to make room.
    shed: usize,
    /// Some are being sent away.
    makes_room: bool,
    /// There are more than there is room for since it became less, until those are gone.
    too_many: bool,
}

impl Clients {
    /// One more connection of this client. Says how many it has now; those of Unix sockets have no address to count by.
    fn came(&mut self, peer: &Address) -> u32 {
        let Some(client) = client(peer) else { return 0 };
        let Held { connections, .. } = self.of.entry(client).or_default();
        *connections = connections.saturating_add(1);
        *connections
    }

    /// How many the client has that has most.
    #[cfg(feature = "observe")]
    pub(super) fn most(&self) -> u32 {
        self.of.values().map(|held| held.connections).max().unwrap_or(0)
    }

    /// Its requests are over.
    fn left(&mut self, peer: &Address) {
        let Some(client) = client(peer) else { return };
        let left = self.of.get_mut(&client).map_or(0, |held| {
            held.connections = held.connections.saturating_sub(1);
            held.connections
        });
        if left == 0 {
            self.of.remove(&client);
        }
    }

    /// What large heads of the client's requests hold, in octets.
    pub(super) fn heads_of(&self, peer: &Address) -> u64 {
        client(peer).and_then(|client| self.of.get(&client)).map_or(0, |held| u64::from(held.heads) << 10)
    }

    /// A request of the client holds so many octets by a large head, in place of so many.
    pub(super) fn hold_heads(&mut self, peer: &Address, before: u32, octets: u32) {
        if let Some(held) = client(peer).and_then(|client| self.of.get_mut(&client)) {
            held.heads =
                held.heads.saturating_sub(before.div_ceil(1 << 10)).saturating_add(octets.div_ceil(1 << 10));
        }
    }
}

/// What counts as one client. Those of Unix sockets have no address to count by.
pub(super) fn client(peer: &Address) -> Option<IpAddr> {
    const NETWORK: u128 = !0 << 64;
    match peer {
        Address::Inet(address) => Some(match address.ip() {
            ip @ IpAddr::V4(_) => ip,
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & NETWORK).into(),
        }),
        Address::Unix(_) => None,
    }
}

impl Gateway {
    /// One more client's connection is there; `None`: whose is not known yet. Says whether it may stay.
    pub(super) fn admit(&mut self, peer: Option<&Address>, now: Instant) -> bool {
        self.fronts += 1;
        let of_client = peer.map_or(0, |peer| self.clients.came(peer));
        if self.fronts > self.config.max_fronts as usize {
            self.account.hit(Limit::Fronts);
            return false;
        }
        if !self.is_within_share(of_client) {
            return false;
        }
        if self.is_nearly_full() {
            self.shed_idle(LOOKED_AT, now);
        }
        true
    }

    /// It is known now whose an admitted connection is. Says whether it may stay.
    pub(super) fn count_client(&mut self, peer: &Address) -> bool {
        let of_client = self.clients.came(peer);
        self.is_within_share(of_client)
    }

    fn is_within_share(&mut self, of_client: u32) -> bool {
        let is_within = of_client <= self.config.max_fronts_per_client;
        if !is_within {
            self.account.hit(Limit::FrontsPerClient);
        }
        is_within
    }

    /// A client's connection is gone; `None`: whose was never known.
    pub(super) fn dismiss(&mut self, peer: Option<&Address>, shed: bool) {
        self.fronts -= 1;
        self.clients.shed -= usize::from(shed);
        if let Some(peer) = peer {
            self.clients.left(peer);
        }
        self.pace_accepting();
    }

    /// All but a sixteenth of the table of clients is taken: what is left is for those who come while idle ones take their leave.
    fn is_nearly_full(&self) -> bool {
        let max = self.config.max_fronts as usize;
        self.fronts - self.clients.shed >= max - max / 16
    }

    /// There is room for fewer clients than before: of those that are beyond it the idle ones make room, the first of them at once.
    pub(super) fn shed_surplus(&mut self, now: Instant) {
        self.clients.too_many = self.fronts - self.clients.shed > self.config.max_fronts as usize;
        self.make_room(SHED_AT_ONCE, self.fronts, now);
    }

    /// A client has gone: others that are beyond what there is room for follow it.
    pub(super) fn shed_on(&mut self, now: Instant) {
        self.make_room(SHED_WITH_EACH, LOOKED_AT, now);
    }

    fn make_room(&mut self, at_once: usize, looked_at: usize, now: Instant) {
        self.clients.too_many &= self.is_overfull();
        // In a drain all leave. Who is sent away may be gone at once.
        if self.drain.is_some()
            || !self.clients.too_many
            || core::mem::replace(&mut self.clients.makes_room, true)
        {
            return;
        }
        for _ in 0..at_once {
            if !self.is_overfull() || !self.shed_idle(looked_at, now) {
                break;
            }
        }
        self.clients.makes_room = false;
    }

    /// The table is full, or more is taken of it than where idle clients make room for those who come.
    fn is_overfull(&self) -> bool {
        let max = self.config.max_fronts as usize;
        self.fronts - self.clients.shed > (max - max / 16).min(max - 1)
    }

    /// Who has been idle longest makes room for the next one. Says whether somebody does.
    fn shed_idle(&mut self, looked_at: usize, now: Instant) -> bool {
        for _ in 0..looked_at {
            let first = self.deadlines.pop_first(Kind::FrontIdle as u8);
            let Some(DeadlineTarget::Conn(id)) = first else { return false };
            let Some(entry) = self.conns.get_mut(id) else { continue };
            entry.deadline = None;
            if entry.session.open_streams() > 0 {
                // Streams that came since: the last of them arms the deadline anew.
            } else if entry.is_asking() {
                self.arm_idle(id, now);
            } else {
                self.shed(id, now);
                return true;
            }
        }
        false
    }

    /// A client has become idle that was served. While listeners rest somebody may be waiting for its place. Says whether it goes.
    pub(super) fn shed_if_full(&mut self, id: ConnId, now: Instant) -> bool {
        let is_full = self.fronts - self.clients.shed >= self.config.max_fronts as usize;
        let stays = |entry: &Conn| !entry.is_front() || entry.is_asking() || entry.life != Life::Open;
        if !is_full || self.conns.get(id).is_none_or(stays) {
            return false;
        }
        self.shed(id, now);
        true
    }

    fn shed(&mut self, id: ConnId, now: Instant) {
        if let Some(Side::Front { shed, .. }) = self.conns.get_mut(id).map(|entry| &mut entry.side)
            && !core::mem::replace(shed, true)
        {
            self.clients.shed += 1;
            self.account.hit(Limit::Fronts);
        }
        self.close_gracefully(id, Cause::ConnectionTerminated, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_64_bits_is_one_client() {
        let mut clients = Clients::default();
        let address = |text: &str| Address::from(text.parse::<core::net::SocketAddr>().unwrap());
        assert_eq!(clients.came(&address("[2001:db8::1]:1")), 1);
        assert_eq!(clients.came(&address("[2001:db8::ffff:1]:2")), 2);
        assert_eq!(clients.came(&address("[2001:db8:0:1::1]:1")), 1);
        assert_eq!(clients.came(&address("192.0.2.1:1")), 1);
        assert_eq!(clients.came(&address("192.0.2.2:1")), 1);
        assert_eq!(clients.came(&Address::Unix("/run/x".into())), 0);
        clients.left(&address("[2001:db8::2]:9"));
        assert_eq!(clients.came(&address("[2001:db8::1]:3")), 2);
        for text in
            ["[2001:db8::1]:3", "[2001:db8::1]:3", "[2001:db8:0:1::1]:1", "192.0.2.1:1", "192.0.2.2:1"]
        {
            clients.left(&address(text));
        }
        assert!(clients.of.is_empty(), "nothing stays of who has gone");
    }
}
