//! Records: their sizes, what has left with them, and what is no record.

mod common;

use std::time::Duration;

use common::{Authority, End, Pair};
use shuntyard_core::config::{Alpn, Protocol};
use shuntyard_core::time::Instant;
use shuntyard_core::tls::TlsFailure;
use shuntyard_transport::{BackTls, ClientAuth, FrontTls, Plain, Spare, Transport, Trust};

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
        assert_eq!(end.failure, Some(failure), "{:?}", &garbage[..6]);
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

/// Nobody waits for the rest of a record that is longer than any may be.
#[test]
fn a_record_that_is_too_long_is_refused_for_its_header() {
    for (header, looked_at) in [
        (b"\x17\x03\x03\xff\xff", true),
        (b"\x17\x03\x03\x48\x01", true),
        (b"\x17\x03\x03\x48\x00", false),
        (b"\x17\x03\x03\x00\x01", false),
    ] {
        let mut pair = pair();
        let server = &mut pair.server.transport;
        server.recv_buf(&mut pair.spare).unwrap()[..5].copy_from_slice(header);
        server.received(5);
        assert_eq!(server.has_input(), looked_at, "{header:?}");
        if looked_at {
            let plain = server.poll_plain(&mut [0; 100]);
            assert!(
                matches!(plain, Plain::Failed(_)) && !server.pending().is_empty(),
                "{header:?}: {plain:?}"
            );
        }
    }
}

/// Two records, of which the second was changed on its way.
fn good_then_bad(pair: &mut Pair) -> Vec<u8> {
    pair.client.say(b"GET /", &mut pair.spare, Instant::ZERO);
    let mut octets = pair.client.speak();
    pair.client.say(b"POST /", &mut pair.spare, Instant::ZERO);
    octets.extend(pair.client.speak());
    *octets.last_mut().unwrap() ^= 1;
    octets
}

/// What came whole is not lost for what comes behind it, whoever finds that something is wrong.
#[test]
fn plaintext_in_front_of_a_bad_record_is_delivered() {
    for room in [3, 100, 64 << 10] {
        let mut pair = pair();
        let octets = good_then_bad(&mut pair);
        pair.server.hear(&octets, &mut pair.spare, (usize::MAX, room));
        assert_eq!((&pair.server.heard[..], pair.server.failure), (&b"GET /"[..], Some(TlsFailure::Decrypt)));
    }
}

#[test]
fn what_sealing_finds_wrong_is_told_after_the_plaintext_in_front_of_it() {
    let mut pair = pair();
    let octets = good_then_bad(&mut pair);
    let server = &mut pair.server.transport;
    server.recv_buf(&mut pair.spare).unwrap()[..octets.len()].copy_from_slice(&octets);
    server.received(octets.len());
    server.seal(b"an answer", &mut pair.spare, Instant::ZERO);
    assert!(!server.is_open() && server.failure().is_none() && server.may_fill());
    let mut buffer = [0; 100];
    let plain = server.poll_plain(&mut buffer);
    assert!(matches!(plain, Plain::Octets(5)) && buffer.starts_with(b"GET /"), "{plain:?}");
    assert!(!server.may_fill());
    let plain = server.poll_plain(&mut []);
    assert!(matches!(plain, Plain::Failed(TlsFailure::Decrypt)), "{plain:?}");
    assert_eq!(server.failure(), Some(TlsFailure::Decrypt));
    pair.run();
    assert_eq!(pair.client.failure, Some(TlsFailure::AlertReceived(20)));
}
