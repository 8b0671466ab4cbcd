//! Commands to octets. Responses leave in the order of their requests: what is sent on a later exchange waits in it until
//! those before have left.

use crate::fields::FieldSection;
use crate::h1::connection::{Connection, DROPPED_MAX, Recv, Refused};
use crate::h1::content::Incoming;
use crate::h1::exchange::{Exchange, Sending};
use crate::h1::framing::Framing;
use crate::h1::write::{self, ResponseFrame};
use crate::h2::{Cut, Role, SendError, Sent, StreamKey};
use crate::message::{self, Method, ResponseHead, Version};
use crate::outbox::UNASKED;

/// What a client hears whose request's content cannot be read, where nothing else has been said.
const BAD_REQUEST: &[u8] = b"HTTP/1.1 400 Bad Request\r\n";
/// What one hears whose trailers exceed the limits (RFC 6585 section 5).
const FIELDS_TOO_LARGE: &[u8] = b"HTTP/1.1 431 Request Header Fields Too Large\r\n";
/// What one hears whose request has not come whole in time (RFC 9110 section 15.5.9).
const REQUEST_TIMEOUT: &[u8] = b"HTTP/1.1 408 Request Timeout\r\n";

impl Connection {
    /// Server: an interim or final response head. With `end`, a final one without content. What is no well-formed response,
    /// or cannot be ended as its content-length says, is not written: the connection has failed.
    ///
    /// # Errors
    ///
    /// The exchange is gone or its response has ended, or its final head was sent before.
    pub fn send_head(&mut self, key: StreamKey, fields: &FieldSection, end: bool) -> Result<(), SendError> {
        let exchange = self.exchanges.get(key).filter(|exchange| !exchange.is_left).ok_or(SendError::Gone)?;
        if self.has_failed || self.role == Role::Client || exchange.sending == Sending::Over {
            return Err(SendError::Gone);
        }
        if exchange.sending != Sending::Head {
            return Err(SendError::OutOfOrder);
        }
        let Ok(head) = self.again.response_head(fields) else {
            self.break_exchange(key);
            return Err(SendError::Gone);
        };
        if head.status < 200 {
            if end {
                return Err(SendError::OutOfOrder);
            }
            return self.send_interim(key, &head, fields);
        }
        let Some(framing) = response_framing(exchange, &head, end) else {
            self.break_exchange(key);
            return Err(SendError::Gone);
        };
        self.settle_fate(key, framing, (head.status, end));
        // The last is a 400 or 408, where one is owed (9112-9.6-04).
        let owes_refusal = matches!(self.refused, Refused::OwesBadRequest | Refused::OwesTooLarge);
        let owes = owes_refusal || self.owes_request_timeout;
        let is_last = self.order.back() == Some(&key) && !owes;
        let is_current = self.order.front() == Some(&key);
        let Some(exchange) = self.exchanges.get_mut(key) else { return Err(SendError::Gone) };
        let upgrade = exchange.upgrade.take();
        let close = is_last && self.is_closing && framing != Framing::Tunnel;
        let frame = ResponseFrame { framing, upgrade: upgrade.as_deref(), close, version: exchange.version };
        let out = if is_current { self.outbox.tail_for(write::len_max(fields)) } else { &mut exchange.heads };
        // 9110-7.8-12
        if upgrade.is_some() && framing == Framing::Tunnel && exchange.awaits_continue {
            out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        self.again.write_response(out, &head, fields, &frame);
        exchange.sending = Sending::Content(framing);
        if end {
            exchange.end_queued = true;
            if is_current {
                self.end_message(key);
            }
        }
        Ok(())
    }

    /// An HTTP/1.0 client does not know interim responses: 9110-15.2-01.
    fn send_interim(
        &mut self,
        key: StreamKey,
        head: &ResponseHead,
        fields: &FieldSection,
    ) -> Result<(), SendError> {
        let is_current = self.order.front() == Some(&key);
        let exchange = self.exchanges.get_mut(key).ok_or(SendError::Gone)?;
        if exchange.version > Version::Http10 {
            exchange.awaits_continue &= head.status != 100;
            let out =
                if is_current { self.outbox.tail_for(write::len_max(fields)) } else { &mut exchange.heads };
            write::interim(out, head.status, fields);
        }
        Ok(())
    }

    /// What the final head decides about the connection.
    fn settle_fate(&mut self, key: StreamKey, framing: Framing, (status, end): (u16, bool)) {
        let is_long = |incoming: &Incoming| match incoming {
            Incoming::Length(left) => *left > DROPPED_MAX as u64,
            // Nobody knows: who has failed is not to find out by a connection that ends.
            Incoming::Chunked(_) => status >= 400,
            Incoming::UntilClose => false,
        };
        let has_much_left =
            matches!(&self.recv, Recv::Content(of, incoming) if *of == key && is_long(incoming));
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        // The client may send its content now or never: whoever reads on cannot tell content from the next request.
        self.is_closing |= exchange.awaits_continue || framing == Framing::UntilClose;
        // 9112-9.6-04: of a request that is answered, or fails, before its end; as much as is left would not be read. RFC 9110 section
        // 15.5.9: nor is more of one that did not come in time.
        self.is_closing |= has_much_left && (end || status >= 400) || (status == 408 && exchange.recv_open);
        if !matches!(self.recv, Recv::Undecided(of) if of == key) {
            return;
        }
        self.is_held = false;
        if framing == Framing::Tunnel {
            self.is_closing = true;
            self.recv = Recv::Content(key, Incoming::UntilClose);
            return;
        }
        // What comes behind a CONNECT may be meant for the tunnel, and is no request then.
        self.is_closing |= exchange.upgrade.is_none();
        exchange.recv_open = false;
        self.recv = Recv::Head;
    }

    /// Appends content; `end` ends the message. What the outbox has room for is cut at once, if it is this stream's turn; the
    /// rest waits.
    ///
    /// # Errors
    ///
    /// The exchange is gone or our message has ended, its head was not sent, or the content is not as long as that said: then the exchange breaks.
    pub fn send_data(&mut self, key: StreamKey, data: &[u8], end: bool) -> Result<Sent, SendError> {
        let is_current = self.order.front() == Some(&key);
        let exchange =
            self.exchanges.get_mut(key).filter(|exchange| !exchange.is_left).ok_or(SendError::Gone)?;
        if self.has_failed || exchange.end_queued {
            return Err(SendError::Gone);
        }
        let Sending::Content(framing) = &mut exchange.sending else { return Err(SendError::OutOfOrder) };
        // RFC 9112 section 6.3: one octet more would be read as the next message.
        let fits = match framing {
            Framing::Length(left) => left.checked_sub(data.len() as u64).map(|rest| *left = rest).is_some(),
            Framing::None => data.is_empty(),
            Framing::Chunked | Framing::UntilClose | Framing::Tunnel => true,
        };
        let is_whole = !end || !matches!(framing, Framing::Length(1..));
        let framing = *framing;
        if framing == Framing::None && !fits {
            // Content that the message cannot have: HEAD, 304.
            exchange.end_queued = end;
            if end && is_current {
                self.end_message(key);
            }
            return Ok(Sent { cut: data.len(), waits: false });
        }
        if !fits || !is_whole {
            self.break_exchange(key);
            return Err(SendError::Gone);
        }
        exchange.end_queued = end;
        let room = self.config.outbox_high_mark.saturating_sub(self.outbox.len());
        let at_once = is_current && exchange.queue.is_empty() && !exchange.awaits_tunnel;
        let n = if at_once { data.len().min(room) } else { 0 };
        exchange.queue.extend(&data[n..]);
        let waits = !exchange.queue.is_empty();
        if n > 0 {
            put(self.outbox.tail_for(CHUNK_FRAME_LEN + n), framing, &data[..n]);
        }
        if end && at_once && n == data.len() {
            self.end_message(key);
        }
        Ok(Sent { cut: n, waits })
    }

    /// Ends the message with a trailer section, behind all content. Where the framing has no place for one it is dropped. `false`: content waits,
    /// and a [`Cut`] tells of the end.
    ///
    /// # Errors
    ///
    /// As of [`send_data`](Self::send_data).
    pub fn send_trailers(&mut self, key: StreamKey, fields: FieldSection) -> Result<bool, SendError> {
        let is_current = self.order.front() == Some(&key);
        let exchange =
            self.exchanges.get_mut(key).filter(|exchange| !exchange.is_left).ok_or(SendError::Gone)?;
        if self.has_failed || exchange.end_queued {
            return Err(SendError::Gone);
        }
        let Sending::Content(framing) = exchange.sending else { return Err(SendError::OutOfOrder) };
        if matches!(framing, Framing::Length(1..)) {
            self.break_exchange(key);
            return Err(SendError::Gone);
        }
        if framing == Framing::Chunked && message::trailers(&fields).is_ok() {
            exchange.trailers = Some(Box::new(fields));
        }
        exchange.end_queued = true;
        let waits = !exchange.queue.is_empty();
        if is_current && !waits && !exchange.awaits_tunnel {
            self.end_message(key);
        }
        Ok(!waits)
    }

    /// The owner appends nothing more: what waits in the exchange's queue gets memory of about its size. Says how much that is.
    pub fn fit_queue(&mut self, key: StreamKey) -> usize {
        self.exchanges.get_mut(key).map_or(0, |exchange| exchange.queue.fit_if_roomy())
    }

    /// Octets of sections that wait behind another exchange.
    fn sections_waiting(&self) -> usize {
        if self.order.len() < 2 {
            return 0;
        }
        self.exchanges.iter().map(|(_, exchange)| exchange.sections_waiting()).sum()
    }

    /// Octets that wait to be written, those behind another exchange included.
    pub fn output_waiting(&self) -> usize {
        self.outbox.len() + 2 * self.sections_waiting()
    }

    /// Memory of what waits to be written, when a section of so many octets has been added, if any, and what nobody asks for memory for. Those
    /// behind another exchange have memory that grows by doubling.
    pub fn output_memory(&self, section: usize) -> usize {
        let octets = if section > 0 { section + write::BESIDE_FIELDS } else { 0 };
        self.outbox.capacity_for(octets + UNASKED) + 2 * self.sections_waiting()
    }

    /// Moves content that waits into the outbox, from the stream whose turn it is, unless the outbox is full or the connection
    /// has failed. `octets` are those of content.
    pub fn cut(&mut self) -> Option<Cut> {
        let room = self.config.outbox_high_mark.saturating_sub(self.outbox.len());
        let &key = self.order.front()?;
        let exchange = self.exchanges.get_mut(key).filter(|exchange| exchange.has_output())?;
        if room == 0 || self.has_failed {
            return None;
        }
        let Sending::Content(framing) = exchange.sending else { return None };
        let n = exchange.queue.len().min(room);
        if n > 0 {
            put(self.outbox.tail_for(CHUNK_FRAME_LEN + n), framing, &exchange.queue.as_slice()[..n]);
            exchange.queue.consume_and_fit(n);
        }
        let end = exchange.end_queued && exchange.queue.is_empty();
        let cut = Cut { stream: key, tag: exchange.tag, octets: n as u32, end };
        if end {
            self.end_message(key);
        }
        Some(cut)
    }

    /// Whether what is sent on this stream leaves now. It waits for all that began before.
    pub fn is_its_turn(&self, key: StreamKey) -> bool {
        self.order.front() == Some(&key)
    }

    /// Whether our message on this stream lies whole in the outbox, or has left. Of a stream that is gone it has.
    pub fn has_sent(&self, key: StreamKey) -> bool {
        self.exchanges.get(key).is_none_or(|exchange| exchange.sending == Sending::Over)
    }

    /// Whether our message on this stream is whole, and waits for others, although no content of it does: a [`Cut`] tells of its end.
    pub fn awaits_its_turn(&self, key: StreamKey) -> bool {
        let is_left = |of: &Exchange| of.is_left || of.sending == Sending::Over;
        let waits = |of: &Exchange| !is_left(of) && of.is_answer_whole() && of.queue.is_empty();
        self.exchanges.get(key).is_some_and(waits)
    }

    /// The current exchange's content lies in the outbox: so does its end now.
    pub(crate) fn end_message(&mut self, key: StreamKey) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let Sending::Content(framing) = exchange.sending else { return };
        let trailers = exchange.trailers.take();
        match framing {
            Framing::Chunked => {
                let len = trailers.as_deref().map_or(0, write::len_max);
                write::last_chunk(self.outbox.tail_for(CHUNK_FRAME_LEN + len), trailers.as_deref());
            }
            Framing::Tunnel => self.write_closed = true,
            Framing::None | Framing::Length(_) | Framing::UntilClose => {}
        }
        self.ends_unframed = exchange.ends_unframed();
        exchange.sending = Sending::Over;
        if !exchange.recv_open {
            self.remove(key);
            self.advance();
        }
    }

