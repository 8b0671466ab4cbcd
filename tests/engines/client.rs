//! A client that keeps many requests under way on one connection.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use http::Request;
use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::error::ErrorCode;
use shuntyard_core::h2::{Client, ClientEvent, StreamKey};

/// Requests under way at a time.
pub(crate) const AT_A_TIME: usize = 64;

/// What a client got for a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content: Vec<u8>,
    pub(crate) reset: bool,
}

/// Sends requests with these numbers, the even ones GET and the odd ones POST, and gives the answers. `answered` is told
/// how many there are after each.
pub(crate) fn run(
    address: SocketAddr,
    numbers: std::ops::Range<usize>,
    mut answered: impl FnMut(usize),
) -> BTreeMap<usize, Answer> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut client = Client::new(ConnectionConfig::default(), 1).unwrap();
    let mut open: BTreeMap<StreamKey, (usize, Answer)> = BTreeMap::new();
    let mut answers = BTreeMap::new();
    let (mut next, total) = (numbers.start, numbers.len());
    let mut buffer = vec![0; 64 << 10];
    while answers.len() < total {
        while open.len() < AT_A_TIME && next < numbers.end {
            open.insert(send(&mut client, next), (next, Answer::default()));
            next += 1;
        }
        while let Some(octets) = client.poll_transmit() {
            let n = stream.write(octets).unwrap();
            client.handle_sent(n);
        }
        let n = stream.read(&mut buffer).expect("an answer comes in time");
        assert_ne!(n, 0, "the gateway goes on");
        client.handle_recv(&buffer[..n]);
        while let Some(event) = client.poll_event().expect("the gateway keeps to the protocol") {
            if let Some(stream) = take(&mut client, &mut open, event)
                && let Some((number, answer)) = open.remove(&stream)
            {
                answers.insert(number, answer);
                answered(answers.len());
            }
        }
    }
    answers
}

fn send(client: &mut Client, number: usize) -> StreamKey {
    let content = crate::content(number);
    let method = if content.is_empty() { "GET" } else { "POST" };
    let uri = format!("http://origin.test/{number}");
    let request = Request::builder().method(method).uri(uri).body(()).unwrap();
    let stream = client.send_request(&request, content.is_empty()).expect("a slot");
    if !content.is_empty() {
        client.send_data(stream, &content, true).expect("an open stream");
    }
    stream
}

/// Notes an event; says which stream it ends.
fn take(
    client: &mut Client,
    open: &mut BTreeMap<StreamKey, (usize, Answer)>,
    event: ClientEvent,
) -> Option<StreamKey> {
    match event {
        ClientEvent::Response { stream, response, end } => {
            open.get_mut(&stream)?.1.status = response.status().as_u16();
            end.then_some(stream)
        }
        ClientEvent::Data { stream, data, credit, end } => {
            client.release(stream, credit);
            open.get_mut(&stream)?.1.content.extend_from_slice(&data);
            end.then_some(stream)
        }
        // What is behind a whole response: the rest of the request is not wanted (RFC 9113 section 8.1).
        ClientEvent::Reset { error_code: ErrorCode::NO_ERROR, .. } => None,
        ClientEvent::Reset { stream, .. } => {
            open.get_mut(&stream)?.1.reset = true;
            Some(stream)
        }
        event @ (ClientEvent::Failed { .. } | ClientEvent::Unprocessed { .. }) => panic!("{event:?}"),
        _ => None,
    }
}
