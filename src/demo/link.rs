//! One socket of an origin or a client, beside the connection that it carries.

use std::io::{self, Read as _, Write as _};
use std::time::Duration;

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Registry, Token};
use shuntyard_core::h2::{Client, Server};

use super::secure::{Opened, Secure};

/// What clients and servers have in common for whoever moves their octets.
pub(super) trait Peer {
    /// Octets came.
    fn recv(&mut self, octets: &[u8]);
    /// Octets that are to leave.
    fn transmit(&mut self) -> Option<&[u8]>;
    /// So many of them left.
    fn sent(&mut self, n: usize);
}

macro_rules! peer {
    ($($name:ty)*) => { $(
        impl Peer for $name {
            fn recv(&mut self, octets: &[u8]) {
                self.handle_recv(octets);
            }
            fn transmit(&mut self) -> Option<&[u8]> {
                self.poll_transmit()
            }
            fn sent(&mut self, n: usize) {
                self.handle_sent(n);
            }
        }
    )* };
}
peer!(Client Server);

/// A socket and its connection.
#[derive(Debug)]
pub(super) struct Link<P> {
    stream: TcpStream,
    pub(super) peer: P,
    /// TLS, where it is spoken.
    secure: Option<Box<Secure>>,
    readable: bool,
    writable: bool,
    ended: bool,
}

impl<P: Peer> Link<P> {
    pub(super) fn new(mut stream: TcpStream, peer: P, registry: &Registry, token: Token) -> io::Result<Self> {
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        // A socket that is still being connected takes it, too; one that is gone shows itself by reading.
        let _ = stream.set_nodelay(true);
        Ok(Self { stream, peer, secure: None, readable: false, writable: false, ended: false })
    }

    /// The same, over TLS.
    pub(super) fn secured(self, secure: Secure) -> Self {
        Self { secure: Some(Box::new(secure)), ..self }
    }

    /// Writes down what the poll says.
    pub(super) fn note(&mut self, event: &Event) {
        self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.writable |= event.is_writable() || event.is_error();
    }

    /// Whether the socket takes octets as far as is known.
    pub(super) fn is_writable(&self) -> bool {
        self.writable
    }

    /// Whether the other side has ended the connection.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Reads once; whether something came.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        loop {
            if let Some(secure) = &mut self.secure {
                match secure.open(buffer)? {
                    Opened::Octets(n) => {
                        self.peer.recv(&buffer[..n]);
                        return Ok(true);
                    }
                    Opened::Ended => {
                        self.ended = true;
                        return Ok(false);
                    }
                    Opened::Starved => {}
                }
            }
            if !self.readable {
                return Ok(false);
            }
            let into = self.secure.as_mut().map_or(&mut *buffer, |secure| secure.room());
            match self.stream.read(into) {
                Ok(0) => {
                    self.readable = false;
                    // Whoever speaks TLS says before that nothing follows.
                    if self.secure.is_some() {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    self.ended = true;
                }
                Ok(n) => match &mut self.secure {
                    Some(secure) => secure.received(n),
                    None => {
                        self.peer.recv(&buffer[..n]);
                        return Ok(true);
                    }
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes until nothing waits or the socket is full. Whether there may be room for more: something has left, and no event will tell.
    pub(super) fn write(&mut self) -> io::Result<bool> {
        let mut written = false;
        while self.writable {
            let octets = match &mut self.secure {
                Some(secure) => secure.seal(&mut self.peer),
                None => self.peer.transmit(),
            };
            let Some(octets) = octets else { break };
            match self.stream.write(octets) {
                Ok(n) => {
                    self.peer.sent(self.secure.as_mut().map_or(n, |secure| secure.left(n)));
                    written = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(written && self.writable)
    }
}

/// Sleeps until a socket or the end of `patience`. A signal wakes, too.
pub(super) fn sleep(poll: &mut Poll, events: &mut Events, patience: Option<Duration>) -> io::Result<()> {
    match poll.poll(events, patience) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
            events.clear();
            Ok(())
        }
        outcome => outcome,
    }
}
