//! The server's side of a connection, in the types of the `http` crate.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};

use crate::config::{ConfigError, ConnectionConfig};
use crate::error::{ConnectionError, ErrorCode, StreamError};
use crate::h2::budget::cost;
use crate::h2::connection::Connection;
use crate::h2::endpoint::{self, Endpoint, common_methods};
use crate::h2::event::Event;
use crate::h2::settings::Role;
use crate::h2::streams::StreamKey;
use crate::h2::unsent::SendError;
use crate::message::{Method, is_bare};
use crate::window::{Both, Credit};

/// The server's side of one HTTP/2 connection, without sockets. For an example see [`Client`](super::Client), and for what is to be said of
/// time by whoever keeps it for long, [`forgive`](Self::forgive).
#[derive(Clone, Debug)]
pub struct Server {
    endpoint: Endpoint,
}

/// What a server learns.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerEvent {
    /// A request's head.
    Request {
        /// Its stream.
        stream: StreamKey,
        /// Method, URI and fields.
        request: Request<()>,
        /// There is no content.
        end: bool,
    },
    /// A request whose head exceeds the limits. The stream waits for an answer: 431, say, without content, for it may be HEAD.
    RequestTooLarge {
        /// Its stream.
        stream: StreamKey,
    },
    /// Content.
    Data {
        /// The request's stream.
        stream: StreamKey,
        /// The octets.
        data: Bytes,
        /// Their window: give it back with [`Server::release`], whatever becomes of the stream.
        credit: Credit<Both>,
        /// The request ends here.
        end: bool,
    },
    /// Trailers; the request ends here.
    Trailers {
        /// The request's stream.
        stream: StreamKey,
        /// The fields.
        trailers: HeaderMap,
    },
    /// The client reset the stream. Credit that is left of it is still owed to the connection, here and wherever a stream is gone.
    Reset {
        /// The stream that was.
        stream: StreamKey,
        /// The client's reason.
        error_code: ErrorCode,
    },
    /// The client broke a rule on this stream, which we reset; or its message is well formed, and the types of the `http` crate do not take it: some
    /// paths (`` /a`b ``, `/a<b`), some authorities (`a%41`), values with control characters. The client is not told the difference
    /// ([`StreamError::Malformed`], PROTOCOL_ERROR), and pays for it as for any stream that it makes us reset
    /// ([`misuse_max`](ConnectionConfig::misuse_max)). Who has to serve such paths has [`Connection`].
    Failed {
        /// The stream that was.
        stream: StreamKey,
        /// The rule.
        error: StreamError,
    },
    /// The client's SETTINGS came.
    Settings,
    /// The client goes away.
    GoAway {
        /// The last stream of ours that it may have processed: 0, for we open none.
        last_stream_id: u32,
        /// Its reason.
        error_code: ErrorCode,
    },
    /// The answer to [`Server::ping`].
    PingAck {
        /// What was sent.
        payload: [u8; 8],
    },
}

impl Server {
    /// A server whose transport stands. `seed` keys hashes: unpredictable in production, or
    /// peers could make them collide, and fixed in tests.
    ///
    /// # Errors
    ///
    /// A value of the configuration lies outside its range.
    pub fn new(config: ConnectionConfig, seed: u64) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self { endpoint: Endpoint::new(Connection::new(Role::Server, Arc::new(config), seed, 0)) })
    }

    /// Sends an interim or the final response's head; with `end` the whole response.
    ///
    /// # Errors
    ///
    /// The stream is gone, or its message has ended; the final head was sent before, or `end` stands with an interim one; the status is 101.
    pub fn send_response(
        &mut self,
        stream: StreamKey,
        response: &Response<()>,
        end: bool,
    ) -> Result<(), SendError> {
        let Endpoint { connection, writer, .. } = &mut self.endpoint;
        let status = response.status();
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(SendError::Status); // RFC 9113 section 8.6
        }
        connection.send_head(stream, endpoint::response_fields(response, writer), end)?;
        if is_bare(status.as_u16()) {
            connection.without_content(stream);
        }
        Ok(())
    }

    /// Says that the connection will end, while requests that are on their way are still served: the first of the two
    /// steps of RFC 9113 section 6.8; [`goaway`](Self::goaway) is the second.
    pub fn announce_goaway(&mut self) {
        self.endpoint.connection.announce_goaway();
    }

    /// The next event, or `None` until more octets come.
    ///
    /// # Errors
    ///
    /// The connection has ended; GOAWAY waits to be transmitted. It is told once: from then on there is `None`, and [`has_failed`](Self::has_failed)
    /// is what says that nothing more comes.
    pub fn poll_event(&mut self) -> Result<Option<ServerEvent>, ConnectionError> {
        self.endpoint.poll(translate)
    }

    common_methods!();
}

impl Connection {
    /// Server: the response on this stream has no content. The owner heeds that, by asking [`is_without_content`](Self::is_without_content).
    pub(crate) fn without_content(&mut self, key: StreamKey) {
        if let Some(stream) = self.streams.slab.get_mut(key) {
            stream.method = Some(Method::Head);
        }
    }

    /// Server: whether somebody has said so.
    pub(crate) fn is_without_content(&self, key: StreamKey) -> bool {
        let stream = self.streams.slab.get(key).filter(|_| self.role == Role::Server);
        stream.is_some_and(|stream| stream.method == Some(Method::Head))
    }
}

/// `None`: the event is not for a server.
fn translate(
    connection: &mut Connection,
    event: Event<'_>,
    failed: &mut Option<ConnectionError>,
) -> Option<ServerEvent> {
    Some(match event {
        Event::Request { stream, head, fields, end } => match endpoint::to_request(&fields) {
            Some(request) => {
                if head.method == Method::Head {
                    connection.without_content(stream); // 9110-9.3.2-01
                }
                ServerEvent::Request { stream, request, end }
            }
            None => malformed(connection, stream, failed),
        },
        Event::RequestRefused { stream, .. } => ServerEvent::RequestTooLarge { stream },
        Event::Data { stream, data, credit, end, .. } => {
            ServerEvent::Data { stream, data: Bytes::copy_from_slice(data), credit, end }
        }
        Event::Trailers { stream, fields, .. } => match endpoint::to_headers(&fields) {
            Some(trailers) => ServerEvent::Trailers { stream, trailers },
            None => malformed(connection, stream, failed),
        },
        Event::Reset { stream, error_code, .. } => ServerEvent::Reset { stream, error_code },
        Event::Failed { stream, error, .. } => ServerEvent::Failed { stream, error },
        Event::Settings => ServerEvent::Settings,
        Event::GoAway { last_stream_id, error_code, .. } => {
            ServerEvent::GoAway { last_stream_id, error_code }
        }
        Event::PingAck { payload } => ServerEvent::PingAck { payload },
        Event::Interim { .. }
        | Event::Response { .. }
        | Event::Reprioritized { .. }
        | Event::Unprocessed { .. } => return None,
    })
}

/// HTTP allows what the `http` crate does not take.
fn malformed(
    connection: &mut Connection,
    stream: StreamKey,
    failed: &mut Option<ConnectionError>,
) -> ServerEvent {
    connection.reset(stream, ErrorCode::PROTOCOL_ERROR);
    if let Err(error) = connection.spend(cost::RESET).and_then(|()| connection.count_answer()) {
        connection.fail(error);
        *failed = Some(error);
    }
    ServerEvent::Failed { stream, error: StreamError::Malformed }
}
