//! One end of an HTTP/2 connection for the model clients and backends: correct, and slow of wit.

use std::collections::BTreeMap;

use crate::refcodec::Field;
use crate::refcodec::frame::{self, Frame, PREFACE, Reader};
use crate::refcodec::hpack::{Decoder, Encoder};
use crate::scenario::PeerPlan;

/// What a peer learns from what it received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A field section: head or trailers.
    Fields {
        /// The stream.
        stream: u32,
        /// The fields.
        fields: Vec<Field>,
        /// Whether the sender is done.
        end: bool,
    },
    /// Content.
    Data {
        /// The stream.
        stream: u32,
        /// The octets.
        content: Vec<u8>,
        /// Whether the sender is done.
        end: bool,
    },
    /// RST_STREAM.
    Reset {
        /// The stream.
        stream: u32,
        /// The error code.
        code: u32,
    },
    /// GOAWAY.
    GoAway {
        /// The last stream that may have been processed.
        last_stream: u32,
        /// The error code.
        code: u32,
    },
}

#[derive(Clone, Debug)]
struct Stream {
    send_window: i64,
    /// Octets received and not yet given back.
    used: u64,
    receiving: bool,
    sending: bool,
}

/// One end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    client: bool,
    plan: PeerPlan,
    reader: Reader,
    decoder: Decoder,
    encoder: Encoder,
    out: Vec<u8>,
    /// Octets at the begin of `out` that were written already.
    written: usize,
    streams: BTreeMap<u32, Stream>,
    send_window: i64,
    used: u64,
    initial_send_window: i64,
    max_frame: usize,
    /// The other end's SETTINGS_MAX_CONCURRENT_STREAMS, if it announced one.
    pub max_concurrent: Option<u32>,
    /// Own SETTINGS that are not acknowledged.
    unacknowledged: Vec<Vec<(u16, u32)>>,
    initial_window: u32,
    block: Option<(u32, Vec<u8>, bool)>,
    pings_out: u32,
    settings_came: bool,
    next_stream: u32,
}

impl Peer {
    /// An end that has just begun: its preface waits to be sent.
    pub fn new(client: bool, plan: PeerPlan) -> Self {
        let mut peer = Self {
            client,
            reader: Reader::new(!client),
            decoder: Decoder::default(),
            encoder: Encoder::new(plan.huffman),
            out: if client { PREFACE.to_vec() } else { Vec::new() },
            written: 0,
            streams: BTreeMap::new(),
            send_window: 65_535,
            used: 0,
            initial_send_window: 65_535,
            max_frame: 16_384,
            max_concurrent: None,
            unacknowledged: Vec::new(),
            initial_window: 65_535,
            block: None,
            pings_out: 0,
            settings_came: false,
            next_stream: 1,
            plan,
        };
        let plan = &peer.plan;
        let mut settings = vec![
            (frame::INITIAL_WINDOW_SIZE, plan.initial_window),
            (frame::MAX_FRAME_SIZE, plan.max_frame),
            (frame::HEADER_TABLE_SIZE, plan.header_table),
        ];
        settings.extend(plan.max_concurrent.map(|limit| (frame::MAX_CONCURRENT_STREAMS, limit)));
        let extra = plan.connection_extra;
        peer.send_settings(settings);
        if extra > 0 {
            peer.send(&Frame::WindowUpdate { stream: 0, increment: extra });
        }
        peer
    }

    /// Octets that wait to be written.
    pub fn output(&self) -> &[u8] {
        &self.out[self.written..]
    }

    /// `n` octets were written.
    pub fn sent(&mut self, n: usize) {
        self.written += n;
        if self.written == self.out.len() || self.written > 64 << 10 {
            self.out.drain(..std::mem::take(&mut self.written));
        }
    }

    /// Sends SETTINGS.
    pub fn send_settings(&mut self, settings: Vec<(u16, u32)>) {
        for &(id, value) in &settings {
            if id == frame::INITIAL_WINDOW_SIZE {
                self.initial_window = value;
            }
        }
        self.send(&Frame::Settings { ack: false, settings: settings.clone() });
        self.unacknowledged.push(settings);
    }

