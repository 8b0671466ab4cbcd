//! Clients and backends: blocking sockets around the core's `Client` and `Server`.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use http::{HeaderMap, Request, Response, StatusCode};
use shuntyard_core::address::Address;
use shuntyard_core::config::{Config, ConnectionConfig};
use shuntyard_core::error::ErrorCode;
use shuntyard_core::h2::{Client, ClientEvent, Server, ServerEvent, StreamKey};

/// What should happen and has not by then never will. Nothing is measured by it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn any_port() -> Address {
    Address::Inet(([127, 0, 0, 1], 0).into())
}

pub(crate) fn inet(address: &Address) -> SocketAddr {
    match address {
        Address::Inet(address) => *address,
        Address::Unix(path) => panic!("{path} is no port"),
    }
}

/// A backend's listener, and the configuration of a gateway that uses it.
pub(crate) fn backend() -> (TcpListener, Config) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = Config::new(vec![listener.local_addr().unwrap().into()]);
    (listener, config)
}

/// The configuration of a gateway whose backend's port nobody listens on.
pub(crate) fn nobody() -> Config {
    backend().1
}

/// A connected socket.
pub(crate) trait Stream: Read + Write + Send {
    fn shut_down(&self, how: Shutdown);
    fn try_clone(&self) -> Box<dyn Stream>;
}

impl Stream for TcpStream {
    fn shut_down(&self, how: Shutdown) {
        self.shutdown(how).unwrap();
    }

    fn try_clone(&self) -> Box<dyn Stream> {
        Box::new(self.try_clone().unwrap())
    }
}

impl Stream for UnixStream {
    fn shut_down(&self, how: Shutdown) {
        self.shutdown(how).unwrap();
    }

    fn try_clone(&self) -> Box<dyn Stream> {
        Box::new(self.try_clone().unwrap())
    }
}

/// One side of an HTTP/2 connection, without its socket.
pub(crate) trait Endpoint {
    type Event;
    fn handle_recv(&mut self, octets: &[u8]);
    fn poll_transmit(&mut self) -> Option<&[u8]>;
    fn handle_sent(&mut self, n: usize);
    fn poll_event(&mut self) -> Option<Self::Event>;
}

macro_rules! endpoint {
    ($endpoint:ty, $event:ty) => {
        impl Endpoint for $endpoint {
            type Event = $event;
            fn handle_recv(&mut self, octets: &[u8]) {
                self.handle_recv(octets);
            }
            fn poll_transmit(&mut self) -> Option<&[u8]> {
                self.poll_transmit()
            }
            fn handle_sent(&mut self, n: usize) {
                self.handle_sent(n);
            }
            fn poll_event(&mut self) -> Option<$event> {
                self.poll_event().expect("the gateway keeps to the protocol")
            }
        }
    };
}
endpoint!(Client, ClientEvent);
endpoint!(Server, ServerEvent);

/// A peer of the gateway.
pub(crate) struct Peer<E> {
    pub(crate) http: E,
    pub(crate) stream: Box<dyn Stream>,
    /// The most octets that one system call reads.
    pub(crate) read_octets: usize,
    /// The most octets that one system call writes.
    pub(crate) write_octets: usize,
    /// It has said that it sends no more.
    shut_down: bool,
}

impl<E: Endpoint> Peer<E> {
    fn new(http: E, stream: Box<dyn Stream>) -> Self {
        Self { http, stream, read_octets: 64 << 10, write_octets: usize::MAX, shut_down: false }
    }

    /// Sends what waits.
    pub(crate) fn flush(&mut self) {
        while !self.shut_down
            && let Some(octets) = self.http.poll_transmit()
        {
            let octets = &octets[..octets.len().min(self.write_octets)];
            let n = self.stream.write(octets).expect("the gateway reads");
            self.http.handle_sent(n);
        }
    }

    /// The next event; what waits is sent before anything is waited for. `None` at the end of the connection.
    pub(crate) fn next(&mut self) -> Option<E::Event> {
        loop {
            if let Some(event) = self.http.poll_event() {
                return Some(event);
            }
            self.flush();
            match self.read() {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => panic!("nothing came: {error}"),
            }
        }
    }

