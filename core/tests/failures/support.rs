//! Requests, and what clients and backends saw of them.

use core::time::Duration;

use http::{HeaderMap, Method, Request, Response};
use shuntyard_core::config::{Config, ConnectionConfig};
use shuntyard_core::error::ErrorCode;
use shuntyard_core::gateway::RecvBuf;
use shuntyard_core::h2::{ClientEvent, ServerEvent, StreamKey};
use shuntyard_core::key::ConnId;
use shuntyard_core::record::Cause;

use crate::memory::Memory;

/// A gateway with a client.
pub(crate) fn with_client(change: impl FnOnce(&mut Config)) -> (Memory, ConnId) {
    let mut memory = Memory::new(|config| {
        // Backends here answer a PING when somebody looks at them.
        let never = Duration::from_secs(80_000);
        (config.timeouts.suspect_idle, config.timeouts.suspect_silent) = (never, never);
        change(config);
    });
    let client = memory.connect(ConnectionConfig::default());
    (memory, client)
}

/// A request with this content, sent whole. None: the head alone ends it.
pub(crate) fn send(
    memory: &mut Memory,
    client: ConnId,
    method: Method,
    path: &str,
    content: &[u8],
) -> StreamKey {
    let stream = begin(memory, client, method, path, content.is_empty());
    if !content.is_empty() {
        memory.client(client).send_data(stream, content, true).expect("an open stream");
    }
    memory.settle();
    stream
}

/// The head of a request.
pub(crate) fn begin(memory: &mut Memory, client: ConnId, method: Method, path: &str, end: bool) -> StreamKey {
    let uri = format!("http://example.com{path}");
    let request = Request::builder().method(method).uri(uri).body(()).expect("a request");
    memory.client(client).send_request(&request, end).expect("a slot")
}

/// A request as a backend saw it.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) stream: StreamKey,
    pub(crate) path: String,
    pub(crate) content: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) end: bool,
    pub(crate) reset: Option<ErrorCode>,
}

/// What reached a backend since it was last asked.
pub(crate) fn arrived(memory: &mut Memory, backend: ConnId) -> Vec<Arrived> {
    first_arrived(memory, backend, usize::MAX)
}

/// The same up to so many requests: the rest has not been read.
pub(crate) fn first_arrived(memory: &mut Memory, backend: ConnId, most: usize) -> Vec<Arrived> {
    let mut arrived: Vec<Arrived> = Vec::new();
    let find = |arrived: &mut Vec<Arrived>, stream| arrived.iter().position(|of| of.stream == stream);
    while arrived.len() < most
        && let Some(event) = memory.backend(backend).poll_event().expect("a sound connection")
    {
        match event {
            ServerEvent::Request { stream, request, end } => arrived.push(Arrived {
                stream,
                path: request.uri().path().to_owned(),
                content: Vec::new(),
                trailers: None,
                end,
                reset: None,
            }),
            ServerEvent::Data { stream, data, credit, end } => {
                memory.backend(backend).release(stream, credit);
                if let Some(at) = find(&mut arrived, stream) {
                    arrived[at].content.extend_from_slice(&data);
                    arrived[at].end = end;
                }
            }
            ServerEvent::Trailers { stream, trailers } => {
                if let Some(at) = find(&mut arrived, stream) {
                    (arrived[at].trailers, arrived[at].end) = (Some(trailers), true);
                }
            }
            ServerEvent::Reset { stream, error_code } => {
                if let Some(at) = find(&mut arrived, stream) {
                    arrived[at].reset = Some(error_code);
                }
            }
            _ => {}
        }
    }
    arrived
}

/// The one request that reached the backend.
pub(crate) fn the_request(memory: &mut Memory, backend: ConnId) -> Arrived {
    let mut arrived = arrived(memory, backend);
    assert_eq!(arrived.len(), 1, "{arrived:?}");
    arrived.remove(0)
}

