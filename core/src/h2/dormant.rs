//! A connection without streams, asleep: what either side must remember, in as little memory as it takes.
//!
//! A connection that is in use has room for what may come next: for streams, output, answers that wait, and for memories that make
//! encoding and decoding quick. Who has been idle for a while needs nothing of that but what the peer knows too.

use core::fmt;
use std::sync::Arc;

use crate::config::ConnectionConfig;
use crate::fields::{FieldSection, SharedLine, SharedLines};
use crate::h2::budget::{Misuse, QueuedFrames};
use crate::h2::connection::{Connection, Phase};
use crate::h2::priorities::Signals;
use crate::h2::recv_fields::KnownHeads;
use crate::h2::schedule::Schedule;
use crate::h2::settings::{LocalSettings, PeerSettings, Role};
use crate::h2::streams::Streams;
use crate::h2::traffic::Traffic;
use crate::hpack::{Decoder, Encoder, Packed, Packing};
use crate::outbox::OctetQueue;
use crate::parcel::Unpacker;
use crate::window::{RecvWindow, SendWindow};

/// A server's connection that sleeps. It has no streams and no output, and no end has been announced on it.
#[derive(Clone)]
pub struct Dormant {
    config: Arc<ConnectionConfig>,
    /// All else but the lines that are kept by reference.
    parcel: Box<[u8]>,
    references: Box<[Arc<SharedLine>]>,
}

/// What stands first in the parcel: what may be asked for while the connection sleeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outside {
    pub(crate) traffic: Traffic,
    pub(crate) recv_window: RecvWindow,
    pub(crate) send_window: SendWindow,
    pub(crate) initial_recv_window: u32,
    pub(crate) blocks_received: u64,
    pub(crate) peer: PeerSettings,
}

impl fmt::Debug for Dormant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.wake().fmt(f)
    }
}

impl Connection {
    /// The connection asleep. Lines of its tables that others have too are had in common with them. `None` where it cannot sleep now: a client's, one with
    /// streams or output, one that has not begun or is about to end.
    pub fn sleep(&self, shared: &mut SharedLines) -> Option<Dormant> {
        let Self { role, phase, peer_settings_seen, seed, open_block, goaway_sent, goaway_received, .. } =
            self;
        let Self { excluded, outbox, answers, resets, schedule, streams, .. } = self;
        let is_open = (*role, *phase, *peer_settings_seen) == (Role::Server, Phase::Open, true);
        let ends = goaway_sent.is_some() || goaway_received.is_some();
        let waits = open_block.is_some() || !outbox.is_empty() || answers.len() + resets.len() > 0;
        if !is_open || ends || waits || streams.len() > 0 || !schedule.is_empty() || !excluded.is_empty() {
            return None;
        }
        let mut packing = Packing::new(shared, *seed);
        self.pack(&mut packing)?;
        let references = packing.references.into();
        Some(Dormant { config: Arc::clone(&self.config), parcel: packing.parcel.finish(), references })
    }

    /// In the order of [`Dormant::wake`].
    fn pack(&self, packing: &mut Packing<'_>) -> Option<()> {
        let Self {
            // As they are, or there would be no sleep.
            role: _,
            config: _,
            phase: _,
            peer_settings_seen: _,
            open_block: _,
            goaway_sent: _,
            goaway_received: _,
            excluded: _,
            outbox: _,
            answers: _,
            resets: _,
            next_stream_id: _,
            // Found out again when they are needed.
            spare_fields: _,
            known_heads: _,
            local,
            peer,
            seed,
            decoder,
            encoder,
            recv_window,
            send_window,
            initial_recv_window,
            streams,
            schedule,
            signals,
            blocks_received,
            last_peer_stream_id,
            traffic,
            misuse,
            late_octets,
            late_points,
            strain,
            pings_out,
        } = self;
        let parcel = &mut packing.parcel;
        traffic.pack(parcel);
        recv_window.pack(parcel);
        send_window.pack(parcel);
        parcel.number(*initial_recv_window);
        parcel.number(*blocks_received);
        peer.pack(parcel);
        parcel.number(*seed);
        parcel.number(local.is_acknowledged());
        parcel.number(*last_peer_stream_id);
        streams.pack(*last_peer_stream_id, parcel)?;
        parcel.number(schedule.turns());
        signals.pack(parcel)?;
        misuse.pack(parcel);
        strain.pack(parcel);
        [*late_octets, *late_points, *pings_out].into_iter().for_each(|number| parcel.number(number));
        encoder.pack(packing);
        decoder.pack(packing);
        Some(())
    }
}

impl Dormant {
    /// The connection awake, as it was.
    pub fn wake(&self) -> Connection {
        let Self { config, parcel, references } = self;
        let mut parcel = Unpacker::new(parcel);
        let Outside { traffic, recv_window, send_window, initial_recv_window, blocks_received, peer } =
            Outside::unpack(&mut parcel);
        let seed = parcel.number();
        let local = LocalSettings::told_before(config, Role::Server, parcel.truth());
        let last_peer_stream_id = parcel.small();
        let streams = Streams::unpack(last_peer_stream_id, &mut parcel);
        let schedule = Schedule::of_nobody(parcel.small());
        let signals = Signals::unpack(&mut parcel);
        let (misuse, strain) = (Misuse::unpack(&mut parcel), Misuse::unpack(&mut parcel));
        let [late_octets, late_points, pings_out] = core::array::from_fn(|_| parcel.small());
        let mut packed = Packed::new(parcel, references, seed);
        let encoder = Encoder::unpack(&mut packed, config.encoder_table_size);
        let decoder = Decoder::unpack(&mut packed);
        Connection {
            role: Role::Server,
            config: Arc::clone(config),
            phase: Phase::Open,
            local,
            peer,
            peer_settings_seen: true,
            seed,
            decoder,
            encoder,
            recv_window,
            send_window,
            initial_recv_window,
            streams,
            schedule,
            signals,
            open_block: None,
            blocks_received,
            last_peer_stream_id,
            next_stream_id: 1,
            goaway_sent: None,
            goaway_received: None,
            excluded: Vec::new(),
            outbox: OctetQueue::default(),
            traffic,
            answers: QueuedFrames::default(),
            resets: QueuedFrames::default(),
            misuse,
            late_octets,
            late_points,
            strain,
            pings_out,
            spare_fields: FieldSection::new(),
            known_heads: KnownHeads::default(),
        }
    }

    /// What may be asked for without waking it.
    pub(crate) fn outside(&self) -> Outside {
        Outside::unpack(&mut Unpacker::new(&self.parcel))
    }

    /// What the peer may send on a stream that is opened now: as of a [connection](Connection::stream_recv_window).
    pub(crate) fn stream_recv_window(&self) -> u32 {
        self.outside().initial_recv_window.max(self.config.initial_window_size)
    }
}

impl Outside {
    /// As of a [connection](Connection::windows).
    pub(crate) const fn windows(&self) -> (i32, i32) {
        (self.send_window.get(), self.recv_window.available())
    }

    fn unpack(parcel: &mut Unpacker<'_>) -> Self {
        Self {
            traffic: Traffic::unpack(parcel),
            recv_window: RecvWindow::unpack(parcel),
            send_window: SendWindow::unpack(parcel),
            initial_recv_window: parcel.small(),
            blocks_received: parcel.number(),
            peer: PeerSettings::unpack(parcel),
        }
    }
}