    /// The next event for which `find` gives something. Others are passed over.
    pub(crate) fn find<T>(&mut self, find: impl Fn(E::Event) -> Option<T>) -> T {
        loop {
            if let Some(found) = find(self.next().expect("the connection ended before it came")) {
                return found;
            }
        }
    }

    /// Sends what waits, and then no more.
    pub(crate) fn shut_down(&mut self) {
        self.flush();
        self.stream.shut_down(Shutdown::Write);
        self.shut_down = true;
    }

    /// Takes what comes next, whatever it is (windows, for one, are no event), and sends what that allows.
    pub(crate) fn exchange(&mut self) {
        assert_ne!(self.read().expect("something comes"), 0, "the connection ended");
        while self.http.poll_event().is_some() {}
        self.flush();
    }

    /// Reads to the end of the connection. It must be orderly: no reset.
    pub(crate) fn read_to_end(&mut self) {
        while self.next().is_some() {}
    }

    fn read(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 64 << 10];
        let n = loop {
            match self.stream.read(&mut buffer[..self.read_octets]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                outcome => break outcome?,
            }
        };
        self.http.handle_recv(&buffer[..n]);
        Ok(n)
    }
}

/// Waits for input no longer than [`PATIENCE`].
fn patient(stream: TcpStream) -> Box<dyn Stream> {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    Box::new(stream)
}

impl Peer<Client> {
    /// A client of the server that listens there.
    pub(crate) fn connect(address: &Address) -> Self {
        Self::on(match address {
            Address::Inet(address) => patient(TcpStream::connect(address).unwrap()),
            Address::Unix(path) => {
                let stream = UnixStream::connect(&**path).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                Box::new(stream)
            }
        })
    }

    /// A client on this connection.
    pub(crate) fn on(stream: Box<dyn Stream>) -> Self {
        // It does not count what a test makes the gateway say.
        let config = ConnectionConfig { misuse_max: 1_000_000, ..ConnectionConfig::default() };
        Self::new(Client::new(config, 1).unwrap(), stream)
    }

    /// Sends a request without content.
    pub(crate) fn get(&mut self, path: &str) -> StreamKey {
        self.get_from("origin.test", path)
    }

    /// Likewise, to this authority.
    pub(crate) fn get_from(&mut self, authority: &str, path: &str) -> StreamKey {
        let request = Request::get(format!("http://{authority}{path}")).body(()).unwrap();
        let stream = self.http.send_request(&request, true).unwrap();
        self.flush();
        stream
    }

    /// Sends the head of a request with content.
    pub(crate) fn post(&mut self, path: &str) -> StreamKey {
        let request = Request::post(format!("http://origin.test{path}")).body(()).unwrap();
        let stream = self.http.send_request(&request, false).unwrap();
        self.flush();
        stream
    }

    /// The whole response on the stream. What comes on others is lost.
    pub(crate) fn response(&mut self, stream: StreamKey) -> Answer {
        self.responses(&[stream]).remove(0)
    }

    /// The whole responses on these streams.
    pub(crate) fn responses(&mut self, streams: &[StreamKey]) -> Vec<Answer> {
        let mut answers = Vec::from_iter(streams.iter().map(|_| Answer::default()));
        let mut open = streams.len();
        let place = |stream| streams.iter().position(|&wanted| wanted == stream);
        while open > 0 {
            let (stream, ended) = match self.next().expect("the connection ended before the response") {
                ClientEvent::Response { stream, response, end } => {
                    if let Some(place) = place(stream) {
                        answers[place].status = response.status();
                        answers[place].headers = response.headers().clone();
                    }
                    (stream, end)
                }
                ClientEvent::Data { stream, data, credit, end } => {
                    self.http.release(stream, credit);
                    if let Some(place) = place(stream) {
                        answers[place].content.extend_from_slice(&data);
                    }
                    (stream, end)
                }
                ClientEvent::Trailers { stream, trailers } => {
                    if let Some(place) = place(stream) {
                        answers[place].trailers = trailers;
                    }
                    (stream, true)
                }
                // NO_ERROR follows a whole response: the rest of the request is not wanted (RFC 9113 section 8.1).
                ClientEvent::Reset { error_code: ErrorCode::NO_ERROR, .. } => continue,
                ClientEvent::Reset { error_code, .. } => panic!("a stream was reset: {error_code:?}"),
                _ => continue,
            };
            open -= usize::from(ended && place(stream).is_some());
        }
        answers
    }

