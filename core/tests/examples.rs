//! The examples do what they say.

#[path = "../examples/client.rs"]
mod client;
#[path = "../examples/own_configuration.rs"]
mod own_configuration;
#[path = "../examples/own_loop.rs"]
mod own_loop;
#[path = "../examples/server.rs"]
mod server;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use http::Request;
use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::h2::{Client, ClientEvent};

/// The example's server, for so many connections.
fn origin(connections: usize) -> (SocketAddr, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it has one");
    let serve = move || {
        for _ in 0..connections {
            let (socket, _) = listener.accept().expect("a connection comes");
            server::serve(socket).expect("the connection ends well");
        }
    };
    (address, thread::spawn(serve))
}

fn assert_page(address: SocketAddr, path: &str) {
    let (status, content) = client::get(&address.to_string(), path).expect("a response comes");
    assert_eq!((status.as_u16(), content), (200, format!("this is {path}\n").into_bytes()));
}

#[test]
fn the_client_gets_a_page_from_the_server() {
    let (address, thread) = origin(1);
    assert_page(address, "/page");
    thread.join().expect("it ends");
}

#[test]
fn a_gateway_in_a_loop_of_ones_own_stands_between_them() {
    let (origin, thread) = origin(1);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it has one");
    let serves = AtomicBool::new(true);
    thread::scope(|scope| {
        scope.spawn(|| {
            own_loop::serve(&listener, origin, || serves.load(Ordering::Relaxed)).expect("it serves")
        });
        assert_page(address, "/one");
        assert_page(address, "/two");
        serves.store(false, Ordering::Relaxed);
    });
    thread.join().expect("it ends when the gateway has");
}

/// A client that has an answer and keeps its connection is asked to leave, and nobody new is accepted.
#[test]
fn a_loop_of_ones_own_drains_when_it_ends() {
    let (origin, thread) = origin(1);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it has one");
    let serves = AtomicBool::new(true);
    thread::scope(|scope| {
        let gateway = scope.spawn(|| {
            own_loop::serve(&listener, origin, || serves.load(Ordering::Relaxed)).expect("it serves")
        });
        let mut client = TcpStream::connect(address).expect("somebody listens");
        client.set_read_timeout(Some(Duration::from_secs(60))).expect("it is not zero");
        client.write_all(b"GET /one HTTP/1.1\r\nhost: a\r\n\r\n").expect("it is fresh");
        let mut answer = vec![0; 13];
        client.read_exact(&mut answer).expect("an answer");
        assert_eq!(answer, b"HTTP/1.1 200 ");
        serves.store(false, Ordering::Relaxed);
        client.read_to_end(&mut answer).expect("it ends well");
        assert!(answer.ends_with(b"this is /one\n"));
        gateway.join().expect("it ends without waiting for the deadline");
    });
    thread.join().expect("it ends when the gateway has");
}

#[test]
fn the_server_answers_head_and_heads_beyond_its_limits() {
    let (address, thread) = origin(1);
    let mut client = Client::new(ConnectionConfig::default(), 1).expect("a valid configuration");
    let uri = format!("http://{address}/page");
    let head = Request::head(&uri).body(()).expect("a request");
    let large = Request::get(&uri).header("x", "x".repeat(100_000)).body(()).expect("a request");
    for request in [head, large] {
        client.send_request(&request, true).expect("a slot");
    }
    let mut socket = TcpStream::connect(address).expect("somebody listens");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("it is not zero");
    let (mut statuses, mut buffer) = (Vec::new(), [0; 4096]);
    while statuses.len() < 2 {
        while let Some(octets) = client.poll_transmit() {
            let n = socket.write(octets).expect("it stands");
            client.handle_sent(n);
        }
        let n = socket.read(&mut buffer).expect("it stands");
        assert!(n > 0, "it ended");
        client.handle_recv(&buffer[..n]);
        while let Some(event) = client.poll_event().expect("a sound connection") {
            if let ClientEvent::Response { response, end, .. } = event {
                assert!(end);
                statuses.push(response.status().as_u16());
            }
        }
    }
    assert_eq!(statuses, [200, 431]);
    drop(socket);
    thread.join().expect("it ends");
}

#[test]
fn a_configuration_of_ones_own_holds_a_property() {
    own_configuration::main();
}
