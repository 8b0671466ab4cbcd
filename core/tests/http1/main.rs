//! HTTP/1.1 on either side of the gateway, with HTTP/2 or HTTP/1.1 on the other.

#[path = "../memory/mod.rs"]
mod memory;

mod back;
mod front;
mod tunnel;
