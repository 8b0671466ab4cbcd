//! The client's side of a connection, in the types of the `http` crate.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};

use crate::config::{ConfigError, ConnectionConfig};
use crate::error::{ConnectionError, ErrorCode, StreamError};
use crate::h2::connection::Connection;
use crate::h2::endpoint::{self, Endpoint, Protocol, common_methods};
use crate::h2::event::Event;
use crate::h2::settings::Role;
use crate::h2::streams::StreamKey;
use crate::h2::unsent::{OpenError, SendError};
use crate::window::{Both, Credit};

/// The client's side of one HTTP/2 connection, without sockets: octets in, events out; calls in, octets out.
///
/// It has no clock. Whoever keeps it for more than a few minutes says with what comes in how much time has passed ([`forgive`](Self::forgive)):
/// else a peer that asks whether it is there, by PING, is taken for one that floods after a thousand of them.
///
/// ```
/// use http::{Request, Response};
/// use shuntyard_core::config::ConnectionConfig;
/// use shuntyard_core::h2::{Client, ClientEvent, Server, ServerEvent};
///
/// let mut client = Client::new(ConnectionConfig::default(), 1)?;
/// let mut server = Server::new(ConnectionConfig::default(), 2)?;
/// let request = Request::get("http://example.com/answer").body(())?;
/// client.send_request(&request, true)?;
///
/// // The wire, for once made of memory.
/// fn carry(from: Option<&[u8]>, to: impl FnOnce(&[u8])) -> usize {
///     from.map_or(0, |octets| { to(octets); octets.len() })
/// }
/// let n = carry(client.poll_transmit(), |octets| server.handle_recv(octets));
/// client.handle_sent(n);
/// while let Some(event) = server.poll_event()? {
///     match event {
///         ServerEvent::Request { stream, request, .. } => {
///             assert_eq!(request.uri().path(), "/answer");
///             server.send_response(stream, &Response::builder().status(200).body(())?, false)?;
///             server.send_data(stream, b"42", true)?;
///         }
///         // Content that nobody wants. Its window goes back, or the client could send no more.
///         ServerEvent::Data { stream, credit, .. } => server.release(stream, credit),
///         _ => {}
///     }
/// }
/// let n = carry(server.poll_transmit(), |octets| client.handle_recv(octets));
/// server.handle_sent(n);
/// let mut content = Vec::new();
/// while let Some(event) = client.poll_event()? {
///     if let ClientEvent::Data { stream, data, credit, .. } = event {
///         content.extend_from_slice(&data);
///         client.release(stream, credit);
///     }
/// }
/// assert_eq!(content, b"42");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    endpoint: Endpoint,
}

/// What a client learns.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientEvent {
    /// An interim response (1xx).
    Interim {
        /// The request's stream.
        stream: StreamKey,
        /// Status and fields.
        response: Response<()>,
    },
    /// The final response's head.
    Response {
        /// The request's stream.
        stream: StreamKey,
        /// Status and fields.
        response: Response<()>,
        /// There is no content.
        end: bool,
    },
    /// Content.
    Data {
        /// The request's stream.
        stream: StreamKey,
        /// The octets.
        data: Bytes,
        /// Their window: give it back with [`Client::release`], whatever becomes of the stream.
        credit: Credit<Both>,
        /// The response ends here.
        end: bool,
    },
    /// Trailers; the response ends here.
    Trailers {
        /// The request's stream.
        stream: StreamKey,
        /// The fields.
        trailers: HeaderMap,
    },
    /// The server reset the stream. Credit that is left of it is still owed to the connection, here and wherever a stream is gone.
    Reset {
        /// The stream that was.
        stream: StreamKey,
        /// The server's reason.
        error_code: ErrorCode,
    },
    /// The server broke a rule on this stream, which we reset.
    Failed {
        /// The stream that was.
        stream: StreamKey,
        /// The rule.
        error: StreamError,
    },
    /// The server went away without having processed this request; it may be sent again elsewhere.
    Unprocessed {
        /// The stream that was.
        stream: StreamKey,
    },
    /// The server's SETTINGS came.
    Settings,
    /// The server goes away: no new request can be sent.
    GoAway {
        /// The last stream that it may have processed.
        last_stream_id: u32,
        /// Its reason.
        error_code: ErrorCode,
    },
    /// The answer to [`Client::ping`].
    PingAck {
        /// What was sent.
        payload: [u8; 8],
    },
}

