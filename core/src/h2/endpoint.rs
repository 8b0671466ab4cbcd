//! What [`Client`](super::Client) and [`Server`](super::Server) share: an inbox beside the connection, and the way
//! between field sections and the types of the `http` crate.

use std::borrow::Cow;

use http::header::{COOKIE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, Version, request, uri};

use crate::error::ConnectionError;
use crate::fields::{FieldLine, FieldName, FieldSection, FieldWriter};
use crate::h2::connection::Connection;
use crate::h2::event::{Event, Input};
use crate::h2::unsent::OpenError;
use crate::message;
use crate::outbox::OctetQueue;

/// A connection with the octets that it has not taken yet.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) connection: Connection,
    pub(crate) inbox: OctetQueue,
    /// Where heads are made.
    pub(crate) writer: FieldWriter,
    /// What ended the connection while an event was translated: told behind that event.
    failed: Option<ConnectionError>,
}

impl Endpoint {
    pub(crate) fn new(connection: Connection) -> Self {
        let writer = FieldWriter::new(connection.seed());
        Self { connection, inbox: OctetQueue::default(), writer, failed: None }
    }

    /// The next event that `translate` makes something of. It may find that the connection has to end.
    pub(crate) fn poll<T>(
        &mut self,
        translate: impl Fn(&mut Connection, Event<'_>, &mut Option<ConnectionError>) -> Option<T>,
    ) -> Result<Option<T>, ConnectionError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        loop {
            let Self { connection, inbox, failed, .. } = self;
            let mut input = Input::new(inbox.as_slice());
            let event = connection
                .poll_event(&mut input)
                .map(|event| event.map(|event| translate(connection, event, failed)));
            let taken = inbox.len() - input.remaining().len();
            inbox.consume(taken);
            match event? {
                Some(Some(event)) => return Ok(Some(event)),
                Some(None) => {}
                None => return Ok(None),
            }
        }
    }

    /// Cuts what the windows allow and shows what waits.
    pub(crate) fn transmit(&mut self) -> Option<&[u8]> {
        while self.connection.cut().is_some() {}
        Some(self.connection.transmit()).filter(|octets| !octets.is_empty())
    }
}

