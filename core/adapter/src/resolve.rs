//! Names are resolved off the loop: the system's resolver blocks.

use std::io;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::thread;

use shuntyard_core::address::Address;
use shuntyard_core::gateway::Command;

use crate::{Desk, Notice, Observer, Order};

/// Looks a name up on a thread of its own and hands what was found in at the desk. A gateway asks for a name and port once at a
/// time, so that a worker has no more threads than those. Why nothing was found is told to the observer, on that thread.
pub fn resolve(name: Arc<str>, port: u16, desk: Desk, observer: Option<Observer>) {
    let answer = {
        let (name, desk) = (Arc::clone(&name), Arc::clone(&desk));
        move |found: io::Result<Vec<Address>>| {
            let (addresses, error) =
                found.map_or_else(|error| (Vec::new(), Some(error)), |found| (found, None));
            // Before anybody is told, who may panic: without an answer the gateway would wait for it for ever.
            desk(Order::Command(Command::Resolved { name: Arc::clone(&name), port, addresses }));
            if let (Some(observer), Some(error)) = (&observer, error) {
                observer(Notice::NameUnresolved { name: Arc::clone(&name), error });
            }
        }
    };
    let lookup = {
        let answer = answer.clone();
        move || answer(addresses_of(&name, port))
    };
    if let Err(error) = thread::Builder::new().name("resolver".to_owned()).spawn(lookup) {
        // The gateway asks again when somebody needs the name.
        answer(Err(error));
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
}
