//! Commands to frames. HEADERS are encoded when commanded, for the order of encoding is the order on the wire; DATA that
//! cannot leave at once waits in its stream and is cut when the owner asks.

use crate::config::MAX_WINDOW;
use crate::error::ErrorCode;
use crate::fields::{FieldName, FieldSection};
use crate::frame::{self, DEFAULT_MAX_FRAME_SIZE};
use crate::h2::connection::{Connection, Phase, stream_id_max};
use crate::h2::cut::Sent;
use crate::h2::settings::Role;
use crate::h2::state::{ClosedBy, FrameKind, StreamEvent};
use crate::h2::streams::{Stream, StreamKey};
use crate::h2::unsent::{OpenError, SendError};
use crate::message::Method;
use crate::outbox::UNASKED;
use crate::window::{Both, ConnectionLevel, Credit, StreamLevel};

impl Connection {
    /// Client: opens a stream with a request head, which leaves as it is: that it is well formed ([`message::request`](crate::message::request)), and
    /// that the peer has offered extended CONNECT where it asks for that, is for the owner to know.
    ///
    /// # Errors
    ///
    /// It is a server's connection, goes away, or has no room for one more stream. [`OpenError::Malformed`] and [`OpenError::NotOffered`] are not
    /// among them.
    pub fn open(&mut self, fields: &FieldSection, end: bool) -> Result<StreamKey, OpenError> {
        if self.role == Role::Server {
            return Err(OpenError::NotClient);
        }
        if self.is_going_away() {
            return Err(OpenError::GoingAway); // 9113-6.8-01
        }
        if self.open_slots() == 0 {
            return Err(OpenError::NoSlot);
        }
        let id = self.next_stream_id;
        self.next_stream_id += 2; // 9113-5.1.1-01
        let mut stream = self.new_stream(id);
        stream.method = fields.value_of(FieldName::Method).and_then(Method::from_token);
        stream.head_sent = true;
        let key = self.streams.insert(stream);
        self.traffic.requests += 1;
        // An idle stream takes HEADERS.
        let _ = self.send_fields(key, fields, end);
        Ok(key)
    }

    /// Server: an interim or final response head. With `end`, a final one without content. It leaves as it is: that it is well formed
    /// ([`message::response`](crate::message::response)) is for the owner to know.
    ///
    /// # Errors
    ///
    /// The stream is gone, or its message has ended; the final head was sent before, or `end` stands with an interim one.
    pub fn send_head(&mut self, key: StreamKey, fields: &FieldSection, end: bool) -> Result<(), SendError> {
        let stream = self.streams.slab.get_mut(key).ok_or(SendError::Gone)?;
        let is_interim =
            fields.value_of(FieldName::Status).is_some_and(|status| status.first() == Some(&b'1'));
        if stream.head_sent || (is_interim && end) {
            return Err(if stream.state.may_send() { SendError::OutOfOrder } else { SendError::Gone });
        }
        stream.head_sent = !is_interim;
        if !is_interim {
            self.heed_response(key, fields);
        }
        self.send_fields(key, fields, end)
    }

    /// Server: the answer on this stream is the owner's own. Who is answered like that at little cost is not to be allowed to take back others'
    /// requests for it (CVE-2023-44487). Its content is worth what it is by its octets: whoever takes much gives windows back for it.
    pub fn earns_nothing(&mut self, key: StreamKey) {
        if let Some(stream) = self.streams.slab.get_mut(key) {
            stream.earns_nothing = true;
        }
    }

    /// Whether our message on this stream lies whole in the outbox, or has left. Of a stream that is gone it has.
    pub fn has_sent(&self, key: StreamKey) -> bool {
        self.streams.slab.get(key).is_none_or(|stream| !stream.state.may_send())
    }

