//! What is due at a deadline, and whom it is for.

use crate::deadline::Deadlines;
use crate::gateway::ConnId;
use crate::key::EndpointId;
use crate::request::RequestKey;

/// The kinds of deadlines. All of one kind last equally long, so that their list stays in order by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The connection does not stand.
    Connect,
    /// The peer's preface or SETTINGS.
    Preface,
    /// A field block that a client has begun.
    FieldBlock,
    /// A connection without streams, of a client.
    FrontIdle,
    /// A connection without streams, to a backend.
    BackendIdle,
    /// The peer's input is discarded.
    Linger,
    /// The peer takes no output.
    WriteStall,
    /// A request waits frozen.
    Queue,
    /// A request that was refused rests.
    Pause,
    /// A request as a whole.
    Total,
    /// A backend owes a response head.
    Response,
    /// Content does not move.
    Progress,
    /// The pause of an endpoint after a dial that failed.
    Rest,
    /// The pause of an endpoint after a dial for which the system had nothing.
    Means,
    /// The next look at a name.
    Resolve,
    /// A connection has had its time.
    Age,
    /// A backend was asked whether it is still there, or is looked at.
    Vigil,
    /// A backend has seen too many requests taken back.
    Ease,
    /// What is left of a response that nobody wants.
    Leftover,
    /// The second GOAWAY of a drain.
    DrainStep,
    /// The end of a drain.
    Drain,
}

impl Kind {
    const ALL: [Self; 21] = [
        Self::Connect,
        Self::Preface,
        Self::FieldBlock,
        Self::FrontIdle,
        Self::BackendIdle,
        Self::Linger,
        Self::WriteStall,
        Self::Queue,
        Self::Pause,
        Self::Total,
        Self::Response,
        Self::Progress,
        Self::Rest,
        Self::Means,
        Self::Resolve,
        Self::Age,
        Self::Vigil,
        Self::Ease,
        Self::Leftover,
        Self::DrainStep,
        Self::Drain,
    ];
    const COUNT: usize = Self::ALL.len();

    pub(super) fn from_index(index: u8) -> Self {
        Self::ALL.get(usize::from(index)).copied().unwrap_or(Self::Drain)
    }
}

/// Whom a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeadlineTarget {
    /// A connection.
    Conn(ConnId),
    /// A request.
    Request(RequestKey),
    /// The drain of the whole gateway.
    Drain,
    /// An endpoint that rests after a dial that failed.
    Rest(EndpointId),
    /// An endpoint for which the system had nothing when it was dialled.
    Means(EndpointId),
    /// An endpoint whose name is looked up again.
    Resolve(EndpointId),
}

/// All deadlines of a gateway.
pub(super) type Armed = Deadlines<DeadlineTarget, { Kind::COUNT }>;
