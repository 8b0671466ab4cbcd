//! What a recorder or a replay looks at, with the feature `observe`. It only reads: nothing in here can change what the
//! gateway does.

use crate::gateway::conn::Life;
use crate::gateway::{ConnId, Gateway};

impl Gateway {
    /// The first `n` octets of the buffer that `recv_buf(conn)` lent just before: what `handle_recv(conn, n)` will take.
    /// `None` where it was not lent to this connection.
    pub fn lent(&self, conn: ConnId, n: usize) -> Option<&[u8]> {
        let (_, held) = self.lent.filter(|&(lent_to, _)| lent_to == conn)?;
        self.recv_buffer.get(held..held.saturating_add(n).min(self.recv_buffer.len()))
    }

    /// What `poll_transmit(conn)` showed and `handle_sent` has not taken yet.
    pub fn shown(&self, conn: ConnId) -> &[u8] {
        match self.conns.get(conn) {
            Some(entry) if entry.life != Life::Connecting => entry.h2.transmit(),
            Some(_) | None => &[],
        }
    }
}
