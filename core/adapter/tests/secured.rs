//! A connection with TLS between its socket and the gateway.

#[path = "../../transport/tests/common/mod.rs"]
mod common;

use std::io;

use common::{Authority, End};
use shuntyard_adapter::transport::{BackTls, ClientAuth, FrontTls, Spare, Transport, Trust};
use shuntyard_adapter::{Options, Reading, Secured, Wire, Writing, equip};
use shuntyard_core::address::Address;
use shuntyard_core::config::{Alpn, Config, Protocol};
use shuntyard_core::gateway::{Accepted, Closed};
use shuntyard_core::time::Instant;
use shuntyard_core::tls::TlsFailure;

/// A socket in memory, whose peer takes all that is written.
#[derive(Default)]
struct Socket {
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Wire for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = self.input.len().min(into.len());
        into[..n].copy_from_slice(&self.input[..n]);
        self.input.drain(..n);
        Ok(n)
    }

    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(octets);
        Ok(octets.len())
    }
}

/// The gateway takes no more before output has left, and behind what it has not taken stands a record that cannot be opened: no output can leave.
#[test]
fn output_that_can_never_leave_ends_the_connection() {
    const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let authority = Authority::new();
    let front =
        FrontTls::new(&[authority.issue(&["a.example"])], &[Protocol::Http2], &ClientAuth::Off).unwrap();
    let back = BackTls::new(&Trust::Authorities(authority.pem()), None, None).unwrap();
    let mut config = Config::new(vec![std::net::SocketAddr::from(([127, 0, 0, 1], 9)).into()]);
    config.front.outbox_high_mark = 1;
    let mut gateway = equip(&config, &Options::new(Vec::new())).unwrap().remove(0).gateway;
    let address: Address = std::net::SocketAddr::from(([127, 0, 0, 1], 8)).into();
    let now = Instant::from_nanos(1 << 40);
    let conn = gateway.handle_arriving(Accepted { peer: address.clone(), local: address }, now);

    let (mut spare, mut clients, mut socket) = (Spare::default(), Spare::default(), Socket::default());
    let mut secured = Secured::new(Transport::front(&front).unwrap(), None);
    let mut client = End::new(Transport::back(&back, "a.example", Alpn::Http2).unwrap());
    while client.facts.is_none() {
        socket.input = client.speak();
        assert_eq!(secured.read(&mut socket, &mut gateway, (conn, now), &mut spare), Reading::Idle);
        assert_eq!(secured.write(&mut socket, &mut gateway, (conn, now), &mut spare), Writing::Done);
        client.hear(&std::mem::take(&mut socket.output), &mut clients, (usize::MAX, 64 << 10));
    }
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    client.say(&[&preface[..], PING].concat(), &mut clients, now);
    socket.input = client.speak();
    assert_eq!(secured.read(&mut socket, &mut gateway, (conn, now), &mut spare), Reading::Idle);
    client.say(PING, &mut clients, now);
    socket.input = client.speak();
    socket.input.extend(b"\x17\x03\x03\0\x20an octet that nobody had sealed.");
    assert_eq!(secured.read(&mut socket, &mut gateway, (conn, now), &mut spare), Reading::Paused);
    assert_eq!(
        secured.write(&mut socket, &mut gateway, (conn, now), &mut spare),
        Writing::Failed(Closed::Tls(TlsFailure::Decrypt))
    );
    client.hear(&socket.output, &mut clients, (usize::MAX, 64 << 10));
    assert_eq!(client.failure, Some(TlsFailure::AlertReceived(20)));
}
