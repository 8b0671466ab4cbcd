//! Field blocks to messages: heads, interim responses and trailers (RFC 9113 sections 4.3 and 8.1).

use crate::error::{ConnectionError, StreamError};
use crate::fields::{FieldName, FieldSection, Origin};
use crate::frame;
use crate::h2::budget::cost;
use crate::h2::connection::Connection;
use crate::h2::event::Event;
use crate::h2::recv::{Received, Target};
use crate::h2::settings::Role;
use crate::h2::state::{ClosedBy, FrameKind, State, StreamEvent, Violation, closed_recv};
use crate::h2::streams::{Expected, Stream, StreamKey};
use crate::hpack::{DecodeError, Decoded, SectionLimits};
use crate::message::{self, Malformed, Method, Refusal, RequestHead, RequestRules, ResponseHead};
use crate::priority::Priority;
use crate::window::{RecvWindow, SendWindow};

/// The heads of sections that come again: a section has one meaning, and is checked once. Of requests, or of responses.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownHeads {
    requests: Known<RequestHead>,
    responses: Known<ResponseHead>,
}

/// By the origin of a section or of its form, the one that was asked for last.
type Known<T> = Option<(Origin, T)>;

/// What was found out about sections from there and `holds` of this one, or is found out now. What breaks a rule is looked at each time.
fn head_of<T: Copy>(
    known: &mut Known<T>,
    origin: Origin,
    holds: impl FnOnce(&T) -> bool,
    find_out: impl FnOnce() -> Result<T, Malformed>,
) -> Result<T, Malformed> {
    match *known {
        Some((of, head)) if of == origin && holds(&head) => Ok(head),
        _ => {
            let head = find_out()?;
            if origin != Origin::NONE {
                *known = Some((origin, head));
            }
            Ok(head)
        }
    }
}

/// A decoded field section.
struct Section {
    fields: FieldSection,
    end: bool,
    /// Beyond our limits: decoded for the table's sake, and dropped.
    too_large: bool,
}

impl Section {
    /// What it costs where nothing comes of it: `points`, if it is not too large.
    const fn cost(&self, points: u32) -> u32 {
        if self.too_large { cost::HEAD_TOO_LARGE } else { points }
    }

    fn is_request(&self) -> bool {
        self.fields.value_of(FieldName::Method).is_some()
    }
}

/// The end of a connection whose decoder can go on no more, or is not to.
#[cold]
fn error_of(error: DecodeError) -> ConnectionError {
    match error {
        DecodeError::LiteralsTooMany => ConnectionError::Misuse, // 9113-10.5-02
        _ => ConnectionError::Compression,
    }
}

