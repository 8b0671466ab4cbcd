//! What a gateway holds when clients drive it, counted at the allocator, against the terms of the bound that the configuration tells.
//!
//! `cargo test -p shuntyard-core --test counted_memory -- --nocapture` prints the figures.

mod memory;

use std::alloc::System;

use shuntyard_core::config::{Config, ConnectionConfig};
use shuntyard_core::key::ConnId;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use crate::memory::Memory;
use crate::memory::talk::{get, ok, requests};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const CLIENTS: usize = 40;
const STREAMS: usize = 20;
const REQUESTS: u64 = (CLIENTS * STREAMS) as u64;
const HEADS: u64 = 24 << 20;
/// What the bound counts for each, written down once more: who changes it there says so here.
const REQUEST_OCTETS: u64 = 12 << 10;
const CONNECTION_OCTETS: u64 = 28 << 10;

fn small(config: &mut Config) {
    config.max_fronts = CLIENTS as u32;
    config.front.max_concurrent_streams = STREAMS as u32;
    config.head_ledger_octets = HEADS;
    config.records = false;
    config.upstreams[0].connections_max = 1000;
}

fn term(config: &Config, name: &str) -> u64 {
    config.memory_bound().terms.iter().find(|(of, _)| *of == name).expect("a term").1
}

/// A gateway with clients, of which no two have the same address.
fn with_clients() -> (Memory, Vec<ConnId>) {
    let client = ConnectionConfig::default();
    let mut memory = Memory::new(small);
    let clients = (0..CLIENTS).map(|n| memory.connect_from(n as u8 + 1, client.clone())).collect();
    memory.settle();
    (memory, clients)
}

/// Octets that the gateway alone holds: those that go with it, when everybody around it has gone.
fn held(memory: Memory) -> u64 {
    let Memory { gateway, .. } = memory;
    let before = in_use();
    drop(gateway);
    before - in_use()
}

fn in_use() -> u64 {
    let stats = COUNTED.stats();
    (stats.bytes_allocated - stats.bytes_deallocated) as u64
}

fn ask(memory: &mut Memory, clients: &[ConnId], head: usize) {
    for &client in clients {
        for n in 0..STREAMS {
            let mut request = get(&format!("/{n}"));
            // No two are the same, and none is in a table.
            let value = format!("{:~<head$}", format!("{client:?}{n}"));
            request.headers_mut().insert("x-head", value.parse().expect("a value"));
            memory.client(client).send_request(&request, true).expect("a slot");
            memory.settle();
        }
    }
}

/// One test: the counter is the process's.
#[test]
fn what_a_gateway_holds_is_within_the_terms_of_its_bound() {
    let (memory, _) = with_clients();
    let config = memory.config().clone();
    let idle = held(memory);
    println!("{CLIENTS} idle clients: {idle}");
    assert!(idle <= CLIENTS as u64 * CONNECTION_OCTETS, "{idle}");
    assert!(idle > CLIENTS as u64 * 1000, "{idle} is counted");

    let small = requests_hold(&config, idle);
    heads_hold(&config, idle + small);
    deaf_clients_hold(&config, idle);
}

/// Requests with small heads: with a backend that does not answer, then with nobody to serve them. Says what the latter hold.
fn requests_hold(config: &Config, idle: u64) -> u64 {
    let bound = term(config, "requests");
    assert_eq!(bound, REQUESTS * REQUEST_OCTETS);
    let mut small = 0;
    for frozen in [false, true] {
        let (mut memory, clients) = with_clients();
        memory.hold_connects = frozen;
        ask(&mut memory, &clients, 20);
        let view = memory.gateway.view();
        assert_eq!((view.requests as u64, view.queued > 0), (REQUESTS, frozen), "{view:?}");
        small = held(memory) - idle;
        println!("{REQUESTS} requests, frozen: {frozen}: {small}");
        assert!(small > REQUESTS * 500 && small <= bound, "{small} of {bound}");
    }
    small
}

/// The largest heads of requests that nobody serves, beside the requests themselves.
fn heads_hold(config: &Config, all_else: u64) {
    let (mut memory, clients) = with_clients();
    memory.hold_connects = true;
    ask(&mut memory, &clients, 30_000);
    let view = memory.gateway.view();
    assert!(view.head_octets > HEADS / 3 && view.head_octets <= HEADS, "{view:?}");
    let heads = held(memory).saturating_sub(all_else);
    println!("{} octets of heads: {heads}", view.head_octets);
    let bound = term(config, "heads and trailers");
    assert!(
        heads > view.head_octets / 2 && heads <= 2 * view.head_octets && heads <= bound,
        "{heads} of {bound}"
    );
}

/// Clients that take nothing: their outboxes are full of heads, and beyond them is the memory for heads.
fn deaf_clients_hold(config: &Config, idle: u64) {
    let (mut memory, clients) = with_clients();
    clients.iter().for_each(|&client| memory.deafen(client));
    ask(&mut memory, &clients, 20);
    for backend in memory.backends() {
        for (n, (stream, _)) in requests(&mut memory, backend).into_iter().enumerate() {
            let mut response = ok();
            let value = format!("{:~<14000}", format!("{backend:?}{n}"));
            response.headers_mut().insert("x-head", value.parse().expect("a value"));
            memory.backend(backend).send_response(stream, &response, true).expect("an open stream");
            memory.settle();
        }
    }
    let view = memory.gateway.view();
    let held = held(memory) - idle;
    println!("{CLIENTS} deaf clients: {held}, {view:?}");
    let outboxes = CLIENTS as u64 * (256 << 10);
    assert!(view.buffered_octets as u64 > outboxes, "{view:?}");
    let bound = term(config, "client connections") + 2 * view.head_octets;
    assert!(held > outboxes && held <= bound, "{held} of {bound}");
}
