//! The ends of streams, connections and servers.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use http::{Response, StatusCode};
use shuntyard_adapter::{Exit, Options, replay};
use shuntyard_core::address::Address;
use shuntyard_core::config::Config;
use shuntyard_core::error::ErrorCode;
use shuntyard_core::h2::ClientEvent;

use crate::adapters::{Adapter, Running};
use crate::on_every_adapter;
use crate::peers::{Origin, PATIENCE, Peer, any_port, backend, inet, nobody, wait_until};

on_every_adapter! {
    a_client_that_shuts_its_direction_down_hears_goaway_and_the_end,
    a_backend_that_ends_its_connection_right_behind_its_answer_has_answered,
    a_stream_that_the_client_resets_is_reset_at_the_backend,
    a_client_that_resets_its_connection_frees_its_backend_stream,
    a_client_that_has_shut_its_direction_and_is_gone_frees_its_backend_stream,
    a_backend_that_vanishes_fails_its_requests_and_the_next_one_finds_another_connection,
    a_backend_that_reads_nothing_and_is_gone_is_found_by_writing,
    a_response_to_http10_that_breaks_off_breaks_the_connection,
    a_drain_waits_for_requests_and_accepts_nobody_new,
    a_drain_serves_who_stands_in_the_queue,
    a_drain_that_runs_out_of_time_cuts_and_says_so,
    a_stop_does_not_wait,
    a_stop_breaks_what_is_not_whole,
    what_is_ordered_before_running_is_done_when_it_runs,
    a_worker_that_panics_ends_the_server,
    a_test_that_fails_leaves_what_the_gateway_was_told,
}

/// What all others of this suite rely on when they fail.
fn a_test_that_fails_leaves_what_the_gateway_was_told(adapter: &dyn Adapter) {
    let (origin, config) = Origin::start();
    let server = Running::start(adapter, config);
    let files: Vec<_> = server.recording.files().collect();
    assert_eq!(files.len(), 1, "one a worker");
    let failure = catch_unwind(AssertUnwindSafe(|| {
        let server = server;
        let mut client = Peer::connect(&server.address);
        assert_eq!(client.ask("/").status, StatusCode::OK);
        panic!("a test that fails, on purpose");
    }));
    assert!(failure.is_err());
    origin.end();
    let replayed = replay(&files[0]).expect("a recording");
    assert!(replayed.difference.is_none() && replayed.inputs > 0, "{replayed:?}");
    std::fs::remove_file(&files[0]).expect("it was there");
}

fn a_client_that_shuts_its_direction_down_hears_goaway_and_the_end(adapter: &dyn Adapter) {
    let (origin, config) = Origin::start();
    let server = Running::start(adapter, config);
    let mut client = Peer::connect(&server.address);
    assert_eq!(client.ask("/").status, StatusCode::OK);
    client.shut_down();
    let mut goaway = false;
    while let Some(event) = client.next() {
        goaway |= matches!(event, ClientEvent::GoAway { error_code: ErrorCode::NO_ERROR, .. });
    }
    assert!(goaway);
    server.end();
    origin.end();
}

fn a_backend_that_ends_its_connection_right_behind_its_answer_has_answered(adapter: &dyn Adapter) {
    let (listener, config) = backend();
    let server = Running::start(adapter, config);
    let mut client = Peer::connect(&server.address);
    for path in ["/first", "/second"] {
        let asked = client.get(path);
        let mut upstream = Peer::accept(&listener);
        let (stream, _) = upstream.request();
        upstream.answer(stream, path.as_bytes());
        upstream.shut_down();
        assert_eq!(client.response(asked).content, path.as_bytes());
        // The end was read although it came with the last octets.
        upstream.read_to_end();
    }
    drop(client);
    server.end();
}

fn a_stream_that_the_client_resets_is_reset_at_the_backend(adapter: &dyn Adapter) {
    let (listener, config) = backend();
    let server = Running::start(adapter, config);
    let mut client = Peer::connect(&server.address);
    let asked = client.get("/reset");
    let mut upstream = Peer::accept(&listener);
    let (stream, _) = upstream.request();
    client.http.reset(asked, ErrorCode::CANCEL);
    client.flush();
    assert_eq!(upstream.reset(), (stream, ErrorCode::CANCEL));
    // The connections of both go on.
    let asked = client.get("/next");
    let (stream, _) = upstream.request();
    upstream.answer(stream, b"");
    assert_eq!(client.response(asked).status, StatusCode::OK);
    drop((client, upstream));
    server.end();
}

