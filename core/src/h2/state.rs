//! The states of a stream as one total, role-blind table (RFC 9113 section 5.1).
//!
//! The reserved states are missing because they cannot occur: a reservation takes a PUSH_PROMISE frame, we never send
//! one, and one that comes ends the connection (section 8.4: as a client we announce SETTINGS_ENABLE_PUSH = 0 in front
//! of everything else).
//!
//! Who may open a stream is told by its identifier (section 5.1.1), and what a field section means by the message that
//! it belongs to (section 8.1); neither is known here.

use crate::error::{ConnectionError, StreamError};

/// The state of a stream (RFC 9113 section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Nothing was sent or received on it.
    Idle,
    /// Both sides may send.
    Open,
    /// We ended the stream, the peer may go on.
    HalfClosedLocal,
    /// The peer ended the stream, we may go on.
    HalfClosedRemote,
    /// The end.
    Closed(ClosedBy),
}

/// How a stream came to its end, which decides what may still arrive for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClosedBy {
    /// Both sides sent END_STREAM.
    EndStream,
    /// The peer sent RST_STREAM.
    PeerReset,
    /// We sent RST_STREAM; the peer may not know yet.
    OurReset,
    /// Nothing is remembered of the stream, except that its identifier was used or passed over (section 5.1.1).
    Forgotten,
}

impl ClosedBy {
    pub(crate) const ALL: [Self; 4] = [Self::EndStream, Self::PeerReset, Self::OurReset, Self::Forgotten];
}

/// A frame as far as the state of a stream depends on it. CONTINUATION is a part of its HEADERS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// HEADERS.
    Headers {
        /// With END_STREAM.
        end: bool,
    },
    /// DATA.
    Data {
        /// With END_STREAM.
        end: bool,
    },
    /// RST_STREAM.
    RstStream,
    /// WINDOW_UPDATE.
    WindowUpdate,
    /// PRIORITY.
    Priority,
}

/// A frame and its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamEvent {
    /// The peer sent it.
    Recv(FrameKind),
    /// We are about to send it.
    Send(FrameKind),
}

/// A frame that the state of its stream forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Violation {
    /// The peer must not send it: the connection ends.
    Connection(ConnectionError),
    /// The peer must not send it: the stream ends. HEADERS are decompressed and DATA counts against the connection's
    /// window all the same (sections 4.3 and 6.9).
    Stream(StreamError),
    /// We must not send it. Whoever asked for it has lost track of the stream.
    Ours,
}

impl State {
    /// The state after the event.
    ///
    /// # Errors
    ///
    /// The frame is forbidden in this state; the state stays as it is. The error's own consequence (a RST_STREAM that is
    /// sent) is an event of its own.
    ///
    /// ```
    /// use shuntyard_core::h2::state::{FrameKind, State, StreamEvent};
    ///
    /// let state = State::Idle.next(StreamEvent::Recv(FrameKind::Headers { end: true }));
    /// assert_eq!(state, Ok(State::HalfClosedRemote));
    /// ```
    #[inline]
    pub const fn next(self, event: StreamEvent) -> Result<Self, Violation> {
        match event {
            StreamEvent::Recv(frame) => self.recv(frame),
            StreamEvent::Send(frame) => self.send(frame),
        }
    }

    /// Whether the stream has come to its end.
    #[inline]
    pub const fn is_closed(self) -> bool {
        matches!(self, Self::Closed(_))
    }

    /// Whether the peer may still send HEADERS and DATA.
    #[inline]
    pub const fn may_recv(self) -> bool {
        matches!(self, Self::Open | Self::HalfClosedLocal)
    }

    /// Whether we may still send HEADERS and DATA on a stream that is not idle.
    #[inline]
    pub const fn may_send(self) -> bool {
        matches!(self, Self::Open | Self::HalfClosedRemote)
    }

    const fn recv(self, frame: FrameKind) -> Result<Self, Violation> {
        use FrameKind::{Data, Headers, Priority, RstStream, WindowUpdate};
        use State::{Closed, HalfClosedLocal, HalfClosedRemote, Idle, Open};
        Ok(match (self, frame) {
            (Idle, Headers { end: false }) => Open,
            (Idle, Headers { end: true }) => HalfClosedRemote,
            (Idle, Priority) => Idle,
            (Idle, Data { .. } | RstStream | WindowUpdate) => {
                return Err(Violation::Connection(ConnectionError::StreamIdle));
            }

            (Open, Headers { end: true } | Data { end: true }) => HalfClosedRemote,
            (HalfClosedLocal, Headers { end: true } | Data { end: true }) => Closed(ClosedBy::EndStream),
            (Open | HalfClosedLocal, Headers { end: false } | Data { end: false }) => self,
            (HalfClosedRemote, Headers { .. } | Data { .. }) => {
                return Err(Violation::Stream(StreamError::HalfClosed)); // 9113-5.1-08, 9113-6.1-06
            }

            (Open | HalfClosedLocal | HalfClosedRemote, RstStream) => Closed(ClosedBy::PeerReset),
            (Open | HalfClosedLocal | HalfClosedRemote, WindowUpdate | Priority) => self, // 9113-6.9-04

            (Closed(by), _) => match closed_recv(by, frame) {
                Ok(()) => self,
                Err(cause) => return Err(Violation::Connection(cause)),
            },
        })
    }

