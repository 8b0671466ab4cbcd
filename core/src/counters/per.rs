//! One counter for each of a few kinds.

use crate::error::ErrorCode;
use crate::record::{Cause, Doing};

/// A counter for each cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerCause([u64; Cause::ALL.len()]);

impl Default for PerCause {
    fn default() -> Self {
        Self([0; Cause::ALL.len()])
    }
}

impl PerCause {
    /// Counts one.
    pub fn add(&mut self, cause: Cause) {
        self.0[cause.index()] += 1;
    }

    /// How often it was this one.
    pub fn of(&self, cause: Cause) -> u64 {
        self.0[cause.index()]
    }

    /// All of them, those at 0 included. Resets of backends are one kind, whatever their code.
    pub fn iter(&self) -> impl Iterator<Item = (Cause, u64)> {
        Cause::ALL.iter().copied().zip(self.0)
    }

    /// How often it was any.
    pub fn sum(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Adds what was counted elsewhere.
    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(counter, other)| *counter += other);
    }
}

/// The codes that have names, which are those from 0 on (RFC 9113 section 7).
const CODES: usize = 14;

/// A counter for each error code; all that have no name are one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PerCode([u64; CODES + 1]);

impl PerCode {
    /// Counts one.
    pub fn add(&mut self, code: ErrorCode) {
        self.0[(code.0 as usize).min(CODES)] += 1;
    }

    /// All of them by their names, those at 0 included.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        (0..).map(|code| ErrorCode(code).name().unwrap_or("unknown")).zip(self.0)
    }

    /// Adds what was counted elsewhere.
    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(counter, other)| *counter += other);
    }
}

/// A counter for each class of statuses; the first is for messages that had none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PerStatus(pub [u64; 10]);

impl PerStatus {
    /// Counts one.
    pub fn add(&mut self, status: u16) {
        self.0[usize::from(status / 100).min(9)] += 1;
    }

    /// How many were counted.
    pub fn sum(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Adds what was counted elsewhere.
    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(counter, other)| *counter += other);
    }
}

/// A counter for each cause of an error, in the order of its `ALL`.
#[derive(Clone, Debug, PartialEq)]
pub struct PerError<const N: usize>(pub [u64; N]);

impl<const N: usize> Default for PerError<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> PerError<N> {
    pub(super) fn add(&mut self, index: usize) {
        if let Some(counter) = self.0.get_mut(index) {
            *counter += 1;
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(counter, other)| *counter += other);
    }
}

/// Limits of the gateway that somebody has run into. Those of one connection are
/// [errors](crate::error::ConnectionError) with names of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit {
    /// `max_fronts`: a client was turned away, or one that was idle made room.
    Fronts,
    /// `max_fronts_per_client`: a client that has so many was turned away.
    FrontsPerClient,
    /// `queue_max`: a request was answered 503.
    Queue,
    /// `ledger_octets`: a request stayed frozen for want of memory.
    Ledger,
    /// `ledger_front_octets`, or all of the ledger that one client may have: its requests wait, for 503 if that takes too long.
    Share,
    /// `upload_ledger_octets`: a request's content has no memory of its own.
    UploadLedger,
    /// `head_ledger_octets`: a request was answered 503, or trailers found no memory.
    Heads,
    /// `max_header_list_size`: a request was answered 431.
    RequestHead,
}

impl Limit {
    /// Every limit.
    pub const ALL: [Self; 8] = [
        Self::Fronts,
        Self::FrontsPerClient,
        Self::Queue,
        Self::Ledger,
        Self::Share,
        Self::UploadLedger,
        Self::Heads,
        Self::RequestHead,
    ];

    /// Whose doing it is that it is hit. One client with too many connections may be a balancer in front, and then everybody is hit: it counts as the
    /// gateway's.
    pub const fn doing(self) -> Doing {
        match self {
            Self::RequestHead => Doing::Client,
            Self::Fronts
            | Self::FrontsPerClient
            | Self::Queue
            | Self::Ledger
            | Self::Share
            | Self::UploadLedger
            | Self::Heads => Doing::Gateway,
        }
    }

    /// Its name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fronts => "max_fronts",
            Self::FrontsPerClient => "max_fronts_per_client",
            Self::Queue => "queue_max",
            Self::Ledger => "ledger_octets",
            Self::Share => "ledger_front_octets",
            Self::UploadLedger => "upload_ledger_octets",
            Self::Heads => "head_ledger_octets",
            Self::RequestHead => "max_header_list_size",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_a_class() {
        let mut statuses = PerStatus::default();
        [0, 99, 100, 200, 999, u16::MAX].into_iter().for_each(|status| statuses.add(status));
        assert_eq!(statuses.0, [2, 1, 1, 0, 0, 0, 0, 0, 0, 2]);
    }

    #[test]
    fn every_code_with_a_name_is_counted_by_it() {
        let mut codes = PerCode::default();
        (0..20).chain([u32::MAX]).for_each(|code| codes.add(ErrorCode(code)));
        let counted: Vec<_> = codes.iter().collect();
        assert_eq!((counted[11], counted[CODES]), (("ENHANCE_YOUR_CALM", 1), ("unknown", 7)));
        assert!(counted[..CODES].iter().all(|&(name, n)| name != "unknown" && n == 1));
        assert_eq!(ErrorCode(CODES as u32).name(), None);
    }

    #[test]
    fn limits_are_counted_where_they_stand() {
        (0..).zip(Limit::ALL).for_each(|(index, limit)| assert_eq!(limit as usize, index));
    }
}