fn a_client_that_resets_its_connection_frees_its_backend_stream(adapter: &dyn Adapter) {
    let (listener, config) = backend();
    let server = Running::start(adapter, config);
    let socket = TcpStream::connect(inet(&server.address)).unwrap();
    let mut client = Peer::on(Box::new(socket.try_clone().unwrap()));
    client.get("/gone");
    let mut upstream = Peer::accept(&listener);
    let (stream, _) = upstream.request();
    // What was sent to it is still unread, so that closing it resets the connection.
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.peek(&mut [0]).unwrap();
    drop((client, socket));
    assert_eq!(upstream.reset().0, stream);
    drop(upstream);
    server.end();
}

/// Behind the end of the input nothing is read that would tell of it.
fn a_client_that_has_shut_its_direction_and_is_gone_frees_its_backend_stream(adapter: &dyn Adapter) {
    // Time for what is under way to come to rest. Where it is too short, this shows less.
    let rest = Duration::from_millis(300);
    let (listener, config) = backend();
    let server = Running::start(adapter, config.clone());
    let mut client = TcpStream::connect(inet(&server.address)).unwrap();
    client.write_all(b"GET /gone HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut upstream = Peer::accept(&listener);
    let (stream, _) = upstream.request();
    thread::sleep(rest);
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    assert_eq!(upstream.reset().0, stream);
    drop(upstream);
    server.end();

    let name = format!("shuntyard-gone-{}-{:?}", std::process::id(), thread::current().id());
    let place = std::env::temp_dir().join(name);
    let front = Address::Unix(place.to_str().unwrap().into());
    let server = Running::start_with(adapter, config, Options::new(vec![front]));
    let mut client = UnixStream::connect(&place).unwrap();
    client.write_all(b"GET /gone HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut upstream = Peer::accept(&listener);
    let (stream, _) = upstream.request();
    thread::sleep(rest);
    drop(client);
    assert_eq!(upstream.reset().0, stream);
    drop(upstream);
    server.end();
}

fn a_backend_that_vanishes_fails_its_requests_and_the_next_one_finds_another_connection(
    adapter: &dyn Adapter,
) {
    let (listener, config) = backend();
    let server = Running::start(adapter, config);
    let mut client = Peer::connect(&server.address);
    let lost = [client.post("/a"), client.post("/b")];
    for &stream in &lost {
        // With a part of their content gone they cannot be sent again.
        client.http.send_data(stream, b"part", false).unwrap();
    }
    let mut upstream = Peer::accept(&listener);
    for _ in &lost {
        upstream.request();
    }
    // Once their content has come too, nothing is left to be sent elsewhere.
    let mut parts = 0;
    while parts < lost.len() {
        client.flush();
        parts +=
            upstream.find(|event| matches!(event, shuntyard_core::h2::ServerEvent::Data { .. }).then_some(1));
    }
    drop(upstream);
    for answer in client.responses(&lost) {
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    }
    let asked = client.get("/next");
    let mut upstream = Peer::accept(&listener);
    let (stream, path) = upstream.request();
    assert_eq!(path, "/next");
    upstream.answer(stream, b"");
    assert_eq!(client.response(asked).status, StatusCode::OK);
    drop((client, upstream));
    server.end();
}

/// More than the buffers of the kernel between two sockets.
const UPLOAD: usize = 16 << 20;

/// Nothing is read from who takes nothing of what is said: that the connection is broken shows itself by writing alone.
fn a_backend_that_reads_nothing_and_is_gone_is_found_by_writing(adapter: &dyn Adapter) {
    // Time for what is under way to come to rest. Where it is too short, this shows less.
    let rest = Duration::from_millis(300);
    let (listener, mut config) = backend();
    config.backend.outbox_high_mark = 1024;
    // Nobody else is to find it.
    let never = 100 * PATIENCE;
    (config.timeouts.suspect_silent, config.timeouts.ping, config.timeouts.write_stall) =
        (never, never, never);
    let server = Running::start(adapter, config);
    let socket = TcpStream::connect(inet(&server.address)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut client = Peer::on(Box::new(socket.try_clone().unwrap()));
    let upload = client.post("/large");
    client.http.send_data(upload, &vec![0; UPLOAD], true).unwrap();
    client.flush();
    let mut deaf = listener.accept().unwrap().0;
    deaf.read_exact(&mut [0; 24 + 9]).unwrap();
    // SETTINGS with the largest window, the like for the connection, and an acknowledgement.
    deaf.write_all(b"\0\0\x06\x04\0\0\0\0\0\0\x04\x7f\xff\xff\xff").unwrap();
    deaf.write_all(b"\0\0\x04\x08\0\0\0\0\0\x7f\xff\0\0\0\0\0\x04\x01\0\0\0\0").unwrap();
    socket.set_read_timeout(Some(rest)).unwrap();
    while socket.peek(&mut [0]).is_ok() {
        client.exchange();
    }
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let asked: Vec<_> = (0..8).map(|n| client.get(&format!("/{n}{}", "x".repeat(1000)))).collect();
    wait_until("all requests at the gateway", || {
        server.handle.inspect(PATIENCE, |gateway, _| gateway.view().live) == [1 + asked.len()]
    });
    // With this it is paused.
    deaf.write_all(b"\0\0\x08\x06\0\0\0\0\0........").unwrap();
    thread::sleep(rest);
    // What it has not read makes of the end a reset.
    drop(deaf);
    let origin = thread::spawn(move || Peer::accept(&listener).echo_paths());
    // Nobody waits longer for an answer than PATIENCE, which is less than any deadline for what does not answer.
    for (n, answer) in client.responses(&asked).into_iter().enumerate() {
        assert!(answer.content.starts_with(format!("/{n}x").as_bytes()), "{answer:?}");
    }
    drop((client, socket));
    server.end();
    origin.join().unwrap();
}

/// Only the end of the connection ends such a response (RFC 9112 section 8): a clean one would make it look whole.
fn a_response_to_http10_that_breaks_off_breaks_the_connection(adapter: &dyn Adapter) {
    let (listener, config) = backend();
    let server = Running::start(adapter, config);
    for whole in [true, false] {
        let mut client = TcpStream::connect(inet(&server.address)).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.write_all(b"GET /half HTTP/1.0\r\nhost: a\r\n\r\n").unwrap();
        let mut upstream = Peer::accept(&listener);
        let (stream, _) = upstream.request();
        let head = Response::builder().status(200).body(()).unwrap();
        upstream.http.send_response(stream, &head, false).unwrap();
        upstream.http.send_data(stream, b"half", whole).unwrap();
        upstream.flush();
        let mut answer = Vec::new();
        let mut buffer = [0; 1024];
        while !answer.ends_with(b"\r\n\r\nhalf") {
            let n = client.read(&mut buffer).unwrap();
            assert!(n > 0, "{answer:?}");
            answer.extend_from_slice(&buffer[..n]);
        }
        drop(upstream);
        let end = client.read(&mut buffer).map_err(|error| error.kind());
        assert_eq!(end, if whole { Ok(0) } else { Err(ErrorKind::ConnectionReset) });
    }
    server.end();
}

fn a_drain_waits_for_requests_and_accepts_nobody_new(adapter: &dyn Adapter) {
    let (listener, mut config) = backend();
    // The end that peers read is the sending direction shut down, not the connection closed after a while.
    config.timeouts.linger = 100 * PATIENCE;
    let server = Running::start(adapter, config);
    let mut client = Peer::connect(&server.address);
    let asked = client.get("/patient");
    let mut upstream = Peer::accept(&listener);
    let (stream, _) = upstream.request();
    server.handle.drain(100 * PATIENCE);
    client.find(|event| matches!(event, ClientEvent::GoAway { .. }).then_some(()));
    let refused = TcpStream::connect(inet(&server.address)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    upstream.answer(stream, b"done");
    assert_eq!(client.response(asked).content, b"done");
    client.read_to_end();
    drop(client);
    upstream.read_to_end();
    drop(upstream);
    assert_eq!(server.wait(), Exit { cut: 0 });
}

/// They are connected as far as they know: closing the listener must not reset them.
fn a_drain_serves_who_stands_in_the_queue(adapter: &dyn Adapter) {
    let (origin, config) = Origin::start();
    let bound = adapter.bind(config, Options::new(vec![any_port()])).unwrap();
    let mut clients: Vec<_> = (0..5).map(|_| Peer::connect(&bound.addresses[0])).collect();
    let asked: Vec<_> = clients.iter_mut().map(|client| client.get("/queued")).collect();
    bound.handle.drain(PATIENCE);
    let server = thread::spawn(|| bound.run());
    for (client, stream) in clients.iter_mut().zip(asked) {
        assert_eq!(client.response(stream).content, b"/queued");
        client.read_to_end();
    }
    drop(clients);
    assert_eq!(server.join().unwrap(), Exit { cut: 0 });
    origin.end();
}

fn a_drain_that_runs_out_of_time_cuts_and_says_so(adapter: &dyn Adapter) {
    let (listener, config) = backend();
    let server = Running::start(adapter, config);
    let mut hanging = [(); 2].map(|()| Peer::connect(&server.address));
    for client in &mut hanging {
        client.get("/hanging");
    }
    let _idle = Peer::connect(&server.address);
    let mut upstream = Peer::accept(&listener);
    for _ in &hanging {
        upstream.request();
    }
    server.cut(Duration::from_millis(50), 2);
}

fn a_stop_does_not_wait(adapter: &dyn Adapter) {
    let (listener, config) = backend();
    let server = Running::start_workers(adapter, config, 3);
    let mut hanging = Peer::connect(&server.address);
    hanging.get("/hanging");
    let mut upstream = Peer::accept(&listener);
    upstream.request();
    server.handle.drain(Duration::from_secs(3600));
    server.handle.stop();
    assert_eq!(server.wait(), Exit { cut: 1 });
}

/// However many there are.
fn a_stop_breaks_what_is_not_whole(adapter: &dyn Adapter) {
    const CLIENTS: u32 = 200;
    let (listener, config) = backend();
    let server = Running::start(adapter, config);
    // It ends with the process: how many connections come is the gateway's to say.
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            thread::spawn(move || {
                let mut peer = Peer::serve(Box::new(stream));
                let head = Response::builder().status(200).body(()).unwrap();
                loop {
                    let (stream, _) = peer.request();
                    peer.http.send_response(stream, &head, false).unwrap();
                    peer.http.send_data(stream, b"half", false).unwrap();
                }
            });
        }
    });
    let mut buffer = [0; 1024];
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = TcpStream::connect(inet(&server.address)).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.write_all(b"GET /half HTTP/1.0\r\nhost: a\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nhalf") {
            let n = client.read(&mut buffer).unwrap();
            assert!(n > 0, "{answer:?}");
            answer.extend_from_slice(&buffer[..n]);
        }
        clients.push(client);
    }
    server.handle.stop();
    let ends = clients.iter_mut().map(|client| client.read(&mut buffer).map_err(|error| error.kind()));
    let broken = ends.filter(|end| *end == Err(ErrorKind::ConnectionReset)).count();
    assert_eq!(broken, CLIENTS as usize);
    assert_eq!(server.wait(), Exit { cut: CLIENTS });
}

fn what_is_ordered_before_running_is_done_when_it_runs(adapter: &dyn Adapter) {
    let bound = adapter.bind(nobody(), Options::new(vec![any_port()])).unwrap();
    bound.handle.drain(PATIENCE);
    assert_eq!(bound.run(), Exit { cut: 0 });
}

/// A server that went on with a broken gateway would look healthy. Here the observer is to blame.
fn a_worker_that_panics_ends_the_server(adapter: &dyn Adapter) {
    let config = Config { records: true, ..nobody() };
    let options = Options {
        workers: 2.try_into().unwrap(),
        observer: Some(Arc::new(|_| panic!("this is a test"))),
        ..Options::new(vec![any_port()])
    };
    let bound = adapter.bind(config, options).unwrap();
    let mut client = Peer::connect(&bound.addresses[0]);
    let server = thread::spawn(|| bound.run());
    client.http.send_request(&http::Request::get("http://a/").body(()).unwrap(), true).unwrap();
    client.flush();
    assert!(server.join().is_err());
}
