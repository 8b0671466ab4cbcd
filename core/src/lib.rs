//! The pure core of shuntyard.
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

// Floors 3 and 4: one HTTP/2 connection.
pub mod h2;

// Floor 5: the life of a request.
pub mod record;
pub mod request;

// Floor 6: engines.
pub mod engine;
pub mod registry;

// Floor 7: the gateway.
pub mod gateway;
