//! Octets to events: the next frame is decoded on demand, against the present state.

use crate::error::{ConnectionError, ErrorCode, StreamError};
use crate::frame::{self, DEFAULT_MAX_FRAME_SIZE, Frame, FrameError, FrameHeader, FrameType, HEADER_LEN};
use crate::h2::budget::cost;
use crate::h2::connection::{Connection, OpenBlock, Phase};
use crate::h2::event::{Event, Input};
use crate::h2::settings::Role;
use crate::h2::state::{ClosedBy, FrameKind, StreamEvent, Violation, closed_recv};
use crate::h2::streams::{Expected, Stream, StreamKey};
use crate::window::Credit;

/// Where a frame's stream stands.
pub(crate) enum Target {
    /// It exists.
    Live(StreamKey),
    /// It existed once.
    Closed(ClosedBy),
    /// Nobody opened it yet.
    Idle,
}

pub(crate) type Received<'a> = Result<Option<Event<'a>>, ConnectionError>;

impl Connection {
    /// Takes whole frames from `input` until one means something to the owner. `None`: more octets are needed.
    ///
    /// # Errors
    ///
    /// The connection has ended: GOAWAY with the error's code is in the outbox; further input is discarded. It is told once:
    /// from then on there is `None`, and [`has_failed`](Self::has_failed) says why.
    pub fn poll_event<'a>(&mut self, input: &mut Input<'a>) -> Received<'a> {
        loop {
            if let Some(event) = self.next_excluded() {
                return Ok(Some(event));
            }
            let event = match self.next_frame(input) {
                Ok(Some((header, payload))) => self.recv_frame(header, payload),
                Ok(None) => return Ok(None),
                Err(error) => Err(error),
            };
            match event {
                Ok(None) => {}
                Ok(Some(_)) => return event,
                Err(error) => {
                    input.take_all();
                    self.fail(error);
                    return event;
                }
            }
        }
    }

    /// The next whole frame, behind the preface.
    fn next_frame<'a>(
        &mut self,
        input: &mut Input<'a>,
    ) -> Result<Option<(FrameHeader, &'a [u8])>, ConnectionError> {
        match self.phase {
            Phase::Failed => {
                input.take_all();
                return Ok(None);
            }
            Phase::Preface => {
                if !self.take_preface(input)? {
                    return Ok(None);
                }
            }
            Phase::Settings | Phase::Open => {}
        }
        self.take_frame(input)
    }

    /// RFC 9113 section 3.4. Told as early as the octets differ.
    fn take_preface(&mut self, input: &mut Input<'_>) -> Result<bool, ConnectionError> {
        let octets = input.remaining();
        let n = octets.len().min(frame::PREFACE.len());
        if octets[..n] != frame::PREFACE[..n] {
            return Err(ConnectionError::PrefaceInvalid); // 9113-3.4-04
        }
        let whole = input.take(frame::PREFACE.len()).is_some();
        if whole {
            self.phase = Phase::Settings;
            self.traffic.recv_octets += frame::PREFACE.len() as u64;
        }
        Ok(whole)
    }

    /// The next whole frame.
    fn take_frame<'a>(
        &mut self,
        input: &mut Input<'a>,
    ) -> Result<Option<(FrameHeader, &'a [u8])>, ConnectionError> {
        let Some(header) = input.remaining().first_chunk::<HEADER_LEN>() else { return Ok(None) };
        let header = FrameHeader::decode(header);
        let is_settings = header.frame_type == FrameType::Settings && header.flags & frame::flags::ACK == 0;
        // First of all: what is no HTTP/2 seems to be a frame of absurd length.
        if self.phase == Phase::Settings && !is_settings {
            // That is somebody's mistake more often than a fault.
            let is_http1 = self.role == Role::Client && input.remaining().starts_with(b"HTTP/1.");
            return Err(if is_http1 {
                ConnectionError::AnsweredInHttp1
            } else {
                ConnectionError::SettingsNotFirst
            }); // 9113-3.4-01, 9113-3.4-02
        }
        // We never announce another size. The frame is refused before its octets are awaited.
        header.check_length(DEFAULT_MAX_FRAME_SIZE)?; // 9113-4.2-01
        let Some(octets) = input.take(HEADER_LEN + header.length as usize) else { return Ok(None) };
        self.traffic.recv_octets += octets.len() as u64;
        Ok(Some((header, &octets[HEADER_LEN..])))
    }

    fn recv_frame<'a>(&mut self, header: FrameHeader, payload: &'a [u8]) -> Received<'a> {
        if let Some(block) = &self.open_block
            && (header.frame_type != FrameType::Continuation || header.stream_id != block.stream_id)
        {
            return Err(ConnectionError::ContinuationExpected); // 9113-6.2-04, 9113-6.10-02, 9113-5.5-03
        }
        match frame::parse(header, payload) {
            Ok(frame) => self.recv_parsed(frame),
            Err(FrameError::Connection(error)) => Err(error),
            Err(FrameError::Stream(stream_id, error)) => match self.target(stream_id) {
                Target::Live(key) => self.fail_stream(key, error),
                // Only PRIORITY errs this way. A stream that cannot be reset takes the connection with it (5.4.1).
                Target::Closed(_) | Target::Idle => Err(ConnectionError::PrioritySize),
            },
        }
    }

    fn recv_parsed<'a>(&mut self, frame: Frame<'a>) -> Received<'a> {
        match frame {
            Frame::Data { stream_id, data, padding, end_stream, .. } => {
                self.recv_data(stream_id, data, padding, end_stream)
            }
            Frame::Headers { stream_id, fragment, end_stream, end_headers, dependency } => {
                let self_dependent = dependency == Some(stream_id) && !self.peer.no_rfc7540_priorities; // 9218-2.1-06
                if end_headers {
                    return self.recv_block(stream_id, fragment, end_stream, self_dependent);
                }
                self.open_block = Some(Box::new(OpenBlock {
                    stream_id,
                    end_stream,
                    self_dependent,
                    continuations: 0,
                    fragments: fragment.to_vec(),
                }));
                Ok(None)
            }
            Frame::Continuation { fragment, end_headers, .. } => {
                self.recv_continuation(fragment, end_headers)
            }
            Frame::Priority { stream_id, dependency } => self.recv_priority(stream_id, dependency),
            Frame::RstStream { stream_id, error_code } => self.recv_rst_stream(stream_id, error_code),
            Frame::Settings { entries } => {
                if self.peer_settings_seen {
                    self.spend(cost::SETTINGS)?;
                }
                let change = self.peer.apply(self.role, entries, self.config.max_settings)?;
                self.apply_settings(change)
            }
            Frame::SettingsAck => {
                let acknowledged = self.local.acknowledge()?;
                self.decoder.set_max_table_size(acknowledged.header_table_size);
                self.resize_recv_windows(acknowledged.window_delta); // 9113-6.9.3-01: not before
                Ok(None)
            }
            // RFC 9113 section 8.4: we disabled push, and a client must not send it at all.
            // 9113-6.5.2-02, 9113-6.6-12
            Frame::PushPromise { .. } => Err(ConnectionError::PushPromise), // 9113-6.6-09, 9113-8.4-07
            Frame::Ping { payload } => {
                self.spend(cost::PING)?;
                frame::put_ping(self.outbox.tail(), payload, true); // 9113-6.7-02
                self.count_answer()?;
                Ok(None)
            }
            // 9113-6.7-05: no answer.
            Frame::PingAck { payload } => {
                match self.pings_out.checked_sub(1) {
                    Some(left) => self.pings_out = left,
                    None => self.spend(cost::PING)?,
                }
                Ok(Some(Event::PingAck { payload }))
            }
            Frame::GoAway { last_stream_id, error_code, debug_data } => {
                self.spend(cost::GOAWAY)?;
                self.recv_goaway(last_stream_id)?;
                Ok(Some(Event::GoAway { last_stream_id, error_code, debug_data }))
            }
            Frame::WindowUpdate { stream_id, increment } => self.recv_window_update(stream_id, increment),
            Frame::PriorityUpdate { stream_id, value } => {
                self.spend(cost::IGNORED)?;
                self.recv_priority_update(stream_id, value)
            }
            // 9113-5.5-01, 9113-5.5-02
            Frame::Unknown { .. } => self.spend(cost::IGNORED).map(|()| None), // 9113-4.1-02
        }
    }

    /// Where the stream with this identifier stands (RFC 9113 section 5.1.1).
    #[inline(always)]
    pub(crate) fn target(&mut self, stream_id: u32) -> Target {
        let is_used = match self.role {
            Role::Client => stream_id < self.next_stream_id,
            Role::Server => stream_id <= self.last_peer_stream_id,
        };
        if !is_used || stream_id.is_multiple_of(2) {
            return Target::Idle;
        }
        match self.streams.find(stream_id) {
            Some(key) => Target::Live(key),
            None => Target::Closed(self.streams.closed_by(stream_id)),
        }
    }

    /// A frame that needs a stream and may be discarded for a closed one. `None`: it was discarded.
    fn recv_on(
        &mut self,
        stream_id: u32,
        kind: FrameKind,
    ) -> Result<Option<(StreamKey, &mut Stream)>, ConnectionError> {
        match self.target(stream_id) {
            Target::Live(key) => Ok(self.streams.slab.get_mut(key).map(|stream| (key, stream))),
            Target::Closed(by) => closed_recv(by, kind).map(|()| None),
            Target::Idle => Err(ConnectionError::StreamIdle), // 9113-5.1-01, 9113-6.4-06
        }
    }

    fn recv_data<'a>(&mut self, stream_id: u32, data: &'a [u8], padding: u32, end: bool) -> Received<'a> {
        // RFC 9113 section 6.9.1: every octet counts, padding and discarded frames included.
        let octets = data.len() as u32 + padding;
        self.recv_window.receive(octets).map_err(|_| ConnectionError::WindowExceeded)?; // 9113-6.8-09
        let Some((key, stream)) = self.recv_on(stream_id, FrameKind::Data { end })? else {
            // What is gone cannot be ended.
            let points = self.misuse.cost_of_data(data.len(), padding);
            self.spend_late(points)?;
            self.recv_late(octets)?;
            self.release_connection(Credit::new(octets)); // 9113-6.9-05
            return Ok(None);
        };
        let tag = stream.tag;
        if let Err(error) = check_data(stream, data.len() as u32, octets, end) {
            self.release_connection(Credit::new(octets));
            return self.fail_stream(key, error);
        }
        let (is_over, earns_nothing) = (stream.state.is_closed(), stream.earns_nothing);
        if !end {
            let points = self.misuse.cost_of_data(data.len(), padding);
            self.spend(points)?;
        }
        // What is thrown away makes up for nothing.
        if !earns_nothing {
            self.misuse.content(data.len() as u32);
        }
        if padding > 0 {
            self.release(key, Credit::new(padding));
        }
        if is_over {
            self.close(key);
        }
        Ok(Some(Event::Data { stream: key, tag, data, credit: Credit::new(data.len() as u32), end }))
    }

    /// RFC 9113 section 6.10, within a budget that holds frame by frame (section 10.5.1).
    fn recv_continuation<'a>(&mut self, fragment: &[u8], end_headers: bool) -> Received<'a> {
        // 9113-6.10-05, 9113-6.10-06
        let Some(block) = &mut self.open_block else { return Err(ConnectionError::ContinuationUnexpected) };
        block.continuations += 1;
        let useless = fragment.is_empty() && !end_headers;
        if block.continuations > self.config.max_continuations || useless {
            return Err(ConnectionError::ContinuationTooMany);
        }
        if block.fragments.len() + fragment.len() > self.config.field_block_max() {
            return Err(ConnectionError::FieldBlockTooLarge);
        }
        block.fragments.extend_from_slice(fragment);
        if !end_headers {
            return Ok(None);
        }
        let Some(block) = self.open_block.take() else { return Ok(None) };
        self.recv_block(block.stream_id, &block.fragments, block.end_stream, block.self_dependent)
    }

    /// 9113-6.5.3-01: at once.
    fn apply_settings<'a>(&mut self, change: crate::h2::settings::SettingsChange) -> Received<'a> {
        if let Some(change) = change.header_table_size {
            self.encoder.set_peer_max_table_size(change.smallest);
            self.encoder.set_peer_max_table_size(change.last);
        }
        if change.window_delta != 0 {
            let keys: Vec<StreamKey> = self.streams.keys().map(|(_, key)| key).collect();
            for key in keys {
                let Some(stream) = self.streams.slab.get_mut(key) else { continue };
                let widened = stream.send_window.widen(change.window_delta); // 9113-6.9.2-01, 9113-6.9.2-03
                widened.map_err(|_| ConnectionError::InitialWindowSizeOverflow)?;
                self.schedule.wake(&mut self.streams, key);
            }
        }
        self.peer_settings_seen = true;
        self.phase = Phase::Open;
        frame::put_settings_ack(self.outbox.tail()); // 9113-6.5.3-04
        self.count_answer()?;
        Ok(Some(Event::Settings))
    }

    /// RFC 9113 section 6.9.2, from our side: the peer counts by the new size now.
    fn resize_recv_windows(&mut self, delta: i64) {
        let size = i64::from(self.initial_recv_window) + delta;
        self.initial_recv_window = u32::try_from(size).unwrap_or(0);
        if delta != 0 {
            let keys: Vec<StreamKey> = self.streams.keys().map(|(_, key)| key).collect();
            for key in keys {
                if let Some(stream) = self.streams.slab.get_mut(key) {
                    stream.recv_window.resize(delta);
                }
                // What was too little to announce may be all that a smaller window waits for.
                self.release_stream(key, Credit::none());
            }
        }
    }

    fn recv_window_update<'a>(&mut self, stream_id: u32, increment: u32) -> Received<'a> {
        self.spend(cost::WINDOW_UPDATE)?;
        if stream_id == 0 {
            self.recv_connection_window_update(increment)
        } else {
            self.recv_stream_window_update(stream_id, increment)
        }
    }

    fn recv_rst_stream<'a>(&mut self, stream_id: u32, error_code: ErrorCode) -> Received<'a> {
        let Some((key, stream)) = self.recv_on(stream_id, FrameKind::RstStream)? else {
            return self.spend_late(cost::IGNORED).map(|()| None);
        };
        let tag = stream.tag;
        // A backend's resets answer requests of ours: they are bounded by those.
        if self.role == Role::Server {
            self.spend(cost::RESET)?;
        }
        // 9113-5.4.2-04, 9113-6.4-01: nothing leaves on it any more, and no reset in return.
        self.forget(key, ClosedBy::PeerReset);
        self.traffic.resets_recv += 1;
        Ok(Some(Event::Reset { stream: key, tag, error_code }))
    }

    fn recv_priority<'a>(&mut self, stream_id: u32, dependency: u32) -> Received<'a> {
        self.spend(cost::IGNORED)?;
        match self.target(stream_id) {
            // 9218-2.1-06: who has given these signals up is not held to their rules either.
            Target::Live(key) if dependency == stream_id && !self.peer.no_rfc7540_priorities => {
                self.fail_stream(key, StreamError::PrioritySelf)
            }
            Target::Live(_) | Target::Closed(_) | Target::Idle => Ok(None),
        }
    }

    fn recv_connection_window_update<'a>(&mut self, increment: u32) -> Received<'a> {
        if increment == 0 {
            return Err(ConnectionError::WindowUpdateZero); // 9113-6.9-03
        }
        self.send_window.widen(increment.into()).map_err(|_| ConnectionError::WindowOverflow)?;
        self.window_given = self.window_given.wrapping_add(increment);
        Ok(None)
    }

    fn recv_stream_window_update<'a>(&mut self, stream_id: u32, increment: u32) -> Received<'a> {
        let Some((key, stream)) = self.recv_on(stream_id, FrameKind::WindowUpdate)? else { return Ok(None) };
        if increment == 0 {
            return self.fail_stream(key, StreamError::WindowUpdateZero);
        }
        if stream.send_window.widen(increment.into()).is_err() {
            return self.fail_stream(key, StreamError::WindowOverflow); // 9113-6.9.1-04
        }
        self.schedule.wake(&mut self.streams, key);
        Ok(None)
    }

    fn recv_goaway(&mut self, last_stream_id: u32) -> Result<(), ConnectionError> {
        // RFC 9113 section 6.8: the identifier must not increase.
        if self.goaway_received.is_some_and(|last| last_stream_id > last) {
            return Err(ConnectionError::GoAwayIncreased);
        }
        self.goaway_received = Some(last_stream_id);
        self.traffic.goaways_recv += 1;
        if self.role == Role::Client {
            self.excluded.clear();
            let excluded = self.streams.keys().filter(|&(id, _)| id > last_stream_id).map(|(_, key)| key);
            self.excluded.extend(excluded);
        }
        Ok(())
    }

    fn next_excluded<'a>(&mut self) -> Option<Event<'a>> {
        while let Some(key) = self.excluded.pop() {
            if let Some((_, tag)) = self.forget(key, ClosedBy::OurReset) {
                return Some(Event::Unprocessed { stream: key, tag });
            }
        }
        None
    }

    /// RFC 9113 section 5.4.2: RST_STREAM, and the connection goes on.
    pub(crate) fn fail_stream<'a>(&mut self, key: StreamKey, error: StreamError) -> Received<'a> {
        let Some(stream) = self.streams.slab.get(key) else { return Ok(None) };
        let tag = stream.tag;
        // An error of the connection leaves the stream to its owner, who would not hear of it otherwise.
        self.check_room_for_answer()?;
        // Errors of a backend in what it answers are bounded by our requests too, and others share the connection.
        if self.role == Role::Server {
            self.spend(cost::RESET)?;
        }
        self.reset(key, error.code());
        self.count_answer()?;
        Ok(Some(Event::Failed { stream: key, tag, error }))
    }
}

/// Windows, state and content-length of a DATA frame (RFC 9113 sections 5.1, 6.9.1, 8.1.1).
fn check_data(stream: &mut Stream, content: u32, octets: u32, end: bool) -> Result<(), StreamError> {
    let state = match stream.state.next(StreamEvent::Recv(FrameKind::Data { end })) {
        Ok(state) => state,
        Err(Violation::Stream(error)) => return Err(error),
        Err(Violation::Connection(_) | Violation::Ours) => return Err(StreamError::HalfClosed),
    };
    stream.recv_window.receive(octets).map_err(|_| StreamError::WindowExceeded)?;
    let left = match &mut stream.expected {
        Expected::Head => return Err(StreamError::DataBeforeHeaders),
        Expected::Content { left } => left.as_mut(),
        Expected::Tunnel => None,
    };
    if let Some(left) = left {
        *left = left.checked_sub(content.into()).ok_or(StreamError::ContentLengthMismatch)?; // 9110-8.6-09
        if end && *left > 0 {
            return Err(StreamError::ContentLengthMismatch);
        }
    }
    stream.state = state;
    Ok(())
}
