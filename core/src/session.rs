//! What is spoken on one connection. The gateway holds a session and does not care which protocol it is: both have the
//! same verbs and tell the same events. What is said of a verb here is short; the protocols' own say more.

mod charge;
mod http1;
mod output;

use crate::error::{ConnectionError, ErrorCode};
use crate::fields::{FieldSection, SharedLines};
use crate::h1;
use crate::h2::{self, Cut, Event, Input, OpenError, SendError, StreamKey, Traffic};
use crate::message::Version;
use crate::priority::Priority;
use crate::window::{ConnectionLevel, Credit, StreamLevel};

/// The session of one connection. It is boxed: what the gateway walks stays small, and an idle connection pays for its
/// own protocol only.
#[derive(Clone, Debug)]
pub(crate) enum Session {
    /// HTTP/2.
    H2(Box<h2::Connection>),
    /// HTTP/1.1.
    H1(Box<h1::Connection>),
    /// HTTP/2, without streams and asleep. Whatever is to happen on it wakes it.
    Dormant(Box<h2::Dormant>),
}

/// The same call in either protocol. Who sleeps has nothing, and the default answers that, or has an answer of its own.
macro_rules! each {
    ($session:expr, $name:ident => $call:expr) => {
        each!($session, $name => $call, _asleep => Default::default())
    };
    ($session:expr, $name:ident => $call:expr, asleep => $answer:expr) => {
        each!($session, $name => $call, _asleep => $answer)
    };
    ($session:expr, $name:ident => $call:expr, $asleep:ident => $answer:expr) => {
        match $session {
            Session::H2($name) => $call,
            Session::H1($name) => $call,
            Session::Dormant($asleep) => {
                core::hint::cold_path();
                $answer
            }
        }
    };
}

/// Sleep, of who has nothing to do.
impl Session {
    /// Whether it sleeps.
    #[inline]
    pub(crate) const fn is_asleep(&self) -> bool {
        matches!(self, Self::Dormant(_))
    }

    /// Lets it sleep, if it can; see [`Connection::sleep`](h2::Connection::sleep). HTTP/1.1 remembers too little to gain by it, and gives memory back.
    /// Says whether it sleeps, and gives back the memory that it had for the next field section.
    pub(crate) fn sleep(&mut self, shared: &mut SharedLines) -> Option<FieldSection> {
        let session = match self {
            Self::H2(session) => session,
            Self::H1(session) => {
                session.rest();
                return None;
            }
            Self::Dormant(_) => return None,
        };
        let dormant = session.sleep(shared)?;
        let spare = session.take_spare();
        *self = Self::Dormant(Box::new(dormant));
        Some(spare)
    }

    /// Wakes it, if it sleeps.
    pub(crate) fn wake(&mut self) {
        if let Self::Dormant(dormant) = self {
            *self = Self::H2(Box::new(dormant.wake()));
        }
    }
}

/// What differs.
impl Session {
    /// Server: whether the client's first octets are still to come, which tell what it speaks.
    pub(crate) fn awaits_preface(&self) -> bool {
        match self {
            Self::H2(session) => session.awaits_preface(),
            Self::H1(_) | Self::Dormant(_) => false,
        }
    }

    /// The same session, over TLS: what is asked for without a scheme is asked for by `https`.
    pub(crate) fn over_tls(self) -> Self {
        match self {
            Self::H1(session) => Self::H1(Box::new(session.over_tls())),
            Self::H2(_) | Self::Dormant(_) => self,
        }
    }

    /// The peer does not speak HTTP: it gets these octets instead of all that waits, and the session has failed.
    pub(crate) fn answer_instead(&mut self, octets: &[u8]) {
        match self {
            Self::H2(session) => session.answer_instead(octets),
            // More than its first octets have come.
            Self::H1(_) | Self::Dormant(_) => {}
        }
    }

    /// The limit of concurrent streams that the peer announced; `None` where it set none.
    pub(crate) fn peer_streams_max(&self) -> Option<u32> {
        match self {
            Self::H2(session) => session.peer_settings().max_concurrent_streams,
            Self::H1(_) => Some(1),
            Self::Dormant(dormant) => dormant.outside().peer.max_concurrent_streams,
        }
    }

