//! Hooks: code of whoever embeds the gateway, on the way of each request.
//!
//! Requests pass a gateway's parts like the skins of an onion: client, header rules of the route, hooks, backend; and
//! responses the other way round. A hook decides and changes; it waits for nobody. All it knows comes in as arguments,
//! the time included, so that a gateway with hooks is as deterministic as they are: a hook that asks a clock, a
//! generator or a socket of its own cannot be replayed.
//!
//! ```
//! use http::Response;
//! use shuntyard_core::fields::{FieldName, FieldSection};
//! use shuntyard_core::hooks::{Context, HeadMut, HookFailed, Hooks, Verdict};
//! use shuntyard_core::message::RequestHead;
//!
//! /// Lets nobody in without a key, and tells the backend which attempt this is.
//! struct Doorman;
//!
//! impl Hooks for Doorman {
//!     fn arrived(&mut self, _: &Context<'_>, request: &FieldSection) -> Verdict {
//!         if request.value_of(FieldName::Credentials).is_some() {
//!             return Verdict::Forward;
//!         }
//!         let mut answer = Response::new("a key is needed\n".into());
//!         *answer.status_mut() = http::StatusCode::UNAUTHORIZED;
//!         Verdict::Answer(answer)
//!     }
//!
//!     fn request(
//!         &mut self,
//!         context: &Context<'_>,
//!         request: &mut HeadMut<'_, RequestHead>,
//!     ) -> Result<Verdict, HookFailed> {
//!         request.set("x-attempt", context.attempt.to_string())?;
//!         Ok(Verdict::Forward)
//!     }
//! }
//!
//! # use shuntyard_core::{config::Config, gateway::Gateway, time::{Instant, WallClock}};
//! # let backend = "127.0.0.1:9000".parse::<core::net::SocketAddr>()?;
//! # let (config, now) = (Config::new(vec![backend.into()]), Instant::ZERO);
//! # let wall = WallClock { at: now, unix_seconds: 0 };
//! let gateway = Gateway::new(config, 1, now, wall)?.with_hooks(Box::new(Doorman));
//! # let _ = gateway;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Tests
//!
//! A hook is a function of what it is shown, and can be called without a gateway, by property tests too
//! (`strategies` draws fields):
//!
//! ```
//! # use shuntyard_core::address::Address;
//! # use shuntyard_core::hooks::{HookFailed, Hooks, Verdict};
//! # use shuntyard_core::message::RequestHead;
//! use shuntyard_core::fields::{FieldLine, FieldSection};
//! use shuntyard_core::hooks::{Context, HeadMut};
//! use shuntyard_core::message::RequestRules;
//! use shuntyard_core::record::RequestId;
//! use shuntyard_core::time::Instant;
//! # struct Numbers;
//! # impl Hooks for Numbers {
//! #     fn request(&mut self, context: &Context<'_>, request: &mut HeadMut<'_, RequestHead>) -> Result<Verdict, HookFailed> {
//! #         request.set("x-attempt", context.attempt.to_string())?;
//! #         Ok(Verdict::Forward)
//! #     }
//! # }
//! # let mut hooks = Numbers;
//!
//! const SEED: u64 = 1;
//! let mut fields = FieldSection::new();
//! for (name, value) in [(":method", "GET"), (":scheme", "http"), (":authority", "a.example"), (":path", "/")] {
//!     fields.push(FieldLine::new(name.as_bytes(), value.as_bytes(), SEED));
//! }
//! let client = Address::unspecified();
//! let mut context = Context::new(RequestId(7), &client, Instant::ZERO);
//! context.attempt = 2;
//! let mut request = HeadMut::of_request(&mut fields, &RequestRules::default(), SEED)?;
//! hooks.request(&context, &mut request)?;
//! assert_eq!(request.get("x-attempt"), Some(&b"2"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Content
//!
//! A hook that changes content attaches a [`Transform`] to the head that it is shown. Content then has another length,
//! so `content-length` leaves the head. The sender's flow-control window counts the octets that the sender sent,
//! whatever becomes of them: they are given back when what was made of them has left. No more than
//! [`OUTPUT_OCTETS`] of output wait at a time, beside the input that the window bounds; so neither a transform that
//! compresses nor one that expands stalls or overruns anything.
//!
//! # Tunnels
//!
//! A WebSocket is shown as the extended CONNECT of RFC 8441, whatever its client speaks: also the GET with `upgrade: websocket` of HTTP/1.1 has the
//! method CONNECT, and [`FieldName::Protocol`](crate::fields::FieldName::Protocol) is `websocket`; scheme, authority and path are those of the GET,
//! `upgrade` and `sec-websocket-key` are not there. So it is with each protocol that the route [lets requests upgrade
//! to](crate::config::RouteConfig::upgrades); others stay the GET that they are. A guard that looks at GET alone lets them all through: whoever
//! asks what may be read asks for CONNECT as well. The 101 of a backend is shown as 200. A backend of HTTP/1.1 that ignores the wish has been
//! asked by GET, and so say the records of it.
//!
//! Only a backend opens a tunnel: an [answer](Verdict::Answer) with 200 to 299, or a status changed to or from these, is
//! [`HookFailed::Tunnel`]. Any other answer declines it, to the client by HTTP/1.1 too. What goes through a tunnel passes no [`Transform`].
//!
//! # Memory
//!
//! [`Config::memory_bound`](crate::config::Config::memory_bound) knows no hooks. What comes on top is theirs, and what their code holds: for each request
//! under way [`OUTPUT_OCTETS`] of output each way where content passes through transforms, or of the content of an
//! [answer](Verdict::Answer), of which the rest stays where the hook has it (clones of one [`Bytes`] are one); and for each connection a head that was made
//! larger, up to 256 KiB. Heads beyond that have the memory of all heads
//! ([`head_ledger_octets`](crate::config::Config::head_ledger_octets)); where there is none, the answer is 503.
//!
//! # What a hook cannot do
//!
//! It cannot split or smuggle messages: fields that frame a message are out of its reach, and what it makes is checked by
//! the rules that hold for peers ([`message`](crate::message)). What does not pass is answered 500, or where the response
//! has begun, resets the stream; the cause in the records is
//! [`Cause::HookFailed`](crate::record::Cause::HookFailed), with the reason. A hook that panics takes its worker along: a
//! gateway is not to be used any more behind a panic in one of its calls, and a server on sockets ends with an error that has its words. Behind one in
//! `arrived`, `request` or `response` a gateway answers 500 to everybody.

