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
