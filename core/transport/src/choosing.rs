//! A listener that asks for certificates by name: what a client asks for is read before it is known how TLS is spoken with it.

use rustls::server::{AcceptedAlert, Acceptor};
use shuntyard_core::tls::TlsFailure;

use crate::failure::failure_of;
use crate::front::{Chosen, FrontTls};

/// A ClientHello that has not come whole.
pub(crate) struct Choosing {
    tls: FrontTls,
    acceptor: Acceptor,
    /// Octets that it has been given.
    heard: usize,
}

/// What came is no ClientHello: why, and what the client is told of it.
pub(crate) struct Unreadable(pub(crate) TlsFailure, pub(crate) Option<AcceptedAlert>);

impl Choosing {
    pub(crate) fn new(tls: &FrontTls) -> Self {
        Self { tls: tls.clone(), acceptor: Acceptor::default(), heard: 0 }
    }

    /// These are all octets that have come. Says how TLS is spoken, once that is known. What cannot be read here ends the handshake, even where who
    /// names nobody could go on with it: a name that this has missed might still be found there, without what is asked of it.
    pub(crate) fn hear(&mut self, octets: &[u8]) -> Result<Option<Chosen>, Unreadable> {
        let mut rest = octets.get(self.heard..).unwrap_or_default();
        while !rest.is_empty() {
            match self.acceptor.read_tls(&mut rest) {
                Ok(1..) => self.heard = octets.len() - rest.len(),
                Ok(0) | Err(_) => return Err(Unreadable(TlsFailure::Misbehaved, None)),
            }
            match self.acceptor.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => {
                    return Ok(Some(self.tls.chosen_for(accepted.client_hello().server_name())));
                }
                Err((error, alert)) => return Err(Unreadable(failure_of(&error), Some(alert))),
            }
        }
        Ok(None)
    }
}
