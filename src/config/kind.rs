//! Kinds of values: how each is written, its unit and range, and how it is read.

use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use crate::config::code::Code;
use crate::config::problem::Problem;
use crate::config::section::{Located, article};
use crate::config::similar::similar;
use crate::config::value::{parse_size, parse_time, write_size, write_time};

/// How a value is written and read.
pub(super) trait Kind {
    /// What is read.
    type Value;

    /// The kind in words, with unit and range.
    fn describe(&self) -> String;

    /// The value in TOML.
    fn write(&self, value: &Self::Value) -> String;

    /// The value of the key. What is wrong with it otherwise, all of it.
    fn read(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<Self::Value, Vec<Problem>>;
}

/// A time within a range.
pub(super) struct Time {
    pub(super) min: Duration,
    pub(super) max: Duration,
}

/// An amount of memory within a range, in octets.
pub(super) struct Size<T> {
    pub(super) min: T,
    pub(super) max: T,
}

/// A whole number within a range.
pub(super) struct Number<T> {
    pub(super) min: T,
    pub(super) max: T,
    /// What is counted.
    pub(super) of: &'static str,
}

/// A part of a whole: 0 to 1 in steps of a hundredth. Read as a percentage.
pub(super) struct Fraction;

/// True or false.
pub(super) struct Flag;

/// One of a few words.
pub(super) struct Words<T: 'static> {
    pub(super) words: &'static [(&'static str, T)],
    /// Words that are refused, with the feature they wait for.
    pub(super) later: &'static [(&'static str, &'static str)],
}

/// A text that has a form of its own.
pub(super) struct Text<T> {
    /// What it is, in words.
    pub(super) what: &'static str,
    /// The error where it is something else.
    pub(super) code: Code,
    /// The error says why not.
    pub(super) parse: fn(&str) -> Result<T, String>,
    pub(super) write: fn(&T) -> String,
    /// How one is written.
    pub(super) help: &'static str,
}

/// A list of these, within a range of lengths.
pub(super) struct List<K> {
    pub(super) of: K,
    pub(super) min: usize,
    pub(super) max: usize,
}

/// A value and its place, for those that others refer to.
pub(super) struct At<K>(pub(super) K);

/// The value has another type than expected.
pub(super) fn wrong_type<T>(
    key: &str,
    value: &Spanned<DeValue<'_>>,
    expected: &str,
    help: Option<String>,
) -> Result<T, Vec<Problem>> {
    let title = format!("`{key}` is {}, but must be {expected}", article(value.get_ref()));
    let mut problem =
        Problem::new(Code::WrongType, title, value.span()).label(format!("expected {expected}"));
    if let Some(help) = help {
        problem = problem.help(help);
    }
    Err(vec![problem])
}

fn out_of_range<T>(
    key: &str,
    value: &Spanned<DeValue<'_>>,
    [shown, min, max]: [&str; 3],
) -> Result<T, Vec<Problem>> {
    let title = format!("`{key}` is {shown}, but must lie between {min} and {max}");
    let problem =
        Problem::new(Code::OutOfRange, title, value.span()).label(format!("not between {min} and {max}"));
    Err(vec![match shown.trim_end_matches(|unit: char| unit.is_ascii_alphabetic()) {
        "0" => problem.help("0 does not mean \"off\": without the key the default holds"),
        _ => problem,
    }])
}

impl Kind for Time {
    type Value = Duration;

    fn describe(&self) -> String {
        format!("time, {} to {}", write_time(self.min), write_time(self.max))
    }

    fn write(&self, value: &Duration) -> String {
        format!("\"{}\"", write_time(*value))
    }

    fn read(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<Duration, Vec<Problem>> {
        let Some(text) = value.get_ref().as_str() else {
            let help = value.get_ref().as_integer().map(|number| format!("with a unit: \"{number}s\""));
            return wrong_type(key, value, "a time in quotes, as in \"10s\"", help);
        };
        let time = parse_time(text).map_err(|reason| {
            let title = format!("`{key}` is {text:?}, which is no time");
            let problem = Problem::new(Code::NotTime, title, value.span()).label(reason);
            vec![
                problem.help("times are whole numbers with a unit, as in \"250ms\", \"10s\", \"5m\", \"1h\""),
            ]
        })?;
        if (self.min..=self.max).contains(&time) {
            return Ok(time);
        }
        out_of_range(key, value, [text, &write_time(self.min), &write_time(self.max)])
    }
}

impl<T: Copy + Into<u64> + TryFrom<u64>> Kind for Size<T> {
    type Value = T;

