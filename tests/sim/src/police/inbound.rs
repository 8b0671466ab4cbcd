//! What the gateway was given: noted, hardly judged. Model peers are judged by their own tests.

use super::outbound::status_of;
use super::{Police, Side, Stream};
use crate::ledger::{Ledger, Violation};
use crate::refcodec::frame::{self, Frame};
use crate::refcodec::hpack::Line;
use crate::refcodec::message::{self, Section};
use crate::refcodec::{Field, value_of};
use crate::scenario::Method;
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
        self.misused.came(&frame, ledger.now);
        let whole = self.inbound.fields(&frame).map_err(|message| Violation { id: "SIM", message })?;
        if let Some((stream, lines, end)) = whole {
            self.fields_in(stream, lines, end, ledger);
            self.end_in(stream, end, known, ledger);
        }
        match frame {
            Frame::Data { stream, ref content, end, .. } => {
                self.data_in(stream, content.len() as u64, frame.flow_controlled_length(), ledger);
                self.end_in(stream, end, known, ledger);
            }
            Frame::RstStream { stream, code } => self.reset_in(stream, code, known, ledger),
            Frame::Settings { ack: true, .. } => self.acknowledged_in(),
            Frame::Settings { settings, .. } => {
                // What comes when the gateway has given the connection up is not looked at any more.
                if self.is_engine() && !std::mem::replace(&mut self.established, true) {
                    self.idle_since = ledger.now;
                }
                self.peer_settings.push_back(settings);
            }
            Frame::Ping { ack: false, opaque } => self.peer_pings.push_back(opaque),
            Frame::GoAway { last_stream, .. } => self.goaway_in(last_stream, known, ledger),
            Frame::WindowUpdate { stream, increment } => {
                self.window_in(stream, increment.into(), known, ledger)?
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

    /// W2: what the peer grants never exceeds 2^31-1; where it does, the gateway must end the stream or the connection, and
    /// nothing of the increment counts (9113 section 6.9.1). A well-behaved peer does not.
    ///
    /// Content that the gateway has cut and not shown has left the window by its account, and not by ours: where there may be
    /// such, nobody can say whether the increment fits, and it counts. (An earlier version took it for one that does not.)
    fn window_in(
        &mut self,
        stream: u32,
        increment: i64,
        known: bool,
        ledger: &mut Ledger,
    ) -> Result<(), Violation> {
        let window = match stream {
            0 => &mut self.window,
            _ => match self.streams.get_mut(&stream) {
                Some(entry) => &mut entry.window,
                None => return Ok(()),
            },
        };
        let fits = *window + increment < 1 << 31;
        if fits {
            *window += increment;
        } else {
            self.overflowed.insert(stream);
            // The gateway goes by SETTINGS when they come, we when they are acknowledged.
            if known && self.peer_settings.is_empty() {
                self.overflowed_for_sure.insert(stream);
            } else {
                *window = (1 << 31) - 1;
            }
        }
        let (link, hostile) = (self.link, self.hostile);
        ledger.checks.premise("W2", !fits);
        ledger
            .check("W2", fits || hostile, || format!("link {link}: the window of stream {stream} overflows"))
    }

    fn fields_in(&mut self, stream: u32, lines: Vec<Line>, end: bool, ledger: &mut Ledger) {
        let never: Vec<Field> =
            lines.iter().filter(|line| line.never_indexed).map(|line| line.field.clone()).collect();
        let fields: Vec<Field> = lines.into_iter().map(|line| line.field).collect();
        match self.side {
            Side::Front if stream > self.highest && stream % 2 == 1 => {
                self.highest = stream;
                let rid = truth::rid_of(&fields).filter(|rid| !ledger.traces.contains_key(rid));
                let entry = self.new_stream(rid);
                self.streams.insert(stream, entry);
                self.follow(stream, ledger.now);
                ledger.heads += 1;
                let Some(rid) = rid else { return };
                let left_out = self.ended_by_gateway || self.last_goaway.is_some_and(|last| stream > last);
                let gone = self.peer_gone;
                let (now, nth) = (ledger.now, ledger.heads);
                let (link, malformed) = (self.link, message::malformed(Section::Request, &fields).is_some());
                let trace = ledger.trace(rid);
                trace.front = Some((link, stream));
                (trace.arrived, trace.nth) = (now, nth);
                trace.client_gone |= gone;
                trace.left_out |= left_out;
                trace.malformed = malformed;
                trace.never[0].extend(never);
                ledger.active.insert(rid);
            }
            Side::Front => {
                if let Some(rid) = self.streams.get(&stream).and_then(|entry| entry.rid) {
                    ledger.trace(rid).never[0].extend(never);
                }
            }
            Side::Backend => self.response_in(stream, &fields, never, end, ledger),
        }
    }

    fn response_in(
        &mut self,
        stream: u32,
        fields: &[Field],
        never: Vec<Field>,
        end: bool,
        ledger: &mut Ledger,
    ) {
        let Some(rid) = self.streams.get(&stream).and_then(|entry| entry.rid) else { return };
        let interim = value_of(fields, ":status").is_some_and(|status| status.starts_with(b"1"));
        let head_request = ledger.scripts.get(&rid).is_some_and(|e| e.request.method == Method::Head);
        // What comes late of an attempt that is over has never reached the client.
        let last = ledger.traces.get(&rid).and_then(|trace| trace.attempts.last());
        if last.is_some_and(|last| (last.link, last.stream) == (self.link, stream)) {
            ledger.trace(rid).never[1].extend(never);
        }
        let Some(attempt) = ledger.attempt(rid, self.link, stream) else { return };
        let section = if attempt.head { Section::Trailers } else { Section::Response };
        attempt.malformed |= message::malformed(section, fields).is_some()
            || (interim && end)
            || (section == Section::Trailers && !end);
        if section == Section::Trailers {
            return;
        }
        attempt.interim += u32::from(interim);
        attempt.head |= !interim;
        attempt.status = attempt.status.or_else(|| status_of(fields).filter(|_| !interim));
        if !interim && !head_request {
            let bodiless = matches!(value_of(fields, ":status"), Some(b"204" | b"304"));
            attempt.declared = message::content_length(fields).unwrap_or_default().filter(|_| !bodiless);
        }
    }

    fn data_in(&mut self, stream: u32, content: u64, length: u64, ledger: &mut Ledger) {
        self.received += length;
        let Some(entry) = self.streams.get_mut(&stream) else { return };
        // What comes after the end is no content of the stream; its length still counts for the connection.
        let late = entry.ended_by_peer;
        entry.received += length;
        entry.padding += length - content;
        let Some(rid) = entry.rid else { return };
        match self.side {
            Side::Front if late => {}
            Side::Front => ledger.trace(rid).received += content,
            Side::Backend => {
                if let Some(attempt) = ledger.attempt(rid, self.link, stream) {
                    attempt.malformed |= !attempt.head && !late;
                    if !late {
                        attempt.received += content;
                    }
                }
            }
        }
    }

    fn end_in(&mut self, stream: u32, end: bool, known: bool, ledger: &mut Ledger) {
        let Some(entry) = self.streams.get_mut(&stream).filter(|_| end) else { return };
        entry.ended_by_peer = true;
        entry.end_known = known;
        let (rid, in_time) = (entry.rid, !self.ended_by_gateway);
        self.follow(stream, ledger.now);
        let Some(rid) = rid else { return };
        match self.side {
            Side::Front => ledger.trace(rid).request_ended = true,
            Side::Backend => {
                if let Some(attempt) = ledger.attempt(rid, self.link, stream) {
                    (attempt.ended, attempt.ended_in_time) = (true, in_time);
                    attempt.malformed |= attempt.declared.is_some_and(|length| length != attempt.received);
                }
            }
        }
    }

    fn reset_in(&mut self, stream: u32, code: u32, known: bool, ledger: &mut Ledger) {
        let Some(entry) = self.streams.get_mut(&stream) else { return };
        let open = entry.is_open();
        entry.reset_by_peer = true;
        entry.reset_known = known;
        let (rid, now) = (entry.rid, ledger.now);
        self.follow(stream, now);
        let Some(rid) = rid.filter(|_| open) else { return };
        match self.side {
            Side::Front => {
                let trace = ledger.trace(rid);
                (trace.client_gone, trace.gone_known) = (true, known);
            }
            Side::Backend => {
                if let Some(attempt) = ledger.attempt(rid, self.link, stream) {
                    attempt.reset = Some(code);
                    attempt.refused_at = Some(now);
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
        self.peer_goaway_came = true;
        self.retired.get_or_insert(ledger.now);
        self.peer_last_stream = self.peer_last_stream.min(last_stream);
        if self.side == Side::Front {
            return;
        }
        for (&stream, entry) in self.streams.range(last_stream.saturating_add(1)..) {
            if let Some(attempt) = entry.rid.and_then(|rid| ledger.attempt(rid, self.link, stream)) {
                attempt.told_late |= attempt.is_over() && !attempt.left_out;
                attempt.left_out = true;
            }
        }
    }

    pub(super) fn stream(&mut self, stream: u32) -> Option<&mut Stream> {
        self.streams.get_mut(&stream)
    }
}