/// The methods that a client and a server have in common.
macro_rules! common_methods {
    () => {
        /// Octets from the transport. Take the events afterwards.
        pub fn handle_recv(&mut self, octets: &[u8]) {
            self.endpoint.inbox.extend(octets);
        }

        /// Whether octets are to be read from the transport, and events to be taken: not while twice
        /// [`outbox_high_mark`](crate::config::ConnectionConfig::outbox_high_mark) of output waits that the peer does not take (once and a frame, if
        /// that is more). Whoever asks
        /// all the same lets a peer that reads nothing fill the memory with what it is answered.
        pub fn wants_input(&self) -> bool {
            !self.endpoint.connection.is_congested()
        }

        /// Octets for the transport; `None` where none waits. Report what left with
        /// [`handle_sent`](Self::handle_sent).
        pub fn poll_transmit(&mut self) -> Option<&[u8]> {
            self.endpoint.transmit()
        }

        /// `n` octets of [`poll_transmit`](Self::poll_transmit) left.
        pub fn handle_sent(&mut self, n: usize) {
            self.endpoint.connection.sent(n);
        }

        /// Appends content to the message on this stream; `end` ends it. Everything is taken: what the peer's windows
        /// do not allow waits in memory, so look at [`queued`](Self::queued) before sending more.
        ///
        /// # Errors
        ///
        /// The stream is gone, its message has ended, has no head yet, or is a response without content, which only ends.
        pub fn send_data(&mut self, stream: StreamKey, data: &[u8], end: bool) -> Result<(), SendError> {
            if !data.is_empty() && self.endpoint.connection.is_without_content(stream) {
                return Err(SendError::NoContent);
            }
            self.endpoint.connection.send_data(stream, data, end).map(|_| ())
        }

        /// Ends the message with trailers.
        ///
        /// # Errors
        ///
        /// The stream is gone, its message has ended, or has no head yet.
        pub fn send_trailers(
            &mut self,
            stream: StreamKey,
            trailers: &http::HeaderMap,
        ) -> Result<(), SendError> {
            let fields = endpoint::trailer_fields(trailers, self.endpoint.connection.seed());
            self.endpoint.connection.send_trailers(stream, fields).map(|_| ())
        }

        /// Octets of content that wait for the peer's windows or for their turn.
        pub fn queued(&self, stream: StreamKey) -> usize {
            self.endpoint.connection.queued(stream)
        }

        /// Gives the window of received content back to its sender, once the octets are dealt with. All credit comes back here, also that of streams
        /// that were reset by either side, or that the peer never processed: the connection's window is for all of them, and what is kept of it,
        /// or dropped, nobody can use any more. [`credit_lost`](Self::credit_lost) says how much that is.
        pub fn release(&mut self, stream: StreamKey, credit: Credit<Both>) {
            self.endpoint.connection.release(stream, credit);
        }

        /// Octets of the connection's window that were not given back although no stream is left: for tests, where it is 0.
        pub fn credit_lost(&self) -> u64 {
            self.endpoint.connection.credit_lost()
        }

        /// The peer may send so many octets more on the stream, at once and for good: of one that began without a window
        /// ([`initial_window_size`](crate::config::ConnectionConfig::initial_window_size)) nothing comes before.
        pub fn widen(&mut self, stream: StreamKey, by: u32) {
            self.endpoint.connection.widen_recv_window(stream, by);
        }

        /// Resets a stream.
        pub fn reset(&mut self, stream: StreamKey, error_code: ErrorCode) {
            self.endpoint.connection.reset(stream, error_code);
        }

        /// Sends a PING; its answer is an event.
        pub fn ping(&mut self, payload: [u8; 8]) {
            self.endpoint.connection.ping(payload);
        }

        /// Says that no new stream will be served or opened; those that exist go on (RFC 9113 section 6.8).
        pub fn goaway(&mut self) {
            self.endpoint.connection.goaway();
        }

        /// Whether the connection ended with an error: send what waits, then close.
        pub fn has_failed(&self) -> bool {
            self.endpoint.connection.has_failed()
        }

        /// So much time has passed, which is worth something to a peer that has cost more than it brought
        /// ([`misuse_max`](crate::config::ConnectionConfig::misuse_max)): to be called now and then, as with any input, or each
        /// PING of a connection that is kept for long is counted for ever, and a peer with a thousand of them is cut off. Returns how much of the time was made use of; the
        /// rest is to be counted again.
        pub fn forgive(&mut self, time: $crate::time::Duration) -> $crate::time::Duration {
            self.endpoint.connection.forgive(time)
        }

        /// What the peer has announced; until its SETTINGS came, what holds without (RFC 9113 section 6.5.2).
        pub fn peer_settings(&self) -> &$crate::h2::settings::PeerSettings {
            self.endpoint.connection.peer_settings()
        }

        /// What has passed so far.
        pub fn traffic(&self) -> &$crate::h2::Traffic {
            self.endpoint.connection.traffic()
        }

        /// Streams that are open in at least one direction.
        pub fn open_streams(&self) -> usize {
            self.endpoint.connection.open_streams()
        }

        /// The identifier of a stream on the wire.
        pub fn stream_id(&self, stream: StreamKey) -> Option<u32> {
            self.endpoint.connection.stream_id(stream)
        }
    };
}
pub(crate) use common_methods;

/// The protocol of an extended CONNECT (RFC 8441 section 4), as an extension of a CONNECT request: what its `:protocol` says.
/// `websocket`, for example. A server meets it only if its
/// [`extended_connect`](crate::config::ConnectionConfig::extended_connect) is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol(pub String);

