//! What the lines of a section that concern the connection say: looked through once, before anything is kept.

use httparse::Header;

use crate::h1::framing::{Codings, Framing};
use crate::message;
use crate::message::Version;

/// The most fields that `Connection` may name beside options that are known, and their octets: a connection may keep them for as
/// long as content comes.
const NOMINATED_MAX: (usize, usize) = (32, 512);

/// Names of fields in lower case that `Connection` gave in a head: trailers do not bring them on either.
#[derive(Clone, Debug)]
pub(crate) struct Nominated(Box<[u8]>);

impl Nominated {
    /// Whether this name, in lower case, is one of them.
    pub(crate) fn has(&self, name: &[u8]) -> bool {
        self.0.split(|&octet| octet == b',').any(|one| one == name)
    }
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Survey<'a> {
    pub(crate) hosts: usize,
    /// The last of them.
    pub(crate) host: Option<&'a [u8]>,
    /// Lines of content-length.
    pub(crate) lengths: usize,
    /// One of them is not `0`.
    pub(crate) has_length: bool,
    pub(crate) codings: Codings,
    /// There is a line of `Expect`, whatever it says.
    pub(crate) expects: bool,
    /// `TE: trailers`.
    pub(crate) te_trailers: bool,
    /// `Connection: upgrade`.
    pub(crate) upgrade_option: bool,
    /// `Upgrade`, where there is one line of it.
    pub(crate) upgrade: Option<&'a [u8]>,
    /// `Sec-WebSocket-Key`, where there is one line of it.
    pub(crate) websocket_key: Option<&'a [u8]>,
    /// `Sec-WebSocket-Accept`, likewise.
    pub(crate) websocket_accept: Option<&'a [u8]>,
    /// `Keep-Alive: timeout=…`, in seconds.
    pub(crate) idle_max: Option<u32>,
    close: bool,
    keep_alive: bool,
    nominated: Vec<&'a [u8]>,
    nominated_octets: usize,
}

/// A line that means something only where it is the only one of its name.
#[derive(Default)]
struct Single<'a> {
    value: Option<&'a [u8]>,
    lines: usize,
}

impl<'a> Single<'a> {
    fn put(&mut self, value: &'a [u8]) {
        self.value = Some(value);
        self.lines += 1;
    }

    fn get(self) -> Option<&'a [u8]> {
        self.value.filter(|_| self.lines == 1)
    }
}

impl<'a> Survey<'a> {
    /// Looks through all lines; `None` where `Connection` is malformed or names a field that frames or routes the message.
    pub(crate) fn of(headers: &[Header<'a>]) -> Option<Self> {
        let mut survey = Self::default();
        let [mut upgrade, mut key, mut accept] = [const { Single { value: None, lines: 0 } }; 3];
        for &Header { name, value } in headers {
            let is = |other: &str| name.eq_ignore_ascii_case(other);
            match name.len() {
                2 if is("te") => {
                    survey.te_trailers |= elements(value).any(|one| one.eq_ignore_ascii_case(b"trailers"))
                }
                4 if is("host") => {
                    survey.host = Some(value);
                    survey.hosts += 1;
                }
                6 if is("expect") => survey.expects = true,
                7 if is("upgrade") => upgrade.put(value),
                10 if is("connection") => survey.read_connection(value)?,
                10 if is("keep-alive") => survey.read_keep_alive(value),
                14 if is("content-length") => {
                    survey.lengths += 1;
                    survey.has_length |= value != b"0";
                }
                17 if is("transfer-encoding") => survey.codings.add(value),
                17 if is("sec-websocket-key") => key.put(value),
                20 if is("sec-websocket-accept") => accept.put(value),
                _ => {}
            }
        }
        (survey.upgrade, survey.websocket_key, survey.websocket_accept) =
            (upgrade.get(), key.get(), accept.get());
        Some(survey)
    }

    /// RFC 9110 section 7.6.1. What frames or routes a message cannot concern one connection only: who names it wants the
    /// next hop to see another message than this one.
    fn read_connection(&mut self, value: &'a [u8]) -> Option<()> {
        for option in elements(value).filter(|option| !option.is_empty()) {
            let is = |other: &str| option.eq_ignore_ascii_case(other.as_bytes());
            if is("close") {
                self.close = true;
            } else if is("keep-alive") {
                self.keep_alive = true;
            } else if is("upgrade") {
                self.upgrade_option = true;
            } else if !is("te") && !is("transfer-encoding") && !is("http2-settings") {
                let frames_or_routes = is("host") || is("content-length");
                self.nominated_octets += option.len();
                let too_many =
                    self.nominated.len() >= NOMINATED_MAX.0 || self.nominated_octets > NOMINATED_MAX.1;
                if frames_or_routes || !message::is_token(option) || too_many {
                    return None;
                }
                self.nominated.push(option);
            }
        }
        Some(())
    }

    /// A hint, which RFC 9112 section 9.5 does not define, and many servers give: after so many seconds without a request they close the connection.
    fn read_keep_alive(&mut self, value: &[u8]) {
        let seconds = |parameter: &[u8]| {
            let (name, value) = parameter.split_at_checked(b"timeout=".len())?;
            let value =
                core::str::from_utf8(value).ok().filter(|_| name.eq_ignore_ascii_case(b"timeout="))?;
            value.parse::<u32>().ok()
        };
        let said = elements(value).filter_map(seconds).min();
        self.idle_max = said.into_iter().chain(self.idle_max).min();
    }

    /// Whether `Connection` names the field.
    pub(crate) fn is_nominated(&self, name: &[u8]) -> bool {
        self.nominated.iter().any(|option| option.eq_ignore_ascii_case(name))
    }

    /// The fields that `Connection` names, to be kept for trailers; `None` where there are none, or no trailers can follow.
    pub(crate) fn nominated_behind(&self, framing: Framing) -> Option<Box<Nominated>> {
        let has_trailers = framing == Framing::Chunked && !self.nominated.is_empty();
        has_trailers.then(|| Box::new(Nominated(self.nominated.join(&b","[..]).to_ascii_lowercase().into())))
    }

    /// RFC 9112 section 9.3.
    pub(crate) fn is_persistent(&self, version: Version) -> bool {
        !self.close && (self.keep_alive || version > Version::Http10)
    }
}

/// The elements of a list (RFC 9110 section 5.6.1).
fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&octet| octet == b',').map(<[u8]>::trim_ascii)
}