mod head;
mod relay;

use bytes::Bytes;

use crate::address::Address;
use crate::fields::FieldSection;
use crate::message::{Malformed, RequestHead, ResponseHead, Version};
use crate::record::{Record, RequestId};
use crate::time::Instant;
use crate::tls::TlsFacts;
pub(crate) use head::{Beside, answer_head, strip};
pub use head::{FieldError, HeadMut};
pub use relay::{OUTPUT_OCTETS, Relay, Step, Transform};

/// Code on the way of each request. Every method has a default that changes nothing.
///
/// A gateway calls its hooks one at a time, and moves between threads with them. Requests are told apart by
/// [`Context::request`]; between [`Record::Started`] and [`Record::Ended`] that number is the key for whatever a hook
/// wants to remember of one.
pub trait Hooks: Send {
    /// A request came, once for each that the gateway does not refuse by itself: before it waits for a backend, and before it is
    /// told that no route serves it. It can be answered here at no cost to any backend. `attempt` is 0, and there is no endpoint yet.
    ///
    /// Those that are refused have records and nothing else: heads that are malformed or beyond the limits (400, 414, 431) or find no memory
    /// (503), requests for another host than the connection's (421), tunnels that the route does not allow and transfer codings that the gateway
    /// does not know (501), versions that it does not speak (505), loops, and those whose `max-forwards` ends here.
    fn arrived(&mut self, context: &Context<'_>, request: &FieldSection) -> Verdict {
        let _ = (context, request);
        Verdict::Forward
    }

    /// A request is about to be handed to a backend; once for each attempt, and once more, with another endpoint, where the head turns out to be larger than
    /// the first one takes. The head is the original one with the header
    /// rules of the route applied: what was changed for an earlier attempt has left no trace.
    ///
    /// # Errors
    ///
    /// The request is answered 500.
    fn request(
        &mut self,
        context: &Context<'_>,
        request: &mut HeadMut<'_, RequestHead>,
    ) -> Result<Verdict, HookFailed> {
        let _ = (context, request);
        Ok(Verdict::Forward)
    }