/// The fields of a trailer section.
pub(crate) fn trailer_fields(trailers: &HeaderMap, seed: u64) -> FieldSection {
    let mut fields = FieldSection::new();
    for (name, value, is_sensitive) in fields_of(trailers) {
        let line = FieldLine::new(name, value, seed);
        fields.push(if is_sensitive { line.never_indexed() } else { line });
    }
    fields
}

/// Header fields but those that mean something to one hop of HTTP/1 only (RFC 9113 section 8.2.2), without blanks at the ends
/// (section 8.2.1), and whether they are sensitive: such are never indexed (RFC 7541 section 7.1.3).
fn fields_of(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8], bool)> {
    let all =
        headers.iter().map(|(name, value)| (name.as_str().as_bytes(), trimmed(value), value.is_sensitive()));
    all.filter(|(name, value, _)| match FieldName::of(name) {
        FieldName::ConnectionSpecific => false, // 9113-8.2.2-01
        FieldName::Te => value.eq_ignore_ascii_case(b"trailers"), // 9113-8.2.2-03
        _ => true,
    })
}

fn write(writer: &mut FieldWriter, (name, value, is_sensitive): (&[u8], &[u8], bool)) {
    if is_sensitive {
        writer.push_never_indexed(name, value);
    } else {
        writer.push(name, value);
    }
}

/// What the type allows and HTTP does not: blanks around the value, which mean nothing (RFC 9110 section 5.5).
fn trimmed(value: &HeaderValue) -> &[u8] {
    let is_blank = |octet: &u8| matches!(octet, b' ' | b'\t');
    let mut octets = value.as_bytes();
    while let [first, rest @ ..] = octets
        && is_blank(first)
    {
        octets = rest;
    }
    while let [rest @ .., last] = octets
        && is_blank(last)
    {
        octets = rest;
    }
    octets
}

/// The fields of a request (RFC 9113 section 8.3.1). The authority is said once, in `:authority`: `host` would be the
/// same or wrong. Of what the types of `http` do not check, the protocol, a `host` in its place and octets of the path beyond ASCII,
/// nothing leaves that cannot stand there.
pub(crate) fn request_fields<'w>(
    request: &Request<()>,
    writer: &'w mut FieldWriter,
) -> Result<&'w FieldSection, OpenError> {
    writer.restart();
    let uri = request.uri();
    let protocol = request.extensions().get::<Protocol>();
    // 8441-4-02: an extended CONNECT has a target like any other request.
    let is_connect = request.method() == http::Method::CONNECT;
    if protocol.is_some_and(|Protocol(name)| !is_connect || !message::is_token(name.as_bytes())) {
        return Err(OpenError::Malformed);
    }
    let connect = is_connect && protocol.is_none();
    writer.push(b":method", request.method().as_str().as_bytes());
    if let Some(Protocol(protocol)) = protocol {
        writer.push(b":protocol", protocol.as_bytes());
    }
    if !connect {
        writer.push(b":scheme", uri.scheme_str().unwrap_or("http").as_bytes());
    }
    let host = || request.headers().get(HOST).map(trimmed);
    if let Some(authority) = uri.authority().map(without_userinfo).or_else(host) {
        if !message::is_authority(authority) {
            return Err(OpenError::Malformed);
        }
        writer.push(b":authority", authority); // 9113-8.3.1-02
    } else if connect {
        return Err(OpenError::Malformed); // 9113-8.5-01
    }
    if !connect {
        let path = path_of(uri);
        if !message::is_path(path.as_bytes(), request.method().as_str().as_bytes()) {
            return Err(OpenError::Malformed);
        }
        writer.push(b":path", path.as_bytes());
    }
    // 9113-8.3.1-03
    let but_host = fields_of(request.headers()).filter(|(name, ..)| *name != b"host");
    but_host.for_each(|line| write(writer, line));
    Ok(writer.section())
}

