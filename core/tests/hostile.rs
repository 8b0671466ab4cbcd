//! Hostile clients in front of the whole gateway: what reaches the backends, and whether others are still served.

mod memory;

use memory::Memory;
use memory::talk::{answer_all, ask, events, get, requests};
use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::error::ErrorCode;
use shuntyard_core::time::Duration;

/// CVE-2023-44487: a client opens and resets streams as fast as it can, so that each gets as far as it may.
#[test]
fn rapid_resets_reach_no_backend_in_numbers_and_end_the_connection() {
    let mut memory = Memory::new(|_| {});
    let bystander = memory.connect(ConnectionConfig::default());
    ask(&mut memory, bystander, "/first");
    answer_all(&mut memory);
    events(&mut memory, bystander);
    let attacker = memory.connect(ConnectionConfig::default());
    memory.settle();
    let mut reached = 0;
    for n in 0..2_000 {
        if memory.closed.contains(&attacker) || memory.client(attacker).has_failed() {
            break;
        }
        let Ok(stream) = memory.client(attacker).send_request(&get("/attack"), true) else { break };
        memory.settle();
        memory.client(attacker).reset(stream, ErrorCode::CANCEL);
        memory.settle();
        for backend in memory.backends() {
            reached += requests(&mut memory, backend).len();
        }
        memory.settle();
        // A bystander is served all the while.
        if n % 10 == 0 {
            ask(&mut memory, bystander, "/bystander");
            assert!(answer_all(&mut memory).contains(&"/bystander".to_owned()));
            assert_eq!(events(&mut memory, bystander).len(), 1);
        }
    }
    assert!(reached <= 200, "{reached} requests reached the backend");
    memory.wait(Duration::from_secs(10));
    assert!(memory.closed.contains(&attacker));
    ask(&mut memory, bystander, "/last");
    assert_eq!(answer_all(&mut memory), ["/last"]);
    assert_eq!(memory.dials.len(), 1, "the connection to the backend has lived through it");
}
