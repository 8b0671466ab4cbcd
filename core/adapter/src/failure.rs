//! What the system says of a failed connection, in the words of the contract.

use std::io;

use rustix::io::Errno;
use shuntyard_core::address::Address;
use shuntyard_core::gateway::Closed;

/// How a failure to connect to `target` is told to the gateway.
pub fn connect_failure(target: &Address, error: &io::Error) -> Closed {
    if lacks_means(target, error) {
        return Closed::ConnectExhausted;
    }
    match error.kind() {
        // A Unix socket that nobody has bound is no less refused than a port that nobody listens on.
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Closed::ConnectRefused,
        io::ErrorKind::TimedOut => Closed::ConnectTimedOut,
        _ => Closed::ConnectFailed,
    }
}

/// Whether there was no descriptor, memory or port of this system for a connection, or no room in its poll.
fn lacks_means(target: &Address, error: &io::Error) -> bool {
    match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::NOSPC) => true,
        // Of IPv6 it may as well say that this system has none: then other endpoints have to serve.
        Some(Errno::ADDRNOTAVAIL) => {
            matches!(target, Address::Inet(target) if target.ip().to_canonical().is_ipv4())
        }
        _ => false,
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn what_this_system_lacks_is_told_apart_from_what_backends_do() {
        for target in ["127.0.0.1:9", "[::1]:9"] {
            let target = Address::from(target.parse::<SocketAddr>().unwrap());
            let told = |errno: Errno| connect_failure(&target, &errno.into());
            for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS] {
                assert_eq!(told(errno), Closed::ConnectExhausted, "{errno}");
            }
            assert_eq!(told(Errno::CONNREFUSED), Closed::ConnectRefused);
            assert_eq!(told(Errno::HOSTUNREACH), Closed::ConnectFailed);
        }
    }

    /// Who rests makes room for other endpoints, and is tried again later; what is lacking is waited for.
    #[test]
    fn no_free_port_is_what_lacks_and_no_ipv6_is_an_endpoint_that_cannot_be_reached() {
        let told = |target: &str| {
            let target = Address::from(target.parse::<SocketAddr>().unwrap());
            connect_failure(&target, &Errno::ADDRNOTAVAIL.into())
        };
        assert_eq!(told("127.0.0.1:9"), Closed::ConnectExhausted);
        assert_eq!(told("[::ffff:127.0.0.1]:9"), Closed::ConnectExhausted);
        assert_eq!(told("[::1]:9"), Closed::ConnectFailed);
    }
}
