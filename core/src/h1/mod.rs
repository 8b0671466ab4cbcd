//! One HTTP/1.1 connection of either role (RFC 9112): no sockets, no clock.
//!
//! [`Connection`] has the verbs and the events of [`h2::Connection`](crate::h2::Connection), so that its owner need not care
//! which of them it drives. A stream is one request with its response.
//!
//! # Messages have the form of HTTP/2
//!
//! Field sections come out, and go in, with pseudo-header fields and names in lower case, without `host` and without whatever
//! concerns one connection only (RFC 9110 section 7.6.1). So the rules of [`message`](crate::message) hold for both protocols.
//! `host` becomes `:authority`, an upgrade becomes an extended CONNECT (RFC 8441), and the 200 that answers it becomes 101.
//! An upgrade that is not to be given becomes the GET that it was by [`Connection::decline_upgrade`]; a server that takes one
//! for a GET says so by [`ResponseHead::declines_upgrade`](crate::message::ResponseHead::declines_upgrade).
//!
//! # Strictness
//!
//! Who reads a message in another way than the next hop can be made to let a second one pass inside of it. In requests, what is
//! not said plainly is refused: lines that end without CR, folded lines, blanks around names, a length beside a transfer coding or
//! beside another length, a `Connection` that names `host` or `content-length`. Of a response some of it is read as RFC 9112 has it
//! for user agents. What is taken is framed anew when it leaves.
//! All decisions about framing are in one file, `framing`.
//!
//! # What its owner has to know
//!
//! - Pipelined requests are taken while all of them are safe, sixteen at most; the next one stays in the input, and
//!   [`Connection::is_congested`] says so, until an exchange has ended. So ask it after [`Connection::poll_event`] had no more
//!   events, and take up the input again when [`Connection::has_room`].
//! - Responses leave in order. What is sent on a later stream waits there; [`Connection::cut`] moves it when its turn comes.
//! - There are no stream resets. [`Connection::reset`] says what becomes of a connection that cannot go on; ask
//!   [`Connection::has_failed`] and [`Connection::is_over`] behind it.
//! - A failed connection is closed when its outbox is empty. A response of HTTP/1.0 may have no other end than that: close it
//!   hard, so that what was broken off does not look whole.
//! - When the peer has closed its side, say so with [`Connection::read_closed`] and take events once more. A request that is
//!   whole is still answered. A client's exchange of whose response nothing came stays for
//!   [`Connection::abandon_stream`]: it may be tried elsewhere. One that was cut short is reset by INTERNAL_ERROR. Where the
//!   server spoke before anything of a request had left, it is told as unprocessed.
//!
//! # A server
//!
//! ```
//! use std::sync::Arc;
//! use shuntyard_core::config::ConnectionConfig;
//! use shuntyard_core::fields::{FieldLine, FieldSection};
//! use shuntyard_core::h1::Connection;
//! use shuntyard_core::h2::{Event, Input, Role};
//!
//! let mut server = Connection::new(Role::Server, Arc::new(ConnectionConfig::default()), 1, 16 << 10);
//! let mut input = Input::new(b"GET /hello HTTP/1.1\r\nHost: example.org\r\n\r\n");
//! let Some(Event::Request { stream, fields, end, .. }) = server.poll_event(&mut input)? else { panic!("a request") };
//! assert_eq!((fields.get(b":path"), fields.get(b":authority"), end), (Some(&b"/hello"[..]), Some(&b"example.org"[..]), true));
//!
//! let mut head = FieldSection::new();
//! head.push(FieldLine::new(b":status", b"200", server.seed()));
//! head.push(FieldLine::new(b"content-length", b"3", server.seed()));
//! server.send_head(stream, &head, false)?;
//! server.send_data(stream, b"hi!", true)?;
//! assert_eq!(server.transmit(), b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhi!");
//! server.sent(server.transmit().len());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod again;
mod client;
mod connection;
mod content;
mod ends;
mod exchange;
mod framing;
mod head;
mod recv;
mod scan;
mod send;
mod server;
mod survey;
mod target;
mod upgrade;
mod write;

pub use connection::Connection;