    /// Ends the message with a trailer section, behind all content. Like that it waits while the outbox is full: `false`, and a [`Cut`](crate::h2::Cut) tells of the
    /// end. It leaves as it is: that it is well formed ([`message::trailers`](crate::message::trailers)) is for the owner to know.
    ///
    /// # Errors
    ///
    /// The stream is gone, its message has ended, or has no head yet.
    pub fn send_trailers(&mut self, key: StreamKey, fields: FieldSection) -> Result<bool, SendError> {
        // D4: an end alone does not wait, but for an outbox that is no longer read from.
        let is_full = self.outbox.len() >= self.config.outbox_full();
        let stream =
            self.streams.slab.get_mut(key).filter(|stream| !stream.end_queued).ok_or(SendError::Gone)?;
        if !stream.head_sent {
            return Err(SendError::OutOfOrder);
        }
        if stream.queue.is_empty() && !is_full {
            return self.send_fields(key, &fields, true).map(|()| true);
        }
        if self.phase == Phase::Failed || !stream.state.may_send() {
            return Err(SendError::Gone);
        }
        stream.trailers = Some(Box::new(fields));
        stream.end_queued = true;
        self.schedule.wake(&mut self.streams, key);
        Ok(false)
    }

    pub(super) fn send_fields(
        &mut self,
        key: StreamKey,
        fields: &FieldSection,
        end: bool,
    ) -> Result<(), SendError> {
        let stream = self.transition(key, FrameKind::Headers { end })?;
        let (id, is_over) = (stream.id, stream.state.is_closed()); // 9113-6.2-05, 9113-6.10-03
        let encoder = &mut self.encoder;
        // 9113-4.1-01
        let out = self.outbox.tail_for(frame::field_block_len_max(fields.size()));
        frame::put_field_block(out, id, end, self.peer.max_frame_size, |out| encoder.encode(fields, out));
        self.messages_end = self.octets_queued();
        if is_over {
            self.close(key);
        }
        Ok(())
    }

    /// Appends content; `end` ends the message. What the windows and the outbox allow is cut at once, if no other
    /// stream waits for its turn; the rest waits.
    ///
    /// # Errors
    ///
    /// The stream is gone, its message has ended, or has no head yet.
    #[inline(always)]
    pub fn send_data(&mut self, key: StreamKey, data: &[u8], end: bool) -> Result<Sent, SendError> {
        let failed = self.phase == Phase::Failed;
        let stream =
            self.streams.slab.get_mut(key).filter(|stream| !stream.end_queued).ok_or(SendError::Gone)?;
        if failed || !stream.state.may_send() {
            return Err(SendError::Gone);
        }
        if !stream.head_sent {
            return Err(SendError::OutOfOrder);
        }
        let mut cut = 0;
        if stream.queue.is_empty() {
            cut = self.cut_at_once(key, data, end)?;
            if cut == data.len() {
                return Ok(Sent { cut, waits: false });
            }
        }
        if let Some(stream) = self.streams.slab.get_mut(key) {
            stream.queue.extend(&data[cut..]);
            stream.end_queued = end;
            self.schedule.wake(&mut self.streams, key);
        }
        Ok(Sent { cut, waits: true })
    }

    /// The short way of content that nothing stands in the way of. Returns the octets cut; all of them, and the end,
    /// or a part and no end.
    fn cut_at_once(&mut self, key: StreamKey, data: &[u8], end: bool) -> Result<usize, SendError> {
        let mut done = 0;
        loop {
            let Some(stream) = self.streams.slab.get(key) else { return Ok(done) };
            let rest = &data[done..];
            let n = rest.len().min(self.room_of(stream));
            // D4: the end alone needs neither window nor turn.
            if (n == 0 || self.has_to_wait()) && !rest.is_empty() {
                return Ok(done);
            }
            let last = n == rest.len();
            if n > 0 || (last && end) {
                self.put_data(key, &rest[..n], last && end)?;
            }
            done += n;
            if last {
                return Ok(done);
            }
        }
    }

    /// How much content a stream would take without a wait, if that were its end: a frame at most.
    pub fn room_at_once(&self, key: StreamKey) -> usize {
        let stream = self.streams.slab.get(key).filter(|_| !self.has_to_wait());
        stream.map_or(0, |stream| self.room_of(stream))
    }

