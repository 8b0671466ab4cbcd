//! Whom a certificate names, in the text of RFC 4514.

use core::fmt::Write as _;

/// A longer text is none: nobody has such a name.
const OCTETS_MAX: usize = 1024;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const IDENTIFIER: u8 = 0x06;
const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;
const IA5: u8 = 0x16;

/// The types that have a name of their own (RFC 4514 section 3), by the octets of their identifiers.
const TYPES: &[(&[u8], &str)] = &[
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "STREET"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
];

/// The text of a name, given as what stands in its SEQUENCE. `None` where it is not well-formed, or longer than anybody's.
pub(crate) fn text_of(mut name: &[u8]) -> Option<String> {
    let mut relative = Vec::new();
    while !name.is_empty() {
        let mut set = take(&mut name, SET)?;
        let mut parts = Vec::new();
        while !set.is_empty() {
            parts.push(part(take(&mut set, SEQUENCE)?)?);
        }
        relative.push(parts.join("+"));
    }
    // Section 2.1: the last comes first.
    relative.reverse();
    Some(relative.join(",")).filter(|text| text.len() <= OCTETS_MAX)
}

/// A type and its value.
fn part(mut octets: &[u8]) -> Option<String> {
    let kind = take(&mut octets, IDENTIFIER)?;
    let whole = octets;
    let (tag, value) = take_any(&mut octets)?;
    let known = TYPES.iter().find(|(identifier, _)| *identifier == kind).map(|(_, name)| *name);
    let text = match tag {
        UTF8 | PRINTABLE | IA5 => core::str::from_utf8(value).ok(),
        _ => None,
    };
    match (known, text) {
        (Some(name), Some(text)) => Some(format!("{name}={}", escaped(text))),
        // Section 2.4: whatever has no text is written by its octets.
        _ => {
            let mut out = known.map_or_else(|| dotted(kind), |name| Some(name.to_owned()))?;
            out.push_str("=#");
            whole.iter().try_for_each(|octet| write!(out, "{octet:02x}")).ok()?;
            Some(out)
        }
    }
}

/// Section 2.4, with controls escaped too: the text goes into lines.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, char) in text.char_indices() {
        let is_last = at + char.len_utf8() == text.len();
        match char {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => out.extend(['\\', char]),
            '#' if at == 0 => out.push_str("\\#"),
            ' ' if at == 0 || is_last => out.push_str("\\ "),
            char if char.is_control() => {
                let mut octets = [0; 4];
                for octet in char.encode_utf8(&mut octets).bytes() {
                    // Writing to a text does not fail.
                    let _ = write!(out, "\\{octet:02x}");
                }
            }
            char => out.push(char),
        }
    }
    out
}

/// An identifier in numbers (RFC 4512 section 1.4). `None` where it is none.
fn dotted(octets: &[u8]) -> Option<String> {
    let (mut out, mut number, mut first) = (String::new(), 0_u64, true);
    for octet in octets {
        number = number.checked_mul(128)? + u64::from(octet & 0x7f);
        if octet & 0x80 != 0 {
            continue;
        }
        if core::mem::take(&mut first) {
            // Two numbers in one: the first is 0, 1 or 2.
            let root = (number / 40).min(2);
            write!(out, "{root}.{}", number - root * 40).ok()?;
        } else {
            write!(out, ".{number}").ok()?;
        }
        number = 0;
    }
    (octets.last()? & 0x80 == 0).then_some(out)
}

fn take<'a>(octets: &mut &'a [u8], wanted: u8) -> Option<&'a [u8]> {
    take_any(octets).filter(|(tag, _)| *tag == wanted).map(|(_, value)| value)
}

/// The next value of DER with its tag.
fn take_any<'a>(octets: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&[tag, length], mut rest) = octets.split_first_chunk()?;
    let mut length = usize::from(length);
    if length >= 0x80 {
        let (count, mut long) = (length - 0x80, 0);
        // Nothing here is longer than two octets can say.
        for _ in 0..(1..=2).contains(&count).then_some(count)? {
            let (&octet, behind) = rest.split_first()?;
            (long, rest) = (long << 8 | usize::from(octet), behind);
        }
        length = long;
    }
    let (value, rest) = rest.split_at_checked(length)?;
    *octets = rest;
    Some((tag, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
        [&[tag, u8::try_from(value.len()).unwrap()], value].concat()
    }

    fn rdn(parts: &[(&[u8], u8, &[u8])]) -> Vec<u8> {
        let part = |(kind, tag, value): &(&[u8], u8, &[u8])| {
            tlv(SEQUENCE, &[tlv(IDENTIFIER, kind), tlv(*tag, value)].concat())
        };
        tlv(SET, &parts.iter().map(part).collect::<Vec<_>>().concat())
    }

    #[test]
    fn names_are_written_from_the_last_to_the_first() {
        const CN: &[u8] = &[0x55, 4, 3];
        let dc: &[u8] = &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25];
        let name = [
            rdn(&[(dc, IA5, b"net")]),
            rdn(&[(&[0x55, 4, 10], PRINTABLE, b"Example, Inc.")]),
            rdn(&[(&[0x55, 4, 11], UTF8, b"Sales"), (CN, UTF8, "J.  \"Schmidt\" Müller ".as_bytes())]),
        ]
        .concat();
        let expected = "OU=Sales+CN=J.  \\\"Schmidt\\\" Müller\\ ,O=Example\\, Inc.,DC=net";
        assert_eq!(text_of(&name).as_deref(), Some(expected));
        assert_eq!(text_of(b"").as_deref(), Some(""));
        let odd = rdn(&[(&[0x2a, 0x86, 0x48, 1], UTF8, b"Hi"), (CN, 0x1e, b"\0H")]);
        assert_eq!(text_of(&odd).as_deref(), Some("1.2.840.1=#0c024869+CN=#1e020048"));
        assert_eq!(text_of(&rdn(&[(CN, UTF8, b"# a\r\n\0")])).as_deref(), Some("CN=\\# a\\0d\\0a\\00"));
        for end in 1..odd.len() {
            assert_eq!(text_of(&odd[..end]), None);
        }
        let long: Vec<u8> = (0..9).flat_map(|_| rdn(&[(CN, UTF8, &[b'x'; 109])])).collect();
        assert_eq!(text_of(&long).map(|text| text.len()), Some(9 * 113 - 1));
        let longer = [&long[..], &rdn(&[(CN, UTF8, &[b'x'; 109])])].concat();
        assert_eq!(text_of(&longer), None);
    }
}
