//! Requests, responses, and what came of them.
#![allow(dead_code, reason = "not every test binary says everything")]

use http::{Request, Response};
use shuntyard_core::h2::{ClientEvent, ServerEvent, StreamKey};
use shuntyard_core::key::ConnId;

use super::Memory;

pub fn get(path: &str) -> Request<()> {
    Request::get(format!("http://example.com{path}")).body(()).expect("a request")
}

pub fn post(path: &str) -> Request<()> {
    Request::post(format!("http://example.com{path}")).body(()).expect("a request")
}

pub fn ok() -> Response<()> {
    Response::builder().status(200).body(()).expect("a response")
}

/// Requests that reached a backend, whose events are dropped otherwise.
pub fn requests(memory: &mut Memory, backend: ConnId) -> Vec<(StreamKey, Request<()>)> {
    let mut requests = Vec::new();
    while let Some(event) = memory.backend(backend).poll_event().expect("a sound connection") {
        match event {
            ServerEvent::Request { stream, request, .. } => requests.push((stream, request)),
            ServerEvent::Data { stream, credit, .. } => memory.backend(backend).release(stream, credit),
            _ => {}
        }
    }
    requests
}

pub fn events(memory: &mut Memory, client: ConnId) -> Vec<ClientEvent> {
    let mut events = Vec::new();
    while let Some(event) = memory.client(client).poll_event().expect("a sound connection") {
        if !matches!(event, ClientEvent::Settings) {
            events.push(event);
        }
    }
    events
}

/// Answers all requests that have reached any backend; says which, by their paths.
pub fn answer_all(memory: &mut Memory) -> Vec<String> {
    let mut paths = Vec::new();
    for backend in memory.backends() {
        for (stream, request) in requests(memory, backend) {
            memory.backend(backend).send_response(stream, &ok(), true).expect("an open stream");
            paths.push(request.uri().path().to_owned());
        }
    }
    memory.settle();
    paths
}

/// Answers every request with so many octets, and lets everything travel. Backends get their windows back as requests are read.
pub fn answer_with(memory: &mut Memory, octets: usize) -> usize {
    let mut answered = 0;
    memory.settle();
    for backend in memory.backends() {
        for (stream, _) in requests(memory, backend) {
            memory.backend(backend).send_response(stream, &ok(), false).expect("an open stream");
            memory.backend(backend).send_data(stream, &vec![7; octets], true).expect("an open stream");
            answered += 1;
        }
    }
    memory.settle();
    answered
}

/// Sends a GET from the client and lets it travel.
pub fn ask(memory: &mut Memory, client: ConnId, path: &str) -> StreamKey {
    let stream = memory.client(client).send_request(&get(path), true).expect("a slot");
    memory.settle();
    stream
}

/// The octets of content among what a client was told, and whether they ended its response.
pub fn content(events: &[ClientEvent]) -> (Vec<u8>, bool) {
    let mut octets = Vec::new();
    let mut ended = false;
    for event in events {
        if let ClientEvent::Data { data, end, .. } = event {
            octets.extend_from_slice(data);
            ended |= end;
        }
    }
    (octets, ended)
}
