//! A server on real sockets, with clients and backends that write their frames by hand.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use shuntyard_core::address::Address;
use shuntyard_core::config::Config;
use shuntyard_mio::{BindError, Exit, Handle, Options, Server};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `GET http://a/` in entries of the static table and one literal.
const GET: &[u8] = &[0x82, 0x86, 0x84, 0x01, 1, b'a'];
/// `POST http://a/` likewise.
const POST: &[u8] = &[0x83, 0x86, 0x84, 0x01, 1, b'a'];
/// `:status: 200`.
const STATUS_200: &[u8] = &[0x88];
/// No test waits longer than this for an octet that should come.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, PartialEq)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut octets = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    octets.extend([kind, flags]);
    octets.extend(stream.to_be_bytes());
    octets.extend(payload);
    octets
}

/// `None` at the end of the stream.
fn read_frame(from: &mut impl Read) -> Option<Frame> {
    let mut head = [0; 9];
    match from.read_exact(&mut head) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return None,
        Err(error) => panic!("no frame came: {error}"),
    }
    let [a, b, c, kind, flags, ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    from.read_exact(&mut payload).unwrap();
    let stream = u32::from_be_bytes(head[5..].try_into().unwrap());
    Some(Frame { kind, flags, stream, payload })
}

/// The next frame of the kind; others are passed over.
fn next(from: &mut impl Read, kind: u8) -> Frame {
    loop {
        let frame = read_frame(from).expect("the connection ended before the frame came");
        if frame.kind == kind && !(kind == SETTINGS && frame.flags == ACK) {
            return frame;
        }
    }
}

/// A server that runs on a thread of its own.
struct Running {
    address: Address,
    handle: Handle,
    thread: JoinHandle<Exit>,
}

impl Running {
    fn start(config: Config, workers: usize) -> Self {
        let options = Options { workers: NonZeroUsize::new(workers).unwrap(), ..Options::new(vec![any()]) };
        let server = Server::bind(config, options).unwrap();
        let address = server.local_addrs()[0].clone();
        let handle = server.handle();
        Self { address, handle, thread: thread::spawn(|| server.run().unwrap()) }
    }

    fn client(&self) -> TcpStream {
        let stream = TcpStream::connect(inet(&self.address)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// A client that has said its preface and the request.
    fn client_with(&self, request: &[u8]) -> TcpStream {
        let mut client = self.client();
        let mut octets = PREFACE.to_vec();
        octets.extend(frame(SETTINGS, 0, 0, &[]));
        octets.extend(request);
        client.write_all(&octets).unwrap();
        client
    }

    fn drain(self) -> Exit {
        self.handle.drain(PATIENCE);
        self.thread.join().unwrap()
    }
}

fn any() -> Address {
    Address::Inet(([127, 0, 0, 1], 0).into())
}

fn inet(address: &Address) -> SocketAddr {
    match address {
        Address::Inet(address) => *address,
        Address::Unix(path) => panic!("{path} is no port"),
    }
}

/// A backend's listener, and the configuration of a gateway that uses it.
fn backend() -> (TcpListener, Config) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = Config::new(vec![listener.local_addr().unwrap().into()]);
    (listener, config)
}

/// A gateway whose backend's port nobody listens on.
fn nobody() -> Config {
    let (listener, config) = backend();
    drop(listener);
    config
}

/// Accepts the gateway's connection and exchanges SETTINGS.
fn accept(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    greet(&mut stream);
    stream
}

fn greet(stream: &mut (impl Read + Write)) {
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).unwrap();
    assert_eq!(preface, PREFACE);
    assert_eq!(next(stream, SETTINGS).flags, 0);
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).unwrap();
    stream.write_all(&frame(SETTINGS, ACK, 0, &[])).unwrap();
}

/// A request without content.
fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, GET)
}

/// A response without content.
fn answer(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, STATUS_200)
}

