//! The first octets of a connection at a listener behind a balancer: whose it is (the PROXY protocol).

use std::io;

use shuntyard_core::address::Address;
use shuntyard_core::gateway::{Closed, ConnId, Connected, RecvBuf};
use shuntyard_core::time::Instant;
use shuntyard_transport::{INTRODUCTION_OCTETS, NotIntroduced, Spare, introduction};

use crate::{Notice, Recorded, Secured, Wire, transfer_failure};

/// How a turn of reading ended.
#[derive(Debug)]
pub enum Introduced {
    /// The header is there; what came behind it was handed on. The connection is read from and written to like any other now.
    Done,
    /// More of it is still to come.
    Waits,
    /// The gateway has forgotten the connection: its client has as many as it may.
    Gone,
    /// It is over: close the socket, tell the gateway, and the observer what there is to tell.
    Failed(Closed, Option<Notice>),
}

/// A connection whose header has not come whole.
#[derive(Debug)]
pub struct Introducing {
    octets: Vec<u8>,
    /// Who sends it, and where it came in.
    peer: Address,
    listener: Address,
}

impl Introducing {
    /// A connection of this peer at this listener.
    pub const fn new(peer: Address, listener: Address) -> Self {
        Self { octets: Vec::new(), peer, listener }
    }

    /// A turn of reading. Behind the header stands TLS, or what the gateway takes at once.
    pub fn read(
        &mut self,
        wire: &mut impl Wire,
        gateway: &mut Recorded,
        (conn, now): (ConnId, Instant),
        secured: Option<(&mut Secured, &mut Spare)>,
    ) -> Introduced {
        let mut buffer = [0; INTRODUCTION_OCTETS];
        loop {
            // A header of that length is whole, or has been refused.
            let room = INTRODUCTION_OCTETS.saturating_sub(self.octets.len()).max(1);
            match wire.read(&mut buffer[..room]) {
                Ok(0) if self.octets.is_empty() => return Introduced::Failed(Closed::Reset, None),
                Ok(0) => return self.refuse(NotIntroduced::Interrupted),
                Ok(n) => self.octets.extend_from_slice(&buffer[..n]),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Introduced::Waits,
                    io::ErrorKind::Interrupted => continue,
                    _ => {
                        let notice =
                            (!self.octets.is_empty()).then(|| self.notice(NotIntroduced::Interrupted));
                        return Introduced::Failed(transfer_failure(&error), notice);
                    }
                },
            }
            match introduction(&self.octets) {
                Ok(None) => {}
                Ok(Some(found)) => {
                    gateway.handle_introduced(conn, found.client.clone(), now);
                    if !gateway.knows(conn) {
                        if let Some((secured, _)) = secured {
                            secured.refused();
                        }
                        return Introduced::Gone;
                    }
                    let rest = &self.octets[found.octets..];
                    match secured {
                        Some((secured, spare)) => {
                            if let (Some((client, _)), Some(found)) = (&mut secured.client, found.client) {
                                *client = found;
                            }
                            secured.receive(rest, spare);
                        }
                        None => {
                            gateway.handle_connected(conn, Connected::default(), now);
                            receive(rest, gateway, conn, now);
                        }
                    }
                    return Introduced::Done;
                }
                Err(reason) => return self.refuse(reason),
            }
        }
    }

    /// What there is to tell of it where the gateway has closed the connection: whoever stays without a word has not come to look.
    pub fn late(&self) -> Notice {
        self.notice(NotIntroduced::TimedOut)
    }

    fn refuse(&self, reason: NotIntroduced) -> Introduced {
        Introduced::Failed(Closed::Failed, Some(self.notice(reason)))
    }

    fn notice(&self, reason: NotIntroduced) -> Notice {
        Notice::NotIntroduced { peer: self.peer.clone(), listener: self.listener.clone(), reason }
    }
}

/// What came behind the header. A connection that is new has room for it, unless the gateway wants none of it.
fn receive(mut octets: &[u8], gateway: &mut Recorded, conn: ConnId, now: Instant) {
    while !octets.is_empty() {
        let RecvBuf::Buffer(buffer) = gateway.recv_buf(conn) else { return };
        let n = octets.len().min(buffer.len());
        buffer[..n].copy_from_slice(&octets[..n]);
        octets = &octets[n..];
        gateway.handle_recv(conn, n, now);
    }
}