    /// Whether closing the connection in good order now would end a message that is not whole, because only the end of the
    /// connection ends it (RFC 9112 section 8): its peer must see that the connection broke.
    pub fn is_cut_short(&self) -> bool {
        let unsent = self.ends_unframed && !self.outbox.is_empty();
        self.is_cut_short || unsent || self.current().is_some_and(Exchange::ends_unframed)
    }

    /// The next exchange in order has its turn: what waited without needing room goes into the outbox. Behind one that is broken nothing may
    /// follow, or the client would take it for that one's response.
    pub(crate) fn advance(&mut self) {
        while let Some(&key) = self.order.front().filter(|_| !self.has_failed) {
            let Some(exchange) = self.exchanges.get_mut(key) else { return };
            if exchange.is_broken {
                self.remove(key);
                return self.break_off();
            }
            self.outbox.extend(&exchange.heads);
            exchange.heads = Vec::new();
            let is_over = exchange.end_queued && exchange.queue.is_empty();
            // Its owner, where it is not done with it, waits for the cut that tells of its end.
            if !is_over || !exchange.is_left || !matches!(exchange.sending, Sending::Content(_)) {
                return;
            }
            self.end_message(key);
        }
        let owed = match self.refused {
            Refused::OwesBadRequest => Some((BAD_REQUEST, Refused::BadRequest)),
            Refused::OwesTooLarge => Some((FIELDS_TOO_LARGE, Refused::TooLarge)),
            Refused::Nothing | Refused::BadRequest | Refused::TooLarge => None,
        };
        if let Some((status_line, said)) = owed.filter(|_| !self.has_failed) {
            self.refused = said;
            self.answer_no_request(status_line);
        }
        if core::mem::take(&mut self.owes_request_timeout) && !self.has_failed {
            self.answer_late_request();
        }
    }
}

