//! Content on its way through transforms, both ways: as much is made as the next connection takes, and the sender gets its
//! window back when what was made of its octets has left.

use crate::fields::FieldSection;
use crate::gateway::Gateway;
use crate::h2::Sent;
use crate::hooks::OUTPUT_OCTETS;
use crate::request::{Request, RequestKey};
use crate::time::Instant;

impl Gateway {
    /// Content of a request came, or the backend has taken what was made of it.
    pub(super) fn relay_request(&mut self, key: RequestKey, now: Instant) {
        let mut output = self.take_output();
        while self.step_request(key, &mut output, now) {}
        self.output = output;
    }

    /// Content of a response came, or the client has taken what was made of it.
    pub(super) fn relay_response(&mut self, key: RequestKey, now: Instant) {
        let mut output = self.take_output();
        while self.step_response(key, &mut output, now) {}
        self.output = output;
    }

    /// The memory for one step's output: there is one for all.
    fn take_output(&mut self) -> Vec<u8> {
        let mut output = core::mem::take(&mut self.output);
        // What another's transform has left there is not for this one, which may say that it has written more than it did.
        output.clear();
        output.resize(OUTPUT_OCTETS, 0);
        output
    }

    /// One step; says whether there may be another. While output waits in the stream, none is made.
    fn step_request(&mut self, key: RequestKey, output: &mut [u8], now: Instant) -> bool {
        let Some(live) = self.requests.get_mut(key).and_then(Request::live_mut) else { return false };
        let (conn, stream) = (live.conn(), live.stream());
        let Some(relay) = live.relay.as_deref_mut() else { return false };
        let Some(entry) = self.conns.get_mut(conn).filter(|entry| entry.session.queued(stream) == 0) else {
            return false;
        };
        let mut owed = relay.take_owed();
        let made = match relay.step(output) {
            Ok(Some(made)) => made,
            Ok(None) => {
                self.content_cut(key, owed);
                return false;
            }
            Err(failed) => {
                self.fail_by_hook(key, failed, None, now);
                return false;
            }
        };
        let trailers = if made.end { relay.take_trailers() } else { None };
        let end = made.end && trailers.is_none();
        let Sent { cut, waits } = entry.session.send_data(stream, &output[..made.octets], end);
        live.attempt.request_octets += cut as u64;
        let mut left = !waits;
        if left {
            owed += relay.take_owed();
        }
        if let Some(trailers) = trailers {
            left &= entry.session.send_trailers(stream, trailers).unwrap_or(true);
        }
        self.content_cut(key, owed);
        self.touch(conn);
        if made.end && left {
            self.request_sent(key, now);
        }
        !made.end
    }

    /// The same for a response.
    fn step_response(&mut self, key: RequestKey, output: &mut [u8], now: Instant) -> bool {
        let Some(request) = self.requests.get_mut(key) else { return false };
        let front = request.awaiting.front;
        let Some(relay) = request.awaiting.relay.as_deref_mut() else { return false };
        if self.conns.get(front.conn).is_none_or(|entry| entry.session.queued(front.stream) > 0) {
            return false;
        }
        let owed = relay.take_owed();
        let made = match relay.step(output) {
            Ok(Some(made)) => made,
            Ok(None) => {
                self.release_response(key, owed);
                return false;
            }
            Err(failed) => {
                self.fail_by_hook(key, failed, None, now);
                return false;
            }
        };
        let trailers = if made.end { relay.take_trailers() } else { None };
        if trailers.as_ref().is_some_and(|trailers| !self.reserve_last_output(key, trailers)) {
            self.refuse_output(key, now);
            return false;
        }
        self.send_made(key, (&output[..made.octets], made.end), trailers, owed, now);
        !made.end
    }

    /// What was made of a response goes to the client.
    fn send_made(
        &mut self,
        key: RequestKey,
        (octets, ends): (&[u8], bool),
        trailers: Option<FieldSection>,
        mut owed: u32,
        now: Instant,
    ) {
        let Some(request) = self.requests.get_mut(key) else { return };
        let awaiting = &mut request.awaiting;
        let front = awaiting.front;
        let Some(entry) = self.conns.get_mut(front.conn) else { return };
        let end = ends && trailers.is_none();
        let Sent { cut, waits } = entry.session.send_data(front.stream, octets, end);
        awaiting.response_octets += cut as u64;
        if cut > 0 {
            awaiting.progress_at = now;
        }
        if waits {
            awaiting.falls_due(octets.len() - cut, now);
        }
        let mut left = !waits;
        if left && let Some(relay) = &mut awaiting.relay {
            owed += relay.take_owed();
        }
        if let Some(trailers) = trailers {
            left &= entry.session.send_trailers(front.stream, trailers).unwrap_or(true);
        }
        self.release_response(key, owed);
        self.touch(front.conn);
        if ends && left {
            self.response_left(key, now);
        }
    }

    /// Octets of the response have left: the backend gets its window back, where it may still send.
    pub(super) fn release_response(&mut self, key: RequestKey, octets: u32) {
        let Some(request) = self.requests.get_mut(key) else { return };
        let credit = request.awaiting.response_credit.take(octets);
        let Some((conn, stream)) = request.live_mut().map(|live| (live.conn(), live.stream())) else {
            return;
        };
        if let Some(entry) = self.conns.get_mut(conn) {
            entry.session.release_stream(stream, credit);
        }
        self.touch(conn);
    }
}
