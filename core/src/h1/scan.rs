//! The ends of lines and sections in octets that come in pieces: what was searched once is not searched again.

/// How far the input has been searched, in octets from where the search began. What stands in front of that may be taken.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scan(usize);

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The end, in octets from the front, the end of the line included.
    Whole(usize),
    /// It is still to come.
    Partial,
    /// It does not come within the limit.
    TooLong,
    /// LF without CR before it. RFC 9112 section 2.2 allows to take it for the end of a line; who does, and who does not,
    /// see different messages.
    BareLineEnd,
}

impl Scan {
    /// The end of the first line, which must come within `max` octets.
    pub(crate) fn line(&mut self, octets: &[u8], max: usize) -> Found {
        let within = &octets[..octets.len().min(max)];
        let Some(n) = line_feed(within, self.0) else { return self.not_yet(within, max) };
        self.0 = 0;
        if is_line_end(within, n) { Found::Whole(n + 1) } else { Found::BareLineEnd }
    }

    /// The end of the first empty line that follows another line, within `max` octets.
    pub(crate) fn section(&mut self, octets: &[u8], max: usize) -> Found {
        let within = &octets[..octets.len().min(max)];
        let mut at = self.0;
        while let Some(n) = line_feed(within, at) {
            if !is_line_end(within, n) {
                self.0 = 0;
                return Found::BareLineEnd;
            }
            match &within[n + 1..] {
                [b'\r', b'\n', ..] => {
                    self.0 = 0;
                    return Found::Whole(n + 3);
                }
                [] | [b'\r'] if within.len() < max => {
                    self.0 = n;
                    return Found::Partial;
                }
                _ => at = n + 1,
            }
        }
        self.not_yet(within, max)
    }

    /// What was searched is taken.
    pub(crate) fn reset(&mut self) {
        self.0 = 0;
    }

    fn not_yet(&mut self, within: &[u8], max: usize) -> Found {
        self.0 = within.len();
        if within.len() < max {
            return Found::Partial;
        }
        self.0 = 0;
        Found::TooLong
    }
}

fn line_feed(octets: &[u8], from: usize) -> Option<usize> {
    Some(from + octets.get(from..)?.iter().position(|&octet| octet == b'\n')?)
}

/// Whether the LF at `n` has its CR.
fn is_line_end(octets: &[u8], n: usize) -> bool {
    n.checked_sub(1).is_some_and(|before| octets[before] == b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same answer, however the octets come; the limit included.
    #[test]
    fn ends_are_found_in_pieces() {
        for (octets, max, line, section) in [
            (&b"a\r\nb\r\n\r\nrest"[..], 50, Found::Whole(3), Found::Whole(8)),
            (b"a\r\nb\r\n\r\nrest", 8, Found::Whole(3), Found::Whole(8)),
            (b"a\r\nb\r\n\r\nrest", 7, Found::Whole(3), Found::TooLong),
            (b"a\r\nb\r\n\r\nrest", 2, Found::TooLong, Found::TooLong),
            (b"a\r\nb\n\r\nrest", 50, Found::Whole(3), Found::BareLineEnd),
            (b"a\nb\r\n\r\nrest", 50, Found::BareLineEnd, Found::BareLineEnd),
            (b"\na\r\n", 50, Found::BareLineEnd, Found::BareLineEnd),
            (b"a\r\nb\r\n\r", 50, Found::Whole(3), Found::Partial),
            (b"a\r\n\r", 4, Found::Whole(3), Found::TooLong),
            (b"abc", 50, Found::Partial, Found::Partial),
            (b"abc", 3, Found::TooLong, Found::TooLong),
        ] {
            for step in 1..=octets.len() {
                let find = |search: fn(&mut Scan, &[u8], usize) -> Found| {
                    let mut scan = Scan::default();
                    let mut seen = 0;
                    loop {
                        seen = octets.len().min(seen + step);
                        match search(&mut scan, &octets[..seen], max) {
                            Found::Partial if seen < octets.len() => {}
                            found => return found,
                        }
                    }
                };
                let name = octets.escape_ascii();
                assert_eq!((find(Scan::line), find(Scan::section)), (line, section), "{name} by {step}");
            }
        }
    }
}