    /// Client: whether the peer understands a request for a tunnel, as far as it has told (RFC 8441 section 3).
    pub(crate) fn offers_tunnels(&self) -> bool {
        match self {
            Self::H2(session) => session.peer_settings().enable_connect_protocol,
            Self::H1(_) => true,
            Self::Dormant(dormant) => dormant.outside().peer.enable_connect_protocol,
        }
    }

    /// Client: the largest head that the peer says it takes, as [`FieldSection::size`] counts; `None`: it has not said.
    pub(crate) fn peer_head_max(&self) -> Option<u32> {
        match self {
            Self::H2(session) => session.peer.max_header_list_size,
            Self::H1(_) => None,
            Self::Dormant(dormant) => dormant.outside().peer.max_header_list_size,
        }
    }

    /// The version by which the last message came: for `via`.
    pub(crate) fn version(&self) -> Version {
        match self {
            Self::H2(_) | Self::Dormant(_) => Version::Http2,
            Self::H1(session) => session.version(),
        }
    }

    /// Server: how urgent the client finds the response on this stream (RFC 9218); 0 comes first.
    pub(crate) fn urgency(&self, stream: StreamKey) -> u8 {
        match self {
            Self::H2(session) => session.priority(stream).urgency,
            // Its responses leave in order, whatever is said of them.
            Self::H1(_) | Self::Dormant(_) => Priority::default().urgency,
        }
    }

    /// Server: whether what waits in the stream waits for other streams: over HTTP/1.1 for the responses before, over HTTP/2 for its turn.
    pub(crate) fn stands_in_line(&self, stream: StreamKey) -> bool {
        match self {
            Self::H1(session) => !session.is_its_turn(stream),
            Self::H2(session) => session.stands_in_line(stream),
            Self::Dormant(_) => false,
        }
    }

    /// Asks the peer whether it is there, if the protocol can; says whether it can.
    pub(crate) fn ping(&mut self, payload: [u8; 8]) -> bool {
        match self {
            Self::H2(session) => {
                session.ping(payload);
                true
            }
            Self::H1(_) => false,
            Self::Dormant(_) => {
                self.wake();
                self.ping(payload)
            }
        }
    }

    /// Whether trailers wait in their stream while the outbox is full, as content does. Over HTTP/1.1 they follow their content at once.
    pub(crate) fn trailers_wait(&self) -> bool {
        !matches!(self, Self::H1(_))
    }

    /// The peer has shut its sending direction down. Says whether the session goes on: then events are to be taken once more.
    /// Over HTTP/2 it does not: without the peer's WINDOW_UPDATE frames nothing of length could be sent to it any more.
    pub(crate) fn read_closed(&mut self) -> bool {
        match self {
            Self::H2(_) | Self::Dormant(_) => false,
            Self::H1(session) => {
                session.read_closed();
                true
            }
        }
    }

    /// Whether a tunnel goes on whose peer has ended its half.
    pub(crate) fn is_half_open(&self) -> bool {
        matches!(self, Self::H1(session) if session.is_half_open())
    }

    /// Whether nothing more will be said on it, by what was said: the connection is to be closed when its output has left.
    /// HTTP/2 says that by GOAWAY, which has its own ways.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        matches!(self, Self::H1(session) if session.has_failed() || session.is_over())
    }

    /// Whether a close in good order would end a message that is not whole. HTTP/2 frames every end.
    pub(crate) fn is_cut_short(&self) -> bool {
        matches!(self, Self::H1(session) if session.is_cut_short())
    }

    /// Server: whether the peer's end is still to be told although its input was taken: then take events once more.
    pub(crate) fn owes_end(&self) -> bool {
        matches!(self, Self::H1(session) if session.owes_end())
    }

    /// Whether our sending direction is to be shut down behind what waits, although the peer may still send: half of a tunnel has ended.
    #[inline]
    pub(crate) fn is_write_closed(&self) -> bool {
        matches!(self, Self::H1(session) if session.is_write_closed())
    }
}