/// 9113-8.3.1-09, 9110-4.2.4-01: user and password are not part of it.
fn without_userinfo(authority: &uri::Authority) -> &[u8] {
    let whole = authority.as_str();
    whole.rsplit_once('@').map_or(whole, |(_, authority)| authority).as_bytes()
}

/// 9113-8.3.1-10: a target without a path has one of one character.
fn path_of(uri: &Uri) -> Cow<'_, str> {
    match uri.path_and_query().map_or("/", uri::PathAndQuery::as_str) {
        query if query.starts_with('?') => Cow::Owned(format!("/{query}")),
        path => Cow::Borrowed(path),
    }
}

/// The fields of a response (RFC 9113 section 8.3.2).
pub(crate) fn response_fields<'w>(response: &Response<()>, writer: &'w mut FieldWriter) -> &'w FieldSection {
    writer.restart();
    writer.push(b":status", response.status().as_str().as_bytes());
    fields_of(response.headers()).for_each(|line| write(writer, line));
    writer.section()
}

/// A request as the `http` crate knows it. `None` where that crate does not take what HTTP allows.
pub(crate) fn to_request(fields: &FieldSection) -> Option<Request<()>> {
    let mut parts = request::Builder::new();
    let mut target = uri::Builder::new();
    for line in fields.iter() {
        match line.facts.name {
            FieldName::Method => parts = parts.method(line.value),
            FieldName::Scheme => target = target.scheme(line.value),
            FieldName::Authority => target = target.authority(line.value), // 9113-8.3.1-01
            FieldName::Path => target = target.path_and_query(line.value),
            FieldName::Protocol => {
                parts = parts.extension(Protocol(String::from_utf8(line.value.to_vec()).ok()?));
            }
            _ => {}
        }
    }
    let uri = match target.build() {
        Ok(uri) => uri,
        Err(_) => origin_form(fields)?,
    };
    let mut request = parts.uri(uri).version(Version::HTTP_2).body(()).ok()?;
    *request.headers_mut() = with_one_cookie(to_headers(fields)?)?;
    Some(request)
}

/// 9113-8.2.3-02: cookie lines are one where somebody else than HTTP/2 looks at them.
fn with_one_cookie(mut headers: HeaderMap) -> Option<HeaderMap> {
    let crumbs: Vec<&HeaderValue> = headers.get_all(COOKIE).iter().collect();
    if crumbs.len() > 1 {
        let octets = crumbs.iter().map(|crumb| crumb.as_bytes()).collect::<Vec<_>>().join(&b"; "[..]);
        let sensitive = crumbs.iter().any(|crumb| crumb.is_sensitive());
        let mut joined = HeaderValue::from_bytes(&octets).ok()?;
        joined.set_sensitive(sensitive);
        headers.try_insert(COOKIE, joined).ok()?;
    }
    Some(headers)
}

/// A request without authority has only a path. One with an authority must not lose it.
fn origin_form(fields: &FieldSection) -> Option<Uri> {
    if fields.value_of(FieldName::Authority).is_some() {
        return None;
    }
    Uri::try_from(fields.value_of(FieldName::Path)?).ok()
}

/// A response as the `http` crate knows it. `None` where that crate does not take what HTTP allows.
pub(crate) fn to_response(fields: &FieldSection) -> Option<Response<()>> {
    let mut response = Response::new(());
    *response.version_mut() = Version::HTTP_2;
    *response.status_mut() = StatusCode::from_bytes(fields.value_of(FieldName::Status)?).ok()?;
    *response.headers_mut() = to_headers(fields)?;
    Some(response)
}

/// All fields but the pseudo-header fields.
pub(crate) fn to_headers(fields: &FieldSection) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for line in fields.iter().filter(|line| !line.facts.name.is_pseudo()) {
        let name = HeaderName::from_bytes(line.name).ok()?;
        let mut value = HeaderValue::from_bytes(line.value).ok()?;
        value.set_sensitive(line.never_indexed);
        headers.try_append(name, value).ok()?;
    }
    Some(headers)
}