    /// The final response head of a backend came. The header rules of the route are applied afterwards. Interim responses
    /// (RFC 9110 section 15.2) and answers of the gateway itself are not shown.
    ///
    /// # Errors
    ///
    /// The response is dropped, and the request is answered 500.
    fn response(
        &mut self,
        context: &Context<'_>,
        response: &mut HeadMut<'_, ResponseHead>,
    ) -> Result<Verdict, HookFailed> {
        let _ = (context, response);
        Ok(Verdict::Forward)
    }

    /// Something was written down: the start of a request, the end of an attempt, the one end of a request. Told whether or
    /// not the configuration asks for records.
    fn record(&mut self, record: &Record) {
        let _ = record;
    }
}

/// What a hook is told about the request. No state of any other request, connection or thread comes with it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Context<'a> {
    /// The request, over all its attempts.
    pub request: RequestId,
    /// The attempt, counted from 1; 0 before the first.
    pub attempt: u32,
    /// The route's name; `None` where none serves the request.
    pub route: Option<&'a str>,
    /// The upstream's name; `None` where no route leads to one.
    pub upstream: Option<&'a str>,
    /// The endpoint as the configuration writes it; `None` before the first attempt.
    pub endpoint: Option<&'a str>,
    /// The client.
    pub client: &'a Address,
    /// The listener it came through ([`Accepted::local`](crate::gateway::Accepted::local)); `None` behind the first 65,535 of them.
    pub listener: Option<&'a Address>,
    /// The version by which the client asked.
    pub version: Version,
    /// What its handshake found, its certificate among it; `None` in clear.
    pub tls: Option<&'a TlsFacts>,
    /// When the event came that this follows from.
    pub now: Instant,
    /// The same in seconds since 1970, as the gateway was told the civil time.
    pub unix_seconds: u64,
}

impl<'a> Context<'a> {
    /// That of a request over HTTP/2 in clear, before any attempt, of which nothing more is known: for tests of hooks.
    pub const fn new(request: RequestId, client: &'a Address, now: Instant) -> Self {
        Self {
            request,
            attempt: 0,
            route: None,
            upstream: None,
            endpoint: None,
            client,
            listener: None,
            version: Version::Http2,
            tls: None,
            now,
            unix_seconds: 0,
        }
    }
}

/// What becomes of a message.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Verdict {
    /// It goes on.
    #[default]
    Forward,
    /// The client gets this answer instead. The status is final (200 to 999). `content-length`, and where it lacks `date`,
    /// are made by the gateway; fields out of a hook's reach make it fail. To a 426 the
    /// route's upgrades are added as `upgrade`. To CONNECT, which a WebSocket over HTTP/1.1 is as well, 200 to 299 makes it fail
    /// ([`HookFailed::Tunnel`]).
    Answer(http::Response<Bytes>),
}

/// Why a hook could not do its work, or did what it may not. The records have it ([`Cause::HookFailed`](crate::record::Cause::HookFailed)); the
/// client is told nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum HookFailed {
    /// A field could not be changed.
    Field(FieldError),
    /// The head that it made is malformed.
    Malformed(Malformed),
    /// Its answer has no final status, or content where the status allows none.
    Answer,
    /// It would open a tunnel, or close one: only backends do.
    Tunnel,
    /// A transform said that it has read or written more than there was, or did nothing although there was something to do.
    Transform,
    /// It has panicked, and whoever caught that went on with the gateway. Nothing passes any more.
    Panicked,
    /// What the hook says itself.
    Own(&'static str),
}

impl core::fmt::Display for HookFailed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Field(error) => error.fmt(f),
            Self::Malformed(malformed) => write!(f, "the head is malformed: {malformed}"),
            Self::Answer => {
                f.write_str("the answer has no final status, or content that its status does not allow")
            }
            Self::Tunnel => f.write_str("only a backend opens a tunnel or refuses one"),
            Self::Transform => f.write_str("a transform moved nothing, or more than there was"),
            Self::Panicked => f.write_str("the hooks have panicked before"),
            Self::Own(words) => f.write_str(words),
        }
    }
}

impl core::error::Error for HookFailed {}

impl From<FieldError> for HookFailed {
    fn from(error: FieldError) -> Self {
        Self::Field(error)
    }
}

impl From<Malformed> for HookFailed {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl From<&'static str> for HookFailed {
    fn from(words: &'static str) -> Self {
        Self::Own(words)
    }
}
