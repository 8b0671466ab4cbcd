//! What one connection tells its owner.

use crate::error::{ErrorCode, StreamError};
use crate::fields::FieldSection;
use crate::h2::streams::StreamKey;
use crate::message::{Refusal, RequestHead, ResponseHead};
use crate::window::{Both, Credit};

/// Received octets on their way into a connection. Whole frames are taken from the front, the rest stays.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    octets: &'a [u8],
}

impl<'a> Input<'a> {
    /// All octets received and not yet taken.
    pub const fn new(octets: &'a [u8]) -> Self {
        Self { octets }
    }

    /// What was not taken: keep it in front of what comes next.
    pub const fn remaining(&self) -> &'a [u8] {
        self.octets
    }

    pub(crate) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.octets.split_at_checked(n)?;
        self.octets = rest;
        Some(taken)
    }

    pub(crate) const fn take_all(&mut self) {
        self.octets = &[];
    }
}

/// What a connection tells its owner. `tag` is what the owner attached to the stream, 0 until then.
#[derive(Debug)]
pub enum Event<'a> {
    /// Server: a well-formed request head; the stream is new.
    Request {
        /// The stream.
        stream: StreamKey,
        /// What the fields say.
        head: RequestHead,
        /// All fields, pseudo-header fields included. Give the memory back with `Connection::recycle`.
        fields: FieldSection,
        /// The request has no content and no trailers.
        end: bool,
    },
    /// Server: a request that is refused by its form. Its fields were dropped; the stream is open, for an answer.
    RequestRefused {
        /// The stream.
        stream: StreamKey,
        /// Why.
        refusal: Refusal,
    },
    /// Client: an interim response (1xx).
    Interim {
        /// The stream.
        stream: StreamKey,
        /// The owner's tag.
        tag: u64,
        /// What the fields say.
        head: ResponseHead,
        /// All fields.
        fields: FieldSection,
    },
    /// Client: the head of the final response.
    Response {
        /// The stream.
        stream: StreamKey,
        /// The owner's tag.
        tag: u64,
        /// What the fields say.
        head: ResponseHead,
        /// All fields.
        fields: FieldSection,
        /// The response has no content and no trailers.
        end: bool,
    },
    /// Content.
    Data {
        /// The stream.
        stream: StreamKey,
        /// The owner's tag.
        tag: u64,
        /// The octets.
        data: &'a [u8],
        /// Their window, to be given back when they have left, be it without their stream: the connection's is owed all the same.
        credit: Credit<Both>,
        /// The message ends here.
        end: bool,
    },
    /// Server: the client has given the stream another priority.
    Reprioritized {
        /// The stream.
        stream: StreamKey,
        /// The owner's tag.
        tag: u64,
    },
    /// A trailer section; it ends the message.
    Trailers {
        /// The stream.
        stream: StreamKey,
        /// The owner's tag.
        tag: u64,
        /// All fields.
        fields: FieldSection,
    },
    /// The peer reset the stream, which is gone. Over HTTP/1.1: its message has ended before it was whole.
    Reset {
        /// The stream that was.
        stream: StreamKey,
        /// The owner's tag.
        tag: u64,
        /// The peer's reason.
        error_code: ErrorCode,
    },
    /// The peer broke a rule on this stream; we reset it, and it is gone.
    Failed {
        /// The stream that was.
        stream: StreamKey,
        /// The owner's tag.
        tag: u64,
        /// The rule.
        error: StreamError,
    },
    /// Client: the peer's GOAWAY says that it never processed this stream, which is gone (RFC 9113 section 6.8).
    Unprocessed {
        /// The stream that was.
        stream: StreamKey,
        /// The owner's tag.
        tag: u64,
    },
    /// The peer's SETTINGS were applied and acknowledged.
    Settings,
    /// The peer goes away; no new stream can be opened.
    GoAway {
        /// The last stream that it processed or may process.
        last_stream_id: u32,
        /// Its reason.
        error_code: ErrorCode,
        /// What it adds for people.
        debug_data: &'a [u8],
    },
    /// The answer to a PING of ours.
    PingAck {
        /// What we sent.
        payload: [u8; 8],
    },
}
