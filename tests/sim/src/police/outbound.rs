//! What the gateway emitted: judged frame by frame.

use super::{Police, Progress, Side};
use crate::invariants;
use crate::ledger::{Attempt, Head, Ledger, Thaw, Violation};
use crate::refcodec::frame::{self, Frame};
use crate::refcodec::hpack::Line;
use crate::refcodec::message::{self, Section};
use crate::refcodec::{Field, value_of};
use crate::truth::{self, Direction};

/// Requests taken back from a backend in a row, after which the gateway gives it some seconds.
pub(super) const STRAIN_MAX: usize = 99;

/// What a field section that is well-formed obeys (9113 8.2 and 8.3).
const WELL_FORMED: [&str; 10] = [
    // Of trailers alone.
    "9113-8.1-03",
    "9113-8.1.1-02",
    "9113-8.2-01",
    "9113-8.2.1-08",
    "9113-8.2.2-01",
    "9113-8.3-01",
    "9113-8.3-02",
    "9113-8.3-03",
    "9113-8.3-05",
    "9113-8.3-07",
];

pub(super) fn status_of(fields: &[Field]) -> Option<u16> {
    value_of(fields, ":status").and_then(|text| std::str::from_utf8(text).ok()?.parse().ok())
}

impl Police {
    pub(super) fn frame_out(&mut self, frame: Frame, ledger: &mut Ledger) -> Result<(), Violation> {
        self.outbound.frames += 1;
        let at = self.outbound_at;
        self.outbound_at += frame.encode().len() as u64;
        if matches!(frame, Frame::Headers { .. }) {
            self.block_at = at;
        }
        let first = self.outbound.frames == 1;
        let opens_well = !first || matches!(frame, Frame::Settings { ack: false, .. });
        let link = self.link;
        ledger.note(|| format!("link {link} out: {frame}"));
        self.misused.left(&frame, ledger.now);
        ledger.require(&["9113-3.4-01", "9113-3.4-02", "9113-6.5-01"], "C4", opens_well, || {
            format!("link {link}: the first frame is {frame:?} (9113 3.4)")
        })?;
        if matches!(frame, Frame::Settings { ack: true, .. } | Frame::Ping { ack: true, .. }) {
            self.answer_out(ledger)?;
        }
        let whole = self.block_out(&frame, ledger)?;
        if let Some((stream, lines, end)) = whole {
            self.fields_out(stream, lines, end, ledger)?;
        }
        match frame {
            Frame::Data { stream, content, padding, end } => {
                self.data_out(stream, &content, padding, end, ledger)
            }
            Frame::RstStream { stream, code } => self.reset_out(stream, code, ledger),
            Frame::Settings { ack: true, .. } => self.acknowledge(ledger),
            Frame::Settings { settings, .. } => {
                self.gateway_settings.push_back(settings);
                Ok(())
            }
            Frame::Ping { ack: true, opaque } => {
                let expected = self.peer_pings.pop_front();
                ledger.require(&["9113-6.7-02"], "C5", expected == Some(opaque), || {
                    format!("link {link}: a PING answer {opaque:?}, due was {expected:?} (9113 6.7)")
                })
            }
            Frame::GoAway { last_stream, code, .. } => self.goaway_out(last_stream, code, ledger),
            Frame::WindowUpdate { stream, increment } => self.credit_out(stream, increment, ledger),
            Frame::PushPromise { stream } => {
                ledger.check("C4", false, || format!("PUSH_PROMISE on {stream}"))
            }
            Frame::Headers { .. }
            | Frame::Continuation { .. }
            | Frame::Priority { .. }
            | Frame::Ping { .. }
            | Frame::Unknown { .. } => Ok(()),
        }
    }

    /// C1, C2, C4: field blocks are contiguous, and a decoder of the peer's settings understands them: our table is its table,
    /// for a wrong entry or size is a wrong field sooner or later, and those are judged by D2; a lowered limit is followed by
    /// the size updates that RFC 7541 section 4.2 demands, or the decoder refuses the block.
    fn block_out(
        &mut self,
        frame: &Frame,
        ledger: &mut Ledger,
    ) -> Result<Option<(u32, Vec<Line>, bool)>, Violation> {
        let link = self.link;
        let lowered = self.outbound.decoder.owes_update();
        let whole = self.outbound.fields(frame);
        let id = match &whole {
            Ok(Some(_)) if lowered => "C2",
            Ok(Some(_)) => "C1",
            Ok(None) => "C4",
            Err(text) if text.contains("size update") => "C2",
            Err(text) if text.contains("CONTINUATION") || text.contains("interrupts") => "C4",
            Err(_) => "C1",
        };
        let contiguous = ["9113-4.3-01", "9113-6.2-03", "9113-6.10-01", "9113-8.1-02"];
        ledger.require(&contiguous, id, whole.is_ok(), || {
            format!("link {link}: {}", whole.as_ref().unwrap_err())
        })?;
        Ok(whole.unwrap_or_default())
    }

