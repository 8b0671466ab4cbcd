//! What the gateway was given: noted, hardly judged. Model peers are judged by their own tests.

use super::{Police, Side, Stream};
use crate::ledger::{Ledger, Violation};
use crate::refcodec::frame::{self, Frame};
use crate::refcodec::{Field, value_of};
use crate::truth;

impl Police {
    pub(super) fn frame_in(
        &mut self,
        frame: Frame,
        known: bool,
        ledger: &mut Ledger,
    ) -> Result<(), Violation> {
        let link = self.link;
        ledger.note(|| format!("link {link} in: {frame}"));
        let whole = self.inbound.fields(&frame).map_err(|message| Violation { id: "SIM", message })?;
        if let Some((stream, fields, end)) = whole {
            self.fields_in(stream, &fields, ledger);
            self.end_in(stream, end, known, ledger);
        }
        match frame {
            Frame::Data { stream, ref content, end, .. } => {
                self.data_in(stream, content.len() as u64, frame.flow_controlled_length(), ledger);
                self.end_in(stream, end, known, ledger);
            }
            Frame::RstStream { stream, code } => self.reset_in(stream, code, known, ledger),
            Frame::Settings { ack: true, .. } => self.acknowledged_in(),
            Frame::Settings { settings, .. } => self.peer_settings.push_back(settings),
            Frame::Ping { ack: false, opaque } => self.peer_pings.push_back(opaque),
            Frame::GoAway { last_stream, .. } => self.goaway_in(last_stream, known, ledger),
            Frame::WindowUpdate { stream: 0, increment } => self.window += i64::from(increment),
            Frame::WindowUpdate { stream, increment } => {
                if let Some(entry) = self.streams.get_mut(&stream) {
                    entry.window += i64::from(increment);
                }
            }
            Frame::Headers { .. }
            | Frame::Continuation { .. }
            | Frame::Priority { .. }
            | Frame::PushPromise { .. }
            | Frame::Ping { .. }
            | Frame::Unknown { .. } => {}
        }
        Ok(())
    }

    fn fields_in(&mut self, stream: u32, fields: &[Field], ledger: &mut Ledger) {
        match self.side {
            Side::Front if stream > self.highest => {
                self.highest = stream;
                let rid = truth::rid_of(fields);
                self.streams.insert(stream, self.new_stream(rid));
                ledger.heads += 1;
                if let Some(rid) = rid {
                    let trace = ledger.trace(rid);
                    trace.front = Some((self.link, stream));
                    trace.client_gone |= self.peer_gone;
                    trace.left_out |= self.last_goaway.is_some_and(|last| stream > last);
                }
            }
            Side::Front => {}
            Side::Backend => {
                let Some(rid) = self.streams.get(&stream).and_then(|entry| entry.rid) else { return };
                let interim = value_of(fields, ":status").is_some_and(|status| status.starts_with(b"1"));
                if let Some(attempt) = ledger.attempt(rid, self.link, stream) {
                    attempt.interim += u32::from(interim);
                    attempt.head |= !interim;
                }
            }
        }
    }

    fn data_in(&mut self, stream: u32, content: u64, length: u64, ledger: &mut Ledger) {
        self.received += length;
        let Some(entry) = self.streams.get_mut(&stream) else { return };
        entry.received += length;
        entry.padding += length - content;
        let Some(rid) = entry.rid else { return };
        match self.side {
            Side::Front => ledger.trace(rid).received += content,
            Side::Backend => {
                if let Some(attempt) = ledger.attempt(rid, self.link, stream) {
                    attempt.received += content;
                }
            }
        }
    }

    fn end_in(&mut self, stream: u32, end: bool, known: bool, ledger: &mut Ledger) {
        let Some(entry) = self.streams.get_mut(&stream).filter(|_| end) else { return };
        entry.ended_by_peer = true;
        entry.end_known = known;
        let Some(rid) = entry.rid else { return };
        match self.side {
            Side::Front => ledger.trace(rid).request_ended = true,
            Side::Backend => {
                if let Some(attempt) = ledger.attempt(rid, self.link, stream) {
                    attempt.ended = true;
                }
            }
        }
    }

    fn reset_in(&mut self, stream: u32, code: u32, known: bool, ledger: &mut Ledger) {
        let Some(entry) = self.streams.get_mut(&stream) else { return };
        let open = entry.is_open();
        entry.reset_by_peer = true;
        entry.reset_known = known;
        let Some(rid) = entry.rid.filter(|_| open) else { return };
        match self.side {
            Side::Front => ledger.trace(rid).client_gone = true,
            Side::Backend => {
                if let Some(attempt) = ledger.attempt(rid, self.link, stream) {
                    attempt.reset = Some(code);
                }
            }
        }
    }

    /// The peer has taken the gateway's SETTINGS: from now on it sends by them.
    fn acknowledged_in(&mut self) {
        for (id, value) in self.gateway_settings.pop_front().unwrap_or_default() {
            match id {
                frame::HEADER_TABLE_SIZE => self.inbound.decoder.set_limit(value as usize),
                frame::MAX_FRAME_SIZE => self.inbound.reader.max_frame_size = value as usize,
                _ => {}
            }
        }
    }

    fn goaway_in(&mut self, last_stream: u32, known: bool, ledger: &mut Ledger) {
        self.peer_goaway_known |= known;
        if self.side == Side::Front {
            return;
        }
        for (&stream, entry) in self.streams.range(last_stream.saturating_add(1)..) {
            if let Some(attempt) = entry.rid.and_then(|rid| ledger.attempt(rid, self.link, stream)) {
                attempt.left_out = true;
            }
        }
    }

    pub(super) fn stream(&mut self, stream: u32) -> Option<&mut Stream> {
        self.streams.get_mut(&stream)
    }
}
