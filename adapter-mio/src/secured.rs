//! Sockets on which HTTP does not come first: with TLS the same turns as in clear, with a [`Secured`] between socket and gateway; before
//! it what a balancer says of whose they are.

use std::io;

use shuntyard_adapter::transport::{FrontTls, Transport};
use shuntyard_adapter::{Introduced, Introducing, Reading, Secured, Wire, Writing};
use shuntyard_core::gateway::{Accepted, Closed, ConnId};
use shuntyard_core::time::Instant;
use shuntyard_core::tls::TlsFailure;

use crate::socket::{Socket, Stream};
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
            Ok(n) => socket.readable = *n == into.len() || socket.may_end(),
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
    /// A client that is to be introduced, will shake hands, or both.
    pub(crate) fn admit_arriving(
        &mut self,
        stream: Stream,
        info: Accepted,
        tls: Option<&FrontTls>,
        introduced: bool,
    ) {
        let client = (info.peer.clone(), info.local.clone());
        let conn = self.gateway.handle_arriving(info, self.now);
        let transport = match tls.map(Transport::front).transpose() {
            Ok(transport) => transport,
            Err(failure) => return self.gateway.handle_closed(conn, Closed::Tls(failure), self.now),
        };
        self.add(conn, stream, None);
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        if introduced && self.gateway.knows(conn) {
            socket.introducing = Some(Box::new(Introducing::new(client.0.clone(), client.1.clone())));
        }
        if let Some(transport) = transport {
            socket.secured = Some(Box::new(Secured::arriving(transport, client, &self.gateway, conn)));
            // One that was refused at once shakes no hands, and takes nobody's place.
            if !self.gateway.knows(conn) {
                return;
            }
            self.handshakes.begin(conn, self.now);
            // Whoever has shaken hands longest makes room for the one that came.
            if let Some(oldest) = self.handshakes.to_cut(self.now) {
                self.close(oldest, Closed::Tls(TlsFailure::TimedOut));
            }
        }
    }

    /// When the oldest handshake has to make room, where somebody waits for that.
    pub(crate) fn room_wanted_at(&self) -> Option<Instant> {
        let waits = self.listeners.iter().any(|listener| listener.ready && listener.tls.is_some());
        // In a pause nobody is accepted, whatever room there is.
        self.handshakes.room_at().filter(|_| self.accepting && self.accept_pause.is_none() && waits)
    }

    /// Reads whose the connection is; then, if that is known, on.
    pub(crate) fn read_introduction(&mut self, conn: ConnId, mut introducing: Box<Introducing>) {
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        let mut secured = socket.secured.take();
        let behind = secured.as_deref_mut().map(|secured| (secured, &mut self.spare));
        let turn = (conn, self.now);
        let introduced = introducing.read(&mut Ready(socket), &mut self.gateway, turn, behind);
        socket.secured = secured;
        match introduced {
            Introduced::Done => self.read(conn),
            Introduced::Waits => socket.introducing = Some(introducing),
            // What the gateway wants done with the socket comes with its next action.
            Introduced::Gone => {}
            Introduced::Failed(why, notice) => {
                notice.into_iter().for_each(|notice| self.observe(notice));
                self.close(conn, why);
            }
        }
    }

    /// Reads until there is nothing more, the gateway wants no more, or it is the others' turn.
    pub(crate) fn read_secured(&mut self, conn: ConnId, mut secured: Box<Secured>) {
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        let was_handshaking = secured.is_handshaking();
        let turn = (conn, self.now);
        let reading = secured.read(&mut Ready(socket), &mut self.gateway, turn, &mut self.spare);
        let wants_write = secured.wants_write();
        let client = secured.client.clone().filter(|_| was_handshaking);
        if client.is_some() && !secured.is_handshaking() {
            self.handshakes.end(conn);
        }
        socket.secured = Some(secured);
        match reading {
            Reading::Idle => {
                if let Some(why) = socket.broken {
                    return self.close(conn, why);
                }
            }
            Reading::Again => {
                socket.listed = true;
                self.ready.push_back(conn);
            }
            Reading::Refused(why) => {
                socket.listed = true;
                self.ready.push_back(conn);
                self.complain(conn, why);
            }
            Reading::Paused => self.pause(conn),
            Reading::Ended => {
                (socket.readable, socket.ended) = (false, true);
                if let Some(why) = socket.broken {
                    return self.close(conn, why);
                }
                // A reset that came with the end: no further event tells of it.
                if socket.is_lost() {
                    return self.close(conn, Closed::Reset);
                }
            }
            Reading::Gone => {}
            Reading::Failed(why) => return self.close(conn, why),
        }
        // Answers of TLS itself do not wait for the others' turns.
        if wants_write {
            self.write(conn);
        }
    }

    /// Writes until there is nothing more or no room.
    pub(crate) fn write_secured(&mut self, conn: ConnId, mut secured: Box<Secured>) {
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        let turn = (conn, self.now);
        let writing = secured.write(&mut Ready(socket), &mut self.gateway, turn, &mut self.spare);
        socket.secured = Some(secured);
        match writing {
            Writing::Done => socket.has_output = false,
            Writing::Full => socket.has_output = true,
            Writing::Shutdown => {
                socket.has_output = false;
                socket.shut_down();
            }
            Writing::Failed(why @ (Closed::Reset | Closed::Failed)) => self.broke(conn, why),
            Writing::Failed(why) => self.close(conn, why),
        }
    }

    /// The socket goes, with last words, for its connection was lost, or, where it was not (`None`), the gateway has closed it. That nothing follows
    /// is said only then, and only where all that there was has left.
    pub(crate) fn take_leave(&mut self, conn: ConnId, lost: Option<Closed>) {
        let late = Closed::Tls(TlsFailure::TimedOut);
        self.complain(conn, lost.unwrap_or(late));
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        let Some(mut secured) = socket.secured.take() else { return };
        let whole = lost.is_none() && !socket.has_output;
        secured.farewell(&mut Ready(socket), &mut self.spare, whole);
        if secured.is_handshaking() && secured.client.is_some() {
            self.handshakes.end(conn);
        }
    }

    /// If this is a client that has not been introduced, or whose handshake is not done, it ended so.
    fn complain(&mut self, conn: ConnId, why: Closed) {
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        let late = socket.introducing.take().map(|introducing| introducing.late());
        let failed = socket.secured.as_mut().and_then(|secured| secured.complaint(why));
        late.into_iter().chain(failed).for_each(|notice| self.observe(notice));
    }
}