/// What is the same.
impl Session {
    /// Octets to events; see the sessions' own `poll_event`.
    #[inline(always)]
    pub(crate) fn poll_event<'a>(
        &mut self,
        input: &mut Input<'a>,
    ) -> Result<Option<Event<'a>>, ConnectionError> {
        each!(self, session => session.poll_event(input), asleep => {
            self.wake();
            self.poll_event(input)
        })
    }

    /// What waits to be written.
    pub(crate) fn transmit(&self) -> &[u8] {
        each!(self, session => session.transmit())
    }

    /// `n` octets of it left.
    pub(crate) fn sent(&mut self, n: usize) {
        each!(self, session => session.sent(n))
    }

    /// Whether there is output, or some could be cut.
    #[inline]
    pub(crate) fn has_output(&self) -> bool {
        each!(self, session => session.has_output())
    }

    /// Whether no further input should be taken in.
    #[inline(always)]
    pub(crate) fn is_congested(&self) -> bool {
        each!(self, session => session.is_congested())
    }

    /// Whether input may be taken in again.
    pub(crate) fn has_room(&self) -> bool {
        each!(self, session => session.has_room(), asleep => true)
    }

    /// Whether an error ended it.
    pub(crate) fn has_failed(&self) -> bool {
        each!(self, session => session.has_failed())
    }

    /// Whether it is known what the peer allows.
    pub(crate) fn is_established(&self) -> bool {
        each!(self, session => session.is_established(), asleep => true)
    }

    /// Client: sends a request head.
    pub(crate) fn open(&mut self, fields: &FieldSection, end: bool) -> Result<StreamKey, OpenError> {
        each!(self, session => session.open(fields, end), asleep => Err(OpenError::NotClient))
    }

    /// Client: how many requests could be sent now.
    pub(crate) fn open_slots(&self) -> u32 {
        each!(self, session => session.open_slots())
    }

    /// Streams that are open.
    #[inline]
    pub(crate) fn open_streams(&self) -> usize {
        each!(self, session => session.open_streams())
    }

    /// Server: sends a response head, interim or final.
    pub(crate) fn send_head(
        &mut self,
        key: StreamKey,
        fields: &FieldSection,
        end: bool,
    ) -> Result<(), SendError> {
        each!(self, session => session.send_head(key, fields, end), asleep => Err(SendError::Gone))
    }

    /// Ends a message with a trailer section; `false`: a cut tells of the end.
    pub(crate) fn send_trailers(&mut self, key: StreamKey, fields: FieldSection) -> Result<bool, SendError> {
        each!(self, session => session.send_trailers(key, fields), asleep => Err(SendError::Gone))
    }

    /// Whether our message on this stream lies whole in the outbox, or has left.
    pub(crate) fn has_sent(&self, key: StreamKey) -> bool {
        each!(self, session => session.has_sent(key), asleep => true)
    }

    /// Cuts content that waits into the outbox.
    pub(crate) fn cut(&mut self) -> Option<Cut> {
        each!(self, session => session.cut())
    }

    /// Ends a stream before its time.
    pub(crate) fn reset(&mut self, key: StreamKey, code: ErrorCode) {
        each!(self, session => session.reset(key, code))
    }

    /// Gives received octets back to their stream.
    pub(crate) fn release_stream(&mut self, key: StreamKey, credit: Credit<StreamLevel>) {
        each!(self, session => session.release_stream(key, credit))
    }

    /// Gives received octets back to the connection.
    pub(crate) fn release_connection(&mut self, credit: Credit<ConnectionLevel>) {
        each!(self, session => session.release_connection(credit), asleep => {
            self.wake();
            self.release_connection(credit)
        })
    }

    /// What the peer may send on a stream that is opened now, in octets.
    #[inline]
    pub(crate) fn stream_recv_window(&self) -> u32 {
        each!(self, session => session.stream_recv_window(), dormant => dormant.stream_recv_window())
    }

    /// What a stream's receive window is restored to.
    pub(crate) fn recv_window_size(&self, key: StreamKey) -> Option<u32> {
        each!(self, session => session.recv_window_size(key))
    }

    /// Widens a stream's receive window for good.
    pub(crate) fn widen_recv_window(&mut self, key: StreamKey, by: u32) {
        each!(self, session => session.widen_recv_window(key, by))
    }

    /// Octets of content that wait in a stream.
    pub(crate) fn queued(&self, key: StreamKey) -> usize {
        each!(self, session => session.queued(key))
    }

    /// What waits in a stream's queue gets memory of about its size, which nothing will be added to. Says how much that is.
    pub(crate) fn fit_queue(&mut self, key: StreamKey) -> usize {
        each!(self, session => session.fit_queue(key))
    }

    /// Octets that wait in all.
    pub(crate) fn buffered(&self) -> usize {
        each!(self, session => session.buffered())
    }

    /// Attaches a number to a stream.
    pub(crate) fn set_tag(&mut self, key: StreamKey, tag: u64) -> Option<u32> {
        each!(self, session => session.set_tag(key, tag))
    }

    /// The number of a stream on its connection.
    pub(crate) fn stream_id(&self, key: StreamKey) -> Option<u32> {
        each!(self, session => session.stream_id(key))
    }

    /// Takes any stream out without telling the peer.
    pub(crate) fn abandon_stream(&mut self) -> Option<(StreamKey, u64)> {
        each!(self, session => session.abandon_stream())
    }

    /// Announces that the connection ends soon.
    pub(crate) fn announce_goaway(&mut self) {
        each!(self, session => session.announce_goaway(), asleep => {
            self.wake();
            self.announce_goaway()
        })
    }

    /// Says which requests are still served.
    pub(crate) fn goaway(&mut self) {
        each!(self, session => session.goaway(), asleep => {
            self.wake();
            self.goaway()
        })
    }

    /// Whether the last request that is served is known.
    pub(crate) fn goaway_is_final(&self) -> bool {
        each!(self, session => session.goaway_is_final())
    }

    /// Whether no further request can ever be sent.
    pub(crate) fn is_going_away(&self) -> bool {
        each!(self, session => session.is_going_away())
    }

    /// The peer broke the protocol.
    pub(crate) fn fail(&mut self, error: ConnectionError) {
        each!(self, session => session.fail(error), asleep => {
            self.wake();
            self.fail(error)
        })
    }

    /// What has passed so far.
    pub(crate) fn traffic(&self) -> Traffic {
        each!(self, session => *session.traffic(), dormant => dormant.outside().traffic)
    }

    /// Both windows of the connection: for snapshots.
    pub(crate) fn windows(&self) -> (i32, i32) {
        each!(self, session => session.windows(), dormant => dormant.outside().windows())
    }

    /// Octets whose credit is lost: for tests.
    pub(crate) fn credit_lost(&self) -> u64 {
        match self {
            Self::H2(session) => session.credit_lost(),
            // Nobody owes credit there.
            Self::H1(_) => 0,
            Self::Dormant(dormant) => dormant.outside().recv_window.unreleased(),
        }
    }

    /// Whether the peer has begun a head and not ended it.
    pub(crate) fn is_in_field_block(&self, rest: &[u8]) -> bool {
        each!(self, session => session.is_in_field_block(rest))
    }

    /// How many heads came whole.
    pub(crate) fn field_blocks_received(&self) -> u64 {
        each!(self, session => session.field_blocks_received(), dormant => dormant.outside().blocks_received)
    }

    /// Takes the memory of an empty outbox away.
    pub(crate) fn take_outbox_memory(&mut self) -> Vec<u8> {
        each!(self, session => session.take_outbox_memory())
    }

    /// Gives memory to an outbox that has none.
    pub(crate) fn give_outbox_memory(&mut self, memory: Vec<u8>) {
        each!(self, session => session.give_outbox_memory(memory))
    }

    /// Octets of memory that the outbox holds.
    #[inline]
    pub(crate) fn outbox_capacity(&self) -> usize {
        each!(self, session => session.outbox_capacity())
    }

    /// Takes the memory for the next field section out.
    pub(crate) fn take_spare(&mut self) -> FieldSection {
        each!(self, session => session.take_spare())
    }

    /// Whether the next field section would be made of new memory.
    pub(crate) fn lacks_spare(&self) -> bool {
        each!(self, session => session.lacks_spare(), asleep => true)
    }

    /// Gives memory for the next field section.
    pub(crate) fn recycle(&mut self, fields: FieldSection) {
        each!(self, session => session.recycle(fields))
    }
}

#[cfg(test)]
mod tests;
