//! Octets to events: what follows is taken on demand, against the present state.

use crate::error::{ConnectionError, ErrorCode, StreamError};
use crate::h1::client::begins_response;
use crate::h1::connection::{Connection, Recv, Refused};
use crate::h1::content::{Incoming, Piece};
use crate::h1::exchange::Sending;
use crate::h1::head;
use crate::h2::{Event, Input, Role, StreamKey, cost};
use crate::time::Duration;
use crate::window::Credit;

pub(crate) type Received<'a> = Option<Event<'a>>;

/// An event, or nothing of interest, after which more may be taken; or there is nothing to be taken now.
pub(crate) enum Step<'a> {
    /// The owner is told.
    Tell(Event<'a>),
    /// The state has changed: look again.
    Again,
    /// More octets are needed, or an end of what is before.
    Wait,
}

impl Connection {
    /// Takes octets from `input` until they mean something to the owner. `None`: more are needed, or
    /// [`is_congested`](Self::is_congested) says that they must wait.
    ///
    /// # Errors
    ///
    /// The peer costs more than it brings. Nothing else: a request that cannot be read is refused, a stream whose content cannot be
    /// read has failed, and what cannot be trusted behind it is discarded.
    pub fn poll_event<'a>(&mut self, input: &mut Input<'a>) -> Result<Option<Event<'a>>, ConnectionError> {
        if self.misuse.points() > self.config.misuse_max {
            return Err(ConnectionError::Misuse);
        }
        let before = input.remaining().len();
        let event = self.next_event(input);
        self.traffic.recv_octets += (before - input.remaining().len()) as u64;
        Ok(event)
    }

    /// So much time passed, which is worth something to a peer that owes. Says how much of it was made use of: the rest is to be
    /// counted again.
    pub fn forgive(&mut self, time: Duration) -> Duration {
        self.misuse.forgive(time)
    }

    /// What the peer did was as dear as a reset. Should that be too much, the next call says so.
    pub(crate) fn charge_reset(&mut self) {
        self.misuse.bear(cost::RESET, u32::MAX);
        self.traffic.misuse_peak = self.traffic.misuse_peak.max(self.misuse.points());
    }

    /// The peer has closed its side: nothing comes behind the input that is there. Then take events once more: a message that is
    /// cut short, or ends with the connection, ends there.
    pub fn read_closed(&mut self) {
        self.read_closed = true;
    }

    /// Server: whether the client's end is still to be told although all of its input was taken: of what it is the end was
    /// decided since. Then take events once more.
    pub fn owes_end(&self) -> bool {
        let is_decided = !matches!(self.recv, Recv::Undecided(_) | Recv::Closed);
        self.role == Role::Server && self.read_closed && is_decided
    }

    fn next_event<'a>(&mut self, input: &mut Input<'a>) -> Received<'a> {
        loop {
            let step = match core::mem::replace(&mut self.recv, Recv::Closed) {
                Recv::Head => {
                    self.recv = Recv::Head;
                    if self.role == Role::Server {
                        self.recv_request(input)
                    } else {
                        self.recv_response(input)
                    }
                }
                Recv::Content(key, incoming) => self.recv_content(input, key, incoming),
                Recv::Dropped(incoming, left) => self.drop_more(input, incoming, left),
                Recv::Undecided(key) => {
                    self.recv = Recv::Undecided(key);
                    self.is_held = !input.remaining().is_empty();
                    Step::Wait
                }
                Recv::Closed => {
                    input.take_all();
                    Step::Wait
                }
            };
            match step {
                Step::Tell(event) => return Some(event),
                Step::Again => {}
                Step::Wait if self.read_closed && !self.is_held => return self.recv_end(input),
                Step::Wait => return None,
            }
        }
    }

    /// The next piece of an exchange's content.
    fn recv_content<'a>(
        &mut self,
        input: &mut Input<'a>,
        key: StreamKey,
        mut incoming: Incoming,
    ) -> Step<'a> {
        let Some(exchange) = self.exchanges.get_mut(key) else {
            // Its owner has abandoned it.
            input.take_all();
            return Step::Wait;
        };
        let room = exchange.room() as usize;
        let taken = incoming.take(input.remaining(), &mut self.scan, room, self.head_max);
        let (piece, taken) = match taken {
            Ok(taken) => taken,
            Err(error) => return self.fail_content(input, key, error),
        };
        if taken > 0 {
            exchange.awaits_continue = false;
        }
        input.take(taken);
        match piece {
            Piece::Nothing => {
                self.recv = Recv::Content(key, incoming);
                Step::Wait
            }
            Piece::Data(data, end) => {
                exchange.unreleased += data.len() as u32;
                let tag = exchange.tag;
                self.weigh(&incoming, data.len());
                self.recv = Recv::Content(key, incoming);
                if end {
                    self.recv_over(key);
                }
                let credit = Credit::new(data.len() as u32);
                Step::Tell(Event::Data { stream: key, tag, data, credit, end })
            }
            Piece::Trailers(octets) => self.recv_trailers(input, key, octets),
        }
    }

    /// A client that wraps its content in more octets than it has pays for it, as with padding over HTTP/2: its connection is its own.
    /// What an origin does is answered for by whoever asked it. Chunks are counted, not pieces: into how many the network cuts content is
    /// nobody's fault.
    fn weigh(&mut self, incoming: &Incoming, octets: usize) {
        self.misuse.piece(octets as u32);
        if self.role == Role::Server && incoming.ends_tiny_chunk() {
            // Should that be too much, the next call says so.
            self.misuse.bear(cost::TINY_CHUNK, u32::MAX);
            self.traffic.misuse_peak = self.traffic.misuse_peak.max(self.misuse.points());
        }
    }

    fn recv_trailers<'a>(&mut self, input: &mut Input<'a>, key: StreamKey, octets: &[u8]) -> Step<'a> {
        self.sections_received += 1;
        let mut fields = core::mem::take(&mut self.spare_fields);
        let rules = self.rules();
        let exchange = self.exchanges.get(key);
        let tag = exchange.map_or(0, |exchange| exchange.tag);
        let nominated = exchange.and_then(|exchange| exchange.nominated.as_deref());
        if let Err(error) = head::trailers(octets, &rules, nominated, &mut fields) {
            self.recycle(fields);
            return self.fail_content(input, key, error);
        }
        self.recv_over(key);
        // 9112-7.1.2-02, 9112-7.1.2-03, 9110-6.5.1-02
        Step::Tell(Event::Trailers { stream: key, tag, fields })
    }

    /// The peer's message is whole.
    pub(crate) fn recv_over(&mut self, key: StreamKey) {
        self.recv = Recv::Head;
        self.misuse.message();
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.recv_open = false;
        if exchange.sending == Sending::Over {
            self.remove(key);
        }
    }

    /// The peer's message cannot be read on: where it ends is not known, so nothing behind it can be trusted. A client that has
    /// not been answered is answered here: its stream is gone.
    fn fail_content<'a>(&mut self, input: &mut Input<'a>, key: StreamKey, error: StreamError) -> Step<'a> {
        input.take_all();
        let is_too_large = error == StreamError::FieldsTooLarge;
        let owed = if is_too_large { Refused::OwesTooLarge } else { Refused::OwesBadRequest };
        match self.end_receiving(key, owed) {
            Some(tag) => Step::Tell(Event::Failed { stream: key, tag, error }),
            None => Step::Wait,
        }
    }

    /// Nothing more of a message that is not whole will be received. Where the owner has given its answer whole, it still
    /// leaves; where it has not begun, a client may be owed a status. Says the tag of the stream, if its owner is to be told:
    /// of an answer of which some waits in memory of the owner's it sees the end.
    fn end_receiving(&mut self, key: StreamKey, owed: Refused) -> Option<u64> {
        self.recv = Recv::Closed;
        self.is_closing = true;
        let exchange = self.exchanges.get_mut(key)?;
        let tag = exchange.tag;
        exchange.recv_open = false;
        if self.role == Role::Client {
            self.remove(key);
            self.break_off();
            return Some(tag);
        }
        let untouched = exchange.sending == Sending::Head && exchange.heads.is_empty();
        if exchange.sending == Sending::Over {
            self.remove(key);
        } else if exchange.is_answer_whole() {
            if !exchange.queue.is_empty() || exchange.trailers.is_some() {
                return None;
            }
            exchange.is_left = true;
        } else if untouched {
            self.remove(key);
            self.refused = owed;
            self.advance();
        } else {
            self.break_exchange(key);
        }
        Some(tag)
    }

    /// More of content that nobody wants.
    fn drop_more<'a>(&mut self, input: &mut Input<'a>, mut incoming: Incoming, left: usize) -> Step<'a> {
        let taken = incoming.take(input.remaining(), &mut self.scan, usize::MAX, self.head_max);
        let taken = taken.ok().and_then(|(piece, taken)| Some((piece, taken, left.checked_sub(taken)?)));
        let Some((piece, taken, left)) = taken else {
            input.take_all();
            self.is_closing = true;
            return Step::Wait;
        };
        input.take(taken);
        match piece {
            Piece::Nothing => {
                self.recv = Recv::Dropped(incoming, left);
                return Step::Wait;
            }
            Piece::Data(_, false) => self.recv = Recv::Dropped(incoming, left),
            Piece::Data(_, true) | Piece::Trailers(_) => self.recv = Recv::Head,
        }
        Step::Again
    }

    /// The peer has closed its side, and nothing of the input can be taken any more.
    fn recv_end<'a>(&mut self, input: &mut Input<'a>) -> Received<'a> {
        let key = match &self.recv {
            Recv::Content(key, _) => *key,
            // The answer to CONNECT, or to an upgrade, is still to come.
            Recv::Undecided(_) => return None,
            // A response that has not begun is the owner's to give up: it may be asked for again elsewhere.
            Recv::Head if self.role == Role::Client => {
                let begun = begins_response(input.remaining());
                if !begun {
                    input.take_all();
                }
                let &key = self.order.front()?;
                self.exchanges.get(key).filter(|exchange| exchange.is_answered || begun)?;
                key
            }
            Recv::Head | Recv::Dropped(..) | Recv::Closed => {
                input.take_all();
                self.recv = Recv::Closed;
                return None;
            }
        };
        // What is there is not lost for want of a window.
        if matches!(self.recv, Recv::Content(..))
            && self.exchanges.get(key).is_some_and(|exchange| exchange.room() == 0)
            && !input.remaining().is_empty()
        {
            return None;
        }
        if matches!(self.recv, Recv::Content(_, Incoming::UntilClose)) {
            let tag = self.exchanges.get(key)?.tag;
            self.recv_over(key);
            self.recv = Recv::Closed;
            return Some(Event::Data { stream: key, tag, data: &[], credit: Credit::none(), end: true });
        }
        input.take_all();
        self.exchanges.get(key)?;
        let error_code = match self.role {
            // A response that breaks off is no reset: nobody has taken anything back.
            Role::Client => ErrorCode::INTERNAL_ERROR,
            Role::Server => {
                self.traffic.resets_recv += 1;
                ErrorCode::CANCEL
            }
        };
        let tag = self.end_receiving(key, Refused::Nothing)?; // 9112-6.3-08, 9112-8-02
        Some(Event::Reset { stream: key, tag, error_code })
    }
}
