//! A connection with TLS between its socket and the gateway.

#[path = "../../transport/tests/common/mod.rs"]
mod common;

use std::io;

use common::{Authority, End};
use http::{Method, Request};
use shuntyard_adapter::transport::{BackTls, ClientAuth, FrontTls, Spare, Transport, Trust};
use shuntyard_adapter::{
    Introduced, Introducing, Notice, Options, Reading, Recorded, Secured, Wire, Writing, equip,
};
use shuntyard_core::address::{Address, SocketAddr};
use shuntyard_core::config::{Alpn, Config, ConnectionConfig, ListenerConfig, Protocol};
use shuntyard_core::gateway::{Accepted, Action, Closed, Command, ConnId, RecvBuf};
use shuntyard_core::h2::{Client, Server, ServerEvent};
use shuntyard_core::time::Instant;
use shuntyard_core::tls::TlsFailure;

const NOW: Instant = Instant::from_nanos(1 << 40);

/// A socket in memory, whose peer takes all that is written, unless it is full.
#[derive(Default)]
struct Socket {
    input: Vec<u8>,
    output: Vec<u8>,
    full: bool,
    /// It takes so much at most, in calls.
    takes: Option<usize>,
    /// The peer has ended.
    ends: bool,
}

impl Wire for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() && self.ends {
            return Ok(0);
        }
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = self.input.len().min(into.len());
        into[..n].copy_from_slice(&self.input[..n]);
        self.input.drain(..n);
        Ok(n)
    }

    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if self.full || self.takes == Some(0) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.takes = self.takes.map(|calls| calls - 1);
        self.output.extend_from_slice(octets);
        Ok(octets.len())
    }
}

fn loopback(port: u16) -> Address {
    SocketAddr::from(([127, 0, 0, 1], port)).into()
}

fn tls() -> (FrontTls, BackTls) {
    let authority = Authority::new();
    let identity = authority.issue(&["a.example"]);
    let front = FrontTls::new(&[identity], &[Protocol::Http2], &ClientAuth::Off).unwrap();
    (front, BackTls::new(&Trust::Authorities(authority.pem()), None, None).unwrap())
}

/// Nothing listens, and no upstream has TLS settings: what the configuration says of both the gateway is told behind the back of who checks it.
fn gateway(config: &Config) -> Recorded {
    let mut plain = Config { listeners: Vec::new(), ..config.clone() };
    plain.upstreams[0].endpoints[0].tls = None;
    let mut gateway = equip(&plain, &Options::new(Vec::new())).unwrap().remove(0).gateway;
    gateway.handle_command(Command::Configure(Box::new(config.clone())), NOW);
    gateway
}

/// The gateway takes no more before output has left, and behind what it has not taken stands a record that cannot be opened: no output can leave.
#[test]
fn output_that_can_never_leave_ends_the_connection() {
    const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let (front, back) = tls();
    let mut config = Config::new(vec![loopback(9)]);
    config.front.outbox_high_mark = 1;
    (config.front.max_queued_control_frames, config.front.misuse_max) = (10_000, 1_000_000);
    let (mut gateway, now) = (gateway(&config), NOW);
    let conn = gateway.handle_arriving(Accepted { peer: loopback(8), local: loopback(8) }, now);

    let (mut spare, mut clients, mut socket) = (Spare::default(), Spare::default(), Socket::default());
    let mut secured = Secured::new(Transport::front(&front).unwrap(), None);
    let mut client = End::new(Transport::back(&back, "a.example", Alpn::Http2).unwrap());
    while client.facts.is_none() {
        socket.input = client.speak();
        assert_eq!(secured.read(&mut socket, &mut gateway, (conn, now), &mut spare), Reading::Idle);
        assert_eq!(secured.write(&mut socket, &mut gateway, (conn, now), &mut spare), Writing::Done);
        client.hear(&std::mem::take(&mut socket.output), &mut clients, (usize::MAX, 64 << 10));
    }
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    client.say(&[&preface[..], &PING.repeat(1000)].concat(), &mut clients, now);
    socket.input = client.speak();
    assert_eq!(secured.read(&mut socket, &mut gateway, (conn, now), &mut spare), Reading::Idle);
    client.say(PING, &mut clients, now);
    socket.input = client.speak();
    socket.input.extend(b"\x17\x03\x03\0\x20an octet that nobody had sealed.");
    assert_eq!(secured.read(&mut socket, &mut gateway, (conn, now), &mut spare), Reading::Paused);
    assert_eq!(
        secured.write(&mut socket, &mut gateway, (conn, now), &mut spare),
        Writing::Failed(Closed::Tls(TlsFailure::Decrypt))
    );
    client.hear(&socket.output, &mut clients, (usize::MAX, 64 << 10));
    assert_eq!(client.failure, Some(TlsFailure::AlertReceived(20)));
}

