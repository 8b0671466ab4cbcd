//! What RFC 9113 and RFC 9110 demand of an intermediary: seen from both of its sides, octet by octet.

mod again;
mod ends;
#[path = "../memory/mod.rs"]
#[allow(dead_code, reason = "only the gateway in it is used here")]
mod memory;
mod messages;
mod owed;
mod rig;
mod semantics;
#[path = "../wire/mod.rs"]
mod wire;
