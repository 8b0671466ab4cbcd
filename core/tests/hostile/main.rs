//! Hostile clients and backends around the whole gateway: what reaches the other side, what they make the gateway hold and
//! say, how soon they are found out, and whether others are still served.

mod backends;
mod blameless;
mod clients;
mod floods;
#[path = "../memory/mod.rs"]
mod memory;
mod scarce;
mod stalls;
#[path = "../wire/mod.rs"]
mod wire;

use memory::Memory;
use memory::talk::answer_all;
use shuntyard_core::time::Duration;

/// Whether this request reaches a backend within a second, and is answered.
fn is_answered_within_a_second(memory: &mut Memory, path: &str) -> bool {
    (0..100).any(|_| {
        let answered = answer_all(memory).iter().any(|answered| answered == path);
        memory.wait(Duration::from_millis(10));
        answered
    })
}

/// What a hostile peer came to. Every figure is exact, for nothing here depends on anything but the octets.
#[derive(Debug, PartialEq, Eq)]
struct Came {
    /// Times that it could repeat itself before its connection ended.
    turns: u32,
    /// Octets that it had sent by then.
    sent: usize,
    /// Octets that it was told, the farewell included.
    told: usize,
    /// Requests of its own that reached the other side.
    reached: usize,
    /// Octets in queues of the gateway at most, of all connections.
    held: usize,
}

impl Came {
    fn print(&self, what: &str) {
        println!(
            "{what:28} {:6} turns, {:7} octets sent, {:7} told, {:4} requests reached the other side, {:7} octets held",
            self.turns, self.sent, self.told, self.reached, self.held
        );
    }
}
