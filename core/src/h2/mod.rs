//! One HTTP/2 connection of either role (RFC 9113).

pub mod settings;
pub mod state;
