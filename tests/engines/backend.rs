//! Backends that misbehave within the protocol: small servers around the core's `Server`, each connection on a thread.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use http::{Method, Response};
use shuntyard_core::address::Address;
use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::error::ErrorCode;
use shuntyard_core::h2::{Server, ServerEvent, StreamKey};

/// What a backend does beside answering.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manner {
    /// Nothing.
    Plain,
    /// It sends GOAWAY on a connection when it has taken so many requests there.
    GoesAwayAfter(u32),
    /// It refuses each n-th request: by turns at its head, and when its content has come.
    RefusesEach(u64),
}

/// What was executed: how often each request, by its number.
#[derive(Debug)]
pub(crate) struct Executed {
    times: Vec<AtomicU32>,
    pub(crate) total: AtomicU64,
    /// Requests whose content was not what was sent.
    pub(crate) wrong: AtomicU64,
}

impl Executed {
    pub(crate) fn new(requests: usize) -> Arc<Self> {
        let times = (0..requests).map(|_| AtomicU32::new(0)).collect();
        Arc::new(Self { times, total: AtomicU64::new(0), wrong: AtomicU64::new(0) })
    }

    /// How often this request was executed.
    pub(crate) fn times(&self, number: usize) -> u32 {
        self.times[number].load(Ordering::SeqCst)
    }

