//! Gets a page over HTTP/2 with prior knowledge, on a blocking socket:
//! `cargo run -p shuntyard-core --example client 127.0.0.1:8080 /page`

use std::collections::hash_map::RandomState;
use std::error::Error;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use http::{Request, StatusCode};
use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::h2::{Client, ClientEvent};

pub(crate) fn get(address: &str, path: &str) -> Result<(StatusCode, Vec<u8>), Box<dyn Error>> {
    let mut socket = TcpStream::connect(address)?;
    // Nobody should be able to guess it. Where a run is to be the same twice, it is a number of one's own.
    let seed = RandomState::new().build_hasher().finish();
    let mut client = Client::new(ConnectionConfig::default(), seed)?;
    client.send_request(&Request::get(format!("http://{address}{path}")).body(())?, true)?;
    let (mut buffer, mut status, mut content) = ([0; 16 << 10], StatusCode::OK, Vec::new());
    let mut since = Instant::now();
    loop {
        write(&mut socket, &mut client)?;
        let n = socket.read(&mut buffer)?;
        if n == 0 {
            return Err("the connection ended before the response did".into());
        }
        // Time pays for what the server's PINGs cost: they are no flood where a response takes long.
        since += client.forgive(since.elapsed());
        client.handle_recv(&buffer[..n]);
        loop {
            let event = match client.poll_event() {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(error) => {
                    // The server is told why.
                    write(&mut socket, &mut client)?;
                    return Err(error.into());
                }
            };
            let ended = match event {
                ClientEvent::Response { response, end, .. } => {
                    status = response.status();
                    end
                }
                ClientEvent::Data { stream, data, credit, end } => {
                    content.extend_from_slice(&data);
                    // The server may send so much more.
                    client.release(stream, credit);
                    end
                }
                ClientEvent::Trailers { .. } => true,
                ClientEvent::Reset { error_code, .. } => return Err(format!("reset: {error_code:?}").into()),
                ClientEvent::Failed { error, .. } => {
                    write(&mut socket, &mut client)?;
                    return Err(error.into());
                }
                ClientEvent::Unprocessed { .. } => {
                    return Err("the server went away before it looked at the request".into());
                }
                // Interim responses, and what concerns the connection.
                _ => false,
            };
            if ended {
                return Ok((status, content));
            }
        }
    }
}

fn write(socket: &mut TcpStream, client: &mut Client) -> std::io::Result<()> {
    while let Some(octets) = client.poll_transmit() {
        let n = socket.write(octets)?;
        client.handle_sent(n);
    }
    Ok(())
}

#[allow(dead_code, reason = "the test of the examples calls what it calls")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(path)) = (arguments.next(), arguments.next()) else {
        return Err("usage: client ADDRESS PATH".into());
    };
    let (status, content) = get(&address, &path)?;
    println!("{status}\n{}", String::from_utf8_lossy(&content));
    Ok(())
}
