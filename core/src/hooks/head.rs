//! A message head in the hands of a hook, and what a hook's own answer becomes.

use core::fmt;

use bytes::Bytes;

use crate::fields::{FieldFacts, FieldLine, FieldName, FieldSection, Origin};
use crate::hooks::{HookFailed, Transform};
use crate::message::{self, Malformed, Method, RequestHead, RequestRules, ResponseHead, is_bare};

/// What a head may grow to, in octets as RFC 9113 section 6.5.2 counts them. One that came larger may stay as large.
const HEAD_OCTETS_MAX: usize = 256 << 10;

/// Why a field was not changed. Nothing else was, either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FieldError {
    /// The name is no token in lower case (RFC 9113 section 8.2.1).
    Name,
    /// The field frames, routes or holds back the message, or the gateway writes it.
    Reserved,
    /// The value has an octet that no value has, or a blank at an end (RFC 9113 section 8.2.1).
    Value,
    /// The head would become too large.
    TooLarge,
    /// There is no such pseudo-header field to change.
    Absent,
    /// The status is not a final one, or one whose responses have content where this one has none, or the other way round.
    Status,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "the name is no token in lower case",
            Self::Reserved => "the field is out of reach",
            Self::Value => "the value has octets that no value has",
            Self::TooLarge => "the head becomes too large",
            Self::Absent => "there is no such pseudo-header field",
            Self::Status => "a response with this content cannot have this status",
        })
    }
}

impl core::error::Error for FieldError {}

/// A message head that a hook may change; `H` is [`RequestHead`] or [`ResponseHead`].
///
/// Names are in lower case. Fields out of reach can be read and not changed: `connection` and those like it, `te`,
/// `content-length`, `host`, `expect`, `via`, and pseudo-header fields, for some of which there are methods.
///
/// What is set or removed here does not come back in the message's trailers (RFC 9110 section 6.5.1).
pub struct HeadMut<'a, H> {
    fields: &'a mut FieldSection,
    head: H,
    seed: u64,
    /// Octets that it may have.
    most: usize,
    beside: Beside,
}

/// What a hook has said of a message beside its head.
#[derive(Default)]
pub(crate) struct Beside {
    /// Its content passes through this.
    pub(crate) transform: Option<Box<dyn Transform>>,
    /// Its trailers do not have these fields, whose values mean nothing.
    pub(crate) kept_out: Option<Box<FieldSection>>,
}

impl<'a, H> HeadMut<'a, H> {
    pub(crate) fn new(fields: &'a mut FieldSection, head: H, seed: u64) -> Self {
        let most = fields.size().max(HEAD_OCTETS_MAX);
        Self { fields, head, seed, most, beside: Beside::default() }
    }

    /// What the message says of itself, before any change.
    pub fn head(&self) -> &H {
        &self.head
    }

    /// All fields as they are now, pseudo-header fields included.
    pub fn fields(&self) -> &FieldSection {
        self.fields
    }