/// A connection of the gateway's to a backend.
struct Dialled {
    conn: ConnId,
    secured: Secured,
    socket: Socket,
    backend: End,
    server: Server,
    /// Of the requests that came.
    methods: Vec<Method>,
}

impl Dialled {
    /// The connection that the gateway wants, with its handshake done and all that there was to say said.
    fn next(gateway: &mut Recorded, (front, back): &(FrontTls, BackTls), spare: &mut Spare) -> Self {
        let conn = wanted(gateway);
        let secured = Secured::new(Transport::back(back, "a.example", Alpn::Http2).unwrap(), None);
        let backend = End::new(Transport::front(front).unwrap());
        let server = Server::new(ConnectionConfig::default(), 2).unwrap();
        let mut dialled =
            Self { conn, secured, socket: Socket::default(), backend, server, methods: Vec::new() };
        for _ in 0..4 {
            // Requests are given to it meanwhile.
            while gateway.poll_action().is_some() {}
            assert_eq!(dialled.write(gateway, spare), Writing::Done);
            dialled.hear();
            let said = dialled.server.poll_transmit().unwrap_or_default().to_vec();
            if dialled.backend.facts.is_some() {
                dialled.server.handle_sent(said.len());
                dialled.say(&said);
            }
            dialled.socket.input = dialled.backend.speak();
            assert_eq!(dialled.read(gateway, spare), Reading::Idle);
        }
        dialled
    }

    fn read(&mut self, gateway: &mut Recorded, spare: &mut Spare) -> Reading {
        self.secured.read(&mut self.socket, gateway, (self.conn, NOW), spare)
    }

    fn write(&mut self, gateway: &mut Recorded, spare: &mut Spare) -> Writing {
        self.secured.write(&mut self.socket, gateway, (self.conn, NOW), spare)
    }

    /// The backend takes what is on the wire.
    fn hear(&mut self) {
        let octets = std::mem::take(&mut self.socket.output);
        self.backend.hear(&octets, &mut Spare::default(), (usize::MAX, 64 << 10));
        self.server.handle_recv(&std::mem::take(&mut self.backend.heard));
        while let Some(event) = self.server.poll_event().unwrap() {
            if let ServerEvent::Request { request, .. } = event {
                self.methods.push(request.method().clone());
            }
        }
    }

    fn say(&mut self, plaintext: &[u8]) {
        self.backend.say(plaintext, &mut Spare::default(), NOW);
    }
}

/// The client's octets come in.
fn receive(gateway: &mut Recorded, front: ConnId, client: &mut Client) {
    while let Some(octets) = client.poll_transmit() {
        let RecvBuf::Buffer(buffer) = gateway.recv_buf(front) else { panic!("the gateway reads") };
        let n = octets.len();
        buffer[..n].copy_from_slice(octets);
        gateway.handle_recv(front, n, NOW);
        client.handle_sent(n);
    }
}