    /// Sends a PING.
    pub fn send_ping(&mut self) {
        self.pings_out += 1;
        self.send(&Frame::Ping { ack: false, opaque: u64::from(self.pings_out).to_be_bytes() });
    }

    /// Whether the other end's SETTINGS came.
    pub fn has_settings(&self) -> bool {
        self.settings_came
    }

    /// Whether every SETTINGS and PING was acknowledged.
    pub fn is_acknowledged(&self) -> bool {
        self.unacknowledged.is_empty() && self.pings_out == 0
    }

    /// Opens the next stream with a request.
    pub fn open(&mut self, fields: &[Field], end: bool) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        self.add_stream(stream);
        self.send_fields(stream, fields, end);
        self.open_window(stream);
        stream
    }

    /// Sends a field section.
    pub fn send_fields(&mut self, stream: u32, fields: &[Field], end: bool) {
        let block = self.encoder.encode(fields, self.plan.indexing);
        let most = self.plan.block_max.clamp(1, self.max_frame);
        let pieces: Vec<&[u8]> = block.chunks(most).collect();
        let last = pieces.len() - 1;
        for (at, piece) in pieces.into_iter().enumerate() {
            let (block, end_headers) = (piece.to_vec(), at == last);
            self.send(&if at == 0 {
                Frame::Headers { stream, block, padding: None, priority: None, end_headers, end }
            } else {
                Frame::Continuation { stream, block, end_headers }
            });
        }
        if end {
            self.sending_ended(stream);
        }
    }

    /// How many octets of content one DATA frame may carry now, and with which padding: none where the window is too small.
    pub fn room(&self, stream: u32, padding: Option<u8>) -> (usize, Option<u8>) {
        match (self.room_with(stream, padding), padding) {
            (0, Some(_)) => (self.room_with(stream, None), None),
            (room, padding) => (room, padding),
        }
    }

    fn room_with(&self, stream: u32, padding: Option<u8>) -> usize {
        let Some(entry) = self.streams.get(&stream).filter(|entry| entry.sending) else { return 0 };
        let overhead = padding.map_or(0, |pad| i64::from(pad) + 1);
        let window =
            entry.send_window.min(self.send_window).min(i64::try_from(self.max_frame).unwrap_or(i64::MAX));
        usize::try_from(window - overhead).unwrap_or(0)
    }

    /// Whether the stream still takes frames from this end.
    pub fn is_sending(&self, stream: u32) -> bool {
        self.streams.get(&stream).is_some_and(|entry| entry.sending)
    }

    /// Sends content. Where it is empty it takes nothing from the windows; else [`room`](Self::room) was asked before.
    pub fn send_data(&mut self, stream: u32, content: Vec<u8>, padding: Option<u8>, end: bool) {
        let frame = Frame::Data { stream, content, padding, end };
        let length = i64::try_from(frame.flow_controlled_length()).expect("a frame is shorter than 2^24");
        self.send_window -= length;
        if let Some(entry) = self.streams.get_mut(&stream) {
            entry.send_window -= length;
        }
        self.send(&frame);
        if end {
            self.sending_ended(stream);
        }
    }

    /// Octets as they are, whatever the protocol says to them.
    pub fn raw(&mut self, octets: &[u8]) {
        self.out.extend_from_slice(octets);
    }

    /// A field block, encoded in its turn.
    pub fn encode(&mut self, fields: &[Field]) -> Vec<u8> {
        self.encoder.encode(fields, self.plan.indexing)
    }

    /// Takes the next stream identifier.
    pub fn take_stream(&mut self) -> u32 {
        self.next_stream += 2;
        self.next_stream - 2
    }

    /// The newest stream that the client opened; 1 where there is none.
    pub fn newest_stream(&self) -> u32 {
        self.next_stream.saturating_sub(2).max(1)
    }

    /// Resets a stream.
    pub fn reset(&mut self, stream: u32, code: u32) {
        if self.streams.remove(&stream).is_some() {
            self.send(&Frame::RstStream { stream, code });
        }
    }

    /// Sends GOAWAY.
    pub fn go_away(&mut self, last_stream: u32, code: u32) {
        self.send(&Frame::GoAway { last_stream, code, debug: Vec::new() });
    }

    /// Gives back the credit that is due.
    pub fn grant(&mut self) {
        let due = |used: u64, window: u64, percent: u8| {
            used > 0 && used * 100 >= window * u64::from(percent.min(100))
        };
        if self.plan.never_grants() {
            return;
        }
        let (percent, at_open) = (self.plan.grant_percent, self.plan.window_at_open);
        let mut updates = Vec::new();
        if due(self.used, 65_535 + u64::from(self.plan.connection_extra), percent) {
            updates.push((0, std::mem::take(&mut self.used)));
        }
        let window = u64::from(self.initial_window) + u64::from(at_open);
        for (&stream, entry) in self.streams.iter_mut().filter(|(_, entry)| entry.receiving) {
            if due(entry.used, window, percent) {
                updates.push((stream, std::mem::take(&mut entry.used)));
            }
        }
        for (stream, used) in updates {
            let increment = u32::try_from(used).expect("a window is less than 2^31");
            self.send(&Frame::WindowUpdate { stream, increment });
        }
    }

    /// Takes octets from the other end. An error says what the other end did wrong.
    pub fn receive(&mut self, octets: &[u8]) -> Result<Vec<Event>, String> {
        self.reader.push(octets);
        let mut events = Vec::new();
        while let Some(frame) = self.reader.next_frame().map_err(|error| error.to_string())? {
            let continues = matches!(frame, Frame::Continuation { .. });
            if self.block.as_ref().is_some_and(|(stream, ..)| !continues || frame.stream() != *stream) {
                return Err(format!("{frame:?} interrupts a field block"));
            }
            events.extend(self.frame(frame)?);
        }
        Ok(events)
    }

    fn frame(&mut self, frame: Frame) -> Result<Option<Event>, String> {
        let length = frame.flow_controlled_length();
        match frame {
            Frame::Data { stream, content, end, .. } => {
                self.used += length;
                if self.used > 65_535 + u64::from(self.plan.connection_extra) {
                    return Err("DATA exceeds the connection's window".into());
                }
                if let Some(entry) = self.streams.get_mut(&stream) {
                    entry.used += length;
                    if !entry.receiving {
                        return Err(format!("DATA after END_STREAM on stream {stream}"));
                    }
                }
                self.receiving_ended(stream, end);
                Ok(Some(Event::Data { stream, content, end }))
            }
            Frame::Headers { stream, block, end_headers, end, .. } => {
                self.block(stream, block, end, end_headers)
            }
            Frame::Continuation { block, end_headers, .. } => {
                let (stream, mut before, end) = self.block.take().ok_or("CONTINUATION without HEADERS")?;
                before.extend(block);
                self.block(stream, before, end, end_headers)
            }
            Frame::RstStream { stream, code } => {
                self.streams.remove(&stream);
                Ok(Some(Event::Reset { stream, code }))
            }
            Frame::GoAway { last_stream, code, .. } => Ok(Some(Event::GoAway { last_stream, code })),
            Frame::Settings { ack: true, .. } => self.acknowledged().map(|()| None),
            Frame::Settings { settings, .. } => self.apply(&settings).map(|()| None),
            Frame::Ping { ack: true, .. } => {
                self.pings_out = self.pings_out.checked_sub(1).ok_or("a PING acknowledgement for no PING")?;
                Ok(None)
            }
            Frame::Ping { opaque, .. } => {
                self.send(&Frame::Ping { ack: true, opaque });
                Ok(None)
            }
            Frame::WindowUpdate { stream, increment } => self.window_update(stream, increment).map(|()| None),
            Frame::PushPromise { .. } => Err("PUSH_PROMISE".into()),
            Frame::Priority { .. } | Frame::Unknown { .. } => Ok(None),
        }
    }

    fn block(
        &mut self,
        stream: u32,
        block: Vec<u8>,
        end: bool,
        whole: bool,
    ) -> Result<Option<Event>, String> {
        if !whole {
            self.block = Some((stream, block, end));
            return Ok(None);
        }
        let lines = self.decoder.decode(&block).map_err(|error| error.to_string())?;
        if !self.client && !self.streams.contains_key(&stream) && stream >= self.next_stream {
            self.next_stream = stream + 2;
            self.add_stream(stream);
            self.open_window(stream);
        }
        self.receiving_ended(stream, end);
        let fields = lines.into_iter().map(|line| line.field).collect();
        Ok(Some(Event::Fields { stream, fields, end }))
    }

    fn acknowledged(&mut self) -> Result<(), String> {
        if self.unacknowledged.is_empty() {
            return Err("a SETTINGS acknowledgement for no SETTINGS".into());
        }
        for (id, value) in self.unacknowledged.remove(0) {
            match id {
                frame::HEADER_TABLE_SIZE => self.decoder.set_limit(value as usize),
                frame::MAX_FRAME_SIZE => self.reader.max_frame_size = value as usize,
                _ => {}
            }
        }
        Ok(())
    }

    fn apply(&mut self, settings: &[(u16, u32)]) -> Result<(), String> {
        self.settings_came = true;
        for &(id, value) in settings {
            match id {
                frame::HEADER_TABLE_SIZE => self.encoder.set_limit(value as usize),
                frame::MAX_CONCURRENT_STREAMS => self.max_concurrent = Some(value),
                frame::MAX_FRAME_SIZE if (16_384..=16_777_215).contains(&value) => {
                    self.max_frame = value as usize
                }
                frame::INITIAL_WINDOW_SIZE if value < 1 << 31 => {
                    let change = i64::from(value) - self.initial_send_window;
                    self.initial_send_window = value.into();
                    self.streams.values_mut().for_each(|entry| entry.send_window += change);
                }
                frame::MAX_FRAME_SIZE | frame::INITIAL_WINDOW_SIZE => {
                    return Err(format!("setting {id} is {value}"));
                }
                frame::ENABLE_PUSH if value > 1 || (self.client && value == 1) => {
                    return Err("SETTINGS_ENABLE_PUSH".into());
                }
                _ => {}
            }
        }
        self.send(&Frame::Settings { ack: true, settings: Vec::new() });
        Ok(())
    }

    fn window_update(&mut self, stream: u32, increment: u32) -> Result<(), String> {
        if increment == 0 {
            return Err(format!("WINDOW_UPDATE of 0 on stream {stream}"));
        }
        let window = match stream {
            0 => &mut self.send_window,
            _ => match self.streams.get_mut(&stream) {
                Some(entry) => &mut entry.send_window,
                None => return Ok(()),
            },
        };
        *window += i64::from(increment);
        if *window >= 1 << 31 { Err(format!("the window of stream {stream} overflows")) } else { Ok(()) }
    }

    fn add_stream(&mut self, stream: u32) {
        let entry = Stream { send_window: self.initial_send_window, used: 0, receiving: true, sending: true };
        self.streams.insert(stream, entry);
    }

    fn open_window(&mut self, stream: u32) {
        if self.plan.window_at_open > 0 {
            self.send(&Frame::WindowUpdate { stream, increment: self.plan.window_at_open });
        }
    }

    fn sending_ended(&mut self, stream: u32) {
        if let Some(entry) = self.streams.get_mut(&stream) {
            entry.sending = false;
            if !entry.receiving {
                self.streams.remove(&stream);
            }
        }
    }

    fn receiving_ended(&mut self, stream: u32, end: bool) {
        if let Some(entry) = self.streams.get_mut(&stream).filter(|_| end) {
            entry.receiving = false;
            if !entry.sending {
                self.streams.remove(&stream);
            }
        }
    }

    fn send(&mut self, frame: &Frame) {
        self.out.extend(frame.encode());
    }
}