    fn execute(&self, request: &Taken) {
        self.times[request.number].fetch_add(1, Ordering::SeqCst);
        self.total.fetch_add(1, Ordering::SeqCst);
        let has_content = request.method == Method::POST;
        if has_content && request.content != crate::content(request.number) {
            self.wrong.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// A connection, and the thread that serves it.
type Served = (UnixStream, JoinHandle<()>);

/// A backend. It can be killed, with its connections, and come back at its address.
pub(crate) struct Backend {
    path: PathBuf,
    manner: Manner,
    executed: Arc<Executed>,
    connections: Arc<Mutex<Vec<Served>>>,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Connections that it has accepted.
    pub(crate) accepted: Arc<AtomicU64>,
    refusals: Arc<AtomicU64>,
}

impl Backend {
    pub(crate) fn start(manner: Manner, executed: &Arc<Executed>) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("shuntyard-engines-{}-{number}.socket", std::process::id());
        let mut backend = Self {
            path: std::env::temp_dir().join(name),
            manner,
            executed: Arc::clone(executed),
            connections: Arc::default(),
            ending: Arc::default(),
            thread: None,
            accepted: Arc::default(),
            refusals: Arc::default(),
        };
        backend.listen();
        backend
    }

    pub(crate) fn address(&self) -> Address {
        Address::Unix(self.path.to_str().expect("a path of ours").into())
    }

    /// Accepts connections from now on.
    pub(crate) fn listen(&mut self) {
        let listener = UnixListener::bind(&self.path).unwrap();
        self.ending = Arc::default();
        let (ending, connections) = (Arc::clone(&self.ending), Arc::clone(&self.connections));
        let (manner, executed) = (self.manner, Arc::clone(&self.executed));
        let (accepted, refusals) = (Arc::clone(&self.accepted), Arc::clone(&self.refusals));
        self.thread = Some(std::thread::spawn(move || {
            loop {
                let (stream, _) = listener.accept().unwrap();
                if ending.load(Ordering::SeqCst) {
                    return;
                }
                accepted.fetch_add(1, Ordering::SeqCst);
                let connection =
                    Connection::new(stream.try_clone().unwrap(), manner, &executed, Arc::clone(&refusals));
                let thread = std::thread::spawn(move || connection.serve());
                let mut connections = connections.lock().unwrap();
                let over = connections.extract_if(.., |(_, thread)| thread.is_finished());
                over.for_each(|(_, thread)| thread.join().unwrap());
                connections.push((stream, thread));
            }
        }));
    }

    /// Stops listening and cuts every connection, whatever is on it.
    pub(crate) fn kill(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
        drop(UnixStream::connect(&self.path).unwrap());
        self.thread.take().expect("it listens").join().unwrap();
        std::fs::remove_file(&self.path).unwrap();
        for (stream, thread) in self.connections.lock().unwrap().drain(..) {
            // It may be gone already.
            let _ = stream.shutdown(Shutdown::Both);
            thread.join().unwrap();
        }
    }
}

/// A request that a backend has begun to take.
struct Taken {
    number: usize,
    method: Method,
    content: Vec<u8>,
}

/// One connection of a backend.
struct Connection {
    stream: UnixStream,
    server: Server,
    manner: Manner,
    executed: Arc<Executed>,
    /// Requests taken on this connection.
    taken: u32,
    /// Requests of the backend, for those that are refused.
    seen: Arc<AtomicU64>,
    requests: BTreeMap<u32, Taken>,
    /// Streams that are refused when their content has come.
    refused: BTreeSet<u32>,
}

impl Connection {
    fn new(stream: UnixStream, manner: Manner, executed: &Arc<Executed>, seen: Arc<AtomicU64>) -> Self {
        Self {
            stream,
            server: Server::new(ConnectionConfig::default(), 2).unwrap(),
            manner,
            executed: Arc::clone(executed),
            taken: 0,
            seen,
            requests: BTreeMap::new(),
            refused: BTreeSet::new(),
        }
    }

    /// Until the connection ends, one way or the other.
    fn serve(mut self) {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(n @ 1..) = self.stream.read(&mut buffer) {
            self.server.handle_recv(&buffer[..n]);
            while let Some(event) = self.server.poll_event().expect("the gateway keeps to the protocol") {
                self.handle(event);
            }
            while let Some(octets) = self.server.poll_transmit() {
                let Ok(n @ 1..) = self.stream.write(octets) else { return };
                self.server.handle_sent(n);
            }
        }
    }

    fn handle(&mut self, event: ServerEvent) {
        match event {
            ServerEvent::Request { stream, request, end } => {
                let number = request.uri().path()[1..].parse().expect("a number");
                let taken = Taken { number, method: request.method().clone(), content: Vec::new() };
                if self.admit(stream, end) {
                    let id = self.server.stream_id(stream).expect("a new stream");
                    self.requests.insert(id, taken);
                    self.finish_if(stream, end);
                }
            }
            ServerEvent::Data { stream, data, credit, end } => {
                let id = self.server.stream_id(stream);
                if let Some(taken) = id.and_then(|id| self.requests.get_mut(&id)) {
                    taken.content.extend_from_slice(&data);
                }
                self.server.release(stream, credit);
                self.finish_if(stream, end);
            }
            ServerEvent::Reset { .. } => panic!("no client gives up"),
            _ => {}
        }
    }

    /// Whether the request is taken at all.
    fn admit(&mut self, stream: StreamKey, end: bool) -> bool {
        self.taken += 1;
        match self.manner {
            Manner::Plain => true,
            Manner::GoesAwayAfter(most) => {
                if self.taken == most {
                    // The last that is served; who comes behind it is ignored.
                    self.server.goaway();
                }
                true
            }
            Manner::RefusesEach(n) => {
                let seen = self.seen.fetch_add(1, Ordering::SeqCst) + 1;
                if !seen.is_multiple_of(n) {
                    return true;
                }
                if end || (seen / n).is_multiple_of(2) {
                    self.server.reset(stream, ErrorCode::REFUSED_STREAM);
                    return false;
                }
                self.refused.extend(self.server.stream_id(stream));
                true
            }
        }
    }

    /// A request that has come whole is executed and answered with its number.
    fn finish_if(&mut self, stream: StreamKey, end: bool) {
        let Some(id) = self.server.stream_id(stream).filter(|_| end) else { return };
        let Some(taken) = self.requests.remove(&id) else { return };
        if self.refused.remove(&id) {
            return self.server.reset(stream, ErrorCode::REFUSED_STREAM);
        }
        self.executed.execute(&taken);
        self.server.send_response(stream, &Response::new(()), false).expect("an open stream");
        self.server.send_data(stream, taken.number.to_string().as_bytes(), true).expect("an open stream");
    }
}
