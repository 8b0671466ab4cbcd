//! Heads drawn at random.

use proptest::prelude::*;

use super::*;
use crate::strategies::{
    Line, flawed_request, request as valid_request, response as valid_response, section,
    trailers as valid_trailers,
};

proptest! {
    #[test]
    fn no_control_or_space_passes_in_a_pseudo_header_field(
        mut lines in valid_request(),
        line in 0usize..4,
        at in any::<prop::sample::Index>(),
        octet in prop::sample::select((0..=b' ').chain(0x7f..=0xff).collect::<Vec<u8>>()),
        insert in any::<bool>(),
    ) {
        prop_assert!(request(&section(&lines, 0), &RULES).is_ok());
        let value = &mut lines[line].value;
        if insert {
            value.insert(at.index(value.len() + 1), octet);
        } else {
            let at = at.index(value.len());
            value[at] = octet;
        }
        prop_assert!(request(&section(&lines, 0), &RULES).is_err());
    }

    #[test]
    fn what_is_well_formed_passes(request_lines in valid_request(), response_lines in valid_response(), trailer_lines in valid_trailers()) {
        prop_assert!(request(&section(&request_lines, 0), &RULES).is_ok());
        prop_assert!(response(&section(&response_lines, 0)).is_ok());
        prop_assert_eq!(trailers(&section(&trailer_lines, 0)), Ok(()));
        // Neither passes for another.
        prop_assert!(response(&section(&request_lines, 0)).is_err());
        prop_assert!(request(&section(&response_lines, 0), &RULES).is_err());
        prop_assert_eq!(trailers(&section(&request_lines, 0)), Err(Malformed::PseudoInTrailers));
    }

    #[test]
    fn one_flaw_is_found_wherever_it_stands((lines, flaw) in flawed_request()) {
        prop_assert_eq!(request(&section(&lines, 0), &RULES), Err(flaw));
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
        let lines: Vec<Line> = lines.iter().map(|(name, value)| Line::new(name, value)).collect();
        let fields = section(&lines, 0);
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
