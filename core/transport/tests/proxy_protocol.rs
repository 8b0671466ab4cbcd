//! Headers of the PROXY protocol: what is taken, what is refused and why, and that cuts change nothing.

use std::net::SocketAddr;

use proptest::prelude::*;
use shuntyard_core::address::Address;
use shuntyard_transport::{INTRODUCTION_OCTETS, Introduction, NotIntroduced, introduction};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn client(text: &str) -> Option<Address> {
    Some(Address::from(text.parse::<SocketAddr>().unwrap()))
}

fn version_2(command: u8, family: u8, behind: &[u8]) -> Vec<u8> {
    let length = u16::try_from(behind.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, behind].concat()
}

#[test]
fn lines_of_version_1() {
    let taken = [
        ("PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", client("192.0.2.1:56324")),
        ("PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n", client("[2001:db8::1]:1")),
        ("PROXY TCP6 ::ffff:192.0.2.1 ::1 0 0\r\n", client("192.0.2.1:0")),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN whatever it \0 may say\r\n", None),
    ];
    for (line, client) in taken {
        let octets = [line.as_bytes(), b"GET / HTTP/1.1\r\n"].concat();
        assert_eq!(introduction(&octets), Ok(Some(Introduction { client, octets: line.len() })), "{line}");
    }
    let addresses = NotIntroduced::LineAddresses;
    let refused = [
        ("PROXY TCP4 192.0.2.1 192.0.2.2 56324\r\n", addresses),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n", addresses),
        ("PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n", addresses),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n", addresses),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", addresses),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n", addresses),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n", addresses),
        ("PROXY TCP4 2001:db8::1 192.0.2.2 1 2\r\n", addresses),
        ("PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n", addresses),
        ("PROXY TCP4\r\n", NotIntroduced::LineProtocol),
        ("PROXY UNKNOWNS 192.0.2.1\r\n", NotIntroduced::LineProtocol),
        ("PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n", NotIntroduced::LineProtocol),
        ("PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n", NotIntroduced::LineProtocol),
        ("GET / HTTP/1.1\r\n", NotIntroduced::NoHeader),
        (" PROXY TCP4", NotIntroduced::NoHeader),
        ("\r\n\r\nGET", NotIntroduced::NoHeader),
        ("\x16\x03\x01", NotIntroduced::NoHeader),
    ];
    for (line, reason) in refused {
        assert_eq!(introduction(line.as_bytes()), Err(reason), "{line:?}");
    }
}

/// 107 octets with their end are a line, one more is none; and it is not waited for.
#[test]
fn a_line_is_bounded() {
    let line = |n: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(n - 16)).into_bytes();
    assert_eq!(introduction(&line(107)), Ok(Some(Introduction { client: None, octets: 107 })));
    assert_eq!(introduction(&line(108)), Err(NotIntroduced::LineTooLong));
    assert_eq!(introduction(&line(400)[..106]), Ok(None));
    assert_eq!(introduction(&line(400)[..107]), Err(NotIntroduced::LineTooLong));
}

#[test]
fn headers_of_version_2() {
    let inet = [192, 0, 2, 1, 192, 0, 2, 2, 0xdc, 0x04, 1, 187];
    let mut inet6 = [0; 36];
    (inet6[0], inet6[1], inet6[15], inet6[33]) = (0x20, 1, 1, 80);
    let mut unix = [0; 216];
    unix[..6].copy_from_slice(b"/run/a");
    let tlv = |addresses: &[u8]| [addresses, &[0x04, 0, 2, 0, 0]].concat();
    let taken = [
        (version_2(0x21, 0x11, &inet), client("192.0.2.1:56324")),
        (version_2(0x21, 0x11, &tlv(&inet)), client("192.0.2.1:56324")),
        (version_2(0x21, 0x21, &inet6), client("[2001::1]:80")),
        (version_2(0x21, 0x31, &unix), Some(Address::Unix("/run/a".into()))),
        // The balancer's own, a family that is not known to it, and datagrams, which are no connection.
        (version_2(0x20, 0x11, &inet), None),
        (version_2(0x20, 0xff, b""), None),
        (version_2(0x21, 0x00, b""), None),
        (version_2(0x21, 0x00, &inet6), None),
        (version_2(0x21, 0x12, &inet), None),
    ];
    for (header, client) in taken {
        let octets = [&header[..], b"PRI * HTTP/2.0"].concat();
        assert_eq!(introduction(&octets), Ok(Some(Introduction { client, octets: header.len() })));
    }
    let refused = [
        (version_2(0x11, 0x11, &inet), NotIntroduced::Version),
        (version_2(0x22, 0x11, &inet), NotIntroduced::Command),
        (version_2(0x21, 0x10, &inet), NotIntroduced::Family),
        (version_2(0x21, 0x41, &inet), NotIntroduced::Family),
        (version_2(0x21, 0x11, &inet[..11]), NotIntroduced::TooShort),
        (version_2(0x21, 0x21, &inet), NotIntroduced::TooShort),
        (version_2(0x21, 0x22, &inet), NotIntroduced::TooShort),
        (version_2(0x21, 0x31, &unix[..215]), NotIntroduced::TooShort),
        (version_2(0x21, 0x31, &[0xff; 216]), NotIntroduced::Path),
        (version_2(0x21, 0x31, &[b'\n'; 216]), NotIntroduced::Path),
    ];
    for (header, reason) in refused {
        assert_eq!(introduction(&header), Err(reason), "{header:?}");
    }
}

/// What announces too much is not waited for.
#[test]
fn a_header_of_version_2_is_bounded() {
    let longest = version_2(0x21, 0x11, &[1; INTRODUCTION_OCTETS - 16]);
    assert_eq!(introduction(&longest).unwrap().unwrap().octets, INTRODUCTION_OCTETS);
    let longer = version_2(0x21, 0x11, &[1; INTRODUCTION_OCTETS - 15]);
    assert_eq!(introduction(&longer[..16]), Err(NotIntroduced::TooLong));
}

proptest! {
    /// Whatever the addresses: what was said is what is heard, and before the last octet of it nothing is.
    #[test]
    fn what_is_said_is_heard(from: SocketAddr, to: SocketAddr, tlvs in proptest::collection::vec(any::<u8>(), 0..300)) {
        let words = match (from, to) {
            (SocketAddr::V4(from), SocketAddr::V4(to)) => {
                let octets = [&from.ip().octets()[..], &to.ip().octets()].concat();
                Some(("TCP4", 0x11, from.ip().to_string(), to.ip().to_string(), octets))
            }
            (SocketAddr::V6(from), SocketAddr::V6(to)) => {
                let octets = [&from.ip().octets()[..], &to.ip().octets()].concat();
                Some(("TCP6", 0x21, from.ip().to_string(), to.ip().to_string(), octets))
            }
            _ => None,
        };
        let Some((protocol, family, source, destination, ips)) = words else { return Ok(()) };
        let line = format!("PROXY {protocol} {source} {destination} {} {}\r\n", from.port(), to.port());
        let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
        let binary = version_2(0x21, family, &[&ips[..], &ports, &tlvs].concat());
        let client = Some(Address::from(SocketAddr::new(from.ip(), from.port())));
        for header in [line.into_bytes(), binary] {
            for end in 0..header.len() {
                prop_assert_eq!(introduction(&header[..end]), Ok(None));
            }
            let found = Introduction { client: client.clone(), octets: header.len() };
            prop_assert_eq!(introduction(&[&header[..], b"more"].concat()), Ok(Some(found)));
        }
    }
}
