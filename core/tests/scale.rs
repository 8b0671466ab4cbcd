//! Nothing scans: what a request costs does not depend on how many others there are (invariant N4). Counted in steps of the gateway's
//! loops, so that the figures come out the same everywhere.
#![cfg(feature = "observe")]

#[path = "memory/mod.rs"]
mod memory;

use memory::Memory;
use memory::talk::{answer_all, ask, events};
use shuntyard_core::config::{Config, ConnectionConfig};
use shuntyard_core::key::ConnId;

const ROUNDS: u64 = 20;

/// Units of work of a request that is asked and answered, among others that stay as they are.
fn cost_of_a_request(memory: &mut Memory, client: ConnId) -> u64 {
    // The first ones find their memory, and the connection to the backend.
    for path in ["/first", "/second"] {
        ask(memory, client, path);
        answer_all(memory);
    }
    let before = memory.gateway.work();
    for _ in 0..ROUNDS {
        ask(memory, client, "/counted");
        assert_eq!(answer_all(memory), ["/counted"]);
        events(memory, client);
    }
    (memory.gateway.work() - before) / ROUNDS
}

#[track_caller]
fn same(what: &str, few: u64, many: u64) {
    println!("{what}: {few} units of work with few, {many} with many");
    assert!(few > 0 && many * 10 <= few * 11, "{what}: {few} units with few, {many} with many");
}

#[test]
fn n4_connections_that_stand_cost_nothing() {
    let cost = |others: usize| {
        let mut memory = Memory::new(|_| {});
        let client = memory.connect(ConnectionConfig::default());
        for _ in 0..others {
            memory.connect(ConnectionConfig::default());
        }
        memory.settle();
        cost_of_a_request(&mut memory, client)
    };
    same("connections", cost(10), cost(5_000));
}

/// Ever the same backend with one stream: when a request is answered the next is thawed, however many wait.
#[test]
fn n4_requests_that_wait_cost_nothing() {
    let cost = |clients: usize| {
        let mut memory = Memory::new(|config: &mut Config| {
            config.upstreams[0].connections_max = 1;
            config.upstreams[0].queue_max = 100_000;
            config.backend.max_concurrent_streams_cap = 1;
        });
        for _ in 0..clients {
            let client = memory.connect(ConnectionConfig::default());
            memory.settle();
            for _ in 0..100 {
                ask(&mut memory, client, "/waits");
            }
        }
        let before = memory.gateway.work();
        for _ in 0..ROUNDS {
            assert_eq!(answer_all(&mut memory).len(), 1);
        }
        (memory.gateway.work() - before) / ROUNDS
    };
    same("frozen requests", cost(1), cost(100));
}

/// Octets that come one by one cost a constant each: frames are not looked at anew with each of them.
#[test]
fn n4_work_is_linear_in_what_comes() {
    let cost = |size: usize| {
        let mut memory = Memory::new(|_| {});
        let client = memory.connect_mute();
        let head = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(size));
        let before = memory.gateway.work();
        for octet in head.as_bytes() {
            memory.inject(client, core::slice::from_ref(octet));
        }
        (memory.gateway.work() - before) / head.len() as u64
    };
    let (short, long) = (cost(100), cost(4_000));
    println!("units of work an octet: {short} of a short head, {long} of a long one");
    assert_eq!(long, short);
}
