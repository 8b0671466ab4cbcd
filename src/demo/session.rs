//! A connection of an origin: requests are answered with the content that they name, or with their own.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use shuntyard_core::error::ErrorCode;
use shuntyard_core::h2::{SendError, Server, ServerEvent, StreamKey};
use shuntyard_core::window::{Both, Credit};

use super::content;
use super::link::Link;
use super::work::Work;

/// How an origin answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// As fast as it is taken.
    Swift,
    /// Late, and in small pieces.
    Slow,
}

/// How long a slow origin is silent before it answers.
pub(super) const SLOW_DELAY: Duration = Duration::from_millis(30);
/// How often a slow origin sends something on a stream, and how much.
pub(super) const SLOW_INTERVAL: Duration = Duration::from_millis(5);
const SLOW_PIECES: usize = 8;
pub(super) const SLOW_PIECE: usize = 1000;

/// Content that waits in a stream's queue, at most about so much of it.
const QUEUE_OCTETS: usize = 32 << 10;
/// Content that is made at a time.
const BLOCK: usize = 16 << 10;

const HELP: &[u8] = b"An origin of shuntyard's demo. GET /content/NUMBER/OCTETS answers with so many octets, which \
depend on the number;\nPOST /echo/NUMBER/OCTETS answers with what it gets. ?trailers adds trailers, ?declared a \
content-length.\n";

/// One connection and its unfinished responses.
#[derive(Debug)]
pub(super) struct Session {
    link: Link<Server>,
    replies: Vec<Reply>,
    leaving: bool,
}

#[derive(Debug)]
struct Reply {
    stream: StreamKey,
    head: Option<Response<()>>,
    source: Source,
    trailers: Option<HeaderMap>,
    /// A slow origin sends nothing before.
    due: Instant,
}

#[derive(Debug)]
enum Source {
    Made { number: u64, offset: u64, size: u64 },
    Echo { pieces: VecDeque<(Bytes, Credit<Both>)>, ended: bool },
    Text(&'static [u8]),
}

/// How a session's turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The connection goes on.
    Open,
    /// The connection is over; so many responses were not finished.
    Over { unfinished: usize },
}

impl Session {
    pub(super) fn new(link: Link<Server>) -> Self {
        Self { link, replies: Vec::new(), leaving: false }
    }

    pub(super) fn link(&mut self) -> &mut Link<Server> {
        &mut self.link
    }

    /// Responses that are not finished.
    pub(super) fn streams(&self) -> usize {
        self.replies.len()
    }

    /// The first step of a graceful end (RFC 9113 section 6.8). The answer to the PING leads to the second.
    pub(super) fn leave(&mut self) {
        self.leaving = true;
        self.link.peer.announce_goaway();
        self.link.peer.ping(*b"goaway-1");
    }

    /// Takes what came and sends what can leave. Adds the responses finished to `answered`.
    pub(super) fn turn(&mut self, pace: Pace, now: Instant, buffer: &mut [u8], answered: &mut u64) -> Turn {
        let over = Turn::Over { unfinished: self.replies.len() };
        match self.exchange(pace, now, buffer, answered) {
            Ok(()) if self.link.has_ended() => Turn::Over { unfinished: self.replies.len() },
            Ok(()) => Turn::Open,
            Err(_) => over,
        }
    }

    fn exchange(
        &mut self,
        pace: Pace,
        now: Instant,
        buffer: &mut [u8],
        answered: &mut u64,
    ) -> io::Result<()> {
        while self.link.read(buffer)? {
            self.take_events(pace, now)?;
        }
        loop {
            let fed = self.feed(pace, now, answered);
            // What left may have been all that a stream had: its window is open, and nothing else would say so.
            let room = self.link.write()?;
            if !fed && !room || !self.link.is_writable() {
                return Ok(());
            }
        }
    }

    fn take_events(&mut self, pace: Pace, now: Instant) -> io::Result<()> {
        while let Some(event) = self.link.peer.poll_event().map_err(io::Error::other)? {
            match event {
                ServerEvent::Request { stream, request, end } => {
                    let due = if pace == Pace::Slow { now + SLOW_DELAY } else { now };
                    self.replies.push(Reply::new(stream, &request, end, due));
                }
                ServerEvent::RequestTooLarge { stream } => {
                    self.link.peer.reset(stream, ErrorCode::ENHANCE_YOUR_CALM);
                }
                ServerEvent::Data { stream, data, credit, end } => self.take_data(stream, data, credit, end),
                ServerEvent::Trailers { stream, trailers } => {
                    if let Some(reply) = self.replies.iter_mut().find(|reply| reply.stream == stream)
                        && let Source::Echo { ended, .. } = &mut reply.source
                    {
                        *ended = true;
                        reply.trailers = Some(trailers);
                    }
                }
                ServerEvent::Reset { stream, .. } | ServerEvent::Failed { stream, .. } => {
                    self.replies.retain(|reply| reply.stream != stream);
                }
                ServerEvent::PingAck { .. } if self.leaving => self.link.peer.goaway(),
                // The rest is nothing to it.
                _ => {}
            }
        }
        Ok(())
    }

