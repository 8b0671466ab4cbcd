//! One HTTP/1.1 connection, octet by octet.

mod client;
mod grammar;
mod properties;
mod server;
mod smuggling;
mod talk;
mod tunnels;
