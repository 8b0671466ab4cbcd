//! Slow streams beside a fast one on the same engine: the fast one goes on, whatever the slow ones leave unread.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use http::{Request, Response};
use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::h2::{Client, ClientEvent, Server, ServerEvent, StreamKey};

use crate::gateway::{Adapter, Running};

crate::on_both_adapters! {
    b46_99_streams_that_take_an_octet_at_a_time_do_not_slow_the_hundredth,
}

const SLOW: usize = 99;
const SLOW_OCTETS: usize = 1 << 20;
const FAST_OCTETS: usize = 64 << 20;

/// A backend that answers `/fast` with 64 MiB and everything else with 1 MiB, on one connection.
fn backend() -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let mut server = Server::new(ConnectionConfig::default(), 2).unwrap();
        let mut buffer = vec![0; 64 << 10];
        while let Ok(n @ 1..) = stream.read(&mut buffer) {
            server.handle_recv(&buffer[..n]);
            while let Some(event) = server.poll_event().expect("the gateway keeps to the protocol") {
                if let ServerEvent::Request { stream, request, .. } = event {
                    let octets = if request.uri().path() == "/fast" { FAST_OCTETS } else { SLOW_OCTETS };
                    server.send_response(stream, &Response::new(()), false).unwrap();
                    server.send_data(stream, &vec![7; octets], true).unwrap();
                }
            }
            while let Some(octets) = server.poll_transmit() {
                let Ok(n @ 1..) = stream.write(octets) else { return };
                server.handle_sent(n);
            }
        }
    });
    (address, thread)
}

fn get(client: &mut Client, path: &str) -> StreamKey {
    let request = Request::get(format!("http://origin.test{path}")).body(()).unwrap();
    client.send_request(&request, true).expect("a slot")
}

fn b46_99_streams_that_take_an_octet_at_a_time_do_not_slow_the_hundredth(adapter: Adapter) {
    let (origin, backend) = backend();
    let gateway = Running::start(adapter, vec![origin.into()], |_| {});
    let mut stream = TcpStream::connect(gateway.address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // The client's own connection window must not be what the slow ones hold.
    let config = ConnectionConfig { connection_window_size: 1 << 30, ..ConnectionConfig::default() };
    let mut client = Client::new(config, 1).unwrap();
    let slow: Vec<StreamKey> = (0..SLOW).map(|n| get(&mut client, &format!("/slow/{n}"))).collect();
    let fast = get(&mut client, "/fast");
    let mut got = BTreeMap::<StreamKey, usize>::new();
    let mut buffer = vec![0; 256 << 10];
    while got.get(&fast).is_none_or(|&octets| octets < FAST_OCTETS) {
        while let Some(octets) = client.poll_transmit() {
            let n = stream.write(octets).unwrap();
            client.handle_sent(n);
        }
        let n = stream.read(&mut buffer).expect("the fast stream goes on");
        assert_ne!(n, 0, "the gateway goes on");
        client.handle_recv(&buffer[..n]);
        while let Some(event) = client.poll_event().expect("the gateway keeps to the protocol") {
            if let ClientEvent::Data { stream, data, mut credit, .. } = event {
                *got.entry(stream).or_default() += data.len();
                // A slow stream takes one octet of each frame, and leaves the rest.
                let taken = if stream == fast { credit } else { credit.take(1) };
                client.release(stream, taken);
            }
        }
    }
    let slow_octets: Vec<usize> = slow.iter().map(|stream| got.get(stream).copied().unwrap_or(0)).collect();
    assert!(slow_octets.iter().all(|&octets| octets < SLOW_OCTETS), "they were slow: {slow_octets:?}");
    assert!(slow_octets.iter().all(|&octets| octets > 0), "and were served: {slow_octets:?}");
    drop(stream);
    gateway.end();
    backend.join().unwrap();
}
