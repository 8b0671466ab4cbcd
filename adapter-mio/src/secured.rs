//! Sockets with TLS: the same turns as in clear, with a [`Secured`] between socket and gateway.

use std::io;

use shuntyard_adapter::{Reading, Secured, Wire, Writing};
use shuntyard_core::address::Address;
use shuntyard_core::gateway::{Closed, ConnId};

use crate::Notice;
use crate::socket::Socket;
use crate::worker::Worker;

/// The socket, as far as the poll has said that it is ready.
struct Ready<'a>(&'a mut Socket);

impl Wire for Ready<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Self(socket) = self;
        if !socket.readable {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let outcome = socket.stream.read(into);
        match &outcome {
            // Where the end is queued behind these octets no other event will tell of it.
            Ok(n) => socket.readable = *n == into.len() || socket.read_closed,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.readable = false,
            Err(_) => {}
        }
        outcome
    }

    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let Self(socket) = self;
        if !socket.writable {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let outcome = socket.stream.write(octets);
        match &outcome {
            Ok(n) => socket.writable = *n == octets.len(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.writable = false,
            Err(_) => {}
        }
        outcome
    }
}

impl Worker {
    /// Reads until there is nothing more, the gateway wants no more, or it is the others' turn.
    pub(crate) fn read_secured(&mut self, conn: ConnId, mut secured: Box<Secured>) {
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        let was_open = secured.is_open();
        let turn = (conn, self.now);
        let reading = secured.read(&mut Ready(socket), &mut self.gateway, turn, &mut self.spare);
        let (is_open, has_output) = (secured.is_open(), secured.has_output());
        let client = secured.client.clone();
        socket.secured = Some(secured);
        match reading {
            Reading::Idle => {}
            Reading::Again => {
                socket.listed = true;
                self.ready.push_back(conn);
            }
            Reading::Paused => socket.paused = true,
            Reading::Ended => (socket.readable, socket.ended) = (false, true),
            Reading::Gone => {}
            Reading::Failed(why) => {
                self.handshake_ended(client.filter(|_| !was_open), Some(why));
                return self.close(conn, why);
            }
        }
        if !was_open && is_open {
            self.handshake_ended(client, None);
        }
        // Answers of TLS itself do not wait for the others' turns.
        if has_output {
            self.write(conn);
        }
    }

    /// Writes until there is nothing more or no room.
    pub(crate) fn write_secured(&mut self, conn: ConnId, mut secured: Box<Secured>) {
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        let turn = (conn, self.now);
        let writing = secured.write(&mut Ready(socket), &mut self.gateway, turn, &mut self.spare);
        let (client, is_open) = (secured.client.clone(), secured.is_open());
        socket.secured = Some(secured);
        match writing {
            Writing::Done => socket.has_output = false,
            Writing::Full => socket.has_output = true,
            Writing::Shutdown => {
                socket.has_output = false;
                // A peer that is gone already shows itself by reading.
                let _ = socket.stream.shutdown_write();
            }
            Writing::Failed(why) => {
                self.handshake_ended(client.filter(|_| !is_open), Some(why));
                self.close(conn, why);
            }
        }
    }

    /// The socket goes, with last words.
    pub(crate) fn take_leave(&mut self, conn: ConnId) {
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        let Some(mut secured) = socket.secured.take() else { return };
        secured.farewell(&mut Ready(socket), &mut self.spare);
        if !secured.is_open() && secured.client.is_some() {
            self.handshakes = self.handshakes.saturating_sub(1);
        }
    }

    /// One handshake of a client less is under way; where it failed, that is told.
    fn handshake_ended(&mut self, client: Option<(Address, Address)>, why: Option<Closed>) {
        let Some((client, listener)) = client else { return };
        match why {
            None => self.handshakes = self.handshakes.saturating_sub(1),
            // It is counted when its socket goes.
            Some(Closed::Tls(failure)) => self.observe(Notice::HandshakeFailed { client, listener, failure }),
            Some(_) => {}
        }
    }
}
