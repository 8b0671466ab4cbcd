//! Content larger than every buffer on its way.

use std::thread;

use http::{Response, StatusCode};
use shuntyard_core::h2::{ClientEvent, ServerEvent, StreamKey};

use crate::adapters::{Adapter, Running};
use crate::on_every_adapter;
use crate::peers::{Endpoint, Peer, backend};

on_every_adapter! {
    a_download_arrives_whole_at_a_slow_reader,
    an_upload_arrives_whole_at_a_slow_reader,
    a_reader_that_stands_still_holds_nobody_else_up,
    input_waits_while_output_does,
}

/// More than windows, outboxes and the buffers of the kernel together.
const OCTETS: usize = 16 << 20;

fn octet_at(position: usize) -> u8 {
    (position ^ (position >> 8) ^ (position >> 16)) as u8
}

fn content(from: usize, octets: usize) -> Vec<u8> {
    (from..from + octets).map(octet_at).collect()
}

/// Content that is checked as it comes.
#[derive(Default)]
struct Received {
    octets: usize,
}

impl Received {
    fn add(&mut self, data: &[u8]) {
        let right = data.iter().zip(self.octets..).all(|(&octet, position)| octet == octet_at(position));
        assert!(right, "other content than was sent, at {} or behind", self.octets);
        self.octets += data.len();
    }
}

/// Sends the content piece by piece, as the peer's windows allow.
fn send<E: Endpoint>(peer: &mut Peer<E>, queued: impl Fn(&E) -> usize, send: impl Fn(&mut E, &[u8], bool)) {
    const PIECE: usize = 256 << 10;
    for from in (0..OCTETS).step_by(PIECE) {
        send(&mut peer.http, &content(from, PIECE), from + PIECE == OCTETS);
        peer.flush();
        while queued(&peer.http) > PIECE {
            peer.exchange();
        }
    }
    while queued(&peer.http) > 0 {
        peer.exchange();
    }
}

/// Answers one request with [`OCTETS`].
fn answer_at_length(upstream: &mut Peer<shuntyard_core::h2::Server>, stream: StreamKey) {
    let response = Response::builder().status(200).body(()).unwrap();
    upstream.http.send_response(stream, &response, false).unwrap();
    send(upstream, |http| http.queued(stream), |http, data, end| http.send_data(stream, data, end).unwrap());
}

/// Reads the response on the stream to its end.
fn download(client: &mut Peer<shuntyard_core::h2::Client>, wanted: StreamKey) {
    let mut received = Received::default();
    loop {
        if let ClientEvent::Data { stream, data, credit, end } = client.next().expect("more is to come") {
            assert_eq!(stream, wanted);
            received.add(&data);
            client.http.release(stream, credit);
            if end {
                return assert_eq!(received.octets, OCTETS);
            }
        }
    }
}

fn a_download_arrives_whole_at_a_slow_reader(adapter: &dyn Adapter) {
    let (listener, config) = backend();
    let server = Running::start(adapter, config);
    let upstream = thread::spawn(move || {
        let mut upstream = Peer::accept(&listener);
        let (stream, _) = upstream.request();
        answer_at_length(&mut upstream, stream);
        upstream.read_to_end();
    });
    let mut client = Peer::connect(&server.address);
    client.read_octets = 3000;
    let stream = client.get("/");
    download(&mut client, stream);
    drop(client);
    server.end();
    upstream.join().unwrap();
}

fn an_upload_arrives_whole_at_a_slow_reader(adapter: &dyn Adapter) {
    let (listener, config) = backend();
    let server = Running::start(adapter, config);
    let upstream = thread::spawn(move || {
        let mut upstream = Peer::accept(&listener);
        upstream.read_octets = 3000;
        let (stream, _) = upstream.request();
        let mut received = Received::default();
        loop {
            if let ServerEvent::Data { data, credit, end, .. } = upstream.next().expect("more is to come") {
                received.add(&data);
                upstream.http.release(stream, credit);
                if end {
                    break;
                }
            }
        }
        assert_eq!(received.octets, OCTETS);
        upstream.answer(stream, b"");
        upstream.read_to_end();
    });
    let mut client = Peer::connect(&server.address);
    let stream = client.post("/");
    send(
        &mut client,
        |http| http.queued(stream),
        |http, data, end| http.send_data(stream, data, end).unwrap(),
    );
    assert_eq!(client.response(stream).status, StatusCode::OK);
    drop(client);
    server.end();
    upstream.join().unwrap();
}

/// Both responses come over one connection from the backend; each client reads only when it is its turn.
fn a_reader_that_stands_still_holds_nobody_else_up(adapter: &dyn Adapter) {
    let (listener, config) = backend();
    let server = Running::start(adapter, config);
    let mut still = Peer::connect(&server.address);
    let mut quick = Peer::connect(&server.address);
    let waits = still.get("/still");
    let mut upstream = Peer::accept(&listener);
    let (first, path) = upstream.request();
    assert_eq!(path, "/still");
    let asked = quick.get("/quick");
    let (second, path) = upstream.request();
    assert_eq!(path, "/quick");

    // All of it is queued at the backend, so that only windows hold it back.
    let response = Response::builder().status(200).body(()).unwrap();
    let all = content(0, OCTETS);
    for stream in [first, second] {
        upstream.http.send_response(stream, &response, false).unwrap();
        upstream.http.send_data(stream, &all, true).unwrap();
    }
    let upstream = thread::spawn(move || upstream.read_to_end());
    download(&mut quick, asked);
    download(&mut still, waits);
    drop((quick, still));
    server.end();
    upstream.join().unwrap();
}

/// With an outbox of next to nothing the answers to frames hold reading back, until they have left.
fn input_waits_while_output_does(adapter: &dyn Adapter) {
    const PINGS: usize = 20_000;
    let (listener, mut config) = backend();
    config.front.outbox_high_mark = 64;
    config.backend.outbox_high_mark = 64;
    config.recv_buffer_octets = 34 << 10;
    config.front.max_queued_control_frames = 1_000_000;
    config.front.misuse_max = 1_000_000;
    let server = Running::start(adapter, config);
    let mut client = Peer::connect(&server.address);
    client.find(|event| matches!(event, ClientEvent::Settings).then_some(()));
    client.flush();
    // From now on the client itself has nothing to say that could come in between.
    let mut writer = client.stream.try_clone();
    let pings = thread::spawn(move || {
        let ping = [&[0, 0, 8, 6, 0, 0, 0, 0, 0], &[7; 8][..]].concat();
        for _ in 0..PINGS / 1000 {
            writer.write_all(&ping.repeat(1000)).unwrap();
        }
    });
    for _ in 0..PINGS {
        client.find(|event| matches!(event, ClientEvent::PingAck { payload: [7, ..] }).then_some(()));
    }
    pings.join().unwrap();
    let asked = client.get("/after");
    let mut upstream = Peer::accept(&listener);
    let (stream, _) = upstream.request();
    upstream.answer(stream, b"after");
    assert_eq!(client.response(asked).content, b"after");
    drop((client, upstream));
    server.end();
}
