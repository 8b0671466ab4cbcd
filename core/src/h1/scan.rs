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
        let Some(n) = section_end(within, self.0) else { return self.not_yet(within, max) };
        self.0 = 0;
        if is_line_end(within, n) { Found::Whole(n + 1) } else { Found::BareLineEnd }
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

/// The first LF that ends an empty line or has no CR before it. Ends of other lines are passed over many octets at a time.
fn section_end(octets: &[u8], from: usize) -> Option<usize> {
    let ends = |n: usize| {
        let ends_empty_line = n >= 2 && octets[n - 2] == b'\n';
        octets[n] == b'\n' && (ends_empty_line || !is_line_end(octets, n))
    };
    let first = from.max(2).min(octets.len());
    if let Some(n) = (from..first).find(|&n| ends(n)) {
        return Some(n);
    }
    let before =
        |distance: usize| octets.get(first - distance.min(first)..).unwrap_or_default().as_chunks::<32>().0;
    let chunks = before(0).iter().zip(before(1)).zip(before(2));
    let skipped = chunks.take_while(|((octets, before), second)| !has_end(octets, before, second)).count();
    (first + skipped * 32..octets.len()).find(|&n| ends(n))
}

/// The same of so many octets, with those one and two places before each.
fn has_end(octets: &[u8; 32], before: &[u8; 32], second: &[u8; 32]) -> bool {
    let both = octets.iter().zip(before).zip(second);
    both.fold(false, |any, ((&octet, &before), &second)| {
        any | ((octet == b'\n') & ((before != b'\r') | (second == b'\n')))
    })
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

    /// Wherever it stands among the octets that are looked at together, and among lines that end as they should.
    #[test]
    fn ends_are_found_at_every_place() {
        let naive = |octets: &[u8]| {
            let (mut at, mut before) = (0, false);
            for line in octets.split_inclusive(|&octet| octet == b'\n') {
                at += line.len();
                match line {
                    b"\r\n" if before => return Found::Whole(at),
                    [.., b'\r', b'\n'] => before = true,
                    [.., b'\n'] => return Found::BareLineEnd,
                    _ => {}
                }
            }
            Found::Partial
        };
        for len in 0..200 {
            for end in [&b"\n"[..], b"\r\n\r\n", b"\r\n\n", b"\r", b"\r\n\r", b"\rx"] {
                let line = [b"x\r\n".repeat(len / 3), vec![b'y'; len % 3], end.to_vec()].concat();
                let text = [vec![b'y'; len], end.to_vec(), b"rest\r\n".to_vec()].concat();
                for octets in [line, text] {
                    let expected = naive(&octets);
                    assert_eq!(Scan::default().section(&octets, 1000), expected, "{}", octets.escape_ascii());
                    let mut scan = Scan::default();
                    let first = scan.section(&octets[..len], 1000);
                    let then = if first == Found::Partial { scan.section(&octets, 1000) } else { first };
                    assert_eq!(then, expected, "{} in two pieces", octets.escape_ascii());
                }
            }
        }
    }
}
