//! The pure core of shuntyard: HTTP/2, HPACK, request engines and a gateway as state machines without I/O.
//!
//! Octets, times and orders come in as method calls; octets, events and actions come out. There are no sockets, clocks,
//! threads or chance in here, so that whatever happened can happen again, to the bit.
//!
//! # Where to start
//!
//! | you want | take |
//! |---|---|
//! | HTTP/2 as a client, without a runtime | [`h2::Client`] |
//! | HTTP/2 as a server, likewise | [`h2::Server`] |
//! | a gateway on an event loop of your own | [`gateway::Gateway`]: the contract is on its module's page |
//! | field compression | [`hpack::Encoder`], [`hpack::Decoder`] |
//! | frames | [`frame::parse`], and `put_*` beside it |
//! | property tests of what you build on it | the module `strategies`, with the feature `proptest` |
//! | the rules of well-formed messages | [`message::request`], [`message::response`], [`message::trailers`] |
//!
//! ```
//! use shuntyard_core::config::ConnectionConfig;
//! use shuntyard_core::h2::Client;
//!
//! let mut client = Client::new(ConnectionConfig::default(), 1)?;
//! client.send_request(&http::Request::get("http://example.com/").body(())?, true)?;
//! let octets = client.poll_transmit().expect("preface, SETTINGS and HEADERS wait");
//! assert!(octets.starts_with(b"PRI * HTTP/2.0\r\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Layers
//!
//! Modules stand on floors, and each uses its own floor and those below only (a test reads every path):
//!
//! - 0, words: [`address`], [`config`], [`error`], [`random`], [`time`]
//! - 1, storage: [`deadline`], [`key`], [`ledger`], [`list`], [`outbox`], [`window`]
//! - 2, codecs: [`fields`], [`frame`], [`hpack`], [`message`], and strategies to draw what they take
//! - 3 and 4, one HTTP/2 connection: [`h2`]
//! - 5, the life of a request: [`record`], [`request`], [`routes`]
//! - 6, engines: [`engine`], [`registry`]
//! - 7, the gateway: [`gateway`]
//!
//! # Promises
//!
//! - **Deterministic.** Same configuration, seed, events and times: same actions, to the bit.
//! - **Cut-independent.** How received octets are cut over calls changes nothing.
//! - **Bounded.** Buffers, queues and tables have limits, and they stand in [`config`].
//! - **Total.** Nothing that a peer sends panics or loops. Each cause of an error has a name of its own in [`error`].
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::disallowed_macros, clippy::disallowed_methods, clippy::disallowed_types))]

// Floor 0: words.
pub mod address;
pub mod config;
pub mod error;
pub mod random;
pub mod time;

// Floor 1: storage.
pub mod deadline;
pub mod key;
pub mod ledger;
pub mod list;
pub mod outbox;
pub mod window;

// Floor 2: codecs.
pub mod fields;
pub mod frame;
pub mod hpack;
pub mod message;
#[cfg(feature = "proptest")]
pub mod strategies;

// Floors 3 and 4: one HTTP/2 connection.
pub mod h2;

// Floor 5: the life of a request.
pub mod record;
pub mod request;
pub mod routes;

// Floor 6: engines.
pub mod engine;
pub mod registry;

// Floor 7: the gateway.
pub mod gateway;

/// The examples of the README compile and hold.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