    /// Whether some of a message waits to be written.
    pub fn owes_messages(&self) -> bool {
        self.messages_end > self.traffic.sent_octets
    }

    /// How much content both windows allow, in one frame. 9113-5.2.1-02, 9113-6.9.1-01, 9113-4.1-01
    #[inline(always)]
    fn room_of(&self, stream: &Stream) -> usize {
        let room = stream.send_window.available().min(self.send_window.available());
        room.min(DEFAULT_MAX_FRAME_SIZE as usize)
    }

    /// Whether content waits behind other content, or for the outbox.
    #[inline(always)]
    fn has_to_wait(&self) -> bool {
        !self.schedule.is_empty() || self.outbox.len() >= self.config.outbox_high_mark
    }

    #[inline(always)]
    pub(super) fn put_data(&mut self, key: StreamKey, data: &[u8], end: bool) -> Result<(), SendError> {
        let stream = self.transition(key, FrameKind::Data { end })?;
        stream.send_window.take(data.len());
        stream.end_queued |= end;
        let (id, is_over) = (stream.id, stream.state.is_closed());
        let earns = stream.send_window.available() > 0 && !stream.earns_nothing;
        self.send_window.take(data.len());
        // A peer that opens its windows octet by octet earns nothing by that (CVE-2019-9511).
        if earns && self.send_window.available() > 0 {
            self.misuse.frame();
        }
        self.misuse.content(data.len() as u32);
        frame::put_data(self.outbox.tail_for(frame::HEADER_LEN + data.len()), id, data, end); // 9113-6.1-04
        self.messages_end = self.octets_queued();
        if is_over {
            self.close(key);
        }
        Ok(())
    }

    /// The owner appends nothing more: what waits in the stream's queue gets memory of about its size. Says how much that is.
    pub fn fit_queue(&mut self, key: StreamKey) -> usize {
        self.streams.slab.get_mut(key).map_or(0, |stream| stream.queue.fit_if_roomy())
    }

    /// Memory of what waits to be written, when a section of so many octets has been added, if any, and what nobody asks for memory for: that may come
    /// at any time, so that it has memory as long as anything waits.
    pub fn output_memory(&self, section: usize) -> usize {
        let octets = if section > 0 { frame::field_block_len_max(section) } else { 0 };
        self.outbox.capacity_for(octets + UNASKED)
    }

    /// Resets a stream and drops what waits in it; nothing happens where it is gone already.
    pub fn reset(&mut self, key: StreamKey, error_code: ErrorCode) {
        if let Some((id, _)) = self.forget(key, ClosedBy::OurReset)
            && self.phase != Phase::Failed
        {
            frame::put_rst_stream(self.outbox.tail(), id, error_code); // 9113-6.4-03
            self.traffic.resets_sent += 1;
            if self.role == Role::Client {
                self.resets.push(self.octets_queued());
            }
        }
    }

    /// Gives received octets back on both levels. Of a stream that is gone it is the connection's: that is owed all the same.
    pub fn release(&mut self, key: StreamKey, credit: Credit<Both>) {
        let (stream, connection) = credit.split();
        self.release_stream(key, stream);
        self.release_connection(connection);
    }

    /// Gives received octets back to their stream, if it is still there and the peer may still send on it.
    #[inline(always)]
    pub fn release_stream(&mut self, key: StreamKey, credit: Credit<StreamLevel>) {
        let Some(stream) = self.streams.slab.get_mut(key).filter(|stream| stream.state.may_recv()) else {
            return;
        };
        if let Some(increment) = stream.recv_window.release(credit.octets())
            && self.phase != Phase::Failed
        {
            frame::put_window_update(self.outbox.tail(), stream.id, increment);
        }
    }

    /// What the stream's receive window is restored to; nothing where the peer may send no more.
    pub fn recv_window_size(&self, key: StreamKey) -> Option<u32> {
        let stream = self.streams.slab.get(key).filter(|stream| stream.state.may_recv())?;
        Some(stream.recv_window.size())
    }

