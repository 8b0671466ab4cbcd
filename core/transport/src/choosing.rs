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

#[cfg(test)]
mod tests {
    use shuntyard_core::config::{Alpn, HostPattern};

    use super::*;
    use crate::common::{Authority, Pair};
    use crate::{BackTls, ClientAuth, Transport, Trust};

    /// The first lock is what was heard before the handshake. Where it has taken a client for nobody's, the handshake finds the name, and ends.
    #[test]
    fn a_name_that_was_not_heard_before_the_handshake_is_found_behind_it() {
        let (authority, clients) = (Authority::new(), Authority::new());
        let guarded = (vec![HostPattern::Exact("admin.example".into())], ClientAuth::Required(clients.pem()));
        let identity = authority.issue(&["admin.example", "a.example"]);
        let front = FrontTls::by_name(&[identity], &[], &ClientAuth::Off, &[guarded]).unwrap();
        let back = BackTls::new(&Trust::Authorities(authority.pem()), None, None).unwrap();
        for (name, failure) in [("admin.example", Some(TlsFailure::Misbehaved)), ("a.example", None)] {
            let mut deaf = Transport::front(&front).unwrap();
            deaf.choosing = None;
            let mut pair = Pair::new(Transport::back(&back, name, Alpn::Either).unwrap(), deaf);
            pair.run();
            assert_eq!((pair.server.failure, pair.server.facts.is_some()), (failure, failure.is_none()));
            assert_eq!(pair.client.ended, failure.is_some(), "it is told that this is the end");
        }
    }
}
