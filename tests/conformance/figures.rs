//! Counters and records tell the same story on real sockets, under load and with faults.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use http::Response;
use shuntyard_adapter::{Handle, Notice, Options};
use shuntyard_core::error::ErrorCode;
use shuntyard_core::gateway::{Record, Snapshot};
use shuntyard_core::h2::{ClientEvent, Server, ServerEvent, StreamKey};

use crate::account;
use crate::adapters::Adapter;
use crate::on_every_adapter;
use crate::peers::{PATIENCE, Peer, any_port, backend};

on_every_adapter! {
    the_counters_are_the_sums_of_the_records_under_load_with_faults,
    a_look_into_a_server_that_has_ended_finds_nothing_and_waits_for_nobody,
}

fn the_counters_are_the_sums_of_the_records_under_load_with_faults(adapter: &dyn Adapter) {
    let (listener, mut config) = backend();
    config.records = true;
    let records = Arc::<Mutex<Vec<Record>>>::default();
    let kept = Arc::clone(&records);
    let mut options = Options::new(vec![any_port()]);
    options.observer = Some(Arc::new(move |notice| {
        if let Notice::Record { record, .. } = notice {
            kept.lock().unwrap().push(*record);
        }
    }));
    let bound = adapter.bind(config, options).unwrap();
    let (address, handle) = (bound.addresses[0].clone(), bound.handle.clone());
    let server = thread::spawn(|| bound.run());
    // It ends with the program: nobody waits for a backend like that.
    thread::spawn(move || misbehave(&listener));

    let mut ended = 0;
    for round in 0..10 {
        let mut client = Peer::connect(&address);
        let mut asked: Vec<_> = (0..20).map(|n| client.get(&format!("/{round}/{n}"))).collect();
        for _ in 0..5 {
            let stream = client.post("/upload");
            client.http.send_data(stream, &[7; 3000], true).unwrap();
            asked.push(stream);
        }
        client.http.reset(asked.swap_remove(3), ErrorCode::CANCEL);
        client.flush();
        // Every third goes away without waiting.
        if round % 3 == 2 {
            continue;
        }
        while !asked.is_empty() {
            let over = client.find(|event| match event {
                ClientEvent::Response { stream, end: true, .. }
                | ClientEvent::Data { stream, end: true, .. }
                | ClientEvent::Reset { stream, .. } => Some(stream),
                _ => None,
            });
            asked.retain(|&stream| stream != over);
        }
        ended += 1;
    }
    assert_eq!(ended, 7);

    let snapshot = quiet(&handle);
    let (mut ends, mut attempts, mut started) = (Vec::new(), Vec::new(), 0);
    for record in records.lock().unwrap().iter() {
        match record {
            Record::Started { .. } => started += 1,
            Record::Attempt(attempt) => attempts.push(attempt.clone()),
            Record::Ended(end) => ends.push(end.clone()),
        }
    }
    assert!(ends.len() >= 7 * 25 && started == ends.len(), "{started} began, {} ended", ends.len());
    let of = &snapshot.upstreams[0].endpoints[0].counters;
    assert!(of.unprocessed > 0 && of.failed > 0 && of.complete > 0, "the faults have come: {of:?}");
    account::assert_agree(&[snapshot], &ends, &attempts);
    handle.stop();
    server.join().unwrap();
}

/// The server's one worker, when nothing is under way any more.
fn quiet(handle: &Handle) -> Snapshot {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let snapshot = handle.inspect(PATIENCE, |gateway, now| gateway.snapshot(10, now)).remove(0);
        if snapshot.totals.requests == 0 && snapshot.totals.fronts == 0 {
            return snapshot;
        }
        assert!(Instant::now() < deadline, "it does not come to rest: {:?}", snapshot.totals);
        thread::yield_now();
    }
}

/// A backend of every kind of ill manners.
fn misbehave(listener: &TcpListener) {
    for connection in 0.. {
        let mut peer = Peer::accept(listener);
        thread::spawn(move || {
            let mut n = 0;
            while let Some(event) = peer.next() {
                match event {
                    ServerEvent::Request { stream, .. } => {
                        n += 1;
                        if n == 60 + connection {
                            return;
                        }
                        treat(&mut peer, stream, n);
                    }
                    ServerEvent::Data { stream, credit, .. } => peer.http.release(stream, credit),
                    _ => {}
                }
            }
        });
    }
}

fn treat(peer: &mut Peer<Server>, stream: StreamKey, n: usize) {
    let head = |status: u16| Response::builder().status(status).body(()).unwrap();
    match n % 9 {
        0 => peer.http.reset(stream, ErrorCode::REFUSED_STREAM),
        1 => peer.http.reset(stream, ErrorCode::INTERNAL_ERROR),
        2 => peer.http.send_response(stream, &head(500), true).unwrap(),
        3 => {
            peer.http.send_response(stream, &head(200), false).unwrap();
            peer.http.send_data(stream, &[1; 500], false).unwrap();
            peer.flush();
            peer.http.reset(stream, ErrorCode::CANCEL);
        }
        _ => {
            if n % 9 == 4 && n > 30 {
                peer.http.goaway();
            }
            peer.http.send_response(stream, &head(200), false).unwrap();
            peer.http.send_data(stream, &[2; 5000], true).unwrap();
        }
    }
    peer.flush();
}

fn a_look_into_a_server_that_has_ended_finds_nothing_and_waits_for_nobody(adapter: &dyn Adapter) {
    let bound = adapter.bind(backend().1, Options::new(vec![any_port()])).unwrap();
    let handle = bound.handle.clone();
    handle.stop();
    bound.run();
    // Were it waited for, it would be for ever.
    let views = handle.inspect(std::time::Duration::MAX / 4, |gateway, _| gateway.view());
    assert!(views.is_empty());
}