#[test]
fn a_preface_is_answered_with_settings_and_a_drain_with_goaway() {
    let server = Running::start(nobody(), 1);
    let mut client = server.client_with(&[]);
    assert_eq!(next(&mut client, SETTINGS).stream, 0);
    server.handle.drain(PATIENCE);
    assert_eq!(next(&mut client, GOAWAY).stream, 0);
    while read_frame(&mut client).is_some() {}
    drop(client);
    assert_eq!(server.thread.join().unwrap(), Exit { cut: 0 });
}

#[test]
fn a_client_of_http_1_is_told_where_it_is_not_spoken_and_the_connection_ends_without_reset() {
    let server = Running::start(Config { http1: false, ..nobody() }, 1);
    let mut client = server.client();
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 505 "), "{answer}");
    drop(client);
    assert_eq!(server.drain(), Exit { cut: 0 });
}

#[test]
fn a_taken_port_is_an_error_for_one_worker_and_for_several() {
    let server = Running::start(nobody(), 2);
    for workers in [1, 3] {
        let options = Options {
            workers: NonZeroUsize::new(workers).unwrap(),
            ..Options::new(vec![server.address.clone()])
        };
        let Err(BindError::Listen { address, error }) = Server::bind(nobody(), options) else {
            panic!("a taken port was bound");
        };
        assert_eq!((address, error.kind()), (server.address.clone(), ErrorKind::AddrInUse));
    }
    assert_eq!(server.drain(), Exit { cut: 0 });
}

#[test]
fn a_configuration_out_of_range_is_an_error() {
    let mut config = nobody();
    config.max_fronts = 0;
    let outcome = Server::bind(config, Options::new(vec![any()]));
    assert!(matches!(outcome, Err(BindError::Config(_))), "{outcome:?}");
}

#[test]
fn a_request_goes_to_the_backend_and_its_answer_comes_back() {
    let (listener, config) = backend();
    let server = Running::start(config, 1);
    let mut client = server.client_with(&get(1));
    let mut upstream = accept(&listener);
    let request = next(&mut upstream, HEADERS);
    assert_eq!((request.stream, request.flags), (1, END_STREAM | END_HEADERS));
    upstream.write_all(&frame(HEADERS, END_HEADERS, 1, STATUS_200)).unwrap();
    upstream.write_all(&frame(DATA, END_STREAM, 1, b"hello")).unwrap();
    assert_eq!(next(&mut client, HEADERS).payload[..1], *STATUS_200);
    assert_eq!(next(&mut client, DATA).payload, b"hello");
    drop((client, upstream));
    assert_eq!(server.drain(), Exit { cut: 0 });
}

#[test]
fn a_refused_backend_is_told_to_the_client() {
    let server = Running::start(nobody(), 1);
    let mut client = server.client_with(&get(1));
    let response = next(&mut client, HEADERS);
    // 502 is no entry of the static table: a literal with the name of entry 8, Huffman-coded or not.
    assert_ne!(response.payload[..1], *STATUS_200);
    drop(client);
    assert_eq!(server.drain(), Exit { cut: 0 });
}

