//! Records: their sizes, what has left with them, and what is no record.

mod common;

use std::time::Duration;

use common::{Authority, End, Pair};
use shuntyard_core::config::{Alpn, Protocol};
use shuntyard_core::time::Instant;
use shuntyard_core::tls::TlsFailure;
use shuntyard_transport::{BackTls, ClientAuth, FrontTls, Spare, Transport, Trust};

fn front(authority: &Authority) -> FrontTls {
    let protocols = [Protocol::Http2, Protocol::Http1];
    FrontTls::new(&[authority.issue(&["a.example"])], &protocols, &ClientAuth::Off).unwrap()
}

fn pair() -> Pair {
    let authority = Authority::new();
    let back = BackTls::new(&Trust::Authorities(authority.pem()), None, None).unwrap();
    let client = Transport::back(&back, "a.example", Alpn::Either).unwrap();
    let mut pair = Pair::new(client, Transport::front(&front(&authority)).unwrap());
    pair.run();
    pair
}

/// The first octets can be read as soon as their segment is there; what goes on for long is worth full records.
#[test]
fn records_are_small_at_first_and_after_a_rest() {
    let mut pair = pair();
    let content = vec![7; 64 << 10];
    let mut sizes = |now| {
        pair.server.records.clear();
        pair.server.say(&content, &mut pair.spare, now);
        pair.run();
        pair.server.records.clone()
    };
    let now = Instant::ZERO + Duration::from_secs(9);
    let first = sizes(now);
    assert!(first[0] <= 1400 && first.len() > 30, "{first:?}");
    let second = sizes(now + Duration::from_millis(900));
    assert_eq!(second.len(), 4, "{second:?}");
    let rested = sizes(now + Duration::from_secs(2));
    assert_eq!(rested, first);
    assert_eq!(pair.client.heard.len(), 3 * content.len());
}

/// What has left in part cannot be read by anybody.
#[test]
fn a_record_has_left_with_its_last_octet() {
    let mut pair = pair();
    pair.server.transport.seal(&[1; 3000], &mut pair.spare, Instant::ZERO);
    let pending = pair.server.transport.pending().len();
    let mut left = Vec::new();
    for _ in 0..pending {
        pair.server.transport.rest(&mut pair.spare);
        left.push(pair.server.transport.left(1));
    }
    left.retain(|&n| n > 0);
    assert_eq!(left, [1360, 1360, 280]);
    assert!(pair.server.transport.pending().is_empty());
}

#[test]
fn a_client_that_speaks_in_clear_gets_an_answer_in_clear() {
    let tls = front(&Authority::new());
    for request in [&b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"P"] {
        let mut end = End::new(Transport::front(&tls).unwrap());
        end.hear(request, &mut Spare::default(), (usize::MAX, 100));
        assert_eq!(end.failure, Some(TlsFailure::NotTls));
        let answer = end.speak();
        assert!(answer.starts_with(b"HTTP/1.1 400 ") && answer.ends_with(b"https:// instead"));
    }
}

/// Whatever is not TLS ends the connection at once, with a word or without, and never holds more than its memory.
#[test]
fn garbage_ends_the_connection() {
    let tls = front(&Authority::new());
    let mut hello = vec![0x16, 3, 1, 0x40, 0];
    hello.extend([1, 0xff, 0xff, 0xff]);
    hello.resize(5 + 0x4000, 0);
    let long = hello.repeat(20);
    for (garbage, failure) in [
        (&b"\x00\x01\x02\x03\x04\x05"[..], TlsFailure::NotTls),
        (b"\x16\x03\x01\xff\xff\x01", TlsFailure::Misbehaved),
        (b"\x17\x03\x03\x00\x01\x00", TlsFailure::Misbehaved),
        (b"\x16\x03\x01\x00\x04\x01\x00\x00\x00", TlsFailure::Misbehaved),
        (&long, TlsFailure::Misbehaved),
    ] {
        let mut end = End::new(Transport::front(&tls).unwrap());
        end.hear(garbage, &mut Spare::default(), (usize::MAX, 100));
        assert!(end.failure.is_some(), "{failure:?}: {:?}", &garbage[..6]);
    }
}

/// Every octet counts.
#[test]
fn a_changed_octet_is_found() {
    let mut pair = pair();
    pair.client.say(b"GET / HTTP/1.1\r\n\r\n", &mut pair.spare, Instant::ZERO);
    let mut octets = pair.client.speak();
    let last = octets.len() - 1;
    octets[last] ^= 1;
    pair.server.hear(&octets, &mut pair.spare, (usize::MAX, 100));
    assert_eq!((pair.server.failure, pair.server.heard.len()), (Some(TlsFailure::Decrypt), 0));
    pair.run();
    assert_eq!(pair.client.failure, Some(TlsFailure::AlertReceived(20)));
}