    fn describe(&self) -> String {
        format!("size, {} to {}", write_size(self.min.into()), write_size(self.max.into()))
    }

    fn write(&self, value: &T) -> String {
        format!("\"{}\"", write_size((*value).into()))
    }

    fn read(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<T, Vec<Problem>> {
        let Some(text) = value.get_ref().as_str() else {
            let help = value.get_ref().as_integer().map(|number| format!("with a unit: \"{number}B\""));
            return wrong_type(key, value, "a size in quotes, as in \"64KiB\"", help);
        };
        let size =
            parse_size(text).map_err(|reason| {
                let title = format!("`{key}` is {text:?}, which is no size");
                let problem = Problem::new(Code::NotSize, title, value.span()).label(reason);
                vec![problem.help(
                    "sizes are whole numbers with a unit, as in \"512B\", \"64KiB\", \"1MiB\", \"2GiB\"",
                )]
            })?;
        let (min, max) = (self.min.into(), self.max.into());
        match T::try_from(size) {
            Ok(value) if (min..=max).contains(&size) => Ok(value),
            _ => out_of_range(key, value, [text, &write_size(min), &write_size(max)]),
        }
    }
}

impl<T: Copy + Into<u64> + TryFrom<u64>> Kind for Number<T> {
    type Value = T;

    fn describe(&self) -> String {
        format!("{}, {} to {}", self.of, self.min.into(), self.max.into())
    }

    fn write(&self, value: &T) -> String {
        (*value).into().to_string()
    }

    fn read(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<T, Vec<Problem>> {
        let Some(integer) = value.get_ref().as_integer() else {
            let is_number =
                |text: &&str| !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
            let help =
                value.get_ref().as_str().filter(is_number).map(|text| format!("without quotes: {text}"));
            return wrong_type(key, value, "a whole number", help);
        };
        let (min, max) = (self.min.into(), self.max.into());
        let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        match number.filter(|number| (min..=max).contains(number)).and_then(|number| T::try_from(number).ok())
        {
            Some(number) => Ok(number),
            // The default is more than one.
            None if number == Some(0) && self.of == "attempts" => {
                let title = format!("`{key}` is 0, but must lie between {min} and {max}");
                let problem = Problem::new(Code::OutOfRange, title, value.span())
                    .label(format!("not between {min} and {max}"));
                Err(vec![problem.help("the first attempt counts: with 1 nothing is sent again")])
            }
            None => out_of_range(key, value, [&integer.to_string(), &min.to_string(), &max.to_string()]),
        }
    }
}

impl Kind for Fraction {
    type Value = u32;

    fn describe(&self) -> String {
        "part of the whole, 0 to 1 in steps of 0.01".to_owned()
    }

    fn write(&self, value: &u32) -> String {
        format!("{}.{:02}", value / 100, value % 100)
    }

    fn read(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<u32, Vec<Problem>> {
        let text = match value.get_ref() {
            DeValue::Integer(number) => number.to_string(),
            DeValue::Float(number) => number.as_str().to_owned(),
            _ => return wrong_type(key, value, "a number, as in 0.2", None),
        };
        let percent = text.parse::<f64>().map_or(f64::NAN, |number| number * 100.0);
        if !(0.0..=100.0).contains(&percent) {
            return out_of_range(key, value, [&text, "0", "1"]);
        }
        if (percent - percent.round()).abs() > 1e-6 {
            let title = format!("`{key}` is {text}, but must be a whole number of hundredths");
            return Err(vec![Problem::new(Code::OutOfRange, title, value.span()).label("finer than 0.01")]);
        }
        // It is a whole number between 0 and 100.
        Ok(percent.round() as u32)
    }
}

impl Kind for Flag {
    type Value = bool;

    fn describe(&self) -> String {
        "true or false".to_owned()
    }

    fn write(&self, value: &bool) -> String {
        value.to_string()
    }

    fn read(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<bool, Vec<Problem>> {
        match value.get_ref().as_bool() {
            Some(flag) => Ok(flag),
            None => wrong_type(key, value, "true or false", None),
        }
    }
}

impl<T: Copy + PartialEq> Kind for Words<T> {
    type Value = T;

