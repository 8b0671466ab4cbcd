//! The examples do what they say.

#[path = "../examples/client.rs"]
mod client;
#[path = "../examples/own_configuration.rs"]
mod own_configuration;
#[path = "../examples/own_loop.rs"]
mod own_loop;
#[path = "../examples/server.rs"]
mod server;

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

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

#[test]
fn a_configuration_of_ones_own_holds_a_property() {
    own_configuration::main();
}
