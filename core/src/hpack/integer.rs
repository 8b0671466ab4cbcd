//! Integers with a prefix (RFC 7541 section 5.1).

use super::DecodeError;

/// Octets that may follow the prefix: as many as 2^32-1 needs behind any prefix.
const CONTINUATION_OCTETS_MAX: usize = 5;

/// Reads the integer that starts in the low `prefix` bits (1 to 8) of the first octet. Returns it and the number of
/// octets it takes.
#[inline]
pub(super) fn decode(octets: &[u8], prefix: u32) -> Result<(u32, usize), DecodeError> {
    let Some(&first) = octets.first() else { return Err(DecodeError::Truncated) };
    let full = prefix_max(prefix);
    let value = first & full;
    if value < full { Ok((value.into(), 1)) } else { decode_continued(octets, value) }
}

#[cold]
fn decode_continued(octets: &[u8], prefix_value: u8) -> Result<(u32, usize), DecodeError> {
    let mut value = u64::from(prefix_value);
    for at in 1..=CONTINUATION_OCTETS_MAX {
        let Some(&octet) = octets.get(at) else { return Err(DecodeError::Truncated) };
        value += u64::from(octet & 0x7f) << (7 * (at - 1));
        if octet & 0x80 == 0 {
            let value = u32::try_from(value).map_err(|_| DecodeError::IntegerOverflow)?;
            return Ok((value, at + 1));
        }
    }
    Err(DecodeError::IntegerOverflow) // 7541-5.1-01
}

/// Writes `value` behind a prefix of `prefix` bits (1 to 8); `pattern` fills the bits above the prefix.
#[inline]
pub(super) fn encode(value: usize, prefix: u32, pattern: u8, out: &mut Vec<u8>) {
    let full = prefix_max(prefix);
    if value < usize::from(full) {
        out.push(pattern | value as u8);
        return;
    }
    out.push(pattern | full);
    let mut rest = value - usize::from(full);
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

const fn prefix_max(prefix: u32) -> u8 {
    (0xff_u16 >> (8 - prefix)) as u8
}

#[cfg(test)]
mod tests {
    use shuntyard_requirements::req;

    use super::*;

    fn encoded(value: usize, prefix: u32, pattern: u8) -> Vec<u8> {
        let mut out = Vec::new();
        encode(value, prefix, pattern, &mut out);
        out
    }

    #[test]
    fn rfc7541_c_1_examples() {
        for (value, prefix, octets) in [(10, 5, &[10][..]), (1337, 5, &[31, 154, 10]), (42, 8, &[42])] {
            assert_eq!(encoded(value, prefix, 0), octets);
            assert_eq!(decode(octets, prefix), Ok((value as u32, octets.len())));
        }
    }

    #[test]
    fn rfc7541_5_1_every_written_integer_is_read_back() {
        let boundaries = (0..=32).flat_map(|k| (-2..=2).map(move |d| (1_i64 << k) + d));
        let values = (0..=1 << 17).chain(boundaries).filter(|v| (0..=i64::from(u32::MAX)).contains(v));
        for value in values {
            for prefix in 1..=8 {
                let pattern = !prefix_max(prefix);
                let octets = encoded(value as usize, prefix, pattern);
                assert_eq!(octets[0] & pattern, pattern);
                assert_eq!(decode(&octets, prefix), Ok((value as u32, octets.len())), "{value} {prefix}");
                assert_eq!(decode(&octets[..octets.len() - 1], prefix), Err(DecodeError::Truncated));
            }
        }
    }

    #[test]
    fn rfc7541_5_1_every_input_of_three_octets() {
        for input in 0..1_u32 << 24 {
            let octets = &input.to_be_bytes()[1..];
            for prefix in 1..=8 {
                assert_eq!(decode(octets, prefix), by_the_formula(octets, prefix), "{octets:?} {prefix}");
            }
            if input < 1 << 16 {
                for (octets, prefix) in (0..3).flat_map(|n| (1..=8).map(move |p| (&octets[n..], p))) {
                    assert_eq!(decode(octets, prefix), by_the_formula(octets, prefix), "{octets:?} {prefix}");
                }
            }
        }
    }

    /// The pseudocode of RFC 7541 section 5.1, in arithmetic that cannot overflow on inputs this short.
    fn by_the_formula(octets: &[u8], prefix: u32) -> Result<(u32, usize), DecodeError> {
        let Some(first) = octets.first() else { return Err(DecodeError::Truncated) };
        let mut value = u32::from(*first) % 2_u32.pow(prefix);
        if value < 2_u32.pow(prefix) - 1 {
            return Ok((value, 1));
        }
        for (m, octet) in octets[1..].iter().enumerate() {
            value += u32::from(octet % 128) * 128_u32.pow(m as u32);
            if *octet < 128 {
                return Ok((value, m + 2));
            }
        }
        Err(DecodeError::Truncated)
    }

    #[test]
    fn rfc7541_5_1_too_large_or_too_long() {
        req!("7541-5.1-01");
        let overflow = Err(DecodeError::IntegerOverflow);
        // 255 + (2^32 - 256) is the largest; one more does not fit.
        assert_eq!(decode(&[0xff, 0x80, 0xfe, 0xff, 0xff, 0x0f], 8), Ok((u32::MAX, 6)));
        assert_eq!(decode(&[0xff, 0x81, 0xfe, 0xff, 0xff, 0x0f], 8), overflow);
        assert_eq!(decode(&[0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], 1), overflow);
        // Trailing zeros are legal within the bound.
        assert_eq!(decode(&[0x1f, 0x80, 0x80, 0x80, 0x80, 0x00], 5), Ok((31, 6)));
        assert_eq!(decode(&[0x1f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00], 5), overflow);
        assert_eq!(decode(&[0x1f, 0x80, 0x80, 0x80, 0x80, 0x80], 5), overflow);
        assert_eq!(decode(&[0x1f, 0x80, 0x80, 0x80, 0x80], 5), Err(DecodeError::Truncated));
    }
}
