//! `via`: the gateways that a message has passed (RFC 9110 section 7.6.3).

use crate::fields::{FieldFacts, FieldName, FieldSection, OwnOrigins};
use crate::gateway::forward::line::Line;
use crate::message::Version;

/// The `via` lines of this gateway, made once.
#[derive(Clone, Debug)]
pub(super) struct Via {
    name: Box<[u8]>,
    /// One for each [`Version`], in their order.
    lines: [Line; 3],
    in_responses: bool,
}

const NAME: &[u8] = b"via";

impl Via {
    pub(super) fn new(name: &str, in_responses: bool, seed: u64, origins: &mut OwnOrigins) -> Self {
        let facts = FieldFacts::of_name(NAME, seed);
        let lines = ["1.0", "1.1", "2.0"]
            .map(|version| Line::new((NAME, &facts), format!("{version} {name}").as_bytes(), seed, origins));
        Self { name: name.as_bytes().into(), lines, in_responses }
    }

    /// 9110-7.6.3-02: a message that came by this version goes on. Behind what others wrote, for each adds its own.
    pub(super) fn push(&self, fields: &mut FieldSection, version: Version) {
        self.lines[version as usize].push(fields);
    }

    /// The same for a response, where a gateway may leave it out.
    pub(super) fn push_to_response(&self, fields: &mut FieldSection, version: Version) {
        if self.in_responses {
            self.push(fields, version);
        }
    }

    /// 9110-7.6-02: whether the message has been here before.
    pub(super) fn has_been_here(&self, fields: &FieldSection) -> bool {
        let via = fields.iter().filter(|line| line.facts.name == FieldName::Via);
        via.flat_map(|line| members(line.value)).any(|member| {
            received_by(member).is_some_and(|received_by| received_by.eq_ignore_ascii_case(&self.name))
        })
    }
}

/// The members of a list, where commas inside of comments part nothing (RFC 9110 sections 5.6.1 and 5.6.5).
fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut depth, mut escaped) = (0u32, false);
    value.split(move |&octet| {
        let plain = !core::mem::take(&mut escaped);
        match octet {
            b'\\' if depth > 0 => escaped = plain,
            b'(' if plain => depth += 1,
            b')' if plain => depth = depth.saturating_sub(1),
            _ => {}
        }
        octet == b',' && depth == 0
    })
}

/// Behind the protocol stands who received the message by it.
fn received_by(member: &[u8]) -> Option<&[u8]> {
    let blank = |octet: &u8| matches!(octet, b' ' | b'\t');
    member.split(blank).filter(|word| !word.is_empty()).nth(1)
}

#[cfg(test)]
mod tests {
    use shuntyard_requirements::req;

    use super::*;
    use crate::fields::FieldLine;

    #[test]
    fn rfc9110_7_6_a_circle_is_told_by_our_name_and_by_nothing_like_it() {
        req!("9110-7.6-02", "9110-7.6.3-02");
        let via = Via::new("yard", true, 1, &mut OwnOrigins::default());
        let seen = |values: &[&str]| {
            let mut fields = FieldSection::new();
            values.iter().for_each(|value| fields.push(FieldLine::new(b"via", value.as_bytes(), 1)));
            via.has_been_here(&fields)
        };
        for circle in [
            &["2.0 yard"][..],
            &["1.0 fred, HTTP/1.1 yard"],
            &["1.1 a", "2.0  yard (behind (a, b), c)"],
            &["1.1 a (x, \\) y), 2.0\tYARD"],
            &[",1.1 yard,"],
        ] {
            assert!(seen(circle), "{circle:?}");
        }
        for passage in [
            &["2.0 yard-2"][..],
            &["yard"],
            &["yard yards"],
            &["1.1 a (2.0 yard)", "1.1 b (x, 2.0 yard , z)"],
            &["1.1 yard:80"],
            &[""],
        ] {
            assert!(!seen(passage), "{passage:?}");
        }
        let mut fields = FieldSection::new();
        for version in [Version::Http10, Version::Http11, Version::Http2] {
            via.push(&mut fields, version);
        }
        let values: Vec<_> = fields.iter().map(|line| line.value).collect();
        assert_eq!(values, [&b"1.0 yard"[..], b"1.1 yard", b"2.0 yard"]);
        assert!(via.has_been_here(&fields), "what we write we know again");
    }
}
