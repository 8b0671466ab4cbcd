//! The ends of exchanges before their time, and of the connection.

use std::collections::VecDeque;

use crate::error::{ConnectionError, ErrorCode};
use crate::h1::connection::{Connection, DROPPED_MAX, KEPT_EXCHANGES, Recv};
use crate::h1::content::Incoming;
use crate::h1::exchange::{Exchange, Sending};
use crate::h2::{Role, StreamKey};
use crate::outbox::OctetQueue;

impl Connection {
    /// The error ends the connection: nothing more is put into the outbox. A client whose request did not come in time is
    /// told so (RFC 9110 section 15.5.9). Streams stay until [`abandon_stream`](Self::abandon_stream) took them.
    pub fn fail(&mut self, error: ConnectionError) {
        let awaited = matches!(self.recv, Recv::Head) && self.order.is_empty() && !self.is_closing;
        if error == ConnectionError::FieldBlockTimeout
            && self.role == Role::Server
            && awaited
            && !self.has_failed
        {
            self.answer_late_request();
        }
        self.break_off();
    }

    /// Server: a head has not come in time. Requests before it that are under way are answered, and then it is (RFC 9110 section 15.5.9), unless the last
    /// of them says that no other is (RFC 9112 section 9.6). Says whether there are some: otherwise [`fail`](Self::fail).
    pub fn refuse_late_request(&mut self) -> bool {
        let behind = self.role == Role::Server && matches!(self.recv, Recv::Head) && !self.order.is_empty();
        if !behind || self.has_failed {
            return false;
        }
        self.owes_request_timeout = !self.is_closing;
        self.is_closing = true;
        self.is_held = false;
        self.recv = Recv::Closed;
        true
    }

    /// Nothing more is read or written.
    pub(crate) fn break_off(&mut self) {
        self.has_failed = true;
        self.is_held = false;
        self.recv = Recv::Closed;
    }

    /// Ends a stream before its time; nothing happens where it is gone already. HTTP/1.1 has no word for it:
    ///
    /// - Where our message is whole, and no content of it waits, the rest of the peer's is read and dropped within a bound, and the connection goes on.
    ///   Beyond the bound it ends.
    /// - A response that is not whole is never ended cleanly: the connection has failed when its turn comes.
    /// - A request whose response is not whole takes its connection with it.
    pub fn reset(&mut self, key: StreamKey, _error_code: ErrorCode) {
        let Some(exchange) = self.exchanges.get_mut(key).filter(|exchange| !exchange.is_left) else { return };
        // Content that waits has memory of the owner's, who watches whether it moves, and would be told of neither any more.
        let is_whole = exchange.is_answer_whole() && exchange.queue.is_empty();
        let recv_open = exchange.recv_open;
        if self.has_failed || self.role == Role::Client {
            self.traffic.resets_sent += 1;
            self.remove(key);
            return self.break_off(); // 9112-9.3-06
        }
        if recv_open {
            self.drop_content(key);
        }
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.recv_open = false;
        if is_whole {
            exchange.is_left = true;
            if exchange.sending == Sending::Over {
                self.remove(key);
            }
            return;
        }
        self.traffic.resets_sent += 1;
        self.break_exchange(key);
    }

    /// The owner is done with an exchange whose response cannot be whole.
    pub(crate) fn break_exchange(&mut self, key: StreamKey) {
        self.is_closing = true;
        if self.order.front() == Some(&key) {
            self.remove(key);
            return self.break_off();
        }
        if let Some(exchange) = self.exchanges.get_mut(key) {
            (exchange.is_left, exchange.is_broken) = (true, true);
            (exchange.heads, exchange.trailers) = (Vec::new(), None);
            exchange.queue = OctetQueue::default();
        }
    }

    /// 9112-9.3-05: what comes of the exchange's content is dropped from now on.
    fn drop_content(&mut self, key: StreamKey) {
        let recv = core::mem::replace(&mut self.recv, Recv::Closed);
        self.recv = match recv {
            Recv::Content(of, incoming @ (Incoming::Length(_) | Incoming::Chunked(_))) if of == key => {
                Recv::Dropped(incoming, DROPPED_MAX)
            }
            // A tunnel has no end that could be waited for.
            Recv::Content(of, Incoming::UntilClose) if of == key => Recv::Closed,
            Recv::Undecided(of) if of == key => Recv::Closed,
            other => other,
        };
        if matches!(self.recv, Recv::Closed) {
            self.is_closing = true;
        }
    }

    /// Takes an exchange out, whatever it is in the middle of.
    pub(crate) fn remove(&mut self, key: StreamKey) -> Option<Exchange> {
        let exchange = self.exchanges.remove(key)?;
        self.is_cut_short |= exchange.ends_unframed();
        self.order.retain(|&other| other != key);
        self.is_held = false;
        if self.order.is_empty() && self.order.capacity() > KEPT_EXCHANGES {
            self.rest();
        }
        Some(exchange)
    }

    /// The connection is idle, and will be for a while: it needs no memory for exchanges. Most connections of clients are so for most of their time;
    /// those that are not would ask for it anew with each request.
    pub fn rest(&mut self) {
        if self.order.is_empty() {
            self.exchanges.release_memory();
            self.order = VecDeque::new();
        }
    }

    /// Takes any stream out, without telling the peer: for an owner whose transport is gone. `None` where none is left.
    pub fn abandon_stream(&mut self) -> Option<(StreamKey, u64)> {
        while let Some(&key) = self.order.back() {
            let Some(exchange) = self.remove(key) else { continue };
            self.break_off();
            if !exchange.is_left {
                return Some((key, exchange.tag));
            }
        }
        None
    }
}