    /// C3: a line that came with the order never to index it leaves with that order (7541 section 6.2.3).
    fn never_indexed_stays(&self, rid: u64, lines: &[Line], ledger: &mut Ledger) -> Result<(), Violation> {
        let Some(trace) = ledger.traces.get(&rid) else { return Ok(()) };
        let never = &trace.never[usize::from(self.side == Side::Front)];
        if never.is_empty() {
            return Ok(());
        }
        let indexed = lines.iter().find(|line| !line.never_indexed && never.contains(&line.field));
        let text = indexed.map(|line| format!("{}: {line:?} may be indexed now", self.name(0)));
        ledger.check("C3", text.is_none(), || text.unwrap_or_default())
    }

    fn fields_out(
        &mut self,
        stream: u32,
        lines: Vec<Line>,
        end: bool,
        ledger: &mut Ledger,
    ) -> Result<(), Violation> {
        let fields: Vec<Field> = lines.iter().map(|line| line.field.clone()).collect();
        let owner = truth::rid_of(&fields).or(self.streams.get(&stream).and_then(|entry| entry.rid));
        // What the gateway answers by itself is nobody's: it may say by chance what a backend has said before.
        let begins = self.stream(stream).is_none_or(|entry| entry.progress == Progress::Nothing);
        let local = self.side == Side::Front && begins && !truth::is_of_backend(&fields);
        if let Some(rid) = owner.filter(|_| !local) {
            self.never_indexed_stays(rid, &lines, ledger)?;
        }
        if self.side == Side::Backend && stream > self.highest {
            self.open_out(stream, &fields, ledger)?;
        }
        self.stream_takes_frames(stream, ledger)?;
        let name = self.name(stream);
        let progress = self.stream(stream).map_or(Progress::Nothing, |entry| entry.progress);
        let section = match (progress, self.side) {
            (Progress::Nothing, Side::Front) => Section::Response,
            (Progress::Nothing, Side::Backend) => Section::Request,
            _ => Section::Trailers,
        };
        let malformed = message::malformed(section, &fields);
        let shown = &WELL_FORMED[usize::from(section != Section::Trailers)..];
        ledger.require(shown, "A1", malformed.is_none(), || {
            format!("{name}: {}", malformed.unwrap_or_default())
        })?;
        let interim =
            section == Section::Response && value_of(&fields, ":status").is_some_and(|s| s.starts_with(b"1"));
        ledger.check("L5", !(interim && end), || {
            format!("{name}: an interim response with END_STREAM (9113 8.1)")
        })?;
        ledger.check("L5", section != Section::Trailers || end, || {
            format!("{name}: trailers without END_STREAM")
        })?;
        let entry = self.streams.get_mut(&stream).expect("the stream was just checked");
        entry.trailers |= section == Section::Trailers;
        if section != Section::Trailers && !interim {
            entry.progress = Progress::Head;
            entry.declared = message::content_length(&fields).unwrap_or_default();
        }
        self.sections_are_true(stream, section, interim, &fields, ledger)?;
        if end { self.end_out(stream, ledger) } else { Ok(()) }
    }

