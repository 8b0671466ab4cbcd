//! What both adapters do at the edges of connections: clients that reset, come too often, or come to look.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use shuntyard_adapter::{Notice, reset_on_close};
use shuntyard_core::address::Address;
use shuntyard_core::config::{Config, ListenerConfig, Protocol};
use shuntyard_core::gateway::Gateway;

use crate::{ClientAuth, Exit, FrontTls, Handle, Identity, Options, Server};

/// No test waits longer than this for an octet that should come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server that runs on a thread of its own, and what it has noticed.
pub(crate) struct Running {
    pub(crate) address: Address,
    pub(crate) handle: Handle,
    pub(crate) notices: Receiver<Notice>,
    thread: JoinHandle<Exit>,
}

impl Running {
    /// In clear.
    pub(crate) fn start(config: Config) -> Self {
        Self::run(config, Options::new(vec![any()]))
    }

    /// With TLS.
    pub(crate) fn start_tls(config: Config) -> Self {
        Self::run(config, Options { listen_tls: vec![(any(), front())], ..Options::new(Vec::new()) })
    }

    fn run(config: Config, options: Options) -> Self {
        let (sender, notices) = channel();
        let observer = Arc::new(move |notice| drop(sender.send(notice)));
        let server = Server::bind(config, Options { observer: Some(observer), ..options }).unwrap();
        let address = server.local_addrs()[0].clone();
        let handle = server.handle();
        Self { address, handle, notices, thread: thread::spawn(|| server.run().unwrap()) }
    }

    pub(crate) fn client(&self) -> TcpStream {
        let Address::Inet(address) = self.address else { panic!("it is no port") };
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub(crate) fn stop(self) {
        self.handle.stop();
        self.thread.join().unwrap();
    }
}

fn front() -> FrontTls {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["a.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    let identity = Identity::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();
    FrontTls::new(&[identity], &[Protocol::Http1], &ClientAuth::Off).unwrap()
}

fn any() -> Address {
    Address::Inet(([127, 0, 0, 1], 0).into())
}

/// A backend's listener, and the configuration of a gateway that uses it.
pub(crate) fn backend() -> (TcpListener, Config) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = Config::new(vec![listener.local_addr().unwrap().into()]);
    (listener, config)
}

/// Reads frames until one of this kind has come.
pub(crate) fn await_frame(from: &mut TcpStream, kind: u8) {
    loop {
        let mut head = [0; 9];
        from.read_exact(&mut head).expect("the frame comes");
        from.read_exact(&mut vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize]).unwrap();
        if head[3] == kind {
            return;
        }
    }
}

/// The gateway's connection, with the head of a request.
pub(crate) fn accept(listener: &TcpListener) -> TcpStream {
    let (mut upstream, _) = listener.accept().unwrap();
    upstream.set_read_timeout(Some(PATIENCE)).unwrap();
    upstream.read_exact(&mut [0; 24]).unwrap();
    upstream.write_all(b"\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0").unwrap();
    await_frame(&mut upstream, HEADERS);
    upstream
}

const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;

