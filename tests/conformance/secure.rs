//! Peers that speak TLS: blocking sockets with the transport's other side on them.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};

use shuntyard_core::address::Address;
use shuntyard_core::config::{Alpn, Protocol};
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
        let transport = match wanted {
            Some(protocol) => Transport::back_by(tls, HOST, protocol),
            None => Transport::back(tls, HOST, Alpn::Either),
        };
        Self::shake_hands(stream, transport.unwrap())
    }

    /// Shakes hands on this connection.
    pub(crate) fn shake_hands(stream: TcpStream, transport: Transport) -> io::Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let mut secure = Self { stream, transport, spare: Spare::default(), facts: None, ended: false };
        while secure.facts.is_none() {
            match secure.transport.poll_plain(&mut []) {
                Plain::Connected(facts) => secure.facts = Some(facts),
                Plain::Starved => {
                    // What it has to say comes first: the other side waits for it.
                    secure.send_pending()?;
                    secure.fill()?;
                }
                other => {
                    secure.send_pending()?;
                    return Err(io::Error::other(format!("{other:?}")));
                }
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

/// A backend that speaks TLS by this, on as many connections as come: one request each, answered with the protocol that was agreed on. What it
/// could not shake hands with is counted by its error.
pub(crate) struct SecureOrigin {
    pub(crate) address: std::net::SocketAddr,
    tls: FrontTls,
}

impl SecureOrigin {
    pub(crate) fn start(tls: &FrontTls) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let of = tls.clone();
        // It ends with the process: a connection that never comes is not waited for.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), tls) = (stream, of.clone()) else { continue };
                std::thread::spawn(move || Self::serve(stream, &tls));
            }
        });
        Self { address, tls: tls.clone() }
    }

    pub(crate) fn tls(&self) -> &FrontTls {
        &self.tls
    }

    fn serve(stream: TcpStream, tls: &FrontTls) {
        let Ok(secure) = Secure::shake_hands(stream, Transport::front(tls).unwrap()) else { return };
        let facts = secure.facts.clone().unwrap();
        let told = facts.tls.as_ref().unwrap();
        let told = format!(
            "{:?} {} {} {}",
            facts.protocol,
            told.server_name.as_deref().unwrap_or("-"),
            told.certificate.is_some(),
            told.resumed
        );
        match facts.protocol {
            Some(Protocol::Http2) => Self::serve_h2(secure, &told),
            _ => Self::serve_h1(secure, &told),
        }
    }

    fn serve_h2(secure: Secure, told: &str) {
        let mut peer = crate::peers::Peer::serve(Box::new(secure));
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            while let Some(event) = peer.next() {
                if let shuntyard_core::h2::ServerEvent::Request { stream, .. } = event {
                    peer.answer(stream, told.as_bytes());
                }
            }
        }));
        // The gateway may go without a word where the test ends.
        drop(outcome);
    }

    fn serve_h1(mut secure: Secure, told: &str) {
        let mut heard = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = secure.read(&mut buffer) {
            heard.extend_from_slice(&buffer[..n]);
            if !heard.ends_with(b"\r\n\r\n") {
                continue;
            }
            let head = String::from_utf8_lossy(&heard).into_owned();
            heard.clear();
            if head.starts_with("GET /cut ") || head.starts_with("GET /whole ") {
                let _ = secure.write_all(b"HTTP/1.1 200 OK\r\n\r\nuntil the end");
                if head.starts_with("GET /whole ") {
                    secure.close();
                }
                return;
            }
            let length = told.len();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{told}");
            if secure.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}
