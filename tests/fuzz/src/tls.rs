//! A hostile peer at one connection with TLS, of either side: a real one (rustls with buffers of its own) shakes hands and speaks, a header of the
//! PROXY protocol before it where that is wanted, while what it says is cut, changed, doubled, left out, or has octets of chance between it.
//!
//! Nothing panics or loops. Whatever came on the wire, what is delivered is a beginning of what the peer has said, and nothing is delivered before the
//! handshake is told, which is told once. The end is told where the peer has said it. What counts as left is what has left. Where nobody
//! meddles, both sides get all that the other has said.
//!
//! Keys and nonces are of chance, as they are by nature; signatures are of a kind whose length is not, so that the same input cuts at the same place.

use std::io::{Read as _, Write as _};

use rustls::Connection;
use shuntyard_core::time::{Duration, Instant};
use shuntyard_core::tls::TlsFailure;
use shuntyard_transport::{
    CONNECTION_OCTETS, INTRODUCTION_OCTETS, NotIntroduced, Plain, Spare, Transport, introduction,
};

use crate::octets::Octets;

mod parties;

use parties::Parties;

/// Steps of a script, at most.
const STEPS: usize = 200;
/// Rounds until nobody has anything to say; each side speaks in each.
const ROUNDS: usize = 2000;
/// Plaintext that is said in a step, at most.
const SAID_MAX: usize = 40_000;

/// The whole check: an octet for the parties, one for what stands in front, then a script.
pub fn run(data: &[u8]) {
    play(data);
}

fn play(data: &[u8]) -> Wire {
    let mut octets = Octets(data);
    let (kind, before) = (octets.octet(), octets.octet());
    let mut wire = Wire::new(Parties::new(kind), before, &mut octets);
    for _ in 0..STEPS {
        if octets.is_empty() {
            break;
        }
        wire.step(&mut octets);
        wire.holds();
    }
    wire.run_out();
    wire.judge();
    wire
}

/// What a side has said, octet by octet: where something is missing or twice, it shows.
fn said(from: usize, n: usize) -> Vec<u8> {
    (from..from + n).map(|at| (at ^ at >> 8 ^ at >> 13) as u8).collect()
}

/// Our end, theirs, and what is between.
struct Wire {
    parties: Parties,
    transport: Transport,
    spare: Spare,
    now: Instant,
    /// A header is expected in front, of which so much has come.
    introducing: Option<Vec<u8>>,
    /// How much of the peer's plaintext is taken at a time.
    room: usize,
    heard: usize,
    told: bool,
    ended: bool,
    failure: Option<TlsFailure>,
    /// Plaintext of ours that was sealed, and that counts as left.
    sealed: usize,
    left: usize,
    closed: bool,
    peer: Connection,
    to_us: Vec<u8>,
    peer_said: usize,
    peer_heard: usize,
    peer_closed: bool,
    peer_failed: bool,
    /// How often the peer was to take new keys.
    renewed: u32,
    /// What is between is no longer what the peer has said.
    meddled: bool,
}