    /// Echoed octets keep their window until they go back, so that the client's windows bound what waits here.
    fn take_data(&mut self, stream: StreamKey, data: Bytes, credit: Credit<Both>, end: bool) {
        let reply = self.replies.iter_mut().find(|reply| reply.stream == stream);
        match reply.map(|reply| &mut reply.source) {
            Some(Source::Echo { pieces, ended }) => {
                pieces.push_back((data, credit));
                *ended = end;
            }
            Some(Source::Made { .. } | Source::Text(_)) | None => self.link.peer.release(stream, credit),
        }
    }

    /// Gives each stream something to send, if it lacks it. Whether there was something to give.
    fn feed(&mut self, pace: Pace, now: Instant, answered: &mut u64) -> bool {
        let mut fed = false;
        let server = &mut self.link.peer;
        self.replies.retain_mut(|reply| {
            if server.queued(reply.stream) >= QUEUE_OCTETS || (pace == Pace::Slow && now < reply.due) {
                return true;
            }
            let outcome = match pace {
                Pace::Swift => reply.feed(server, BLOCK, &mut fed),
                Pace::Slow => reply.feed_slowly(server, now, &mut fed),
            };
            // The stream is gone: nobody waits for the rest.
            let over = outcome.unwrap_or(true);
            *answered += u64::from(over && outcome.is_ok());
            !over
        });
        fed
    }
}

impl Reply {
    fn new<T>(stream: StreamKey, request: &Request<T>, end: bool, due: Instant) -> Self {
        let mut head = Response::new(());
        let mut trailers = None;
        let source = match Work::from_request(request) {
            Some(work) => {
                if work.declared {
                    head.headers_mut().insert("content-length", work.size.into());
                }
                if work.echo {
                    Source::Echo { pieces: VecDeque::new(), ended: end }
                } else {
                    trailers = work.trailers.then(|| work.trailers());
                    Source::Made { number: work.number, offset: 0, size: work.size }
                }
            }
            None => {
                let home = request.uri().path() == "/";
                *head.status_mut() = if home { StatusCode::OK } else { StatusCode::NOT_FOUND };
                Source::Text(HELP)
            }
        };
        let source = if request.method() == Method::HEAD { Source::Text(b"") } else { source };
        Self { stream, head: Some(head), source, trailers, due }
    }

    /// A few small pieces, each in a frame of its own; then a rest.
    fn feed_slowly(&mut self, server: &mut Server, now: Instant, fed: &mut bool) -> Result<bool, SendError> {
        self.due = now + SLOW_INTERVAL;
        for _ in 0..SLOW_PIECES {
            let mut went = false;
            if self.feed(server, SLOW_PIECE, &mut went)? {
                return Ok(true);
            }
            *fed |= went;
            if !went {
                break;
            }
        }
        Ok(false)
    }

    /// Sends the next octets, at most so many. Whether the response is finished.
    fn feed(&mut self, server: &mut Server, most: usize, fed: &mut bool) -> Result<bool, SendError> {
        if let Some(head) = self.head.take() {
            server.send_response(self.stream, &head, false)?;
            *fed = true;
        }
        let ends = match &mut self.source {
            Source::Made { number, offset, size } => {
                let mut block = [0; BLOCK];
                let n = (*size - *offset).min(most.min(BLOCK) as u64) as usize;
                content::fill(*number, *offset, &mut block[..n]);
                *offset += n as u64;
                let ends = offset == size;
                server.send_data(self.stream, &block[..n], ends && self.trailers.is_none())?;
                *fed = true;
                ends
            }
            Source::Echo { pieces, ended } => {
                let piece = pieces.pop_front().map(|(mut data, mut credit)| {
                    if data.len() > most {
                        let now = (data.split_to(most), credit.take(most as u32));
                        pieces.push_front((data, credit));
                        return now;
                    }
                    (data, credit)
                });
                let ends = *ended && pieces.is_empty();
                if let Some((data, credit)) = piece {
                    server.release(self.stream, credit);
                    server.send_data(self.stream, &data, ends && self.trailers.is_none())?;
                    *fed = true;
                } else if ends && self.trailers.is_none() {
                    server.send_data(self.stream, b"", true)?;
                }
                ends
            }
            Source::Text(text) => {
                server.send_data(self.stream, text, true)?;
                true
            }
        };
        if ends && let Some(trailers) = self.trailers.take() {
            server.send_trailers(self.stream, &trailers)?;
        }
        Ok(ends)
    }
}