/// A request of which nothing has left when its connection fails is on another connection at once. So the records in which it waits must not leave,
/// whether it was the backend's HTTP/2 that failed or its TLS.
#[test]
fn a_request_that_is_on_another_connection_does_not_leave_on_the_first() {
    for tls_fails in [false, true] {
        let (tls, mut spare) = (tls(), Spare::default());
        let mut config = Config::new(vec![loopback(9)]);
        config.upstreams[0].endpoints[0].tls = Some(Alpn::Http2);
        let mut gateway = gateway(&config);
        let front = gateway.handle_accept(Accepted { peer: loopback(8), local: loopback(8) }, NOW);
        let mut client = Client::new(ConnectionConfig::default(), 1).unwrap();
        client.send_request(&Request::get("http://a/").body(()).unwrap(), true).unwrap();
        receive(&mut gateway, front, &mut client);
        let mut first = Dialled::next(&mut gateway, &tls, &mut spare);
        assert_eq!(first.methods, [Method::GET]);

        first.socket.full = true;
        let stream = client.send_request(&Request::post("http://a/").body(()).unwrap(), false).unwrap();
        client.send_data(stream, b"once", true).unwrap();
        receive(&mut gateway, front, &mut client);
        let writable = Action::Writable(first.conn);
        assert!(std::iter::from_fn(|| gateway.poll_action()).any(|action| action == writable));
        assert_eq!(first.write(&mut gateway, &mut spare), Writing::Full);
        if tls_fails {
            first.socket.input = b"\x17\x03\x03\0\x20an octet that nobody had sealed.".to_vec();
            let failed = Reading::Failed(Closed::Tls(TlsFailure::Decrypt));
            assert_eq!(first.read(&mut gateway, &mut spare), failed);
        } else {
            // DATA on no stream.
            first.say(b"\0\0\x01\0\0\0\0\0\0.");
            first.socket.input = first.backend.speak();
            assert_eq!(first.read(&mut gateway, &mut spare), Reading::Idle);
        }
        first.socket.full = false;
        if !tls_fails {
            assert_eq!(first.write(&mut gateway, &mut spare), Writing::Done);
        }
        first.secured.farewell(&mut first.socket, &mut spare, false);
        assert_eq!(first.socket.output.len(), 0);
        if tls_fails {
            gateway.handle_closed(first.conn, Closed::Tls(TlsFailure::Decrypt), NOW);
        }

        let second = Dialled::next(&mut gateway, &tls, &mut spare);
        assert!(second.methods.contains(&Method::POST));
    }
}

/// A server of HTTP/1.1 that speaks before it was asked, as one does that closes an idle connection: nothing of the request has left, and it may be
/// asked of another. So the record in which it waits must not leave.
#[test]
fn a_request_whose_server_has_spoken_first_does_not_leave() {
    let (authority, mut spare) = (Authority::new(), Spare::default());
    let identity = authority.issue(&["a.example"]);
    let server = FrontTls::new(&[identity], &[Protocol::Http1], &ClientAuth::Off).unwrap();
    let back = BackTls::new(&Trust::Authorities(authority.pem()), None, None).unwrap();
    let mut config = Config::new(vec![loopback(9)]);
    config.upstreams[0].endpoints[0].tls = Some(Alpn::Either);
    let mut gateway = gateway(&config);
    let front = gateway.handle_accept(Accepted { peer: loopback(8), local: loopback(8) }, NOW);
    let mut client = Client::new(ConnectionConfig::default(), 1).unwrap();
    client.send_request(&Request::get("http://a/").body(()).unwrap(), true).unwrap();
    receive(&mut gateway, front, &mut client);
    let turn = (wanted(&mut gateway), NOW);

    let mut secured = Secured::new(Transport::back(&back, "a.example", Alpn::Either).unwrap(), None);
    let (mut backend, mut socket) = (End::new(Transport::front(&server).unwrap()), Socket::default());
    let hear = |backend: &mut End, socket: &mut Socket| {
        let octets = std::mem::take(&mut socket.output);
        backend.hear(&octets, &mut Spare::default(), (usize::MAX, 64 << 10));
    };
    assert_eq!(secured.write(&mut socket, &mut gateway, turn, &mut spare), Writing::Done);
    hear(&mut backend, &mut socket);
    socket.input = backend.speak();
    assert_eq!(secured.read(&mut socket, &mut gateway, turn, &mut spare), Reading::Idle);
    while gateway.poll_action().is_some() {}
    // The last of the handshake leaves, and nothing of the request.
    socket.takes = Some(1);
    assert_eq!(secured.write(&mut socket, &mut gateway, turn, &mut spare), Writing::Full);
    assert!(secured.is_open() && !gateway.shown(turn.0).is_empty());
    hear(&mut backend, &mut socket);
    assert!(backend.facts.is_some() && backend.heard.is_empty());

    let timeout = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    backend.say(timeout, &mut Spare::default(), NOW);
    socket.input = backend.speak();
    assert_eq!(secured.read(&mut socket, &mut gateway, turn, &mut spare), Reading::Idle);
    socket.takes = None;
    secured.write(&mut socket, &mut gateway, turn, &mut spare);
    secured.farewell(&mut socket, &mut spare, false);
    assert_eq!(socket.output.len(), 0);
    assert_ne!(wanted(&mut gateway), turn.0);
}