    /// The value of the first line with this name.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.fields.get(name.as_ref())
    }

    /// Gives the field this value and no other. If a line of it was marked never to be indexed, this one is.
    ///
    /// # Errors
    ///
    /// Name or value are not allowed.
    pub fn set(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), FieldError> {
        let name = name.as_ref();
        let is_marked = self.fields.iter().any(|line| line.never_indexed && line.name == name);
        self.put(name, value.as_ref(), true, is_marked)
    }

    /// The same of a value that nobody must guess: it enters no compression table, here or at any later hop (RFC 7541 section 7.1.3).
    ///
    /// # Errors
    ///
    /// Name or value are not allowed.
    pub fn set_sensitive(
        &mut self,
        name: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), FieldError> {
        self.put(name.as_ref(), value.as_ref(), true, true)
    }

    /// Adds one more line, behind those that are there.
    ///
    /// # Errors
    ///
    /// Name or value are not allowed.
    pub fn add(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), FieldError> {
        self.put(name.as_ref(), value.as_ref(), false, false)
    }

    /// Removes the field.
    ///
    /// # Errors
    ///
    /// It is out of reach.
    pub fn remove(&mut self, name: impl AsRef<[u8]>) -> Result<(), FieldError> {
        let name = name.as_ref();
        let facts = FieldFacts::of_name(name, self.seed);
        check(&facts)?;
        self.fields.remove(name, &facts);
        self.keep_out(name, facts);
        Ok(())
    }

    /// Content passes through this; of two, only the later is used. So does none where the message has no content.
    ///
    /// Whoever transforms heeds `cache-control: no-transform` (RFC 9110 section 7.7), and changes what speaks of the octets:
    /// `content-encoding`, `etag` (section 8.8.1), `content-range`.
    pub fn transform(&mut self, transform: Box<dyn Transform>) {
        self.beside.transform = Some(transform);
    }

    /// What content would pass through, for whoever tests a hook.
    pub fn into_transform(self) -> Option<Box<dyn Transform>> {
        self.beside.transform
    }

    pub(crate) fn into_beside(self) -> Beside {
        self.beside
    }

    fn keep_out(&mut self, name: &[u8], facts: FieldFacts) {
        let names = self.beside.kept_out.get_or_insert_default();
        if names.get(name).is_none() {
            names.push(FieldLine { name, value: b"", facts, never_indexed: false, origin: Origin::NONE });
        }
    }

    fn put(&mut self, name: &[u8], value: &[u8], alone: bool, never_indexed: bool) -> Result<(), FieldError> {
        let facts = FieldFacts::of_name(name, self.seed);
        check(&facts)?;
        let facts = facts.with_value(value, self.seed);
        if !facts.well_formed {
            return Err(FieldError::Value);
        }
        let line = FieldLine { name, value, facts, never_indexed, origin: Origin::NONE };
        let goes = |other: &FieldLine<'_>| alone && other.name == name;
        if self.fields.size() + line.size() > self.most
            && self.fields.size() + line.size() - self.octets_of(goes) > self.most
        {
            return Err(FieldError::TooLarge);
        }
        if alone {
            self.fields.remove(name, &facts);
            self.keep_out(name, facts);
        }
        self.fields.push(line);
        Ok(())
    }

    /// What these lines share of the size.
    fn octets_of(&self, which: impl Fn(&FieldLine<'_>) -> bool) -> usize {
        self.fields.iter().filter(which).map(|line| line.size()).sum()
    }

    fn replace(&mut self, name: FieldName, value: &[u8]) -> Result<(), FieldError> {
        let before = self.fields.value_of(name).map_or(0, <[u8]>::len);
        if self.fields.size() - before + value.len() > self.most {
            return Err(FieldError::TooLarge);
        }
        if self.fields.replace_value(name, value, self.seed) { Ok(()) } else { Err(FieldError::Absent) }
    }
}

impl<'a> HeadMut<'a, RequestHead> {
    /// A request for a hook that is tested outside of a gateway. The lines of `fields` were made with this seed.
    ///
    /// # Errors
    ///
    /// It is none that a gateway would show to a hook.
    pub fn of_request(
        fields: &'a mut FieldSection,
        rules: &RequestRules,
        seed: u64,
    ) -> Result<Self, Malformed> {
        let head = message::request(fields, rules)?;
        Ok(Self::new(fields, head, seed))
    }

    /// Changes `:path`: path and query. Whether it is one, is checked with the whole head. The route was chosen by the path that the client
    /// named, and stays.
    ///
    /// # Errors
    ///
    /// There is none; the head becomes too large.
    pub fn set_path(&mut self, path: impl AsRef<[u8]>) -> Result<(), FieldError> {
        self.replace(FieldName::Path, path.as_ref())
    }

    /// Changes `:authority`: host and port. Whether it is one, is checked with the whole head. It does not change which backend the
    /// request goes to. What the backend says of this authority in its response (`location`, cookies) is not mapped back to the client's, as it is
    /// for the authority of a route ([`RouteConfig::authority`](crate::config::RouteConfig::authority)).
    ///
    /// # Errors
    ///
    /// There is none; the head becomes too large; of CONNECT it is where the tunnel leads (RFC 9110 section 9.3.6), and out of reach.
    pub fn set_authority(&mut self, authority: impl AsRef<[u8]>) -> Result<(), FieldError> {
        if self.head.method == Method::Connect && self.fields.value_of(FieldName::Protocol).is_none() {
            return Err(FieldError::Reserved);
        }
        self.replace(FieldName::Authority, authority.as_ref())?;
        // It says the same, and does not any more.
        self.fields.retain(|line| line.facts.name != FieldName::Host);
        Ok(())
    }
}

