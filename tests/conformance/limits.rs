//! What is refused, and what waits.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::thread;

use http::StatusCode;
use shuntyard_adapter::{BindError, Options};

use crate::adapters::{Adapter, Running};
use crate::on_every_adapter;
use crate::peers::{Origin, PATIENCE, Peer, any_port, backend, has_input, inet, nobody};

on_every_adapter! {
    a_taken_port_is_an_error_for_one_worker_and_for_several,
    a_configuration_out_of_range_is_an_error,
    past_the_limit_of_clients_the_next_one_waits_in_the_queue,
    an_idle_client_makes_room_where_the_table_is_full,
}

fn a_taken_port_is_an_error_for_one_worker_and_for_several(adapter: &dyn Adapter) {
    let server = Running::start_workers(adapter, nobody(), 2);
    for workers in [1, 3] {
        let listen = vec![any_port(), server.address.clone()];
        let options = Options { workers: workers.try_into().unwrap(), ..Options::new(listen) };
        let Err(BindError::Listen { address, error }) = adapter.bind(nobody(), options) else {
            panic!("a taken port was bound");
        };
        assert_eq!((&address, error.kind()), (&server.address, ErrorKind::AddrInUse));
    }
    server.end();
}

fn a_configuration_out_of_range_is_an_error(adapter: &dyn Adapter) {
    let mut config = nobody();
    config.max_fronts = 0;
    let outcome = adapter.bind(config, Options::new(vec![any_port()]));
    assert!(matches!(outcome, Err(BindError::Config(_))));
}

fn past_the_limit_of_clients_the_next_one_waits_in_the_queue(adapter: &dyn Adapter) {
    let (listener, mut config) = backend();
    config.max_fronts = 1;
    let server = Running::start(adapter, config);
    let origin = thread::spawn(move || {
        let mut origin = Peer::accept(&listener);
        // Its first request is never answered.
        origin.request();
        origin.echo_paths();
    });
    let mut first = Peer::connect(&server.address);
    // With it the client is never idle: an idle one would make room.
    first.get("/held");
    assert_eq!(first.ask("/first").status, StatusCode::OK);

    let socket = TcpStream::connect(inet(&server.address)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut second = Peer::on(Box::new(socket.try_clone().unwrap()));
    let asked = second.get("/second");
    for _ in 0..10 {
        assert_eq!(first.ask("/first").status, StatusCode::OK);
    }
    assert!(!has_input(&socket), "more clients than the limit allows are served");
    assert_eq!(server.requests(), 12);

    drop(first);
    assert_eq!(second.response(asked).content, b"/second");
    drop((second, socket));
    server.end();
    origin.join().unwrap();
}

fn an_idle_client_makes_room_where_the_table_is_full(adapter: &dyn Adapter) {
    let (origin, mut config) = Origin::start();
    config.max_fronts = 1;
    let server = Running::start(adapter, config);
    for _ in 0..3 {
        let mut client = Peer::connect(&server.address);
        assert_eq!(client.ask("/first").status, StatusCode::OK);
        // It is asked to leave as soon as it is idle, in good order, and does.
        client.read_to_end();
    }
    server.end();
    origin.end();
}