/// Reading pauses where so many requests stand behind the first that no more are kept.
#[test]
fn a_reset_is_noticed_while_reading_pauses() {
    let (listener, config) = backend();
    let server = Running::start(config);
    let mut client = server.client();
    client.write_all(&b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n".repeat(8000)).unwrap();
    let mut upstream = accept(&listener);
    reset_on_close(&client);
    drop(client);
    await_frame(&mut upstream, RST_STREAM);
    server.stop();
}

/// What came while reading paused is read when it goes on.
#[test]
fn what_comes_in_a_pause_is_not_lost() {
    let (listener, config) = backend();
    let server = Running::start(config);
    let mut client = server.client();
    let request = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    client.write_all(&request.repeat(2)).unwrap();
    let mut upstream = accept(&listener);
    for _ in 0..3 {
        client.write_all(request).unwrap();
        thread::yield_now();
    }
    client.shutdown(Shutdown::Write).unwrap();
    for stream in [1, 3, 5, 7, 9] {
        // `:status: 204`.
        upstream.write_all(&[0, 0, 1, HEADERS, 5, 0, 0, 0, stream, 0x89]).unwrap();
        if stream < 9 {
            await_frame(&mut upstream, HEADERS);
        }
    }
    let mut answers = String::new();
    client.read_to_string(&mut answers).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 204 ").count(), 5, "{answers}");
    server.stop();
}

/// A client that has ended its half, or gone, while reading pauses, costs no time until reading goes on: what is known of its end is not told again and
/// again.
#[cfg(target_os = "linux")]
#[test]
fn an_end_that_comes_in_a_pause_keeps_nobody_busy() {
    // On its own thread: how long it has run, in nanoseconds.
    let time = |server: &Running| -> u64 {
        let read = |_: &Gateway, _| std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        let times = server.handle.inspect(PATIENCE, read);
        times.iter().map(|time| time.split(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    };
    // The rest of a head that waits for the first request; content that the backend does not take.
    let pipelined = b"GET / HTTP/1.1\r\nhost: a\r\n\r\nP".to_vec();
    let upload =
        [&b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 900000\r\n\r\n"[..], &[b'a'; 400_000]].concat();
    for sent in [pipelined, upload] {
        let (listener, config) = backend();
        let server = Running::start(config);
        let mut client = server.client();
        client.write_all(&sent).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut upstream = accept(&listener);
        thread::sleep(Duration::from_millis(200));
        let before = time(&server);
        thread::sleep(Duration::from_secs(1));
        let run = Duration::from_nanos(time(&server) - before);
        assert!(run < Duration::from_millis(50), "{run:?} in a second in which nothing happened");
        upstream.write_all(&[0, 0, 1, HEADERS, 5, 0, 0, 0, 1, 0x89]).unwrap();
        let mut answer = [0; 13];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 204 ");
        server.stop();
    }
}

/// The end of an idle connection is known before a request is given to it: nothing of the request leaves there, where nobody could tell whether it was
/// executed. Another connection is made for it.
#[test]
fn no_request_is_sent_behind_an_end_that_is_known() {
    let (listener, config) = backend();
    let server = Running::start(config);
    let mut client = server.client();
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let mut upstream = accept(&listener);
    upstream.write_all(&[0, 0, 1, HEADERS, 5, 0, 0, 0, 1, 0x89]).unwrap();
    client.read_exact(&mut [0; 12]).unwrap();
    // The worker sleeps while both come: what the client sends first, then the end.
    let (asleep, sleeps) = channel();
    let (wake, awake) = channel::<()>();
    let awake = Arc::new(std::sync::Mutex::new(awake));
    let handle = server.handle.clone();
    let look = thread::spawn(move || {
        handle.inspect(PATIENCE, move |_, _| {
            asleep.send(()).unwrap();
            awake.lock().unwrap().recv().unwrap();
        });
    });
    sleeps.recv_timeout(PATIENCE).unwrap();
    client.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n").unwrap();
    upstream.shutdown(Shutdown::Write).unwrap();
    let (sender, dialled) = channel();
    thread::spawn(move || drop(sender.send(accept(&listener))));
    wake.send(()).unwrap();
    look.join().unwrap();
    let mut again = dialled.recv_timeout(PATIENCE).expect("another connection is made");
    again.write_all(&[0, 0, 1, HEADERS, 5, 0, 0, 0, 1, 0x89]).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut answers = String::new();
    client.read_to_string(&mut answers).unwrap();
    assert!(answers.ends_with("\r\n\r\n") && answers.contains("HTTP/1.1 204 "), "{answers}");
    server.stop();
}

/// It is refused before it could shake hands: no handshake has failed.
#[test]
fn of_a_client_beyond_its_share_no_handshake_is_told() {
    let (_listener, config) = backend();
    let server = Running::start_tls(Config { max_fronts_per_client: 1, ..config });
    let first = server.client();
    let mut second = server.client();
    // It ends, in one way or another.
    let _ = second.read_to_end(&mut Vec::new());
    assert!(server.notices.try_recv().is_err());
    drop(first);
    server.stop();
}

/// Likewise where a balancer has said whose it is: only then it is known that there are too many of its client.
#[test]
fn of_an_introduced_client_beyond_its_share_nothing_is_told() {
    let (_listener, config) = backend();
    let listeners = vec![ListenerConfig { introduced: true, ..ListenerConfig::new(any()) }];
    let server = Running::start_tls(Config { max_fronts_per_client: 1, listeners, ..config });
    let said = b"PROXY TCP4 192.0.2.7 192.0.2.1 5000 443\r\n\x16\x03";
    let mut clients: Vec<_> = std::iter::repeat_with(|| server.client()).take(2).collect();
    clients.iter_mut().for_each(|client| client.write_all(said).unwrap());
    // It ends, in one way or another.
    let _ = clients[1].read_to_end(&mut Vec::new());
    assert!(server.notices.try_recv().is_err());
    drop(clients);
    server.stop();
}

/// Of a Unix socket no error tells that its client has closed it: what it had asked for is for nobody then. One that has ended its direction alone waits for
/// its answer.
#[test]
fn a_client_that_has_closed_its_unix_socket_is_gone() {
    let (listener, config) = backend();
    let path = std::env::temp_dir().join(format!("shuntyard-edges-{}.sock", std::process::id()));
    let name = path.to_str().unwrap();
    let server = Running::run(config, Options::new(vec![Address::Unix(name.into())]));
    let ask = || {
        let mut client = UnixStream::connect(&path).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        client
    };
    let mut half = ask();
    half.shutdown(Shutdown::Write).unwrap();
    let mut upstream = accept(&listener);
    let whole = ask();
    await_frame(&mut upstream, HEADERS);
    drop(whole);
    await_frame(&mut upstream, RST_STREAM);
    upstream.write_all(&[0, 0, 1, HEADERS, 5, 0, 0, 0, 1, 0x89]).unwrap();
    let mut answer = String::new();
    half.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    server.stop();
}

/// A health check of TCP says nothing. Whoever has begun to say something has failed.
#[test]
fn of_a_client_that_comes_to_look_no_handshake_is_told() {
    let (_listener, config) = backend();
    let server = Running::start_tls(config);
    for said in [&b""[..], b"\x16\x03"] {
        let mut client = server.client();
        client.write_all(said).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let _ = client.read_to_end(&mut Vec::new());
        assert_eq!(server.notices.try_recv().is_ok(), !said.is_empty());
    }
    server.stop();
}
