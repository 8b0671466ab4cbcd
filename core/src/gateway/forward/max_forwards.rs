//! `max-forwards`: how many gateways OPTIONS and TRACE may still pass (RFC 9110 section 7.6.2).

use crate::fields::{FieldFacts, FieldLine, FieldName, FieldSection, Origin};
use crate::message::Method;
use crate::record::Cause;

/// The most that we write.
const MAX: u64 = u32::MAX as u64;

/// 9110-7.6.2-01, 9110-7.6.2-03: one less goes on. What is no number is not ours to judge.
///
/// # Errors
///
/// 9110-7.6.2-02: we are the last. OPTIONS is answered; TRACE is not served, for what a gateway reflects is more than its client
/// sent, and credentials of others may be in it (RFC 9110 section 9.3.8).
pub(super) fn count_down(fields: &mut FieldSection, method: Method, seed: u64) -> Result<(), Cause> {
    let Some(value) = fields.value_of(FieldName::MaxForwards) else { return Ok(()) }; // 9110-9.3.7-03
    let last = match method {
        Method::Options => Cause::LastForward,
        Method::Trace => Cause::NotServed,
        _ => return Ok(()),
    };
    let Some(left) = number(value) else { return Ok(()) };
    let Some(next) = left.checked_sub(1) else { return Err(last) };
    let (name, value) = (&b"max-forwards"[..], next.min(MAX).to_string());
    let facts = FieldFacts::of(name, value.as_bytes(), seed);
    // 7541-6.2.3-03: what was marked stays so.
    let never_indexed =
        fields.iter().any(|line| line.facts.name == FieldName::MaxForwards && line.never_indexed);
    fields.remove(name, &facts);
    let (value, origin) = (value.as_bytes(), Origin::NONE);
    fields.push(FieldLine { name, value, facts, never_indexed, origin });
    Ok(())
}

/// `1*DIGIT`, however many.
fn number(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let add = |number: u64, digit: &u8| number.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    digits.then(|| value.iter().fold(0, add))
}

#[cfg(test)]
mod tests {
    use shuntyard_requirements::req;

    use super::*;

    fn counted(method: Method, values: &[&str]) -> Result<Vec<String>, Cause> {
        let mut fields = FieldSection::new();
        for value in values {
            fields.push(FieldLine::new(b"max-forwards", value.as_bytes(), 1));
        }
        count_down(&mut fields, method, 1)?;
        Ok(fields.iter().map(|line| String::from_utf8_lossy(line.value).into_owned()).collect())
    }

    #[test]
    fn rfc9110_7_6_2_one_less_goes_on() {
        req!("9110-7.6.2-01", "9110-7.6.2-02", "9110-7.6.2-03", "9110-9.3.7-03");
        for method in [Method::Options, Method::Trace] {
            assert_eq!(counted(method, &["10"]), Ok(vec!["9".into()]));
            assert_eq!(counted(method, &["1"]), Ok(vec!["0".into()]));
            assert_eq!(counted(method, &["5", "7"]), Ok(vec!["4".into()]), "one line is enough");
            assert_eq!(counted(method, &[&"9".repeat(40)]), Ok(vec![MAX.to_string()]));
            assert_eq!(counted(method, &[]), Ok(vec![]), "none is made");
            for odd in ["", "-1", "1 2", "1, 2", "a"] {
                assert_eq!(counted(method, &[odd]), Ok(vec![odd.into()]));
            }
        }
        assert_eq!(counted(Method::Options, &["0"]), Err(Cause::LastForward));
        assert_eq!(counted(Method::Trace, &["000"]), Err(Cause::NotServed));
        assert_eq!(counted(Method::Get, &["0"]), Ok(vec!["0".into()]));
    }

    #[test]
    fn rfc7541_6_2_3_a_line_that_is_never_indexed_stays_so() {
        req!("7541-6.2.3-03");
        for (first, second) in [(true, false), (false, true), (false, false)] {
            let mut fields = FieldSection::new();
            for marked in [first, second] {
                let line = FieldLine::new(b"max-forwards", b"10", 1);
                fields.push(if marked { line.never_indexed() } else { line });
            }
            count_down(&mut fields, Method::Options, 1).expect("some are left");
            let marks: Vec<_> = fields.iter().map(|line| line.never_indexed).collect();
            assert_eq!(marks, [first || second]);
        }
    }
}
