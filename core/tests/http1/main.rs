//! HTTP/1.1 on either side of the gateway, with HTTP/2 or HTTP/1.1 on the other.

#[path = "../memory/mod.rs"]
mod memory;

mod ahead;
mod back;
mod credentials;
mod cut_short;
mod engines;
mod front;
mod held;
mod late_trailers;
mod tunnel;
mod tunnel_ends;

use memory::Memory;
use shuntyard_core::key::ConnId;

/// What the gateway wrote to a connection since the last time, as text.
fn said(memory: &mut Memory, conn: ConnId) -> String {
    String::from_utf8(memory.sent_to(conn)).expect("text")
}
