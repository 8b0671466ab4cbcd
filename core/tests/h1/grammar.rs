//! Two other voices on what a head is: the grammar of RFC 9112, read by itself here, and httparse.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use shuntyard_core::message::Refusal;

use crate::talk::{Talk, Told};

fn is_token(octets: &[u8]) -> bool {
    let is_tchar = |octet: &u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(octet);
    !octets.is_empty() && octets.iter().all(is_tchar)
}

/// `field-line` (RFC 9112 section 5): a name, a colon, and a value of visible octets and blanks.
fn is_field_line(line: &[u8]) -> bool {
    let Some(colon) = line.iter().position(|&octet| octet == b':') else { return false };
    let is_text = |&octet: &u8| octet == b'\t' || octet == b' ' || (octet > b' ' && octet != 0x7f);
    is_token(&line[..colon]) && line[colon + 1..].iter().all(is_text)
}

/// `request-line` (section 3): a token, a target without blanks, and a version.
fn is_request_line(line: &[u8]) -> bool {
    let parts: Vec<&[u8]> = line.split(|&octet| octet == b' ').collect();
    let [method, target, version] = parts[..] else { return false };
    let is_target = !target.is_empty() && target.iter().all(u8::is_ascii_graphic);
    is_token(method) && is_target && matches!(version, b"HTTP/1.1" | b"HTTP/1.0")
}

/// The first head of the octets, by the grammar alone; without its empty line. `None`: it is not whole.
fn head(octets: &[u8]) -> Option<&[u8]> {
    let end = octets.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(&octets[..end])
}

fn lines(head: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = head;
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        lines.push(&rest[..end]);
        rest = &rest[end + 2..];
    }
    lines.push(rest);
    lines
}

fn is_head(octets: &[u8]) -> bool {
    let Some(head) = head(octets) else { return false };
    let lines = lines(head);
    is_request_line(lines[0]) && lines[1..].iter().all(|line| is_field_line(line))
}

fn httparse_takes(octets: &[u8]) -> bool {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    httparse::Request::new(&mut headers).parse(octets).is_ok_and(|status| status.is_complete())
}

/// A good head into which octets were put, of which octets were taken or changed.
fn bent_head() -> impl Strategy<Value = Vec<u8>> {
    let good = select(
        &[
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST /a?b=c HTTP/1.1\r\nHost: a.b:80\r\nContent-Length: 0\r\nX-Y: z z\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nX:\r\nHost: a\r\n\r\n",
            "PUT http://c/d HTTP/1.0\r\nConnection: close, x\r\nTE: trailers\r\n\r\n",
        ][..],
    );
    let octet = prop_oneof![select(&b"\r\n\t :;,\0\x0b\x7f\xe9aA/1#\"(-"[..]), any::<u8>()];
    let bend = (0..3_u8, any::<Index>(), octet);
    (good, prop::collection::vec(bend, 0..3)).prop_map(|(good, bends)| {
        let mut octets = good.as_bytes().to_vec();
        for (how, at, octet) in bends {
            match how {
                0 => octets.insert(at.index(octets.len() + 1), octet),
                1 if octets.len() > 1 => _ = octets.remove(at.index(octets.len())),
                _ => {
                    let at = at.index(octets.len());
                    octets[at] = octet;
                }
            }
        }
        octets
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn what_is_taken_is_a_head_to_the_others_too(octets in bent_head()) {
        let mut server = Talk::server();
        let told = server.recv(&octets);
        // Empty lines in front are not part of it.
        let mut rest = &octets[..];
        while let Some(behind) = rest.strip_prefix(b"\r\n") {
            rest = behind;
        }
        match told.first() {
            Some(Told::Request(lines, _)) => {
                prop_assert!(is_head(rest), "taken, and no head: {}", octets.escape_ascii());
                prop_assert!(httparse_takes(rest));
                prop_assert!(lines.len() >= 3);
            }
            // What the grammar allows is refused for what it means, which the tables tell.
            Some(Told::Refused(Refusal::VersionUnsupported)) => prop_assert!(!is_head(rest)),
            Some(Told::Refused(_)) => {}
            // Waits for its end, or its length was made another one.
            _ => prop_assert!(head(rest).is_none() && !octets.windows(2).any(|two| two[1] == b'\n' && two[0] != b'\r')),
        }
    }
}

#[test]
fn the_grammar_has_teeth() {
    for good in ["GET / HTTP/1.1\r\n\r\n", "A b HTTP/1.0\r\nx:\r\ny: \t z\r\n\r\n"] {
        assert!(is_head(good.as_bytes()), "{good}");
    }
    for bad in [
        "GET  / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\n x: y\r\n\r\n",
        "GET / HTTP/1.1\r\nx : y\r\n\r\n",
        "GET / HTTP/1.1\nx: y\r\n\r\n",
        "GET / HTTP/1.1\r\nx: \r y\r\n\r\n",
    ] {
        assert!(!is_head(bad.as_bytes()), "{bad}");
    }
}
