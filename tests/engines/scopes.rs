//! The three scopes under the same load: the same octets for clients, different numbers of connections to the backend.
//!
//! `cargo test --test engines scopes -- --nocapture` prints the table.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use shuntyard_core::config::Scope;

use crate::backend::{Backend, Executed, Manner};
use crate::client::{self, Answer};
use crate::gateway::{Adapter, Running};

crate::on_both_adapters! {
    b16_scopes_differ_in_connections_and_in_nothing_that_a_client_sees,
}

const CLIENTS: usize = 4;

/// Runs all clients at once; says what they got, and how many connections the backend saw.
fn run(adapter: Adapter, scope: Scope) -> (BTreeMap<usize, Answer>, u64) {
    let requests = crate::requests() / CLIENTS * CLIENTS;
    let executed = Executed::new(requests);
    let mut backend = Backend::start(Manner::Plain, &executed);
    let gateway = Running::start(adapter, vec![backend.address()], |config| {
        config.upstreams[0].share = scope;
        config.upstreams[0].connections_max = 1000;
    });
    let each = requests / CLIENTS;
    let address = gateway.address;
    let answers = std::thread::scope(|threads| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|n| threads.spawn(move || client::run(address, n * each..(n + 1) * each, |_| {})))
            .collect();
        clients.into_iter().flat_map(|client| client.join().expect("a client ends well")).collect()
    });
    let records = gateway.end();
    assert_eq!(records.len(), requests);
    backend.kill();
    (answers, backend.accepted.load(Ordering::SeqCst))
}

fn b16_scopes_differ_in_connections_and_in_nothing_that_a_client_sees(adapter: Adapter) {
    println!("{adapter:?}: {} requests of {CLIENTS} clients", crate::requests());
    println!("{:<8} {:>11}", "scope", "connections");
    let mut first = None;
    for scope in [Scope::Worker, Scope::Client, Scope::None] {
        let (answers, connections) = run(adapter, scope);
        println!("{:<8} {connections:>11}", format!("{scope:?}").to_lowercase());
        let bound = match scope {
            // 64 requests of each client at a time, 100 streams a connection; and one whose outbox is full of uploads has
            // no slot for a moment, so that another may be made.
            Scope::Worker => 2 * 3,
            Scope::Client => 2 * CLIENTS as u64,
            Scope::None => 64 * CLIENTS as u64,
        };
        assert!((1..=bound).contains(&connections), "{scope:?}: {connections} connections");
        let expected = first.get_or_insert_with(|| answers.clone());
        assert!(*expected == answers, "{scope:?}: a client got other octets");
    }
}