impl<'a> HeadMut<'a, ResponseHead> {
    /// A response for a hook that is tested outside of a gateway. The lines of `fields` were made with this seed.
    ///
    /// # Errors
    ///
    /// It is none that a gateway would show to a hook: malformed, or interim, which counts as a bad status.
    pub fn of_response(fields: &'a mut FieldSection, seed: u64) -> Result<Self, Malformed> {
        let head = message::response(fields)?;
        if head.status < 200 {
            return Err(Malformed::StatusInvalid);
        }
        Ok(Self::new(fields, head, seed))
    }

    /// Changes `:status`, to one from 200 to 999. Between 204, 205 and 304, whose responses have no content
    /// (RFC 9110 section 6.4.1), and all others there is no way.
    ///
    /// # Errors
    ///
    /// The status is none of those.
    pub fn set_status(&mut self, status: u16) -> Result<(), FieldError> {
        let allowed = (200..=999).contains(&status)
            && (status == self.head.status || (!is_bare(status) && !is_bare(self.head.status)));
        if !allowed {
            return Err(FieldError::Status);
        }
        self.replace(FieldName::Status, status.to_string().as_bytes())
    }
}

impl<H: fmt::Debug> fmt::Debug for HeadMut<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeadMut").field("head", &self.head).finish_non_exhaustive()
    }
}

/// Takes fields out of trailers that hooks have set or removed in the head.
pub(crate) fn strip(trailers: &mut FieldSection, kept_out: Option<&FieldSection>) {
    let Some(names) = kept_out else { return };
    names.iter().for_each(|line| trailers.remove(line.name, &line.facts));
}

/// Whether a hook may change the field.
fn check(facts: &FieldFacts) -> Result<(), FieldError> {
    match facts.name {
        name if name.is_pseudo() => Err(FieldError::Reserved),
        FieldName::ConnectionSpecific
        | FieldName::Te
        | FieldName::Host
        | FieldName::ContentLength
        | FieldName::Expect
        | FieldName::Via => Err(FieldError::Reserved),
        _ if !facts.name_well_formed => Err(FieldError::Name),
        _ => Ok(()),
    }
}