    /// A request goes to a backend.
    fn open_out(&mut self, stream: u32, fields: &[Field], ledger: &mut Ledger) -> Result<(), Violation> {
        let name = self.name(stream);
        ledger.require(&["9113-5.1.1-01"], "C4", stream % 2 == 1, || {
            format!("{name}: an even stream (9113 5.1.1)")
        })?;
        ledger.require(&["9113-6.8-01"], "R6", !self.peer_goaway_known, || {
            format!("{name}: opened after GOAWAY came (9113 6.8)")
        })?;
        let open = self.open_streams();
        let limit = self.max_concurrent.map_or(self.assumed_max_concurrent, |limit| limit) as usize;
        ledger.require(&["9113-5.1.2-01"], "C6", open < limit, || {
            format!("{name}: opened with {open} streams open, limit {limit}")
        })?;
        self.highest = stream;
        let rid = truth::rid_of(fields);
        let mut entry = self.new_stream(rid);
        entry.head_at = self.block_at;
        self.unsent.push_back((self.block_at, stream));
        self.streams.insert(stream, entry);
        let beside: Vec<u64> = self.open_requests().collect();
        self.follow(stream, ledger.now);
        let Some(rid) = rid else {
            return ledger.check("D2", false, || format!("{name}: a request without a number"));
        };
        invariants::r1_only_what_may_be_kept_is_sent_again(ledger, rid)?;
        invariants::r3_only_unprocessed_requests_are_sent_again(ledger, rid)?;
        // The gateway may have opened it before it read the GOAWAY that leaves it out.
        let left_out = stream > self.peer_last_stream;
        let (at, heads) = (ledger.now, ledger.heads);
        let (link, fields) = (self.link, fields.to_vec());
        let hostile = self.hostile;
        let attempt = Attempt { link, stream, opened: at, hostile, fields, left_out, ..Attempt::default() };
        let trace = ledger.trace(rid);
        trace.attempts.push(attempt);
        let thaw = Thaw { rid, attempt: trace.attempts.len() - 1, at, heads };
        // What an earlier attempt's response ordered is of no account any more.
        trace.never[1].clear();
        invariants::e11_connections_are_shared_as_configured(ledger, rid, self.link, &beside)?;
        invariants::r4_r5_attempts_are_few_and_alike(ledger, rid)?;
        ledger.thawed.push(thaw);
        // Its client may have gone without the gateway's knowledge: then it was held for over.
        ledger.active.insert(rid);
        invariants::e10_nothing_is_asked_for_who_has_gone(ledger, rid)
    }

    /// L4, C4: the stream is open for what the gateway sends.
    fn stream_takes_frames(&mut self, stream: u32, ledger: &mut Ledger) -> Result<(), Violation> {
        let name = self.name(stream);
        let Some(entry) = self.stream(stream) else {
            return ledger.check("C4", false, || format!("{name}: a frame on an idle stream (9113 5.1)"));
        };
        let (ended, reset, known) =
            (entry.progress == Progress::Ended, entry.reset_by_gateway, entry.reset_known);
        ledger.require(&["9113-5.1-09"], "L5", !ended, || {
            format!("{name}: a frame after END_STREAM (9113 5.1)")
        })?;
        ledger.require(&["9113-5.1-09"], "C4", !reset, || {
            format!("{name}: a frame after RST_STREAM (9113 6.4)")
        })?;
        ledger.require(&["9113-6.4-01"], "L4", !known, || {
            format!("{name}: a frame after the peer reset the stream (9113 5.1)")
        })
    }