    const fn send(self, frame: FrameKind) -> Result<Self, Violation> {
        use FrameKind::{Data, Headers, Priority, RstStream, WindowUpdate};
        use State::{Closed, HalfClosedLocal, HalfClosedRemote, Idle, Open};
        Ok(match (self, frame) {
            (_, Priority) => self,

            (Idle, Headers { end: false }) => Open,
            (Idle, Headers { end: true }) => HalfClosedLocal,
            (Idle, Data { .. } | RstStream | WindowUpdate) => return Err(Violation::Ours), // 9113-6.4-05

            (Open, Headers { end: true } | Data { end: true }) => HalfClosedLocal,
            (HalfClosedRemote, Headers { end: true } | Data { end: true }) => Closed(ClosedBy::EndStream),
            (Open | HalfClosedRemote, Headers { end: false } | Data { end: false }) => self,
            (HalfClosedLocal, Headers { .. } | Data { .. }) => return Err(Violation::Ours),

            (Open | HalfClosedLocal | HalfClosedRemote, RstStream) => Closed(ClosedBy::OurReset),
            (Open | HalfClosedLocal | HalfClosedRemote, WindowUpdate) => self,

            // 9113-5.1-09, 9113-6.4-01
            (Closed(_), Headers { .. } | Data { .. } | RstStream | WindowUpdate) => {
                return Err(Violation::Ours);
            }
        })
    }
}

/// What a frame for a closed stream means (RFC 9113 section 5.1, "closed"). `Ok` is: discard it.
///
/// Discarded is the frame, not its side effects: DATA counts against the connection's window and is credited back
/// (section 6.9), HEADERS are decompressed (section 4.3).
///
/// # Errors
///
/// The peer had ended the stream itself and cannot be excused by frames on their way: a connection error of type
/// STREAM_CLOSED, which section 5.1 allows. WINDOW_UPDATE and RST_STREAM may have crossed with our END_STREAM, and
/// PRIORITY is always allowed.
#[inline]
pub const fn closed_recv(by: ClosedBy, frame: FrameKind) -> Result<(), ConnectionError> {
    match (by, frame) {
        // 9113-5.1-11, 9113-5.4.2-01, 9113-6.4-02
        (ClosedBy::OurReset | ClosedBy::Forgotten, _) => Ok(()),
        (ClosedBy::EndStream | ClosedBy::PeerReset, FrameKind::Headers { .. } | FrameKind::Data { .. }) => {
            Err(ConnectionError::StreamClosed)
        }
        (
            ClosedBy::EndStream | ClosedBy::PeerReset,
            FrameKind::RstStream | FrameKind::WindowUpdate | FrameKind::Priority,
        ) => Ok(()), // 9113-6.9-04
    }
}

#[cfg(test)]
mod tests {
    use shuntyard_requirements::req;

    use super::*;

    /// The columns of the table below.
    const FRAMES: [FrameKind; 7] = [
        FrameKind::Headers { end: false },
        FrameKind::Headers { end: true },
        FrameKind::Data { end: false },
        FrameKind::Data { end: true },
        FrameKind::RstStream,
        FrameKind::WindowUpdate,
        FrameKind::Priority,
    ];

    type Outcome = Result<State, Violation>;

    const I: Outcome = Ok(State::Idle);
    const O: Outcome = Ok(State::Open);
    const L: Outcome = Ok(State::HalfClosedLocal);
    const R: Outcome = Ok(State::HalfClosedRemote);
    const END: Outcome = Ok(State::Closed(ClosedBy::EndStream));
    const THEIRS: Outcome = Ok(State::Closed(ClosedBy::PeerReset));
    const OURS: Outcome = Ok(State::Closed(ClosedBy::OurReset));
    const GONE: Outcome = Ok(State::Closed(ClosedBy::Forgotten));
    /// Connection error of type PROTOCOL_ERROR.
    const PE: Outcome = Err(Violation::Connection(ConnectionError::StreamIdle));
    /// Connection error of type STREAM_CLOSED.
    const CE: Outcome = Err(Violation::Connection(ConnectionError::StreamClosed));
    /// Stream error of type STREAM_CLOSED.
    const SE: Outcome = Err(Violation::Stream(StreamError::HalfClosed));
    /// Not to be sent.
    const NO: Outcome = Err(Violation::Ours);

