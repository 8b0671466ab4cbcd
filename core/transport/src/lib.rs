//! What stands between a socket and the [gateway](shuntyard_core::gateway): TLS, as one more layer without I/O, and before it the
//! [PROXY protocol](introduction).
//!
//! ```text
//!   socket  --octets-->  recv_buf, received      poll_plain  --plaintext-->  Gateway::recv_buf, handle_recv
//!   socket  <--octets--  pending, left           seal        <--plaintext--  Gateway::poll_transmit, handle_sent
//! ```
//!
//! A [`Transport`] is one connection. It owns no large buffer: those belong to the worker, as [`Spare`], and are lent for a turn. What a
//! connection keeps between turns is a record that has not come whole, or records that the socket did not take.
//!
//! The gateway sees plaintext and, once, the [facts](shuntyard_core::tls::TlsFacts) of the handshake, so that a recording replays without keys.
//! What was sealed counts as sent when the last octet of its record has left: [`Transport::left`] says how many.
//!
//! TLS itself is rustls, with the provider always named: the process's default plays no part. The versions are 1.2 and 1.3 with suites that
//! RFC 9113 section 9.2.2 allows; there is neither compression nor renegotiation (section 9.2.1), and no early data.

#[cfg(test)]
extern crate self as shuntyard_transport;

mod back;
mod choosing;
#[cfg(test)]
#[path = "../tests/common/mod.rs"]
mod common;
mod failure;
mod front;
mod identity;
mod input;
mod output;
mod provider;
mod proxy_protocol;
mod sealing;
mod sessions;
mod subject;
mod transport;

pub use back::{BackTls, Trust};
pub use failure::{TlsConfigError, failure_of};
pub use front::{ClientAuth, FrontTls, check_authorities};
pub use identity::Identity;
pub use input::Plain;
pub use proxy_protocol::{INTRODUCTION_OCTETS, Introduction, NotIntroduced, introduction};
pub use sessions::SESSIONS_OCTETS;
pub use transport::{CONNECTION_OCTETS, Spare, Transport};
