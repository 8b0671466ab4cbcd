//! Priorities of the streams of a server's connection (RFC 9218): what clients signal by field and by frame, and what responses
//! say of themselves.
//!
//! A client that has never spoken of priorities has its responses sent in turns, which is no default of RFC 9218 section 4:
//! most such clients know nothing of it and have streams that never end beside others, as gRPC does. From its first signal
//! on, silence means the defaults.

use crate::error::ConnectionError;
use crate::fields::FieldSection;
use crate::h2::connection::Connection;
use crate::h2::event::Event;
use crate::h2::recv::{Received, Target};
use crate::h2::settings::Role;
use crate::h2::streams::{StreamKey, TAKES_TURNS};
use crate::parcel::{Packer, Unpacker};
use crate::priority::{Priority, Signal};

/// Signals for streams that are not open yet are kept up to so many.
const EARLY_MAX: usize = 1000;

/// What a client has signalled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signals {
    /// It has spoken of priorities.
    any: bool,
    /// For streams that are not open yet, by identifier.
    early: Vec<(u32, Priority)>,
}

impl Signals {
    /// Whether the client has spoken of priorities. `None` where it waits for something to come of that.
    pub(crate) fn pack(&self, parcel: &mut Packer) -> Option<()> {
        let Self { any, early } = self;
        parcel.number(*any);
        early.is_empty().then_some(())
    }

    pub(crate) fn unpack(parcel: &mut Unpacker<'_>) -> Self {
        Self { any: parcel.truth(), early: Vec::new() }
    }

    /// 9218-7-03: what was signalled for the stream that opens now. Those before it will never open.
    pub(crate) fn take_early(&mut self, stream_id: u32) -> Option<Priority> {
        if self.early.is_empty() {
            return None;
        }
        let end = self.early.partition_point(|&(id, _)| id <= stream_id);
        let last = self.early.drain(..end).next_back();
        if self.early.is_empty() {
            self.early = Vec::new();
        }
        last.filter(|&(id, _)| id == stream_id).map(|(_, priority)| priority)
    }
}

impl Connection {
    /// The priority of a stream.
    pub fn priority(&self, stream: StreamKey) -> Priority {
        self.streams.slab.get(stream).map_or(TAKES_TURNS, |stream| stream.priority)
    }

    /// RFC 9218 section 7.1.
    pub(crate) fn recv_priority_update<'a>(&mut self, stream_id: u32, value: &[u8]) -> Received<'a> {
        if self.role == Role::Client {
            return Err(ConnectionError::PriorityUpdateFromServer); // 9218-7.1-11
        }
        // We never push, so that every such stream is idle.
        if stream_id.is_multiple_of(2) {
            return Err(ConnectionError::PriorityUpdateStream); // 9218-7.1-08
        }
        let priority = Signal::parse(value).map(Signal::or_default);
        self.signals.any = true;
        match self.target(stream_id) {
            Target::Live(key) => Ok(priority.and_then(|priority| self.reprioritize(key, priority))),
            Target::Closed(_) => Ok(None),
            Target::Idle => self.keep_early(stream_id, priority).map(|()| None),
        }
    }

    fn reprioritize<'a>(&mut self, key: StreamKey, priority: Priority) -> Option<Event<'a>> {
        let stream = self.streams.slab.get_mut(key)?;
        stream.priority = stream.answered.over(priority);
        let tag = stream.tag;
        self.schedule.move_to_its_group(&mut self.streams, key);
        Some(Event::Reprioritized { stream: key, tag })
    }

    /// 9218-7.1-04, 9218-7.1-05: no more streams than may be open at a time, as soon as the client knows how many those are.
    fn keep_early(&mut self, stream_id: u32, priority: Option<Priority>) -> Result<(), ConnectionError> {
        if self.goaway_sent.is_some_and(|last| stream_id > last) {
            return Ok(());
        }
        let early = &mut self.signals.early;
        let at = match early.binary_search_by_key(&stream_id, |&(id, _)| id) {
            Ok(at) => {
                early[at].1 = priority.unwrap_or(early[at].1);
                return Ok(());
            }
            Err(at) => at,
        };
        let known = self.local.is_acknowledged();
        if early.len() + self.streams.len() >= self.config.max_concurrent_streams as usize && known {
            return Err(ConnectionError::PriorityUpdateTooMany);
        }
        if let Some(priority) = priority.filter(|_| early.len() < EARLY_MAX) {
            early.insert(at, (stream_id, priority));
        }
        Ok(())
    }

    /// The priority of a request, by its field and by the signal that came before it.
    pub(crate) fn priority_of_request(&mut self, early: Option<Priority>, fields: &FieldSection) -> Priority {
        let signal = Signal::of(fields);
        self.signals.any |= signal.is_some() || self.peer.no_rfc7540_priorities;
        let silent = if self.signals.any { Priority::default() } else { TAKES_TURNS };
        early.or(signal.map(Signal::or_default)).unwrap_or(silent)
    }

    /// Whether the stream could send as far as its own window goes.
    pub fn stands_in_line(&self, key: StreamKey) -> bool {
        self.streams.slab.get(key).is_some_and(|stream| stream.ready.is_linked())
    }

    /// Octets of content that were ever cut into the outbox, the last digits: what the connection's window was given, and has no more.
    pub fn content_cut(&self) -> u32 {
        self.window_given.wrapping_sub(self.send_window.get().cast_unsigned())
    }

    /// RFC 9218 section 8: what the origin says of its response goes over what the client says.
    pub(crate) fn heed_response(&mut self, key: StreamKey, fields: &FieldSection) {
        let Some(signal) = Signal::of(fields) else { return };
        if let Some(stream) = self.streams.slab.get_mut(key) {
            stream.answered = signal;
            stream.priority = signal.over(stream.priority);
            self.schedule.move_to_its_group(&mut self.streams, key);
        }
    }
}
