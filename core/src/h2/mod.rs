//! One HTTP/2 connection of either role (RFC 9113): no sockets, no clock.
//!
//! [`Client`] and [`Server`] are for people who need HTTP/2 without a runtime and speak the types of the `http` crate.
//! Both are thin covers over one role-blind [`Connection`], which the gateway drives directly.

mod budget;
mod charge;
mod client;
mod connection;
mod cut;
mod dormant;
mod endpoint;
mod event;
mod priorities;
mod recv;
mod recv_fields;
mod schedule;
mod send;
mod server;
pub mod settings;
pub mod state;
mod streams;
mod traffic;
mod unsent;

pub(crate) use budget::{Misuse, cost};
pub use client::{Client, ClientEvent};
pub use connection::Connection;
pub use cut::{Cut, Sent};
pub use dormant::Dormant;
pub use endpoint::Protocol;
pub use event::{Event, Input};
pub use server::{Server, ServerEvent};
pub use settings::Role;
pub use streams::{Stream, StreamKey};
pub use traffic::Traffic;
pub use unsent::{OpenError, SendError};
