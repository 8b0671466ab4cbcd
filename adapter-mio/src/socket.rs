//! The socket of one connection: what the poll said about it, and the system calls on it.

use std::io::{self, Read, Write};
use std::net::Shutdown;

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use shuntyard_adapter::{INHERITS_NO_DELAY, Introducing, Secured, reset_on_close};
use shuntyard_core::address::Address;
use shuntyard_core::gateway::{Closed, ConnId};

/// A connected or connecting socket of either family.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Begins to connect. The socket becomes writable when the outcome is known.
    pub(crate) fn connect(target: &Address) -> io::Result<Self> {
        match target {
            Address::Inet(address) => TcpStream::connect(*address).map(Self::tcp),
            Address::Unix(path) => UnixStream::connect(&**path).map(Self::Unix),
        }
    }

    /// A connection that was accepted. What it sends at once was said of its listener.
    pub(crate) fn accepted(stream: TcpStream) -> Self {
        if INHERITS_NO_DELAY { Self::Tcp(stream) } else { Self::tcp(stream) }
    }

    /// A TCP socket that sends at once what is written: frames are gathered before they are written.
    fn tcp(stream: TcpStream) -> Self {
        // A socket whose peer is gone already refuses; reading from it tells why.
        let _ = stream.set_nodelay(true);
        Self::Tcp(stream)
    }

    /// `None` while the connection is being made.
    pub(crate) fn connect_outcome(&self) -> Option<io::Result<()>> {
        let (error, peer) = match self {
            Self::Tcp(stream) => (stream.take_error(), stream.peer_addr().map(drop)),
            Self::Unix(stream) => (stream.take_error(), stream.peer_addr().map(drop)),
        };
        match (error, peer) {
            (Ok(Some(error)) | Err(error), _) => Some(Err(error)),
            (Ok(None), Ok(())) => Some(Ok(())),
            (Ok(None), Err(error)) if error.kind() == io::ErrorKind::NotConnected => None,
            (Ok(None), Err(error)) => Some(Err(error)),
        }
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }

    pub(crate) fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(octets),
            Self::Unix(stream) => stream.write(octets),
        }
    }

    fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    pub(crate) const fn is_unix(&self) -> bool {
        matches!(self, Self::Unix(_))
    }

    /// Closing it will show the peer that the connection broke.
    pub(crate) fn reset_on_close(&self) {
        match self {
            Self::Tcp(stream) => reset_on_close(stream),
            Self::Unix(stream) => reset_on_close(stream),
        }
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(stream) => stream,
            Self::Unix(stream) => stream,
        }
    }
}

/// A connection's socket with what is known about its readiness. Polling is edge-triggered: a flag stays up until a system call proves it wrong.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) conn: ConnId,
    pub(crate) stream: Stream,
    /// It was accepted, not made.
    pub(crate) front: bool,
    /// Where to, while the outcome of connecting is not known yet.
    pub(crate) dialled: Option<Box<Address>>,
    /// There may be input.
    pub(crate) readable: bool,
    /// The poll has said that no input will follow: a short read is no reason to stop, the end is still to be read.
    pub(crate) read_closed: bool,
    /// The end of the input has been read.
    pub(crate) ended: bool,
    /// The poll has said that the connection is broken.
    pub(crate) failed: bool,
    /// We have shut our sending direction down.
    pub(crate) shut: bool,
    /// Nothing can be written any more, for this reason. What a backend had said before is read out first: it may be why it has gone.
    pub(crate) broken: Option<Closed>,
    /// The gateway wants no input.
    pub(crate) paused: bool,
    /// It stands in the ready list.
    pub(crate) listed: bool,
    /// There may be room for output.
    pub(crate) writable: bool,
    /// The gateway has output.
    pub(crate) has_output: bool,
    /// It stands in the list of sockets to write to.
    pub(crate) dirty: bool,
    /// What a balancer says first, until it is said.
    pub(crate) introducing: Option<Box<Introducing>>,
    /// TLS, where it is spoken.
    pub(crate) secured: Option<Box<Secured>>,
}

