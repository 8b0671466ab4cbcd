//! Connections on their way in, and those to backends until their outcome is known.

use std::io;

use shuntyard_adapter::{CONNECT_AGAIN, Notice, Secured, connect_failure, is_queue_full};
use shuntyard_core::address::Address;
use shuntyard_core::gateway::{Closed, ConnId, Connected, Secure};
use shuntyard_core::time::Instant;

use crate::socket::Stream;
use crate::worker::Worker;

/// A dial that found the backend's queue full.
#[derive(Debug)]
pub(crate) struct Again {
    /// When it is made again.
    pub(crate) at: Instant,
    pub(crate) conn: ConnId,
    target: Address,
    secured: Option<Box<Secured>>,
}

impl Worker {
    pub(crate) fn connect(&mut self, conn: ConnId, target: Address, secure: Option<&Secure>) {
        match secure.map(|secure| self.backs.begin(secure)).transpose() {
            Ok(secured) => self.dial(conn, target, secured.map(Box::new)),
            Err(failure) => self.gateway.handle_closed(conn, Closed::Tls(failure), self.now),
        }
    }

    fn dial(&mut self, conn: ConnId, target: Address, secured: Option<Box<Secured>>) {
        match Stream::connect(&target) {
            Ok(stream) => self.add(conn, stream, Some(Box::new(target))),
            Err(error) if is_queue_full(&target, &error) => {
                let at = self.now + CONNECT_AGAIN;
                return self.again.push_back(Again { at, conn, target, secured });
            }
            Err(error) => {
                self.gateway.handle_closed(conn, connect_failure(&target, &error), self.now);
                return self.observe(Notice::DialFailed { target, error });
            }
        }
        if let Some(socket) = self.sockets.get_mut(conn) {
            socket.secured = secured;
        }
    }

    /// Makes dials again whose time has come. Whichever the gateway has given up are not among them.
    pub(crate) fn connect_again(&mut self) {
        while let Some(again) = self.again.pop_front_if(|again| again.at <= self.now) {
            self.dial(again.conn, again.target, again.secured);
        }
    }

    /// A connection that was accepted, or one that is being made: then `dialled` is where to.
    pub(crate) fn add(&mut self, conn: ConnId, stream: Stream, dialled: Option<Box<Address>>) {
        let target = dialled.as_deref().cloned();
        if let Err(error) = self.sockets.add(self.poll.registry(), conn, stream, dialled) {
            let why = target.as_ref().map_or(Closed::Failed, |target| connect_failure(target, &error));
            self.gateway.handle_closed(conn, why, self.now);
            if let Some(target) = target {
                self.observe(Notice::DialFailed { target, error });
            }
        }
    }

    fn dial_failed(&mut self, conn: ConnId, error: io::Error) {
        let target = self.sockets.get_mut(conn).and_then(|socket| socket.dialled.take());
        let why = target.as_deref().map_or(Closed::ConnectFailed, |target| connect_failure(target, &error));
        self.close(conn, why);
        if let Some(target) = target {
            self.observe(Notice::DialFailed { target: *target, error });
        }
    }

    pub(crate) fn finish_connecting(&mut self, conn: ConnId) {
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        match socket.stream.connect_outcome() {
            None => {}
            Some(Err(error)) => self.dial_failed(conn, error),
            Some(Ok(())) => {
                socket.dialled = None;
                socket.writable = true;
                if socket.secured.is_some() {
                    // The handshake begins.
                    self.write(conn);
                } else {
                    self.gateway.handle_connected(conn, Connected::default(), self.now);
                }
                self.read(conn);
            }
        }
    }
}
