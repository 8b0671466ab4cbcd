//! How model peers speak HTTP/2, and the network between.

use std::net::SocketAddr;

use super::faults::Faults;
use crate::cut::Segmentation;
use crate::net::PipePolicy;
use crate::refcodec::frame;
use crate::refcodec::hpack::Indexing;
use crate::rng::Choices;
use crate::scenario::{Backend, BackendFault, PeerPlan};
use crate::world::{MICRO, MILLI, Nanos, SECOND};

pub(super) fn network(seed: u64, choices: &mut Choices) -> PipePolicy {
    let stalls = super::weight(seed, "stalls") / 4;
    let jitter = super::weight(seed, "jitter");
    PipePolicy {
        capacity: *choices.pick(&[1 << 20, 1 << 20, 64 << 10, 5000, 300, 11]),
        delay: *choices.pick(&[50 * MICRO, 0, MICRO, 5 * MILLI]),
        jitter: if choices.chance(jitter) { *choices.pick(&[MILLI, 100 * MILLI]) } else { 0 },
        gap: *choices.pick(&[0, 0, 10 * MICRO]),
        segmentation: *choices.pick(&[
            Segmentation::Whole,
            Segmentation::Whole,
            Segmentation::FrameBoundary,
            Segmentation::Random(4000),
            Segmentation::Fixed(1460),
            Segmentation::Random(20),
            Segmentation::Fixed(1),
        ]),
        short_writes: *choices.pick(&[0, 0, 30]),
        stall: choices
            .chance(stalls)
            .then(|| (super::early_moment(choices), *choices.pick(&[MILLI, 50 * MILLI, SECOND]))),
        reset_after: None,
        fin_after: None,
    }
}

pub(super) fn peer(seed: u64, choices: &mut Choices, faults: &Faults) -> PeerPlan {
    let initial_window = *choices.pick(&[65_535, 65_535, 0, 1, 2, 100, 16_384, 1 << 20]);
    let least = if initial_window == 0 { 1 } else { 0 };
    let grant_percent = *choices.pick(&[50, 1, 100]);
    PeerPlan {
        initial_window,
        window_at_open: (*choices.pick(&[0, 0, 50, 70_000])).max(least),
        connection_extra: *choices.pick(&[0, 0, 1 << 20]),
        grant_percent: if faults.never_grants(choices) { 101 } else { grant_percent },
        max_frame: *choices.pick(&[16_384, 16_384, 16_385, 1 << 20]),
        header_table: *choices.pick(&[4096, 4096, 0, 1, 50, 300, 65_536]),
        max_concurrent: None,
        indexing: *choices.pick(&[
            Indexing::Incremental,
            Indexing::Incremental,
            Indexing::Without,
            Indexing::Never,
        ]),
        huffman: choices.chance(70),
        block_max: *choices.pick(&[16_384, 16_384, 60, 200]),
        read: *choices.pick(&[None, None, Some((1000, 100 * MICRO)), Some((70, 10 * MICRO))]),
        later_settings: later_settings(seed, choices),
        pings: *choices.pick(&[None, None, Some((3, MILLI))]),
    }
}

/// Settings that change while streams are open; the last ones leave room to go on.
fn later_settings(seed: u64, choices: &mut Choices) -> Vec<(Nanos, u16, u32)> {
    let mut later = Vec::new();
    if choices.chance(super::weight(seed, "later windows")) {
        let mut at = super::early_moment(choices);
        for _ in 0..choices.between(1, 3) {
            later.push((at, frame::INITIAL_WINDOW_SIZE, *choices.pick(&[10, 1000, 65_535, 200_000])));
            at += choices.between(MICRO, 2 * MILLI);
        }
    }
    if choices.chance(super::weight(seed, "later tables")) {
        let at = super::early_moment(choices);
        if choices.chance(50) {
            // Down and up in one frame: two size updates are due (RFC 7541 section 4.2).
            later.push((at, frame::HEADER_TABLE_SIZE, *choices.pick(&[0, 40])));
        }
        later.push((at, frame::HEADER_TABLE_SIZE, *choices.pick(&[0, 40, 4096])));
    }
    if choices.chance(10) {
        later.push((super::early_moment(choices), frame::MAX_FRAME_SIZE, *choices.pick(&[16_384, 20_000])));
    }
    later.sort_by_key(|(at, ..)| *at);
    later
}

pub(super) fn backend(seed: u64, n: u8, address: SocketAddr, faults: &Faults) -> Backend {
    let mut choices = Choices::new(seed, format!("backend{n}"));
    let mut backend = Backend::new(n);
    backend.address = address;
    backend.connect_delay = *choices.pick(&[200 * MICRO, 0, 20 * MILLI]);
    backend.peer = peer(seed, &mut choices, faults);
    backend.peer.max_concurrent = *choices.pick(&[Some(100), Some(100), None, Some(1), Some(2), Some(0)]);
    let later = &mut backend.peer.later_settings;
    if choices.chance(20) {
        later.push((
            super::early_moment(&mut choices),
            frame::MAX_CONCURRENT_STREAMS,
            *choices.pick(&[0, 1, 3]),
        ));
        later.push((60 * MILLI, frame::MAX_CONCURRENT_STREAMS, *choices.pick(&[1, 3, 100])));
    } else if backend.peer.max_concurrent == Some(0) {
        later.push((
            choices.between(MILLI, 30 * MILLI),
            frame::MAX_CONCURRENT_STREAMS,
            *choices.pick(&[1, 100]),
        ));
    }
    later.sort_by_key(|(at, ..)| *at);
    backend.network = [network(seed, &mut choices), network(seed, &mut choices)];
    backend.fault = faults.of_backend(&mut choices);
    if let Some((_, BackendFault::Mischief { what, .. })) = backend.fault
        && what.is_heavy()
    {
        backend.network = [PipePolicy::default(); 2];
    }
    backend
}