    /// The stream's window grows by so much, at once and for good, up to 2^31-1 octets. The owner has the memory for it.
    pub fn widen_recv_window(&mut self, key: StreamKey, by: u32) {
        // RFC 9113 section 6.9.1, with what SETTINGS still add.
        let most = MAX_WINDOW.saturating_sub(self.unacknowledged_window());
        let Some(stream) = self.streams.slab.get_mut(key).filter(|stream| stream.state.may_recv()) else {
            return;
        };
        let size = stream.recv_window.size().saturating_add(by).min(most);
        if let Some(increment) = stream.recv_window.grow(size)
            && self.phase != Phase::Failed
        {
            frame::put_window_update(self.outbox.tail(), stream.id, increment);
        }
    }

    /// Gives received octets back to the connection.
    #[inline(always)]
    pub fn release_connection(&mut self, credit: Credit<ConnectionLevel>) {
        if let Some(increment) = self.recv_window.release(credit.octets())
            && self.phase != Phase::Failed
        {
            frame::put_window_update(self.outbox.tail(), 0, increment);
        }
    }

    /// The stream as it is when the frame has left.
    #[inline(always)]
    fn transition(&mut self, key: StreamKey, kind: FrameKind) -> Result<&mut Stream, SendError> {
        let failed = self.phase == Phase::Failed;
        let stream = self.streams.slab.get_mut(key).filter(|_| !failed).ok_or(SendError::Gone)?;
        stream.state = stream.state.next(StreamEvent::Send(kind)).map_err(|_| SendError::Gone)?;
        Ok(stream)
    }

    /// The stream is over, if both sides have ended.
    pub(crate) fn close_if_over(&mut self, key: StreamKey) {
        if self.streams.slab.get(key).is_some_and(|stream| stream.state.is_closed()) {
            self.close(key);
        }
    }

    /// Both sides have ended: the stream is over.
    pub(crate) fn close(&mut self, key: StreamKey) {
        if self.streams.slab.get(key).is_none_or(|stream| !stream.earns_nothing) {
            self.misuse.message();
        }
        self.strain.message();
        self.forget(key, ClosedBy::EndStream); // 9113-5.1-09
    }
}

const _: () = assert!(stream_id_max() < u32::MAX - 1, "the next identifier after the last does not overflow");

#[cfg(test)]
mod tests {
    use shuntyard_requirements::req;

    use std::sync::Arc;

    use super::*;
    use crate::config::ConnectionConfig;
    use crate::fields::FieldLine;
    use crate::h2::Input;

    /// Requests that nobody takes, each followed by its reset, come to no more than the peer's limit (CVE-2023-44487).
    #[test]
    fn a_stream_that_we_reset_keeps_its_slot_until_the_reset_has_left() {
        let config = ConnectionConfig { assumed_max_concurrent_streams: 3, ..Default::default() };
        let mut client = Connection::new(Role::Client, Arc::new(config), 1, 0);
        client.sent(client.transmit().len());
        let mut fields = FieldSection::new();
        for (name, value) in [(":method", "GET"), (":scheme", "http"), (":path", "/")] {
            fields.push(FieldLine::new(name.as_bytes(), value.as_bytes(), 1));
        }
        let keys = [(); 3].map(|()| client.open(&fields, true).expect("there are three"));
        client.reset(keys[0], ErrorCode::CANCEL);
        client.reset(keys[1], ErrorCode::CANCEL);
        assert_eq!((client.open_streams(), client.open_slots()), (1, 0));
        assert_eq!(client.open(&fields, true), Err(OpenError::NoSlot));
        const RST_STREAM: usize = 9 + 4;
        client.sent(client.transmit().len() - RST_STREAM - 1);
        assert_eq!(client.open_slots(), 0, "an octet of the first is still here");
        client.sent(1);
        assert_eq!(client.open_slots(), 1);
        client.sent(RST_STREAM);
        assert_eq!(client.open_slots(), 2);
        client.reset(keys[2], ErrorCode::CANCEL);
        client.sent(RST_STREAM);
        assert_eq!((client.open_slots(), client.resets.len()), (3, 0));
    }

