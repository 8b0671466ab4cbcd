//! Priorities of requests and responses (RFC 9218): what a signal says, and which of two comes first.

use crate::fields::{FieldName, FieldSection};

/// How urgent a response is, and whether a part of it is of use (RFC 9218 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Priority {
    /// 0 to 7; 0 comes first.
    pub urgency: u8,
    /// Whether a part of the response is of use, so that it can share with others what there is to send by.
    pub incremental: bool,
}

impl Default for Priority {
    /// 9218-4-01: what holds where nothing is said.
    fn default() -> Self {
        Self { urgency: 3, incremental: false }
    }
}

/// What one signal says. What it leaves out is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signal {
    urgency: Option<u8>,
    incremental: Option<bool>,
}

impl Signal {
    /// The signal in the `priority` field of a message (RFC 9218 section 5). `None` where there is no such field, or none that
    /// can be read.
    #[inline(always)]
    pub fn of(fields: &FieldSection) -> Option<Self> {
        // Mostly there is none, which is told without looking at lines.
        fields.value_of(FieldName::Priority)?;
        let mut lines = fields.iter().filter(|line| line.facts.name == FieldName::Priority);
        let first = lines.next()?;
        let Some(second) = lines.next() else { return Self::parse(first.value) };
        // RFC 8941 section 4.2: lines are one value.
        let mut value = [first.value, b",", second.value].concat();
        lines.for_each(|line| {
            value.push(b',');
            value.extend_from_slice(line.value);
        });
        Self::parse(&value)
    }

    /// Reads a Priority Field Value: a dictionary of structured fields (RFC 8941 section 3.2). `None` where it is none.
    ///
    /// ```
    /// use shuntyard_core::priority::{Priority, Signal};
    ///
    /// let signal = Signal::parse(b"u=1, i").unwrap();
    /// assert_eq!(signal.or_default(), Priority { urgency: 1, incremental: true });
    /// ```
    pub fn parse(value: &[u8]) -> Option<Self> {
        let mut signal = Self::default();
        let mut input = Input(trimmed(value));
        while !input.0.is_empty() {
            let (key, item) = input.member()?;
            // 9218-4-02: what is unknown, out of range or of another type is ignored. Of two the last counts.
            match (key, item) {
                (b"u", item) => signal.urgency = item.integer().filter(|urgency| *urgency <= 7),
                (b"i", item) => signal.incremental = item.boolean(),
                _ => {}
            }
            input.blank();
            if input.0.is_empty() {
                break;
            }
            input.take(b',')?;
            input.blank();
            // A comma with nothing behind it.
            input.0.first()?;
        }
        Some(signal)
    }

    /// The signal as it stands: what it leaves out has its default.
    pub fn or_default(self) -> Priority {
        self.over(Priority::default())
    }

    /// RFC 9218 section 8: what this signal says holds, and of the other priority what it leaves out.
    pub fn over(self, other: Priority) -> Priority {
        Priority {
            urgency: self.urgency.unwrap_or(other.urgency),
            incremental: self.incremental.unwrap_or(other.incremental),
        }
    }
}

/// A bare item, as far as it matters here.
#[derive(Clone, Copy)]
enum Item {
    Integer(u8),
    Boolean(bool),
    Other,
}

impl Item {
    const fn integer(self) -> Option<u8> {
        if let Self::Integer(value) = self { Some(value) } else { None }
    }

    const fn boolean(self) -> Option<bool> {
        if let Self::Boolean(value) = self { Some(value) } else { None }
    }
}

fn trimmed(value: &[u8]) -> &[u8] {
    let is_blank = |octet: &u8| *octet == b' ';
    let from = value.iter().position(|octet| !is_blank(octet)).unwrap_or(value.len());
    let to = value.iter().rposition(|octet| !is_blank(octet)).map_or(from, |last| last + 1);
    &value[from..to]
}

