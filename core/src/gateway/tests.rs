//! What only the inside can bring about.

use http::Request;

use crate::address::Address;
use crate::config::{Config, ConnectionConfig, Saturation};
use crate::gateway::{Accepted, Action, ConnId, Connected, Gateway, RecvBuf};
use crate::h2::{Client, Server};
use crate::time::{Instant, WallClock};

const NOW: Instant = Instant::ZERO;

/// Octets come on a connection.
fn read(gateway: &mut Gateway, conn: ConnId, octets: &[u8]) {
    let RecvBuf::Buffer(buffer) = gateway.recv_buf(conn) else { panic!("reading is not paused") };
    buffer[..octets.len()].copy_from_slice(octets);
    gateway.handle_recv(conn, octets.len(), NOW);
}

/// All that waits leaves on a connection.
fn write(gateway: &mut Gateway, conn: ConnId) -> Vec<u8> {
    let mut octets = Vec::new();
    while let Some(waiting) = gateway.poll_transmit(conn, NOW) {
        octets.extend_from_slice(waiting);
        let n = waiting.len();
        gateway.handle_sent(conn, n, NOW);
    }
    octets
}

/// The connections that the gateway wants.
fn dials(gateway: &mut Gateway) -> Vec<ConnId> {
    let actions = core::iter::from_fn(|| gateway.poll_action());
    let dialled = |action| if let Action::Connect { conn, .. } = action { Some(conn) } else { None };
    actions.filter_map(dialled).collect()
}

/// A client asks.
fn ask(gateway: &mut Gateway, front: ConnId, client: &mut Client) {
    let request = Request::get("http://a/").body(()).expect("a request");
    client.send_request(&request, true).expect("a slot");
    let octets = client.poll_transmit().expect("a request").to_vec();
    client.handle_sent(octets.len());
    read(gateway, front, &octets);
}

/// B64: a connection whose identifiers have run out serves what it has, and others serve the rest.
#[test]
fn b64_identifiers_that_run_out_cost_no_request() {
    let mut config = Config::new(vec![Address::unspecified()]);
    config.upstreams[0].on_saturation = Saturation::Queue;
    let mut gateway =
        Gateway::new(config, 1, NOW, WallClock { at: NOW, unix_seconds: 0 }).expect("a configuration");
    let mut client = Client::new(ConnectionConfig::default(), 1).expect("a configuration");
    let info = Accepted { peer: Address::unspecified(), local: Address::unspecified() };
    let front = gateway.handle_accept(info, NOW);
    ask(&mut gateway, front, &mut client);
    let backend = dials(&mut gateway)[0];
    gateway.handle_connected(backend, Connected::default(), NOW);
    let entry = gateway.conns.get_mut(backend).expect("a connection");
    let crate::session::Session::H2(session) = &mut entry.session else { panic!("HTTP/2 is spoken") };
    session.next_stream_id = (1 << 31) - 1;
    let mut server = Server::new(ConnectionConfig::default(), 2).expect("a configuration");
    server.handle_recv(&write(&mut gateway, backend));
    while let Ok(Some(_)) = server.poll_event() {}
    let settings = server.poll_transmit().expect("SETTINGS").to_vec();
    read(&mut gateway, backend, &settings);
    assert_eq!(dials(&mut gateway), []);
    assert_eq!((gateway.view().live, gateway.view().frozen), (1, 0), "the last identifier");
    ask(&mut gateway, front, &mut client);
    assert_eq!(dials(&mut gateway).len(), 1, "another engine, although the policy is to queue");
    assert_eq!((gateway.view().live, gateway.view().frozen), (1, 1));
}
