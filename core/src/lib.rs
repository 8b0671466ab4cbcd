//! The pure core of shuntyard.
#![forbid(unsafe_code)]

// Floor 0: words.
pub mod address;
pub mod config;
pub mod error;
pub mod random;
pub mod time;

// Floor 1: storage.
pub mod deadline;
pub mod key;
pub mod list;
pub mod outbox;
pub mod record;
pub mod window;

// Floor 2: codecs.
pub mod fields;
pub mod frame;
pub mod hpack;
pub mod message;

// Floors 3 and 4: one HTTP/2 connection.
pub mod h2;

// Floors 5 to 7: the life of a request, engines, the gateway.
pub mod engine;
pub mod gateway;
pub mod registry;
pub mod request;
