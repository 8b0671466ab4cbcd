//! A world of both versions: clients and backends of HTTP/1.1 among those of HTTP/2, drawn from a seed. It is thinner than
//! the world of [`run`](crate::run): few faults, and of the invariants those that need no look into frames. Model peers judge
//! every octet of HTTP/1.1 that the gateway sends by the strict grammar of [`refcodec::http1`](crate::refcodec::http1) (C8).

mod peers;
mod plan;
mod rogues;
mod tunnels;
mod world;

pub use plan::{Fault, Plan, Role, plan};
pub use rogues::{BackendRogue, ClientRogue};
pub use tunnels::TunnelPlan;
pub use world::{Report, run};

use crate::refcodec::{Field, value_of};
use crate::truth;

/// Fields that have a place of their own in messages of HTTP/1.1: where they stand among others means nothing.
const ANYWHERE: [&str; 2] = ["content-length", "cookie"];

/// What is wrong with a field section of request `rid` that went through HTTP/1.1, if anything.
fn difference(rid: u64, sent: &[Field], seen: &[Field]) -> Option<String> {
    let moved = ANYWHERE.into_iter().find(|name| {
        let sent = value_of(sent, name);
        sent.is_some() && sent != value_of(seen, name)
    });
    let placed: Vec<Field> =
        sent.iter().filter(|(name, _)| !ANYWHERE.iter().any(|of| of.as_bytes() == name)).cloned().collect();
    moved.map(|name| format!("{name} is missing or another")).or(truth::field_difference(rid, &placed, seen))
}