/// The one backend connection that stands.
pub(crate) fn the_backend(memory: &Memory) -> ConnId {
    let backends = memory.backends();
    assert_eq!(backends.len(), 1, "{backends:?}");
    backends[0]
}

/// Answers 200 with this content.
pub(crate) fn answer(memory: &mut Memory, backend: ConnId, stream: StreamKey, content: &[u8]) {
    let response = Response::builder().status(200).body(()).expect("a response");
    memory.backend(backend).send_response(stream, &response, false).expect("an open stream");
    memory.backend(backend).send_data(stream, content, true).expect("an open stream");
    memory.settle();
}

/// Resets a stream of a backend.
pub(crate) fn refuse(memory: &mut Memory, backend: ConnId, stream: StreamKey, code: ErrorCode) {
    memory.backend(backend).reset(stream, code);
    memory.settle();
}

/// What a client saw of one stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) interim: usize,
    pub(crate) status: u16,
    pub(crate) proxy_status: String,
    pub(crate) content: Vec<u8>,
    pub(crate) reset: Option<ErrorCode>,
}

/// What the client saw of this stream since it was last asked. What came on others is lost.
pub(crate) fn seen(memory: &mut Memory, client: ConnId, wanted: StreamKey) -> Seen {
    let mut seen = Seen::default();
    while let Some(event) = memory.client(client).poll_event().expect("a sound connection") {
        match event {
            ClientEvent::Interim { stream, .. } if stream == wanted => seen.interim += 1,
            ClientEvent::Response { stream, response, .. } if stream == wanted => {
                assert_eq!(seen.status, 0, "one head");
                seen.status = response.status().as_u16();
                let error = response.headers().get("proxy-status").map(|value| value.to_str());
                seen.proxy_status = error.and_then(Result::ok).unwrap_or_default().to_owned();
            }
            ClientEvent::Data { stream, data, credit, .. } => {
                memory.client(client).release(stream, credit);
                if stream == wanted {
                    seen.content.extend_from_slice(&data);
                }
            }
            ClientEvent::Reset { stream, error_code } if stream == wanted => seen.reset = Some(error_code),
            _ => {}
        }
    }
    seen
}

/// Whether the client got the backend's answer whole, and nothing else.
pub(crate) fn is_answer(seen: &Seen, content: &[u8]) -> bool {
    *seen == Seen { status: 200, content: content.to_vec(), ..Seen::default() }
}

/// Whether the client got the answer that the gateway gives for this cause.
pub(crate) fn is_error(seen: &Seen, cause: Cause) -> bool {
    let (status, word) = cause.status();
    let error = format!("shuntyard; error={word}");
    (seen.status, &seen.proxy_status) == (status, &error)
}

/// Time passes, and deadlines with it; every one in its own step.
pub(crate) fn wait(memory: &mut Memory, duration: Duration) {
    let until = memory.now + duration;
    memory.settle();
    while let Some(at) = memory.gateway.poll_timeout().filter(|&at| at <= until) {
        memory.now = memory.now.max(at);
        memory.gateway.handle_timeout(memory.now);
        memory.settle();
    }
    memory.now = until;
}

/// Octets come from a peer, and nothing is written.
pub(crate) fn read(memory: &mut Memory, conn: ConnId, octets: &[u8]) {
    let RecvBuf::Buffer(buffer) = memory.gateway.recv_buf(conn) else { panic!("reading is not paused") };
    buffer[..octets.len()].copy_from_slice(octets);
    memory.gateway.handle_recv(conn, octets.len(), memory.now);
}

/// Nothing is left of any request.
pub(crate) fn is_at_rest(memory: &Memory) -> bool {
    let view = memory.gateway.view();
    (view.requests, view.reserved_octets, view.buffered_octets) == (0, 0, 0)
}

/// Content that shows where it is wrong.
pub(crate) fn content(octets: usize) -> Vec<u8> {
    (0..octets).map(|n| (n * 7 + n / 251) as u8).collect()
}
