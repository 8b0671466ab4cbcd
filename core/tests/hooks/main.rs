//! What a gateway changes about messages: the header rules of routes, and hooks.

mod bounds;
mod contents;
mod heads;
#[path = "../memory/mod.rs"]
mod memory;
mod rules;
mod transforms;
mod upgrades;

use http::{HeaderMap, Request, Response};
use memory::Memory;
use shuntyard_core::h2::{ClientEvent, ServerEvent, StreamKey};
use shuntyard_core::key::ConnId;

fn get() -> Request<()> {
    Request::get("http://example.com/a")
        .header("cookie", "a=1")
        .header("x-old", "1")
        .body(())
        .expect("a request")
}

fn post() -> Request<()> {
    Request::post("http://example.com/a").body(()).expect("a request")
}

/// Requests that reached a backend, whose other events are dropped.
fn requests(memory: &mut Memory, backend: ConnId) -> Vec<(StreamKey, Request<()>)> {
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

/// The one response that a client got.
fn response(memory: &mut Memory, client: ConnId) -> Response<()> {
    loop {
        match memory.client(client).poll_event().expect("a sound connection") {
            Some(ClientEvent::Response { response, .. }) => return response,
            Some(_) => {}
            None => panic!("no response came"),
        }
    }
}

fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    headers.get_all(name).iter().map(|value| value.to_str().expect("a text")).collect()
}
