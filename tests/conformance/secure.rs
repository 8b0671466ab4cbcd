//! Peers that speak TLS: blocking sockets with the transport's other side on them.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};

use shuntyard_core::address::Address;
use shuntyard_core::config::Protocol;
use shuntyard_core::gateway::Connected;
use shuntyard_core::time::Instant;
use shuntyard_transport::{BackTls, ClientAuth, FrontTls, Plain, Spare, Transport, Trust};

use crate::authority::Authority;
use crate::peers::{PATIENCE, Stream, inet};

/// A name for the servers of tests.
pub(crate) const HOST: &str = "origin.test";

/// How a listener speaks TLS, and whom its clients trust.
pub(crate) fn listener(protocols: &[Protocol]) -> (FrontTls, BackTls) {
    let authority = Authority::new();
    let tls = FrontTls::new(&[authority.issue(&[HOST])], protocols, &ClientAuth::Off).unwrap();
    (tls, BackTls::new(&Trust::Authorities(authority.pem()), None, None).unwrap())
}

/// A connection with TLS.
pub(crate) struct Secure {
    stream: TcpStream,
    transport: Transport,
    spare: Spare,
    pub(crate) facts: Option<Connected>,
    /// The peer has said that nothing follows.
    pub(crate) ended: bool,
}

impl Secure {
    /// A client that has shaken hands with the server that listens there.
    pub(crate) fn connect(address: &Address, tls: &BackTls, wanted: Option<Protocol>) -> io::Result<Self> {
        let stream = TcpStream::connect(inet(address))?;
        Self::shake_hands(stream, Transport::back(tls, HOST, wanted).unwrap())
    }

    /// Shakes hands on this connection.
    pub(crate) fn shake_hands(stream: TcpStream, transport: Transport) -> io::Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let mut secure = Self { stream, transport, spare: Spare::default(), facts: None, ended: false };
        while secure.facts.is_none() {
            secure.send_pending()?;
            match secure.transport.poll_plain(&mut []) {
                Plain::Connected(facts) => secure.facts = Some(facts),
                Plain::Starved => secure.fill()?,
                other => return Err(io::Error::other(format!("{other:?}"))),
            }
        }
        secure.send_pending()?;
        Ok(secure)
    }

    fn send_pending(&mut self) -> io::Result<()> {
        while !self.transport.pending().is_empty() {
            let n = self.stream.write(self.transport.pending())?;
            self.transport.left(n);
        }
        Ok(())
    }

    fn fill(&mut self) -> io::Result<()> {
        let room = self.transport.recv_buf(&mut self.spare).expect("all was taken");
        match self.stream.read(room)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                self.transport.received(n);
                Ok(())
            }
        }
    }

    /// Says that nothing follows.
    pub(crate) fn close(&mut self) {
        self.transport.close();
        self.send_pending().unwrap();
    }
}

impl Read for Secure {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.transport.poll_plain(into) {
                Plain::Octets(n) => return Ok(n),
                Plain::Starved => self.fill()?,
                Plain::Ended => {
                    self.ended = true;
                    return Ok(0);
                }
                other => return Err(io::Error::other(format!("{other:?}"))),
            }
        }
    }
}

impl Write for Secure {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.transport.seal(octets, &mut self.spare, Instant::ZERO);
        let mut taken = 0;
        while !self.transport.pending().is_empty() {
            let n = self.stream.write(self.transport.pending())?;
            taken += self.transport.left(n);
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Secure {
    fn shut_down(&self, how: Shutdown) {
        self.stream.shutdown(how).unwrap();
    }

    fn try_clone(&self) -> Box<dyn Stream> {
        panic!("TLS has one state")
    }
}