    /// D2, E2, L8: fields are those of the stream's request, and of a backend only where a backend has answered.
    fn sections_are_true(
        &mut self,
        stream: u32,
        section: Section,
        interim: bool,
        fields: &[Field],
        ledger: &mut Ledger,
    ) -> Result<(), Violation> {
        let name = self.name(stream);
        let Some(rid) = self.stream(stream).and_then(|entry| entry.rid) else { return Ok(()) };
        let scripts = ledger.scripts.clone();
        let Some(exchange) = scripts.get(&rid) else { return Ok(()) };
        let local = ledger.trace(rid).head.is_some_and(|head| head != Head::Backend);
        let expected = match (section, self.side) {
            (Section::Request, _) => truth::request_head(exchange),
            (Section::Response, _) if !truth::is_of_backend(fields) => {
                let status = status_of(fields);
                ledger.trace(rid).head = Some(Head::Local(status.unwrap_or_default()));
                return invariants::e2_a_frozen_request_shows_nothing(ledger, rid);
            }
            // What the backend says there is not the script's: it is the backend's fault and nobody else's.
            (Section::Response | Section::Trailers, Side::Front) if exchange.response.mischief.is_some() => {
                Vec::new()
            }
            (Section::Response, _) if interim => truth::interim_head(exchange),
            (Section::Response, _) => truth::response_head(exchange),
            (Section::Trailers, Side::Front) if local => Vec::new(),
            (Section::Trailers, Side::Front) => truth::trailers(exchange, Direction::Response),
            (Section::Trailers, Side::Backend) => truth::trailers(exchange, Direction::Request),
        };
        let difference = truth::field_difference(rid, &expected, fields);
        ledger.check("D2", difference.is_none(), || format!("{name}: {}", difference.unwrap_or_default()))?;
        if !expected.is_empty() && !crate::mischief::is_decoy(rid) {
            // D3: nothing is lost, added or moved but what the gateway owes to the message: `via`, `date`, and to a backend what it
            // is told of the client. `x-from` is the backend's.
            let owed: [&[u8]; 6] =
                [b"via", b"date", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-from"];
            let added = |name: &[u8]| owed.contains(&name);
            let kept: Vec<&Field> = fields.iter().filter(|(name, _)| !added(name)).collect();
            let exact = kept.len() == expected.len() && kept.iter().zip(&expected).all(|(a, b)| **a == *b);
            ledger.check("D3", exact, || format!("{name}: {kept:?} for {expected:?}"))?;
        }
        if section == Section::Response {
            let trace = ledger.trace(rid);
            trace.interim += u32::from(interim);
            if !interim {
                trace.head = Some(Head::Backend);
                trace.status = status_of(fields);
                invariants::l8_the_head_is_the_last_attempts(ledger, rid, fields)?;
            }
            invariants::e2_a_frozen_request_shows_nothing(ledger, rid)?;
        }
        Ok(())
    }

    fn data_out(
        &mut self,
        stream: u32,
        content: &[u8],
        padding: Option<u8>,
        end: bool,
        ledger: &mut Ledger,
    ) -> Result<(), Violation> {
        self.stream_takes_frames(stream, ledger)?;
        let name = self.name(stream);
        let length = content.len() as i64 + padding.map_or(0, |pad| i64::from(pad) + 1);
        let window = self.window;
        let entry = self.streams.get_mut(&stream).expect("the stream was just checked");
        let (of_stream, head) = (entry.window, entry.progress == Progress::Head);
        ledger.check("L5", head, || format!("{name}: DATA before the head (9113 8.1)"))?;
        let windows = ["9113-5.2.1-02", "9113-6.9.1-01", "9113-6.9.2-02"];
        ledger.require(&windows, "W1", length == 0 || (length <= of_stream && length <= window), || {
            format!("{name}: {length} octets at windows {of_stream} and {window} (9113 6.9.1)")
        })?;
        entry.window -= length;
        self.window -= length;
        let from = entry.sent;
        entry.sent += content.len() as u64;
        if let Some(rid) = entry.rid {
            self.content_out(rid, stream, from, content, ledger)?;
        }
        if end { self.end_out(stream, ledger) } else { Ok(()) }
    }

    fn content_out(
        &self,
        rid: u64,
        stream: u32,
        from: u64,
        content: &[u8],
        ledger: &mut Ledger,
    ) -> Result<(), Violation> {
        let (name, length) = (self.name(stream), content.len() as u64);
        let direction = match self.side {
            Side::Front => {
                let trace = ledger.trace(rid);
                trace.sent += length;
                if trace.head != Some(Head::Backend) {
                    return Ok(());
                }
                Direction::Response
            }
            Side::Backend => {
                if let Some(attempt) = ledger.attempt(rid, self.link, stream) {
                    attempt.request_sent += length;
                }
                Direction::Request
            }
        };
        if crate::mischief::is_decoy(rid) {
            return invariants::d1_content_is_a_prefix(ledger, rid);
        }
        let wrong = truth::first_wrong(rid, direction, from, content);
        ledger.check("D2", wrong.is_none(), || {
            format!(
                "{name}: {direction:?} content of request {rid} is wrong at octet {}",
                wrong.unwrap_or_default()
            )
        })?;
        invariants::d1_content_is_a_prefix(ledger, rid)
    }

    fn end_out(&mut self, stream: u32, ledger: &mut Ledger) -> Result<(), Violation> {
        let name = self.name(stream);
        let entry = self.streams.get_mut(&stream).expect("the stream was just checked");
        entry.progress = Progress::Ended;
        let (declared, sent, rid, has_trailers) = (entry.declared, entry.sent, entry.rid, entry.trailers);
        self.follow(stream, ledger.now);
        let bodiless = self.side == Side::Front && sent == 0;
        ledger.require(
            &["9110-8.6-09"],
            "L5",
            bodiless || declared.is_none_or(|length| length == sent),
            || format!("{name}: {sent} octets of content, content-length {declared:?} (9113 8.1.1)"),
        )?;
        let Some(rid) = rid else { return Ok(()) };
        // D3: trailers stay trailers. Those of responses are judged by what the client got.
        let owed = ledger.scripts.get(&rid).is_some_and(|exchange| exchange.request.trailers);
        let lost = owed && !has_trailers && self.side == Side::Backend && !crate::mischief::is_decoy(rid);
        ledger.check("D3", !lost, || format!("{name}: request {rid} ends without its trailers"))?;
        match self.side {
            Side::Front => ledger.trace(rid).ended = true,
            Side::Backend => {
                if let Some(attempt) = ledger.attempt(rid, self.link, stream) {
                    attempt.request_ended = true;
                }
            }
        }
        // What broke off is told as that, not as content that is missing.
        if self.side == Side::Front {
            invariants::l6_only_whole_responses_end_cleanly(ledger, rid)?;
        }
        invariants::d1_content_is_a_prefix(ledger, rid)
    }

    fn reset_out(&mut self, stream: u32, code: u32, ledger: &mut Ledger) -> Result<(), Violation> {
        let (name, link, side, hostile) = (self.name(stream), self.link, self.side, self.hostile);
        let Some(entry) = self.stream(stream) else {
            return ledger
                .check("C4", hostile, || format!("{name}: RST_STREAM on an idle stream (9113 6.4)"));
        };
        let (again, answer) = (entry.reset_by_gateway, entry.reset_known);
        // A hostile peer may end with what is malformed, or go on after its end: RST_STREAM answers (9113 5.1, 8.1.1).
        let closed = entry.progress == Progress::Ended && entry.end_known && !hostile;
        entry.reset_by_gateway = true;
        let rid = entry.rid;
        self.follow(stream, ledger.now);
        ledger.require(&["9113-5.4.2-02"], "C4", !again, || format!("{name}: a second RST_STREAM"))?;
        ledger.require(&["9113-5.4.2-04"], "C4", !answer, || {
            format!("{name}: RST_STREAM in answer to RST_STREAM (9113 5.4.2)")
        })?;
        ledger.check("C4", !closed, || format!("{name}: RST_STREAM on a closed stream"))?;
        let Some(rid) = rid else { return Ok(()) };
        match side {
            Side::Front => {
                let trace = ledger.trace(rid);
                if !trace.ended {
                    trace.reset = Some(code);
                }
            }
            Side::Backend => {
                if let Some(attempt) = ledger.attempt(rid, link, stream) {
                    attempt.reset_by_gateway = true;
                }
                self.taken_back.push_back(ledger.now);
                if self.taken_back.len() > STRAIN_MAX {
                    self.taken_back.pop_front();
                }
            }
        }
        Ok(())
    }

    fn goaway_out(&mut self, last_stream: u32, code: u32, ledger: &mut Ledger) -> Result<(), Violation> {
        let (link, before) = (self.link, self.last_goaway);
        ledger.require(&["9113-6.8-06"], "C7", before.is_none_or(|before| last_stream <= before), || {
            format!("link {link}: GOAWAY {last_stream} after {before:?} (9113 6.8)")
        })?;
        self.last_goaway = Some(last_stream);
        self.retired.get_or_insert(ledger.now);
        let failed = code != frame::NO_ERROR;
        if failed && self.side == Side::Backend {
            // The gateway has given the connection up, with all that is on it (9113 section 5.4.1).
            self.end_attempts(ledger);
        }
        // N5: whoever keeps to the protocol, and does not open a large window in crumbs, never hits a budget, nor any other error.
        ledger.checks.premise("N5", code == frame::ENHANCE_YOUR_CALM && self.side == Side::Front);
        let misused = code == frame::ENHANCE_YOUR_CALM && self.crumbles();
        ledger.check("N5", !failed || self.hostile || self.slow || misused, || {
            format!("link {link}: GOAWAY with code {code} to a peer that did nothing wrong")
        })?;
        if self.side == Side::Front {
            // An error ends the connection and with it every stream, answered or not.
            let from = if failed { 0 } else { last_stream.saturating_add(1) };
            for (_, entry) in self.streams.range(from..) {
                if let Some(rid) = entry.rid {
                    ledger.trace(rid).left_out = true;
                }
            }
        }
        Ok(())
    }

    fn credit_out(&mut self, stream: u32, increment: u32, ledger: &mut Ledger) -> Result<(), Violation> {
        let name = self.name(stream);
        ledger.check("C4", increment > 0, || format!("{name}: WINDOW_UPDATE of 0 (9113 6.9)"))?;
        if stream == 0 {
            self.credited += u64::from(increment);
            let (credited, received, growth) = (self.credited, self.received, self.growth);
            return ledger.check("W3", credited <= received + growth, || {
                format!("{name}: {credited} octets credited, {received} received, {growth} to begin with")
            });
        }
        let growth = self.stream_growth;
        let Some(entry) = self.stream(stream) else {
            return ledger
                .check("C4", false, || format!("{name}: WINDOW_UPDATE on an idle stream (9113 5.1)"));
        };
        entry.credited += u64::from(increment);
        let (credited, received) = (entry.credited, entry.received + growth);
        ledger
            .check("W3", credited <= received, || format!("{name}: {credited} octets credited of {received}"))
    }
}