/// Answers to what is no whole request. They have no `date`, for nobody knows the time here.
impl Connection {
    pub(crate) fn answer_late_request(&mut self) {
        self.answer_no_request(REQUEST_TIMEOUT);
    }

    fn answer_no_request(&mut self, status_line: &[u8]) {
        self.outbox.extend(status_line);
        self.outbox.extend(b"connection: close\r\ncontent-length: 0\r\n");
        if let Some(value) = &self.config.proxy_status {
            for part in [b"proxy-status: ", value.as_bytes(), b"\r\n"] {
                self.outbox.extend(part);
            }
        }
        self.outbox.extend(b"\r\n");
    }
}

/// How the content of a response to this request is framed; `None` where it could not end as its head says.
fn response_framing(exchange: &Exchange, head: &ResponseHead, end: bool) -> Option<Framing> {
    let opens_tunnel = exchange.method == Method::Connect && (200..300).contains(&head.status);
    if opens_tunnel {
        return Some(Framing::Tunnel);
    }
    if exchange.method == Method::Head || matches!(head.status, 204 | 304) {
        return Some(Framing::None);
    }
    match (head.content_length, exchange.version) {
        (Some(1..), _) if end => None,
        (Some(length), _) => Some(Framing::Length(length)),
        (None, _) if end => Some(Framing::Length(0)),
        (None, Version::Http10) => Some(Framing::UntilClose), // 9112-6.1-11
        (None, Version::Http11 | Version::Http2) => Some(Framing::Chunked),
    }
}

/// What stands around a chunk of content at most.
const CHUNK_FRAME_LEN: usize = 24;

/// Content, framed.
fn put(out: &mut Vec<u8>, framing: Framing, data: &[u8]) {
    if framing == Framing::Chunked {
        write::chunk_size(out, data.len());
        out.extend_from_slice(data);
        out.extend_from_slice(b"\r\n");
    } else {
        out.extend_from_slice(data);
    }
}
