//! Names are resolved off the loop: the system's resolver blocks.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::ToSocketAddrs;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use shuntyard_core::address::Address;
use shuntyard_core::gateway::Command;

use crate::{Desk, Notice, Observer, Order};

/// So many names are looked up at a time, for all workers of the process. Where a name server is silent, each takes some seconds.
const THREADS_MAX: usize = 16;

/// All look-ups of the process: workers ask for the same names.
static RESOLVER: Resolver = Resolver::new(addresses_of);

/// Looks a name up on another thread and hands what was found in at the desk. There are a few such threads, as long as there are names to look up; others
/// wait for their turn, and who asks for a name that was asked for already gets the same answer. Why nothing was found is told to the observer, on that
/// thread.
pub fn resolve(name: Arc<str>, port: u16, desk: Desk, observer: Option<Observer>) {
    RESOLVER.resolve((name, port), Asker { desk, observer });
}

/// A name, with the port that its addresses are wanted with.
type Name = (Arc<str>, u16);

/// Who wants to know.
struct Asker {
    desk: Desk,
    observer: Option<Observer>,
}

struct Resolver {
    lookups: Mutex<Lookups>,
    look_up: fn(&str, u16) -> io::Result<Vec<Address>>,
}

struct Lookups {
    /// Names without an answer, and who waits for it.
    asked: BTreeMap<Name, Vec<Asker>>,
    /// Those of them with which nobody has begun, in turn.
    waiting: VecDeque<Name>,
    threads: usize,
}

impl Resolver {
    const fn new(look_up: fn(&str, u16) -> io::Result<Vec<Address>>) -> Self {
        let lookups = Lookups { asked: BTreeMap::new(), waiting: VecDeque::new(), threads: 0 };
        Self { lookups: Mutex::new(lookups), look_up }
    }

    fn lookups(&self) -> MutexGuard<'_, Lookups> {
        // Nobody panics who has it.
        self.lookups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn resolve(&'static self, name: Name, asker: Asker) {
        let mut lookups = self.lookups();
        let askers = lookups.asked.entry(name.clone()).or_default();
        askers.push(asker);
        if askers.len() > 1 {
            return;
        }
        lookups.waiting.push_back(name);
        if lookups.threads == THREADS_MAX {
            return;
        }
        lookups.threads += 1;
        drop(lookups);
        if let Err(error) = thread::Builder::new().name("resolver".to_owned()).spawn(|| self.work()) {
            self.give_up(&error);
        }
    }

    /// Looks names up until none waits.
    fn work(&self) {
        loop {
            let mut lookups = self.lookups();
            let Some(name) = lookups.waiting.pop_front() else {
                lookups.threads -= 1;
                return;
            };
            drop(lookups);
            self.answer(&name, (self.look_up)(&name.0, name.1));
        }
    }

    /// There is no thread. If there is no other either, nobody would look up what waits: the gateways ask again when somebody needs the names.
    fn give_up(&self, error: &io::Error) {
        let mut lookups = self.lookups();
        lookups.threads -= 1;
        if lookups.threads > 0 {
            return;
        }
        let waiting = std::mem::take(&mut lookups.waiting);
        drop(lookups);
        waiting.iter().for_each(|name| self.answer(name, Err(same(error))));
    }

    fn answer(&self, name: &Name, found: io::Result<Vec<Address>>) {
        // Who asks from now on asks anew.
        let askers = self.lookups().asked.remove(name).unwrap_or_default();
        for asker in askers {
            // Observers may panic, which others have nothing to do with. It has been told where.
            let _ = panic::catch_unwind(AssertUnwindSafe(|| asker.tell(name, &found)));
        }
    }
}

impl Asker {
    fn tell(self, (name, port): &Name, found: &io::Result<Vec<Address>>) {
        let addresses = found.as_ref().map_or_else(|_| Vec::new(), Clone::clone);
        // Before anybody is told, who may panic: without an answer the gateway would wait for it for ever.
        (self.desk)(Order::Command(Command::Resolved { name: Arc::clone(name), port: *port, addresses }));
        if let (Some(observer), Err(error)) = (&self.observer, found) {
            observer(Notice::NameUnresolved { name: Arc::clone(name), error: same(error) });
        }
    }
}

