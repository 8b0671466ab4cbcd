//! Values that have units: how they are written, and how they are read.

use std::time::Duration;

/// Units of time, the largest first.
const TIMES: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
/// Units of memory, the largest first.
const SIZES: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// A time: a whole number and its unit, as in `250ms`. The error says how to write one.
pub(crate) fn parse_time(text: &str) -> Result<Duration, String> {
    match parse(text, &TIMES) {
        Ok(milliseconds) => Ok(Duration::from_millis(milliseconds)),
        Err(Wrong::NoNumber) => Err("not a time: write it with its unit, as in 25s".to_owned()),
        Err(Wrong::Unit) => Err("not a time: its unit is one of ms, s, m, h".to_owned()),
        Err(Wrong::TooLarge) => Err("too long a time".to_owned()),
    }
}

/// An amount of memory: a whole number and its unit, as in `64KiB`. The error says how to write one.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    parse(text, &SIZES).map_err(|wrong| match wrong {
        Wrong::NoNumber => "not a size: write it with its unit, as in 64KiB".to_owned(),
        Wrong::Unit => "not a size: its unit is one of B, KiB, MiB, GiB, TiB".to_owned(),
        Wrong::TooLarge => "too large a size".to_owned(),
    })
}

/// The time in the largest unit that it is a whole number of.
pub(crate) fn write_time(time: Duration) -> String {
    write(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), &TIMES)
}

/// The size in the largest unit that it is a whole number of.
pub(crate) fn write_size(octets: u64) -> String {
    write(octets, &SIZES)
}

enum Wrong {
    NoNumber,
    Unit,
    TooLarge,
}

fn parse(text: &str, units: &[(&str, u64)]) -> Result<u64, Wrong> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    if digits.is_empty() || !digits.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(Wrong::NoNumber);
    }
    let number: u64 = digits.parse().map_err(|_| Wrong::TooLarge)?;
    let unit = &text[digits.len()..];
    if unit.is_empty() {
        return Err(Wrong::NoNumber);
    }
    let factor = units.iter().find(|(name, _)| *name == unit).ok_or(Wrong::Unit)?.1;
    number.checked_mul(factor).filter(|&value| value <= i64::MAX as u64).ok_or(Wrong::TooLarge)
}

fn write(value: u64, units: &[(&str, u64)]) -> String {
    let whole = |&&(_, factor): &&(&str, u64)| value >= factor && value.is_multiple_of(factor);
    let (unit, factor) = units.iter().find(whole).copied().unwrap_or_else(|| {
        // Only 0 is no multiple of anything above it: it is written in the unit that people expect.
        if units == TIMES { ("s", 1) } else { ("B", 1) }
    });
    format!("{}{unit}", value / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(parse_time("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_time("25s"), Ok(Duration::from_secs(25)));
        assert_eq!(parse_time("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse_time("0s"), Ok(Duration::ZERO));
        for wrong in ["", "25", "s", "-1s", "+1s", "1.5s", "25 s", "25x", "5000000000000000h", "ä"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_size("64KiB"), Ok(65_536));
        assert_eq!(parse_size("0B"), Ok(0));
        assert_eq!(parse_size("3GiB"), Ok(3 << 30));
        for wrong in ["", "64", "64KB", "64k", "1.5MiB", "-1B", "99999999999GiB", "KiB"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for time in [0, 1, 999, 1000, 1500, 75_000, 3_600_000, 86_400_000].map(Duration::from_millis) {
            assert_eq!(parse_time(&write_time(time)), Ok(time));
        }
        for size in [0, 1, 1023, 65_535, 65_536, 1 << 20, 3 << 30, (1 << 31) - 1] {
            assert_eq!(parse_size(&write_size(size)), Ok(size));
        }
        assert_eq!(write_time(Duration::from_secs(75)), "75s");
        assert_eq!(write_time(Duration::from_secs(86_400)), "24h");
        assert_eq!(write_size(64 << 10), "64KiB");
        assert_eq!(write_size(65_535), "65535B");
    }
}