/// What is still to be read of a dictionary (RFC 8941 section 4.2).
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, octet: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[octet])?;
        Some(())
    }

    fn while_of(&mut self, of: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|&octet| !of(octet)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    fn blank(&mut self) {
        self.while_of(|octet| matches!(octet, b' ' | b'\t'));
    }

    fn member(&mut self) -> Option<(&'a [u8], Item)> {
        let key = self.key()?;
        let value = match self.take(b'=') {
            Some(()) if self.0.first() == Some(&b'(') => self.inner_list()?,
            Some(()) => self.bare_item()?,
            None => Item::Boolean(true),
        };
        self.parameters()?;
        Some((key, value))
    }

    fn key(&mut self) -> Option<&'a [u8]> {
        self.0.first().filter(|first| first.is_ascii_lowercase() || **first == b'*')?;
        let of_key = |octet: u8| {
            octet.is_ascii_lowercase() || octet.is_ascii_digit() || matches!(octet, b'_' | b'-' | b'.' | b'*')
        };
        Some(self.while_of(of_key))
    }

    fn parameters(&mut self) -> Option<()> {
        while self.take(b';').is_some() {
            self.while_of(|octet| octet == b' ');
            self.key()?;
            if self.take(b'=').is_some() {
                self.bare_item()?;
            }
        }
        Some(())
    }

    fn inner_list(&mut self) -> Option<Item> {
        self.take(b'(')?;
        loop {
            self.while_of(|octet| octet == b' ');
            if self.take(b')').is_some() {
                return Some(Item::Other);
            }
            self.bare_item()?;
            self.parameters()?;
            self.0.first().filter(|next| matches!(next, b' ' | b')'))?;
        }
    }

    fn bare_item(&mut self) -> Option<Item> {
        match *self.0.first()? {
            b'-' | b'0'..=b'9' => self.number(),
            b'"' => self.string(),
            b'?' => {
                self.take(b'?')?;
                let (&digit, rest) =
                    self.0.split_first().filter(|(digit, _)| matches!(digit, b'0' | b'1'))?;
                self.0 = rest;
                Some(Item::Boolean(digit == b'1'))
            }
            b':' => {
                self.take(b':')?;
                self.while_of(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/' | b'='));
                self.take(b':').map(|()| Item::Other)
            }
            b'*' | b'A'..=b'Z' | b'a'..=b'z' => {
                self.while_of(|octet| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&octet));
                Some(Item::Other)
            }
            _ => None,
        }
    }

    fn number(&mut self) -> Option<Item> {
        let negative = self.take(b'-').is_some();
        let digits = self.while_of(|octet| octet.is_ascii_digit());
        if digits.is_empty() || digits.len() > 15 {
            return None;
        }
        if self.take(b'.').is_some() {
            let fraction = self.while_of(|octet| octet.is_ascii_digit());
            return (digits.len() <= 12 && (1..=3).contains(&fraction.len())).then_some(Item::Other);
        }
        let value = digits.iter().fold(0u64, |value, digit| value * 10 + u64::from(digit - b'0'));
        Some(match u8::try_from(value) {
            Ok(value) if !negative || value == 0 => Item::Integer(value),
            _ => Item::Other,
        })
    }

    fn string(&mut self) -> Option<Item> {
        self.take(b'"')?;
        loop {
            let (&octet, rest) = self.0.split_first()?;
            self.0 = rest;
            match octet {
                b'"' => return Some(Item::Other),
                b'\\' => {
                    let (_, rest) = self.0.split_first().filter(|(next, _)| matches!(next, b'"' | b'\\'))?;
                    self.0 = rest;
                }
                b' '..=b'~' => {}
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use shuntyard_requirements::req;

    use super::*;
    use crate::fields::FieldLine;

    fn parsed(value: &str) -> Option<(u8, bool)> {
        Signal::parse(value.as_bytes()).map(|signal| {
            let Priority { urgency, incremental } = signal.or_default();
            (urgency, incremental)
        })
    }

    #[test]
    fn rfc9218_4_parameters() {
        req!("9218-4-01", "9218-4-02");
        for (value, expected) in [
            ("", (3, false)),
            ("u=0", (0, false)),
            ("u=7, i", (7, true)),
            ("i=?1,u=5", (5, true)),
            ("i=?0", (3, false)),
            ("  u=2 \t,\t i ", (2, true)),
            ("u=1, u=4", (4, false)),
            ("u=1;a=b;c, i;d=\"e\"", (1, true)),
            // Unknown, out of range, of another type.
            ("x=1, y=\"a\\\"b, u=0\", z=(1 a \"b\";c 2.5), u=6, *w=:YQ==:, v=abc/d, i", (6, true)),
            ("u=8, i", (3, true)),
            ("u=-1", (3, false)),
            ("u=1.0", (3, false)),
            ("u=999999999999999", (3, false)),
            ("u, i=1", (3, false)),
            ("u=?1, i=a", (3, false)),
            ("u=1, u=9", (3, false)),
            ("a=()", (3, false)),
        ] {
            assert_eq!(parsed(value), Some(expected), "{value:?}");
        }
    }

    #[test]
    fn what_is_no_dictionary_says_nothing() {
        for value in [
            ",",
            "u=1,",
            "u=1 i",
            "u=",
            "u=1,,i",
            "U=1",
            "u=\"a",
            "u=\"\\a\"",
            "u=:a",
            "u=?2",
            "u=(1",
            "u=(1;)",
            "u=(1\"a\")",
            "u=1;",
            "u=1;A",
            "u=1000000000000000",
            "u=1.",
            "u=1.2345",
            "1",
            "u=\u{e9}",
            "\tu=1",
        ] {
            assert_eq!(parsed(value), None, "{value:?}");
        }
    }

    #[test]
    fn lines_are_one_value_and_one_signal_goes_over_another() {
        let mut fields = FieldSection::new();
        assert_eq!(Signal::of(&fields), None);
        for value in [&b"u=1"[..], b"x=y", b"i"] {
            fields.push(FieldLine::new(b"priority", value, 1));
        }
        let signal = Signal::of(&fields).expect("a signal");
        assert_eq!(signal.or_default(), Priority { urgency: 1, incremental: true });
        let of_response = Signal::parse(b"u=5").expect("a signal");
        assert_eq!(of_response.over(signal.or_default()), Priority { urgency: 5, incremental: true });
        fields.push(FieldLine::new(b"priority", b"(", 1));
        assert_eq!(Signal::of(&fields), None);
    }
}
