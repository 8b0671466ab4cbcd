//! Sessions of TLS 1.2 that clients may take up again without a ticket (RFC 5246 section 7.3).

use std::sync::Arc;

use rustls::server::{ServerSessionMemoryCache, StoresServerSessions};

/// How many are remembered of each way to ask clients for certificates, over all workers. The oldest go first.
const SESSIONS: usize = 4096;
/// A session holds what certificates its client has shown, which can be 64 KiB; larger ones than this are not remembered: such a client shows them again,
/// or has a ticket.
const SESSION_OCTETS_MAX: usize = 4096;
/// Keys, and what maps and queues need beside them.
const PLACE_OCTETS: usize = 256;

/// What the sessions of one listener take at most, in octets: of those that a name of its asks for certificates in another way as much again for each.
pub const SESSIONS_OCTETS: u64 = (SESSIONS * (SESSION_OCTETS_MAX + PLACE_OCTETS)) as u64;

/// The sessions that are remembered: a bounded number of a bounded size.
#[derive(Debug)]
pub(crate) struct Sessions(Arc<ServerSessionMemoryCache>);

impl Sessions {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(ServerSessionMemoryCache::new(SESSIONS)))
    }
}

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, mut value: Vec<u8>) -> bool {
        if value.len() > SESSION_OCTETS_MAX {
            return false;
        }
        value.shrink_to_fit();
        self.0.put(key, value)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.get(key)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.take(key)
    }

    fn can_cache(&self) -> bool {
        self.0.can_cache()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_with_many_certificates_is_not_remembered() {
        let sessions = Sessions::new();
        assert!(sessions.put(b"small".to_vec(), vec![0; SESSION_OCTETS_MAX]));
        assert!(!sessions.put(b"large".to_vec(), vec![0; SESSION_OCTETS_MAX + 1]));
        assert_eq!(sessions.get(b"small").map(|session| session.len()), Some(SESSION_OCTETS_MAX));
        assert_eq!(sessions.get(b"large"), None);
    }

    #[test]
    fn no_more_are_remembered_than_may_be() {
        let sessions = Sessions::new();
        let key = |n: usize| n.to_be_bytes().to_vec();
        (0..2 * SESSIONS).for_each(|n| assert!(sessions.put(key(n), vec![0; 8])));
        let kept = (0..2 * SESSIONS).filter(|&n| sessions.get(&key(n)).is_some()).count();
        assert!((SESSIONS / 2..=SESSIONS).contains(&kept), "{kept}");
    }
}