impl Client {
    /// A client whose transport stands. The preface is the first thing to transmit. `seed` keys hashes: unpredictable in production, or
    /// peers could make them collide, and fixed in tests.
    ///
    /// # Errors
    ///
    /// A value of the configuration lies outside its range.
    pub fn new(config: ConnectionConfig, seed: u64) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self { endpoint: Endpoint::new(Connection::new(Role::Client, Arc::new(config), seed, 0)) })
    }

    /// Sends a request head; with `end` the whole request. The URI names scheme, authority and path; without a scheme
    /// it is `http`. A CONNECT has an authority and nothing else; one with a [`Protocol`](super::Protocol) is like other requests, and waits for
    /// the server's word that it is understood ([`ClientEvent::Settings`], [`peer_settings`](Self::peer_settings); RFC 8441 section 3).
    ///
    /// # Errors
    ///
    /// No stream can be opened, now or ever again; or protocol, authority, `host` or path are none.
    pub fn send_request(&mut self, request: &Request<()>, end: bool) -> Result<StreamKey, OpenError> {
        let Endpoint { connection, writer, .. } = &mut self.endpoint;
        let fields = endpoint::request_fields(request, writer)?;
        let is_extended = request.extensions().get::<Protocol>().is_some();
        if is_extended && !connection.peer_settings().enable_connect_protocol {
            return Err(OpenError::NotOffered);
        }
        connection.open(fields, end)
    }

    /// How many requests could be sent now.
    pub fn open_slots(&self) -> u32 {
        self.endpoint.connection.open_slots()
    }

    /// The next event, or `None` until more octets come.
    ///
    /// # Errors
    ///
    /// The connection has ended; GOAWAY waits to be transmitted. It is told once: from then on there is `None`, and [`has_failed`](Self::has_failed)
    /// is what says that nothing more comes.
    pub fn poll_event(&mut self) -> Result<Option<ClientEvent>, ConnectionError> {
        self.endpoint.poll(translate)
    }

    common_methods!();
}

/// `None`: the event is not for a client.
fn translate(
    connection: &mut Connection,
    event: Event<'_>,
    failed: &mut Option<ConnectionError>,
) -> Option<ClientEvent> {
    Some(match event {
        Event::Interim { stream, fields, .. } => match endpoint::to_response(&fields) {
            Some(response) => ClientEvent::Interim { stream, response },
            None => malformed(connection, stream, failed),
        },
        Event::Response { stream, fields, end, .. } => match endpoint::to_response(&fields) {
            Some(response) => ClientEvent::Response { stream, response, end },
            None => malformed(connection, stream, failed),
        },
        Event::Data { stream, data, credit, end, .. } => {
            ClientEvent::Data { stream, data: Bytes::copy_from_slice(data), credit, end }
        }
        Event::Trailers { stream, fields, .. } => match endpoint::to_headers(&fields) {
            Some(trailers) => ClientEvent::Trailers { stream, trailers },
            None => malformed(connection, stream, failed),
        },
        Event::Reset { stream, error_code, .. } => ClientEvent::Reset { stream, error_code },
        Event::Failed { stream, error, .. } => ClientEvent::Failed { stream, error },
        Event::Unprocessed { stream, .. } => ClientEvent::Unprocessed { stream },
        Event::Settings => ClientEvent::Settings,
        Event::GoAway { last_stream_id, error_code, .. } => {
            ClientEvent::GoAway { last_stream_id, error_code }
        }
        Event::PingAck { payload } => ClientEvent::PingAck { payload },
        Event::Request { .. } | Event::RequestRefused { .. } | Event::Reprioritized { .. } => return None,
    })
}

/// HTTP allows what the `http` crate does not take.
fn malformed(
    connection: &mut Connection,
    stream: StreamKey,
    failed: &mut Option<ConnectionError>,
) -> ClientEvent {
    connection.reset(stream, ErrorCode::PROTOCOL_ERROR);
    if let Err(error) = connection.count_answer() {
        connection.fail(error);
        *failed = Some(error);
    }
    ClientEvent::Failed { stream, error: StreamError::Malformed }
}
