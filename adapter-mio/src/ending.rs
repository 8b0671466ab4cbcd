//! Connections that end: the gateway has closed them, or their transport has failed.

use shuntyard_core::gateway::{Closed, ConnId};

use crate::worker::Worker;

impl Worker {
    /// The gateway has closed the connection, or given up making it.
    pub(crate) fn forget(&mut self, conn: ConnId) {
        self.again.retain(|again| again.conn != conn);
        self.sockets.remove(conn);
    }

    /// Writing has failed. A backend's connection ends when it has been read out, any other at once, and so does one that is not read from until
    /// output has left.
    pub(crate) fn broke(&mut self, conn: ConnId, why: Closed) {
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        if socket.front || socket.ended || self.gateway.waits_for_output(conn) {
            return self.close(conn, why);
        }
        socket.broken = Some(why);
        // Until a system call says otherwise.
        socket.readable = true;
        self.enlist(conn);
    }

    /// Closes a connection whose transport has failed.
    pub(crate) fn close(&mut self, conn: ConnId, why: Closed) {
        self.take_leave(conn, Some(why));
        self.sockets.remove(conn);
        self.gateway.handle_closed(conn, why, self.now);
    }
}