    fn describe(&self) -> String {
        self.choice()
    }

    fn write(&self, value: &T) -> String {
        let word = self.words.iter().find(|(_, other)| other == value).map_or("", |(word, _)| word);
        format!("{word:?}")
    }

    fn read(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<T, Vec<Problem>> {
        let Some(text) = value.get_ref().as_str() else {
            return wrong_type(key, value, &self.choice(), None);
        };
        if let Some((_, found)) = self.words.iter().find(|(word, _)| *word == text) {
            return Ok(*found);
        }
        let problem = match self.later.iter().find(|(word, _)| *word == text) {
            Some((word, feature)) => {
                Problem::new(Code::NotYet, format!("`{key} = {word:?}` is not served yet"), value.span())
                    .label(format!("this version does not have {feature}"))
                    .help(format!("what is served: {}", self.choice()))
            }
            None => {
                let known = || self.words.iter().map(|(word, _)| *word);
                // "http" begins "http/1.1", and is nearer to "https" by its letters alone.
                let begins = |word: &&str| {
                    let rest = word.strip_prefix(text).filter(|_| !text.is_empty());
                    rest.is_some_and(|rest| rest.starts_with(|next: char| !next.is_ascii_alphanumeric()))
                };
                let meant = known().find(begins).or_else(|| similar(text, known()));
                let meant = meant.map(|word| format!("did you mean {word:?}?"));
                let title = format!("`{key}` cannot be {text:?}");
                Problem::new(Code::UnknownWord, title, value.span())
                    .label(format!("expected {}", self.choice()))
                    .help(meant.unwrap_or_else(|| format!("it is {}", self.choice())))
            }
        };
        Err(vec![problem])
    }
}

impl<T> Words<T> {
    fn choice(&self) -> String {
        let all: Vec<_> = self.words.iter().map(|(word, _)| format!("{word:?}")).collect();
        match all.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
            None => String::new(),
        }
    }
}

impl<T> Kind for Text<T> {
    type Value = T;

    fn describe(&self) -> String {
        self.what.to_owned()
    }

    fn write(&self, value: &T) -> String {
        format!("{:?}", (self.write)(value))
    }

    fn read(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<T, Vec<Problem>> {
        let Some(text) = value.get_ref().as_str() else {
            return wrong_type(key, value, &format!("{} in quotes", self.what), None);
        };
        (self.parse)(text).map_err(|reason| {
            let title = format!("{text:?} is not {}", self.what);
            vec![Problem::new(self.code, title, value.span()).label(reason).help(self.help)]
        })
    }
}

impl<K: Kind> Kind for List<K> {
    type Value = Vec<K::Value>;

    fn describe(&self) -> String {
        format!("list of {} to {}: {}", self.min, self.max, self.of.describe())
    }

    fn write(&self, values: &Vec<K::Value>) -> String {
        let all: Vec<_> = values.iter().map(|value| self.of.write(value)).collect();
        format!("[{}]", all.join(", "))
    }

    fn read(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<Vec<K::Value>, Vec<Problem>> {
        let Some(entries) = value.get_ref().as_array() else {
            let help = value.get_ref().as_str().map(|text| format!("in brackets: [{text:?}]"));
            return wrong_type(key, value, "a list", help);
        };
        let (mut read, mut problems) = (Vec::new(), Vec::new());
        for entry in entries.iter() {
            match self.of.read(key, entry) {
                Ok(entry) => read.push(entry),
                Err(more) => problems.extend(more),
            }
        }
        if problems.is_empty() && !(self.min..=self.max).contains(&entries.len()) {
            let title = format!(
                "`{key}` has {} entries, but must have between {} and {}",
                entries.len(),
                self.min,
                self.max
            );
            let label = format!("not between {} and {} entries", self.min, self.max);
            problems.push(Problem::new(Code::OutOfRange, title, value.span()).label(label));
        }
        if problems.is_empty() { Ok(read) } else { Err(problems) }
    }
}

impl<K: Kind> Kind for At<K> {
    type Value = Located<K::Value>;

    fn describe(&self) -> String {
        self.0.describe()
    }

    fn write(&self, value: &Self::Value) -> String {
        self.0.write(&value.value)
    }

    fn read(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<Self::Value, Vec<Problem>> {
        let read = self.0.read(key, value)?;
        Ok(Located { value: read, at: value.span() })
    }
}