/// The head of an answer that a hook gives, with `date` if it brings none of its own. Sensitive values are never to be indexed (RFC 7541
/// section 7.1.3).
pub(crate) fn answer_head(
    answer: &http::Response<Bytes>,
    date: &[u8],
    seed: u64,
) -> Result<FieldSection, HookFailed> {
    let status = answer.status().as_u16();
    if !(200..=999).contains(&status) || (is_bare(status) && !answer.body().is_empty()) {
        return Err(HookFailed::Answer);
    }
    let mut fields = FieldSection::new();
    fields.push(FieldLine::new(b":status", status.to_string().as_bytes(), seed));
    let mut head = HeadMut::new(&mut fields, (), seed);
    for (name, value) in answer.headers() {
        if name != http::header::CONTENT_LENGTH {
            head.put(name.as_ref(), value.as_bytes(), false, value.is_sensitive())?;
        }
    }
    if !answer.headers().contains_key(http::header::DATE) {
        head.put(b"date", date, false, false)?;
    }
    if !is_bare(status) {
        let length = answer.body().len().to_string();
        fields.push(FieldLine::new(b"content-length", length.as_bytes(), seed));
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: u64 = 5;

    fn fields(pairs: &[(&str, &str)]) -> FieldSection {
        let mut fields = FieldSection::new();
        pairs
            .iter()
            .for_each(|(name, value)| fields.push(FieldLine::new(name.as_bytes(), value.as_bytes(), SEED)));
        fields
    }

    #[test]
    fn what_frames_a_message_is_out_of_reach() {
        let mut section = fields(&[(":method", "GET"), ("content-length", "5"), ("a", "1")]);
        let before = section.clone();
        let mut head = HeadMut::new(&mut section, (), SEED);
        for name in [
            ":path",
            ":method",
            ":x",
            "connection",
            "te",
            "transfer-encoding",
            "content-length",
            "host",
            "expect",
            "via",
        ] {
            assert_eq!(head.set(name, "1"), Err(FieldError::Reserved), "{name}");
            assert_eq!(head.add(name, "1"), Err(FieldError::Reserved), "{name}");
            assert_eq!(head.remove(name), Err(FieldError::Reserved), "{name}");
        }
        for name in ["", "A", "a b", "a\r\nb", "a:b"] {
            assert_eq!(head.set(name, "1"), Err(FieldError::Name), "{name:?}");
        }
        for value in ["\r\n", "a\nb", "a\0", " a", "a "] {
            assert_eq!(head.add("a", value), Err(FieldError::Value), "{value:?}");
        }
        assert_eq!(head.set("a", vec![b'x'; HEAD_OCTETS_MAX]), Err(FieldError::TooLarge));
        assert_eq!(section, before);
    }

    /// The limit for heads may be set higher than what a hook may make of one.
    #[test]
    fn a_head_that_came_large_may_be_changed_without_growing() {
        let (cookie, path) = ("a".repeat(HEAD_OCTETS_MAX), format!("/{}", "b".repeat(9000)));
        let mut section = fields(&[
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "a"),
            (":path", &path),
            ("cookie", &cookie),
            ("x", "12"),
        ]);
        let before = section.size();
        let head = message::request(&section, &RequestRules::default()).expect("it is well-formed");
        let mut request = HeadMut::new(&mut section, head, SEED);
        assert_eq!((request.set("x", "34"), request.set_path("/c")), (Ok(()), Ok(())));
        // As large as it came, and no more.
        assert_eq!((request.add("y", "5"), request.set_path(&path)), (Ok(()), Err(FieldError::TooLarge)));
        assert_eq!(request.set("y", "6".repeat(9000)), Err(FieldError::TooLarge));
        assert_eq!((request.remove("y"), request.set_path(&path)), (Ok(()), Ok(())));
        assert_eq!([request.add("y", "5"), request.set("x", "345")], [Err(FieldError::TooLarge); 2]);
        assert_eq!(section.size(), before);
    }

    #[test]
    fn what_is_sensitive_in_an_answer_is_never_indexed() {
        let mut secret = http::HeaderValue::from_static("a=1");
        secret.set_sensitive(true);
        let answer = http::Response::builder().header("set-cookie", secret).header("x", "1");
        let fields = answer_head(&answer.body(Bytes::new()).unwrap(), b"today", SEED).unwrap();
        let never: Vec<_> = fields.iter().filter(|line| line.never_indexed).map(|line| line.name).collect();
        assert_eq!(never, [b"set-cookie"]);
    }

    #[test]
    fn a_changed_target_stays_in_front_and_is_alone() {
        let pairs =
            [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/"), ("host", "a")];
        let mut section = fields(&pairs);
        let head = message::request(&section, &RequestRules::default()).expect("it is well-formed");
        let mut request = HeadMut::new(&mut section, head, SEED);
        assert_eq!((request.set_path("/b?c"), request.set_authority("b:1")), (Ok(()), Ok(())));
        let expected =
            fields(&[(":method", "GET"), (":scheme", "http"), (":authority", "b:1"), (":path", "/b?c")]);
        assert_eq!((section.size(), &section), (expected.size(), &expected));
        let facts = |fields: &FieldSection| fields.iter().map(|line| line.facts).collect::<Vec<_>>();
        assert_eq!(facts(&section), facts(&expected));
    }

    #[test]
    fn heads_for_tests_are_those_that_a_gateway_would_show() {
        let mut request =
            fields(&[(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")]);
        let rules = RequestRules::default();
        let head = HeadMut::of_request(&mut request, &rules, SEED).map(|request| *request.head());
        assert_eq!(head.map(|head| head.method), Ok(Method::Get));
        let of = |status: &str| {
            let mut section = fields(&[(":status", status)]);
            HeadMut::of_response(&mut section, SEED).map(|response| response.head().status)
        };
        assert_eq!(of("404"), Ok(404));
        assert_eq!((of("103"), of("1")), (Err(Malformed::StatusInvalid), Err(Malformed::StatusInvalid)));
        let wrong = HeadMut::of_request(&mut fields(&[(":status", "200")]), &rules, SEED).err();
        assert_eq!(wrong, Some(Malformed::ResponsePseudoInRequest));
    }

    #[test]
    fn a_status_never_changes_whether_there_is_content() {
        let mut section = fields(&[(":status", "200")]);
        let head = message::response(&section).expect("it is well-formed");
        let mut response = HeadMut::new(&mut section, head, SEED);
        for status in [0, 100, 101, 199, 204, 205, 304, 1000] {
            assert_eq!(response.set_status(status), Err(FieldError::Status), "{status}");
        }
        assert_eq!(response.set_status(503), Ok(()));
        assert_eq!(response.get(":status"), Some(&b"503"[..]));
    }
}
