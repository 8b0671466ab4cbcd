//! The first octets of a connection at a listener behind a balancer: what we take for a header, the crate `ppp` does, with the same
//! client; what it takes beyond that is on a list of causes that are stricter by intent. How the octets were cut changes nothing.

use std::net::SocketAddr;

use ppp::{HeaderResult, v1, v2};
use shuntyard_core::address::Address;
use shuntyard_transport::{INTRODUCTION_OCTETS, Introduction, NotIntroduced, introduction};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The whole check: an octet that says how they begin, then octets.
pub fn run(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    let begin: &[u8] = match kind % 4 {
        0 => b"",
        1 => SIGNATURE,
        2 => b"PROXY ",
        _ => b"PROXY TCP4 ",
    };
    let octets = [begin, rest].concat();
    let found = introduction(&octets);
    is_the_same_however_it_was_cut(&octets, &found);
    match &found {
        Ok(Some(found)) => {
            assert!(found.octets <= octets.len().min(INTRODUCTION_OCTETS));
            agrees(&octets[..found.octets], found);
        }
        Ok(None) => assert!(octets.len() < INTRODUCTION_OCTETS, "a header of any length"),
        Err(reason) => is_refused_for_a_reason(&octets, *reason),
    }
}

fn is_the_same_however_it_was_cut(octets: &[u8], found: &Result<Option<Introduction>, NotIntroduced>) {
    for end in 0..octets.len().min(300) {
        match introduction(&octets[..end]) {
            Ok(None) => {}
            decided => return assert_eq!(&decided, found, "after {end} octets"),
        }
    }
}

/// What `ppp` makes of a header that is there as a whole.
fn agrees(header: &[u8], found: &Introduction) {
    match HeaderResult::parse(header) {
        HeaderResult::V1(Ok(theirs)) => {
            let client: Option<SocketAddr> = match theirs.addresses {
                v1::Addresses::Unknown => None,
                v1::Addresses::Tcp4(of) => Some((of.source_address, of.source_port).into()),
                v1::Addresses::Tcp6(of) => Some((of.source_address, of.source_port).into()),
            };
            assert_eq!(found.client, client.map(Address::from));
        }
        HeaderResult::V2(Ok(theirs)) => {
            assert_eq!(theirs.len(), found.octets);
            let is_proxied = theirs.command == v2::Command::Proxy && theirs.protocol == v2::Protocol::Stream;
            let client = match theirs.addresses {
                _ if !is_proxied => None,
                v2::Addresses::Unspecified => None,
                v2::Addresses::IPv4(of) => Some(SocketAddr::from((of.source_address, of.source_port)).into()),
                v2::Addresses::IPv6(of) => Some(SocketAddr::from((of.source_address, of.source_port)).into()),
                v2::Addresses::Unix(of) => {
                    let path = of.source.split(|&octet| octet == 0).next().unwrap_or_default();
                    Some(Address::Unix(String::from_utf8(path.to_vec()).expect("held against that").into()))
                }
            };
            assert_eq!(found.client, client);
        }
        // The line of a client that is not known may have anything behind it, and the family of a balancer's own connection
        // is not looked at: `ppp` does look.
        refused => {
            let is_local = header.starts_with(SIGNATURE) && header[12] == 0x20;
            let is_unknown = header.starts_with(b"PROXY UNKNOWN");
            assert!(is_local || is_unknown, "we take what they refuse: {refused:?}");
            assert_eq!(found.client, None);
        }
    }
}

fn is_refused_for_a_reason(octets: &[u8], reason: NotIntroduced) {
    let theirs = HeaderResult::parse(octets);
    let accepted = matches!(theirs, HeaderResult::V1(Ok(_)) | HeaderResult::V2(Ok(_)));
    let stricter = match reason {
        // Numbers with signs or zeros in front.
        NotIntroduced::LineAddresses => true,
        // Families that have no such transport, as IPv4 without one.
        NotIntroduced::Family => octets[13] & 0xf == 0 || octets[13] >> 4 == 0,
        NotIntroduced::TooLong | NotIntroduced::Path => true,
        // A line ends with CRLF: to `ppp`, that of a client that is not known ends with CR and any octet.
        NotIntroduced::LineTooLong => {
            matches!(&theirs, HeaderResult::V1(Ok(theirs)) if !theirs.header.ends_with("\r\n"))
        }
        NotIntroduced::NoHeader
        | NotIntroduced::Interrupted
        | NotIntroduced::TimedOut
        | NotIntroduced::LineProtocol
        | NotIntroduced::Version
        | NotIntroduced::Command
        | NotIntroduced::TooShort => false,
    };
    assert!(!accepted || stricter, "we refuse ({reason}) what they take: {theirs:?}");
}
