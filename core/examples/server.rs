//! Answers every request over HTTP/2 with prior knowledge, a blocking thread a connection:
//! `cargo run -p shuntyard-core --example server 127.0.0.1:8080`

use std::collections::hash_map::RandomState;
use std::error::Error;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use http::{Method, Response, StatusCode};
use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::h2::{Server, ServerEvent};

pub(crate) fn serve(mut socket: TcpStream) -> Result<(), Box<dyn Error>> {
    // Nobody should be able to guess it. Where a run is to be the same twice, it is a number of one's own.
    let seed = RandomState::new().build_hasher().finish();
    let mut server = Server::new(ConnectionConfig::default(), seed)?;
    let (mut buffer, mut since) = ([0; 16 << 10], Instant::now());
    loop {
        let n = socket.read(&mut buffer)?;
        if n == 0 {
            return Ok(());
        }
        // Time pays for what the client's PINGs cost: a connection that is kept alive by them is no flood.
        since += server.forgive(since.elapsed());
        server.handle_recv(&buffer[..n]);
        let served = answer(&mut server);
        // If the connection has ended with an error, the client is told why.
        while let Some(octets) = server.poll_transmit() {
            let n = socket.write(octets)?;
            server.handle_sent(n);
        }
        served?;
    }
}

fn answer(server: &mut Server) -> Result<(), Box<dyn Error>> {
    while let Some(event) = server.poll_event()? {
        match event {
            ServerEvent::Request { stream, request, .. } => {
                let content = format!("this is {}\n", request.uri().path());
                let head = Response::builder()
                    .header("content-type", "text/plain")
                    .header("content-length", content.len())
                    .body(())?;
                // To HEAD there is no more than the head of what GET would get (RFC 9110 section 9.3.2).
                let is_head = request.method() == Method::HEAD;
                server.send_response(stream, &head, is_head)?;
                if !is_head {
                    server.send_data(stream, content.as_bytes(), true)?;
                }
            }
            // Without an answer its client would wait for ever.
            ServerEvent::RequestTooLarge { stream } => {
                let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
                server.send_response(stream, &Response::builder().status(status).body(())?, true)?;
            }
            // Nobody wants to know it, but its window goes back.
            ServerEvent::Data { stream, credit, .. } => server.release(stream, credit),
            _ => {}
        }
    }
    Ok(())
}

#[allow(dead_code, reason = "the test of the examples calls what it calls")]
fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("usage: server ADDRESS")?;
    for socket in TcpListener::bind(address)?.incoming() {
        let socket = match socket {
            Ok(socket) => socket,
            // It was that client's, or there are no descriptors: others are served, and some of them will go.
            Err(error) => {
                eprintln!("cannot accept: {error}");
                thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        thread::spawn(move || serve(socket).unwrap_or_else(|error| eprintln!("{error}")));
    }
    Ok(())
}