impl Connection {
    /// A whole field block. It is decoded whatever becomes of its stream, so that the tables stay in step.
    pub(crate) fn recv_block<'a>(
        &mut self,
        stream_id: u32,
        block: &[u8],
        end: bool,
        self_dependent: bool,
    ) -> Received<'a> {
        self.blocks_received += 1;
        let target = self.target(stream_id);
        self.check_target(stream_id, &target, end)?;
        let limits = SectionLimits { size: self.config.max_header_list_size, fields: self.config.max_fields };
        let section = match self.decoder.known(block, limits) {
            Some(fields) => Section { fields, end, too_large: false },
            None => {
                let mut fields = core::mem::take(&mut self.spare_fields);
                let decoded = self.decoder.decode_anew(block, limits, &mut fields); // 9113-6.8-09, 9113-10.5.1-02
                // 9113-4.3-02, 9113-4.3-03
                let too_large = match decoded.map_err(error_of)? {
                    Decoded::Whole => false,
                    Decoded::OverLimit(_) => true,
                };
                Section { fields, end, too_large }
            }
        };
        match target {
            Target::Live(key) => {
                // It fails, which costs the rest.
                if section.too_large && self.role == Role::Server {
                    self.spend(cost::HEAD_TOO_LARGE - cost::RESET)?;
                }
                if self_dependent {
                    return self.fail_with(key, section, StreamError::PrioritySelf);
                }
                self.recv_section(key, section)
            }
            // A request on an identifier that was passed over (RFC 9113 section 5.1.1). Trailers may be late.
            Target::Closed(ClosedBy::Forgotten) if section.is_request() => {
                Err(ConnectionError::StreamIdDecreased) // 9113-5.1.1-02, 9113-5.1.1-03
            }
            Target::Closed(_) => {
                // A backend's connection is shared: who asks, and resets, is not the one that answers.
                let points =
                    if self.role == Role::Server { section.cost(cost::IGNORED) } else { cost::IGNORED };
                self.spend_late(points)?;
                self.discard(section)
            }
            Target::Idle => {
                self.last_peer_stream_id = stream_id; // 9113-8.7-03
                // What becomes of the stream: its signal stands for none any more.
                let early = self.signals.take_early(stream_id);
                // RFC 9113 section 6.8: behind our GOAWAY streams are ignored.
                if self.goaway_sent.is_some_and(|last| stream_id > last) {
                    self.spend(section.cost(cost::IGNORED))?;
                    self.expect_late_on_new_stream(end);
                    return self.discard(section);
                }
                if self_dependent {
                    return self.refuse(stream_id, section, StreamError::PrioritySelf);
                }
                self.recv_request(stream_id, section, early)
            }
        }
    }

    /// Errors that need no decoding, for the connection ends with them.
    fn check_target(&self, stream_id: u32, target: &Target, end: bool) -> Result<(), ConnectionError> {
        match target {
            Target::Live(_) => Ok(()),
            Target::Closed(by) => closed_recv(*by, FrameKind::Headers { end }),
            // RFC 9113 section 5.1.1: the server opens even ones, and only by push, which is off.
            // 9113-5.1-02
            Target::Idle if self.role == Role::Client => Err(ConnectionError::StreamIdle),
            Target::Idle if stream_id.is_multiple_of(2) => Err(ConnectionError::StreamIdParity),
            Target::Idle => Ok(()),
        }
    }

    /// Server: a new stream.
    fn recv_request<'a>(
        &mut self,
        stream_id: u32,
        section: Section,
        early: Option<Priority>,
    ) -> Received<'a> {
        if self.streams.len() >= self.config.max_concurrent_streams as usize {
            return self.refuse(stream_id, section, StreamError::StreamLimit); // 9113-5.1.2-02
        }
        if self.owes_too_much() {
            return Err(ConnectionError::Misuse);
        }
        let Section { fields, end, too_large } = section;
        let mut stream = self.new_stream(stream_id);
        stream.state = if end { State::HalfClosedRemote } else { State::Open };
        if too_large {
            self.spend(cost::HEAD_TOO_LARGE)?;
            stream.expected = Expected::Content { left: None };
            let stream = self.streams.insert(stream);
            self.recycle(fields);
            return Ok(Some(Event::RequestRefused { stream, refusal: Refusal::HeadTooLarge })); // 9110-5.4-01
        }
        let rules = RequestRules {
            extended_connect: self.config.extended_connect,
            authority_required: self.config.authority_required,
        };
        let known_requests = &mut self.known_heads.requests;
        let holds = |head: &_| fields.form().is_none_or(|(_, path)| message::admits_path(head, path));
        let head =
            head_of(known_requests, fields.form_or_origin(), holds, || message::request(&fields, &rules));
        // 9113-8.1.1-02, 9113-8.1.1-03
        let Ok(head) = head else {
            return self.refuse(stream_id, Section { fields, end, too_large }, StreamError::Malformed);
        };
        if end && head.content_length.is_some_and(|length| length > 0) {
            let section = Section { fields, end, too_large };
            return self.refuse(stream_id, section, StreamError::ContentLengthMismatch); // 9110-8.6-09
        }
        stream.expected = match head.method {
            Method::Connect => Expected::Tunnel,
            _ => Expected::Content { left: head.content_length },
        };
        stream.priority = self.priority_of_request(early, &fields);
        let stream = self.streams.insert(stream);
        self.traffic.requests += 1;
        Ok(Some(Event::Request { stream, head, fields, end }))
    }

    /// A section on a stream that exists: a response head or trailers.
    fn recv_section<'a>(&mut self, key: StreamKey, section: Section) -> Received<'a> {
        let Some(stream) = self.streams.slab.get_mut(key) else { return self.discard(section) };
        let kind = FrameKind::Headers { end: section.end };
        match stream.state.next(StreamEvent::Recv(kind)) {
            Ok(state) => stream.state = state,
            Err(Violation::Stream(error)) => return self.fail_with(key, section, error),
            Err(Violation::Connection(error)) => return Err(error),
            Err(Violation::Ours) => return Err(ConnectionError::Internal),
        }
        match stream.expected {
            Expected::Head => self.recv_response(key, section),
            Expected::Content { left } => self.recv_trailers(key, section, left),
            Expected::Tunnel => self.fail_with(key, section, StreamError::Malformed), // 9113-8.5-02
        }
    }

    fn recv_response<'a>(&mut self, key: StreamKey, section: Section) -> Received<'a> {
        if section.too_large {
            return self.fail_with(key, section, StreamError::FieldsTooLarge);
        }
        let known_responses = &mut self.known_heads.responses;
        let fields = &section.fields;
        let head = head_of(known_responses, fields.origin(), |_| true, || message::response(fields));
        // 9113-8.1.1-02, 9113-8.1.1-03, 9113-8.1.1-05
        let Ok(head) = head else {
            return self.fail_with(key, section, StreamError::Malformed);
        };
        let max_interim = self.config.max_interim_responses;
        let Some(stream) = self.streams.slab.get_mut(key) else { return self.discard(section) };
        let tag = stream.tag;
        // 9110-15.2-02
        if head.status < 200 {
            stream.interim_responses += 1;
            let error = match (section.end, stream.interim_responses > max_interim) {
                (true, _) => StreamError::InterimEnded,
                (false, true) => StreamError::InterimTooMany,
                (false, false) => {
                    return Ok(Some(Event::Interim { stream: key, tag, head, fields: section.fields }));
                }
            };
            return self.fail_with(key, section, error);
        }
        stream.expected = expected_content(stream.method, &head);
        if section.end && matches!(stream.expected, Expected::Content { left: Some(1..) }) {
            return self.fail_with(key, section, StreamError::ContentLengthMismatch);
        }
        self.close_if_over(key);
        Ok(Some(Event::Response { stream: key, tag, head, fields: section.fields, end: section.end }))
    }

    fn recv_trailers<'a>(&mut self, key: StreamKey, section: Section, left: Option<u64>) -> Received<'a> {
        let error = if !section.end {
            Some(StreamError::TrailersWithoutEnd) // 9113-8.1-05
        } else if section.too_large {
            Some(StreamError::FieldsTooLarge)
        } else if message::trailers(&section.fields).is_err() {
            Some(StreamError::Malformed)
        } else if left.is_some_and(|left| left > 0) {
            Some(StreamError::ContentLengthMismatch)
        } else {
            None
        };
        if let Some(error) = error {
            return self.fail_with(key, section, error);
        }
        let tag = self.streams.slab.get(key).map_or(0, |stream| stream.tag);
        self.close_if_over(key);
        Ok(Some(Event::Trailers { stream: key, tag, fields: section.fields }))
    }

    pub(crate) fn new_stream(&self, id: u32) -> Stream {
        let recv_window = RecvWindow::new(self.initial_recv_window);
        Stream::new(id, State::Idle, recv_window, SendWindow::new(self.peer.initial_window_size))
    }

    fn discard<'a>(&mut self, section: Section) -> Received<'a> {
        self.recycle(section.fields);
        Ok(None)
    }

    fn fail_with<'a>(&mut self, key: StreamKey, section: Section, error: StreamError) -> Received<'a> {
        self.recycle(section.fields);
        self.fail_stream(key, error)
    }

    /// A stream that never came to be: its content may follow.
    fn expect_late_on_new_stream(&mut self, end: bool) {
        if !end {
            self.expect_late(self.initial_recv_window.cast_signed());
        }
    }

    /// Resets a stream that its owner never heard of: 9113-8.7-02, 9113-8.7-03.
    fn refuse<'a>(&mut self, stream_id: u32, section: Section, error: StreamError) -> Received<'a> {
        self.streams.remember(stream_id, ClosedBy::OurReset);
        self.expect_late_frames();
        self.expect_late_on_new_stream(section.end);
        self.traffic.resets_sent += 1;
        if error == StreamError::StreamLimit {
            self.traffic.over_limit += 1;
            // Before it has seen our SETTINGS an honest client may open too many.
            self.spend(section.cost(cost::IGNORED))?;
        } else {
            self.traffic.malformed += 1;
            self.spend(section.cost(cost::RESET))?;
        }
        frame::put_rst_stream(self.outbox.tail(), stream_id, error.code());
        self.count_answer()?;
        self.discard(section)
    }
}

/// What must follow (RFC 9113 section 8.1.1): no content to HEAD and with 204 and 304 (RFC 9110 section 6.4.1), whatever
/// content-length says; octets without a length where CONNECT succeeded.
fn expected_content(method: Option<Method>, head: &ResponseHead) -> Expected {
    match (method, head.status) {
        (Some(Method::Connect), 200..=299) => Expected::Tunnel, // 9110-9.3.6-07
        (Some(Method::Head), _) | (_, 204 | 304) => Expected::Content { left: Some(0) },
        _ => Expected::Content { left: head.content_length },
    }
}
