//! Who sends without end has no more than a turn.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use shuntyard_core::frame::{PREFACE, put_settings};

use crate::adapters::{Adapter, Running};
use crate::on_every_adapter;
use crate::peers::{PATIENCE, Peer, backend, inet};

on_every_adapter! {
    who_comes_behind_a_flood_is_served_before_its_end,
}

/// A frame of a type that nobody knows, as large as one may be: it costs a look and is forgotten.
fn ignored() -> Vec<u8> {
    let mut frame = vec![0, 0x40, 0, 0xfa, 0, 0, 0, 0, 0];
    frame.resize(9 + 0x4000, 0);
    frame
}

/// GET / of `a` on stream 1.
const REQUEST: &[u8] = b"\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x01\x01a";

/// So often it is tried: who listens to sockets may be another thread, which is late now and then. Where nobody has turns it never succeeds.
const ROUNDS: usize = 5;

fn who_comes_behind_a_flood_is_served_before_its_end(adapter: &dyn Adapter) {
    let expected = ["/first", "/second", "/"];
    let served: Vec<_> =
        (0..ROUNDS).map(|_| round(adapter)).take_while(|served| *served != expected).collect();
    assert!(served.len() < ROUNDS, "{served:?}");
}

/// What a worker finds when it looks up: 1 MiB of one client, a request behind it, and another client's request. Says who was served, in order.
fn round(adapter: &dyn Adapter) -> Vec<String> {
    let (listener, mut config) = backend();
    // So that what is there is more than one read.
    config.recv_buffer_octets = 33 << 10;
    let server = Running::start(adapter, config);
    let origin = thread::spawn(move || {
        let mut origin = Peer::accept(&listener);
        let mut paths = Vec::new();
        while paths.len() < 3 {
            let (stream, path) = origin.request();
            origin.answer(stream, b"");
            paths.push(path);
        }
        paths
    });
    let mut other = Peer::connect(&server.address);
    // The backend's connection stands.
    other.ask("/first");
    let mut flood = TcpStream::connect(inet(&server.address)).unwrap();
    flood.write_all(PREFACE).unwrap();
    let mut settings = Vec::new();
    put_settings(&mut settings, &[]);
    flood.write_all(&settings).unwrap();
    flood.set_read_timeout(Some(PATIENCE)).unwrap();
    flood.set_write_timeout(Some(PATIENCE)).unwrap();
    flood.read_exact(&mut [0; 9]).unwrap();
    // The system makes room for whoever is read as fast as he writes.
    for _ in 0..512 {
        flood.write_all(&ignored()).unwrap();
    }
    thread::sleep(Duration::from_millis(100));
    let (looking, seen) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let handle = server.handle.clone();
    let (begun, end) = (Arc::clone(&looking), Arc::clone(&seen));
    let held = thread::spawn(move || {
        handle.inspect(PATIENCE, move |_, _| {
            begun.wait();
            end.wait();
        })
    });
    looking.wait();
    for _ in 0..64 {
        flood.write_all(&ignored()).unwrap();
    }
    flood.write_all(REQUEST).unwrap();
    let stream = other.get("/second");
    other.flush();
    thread::sleep(Duration::from_millis(50));
    seen.wait();
    held.join().unwrap();
    other.response(stream);
    let served = origin.join().unwrap();
    drop((other, flood));
    server.end();
    served
}
