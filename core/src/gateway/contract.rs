//! The words of the contract between the gateway and whoever drives it: events in, actions out.

use std::sync::Arc;

use crate::address::Address;
use crate::config::{Alpn, Config, Protocol};
pub use crate::key::{ConnId, ConnMarker};
use crate::record::{Cause, Record};
use crate::time::{Duration, WallClock};
use crate::tls::{TlsFacts, TlsFailure};

/// A client's connection was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The client. A mapped IPv4 address, which an IPv6 socket tells of, is taken for what it is.
    pub peer: Address,
    /// The listener it came through, as the configuration names it: what [`ListenerConfig`](crate::config::ListenerConfig) says holds where this
    /// is its `address`, octet for octet. The accepted socket's own address is another one where a listener has all
    /// of a machine's.
    pub local: Address,
}

/// What the adapter learnt when a connection stands that it was told to make, or that [`handle_arriving`](super::Gateway::handle_arriving)
/// told of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connected {
    /// What both sides have agreed on (ALPN, RFC 7301); `None` where nothing was said of it.
    pub protocol: Option<Protocol>,
    /// What the handshake of TLS found; `None` in clear.
    pub tls: Option<Arc<TlsFacts>>,
}

/// Why the transport of a connection is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Closed {
    /// The connection could not be made: the peer refused.
    ConnectRefused,
    /// The connection could not be made: no answer in the transport's own time.
    ConnectTimedOut,
    /// The connection could not be made for another reason (no route, no permission).
    ConnectFailed,
    /// The connection could not be made for want of something that the system has here: a descriptor, a port, memory. The peer was never asked.
    ConnectExhausted,
    /// The peer reset the connection, or writing failed because it had gone.
    Reset,
    /// Reading or writing failed for another reason.
    Failed,
    /// TLS failed, in its handshake or later; or the end of the transport came without TLS's own: what was sent may have been cut.
    Tls(TlsFailure),
}

impl Closed {
    /// Why what the connection carried, or was to carry, has failed.
    pub(super) const fn cause(self) -> Cause {
        match self {
            Self::ConnectTimedOut => Cause::ConnectionTimeout,
            Self::ConnectRefused | Self::ConnectFailed => Cause::ConnectionRefused,
            Self::ConnectExhausted => Cause::SystemLimit,
            Self::Reset | Self::Failed => Cause::ConnectionTerminated,
            Self::Tls(failure) => Cause::Tls(failure),
        }
    }
}

/// Where the adapter may read to.
#[derive(Debug)]
pub enum RecvBuf<'a> {
    /// Read into this once, then say how much with `handle_recv`. Never empty. Valid until the next call.
    Buffer(&'a mut [u8]),
    /// Back-pressure: leave the socket alone until [`Action::Readable`] names the connection.
    Pause,
    /// There is no such connection (any more), or it is still to be [connected](super::Gateway::handle_connected).
    Gone,
}

/// With whom TLS is to be spoken, and what it has to agree on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Secure {
    /// The upstream, whose keys and authorities the adapter knows.
    pub upstream: Arc<str>,
    /// The endpoint's name, or its address: who it has to be, unless the adapter knows another name of the upstream.
    pub host: Arc<str>,
    /// What it may speak.
    pub alpn: Alpn,
}

/// What the adapter must do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Connect to the target; then `handle_connected` or `handle_closed`.
    Connect {
        /// The id of the connection to be.
        conn: ConnId,
        /// Where to.
        target: Address,
        /// TLS, where it is spoken there.
        secure: Option<Secure>,
    },
    /// Reading was paused and may go on.
    Readable(ConnId),
    /// There is output: take `poll_transmit`, write, report `handle_sent`, until `None` or until the socket is full.
    Writable(ConnId),
    /// Find the addresses of a name, away from the event loop; then [`Command::Resolved`].
    Resolve {
        /// The name.
        name: Arc<str>,
        /// The port that the addresses are wanted with.
        port: u16,
    },
    /// All output has left: shut the sending direction down (SHUT_WR) and go on reading.
    Shutdown(ConnId),
    /// Close and forget the connection. Its id is stale now; no `handle_closed` is wanted.
    Close(ConnId),
    /// Close and forget the connection like [`Close`](Self::Close), but so that the peer sees that it broke: over TCP by a reset
    /// (SO_LINGER of 0 seconds), over TLS at least without `close_notify`. A message ends with this connection (RFC 9112
    /// section 8), and is not whole.
    Abort(ConnId),
    /// Whether listeners should be read from.
    Accepting(bool),
    /// Something to write down. Only where the configuration asks for records.
    Record(Box<Record>),
    /// The drain is over: no connection is left. `cut` connections had to be closed at the deadline.
    Drained {
        /// Connections of clients that were cut with streams open, or with something of a response that had not left.
        cut: u32,
    },
}

/// What the operator wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Finish what is there, accept nothing new, and be gone after `deadline` at the latest.
    Drain {
        /// From now.
        deadline: Duration,
    },
    /// Whose word is taken for who the clients of this listener are has changed: those who have shown certificates are asked to leave.
    Part {
        /// Where they came in. One of [`Config::listeners`].
        listener: Address,
    },
    /// The civil time, told again.
    WallClock(WallClock),
    /// The addresses that [`Action::Resolve`] asked for. None: the name could not be resolved, or has none; those that
    /// were known before stay in use.
    Resolved {
        /// The name.
        name: Arc<str>,
        /// The port.
        port: u16,
        /// What was found.
        addresses: Vec<Address>,
    },
    /// A new configuration. Routes and upstreams apply from the next request on every connection; what concerns
    /// connections applies to those that come. One that is not valid changes nothing.
    Configure(Box<Config>),
}
