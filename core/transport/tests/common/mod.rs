//! Two ends of a wire in memory, and certificates that were made a moment ago.

#![allow(dead_code)]

use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use shuntyard_core::gateway::Connected;
use shuntyard_core::time::Instant;
use shuntyard_core::tls::TlsFailure;
use shuntyard_transport::{Identity, Plain, Spare, Transport};

static AUTHORITIES: AtomicU32 = AtomicU32::new(0);

/// An authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Each has a name of its own: one of the same name with another key would be a forged signature, not a stranger.
        let number = AUTHORITIES.fetch_add(1, Ordering::Relaxed);
        params.distinguished_name.push(DnType::CommonName, format!("authority {number}"));
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its certificate, as PEM.
    pub(crate) fn pem(&self) -> Vec<u8> {
        self.0.pem().into_bytes()
    }

    /// A certificate for these names with its key, as PEM.
    pub(crate) fn issue_pem(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> (Vec<u8>, Vec<u8>) {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem().into_bytes(), key.serialize_pem().into_bytes())
    }

    pub(crate) fn issue(&self, names: &[&str]) -> Identity {
        let (chain, key) = self.issue_pem(names, |_| {});
        Identity::from_pem(&chain, &key).unwrap()
    }
}

/// One end: the transport and what came out of it.
pub(crate) struct End {
    pub(crate) transport: Transport,
    pub(crate) facts: Option<Connected>,
    pub(crate) heard: Vec<u8>,
    pub(crate) ended: bool,
    pub(crate) failure: Option<TlsFailure>,
    /// Octets of records that the other end got.
    pub(crate) records: Vec<usize>,
    /// Plaintext that has left.
    pub(crate) left: usize,
}

impl End {
    pub(crate) fn new(transport: Transport) -> Self {
        Self {
            transport,
            facts: None,
            heard: Vec::new(),
            ended: false,
            failure: None,
            records: Vec::new(),
            left: 0,
        }
    }

    /// Takes octets of the wire, in pieces of `cut`, into a buffer of `room`.
    pub(crate) fn hear(&mut self, octets: &[u8], spare: &mut Spare, (cut, room): (usize, usize)) {
        for piece in octets.chunks(cut) {
            let mut piece = piece;
            while !piece.is_empty() && self.failure.is_none() {
                let buffer = self.transport.recv_buf(spare).expect("everything was taken");
                let n = piece.len().min(buffer.len());
                buffer[..n].copy_from_slice(&piece[..n]);
                self.transport.received(n);
                piece = &piece[n..];
                self.take(room);
            }
            self.transport.rest(spare);
        }
    }

    fn take(&mut self, room: usize) {
        let mut buffer = vec![0; room];
        loop {
            match self.transport.poll_plain(&mut buffer) {
                Plain::Octets(n) => self.heard.extend_from_slice(&buffer[..n]),
                Plain::Connected(facts) => assert!(self.facts.replace(facts).is_none(), "told twice"),
                Plain::Starved => return,
                Plain::Ended => {
                    self.ended = true;
                    return;
                }
                Plain::Failed(failure) => {
                    self.failure = Some(failure);
                    return;
                }
            }
        }
    }

    /// All that waits for the wire.
    pub(crate) fn speak(&mut self) -> Vec<u8> {
        let octets = self.transport.pending().to_vec();
        self.left += self.transport.left(octets.len());
        let mut rest = &octets[..];
        while let [_, _, _, high, low, ..] = rest {
            let n = 5 + usize::from(u16::from_be_bytes([*high, *low]));
            self.records.push(n);
            rest = &rest[n.min(rest.len())..];
        }
        octets
    }

    pub(crate) fn say(&mut self, plaintext: &[u8], spare: &mut Spare, now: Instant) {
        self.transport.seal(plaintext, spare, now);
        self.transport.rest(spare);
    }
}

/// A client and a server.
pub(crate) struct Pair {
    pub(crate) client: End,
    pub(crate) server: End,
    pub(crate) spare: Spare,
    /// How octets are cut on their way, and how much room there is for plaintext.
    pub(crate) cuts: (usize, usize),
}

impl Pair {
    pub(crate) fn new(client: Transport, server: Transport) -> Self {
        let (client, server) = (End::new(client), End::new(server));
        Self { client, server, spare: Spare::default(), cuts: (usize::MAX, 64 << 10) }
    }

    /// Carries octets until nobody has any.
    pub(crate) fn run(&mut self) {
        loop {
            let (there, back) = (self.client.speak(), self.server.speak());
            if there.is_empty() && back.is_empty() {
                return;
            }
            self.server.hear(&there, &mut self.spare, self.cuts);
            self.client.hear(&back, &mut self.spare, self.cuts);
        }
    }
}