impl Socket {
    fn new(conn: ConnId, stream: Stream, dialled: Option<Box<Address>>) -> Self {
        Self {
            conn,
            stream,
            front: dialled.is_none(),
            readable: false,
            read_closed: false,
            ended: false,
            failed: false,
            shut: false,
            broken: None,
            paused: false,
            listed: false,
            writable: dialled.is_none(),
            dialled,
            has_output: false,
            dirty: false,
            introducing: None,
            secured: None,
        }
    }

    /// Shuts the sending direction down.
    pub(crate) fn shut_down(&mut self) {
        self.shut = true;
        // A peer that is gone already shows itself by reading.
        let _ = self.stream.shutdown_write();
    }

    /// Whether its turn should come: there is something to read, or to learn.
    pub(crate) fn wants_turn(&self) -> bool {
        let has_input = || self.secured.as_ref().is_some_and(|secured| secured.has_input());
        if self.ended || self.paused { self.is_lost() } else { self.readable || has_input() }
    }

    /// Whether the connection is broken, and nothing that can still be read of it matters: its end has been read, or it is a client's, who waits for
    /// nothing any more. No reading would tell of it, neither behind the end nor in a pause.
    pub(crate) fn is_lost(&self) -> bool {
        self.failed && (self.ended || self.paused && self.front)
    }

    /// Whether the end of the input may be behind what was read: no other event will tell of it.
    pub(crate) fn may_end(&self) -> bool {
        self.read_closed || self.broken.is_some()
    }

    /// Whether it should be written to.
    pub(crate) fn wants_write(&self) -> bool {
        self.has_output && self.writable && self.broken.is_none()
    }
}

/// The sockets of a worker, each at the place that the slab of the gateway gave to its connection.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    places: Vec<Option<Socket>>,
}

impl Sockets {
    /// Registers the socket with the poll and keeps it. Where registering fails, the socket is closed.
    pub(crate) fn add(
        &mut self,
        registry: &Registry,
        conn: ConnId,
        mut stream: Stream,
        dialled: Option<Box<Address>>,
    ) -> io::Result<()> {
        let place = place(conn);
        registry.register(stream.source(), Token(place), Interest::READABLE | Interest::WRITABLE)?;
        if self.places.len() <= place {
            self.places.resize_with(place + 1, || None);
        }
        self.places[place] = Some(Socket::new(conn, stream, dialled));
        Ok(())
    }

    /// The socket of the connection, unless it is gone.
    pub(crate) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Socket> {
        self.places.get_mut(place(conn))?.as_mut().filter(|socket| socket.conn == conn)
    }

    /// The socket that an event of the poll is about.
    pub(crate) fn by_token(&mut self, token: Token) -> Option<&mut Socket> {
        self.places.get_mut(token.0)?.as_mut()
    }

    /// How many of them were accepted. Counts them: not for each event.
    pub(crate) fn fronts(&self) -> usize {
        self.places.iter().flatten().filter(|socket| socket.front).count()
    }

    /// Closes the socket of the connection.
    pub(crate) fn remove(&mut self, conn: ConnId) {
        if let Some(place) = self.places.get_mut(place(conn)) {
            // Nobody else has the descriptor: closing it takes it out of the poll.
            place.take_if(|socket| socket.conn == conn);
        }
    }
}

/// The slab's index of the connection: the lower half of its id.
fn place(conn: ConnId) -> usize {
    conn.to_bits() as u32 as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames are gathered before they are written: nothing waits for more of them.
    #[test]
    fn a_dialled_socket_sends_at_once() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let dialled = Stream::connect(&listener.local_addr().unwrap().into()).unwrap();
        let Stream::Tcp(stream) = dialled else { panic!("no TCP") };
        assert!(stream.nodelay().unwrap());
    }
}