/// The connection that the gateway wants.
fn wanted(gateway: &mut Recorded) -> ConnId {
    let dialled = |action| if let Action::Connect { conn, .. } = action { Some(conn) } else { None };
    std::iter::from_fn(|| gateway.poll_action()).find_map(dialled).expect("a connection is wanted")
}

/// A client of TLS that has said this, and perhaps ended there.
fn begun(said: &[u8], ends: bool) -> (Secured, Reading) {
    let (front, _) = tls();
    let mut gateway = gateway(&Config::new(vec![loopback(9)]));
    let client = (loopback(8), loopback(7));
    let info = Accepted { peer: client.0.clone(), local: client.1.clone() };
    let conn = gateway.handle_arriving(info, NOW);
    let mut secured = Secured::arriving(Transport::front(&front).unwrap(), client, &gateway, conn);
    let mut socket = Socket { input: said.to_vec(), ends, ..Socket::default() };
    let reading = secured.read(&mut socket, &mut gateway, (conn, NOW), &mut Spare::default());
    (secured, reading)
}

/// A health check of TCP says nothing. Whoever has begun to say something has failed.
#[test]
fn a_client_that_ends_without_a_word_has_failed_in_nothing() {
    for (said, is_told) in [(&b""[..], false), (b"\x16\x03", true)] {
        let (mut secured, reading) = begun(said, true);
        let Reading::Failed(why) = reading else { panic!("{reading:?}") };
        assert_eq!(secured.complaint(why).is_some(), is_told, "{why:?}");
        // Nor has whoever stays without a word until the deadline, and of all others it was said.
        assert!(secured.complaint(Closed::Tls(TlsFailure::TimedOut)).is_none());
    }
}

/// Whether it was an end, a reset, or a deadline of ours: whoever has begun is told of.
#[test]
fn a_handshake_that_was_begun_has_failed_however_it_ended() {
    for (why, failure) in [
        (Closed::Reset, TlsFailure::Interrupted),
        (Closed::Failed, TlsFailure::Interrupted),
        (Closed::Tls(TlsFailure::TimedOut), TlsFailure::TimedOut),
    ] {
        let (mut secured, reading) = begun(b"\x16\x03", false);
        assert_eq!(reading, Reading::Idle);
        let Some(Notice::HandshakeFailed { failure: told, .. }) = secured.complaint(why) else {
            panic!("{why:?} is not told");
        };
        assert_eq!(told, failure);
        assert!(secured.complaint(why).is_none(), "one word for each");
    }
}

