//! A listener that asks for certificates by name: what a client asks for is read before it is known how TLS is spoken with it.

use std::sync::Arc;

use rustls::server::{Acceptor, ServerConfig};

use crate::front::FrontTls;

/// A ClientHello that has not come whole.
pub(crate) struct Choosing {
    tls: FrontTls,
    acceptor: Acceptor,
    /// Octets that it has been given.
    heard: usize,
}

impl Choosing {
    pub(crate) fn new(tls: &FrontTls) -> Self {
        Self { tls: tls.clone(), acceptor: Acceptor::default(), heard: 0 }
    }

    /// These are all octets that have come. Says how TLS is spoken, once that is known. What cannot be read is spoken to as who names nobody
    /// is, and told there what is wrong with it.
    pub(crate) fn hear(&mut self, octets: &[u8]) -> Option<Arc<ServerConfig>> {
        let mut rest = octets.get(self.heard..).unwrap_or_default();
        while !rest.is_empty() {
            match self.acceptor.read_tls(&mut rest) {
                Ok(1..) => self.heard = octets.len() - rest.len(),
                Ok(0) | Err(_) => return Some(self.tls.config_for(None)),
            }
            match self.acceptor.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => {
                    return Some(self.tls.config_for(accepted.client_hello().server_name()));
                }
                Err(_) => return Some(self.tls.config_for(None)),
            }
        }
        None
    }
}