    /// Sends a request without content and takes the response.
    pub(crate) fn ask(&mut self, path: &str) -> Answer {
        let stream = self.get(path);
        self.response(stream)
    }
}

/// A whole response.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) content: Vec<u8>,
    pub(crate) trailers: HeaderMap,
}

impl Peer<Server> {
    /// The gateway's next connection.
    pub(crate) fn accept(listener: &TcpListener) -> Self {
        Self::serve(patient(listener.accept().unwrap().0))
    }

    /// A server on this connection.
    pub(crate) fn serve(stream: Box<dyn Stream>) -> Self {
        Self::new(Server::new(ConnectionConfig::default(), 2).unwrap(), stream)
    }

    /// The gateway's next connection, to a server that offers tunnels (RFC 8441).
    pub(crate) fn accept_for_tunnels(listener: &TcpListener) -> Self {
        let config = ConnectionConfig { extended_connect: true, ..ConnectionConfig::default() };
        Self::new(Server::new(config, 2).unwrap(), patient(listener.accept().unwrap().0))
    }

    /// The next request and its path.
    pub(crate) fn request(&mut self) -> (StreamKey, String) {
        self.find(|event| match event {
            ServerEvent::Request { stream, request, .. } => Some((stream, request.uri().path().to_owned())),
            _ => None,
        })
    }

    /// Answers with this content.
    pub(crate) fn answer(&mut self, stream: StreamKey, content: &[u8]) {
        let response = Response::builder().status(200).body(()).unwrap();
        self.http.send_response(stream, &response, content.is_empty()).unwrap();
        if !content.is_empty() {
            self.http.send_data(stream, content, true).unwrap();
        }
        self.flush();
    }

    /// The next stream that the gateway resets.
    pub(crate) fn reset(&mut self) -> (StreamKey, ErrorCode) {
        self.find(|event| match event {
            ServerEvent::Reset { stream, error_code } => Some((stream, error_code)),
            _ => None,
        })
    }

    /// Answers every request with its own path, until the connection ends.
    pub(crate) fn echo_paths(mut self) {
        while let Some(event) = self.next() {
            if let ServerEvent::Request { stream, request, .. } = event {
                self.answer(stream, request.uri().path().as_bytes());
            }
        }
    }
}

/// A backend that answers every request with its path, on any number of connections.
pub(crate) struct Origin {
    address: SocketAddr,
    ending: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Origin {
    /// The origin, and the configuration of a gateway in front of it.
    pub(crate) fn start() -> (Self, Config) {
        let (listener, config) = backend();
        let address = listener.local_addr().unwrap();
        let ending = Arc::<AtomicBool>::default();
        let told = ending.clone();
        let thread = thread::spawn(move || {
            let mut connections = Vec::new();
            loop {
                let (stream, _) = listener.accept().unwrap();
                if told.load(Ordering::SeqCst) {
                    break;
                }
                connections.push(thread::spawn(|| Peer::serve(patient(stream)).echo_paths()));
            }
            connections.into_iter().for_each(|connection| connection.join().unwrap());
        });
        (Self { address, ending, thread }, config)
    }

    /// Ends it; the gateway must have closed its connections.
    pub(crate) fn end(self) {
        self.ending.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address).unwrap());
        self.thread.join().unwrap();
    }
}

/// Looks again and again until it is so, no longer than [`PATIENCE`].
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came: {what}");
        thread::yield_now();
    }
}

/// Whether the peer has closed or reset this connection, looked at without waiting.
pub(crate) fn has_input(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let looked = stream.peek(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    !matches!(looked, Err(error) if error.kind() == ErrorKind::WouldBlock)
}