    /// One row a state and direction, written down from the text of section 5.1.
    #[rustfmt::skip]
    const TABLE: [(Outcome, [Outcome; 7], [Outcome; 7]); 8] = [
        //        received: H    H+end   D       D+end   RST     WU      PRIO      sent: H   H+end D    D+end RST   WU  PRIO
        (I,      [O,      R,      PE,     PE,     PE,     PE,     I],             [O,  L,   NO,  NO,  NO,   NO, I]),
        (O,      [O,      R,      O,      R,      THEIRS, O,      O],             [O,  L,   O,   L,   OURS, O,  O]),
        (L,      [L,      END,    L,      END,    THEIRS, L,      L],             [NO, NO,  NO,  NO,  OURS, L,  L]),
        (R,      [SE,     SE,     SE,     SE,     THEIRS, R,      R],             [R,  END, R,   END, OURS, R,  R]),
        (END,    [CE,     CE,     CE,     CE,     END,    END,    END],           [NO, NO,  NO,  NO,  NO,   NO, END]),
        (THEIRS, [CE,     CE,     CE,     CE,     THEIRS, THEIRS, THEIRS],        [NO, NO,  NO,  NO,  NO,   NO, THEIRS]),
        (OURS,   [OURS,   OURS,   OURS,   OURS,   OURS,   OURS,   OURS],          [NO, NO,  NO,  NO,  NO,   NO, OURS]),
        (GONE,   [GONE,   GONE,   GONE,   GONE,   GONE,   GONE,   GONE],          [NO, NO,  NO,  NO,  NO,   NO, GONE]),
    ];

    #[test]
    fn rfc9113_5_1_every_event_in_every_state() {
        req!(
            "9113-5.1-01",
            "9113-5.1-08",
            "9113-5.1-09",
            "9113-5.1-14",
            "9113-6.4-01",
            "9113-6.4-05",
            "9113-6.4-06"
        );
        for (state, recv, send) in TABLE {
            let state = state.unwrap();
            for (frame, (recv, send)) in FRAMES.into_iter().zip(recv.into_iter().zip(send)) {
                assert_eq!(state.next(StreamEvent::Recv(frame)), recv, "{state:?} receives {frame:?}");
                assert_eq!(state.next(StreamEvent::Send(frame)), send, "{state:?} sends {frame:?}");
            }
        }
    }

    #[test]
    fn rfc9113_5_1_errors_have_the_codes_of_the_text() {
        use crate::error::ErrorCode;
        assert_eq!(ConnectionError::StreamIdle.code(), ErrorCode::PROTOCOL_ERROR);
        assert_eq!(ConnectionError::StreamClosed.code(), ErrorCode::STREAM_CLOSED);
        assert_eq!(StreamError::HalfClosed.code(), ErrorCode::STREAM_CLOSED);
    }

    /// What one side sends the other receives: seen from both sides at once, a stream never disagrees about who may send.
    #[test]
    fn two_sides_mirror_each_other() {
        let mirrored = |state| match state {
            State::HalfClosedLocal => State::HalfClosedRemote,
            State::HalfClosedRemote => State::HalfClosedLocal,
            State::Closed(ClosedBy::OurReset) => State::Closed(ClosedBy::PeerReset),
            State::Closed(ClosedBy::PeerReset) => State::Closed(ClosedBy::OurReset),
            State::Idle | State::Open | State::Closed(ClosedBy::EndStream | ClosedBy::Forgotten) => state,
        };
        for (state, ..) in TABLE {
            let state = state.unwrap();
            for frame in FRAMES {
                if let Ok(after) = state.next(StreamEvent::Send(frame)) {
                    assert_eq!(mirrored(state).next(StreamEvent::Recv(frame)), Ok(mirrored(after)));
                }
            }
        }
    }

    #[test]
    fn a_closed_stream_stays_closed_and_an_open_one_never_becomes_idle() {
        for (state, ..) in TABLE {
            let state = state.unwrap();
            for event in FRAMES.into_iter().flat_map(|f| [StreamEvent::Recv(f), StreamEvent::Send(f)]) {
                let Ok(after) = state.next(event) else { continue };
                assert!(after == state || !state.is_closed(), "{state:?} {event:?} {after:?}");
                assert!(after == state || after != State::Idle, "{state:?} {event:?} {after:?}");
                assert!(state == State::Idle || !after.may_recv() || state.may_recv());
                assert!(state == State::Idle || !after.may_send() || state.may_send());
            }
        }
    }

    #[test]
    fn a_state_is_one_octet() {
        assert_eq!(size_of::<State>(), 1);
    }
}