    fn section(fields: &[(&str, &str)]) -> FieldSection {
        let mut section = FieldSection::new();
        fields.iter().for_each(|(name, value)| {
            section.push(FieldLine::new(name.as_bytes(), value.as_bytes(), 1));
        });
        section
    }

    /// RFC 9113 section 8.1: whoever sends the parts of a message in another order is told so, and nothing leaves.
    #[test]
    fn rfc9113_8_1_the_parts_of_a_message_leave_in_order() {
        let mut client = Connection::new(Role::Client, Arc::default(), 1, 0);
        let mut server = Connection::new(Role::Server, Arc::default(), 1, 0);
        let get = section(&[(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")]);
        let own = client.open(&get, false).expect("a slot");
        let key = {
            let mut input = Input::new(client.transmit());
            loop {
                match server.poll_event(&mut input).expect("sound octets") {
                    Some(crate::h2::Event::Request { stream, .. }) => break stream,
                    Some(_) => {}
                    None => panic!("no request"),
                }
            }
        };
        let (early, last) = (section(&[(":status", "103")]), section(&[(":status", "200")]));
        let said = server.transmit().len();
        assert_eq!(client.send_head(own, &last, false), Err(SendError::OutOfOrder), "clients open streams");
        assert_eq!(server.send_data(key, b"early", false), Err(SendError::OutOfOrder));
        assert_eq!(server.send_data(key, b"", true), Err(SendError::OutOfOrder));
        assert_eq!(server.send_trailers(key, FieldSection::new()), Err(SendError::OutOfOrder));
        assert_eq!(server.send_head(key, &early, true), Err(SendError::OutOfOrder));
        assert_eq!((server.transmit().len(), server.queued(key)), (said, 0));
        for head in [&early, &early, &last] {
            assert_eq!(server.send_head(key, head, false), Ok(()));
        }
        let said = server.transmit().len();
        for head in [&early, &last] {
            assert_eq!(server.send_head(key, head, false), Err(SendError::OutOfOrder));
        }
        assert_eq!(server.transmit().len(), said);
        assert_eq!(server.send_data(key, b"late", true), Ok(Sent { cut: 4, waits: false }));
        for head in [&early, &last] {
            assert_eq!(server.send_head(key, head, true), Err(SendError::Gone));
        }
        assert_eq!(server.send_data(key, b"", true), Err(SendError::Gone));
        assert_eq!(server.send_trailers(key, FieldSection::new()), Err(SendError::Gone));
    }

    #[test]
    fn rfc9113_5_1_1_identifiers_run_out() {
        req!("9113-5.1.1-01", "9113-5.1.1-02");
        let mut client = Connection::new(Role::Client, Arc::new(ConnectionConfig::default()), 1, 0);
        client.next_stream_id = stream_id_max() - 2;
        let mut fields = FieldSection::new();
        for (name, value) in [(":method", "GET"), (":scheme", "http"), (":path", "/")] {
            fields.push(FieldLine::new(name.as_bytes(), value.as_bytes(), 1));
        }
        let keys = [(); 2].map(|()| client.open(&fields, true).expect("the last two"));
        assert_eq!(keys.map(|key| client.stream_id(key)), [Some(stream_id_max() - 2), Some(stream_id_max())]);
        assert_eq!(client.open(&fields, true), Err(OpenError::GoingAway));
        assert_eq!((client.open_slots(), client.is_going_away(), client.open_streams()), (0, true, 2));
        // The streams that were opened go on.
        let mut octets = Vec::new();
        frame::put_settings(&mut octets, &[]);
        frame::put_field_block(&mut octets, stream_id_max(), true, DEFAULT_MAX_FRAME_SIZE, |block| {
            block.push(0x88)
        });
        let mut input = Input::new(&octets);
        while let Ok(Some(_)) = client.poll_event(&mut input) {}
        assert_eq!((client.has_failed(), client.open_streams(), client.open_slots()), (false, 1, 0));
    }
}
