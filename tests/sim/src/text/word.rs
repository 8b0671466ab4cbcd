//! Values as single words: what stands behind `=` in the text form of a scenario.

use std::net::SocketAddr;
use std::sync::Arc;

use shuntyard_core::address::Address;
use shuntyard_core::config::{EndpointConfig, Host, Peers, Protocol};
use shuntyard_core::time::Duration;

/// A value that is written as one word, without spaces.
pub(crate) trait Word: Sized {
    /// The word.
    fn to_word(&self) -> String;
    /// The value of a word.
    fn from_word(word: &str) -> Option<Self>;
}

/// A place for a value of some type that has a word.
pub(crate) trait Slot {
    /// The word of what stands there.
    fn get(&self) -> String;
    /// Puts the value of a word there; whether it is one.
    fn set(&mut self, word: &str) -> bool;
}

impl<T: Word> Slot for T {
    fn get(&self) -> String {
        self.to_word()
    }
    fn set(&mut self, word: &str) -> bool {
        T::from_word(word).map(|value| *self = value).is_some()
    }
}

macro_rules! plain {
    ($($type:ty),*) => {$(
        impl Word for $type {
            fn to_word(&self) -> String {
                self.to_string()
            }
            fn from_word(word: &str) -> Option<Self> {
                word.parse().ok()
            }
        }
    )*};
}

plain!(u8, u16, u32, u64, usize, bool, SocketAddr);

impl Word for String {
    fn to_word(&self) -> String {
        self.clone()
    }
    fn from_word(word: &str) -> Option<Self> {
        Some(word.to_owned())
    }
}

impl Word for Arc<str> {
    fn to_word(&self) -> String {
        self.to_string()
    }
    fn from_word(word: &str) -> Option<Self> {
        Some(word.into())
    }
}

/// An endpoint by its address, or by its name and port.
impl Word for EndpointConfig {
    fn to_word(&self) -> String {
        self.to_string()
    }
    fn from_word(word: &str) -> Option<Self> {
        if let Some(rest) = word.strip_prefix("http://") {
            return Some(Self { protocol: Protocol::Http1, ..Self::from_word(rest)? });
        }
        if let Some(address) = Address::from_word(word) {
            return Some(address.into());
        }
        let (name, port) = word.rsplit_once(':')?;
        Some(Self {
            host: Host::Name { name: name.into(), port: port.parse().ok()? },
            protocol: Protocol::Http2,
            tls: None,
        })
    }
}

impl Word for Address {
    fn to_word(&self) -> String {
        self.to_string()
    }
    fn from_word(word: &str) -> Option<Self> {
        match word.strip_prefix("unix:") {
            Some(path) => Some(Self::Unix(path.into())),
            None => SocketAddr::from_word(word).map(Self::from),
        }
    }
}

impl Word for Peers {
    fn to_word(&self) -> String {
        self.to_string()
    }
    fn from_word(word: &str) -> Option<Self> {
        word.parse().ok()
    }
}

/// In nanoseconds, or with the largest unit that loses nothing.
impl Word for Duration {
    fn to_word(&self) -> String {
        let nanos = self.as_nanos();
        let unit = UNITS.iter().find(|(_, size)| nanos > 0 && nanos.is_multiple_of(*size));
        unit.map_or(format!("{nanos}ns"), |(name, size)| format!("{}{name}", nanos / size))
    }
    fn from_word(word: &str) -> Option<Self> {
        let digits = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
        let (_, size) = UNITS.iter().chain(&[("ns", 1)]).find(|(name, _)| *name == &word[digits..])?;
        let nanos = word[..digits].parse::<u128>().ok()?.checked_mul(*size)?;
        u64::try_from(nanos).ok().map(Self::from_nanos)
    }
}

const UNITS: [(&str, u128); 3] = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)];

impl<T: Word> Word for Option<T> {
    fn to_word(&self) -> String {
        self.as_ref().map_or("none".to_owned(), Word::to_word)
    }
    fn from_word(word: &str) -> Option<Self> {
        if word == "none" { Some(None) } else { T::from_word(word).map(Some) }
    }
}

/// Parts with commas between them; an empty list is an empty word.
impl<T: Word> Word for Vec<T> {
    fn to_word(&self) -> String {
        self.iter().map(Word::to_word).collect::<Vec<_>>().join(",")
    }
    fn from_word(word: &str) -> Option<Self> {
        word.split(',').filter(|part| !part.is_empty()).map(T::from_word).collect()
    }
}

impl<A: Word, B: Word> Word for (A, B) {
    fn to_word(&self) -> String {
        format!("{}/{}", self.0.to_word(), self.1.to_word())
    }
    fn from_word(word: &str) -> Option<Self> {
        let (a, b) = word.split_once('/')?;
        Some((A::from_word(a)?, B::from_word(b)?))
    }
}

impl<A: Word, B: Word, C: Word> Word for (A, B, C) {
    fn to_word(&self) -> String {
        format!("{}/{}/{}", self.0.to_word(), self.1.to_word(), self.2.to_word())
    }
    fn from_word(word: &str) -> Option<Self> {
        let (a, rest) = word.split_once('/')?;
        let (b, c) = rest.split_once('/')?;
        Some((A::from_word(a)?, B::from_word(b)?, C::from_word(c)?))
    }
}

/// Enums: the variant's name, then what it holds, with colons between. What it holds must have words without colons.
macro_rules! word_enum {
    ($type:ty { $($text:literal => $variant:ident $(($($t:ident),+))? $({$($s:ident),+})?),* $(,)? }) => {
        impl $crate::text::word::Word for $type {
            fn to_word(&self) -> String {
                match self {
                    $(Self::$variant $(($($t),+))? $({$($s),+})? => {
                        let words: Vec<String> = vec![
                            $text.to_owned(),
                            $($($crate::text::word::Word::to_word($t)),+)?
                            $($($crate::text::word::Word::to_word($s)),+)?
                        ];
                        words.join(":")
                    })*
                }
            }
            fn from_word(word: &str) -> Option<Self> {
                let mut parts = word.split(':');
                let value = match parts.next()? {
                    $($text => {
                        $($(let $t = $crate::text::word::Word::from_word(parts.next()?)?;)+)?
                        $($(let $s = $crate::text::word::Word::from_word(parts.next()?)?;)+)?
                        Self::$variant $(($($t),+))? $({$($s),+})?
                    })*
                    _ => return None,
                };
                parts.next().is_none().then_some(value)
            }
        }
    };
}
pub(crate) use word_enum;

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_same<T: Word + PartialEq + std::fmt::Debug>(value: T, word: &str) {
        assert_eq!(value.to_word(), word);
        assert_eq!(T::from_word(word), Some(value));
    }

    #[test]
    fn values_have_words_and_words_have_values() {
        assert_same(7_u32, "7");
        assert_same(None::<u32>, "none");
        assert_same(vec![(1_u64, 4_u16, 5_u32), (2, 3, 4)], "1/4/5,2/3/4");
        assert_same(Vec::<u32>::new(), "");
        assert_same(Duration::from_millis(1500), "1500ms");
        assert_same(Duration::from_secs(3), "3s");
        assert_same(Duration::ZERO, "0ns");
        assert_same(Duration::from_nanos(1001), "1001ns");
        assert_eq!(Duration::from_word("5h"), None);
        assert_eq!(u8::from_word("300"), None);
    }
}
