//! One HTTP/1.1 connection, octet by octet.

mod server;
mod talk;
