//! Backends that answer before they have read the request, and go: over HTTP/1.1, and with a reset, for there is content that they have not
//! read. Writing to them fails, but what they have said is there.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use shuntyard_adapter::{Backs, Options};
use shuntyard_core::address::Address;
use shuntyard_core::config::{Alpn, Config, DEFAULT_WINDOW, EndpointConfig, Host, Protocol};
use shuntyard_core::h2::{Client, ClientEvent, StreamKey};
use shuntyard_transport::{BackTls, ClientAuth, FrontTls, Transport, Trust};

use crate::adapters::{Adapter, Running};
use crate::authority::Authority;
use crate::on_every_adapter;
use crate::peers::{Peer, any_port};
use crate::secure::{HOST, Secure};

on_every_adapter! {
    what_was_answered_early_is_heard_although_writing_fails,
    what_was_answered_early_is_heard_over_tls,
    what_the_gateway_had_no_room_for_is_not_lost,
}

/// Time for what is under way to come to rest. Where it is too short, these tests show less.
const REST: Duration = Duration::from_millis(300);

/// The upload that nobody reads: more than windows, outboxes and the buffers of the kernel together.
const UPLOAD: usize = 16 << 20;

fn config(address: Address, tls: Option<Alpn>) -> Config {
    let mut config = Config::new(Vec::new());
    config.upstreams[0].endpoints =
        vec![EndpointConfig { host: Host::Address(address), protocol: Protocol::Http1, tls }];
    config
}

/// Reads the head, lets the content pile up, answers with so many octets, and is gone.
fn answer_early(mut stream: impl Read + Write, octets: usize) {
    let mut heard = Vec::new();
    while !heard.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut some = [0; 512];
        let n = stream.read(&mut some).unwrap();
        heard.extend_from_slice(&some[..n]);
    }
    thread::sleep(REST);
    let head = format!("HTTP/1.1 413 Content Too Large\r\ncontent-length: {octets}\r\n\r\n");
    stream.write_all(&[head.as_bytes(), &vec![b'.'; octets]].concat()).unwrap();
}

/// Sends the upload, and takes the answer: the first window of it, then nothing until the backend has gone, then the rest.
fn answer_to_upload(client: &mut Peer<Client>, backend: JoinHandle<()>) -> (u16, usize) {
    let stream: StreamKey = client.post("/large");
    client.http.send_data(stream, &vec![0; UPLOAD], true).unwrap();
    let (mut backend, mut held) = (Some(backend), Vec::new());
    let (mut status, mut octets) = (0, 0);
    loop {
        match client.next().expect("the connection goes on") {
            ClientEvent::Response { response, end, .. } => {
                status = response.status().as_u16();
                if end {
                    return (status, octets);
                }
            }
            ClientEvent::Data { data, credit, end, .. } => {
                octets += data.len();
                held.push(credit);
                if end {
                    return (status, octets);
                }
                if octets >= DEFAULT_WINDOW as usize {
                    if let Some(backend) = backend.take() {
                        backend.join().unwrap();
                        thread::sleep(REST);
                    }
                    held.drain(..).for_each(|credit| client.http.release(stream, credit));
                }
            }
            ClientEvent::Reset { error_code, .. } => panic!("reset after {octets} octets: {error_code:?}"),
            _ => {}
        }
    }
}

fn what_was_answered_early_is_heard_although_writing_fails(adapter: &dyn Adapter) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Running::start(adapter, config(listener.local_addr().unwrap().into(), None));
    for _ in 0..3 {
        let listener = listener.try_clone().unwrap();
        let backend = thread::spawn(move || answer_early(listener.accept().unwrap().0, 100));
        let mut client = Peer::connect(&server.address);
        assert_eq!(answer_to_upload(&mut client, backend), (413, 100));
    }
    server.end_and_replay();
}

fn what_was_answered_early_is_heard_over_tls(adapter: &dyn Adapter) {
    let authority = Authority::new();
    let of = FrontTls::new(&[authority.issue(&[HOST])], &[Protocol::Http1], &ClientAuth::Off).unwrap();
    let tls = BackTls::new(&Trust::Authorities(authority.pem()), None, Some(HOST)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = config(listener.local_addr().unwrap().into(), Some(Alpn::Either));
    let backs = Backs::new(HashMap::from([(config.upstreams[0].name.clone(), tls)]));
    let server = Running::start_with(adapter, config, Options { backs, ..Options::new(vec![any_port()]) });
    // Whether the reset is there before the answer is read is chance.
    for _ in 0..5 {
        let (listener, of) = (listener.try_clone().unwrap(), of.clone());
        let backend = thread::spawn(move || {
            let stream = listener.accept().unwrap().0;
            answer_early(Secure::shake_hands(stream, Transport::front(&of).unwrap()).unwrap(), 100);
        });
        let mut client = Peer::connect(&server.address);
        assert_eq!(answer_to_upload(&mut client, backend), (413, 100));
    }
    server.end_and_replay();
}

/// More than two windows: the gateway stops reading, and what has come since is in the kernel when writing fails.
fn what_the_gateway_had_no_room_for_is_not_lost(adapter: &dyn Adapter) {
    let folder = std::env::temp_dir().join(format!("shuntyard-early-{}-{:p}", std::process::id(), adapter));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let place = folder.join("backend");
    let listener = UnixListener::bind(&place).unwrap();
    let server = Running::start(adapter, config(Address::Unix(place.to_str().unwrap().into()), None));
    let backend = thread::spawn(move || answer_early(listener.accept().unwrap().0, 250_000));
    let mut client = Peer::connect(&server.address);
    assert_eq!(answer_to_upload(&mut client, backend), (413, 250_000));
    drop(client);
    server.end_and_replay();
    fs::remove_dir_all(&folder).unwrap();
}
