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
            messages_end: _,
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
            window_given,
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
        [*late_octets, *late_points, *pings_out, *window_given]
            .into_iter()
            .for_each(|number| parcel.number(number));
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
        let [late_octets, late_points, pings_out, window_given] = core::array::from_fn(|_| parcel.small());
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
            window_given,
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
            messages_end: 0,
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

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::error::ErrorCode;
    use crate::h2::client::Client;
    use crate::h2::{Event, Input};

    /// What the connection has heard by all that the client says.
    fn hear(client: &mut Client, server: &mut Connection) {
        let octets = client.poll_transmit().unwrap_or_default().to_vec();
        client.handle_sent(octets.len());
        let mut input = Input::new(&octets);
        while let Some(event) = server.poll_event(&mut input).expect("a sound connection") {
            match event {
                Event::Request { stream, fields, .. } => {
                    server.recycle(fields);
                    server.reset(stream, ErrorCode::CANCEL);
                }
                Event::Data { stream, credit, .. } => server.release(stream, credit),
                _ => {}
            }
        }
        client.handle_recv(server.transmit());
        server.sent(server.transmit().len());
        while let Ok(Some(_)) = client.poll_event() {}
    }

    /// Everything that there is to remember, by what `Debug` says: streams that are gone, windows, what the peer has cost.
    #[test]
    fn who_has_slept_is_who_it_was() {
        let config = Arc::new(ConnectionConfig::default());
        let mut client = Client::new(ConnectionConfig::default(), 1).expect("a configuration");
        let mut server = Connection::new(Role::Server, config, 1, 7);
        let mut shared = SharedLines::default();
        assert!(server.sleep(&mut shared).is_none(), "it has not begun");
        for n in 0..40 {
            // A line that no other block has: what comes again is known by its hash, which sleepers forget.
            let request =
                Request::post("http://example.com/").header("x-number", format!("the request number {n}"));
            let stream = client.send_request(&request.body(()).expect("a request"), false).expect("a slot");
            client.send_data(stream, b"content", n % 2 == 0).expect("a stream");
            hear(&mut client, &mut server);
            hear(&mut client, &mut server);
            let awake = server.sleep(&mut shared).expect("nothing is under way").wake();
            // The ring of streams that are gone begins anew where it was full.
            let gone = |of: &Connection| (0..100).map(|id| of.streams.closed_by(id)).collect::<Vec<_>>();
            assert_eq!(gone(&awake), gone(&server));
            assert!(n > 30 || format!("{awake:?}") == format!("{server:?}"), "{n}: {awake:?} {server:?}");
            server = awake;
        }
        server.goaway();
        assert!(server.sleep(&mut shared).is_none(), "it is about to end");
    }
}
