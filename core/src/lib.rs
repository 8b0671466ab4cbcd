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
//! | code of your own on the way of each request | [`hooks::Hooks`] |
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
//! # Examples
//!
//! All are code that runs, and a test runs it. `cargo run -p shuntyard-core --example NAME`, with addresses behind it:
//!
//! - `server`, `client`: HTTP/2 on blocking sockets of the standard library. The same four steps stand in both loops: read
//!   into [`handle_recv`](h2::Client::handle_recv), take [`poll_event`](h2::Client::poll_event) until there is none, write what
//!   [`poll_transmit`](h2::Client::poll_transmit) shows, say with [`handle_sent`](h2::Client::handle_sent) how much was taken.
//! - `own_loop`: the gateway in a loop of one's own, with all that the contract leaves to whoever drives it. `serve` is the order: events in,
//!   actions out, a deadline.
//! - `own_configuration`: a property of a configuration, tried with hundreds of requests. No socket is needed for it: a
//!   [hook](hooks::Hooks::arrived) tells where each would go.
//!
//! # A way through this book
//!
//! 1. [`h2`]: one connection. [`h2::Client`] and [`h2::Server`] speak the types of the `http` crate; [`h2::Connection`] is what
//!    both are made of, and what the gateway uses.
//! 2. [`config`]: what can be set, with ranges, defaults, and what others chose.
//! 3. [`request`]: the life of a request, in values that are moved; and what therefore cannot be written.
//! 4. [`hooks`]: code of one's own on its way.
//! 5. [`record`]: what is written down about it.
//! 6. [`gateway`]: the contract. Whoever drives sockets needs nothing else.
//!
//! # Layers
//!
//! Modules stand on floors, and each uses its own floor and those below only (a test reads every path). Those without a link are private:
//!
//! - 0, words: [`address`], [`config`], [`error`], [`random`], [`time`], [`tls`]
//! - 1, storage: `deadline`, [`key`], [`ledger`], `list`, `outbox`, `parcel`, [`window`]
//! - 2, codecs: [`fields`], [`frame`], [`hpack`], [`message`], [`priority`], and strategies to draw what they take
//! - 3 and 4, one connection: [`h1`], [`h2`], `session`
//! - 5, the life of a request: [`counters`], [`hooks`], [`record`], [`request`], `routes`
//! - 6, engines: `engine`, `registry`
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
pub mod tls;

// Floor 1: storage.
mod deadline;
pub mod key;
pub mod ledger;
mod list;
mod outbox;
mod parcel;
pub mod window;

// Floor 2: codecs.
pub mod fields;
pub mod frame;
pub mod hpack;
pub mod message;
pub mod priority;
#[cfg(feature = "proptest")]
pub mod strategies;

// Floors 3 and 4: one connection.
pub mod h1;
pub mod h2;
mod session;

// Floor 5: the life of a request.
pub mod counters;
pub mod hooks;
pub mod record;
pub mod request;
mod routes;

// Floor 6: engines.
mod engine;
mod registry;

// Floor 7: the gateway.
pub mod gateway;

/// The examples of the README compile and hold.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