#[test]
fn a_unix_socket_serves_as_listener_and_as_backend() {
    let folder = std::env::temp_dir().join(format!("shuntyard-serving-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let place = |name: &str| Address::Unix(folder.join(name).to_str().unwrap().into());
    let listener = UnixListener::bind(folder.join("backend")).unwrap();
    let options = Options { workers: NonZeroUsize::new(2).unwrap(), ..Options::new(vec![place("front")]) };
    let server = Server::bind(Config::new(vec![place("backend")]), options).unwrap();
    let handle = server.handle();
    let thread = thread::spawn(|| server.run().unwrap());

    let mut client = UnixStream::connect(folder.join("front")).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(PREFACE).unwrap();
    client.write_all(&[frame(SETTINGS, 0, 0, &[]), get(1)].concat()).unwrap();
    let (mut upstream, _) = listener.accept().unwrap();
    upstream.set_read_timeout(Some(PATIENCE)).unwrap();
    greet(&mut upstream);
    next(&mut upstream, HEADERS);
    upstream.write_all(&answer(1)).unwrap();
    assert_eq!(next(&mut client, HEADERS).payload[..1], *STATUS_200);
    drop((client, upstream));

    handle.drain(PATIENCE);
    assert_eq!(thread.join().unwrap(), Exit { cut: 0 });
    assert!(!folder.join("front").exists());
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_client_that_resets_its_connection_frees_its_backend_stream() {
    let (listener, config) = backend();
    let server = Running::start(config, 1);
    let client = server.client_with(&get(1));
    let mut upstream = accept(&listener);
    next(&mut upstream, HEADERS);
    // What was sent to it is still unread, so that closing it resets the connection.
    client.peek(&mut [0]).unwrap();
    drop(client);
    assert_eq!(next(&mut upstream, RST_STREAM).stream, 1);
    drop(upstream);
    assert_eq!(server.drain(), Exit { cut: 0 });
}

#[test]
fn a_backend_that_ends_its_connection_right_behind_its_answer_has_answered() {
    let (listener, config) = backend();
    let server = Running::start(config, 1);
    let mut client = server.client_with(&get(1));
    let mut upstream = accept(&listener);
    next(&mut upstream, HEADERS);
    upstream.write_all(&answer(1)).unwrap();
    upstream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(next(&mut client, HEADERS).payload[..1], *STATUS_200);
    // The end was read although it came with the last octets: the next request finds another connection.
    while read_frame(&mut upstream).is_some() {}
    client.write_all(&get(3)).unwrap();
    let mut upstream = accept(&listener);
    next(&mut upstream, HEADERS);
    upstream.write_all(&answer(1)).unwrap();
    assert_eq!(next(&mut client, HEADERS).stream, 3);
    drop((client, upstream));
    assert_eq!(server.drain(), Exit { cut: 0 });
}

/// Each side holds the other back for a while: nothing is lost when reading and writing go on.
#[test]
fn content_larger_than_every_buffer_arrives_whole_at_a_slow_reader() {
    const OCTETS: usize = 24 << 20;
    let (listener, config) = backend();
    let server = Running::start(config, 1);
    let upstream = thread::spawn(move || {
        let mut upstream = accept(&listener);
        next(&mut upstream, HEADERS);
        receive(&mut upstream, OCTETS);
        upstream.write_all(&answer(1)).unwrap();
        while read_frame(&mut upstream).is_some() {}
    });
    let mut client = server.client_with(&frame(HEADERS, END_HEADERS, 1, POST));
    let mut frames = client.try_clone().unwrap();
    let (windows, granted) = channel();
    let reader = thread::spawn(move || {
        loop {
            let frame = read_frame(&mut frames).expect("the response comes before the end");
            match frame.kind {
                WINDOW_UPDATE => windows.send(frame).unwrap(),
                HEADERS => return frame.payload[0],
                _ => {}
            }
        }
    });
    send(&mut client, OCTETS, &granted);
    assert_eq!(reader.join().unwrap(), STATUS_200[0]);
    drop(client);
    assert_eq!(server.drain(), Exit { cut: 0 });
    upstream.join().unwrap();
}

/// Sends content as fast as the windows allow.
fn send(to: &mut TcpStream, octets: usize, granted: &Receiver<Frame>) {
    let mut windows = [65_535; 2];
    let mut sent = 0;
    while sent < octets {
        let n = windows[0].min(windows[1]).min(octets - sent).min(16_384);
        if n == 0 {
            let update = granted.recv_timeout(PATIENCE).expect("a window opens");
            let increment = u32::from_be_bytes(update.payload[..].try_into().unwrap());
            windows[update.stream as usize] += increment as usize;
            continue;
        }
        windows.iter_mut().for_each(|window| *window -= n);
        let content: Vec<u8> = (sent..sent + n).map(octet_at).collect();
        sent += n;
        let flags = if sent == octets { END_STREAM } else { 0 };
        to.write_all(&frame(DATA, flags, 1, &content)).unwrap();
    }
}

fn octet_at(position: usize) -> u8 {
    (position ^ (position >> 8) ^ (position >> 16)) as u8
}

/// Reads content in small pieces with pauses, and gives windows for it.
fn receive(from: &mut TcpStream, octets: usize) {
    let mut received = 0;
    while received < octets {
        let data = next(from, DATA);
        let right = data.payload.iter().zip(received..).all(|(&octet, position)| octet == octet_at(position));
        assert!(right, "other content than was sent, at {received} or behind");
        let before = received;
        received += data.payload.len();
        if before >> 21 != received >> 21 {
            thread::sleep(Duration::from_millis(20));
        }
        let increment = (data.payload.len() as u32).to_be_bytes();
        if increment != [0; 4] {
            from.write_all(&frame(WINDOW_UPDATE, 0, 0, &increment)).unwrap();
            from.write_all(&frame(WINDOW_UPDATE, 0, 1, &increment)).unwrap();
        }
    }
    assert_eq!(received, octets);
}

#[test]
fn a_drain_waits_for_requests_and_counts_what_it_cuts() {
    let (listener, config) = backend();
    let server = Running::start(config, 1);
    let mut patient = server.client_with(&get(1));
    let mut upstream = accept(&listener);
    next(&mut upstream, HEADERS);
    server.handle.drain(PATIENCE);
    next(&mut patient, GOAWAY);
    assert!(TcpStream::connect(inet(&server.address)).is_err(), "nobody listens any more");
    upstream.write_all(&answer(1)).unwrap();
    assert_eq!(next(&mut patient, HEADERS).payload[..1], *STATUS_200);
    drop((patient, upstream));
    assert_eq!(server.thread.join().unwrap(), Exit { cut: 0 });

    let (listener, config) = backend();
    let server = Running::start(config, 1);
    let _hanging = server.client_with(&get(1));
    let mut upstream = accept(&listener);
    next(&mut upstream, HEADERS);
    server.handle.drain(Duration::from_millis(50));
    assert_eq!(server.thread.join().unwrap(), Exit { cut: 1 });
}

#[test]
fn a_stop_does_not_wait() {
    let (listener, config) = backend();
    let server = Running::start(config, 3);
    let _hanging = server.client_with(&get(1));
    let mut upstream = accept(&listener);
    next(&mut upstream, HEADERS);
    server.handle.drain(Duration::from_secs(3600));
    server.handle.stop();
    assert_eq!(server.thread.join().unwrap(), Exit { cut: 1 });
}

#[test]
fn what_is_ordered_before_running_is_done_when_it_runs() {
    let server = Server::bind(nobody(), Options::new(vec![any()])).unwrap();
    server.handle().drain(PATIENCE);
    assert_eq!(server.run().unwrap(), Exit { cut: 0 });
}

#[test]
fn several_workers_serve_on_one_port() {
    let (listener, config) = backend();
    let address = listener.local_addr().unwrap();
    let server = Running::start(config, 4);
    let upstreams = thread::spawn(move || {
        loop {
            let (mut upstream, _) = listener.accept().unwrap();
            // The test's own connection ends without a word.
            if upstream.read_exact(&mut [0; PREFACE.len()]).is_err() {
                return;
            }
            thread::spawn(move || {
                upstream.write_all(&frame(SETTINGS, 0, 0, &[])).unwrap();
                while let Some(frame) = read_frame(&mut upstream) {
                    if frame.kind == HEADERS {
                        upstream.write_all(&answer(frame.stream)).unwrap();
                    }
                }
            });
        }
    });
    let mut clients: Vec<_> = (0..40).map(|_| server.client_with(&get(1))).collect();
    for client in &mut clients {
        assert_eq!(next(client, HEADERS).payload[..1], *STATUS_200);
    }
    drop(clients);
    assert_eq!(server.drain(), Exit { cut: 0 });
    drop(TcpStream::connect(address).unwrap());
    upstreams.join().unwrap();
}
