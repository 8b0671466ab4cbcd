//! What tells states apart outside the gateway: what can still happen, and what the monitors still go by. What is over, and was
//! judged when it was, makes no difference any more.

use std::fmt::{self, Write};

use super::link::{Life, Link};
use crate::ledger::{Attempt, Trace};
use crate::rng::{FNV_START, mix};
use crate::world::Nanos;

/// Text that is hashed as it is written.
pub(super) struct Digest(u64);

impl Digest {
    pub(super) fn new() -> Self {
        Self(FNV_START)
    }

    pub(super) fn value(&self) -> u64 {
        mix(self.0)
    }

    /// Whatever has a debug form.
    pub(super) fn take(&mut self, what: impl fmt::Debug) {
        // Writing to a hash does not fail.
        let _ = write!(self, "{what:?};");
    }

    /// A connection. Its key is in the gateway's own digest, and its plan is one of two.
    pub(super) fn link(&mut self, link: &Link) {
        let Link { conn: _, side, life, plan: _, peer, early, streams, opened, .. } = link;
        let Link { limit, limits_told, goaway, writable, paused, shut, finished, .. } = link;
        self.take((side, life));
        if *life != Life::Over {
            self.take((peer, early, streams, opened, limit, limits_told, goaway));
            self.take((writable, paused, shut, finished));
        }
    }

    /// A request that is not over. Moments count from now; that attempts have the same head was looked at as they began.
    pub(super) fn trace(&mut self, trace: &Trace, now: Nanos) {
        let Trace { front, arrived, nth, received, request_ended, client_gone, interim, head, .. } = trace;
        let Trace { sent, ended, reset, left_out, malformed, never, attempts, .. } = trace;
        self.take((
            front,
            now.wrapping_sub(*arrived),
            nth,
            received,
            request_ended,
            client_gone,
            interim,
            head,
        ));
        self.take((sent, ended, reset, left_out, malformed, never));
        attempts.iter().for_each(|attempt| self.attempt(attempt, now));
    }

    fn attempt(&mut self, attempt: &Attempt, now: Nanos) {
        let Attempt { link, stream, request_sent, request_ended, reset_by_gateway, interim, head, .. } =
            attempt;
        let Attempt { received, ended, reset, left_out, lost, never_left, malformed, declared, .. } = attempt;
        let refused = (attempt.told_late, attempt.refused_at.map(|at| now.wrapping_sub(at)));
        self.take((link, stream, request_sent, request_ended, reset_by_gateway, interim, head, received));
        self.take((ended, reset, left_out, lost, never_left, malformed, declared, refused));
    }
}

impl Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut words = text.as_bytes().chunks_exact(8);
        let mut hash = self.0;
        let mut take = |word: u64| hash = (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
        words.by_ref().for_each(|word| take(u64::from_le_bytes(word.try_into().unwrap_or_default())));
        let rest = words.remainder();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        take(u64::from_le_bytes(last) ^ (text.len() as u64) << 56);
        self.0 = hash;
        Ok(())
    }
}