/// The same error for one more.
fn same(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

/// The addresses of a name, each once, in the order in which the system prefers them.
///
/// # Errors
/// The system's: no such name, or nobody could be asked.
pub fn addresses_of(name: &str, port: u16) -> io::Result<Vec<Address>> {
    let mut addresses: Vec<Address> = Vec::new();
    for address in (name, port).to_socket_addrs()? {
        let address = Address::Inet(address);
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use std::sync::RwLock;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    /// What was found, and whether it was told why nothing was.
    fn resolved(name: &str) -> (Vec<Address>, bool) {
        let (sender, answers) = channel();
        let (teller, notices) = channel();
        let observer: Observer = Arc::new(move |notice| teller.send(notice).unwrap());
        resolve(name.into(), 80, Arc::new(move |order| _ = sender.send(order)), Some(observer));
        let addresses = match answers
            .recv_timeout(Duration::from_secs(60))
            .expect("an answer, whatever it is")
        {
            Order::Command(Command::Resolved { name: of, port: 80, addresses }) if *of == *name => addresses,
            _ => panic!("another order"),
        };
        let is_told = |notice| matches!(notice, Notice::NameUnresolved { name: of, .. } if *of == *name);
        // Who tells is dropped with the thread, so that nobody waits for what does not come.
        (addresses, notices.recv_timeout(Duration::from_secs(60)).is_ok_and(is_told))
    }

    #[test]
    fn names_are_found_or_not_and_somebody_is_told_either_way() {
        let (addresses, told) = resolved("localhost");
        assert!(
            addresses.iter().any(|address| matches!(address, Address::Inet(at) if at.ip().is_loopback()))
        );
        assert!(!told);
        assert_eq!(resolved("no such name"), (Vec::new(), true));
    }

    /// Else the name would be looked up for ever, and requests for it wait in vain.
    #[test]
    fn the_gateway_is_answered_whatever_becomes_of_the_observer() {
        let (sender, answers) = channel();
        let observer: Observer = Arc::new(|_| panic!("as observers should not"));
        resolve("no such name".into(), 80, Arc::new(move |order| _ = sender.send(order)), Some(observer));
        let answer = answers.recv_timeout(Duration::from_secs(60));
        assert!(
            matches!(answer, Ok(Order::Command(Command::Resolved { addresses, .. })) if addresses.is_empty())
        );
    }

    /// 100 names, each of which three workers ask for: as many threads as there may be, and each name once.
    #[test]
    fn many_names_take_a_few_threads_and_one_look_each() {
        static LOOKS: AtomicUsize = AtomicUsize::new(0);
        static MAY_LOOK: RwLock<()> = RwLock::new(());
        static RESOLVER: Resolver = Resolver::new(|_, port| {
            LOOKS.fetch_add(1, Ordering::SeqCst);
            drop(MAY_LOOK.read());
            Ok(vec![Address::Inet(([192, 0, 2, 1], port).into())])
        });
        let nobody_may = MAY_LOOK.write().unwrap();
        let (sender, answers) = channel();
        for port in (0..3).flat_map(|_| 1..=100) {
            let sender = sender.clone();
            let desk: Desk = Arc::new(move |order| _ = sender.send(order));
            RESOLVER.resolve(("backend.example".into(), port), Asker { desk, observer: None });
        }
        assert_eq!(RESOLVER.lookups().threads, THREADS_MAX);
        drop(nobody_may);
        let mut answered = BTreeMap::new();
        for _ in 0..300 {
            match answers.recv_timeout(Duration::from_secs(60)).expect("an answer") {
                Order::Command(Command::Resolved { port, addresses, .. }) => {
                    assert_eq!(addresses, [Address::Inet(([192, 0, 2, 1], port).into())]);
                    *answered.entry(port).or_insert(0) += 1;
                }
                _ => panic!("another order"),
            }
        }
        assert_eq!(answered, (1..=100).map(|port| (port, 3)).collect());
        assert_eq!(LOOKS.load(Ordering::SeqCst), 100);
    }
}
