//! What the system says of a failed connection, in the words of the contract.

use std::io;

use shuntyard_core::address::Address;
use shuntyard_core::gateway::Closed;

/// How a failure to connect is told to the gateway.
pub fn connect_failure(error: &io::Error) -> Closed {
    match error.kind() {
        // A Unix socket that nobody has bound is no less refused than a port that nobody listens on.
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Closed::ConnectRefused,
        io::ErrorKind::TimedOut => Closed::ConnectTimedOut,
        _ => Closed::ConnectFailed,
    }
}

/// Whether the backend is there, but has not accepted those who came before: a Unix socket whose queue is full (unix(7)).
pub fn is_queue_full(target: &Address, error: &io::Error) -> bool {
    matches!(target, Address::Unix(_)) && error.kind() == io::ErrorKind::WouldBlock
}

/// Whether the next connection may well be accepted where this one was not: the client that was next in the queue has gone.
pub fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted)
}

/// How a failure to read or to write is told to the gateway.
pub fn transfer_failure(error: &io::Error) -> Closed {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => {
            Closed::Reset
        }
        _ => Closed::Failed,
    }
}
