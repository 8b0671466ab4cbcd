//! Heads drawn at random.

use proptest::prelude::*;

use super::*;

/// The lines that a valid request consists of, drawn at random.
fn valid_request() -> impl Strategy<Value = Vec<(&'static [u8], Vec<u8>)>> {
    (
        "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}".prop_filter("CONNECT has a form of its own", |m| m != "CONNECT"),
        "[A-Za-z][A-Za-z0-9+.-]{0,6}",
        "[A-Za-z0-9._~!$&'()*+,;=-]{1,20}(:[0-9]{0,4})?",
        "/[!\"$-~]{0,40}",
    )
        .prop_map(|(method, scheme, authority, path)| {
            vec![
                (&b":method"[..], method.into_bytes()),
                (b":scheme", scheme.into_bytes()),
                (b":authority", authority.into_bytes()),
                (b":path", path.into_bytes()),
            ]
        })
}

fn of_lines(lines: &[(&[u8], Vec<u8>)]) -> FieldSection {
    let mut fields = FieldSection::new();
    lines.iter().for_each(|(name, value)| fields.push(FieldLine::new(name, value, 0)));
    fields
}

proptest! {
    #[test]
    fn no_control_or_space_passes_in_a_pseudo_header_field(
        mut lines in valid_request(),
        line in 0usize..4,
        at in any::<prop::sample::Index>(),
        octet in prop::sample::select((0..=b' ').chain(0x7f..=0xff).collect::<Vec<u8>>()),
        insert in any::<bool>(),
    ) {
        prop_assert!(request(&of_lines(&lines), &RULES).is_ok());
        let value = &mut lines[line].1;
        if insert {
            value.insert(at.index(value.len() + 1), octet);
        } else {
            let at = at.index(value.len());
            value[at] = octet;
        }
        prop_assert!(request(&of_lines(&lines), &RULES).is_err());
    }

    #[test]
    fn any_octets_end_in_a_verdict(
        lines in prop::collection::vec((
            prop_oneof![
                prop::sample::select(vec![
                    &b":method"[..], b":scheme", b":authority", b":path", b":status", b":protocol", b"host",
                    b"content-length", b"te", b"expect", b"cookie",
                ]),
                Just(&b"x"[..]),
            ],
            prop::collection::vec(any::<u8>(), 0..12),
        ), 0..8),
    ) {
        let fields = of_lines(&lines);
        for rules in [RULES, EXTENDED, LENIENT] {
            // What passes strict rules passes lenient ones.
            if request(&fields, &RULES).is_ok() {
                prop_assert!(request(&fields, &rules).is_ok());
            }
        }
        let _ = response(&fields);
        let _ = trailers(&fields);
    }

    #[test]
    fn decimal_is_what_the_standard_library_reads(value in "[0-9]{0,22}") {
        prop_assert_eq!(decimal(value.as_bytes()), value.parse().ok());
    }
}
