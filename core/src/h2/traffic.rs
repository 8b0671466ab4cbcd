//! What has passed on a connection, in numbers.

use crate::parcel::{Packer, Unpacker};

/// What has passed on one connection, or on many together. Sums, but for the last, which is the largest of all: it only rises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Octets received, in whole frames of all kinds.
    pub recv_octets: u64,
    /// Octets sent, in frames of all kinds.
    pub sent_octets: u64,
    /// Well-formed requests: received from a client, or sent to a backend.
    pub requests: u64,
    /// Streams that the peer reset.
    pub resets_recv: u64,
    /// Streams that we reset.
    pub resets_sent: u64,
    /// GOAWAY frames received.
    pub goaways_recv: u64,
    /// GOAWAY frames sent.
    pub goaways_sent: u64,
    /// Requests that were refused for being more than SETTINGS_MAX_CONCURRENT_STREAMS allows.
    pub over_limit: u64,
    /// Requests that were refused for being malformed, before there was a stream that could fail.
    pub malformed: u64,
    /// The most that a peer has cost beyond what it has brought, in points
    /// ([`misuse_max`](crate::config::ConnectionConfig::misuse_max)).
    pub misuse_peak: u32,
}

impl Traffic {
    pub(crate) fn pack(&self, parcel: &mut Packer) {
        let &Self {
            recv_octets,
            sent_octets,
            requests,
            resets_recv,
            resets_sent,
            goaways_recv,
            goaways_sent,
            over_limit,
            malformed,
            misuse_peak,
        } = self;
        let sums = [recv_octets, sent_octets, requests, resets_recv, resets_sent];
        sums.into_iter().for_each(|sum| parcel.number(sum));
        let sums = [goaways_recv, goaways_sent, over_limit, malformed];
        sums.into_iter().for_each(|sum| parcel.number(sum));
        parcel.number(misuse_peak);
    }

    pub(crate) fn unpack(parcel: &mut Unpacker<'_>) -> Self {
        Self {
            recv_octets: parcel.number(),
            sent_octets: parcel.number(),
            requests: parcel.number(),
            resets_recv: parcel.number(),
            resets_sent: parcel.number(),
            goaways_recv: parcel.number(),
            goaways_sent: parcel.number(),
            over_limit: parcel.number(),
            malformed: parcel.number(),
            misuse_peak: parcel.small(),
        }
    }

    /// Adds what has passed elsewhere.
    pub fn merge(&mut self, other: &Self) {
        self.recv_octets += other.recv_octets;
        self.sent_octets += other.sent_octets;
        self.requests += other.requests;
        self.resets_recv += other.resets_recv;
        self.resets_sent += other.resets_sent;
        self.goaways_recv += other.goaways_recv;
        self.goaways_sent += other.goaways_sent;
        self.over_limit += other.over_limit;
        self.malformed += other.malformed;
        self.misuse_peak = self.misuse_peak.max(other.misuse_peak);
    }
}