impl Wire {
    fn new(parties: Parties, before: u8, octets: &mut Octets<'_>) -> Self {
        let (transport, peer) = parties.meet();
        let mut wire = Self {
            transport,
            peer,
            parties,
            spare: Spare::default(),
            now: Instant::ZERO,
            introducing: None,
            room: 32 << 10,
            heard: 0,
            told: false,
            ended: false,
            failure: None,
            sealed: 0,
            left: 0,
            closed: false,
            to_us: Vec::new(),
            peer_said: 0,
            peer_heard: 0,
            peer_closed: false,
            peer_failed: false,
            renewed: 0,
            meddled: false,
        };
        if wire.parties.we_serve && !before.is_multiple_of(4) {
            wire.introducing = Some(Vec::new());
            match before % 4 {
                1 => wire.to_us.extend_from_slice(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"),
                2 => wire.to_us.extend_from_slice(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"),
                _ => {
                    wire.to_us.extend_from_slice(octets.run(INTRODUCTION_OCTETS + 100));
                    wire.meddled = true;
                }
            }
        }
        wire
    }

    fn step(&mut self, octets: &mut Octets<'_>) {
        self.fetch();
        match octets.octet() % 16 {
            0 => self.carry_to_us(octets.number() as usize),
            1 => self.carry_to_us(usize::MAX),
            2 => self.carry_to_peer(octets.number() as usize),
            3 => self.carry_to_peer(usize::MAX),
            4 => self.peer_says(octets.number() as usize % SAID_MAX),
            5 => self.we_say(octets.number() as usize % SAID_MAX, octets.octet()),
            6 => self.change(octets.number() as usize, octets.octet()),
            7 => self.put(octets.number() as usize, octets.run(4096)),
            8 => self.leave_out(octets.number() as usize, octets.number() as usize),
            9 => self.double(octets.number() as usize, octets.number() as usize),
            10 => self.close(),
            11 => self.peer_closes(),
            12 => self.room = 1 + octets.number() as usize % (40 << 10),
            13 => self.transport.rest(&mut self.spare),
            14 => self.new_keys(octets.octet()),
            _ => self.forge(octets.octet(), octets.run(300)),
        }
    }

    /// The peer's octets, behind those that wait.
    fn fetch(&mut self) {
        while self.peer.wants_write() {
            if self.peer.write_tls(&mut self.to_us).expect("memory takes everything") == 0 {
                break;
            }
        }
    }

    /// The next octets of the wire reach us.
    fn carry_to_us(&mut self, most: usize) {
        let n = most.min(self.to_us.len());
        let octets: Vec<u8> = self.to_us.drain(..n).collect();
        let octets = self.introduced(octets);
        let mut rest = &octets[..];
        // Nobody reads behind the end.
        while !rest.is_empty() && self.failure.is_none() && !self.ended {
            let Some(room) = self.transport.recv_buf(&mut self.spare) else {
                panic!("no room although all was taken");
            };
            let n = rest.len().min(room.len());
            room[..n].copy_from_slice(&rest[..n]);
            self.transport.received(n);
            rest = &rest[n..];
            self.take();
        }
        self.transport.rest(&mut self.spare);
    }

    /// What stands behind the header, once that is there.
    fn introduced(&mut self, octets: Vec<u8>) -> Vec<u8> {
        let Some(mut before) = self.introducing.take() else { return octets };
        before.extend(octets);
        match introduction(&before) {
            Ok(None) => {
                assert!(before.len() < INTRODUCTION_OCTETS);
                self.introducing = Some(before);
                Vec::new()
            }
            Ok(Some(found)) => before.split_off(found.octets),
            Err(reason) => {
                assert!(self.meddled && reason != NotIntroduced::Interrupted, "a sound header: {reason}");
                // The adapter closes the connection: what comes behind that is nobody's.
                self.failure = Some(TlsFailure::NotTls);
                Vec::new()
            }
        }
    }

    fn take(&mut self) {
        let mut buffer = vec![0; self.room];
        while self.transport.has_input() {
            let room = if self.transport.may_fill() { &mut buffer[..] } else { &mut [] };
            match self.transport.poll_plain(room) {
                Plain::Octets(n) => {
                    assert!(self.told && n > 0, "plaintext before the handshake was told");
                    assert!(self.failure.is_none() && !self.ended);
                    assert!(buffer[..n] == said(self.heard, n), "what the peer has not said was delivered");
                    self.heard += n;
                }
                Plain::Connected(found) => {
                    assert!(!std::mem::replace(&mut self.told, true), "told twice");
                    let tls = found.tls.expect("facts");
                    assert!(self.parties.we_serve || tls.verified, "a backend that was not verified");
                }
                Plain::Starved => break,
                Plain::Ended => {
                    assert!(self.peer_closed && self.told, "an end that nobody has said");
                    self.ended = true;
                    break;
                }
                Plain::Failed(failure) => {
                    assert_eq!(self.transport.failure(), Some(failure));
                    self.failure = Some(failure);
                    break;
                }
            }
        }
        assert!(self.heard <= self.peer_said, "more than was said");
    }

    /// The next octets of ours reach the peer.
    fn carry_to_peer(&mut self, most: usize) {
        let n = most.min(self.transport.pending().len());
        let octets = self.transport.pending()[..n].to_vec();
        let left = self.transport.left(n);
        self.left += left;
        assert!(self.left <= self.sealed, "more has left than was said");
        let mut rest = &octets[..];
        while !rest.is_empty() && !self.peer_failed {
            if self.peer.read_tls(&mut rest).expect("its buffers are emptied") == 0 {
                break;
            }
            self.peer_failed = self.peer.process_new_packets().is_err();
            self.peer_listens();
        }
    }

    fn peer_listens(&mut self) {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = self.peer.reader().read(&mut buffer) {
            assert!(buffer[..n] == said(self.peer_heard, n), "the peer hears what we have not said");
            self.peer_heard += n;
        }
        assert!(self.peer_heard <= self.sealed);
    }

    fn peer_says(&mut self, n: usize) {
        if !self.peer_closed {
            self.peer_said += self.peer.writer().write(&said(self.peer_said, n)).unwrap_or(0);
        }
    }

    fn we_say(&mut self, n: usize, pause: u8) {
        self.now = self.now + Duration::from_millis(u64::from(pause) * 20);
        if !self.transport.pending().is_empty() {
            return;
        }
        let was_open = self.transport.is_open() && !self.closed;
        self.transport.seal(&said(self.sealed, n), &mut self.spare, self.now);
        let is_pending = !self.transport.pending().is_empty();
        if was_open {
            // All of it was sealed, or what stands in front of what failed.
            self.sealed += n;
            assert!(n == 0 || is_pending || !self.transport.is_open(), "nothing came of what was said");
        } else {
            assert!(!is_pending, "said although it is not open");
        }
        self.transport.rest(&mut self.spare);
    }

    fn close(&mut self) {
        self.closed |= self.transport.is_open();
        self.transport.close();
        self.transport.rest(&mut self.spare);
    }

    fn peer_closes(&mut self) {
        // One that ends before the handshake is over breaks it off.
        self.meddled |= self.peer.is_handshaking();
        self.peer.send_close_notify();
        self.peer_closed = true;
    }

    fn new_keys(&mut self, times: u8) {
        // More than a few are a flood, which is refused.
        self.renewed += u32::from(times % 64);
        self.meddled |= self.renewed > 8;
        for _ in 0..times % 64 {
            // TLS 1.2 has none, and before the handshake is done nobody has.
            if self.peer.refresh_traffic_keys().is_err() {
                break;
            }
            self.fetch();
        }
    }
}

/// Who is between meddles.
impl Wire {
    fn change(&mut self, at: usize, by: u8) {
        let len = self.to_us.len();
        if let Some(octet) = self.to_us.get_mut(at % len.max(1)) {
            *octet ^= by;
            self.meddled |= by > 0;
        }
    }

    fn put(&mut self, at: usize, octets: &[u8]) {
        let at = at % (self.to_us.len() + 1);
        self.to_us.splice(at..at, octets.iter().copied());
        self.meddled |= !octets.is_empty();
    }

    fn leave_out(&mut self, at: usize, n: usize) {
        let at = at % (self.to_us.len() + 1);
        let n = n.min(self.to_us.len() - at);
        self.to_us.drain(at..at + n);
        self.meddled |= n > 0;
    }

    fn double(&mut self, at: usize, n: usize) {
        let at = at % (self.to_us.len() + 1);
        let n = n.min(self.to_us.len() - at).min(20_000);
        let again = self.to_us[at..at + n].to_vec();
        self.to_us.splice(at..at, again);
        self.meddled |= n > 0;
    }

    /// A record of any kind with this in it, as if the peer had sent it.
    fn forge(&mut self, kind: u8, content: &[u8]) {
        let length = (content.len() as u16).to_be_bytes();
        self.to_us.extend([20 + kind % 5, 3, 3, length[0], length[1]]);
        self.to_us.extend_from_slice(content);
        self.meddled = true;
    }
}

/// What must hold.
impl Wire {
    /// At any time.
    fn holds(&self) {
        assert!(self.transport.pending().len() as u64 <= CONNECTION_OCTETS, "output without end");
        if self.failure.is_some() || !self.told {
            assert!(!self.transport.is_open() || self.introducing.is_some() || self.failure.is_some());
        }
    }

    /// All that waits arrives.
    fn run_out(&mut self) {
        for _ in 0..ROUNDS {
            self.fetch();
            if self.to_us.is_empty() && self.transport.pending().is_empty() {
                return;
            }
            self.carry_to_us(usize::MAX);
            self.carry_to_peer(usize::MAX);
        }
        panic!("they never come to an end");
    }

    /// In the end.
    fn judge(&self) {
        let Self { failure, heard, peer_said, told, ended, .. } = self;
        if self.meddled || self.introducing.is_some() {
            return;
        }
        if let Some(expected) = self.parties.refused {
            assert_eq!(*failure, Some(expected), "what the parties do not agree on");
            assert!(!told && *heard == 0);
            return;
        }
        assert_eq!(*failure, None, "nobody has meddled");
        assert!(*told && !self.peer_failed, "the handshake is done");
        assert_eq!(heard, peer_said, "all that was said arrives");
        assert_eq!(*ended, self.peer_closed, "and its end");
        assert_eq!((self.left, self.peer_heard), (self.sealed, self.sealed), "both ways");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A conversation in pieces, behind a line of a balancer where there is one: `more` is put before its end.
    fn script(kind: u8, more: &[u8]) -> Vec<u8> {
        let before = [kind, 1, 0, 9, 0, 190, 3, 1, 3, 1, 3, 4, 99, 5, 150, 9, 2, 30, 3, 1];
        [&before[..], more, &[1, 3, 11, 10]].concat()
    }

    #[test]
    fn scripts_go_through_the_handshake_and_behind_it() {
        for kind in 0..64 {
            let wire = play(&script(kind, &[]));
            let agree = wire.parties.refused.is_none();
            assert!(wire.told == agree, "kind {kind}");
            assert_eq!(
                (wire.heard, wire.peer_heard, wire.ended),
                if agree { (99, 150, true) } else { (0, 0, false) }
            );
        }
    }

    #[test]
    fn whoever_meddles_is_found() {
        for kind in [0, 1, 2, 3] {
            // Something more is said, and the last octet of its record is changed.
            let wire = play(&script(kind, &[4, 20, 6, 41, 1]));
            assert!(
                wire.meddled && wire.failure == Some(TlsFailure::Decrypt),
                "kind {kind}: {:?}",
                wire.failure
            );
            assert_eq!(wire.heard, 99);
            // A record in clear behind the handshake.
            let wire = play(&script(kind, &[15, 3, 2, 65, 66]));
            assert!(wire.failure.is_some(), "kind {kind}");
        }
    }

    /// The checks are not blind.
    #[test]
    #[should_panic(expected = "what the peer has not said was delivered")]
    fn a_record_that_nobody_has_said_would_be_noticed() {
        let mut wire = play(&[0, 0, 0, 200, 0, 1, 3, 1, 3, 1, 4, 9, 1]);
        assert_eq!(wire.heard, 9);
        wire.heard -= 1;
        wire.peer_says(5);
        wire.fetch();
        wire.carry_to_us(usize::MAX);
    }
}
