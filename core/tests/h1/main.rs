//! One HTTP/1.1 connection, octet by octet.

mod client;
mod server;
mod talk;
mod tunnels;
