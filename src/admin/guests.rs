//! Connections to the admin address: a thread each, of which there are few. Whoever says nothing makes room for others.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Exchanges at a time. Nobody needs as many.
pub(crate) const GUESTS_MAX: usize = 32;

/// Those who are there, the oldest first.
#[derive(Default)]
pub(super) struct Guests {
    there: Mutex<Vec<Arc<Guest>>>,
    left: Condvar,
}

/// A connection, and whether an answer is owed to it.
struct Guest {
    stream: TcpStream,
    owed: AtomicBool,
}

/// Leaves when its thread ends, however it does.
struct Place {
    guests: Arc<Guests>,
    guest: Arc<Guest>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.guests.there().retain(|guest| !Arc::ptr_eq(guest, &self.guest));
        self.guests.left.notify_one();
    }
}

impl Guests {
    /// Has the connection served on a thread of its own. Where there are too many, the oldest that has not asked for anything is closed; where all
    /// have asked, one of them is waited for, which takes seconds at most.
    pub(super) fn serve(
        self: &Arc<Self>,
        stream: TcpStream,
        serve: impl FnOnce(&TcpStream, &AtomicBool) + Send + 'static,
    ) -> io::Result<()> {
        let guest = Arc::new(Guest { stream, owed: AtomicBool::new(false) });
        let place = Place { guests: Arc::clone(self), guest: Arc::clone(&guest) };
        let mut there = self.there();
        while there.len() >= GUESTS_MAX {
            if let Some(silent) = there.iter().find(|guest| !guest.owed.load(Ordering::Relaxed)) {
                // Its thread hears of it. One that has closed by itself needs no telling.
                let _ = silent.stream.shutdown(Shutdown::Both);
            }
            there = self.left.wait(there).unwrap_or_else(PoisonError::into_inner);
        }
        there.push(guest);
        drop(there);
        let serve = move || serve(&place.guest.stream, &place.guest.owed);
        thread::Builder::new().name("admin-guest".to_owned()).spawn(serve).map(drop)
    }

    fn there(&self) -> MutexGuard<'_, Vec<Arc<Guest>>> {
        // Nobody panics in the middle of a change.
        self.there.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    /// Who has asked gets the answer, also when it came first of all.
    #[test]
    fn room_is_made_by_the_oldest_that_has_not_asked() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let guests = Arc::new(Guests::default());
        let (ready, begun) = channel();
        let mut clients = Vec::new();
        for n in 0..=GUESTS_MAX {
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            clients.push(client);
            let (stream, _) = listener.accept().unwrap();
            let ready = ready.clone();
            let serve = move |mut stream: &TcpStream, owed: &AtomicBool| {
                owed.store(n < 2, Ordering::Relaxed);
                ready.send(()).unwrap();
                // Until either side closes.
                let _ = stream.read(&mut [0]);
            };
            guests.serve(stream, serve).unwrap();
            begun.recv().unwrap();
        }
        // The third is closed; those before have asked, and those behind came later.
        assert_eq!(clients[2].read(&mut [0]).unwrap(), 0);
        for (n, client) in clients.iter_mut().enumerate().filter(|(n, _)| *n != 2) {
            client.set_nonblocking(true).unwrap();
            assert_eq!(client.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock, "{n}");
        }
    }
}