/// It has as many connections as it may: its handshake was never begun.
#[test]
fn of_a_client_that_was_refused_on_arrival_no_handshake_is_told() {
    let (front, _) = tls();
    let config = Config { max_fronts_per_client: 1, ..Config::new(vec![loopback(9)]) };
    let mut gateway = gateway(&config);
    for is_told in [true, false] {
        let client = (loopback(8), loopback(7));
        let info = Accepted { peer: client.0.clone(), local: client.1.clone() };
        let conn = gateway.handle_arriving(info, NOW);
        let mut secured = Secured::arriving(Transport::front(&front).unwrap(), client, &gateway, conn);
        secured.receive(b"\x16\x03", &mut Spare::default());
        assert_eq!(secured.complaint(Closed::Tls(TlsFailure::Interrupted)).is_some(), is_told);
    }
}

/// At a listener behind a balancer.
fn introduce(
    gateway: &mut Recorded,
    front: &FrontTls,
    octets: &[u8],
    local: Address,
) -> (ConnId, Secured, Socket, Introduced) {
    let peer = loopback(8);
    let conn = gateway.handle_arriving(Accepted { peer: peer.clone(), local: local.clone() }, NOW);
    let mut secured = Secured::new(Transport::front(front).unwrap(), Some((peer.clone(), local.clone())));
    let mut socket = Socket { input: octets.to_vec(), ..Socket::default() };
    let mut introducing = Introducing::new(peer, local);
    let mut spare = Spare::default();
    let introduced = introducing.read(&mut socket, gateway, (conn, NOW), Some((&mut secured, &mut spare)));
    (conn, secured, socket, introduced)
}

const LINE: &[u8] = b"PROXY TCP4 192.0.2.7 192.0.2.1 5000 443\r\n";

#[test]
fn who_was_introduced_is_the_client_whose_handshake_fails() {
    let (front, _) = tls();
    let mut gateway = gateway(&Config::new(vec![loopback(9)]));
    let octets = [LINE, b"GET / HTTP/1.1\r\n\r\n"].concat();
    let (conn, mut secured, mut socket, introduced) = introduce(&mut gateway, &front, &octets, loopback(7));
    assert!(matches!(introduced, Introduced::Done), "{introduced:?}");
    let reading = secured.read(&mut socket, &mut gateway, (conn, NOW), &mut Spare::default());
    let Reading::Refused(why) = reading else { panic!("{reading:?}") };
    let complaint = secured.complaint(why);
    let Some(Notice::HandshakeFailed { client, listener, .. }) = complaint else { panic!("{complaint:?}") };
    let introduced: Address = SocketAddr::from(([192, 0, 2, 7], 5000)).into();
    assert_eq!((client, listener), (introduced, loopback(7)));
}

/// Nor is a handshake begun with it, which costs more than the connection.
#[test]
fn a_client_beyond_its_share_is_not_shaken_hands_with() {
    let (front, back) = tls();
    let listeners = vec![ListenerConfig { introduced: true, ..ListenerConfig::new(loopback(0)) }];
    let config = Config { max_fronts_per_client: 1, listeners, ..Config::new(vec![loopback(9)]) };
    let worker = equip(&config, &Options::new(vec![loopback(0)])).unwrap().remove(0);
    let (mut gateway, local) = (worker.gateway, worker.listeners[0].address.clone());
    let hello = End::new(Transport::back(&back, "a.example", Alpn::Http2).unwrap()).speak();
    let octets = [LINE, &hello].concat();
    let (_, mut secured, .., introduced) = introduce(&mut gateway, &front, &octets, local.clone());
    assert!(matches!(introduced, Introduced::Done) && secured.has_input(), "{introduced:?}");
    let (conn, mut second, _, introduced) = introduce(&mut gateway, &front, &octets, local.clone());
    assert!(matches!(introduced, Introduced::Gone) && !second.has_input(), "{introduced:?}");
    assert!(second.complaint(Closed::Tls(TlsFailure::Interrupted)).is_none());
    assert_eq!(gateway.poll_action(), Some(Action::Close(conn)));
    let read = secured.read(&mut Socket::default(), &mut gateway, (conn, NOW), &mut Spare::default());
    assert_eq!((read, gateway.ignored_events()), (Reading::Idle, 0));
}
