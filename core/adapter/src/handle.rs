//! How a server is told things from outside of its threads.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use shuntyard_core::address::Address;
use shuntyard_core::config::{Config, ConfigError};
use shuntyard_core::gateway::{Command, Gateway};

use crate::equipment::Offer;
use crate::{Backs, Looking, Options};

/// Ends a server, changes its configuration and looks into it from another thread. What is ordered before it runs is done
/// when it runs.
#[derive(Clone)]
pub struct Handle {
    desks: Arc<[Desk]>,
    backs: Backs,
    offers: Arc<[Offer]>,
}

/// Takes the orders for one worker, and wakes it. A worker that has ended needs none.
pub type Desk = Arc<dyn Fn(Order) + Send + Sync>;

/// Looks at a gateway, and is told what time it is there.
pub type Look = Box<dyn FnOnce(&Gateway, shuntyard_core::time::Instant) + Send>;

/// What a worker is told from outside of its thread.
pub enum Order {
    /// Finish what is there.
    Drain(Duration),
    /// End at once.
    Stop,
    /// Tell the gateway.
    Command(Command),
    /// Show the gateway to somebody.
    Inspect(Look),
}

impl Handle {
    /// Gives orders through these desks, one a worker, to those who speak to upstreams like this.
    pub fn new(desks: Vec<Desk>, backs: Backs) -> Self {
        Self { desks: desks.into(), backs, offers: Arc::default() }
    }

    /// The same, of a server that was [made](crate::equip) of these: it knows what its listeners offer by TLS.
    pub fn of(desks: Vec<Desk>, config: &Config, options: &Options) -> Self {
        Self { offers: Offer::all(config, options).into(), ..Self::new(desks, options.backs.clone()) }
    }

    /// Lets every worker finish what is there and accept nothing new. After the deadline, counted from now,
    /// what is still unfinished is cut. The server ends when no connection is left.
    pub fn drain(&self, deadline: Duration) {
        self.order(|| Order::Drain(deadline));
    }

    /// Ends now. What is unfinished is cut.
    pub fn stop(&self) {
        self.order(|| Order::Stop);
    }

    /// Gives every worker a new configuration: routes and upstreams apply from the next request, what concerns connections
    /// applies to those that come. Listeners are not touched. How TLS is spoken with upstreams that come is said before ([`Backs::replace`]).
    ///
    /// # Errors
    /// A configuration that cannot work, or one that switches off what a listener offers by TLS; then nothing has changed.
    pub fn configure(&self, config: &Config) -> Result<(), ConfigError> {
        config.validate()?;
        self.backs.cover(config)?;
        self.offers.iter().try_for_each(|offer| offer.check(config))?;
        self.order(|| Order::Command(Command::Configure(Box::new(config.clone()))));
        Ok(())
    }

    /// Clients of this listener who have shown certificates are asked to leave, for others are trusted now
    /// ([`FrontTls::replace_clients`](shuntyard_transport::FrontTls::replace_clients)). What they have asked for is answered. The address is one of
    /// the server's `local_addrs`, with the port that the kernel picked: at any other nobody is asked.
    pub fn part(&self, listener: &Address) {
        self.order(|| Order::Command(Command::Part { listener: listener.clone() }));
    }

    /// Looks into every worker's gateway, on its own thread, and is told its time: `look` should be short. Wakes the workers and waits for
    /// `patience` at most; a worker that has ended, or is stuck, is missing in the answer, which is in the order of the workers.
    ///
    /// It blocks its thread. On one that has a worker to run (a task of the runtime that serves it, an [`Observer`](crate::Observer)) nobody
    /// would answer until patience has ended: there is [`look`](Self::look) for that. Where `look` panics, the server ends with an error, as by a
    /// panic of hooks.
    pub fn inspect<T: Send + 'static>(
        &self,
        patience: Duration,
        look: impl Fn(&Gateway, shuntyard_core::time::Instant) -> T + Clone + Send + 'static,
    ) -> Vec<T> {
        self.inspect_by_worker(patience, look).into_values().collect()
    }

    /// Likewise, with the workers' numbers, which stay theirs whoever answers first. Like [`inspect`](Self::inspect) it blocks its thread.
    pub fn inspect_by_worker<T: Send + 'static>(
        &self,
        patience: Duration,
        look: impl Fn(&Gateway, shuntyard_core::time::Instant) -> T + Clone + Send + 'static,
    ) -> BTreeMap<usize, T> {
        self.inspect_or_stuck(patience, look).0
    }

    /// Likewise, and who has neither answered nor ended within `patience`: those workers are stuck.
    pub fn inspect_or_stuck<T: Send + 'static>(
        &self,
        patience: Duration,
        look: impl Fn(&Gateway, shuntyard_core::time::Instant) -> T + Clone + Send + 'static,
    ) -> (BTreeMap<usize, T>, BTreeSet<usize>) {
        let (sender, answers) = channel();
        for (number, desk) in self.desks.iter().enumerate() {
            let (asked, look) = (Asked { sender: sender.clone(), number }, look.clone());
            let show = move |gateway: &Gateway, now| asked.tell(Some(look(gateway, now)));
            desk(Order::Inspect(Box::new(show)));
        }
        let mut silent: BTreeSet<usize> = (0..self.desks.len()).collect();
        let mut seen = BTreeMap::new();
        // Beyond all time there is nothing to wait until.
        let until = Instant::now().checked_add(patience);
        while !silent.is_empty() {
            let next = match until {
                Some(until) => answers.recv_timeout(until.saturating_duration_since(Instant::now())).ok(),
                None => answers.recv().ok(),
            };
            let Some((number, answer)) = next else { break };
            silent.remove(&number);
            seen.extend(answer.map(|answer| (number, answer)));
        }
        (seen, silent)
    }

    /// Looks into every worker's gateway as [`inspect_by_worker`](Self::inspect_by_worker) does, and blocks nobody: the answer is a future, for any
    /// runtime. It is ready once each worker has answered or ended. Its owner has the patience; what was asked is asked with the
    /// call already, before anybody polls. Where `look` panics, the server ends with an error, as by a panic of hooks.
    pub fn look<T: Send + 'static>(
        &self,
        look: impl Fn(&Gateway, shuntyard_core::time::Instant) -> T + Clone + Send + 'static,
    ) -> Looking<T> {
        let (looking, shares) = Looking::new(self.desks.len());
        for ((number, desk), share) in self.desks.iter().enumerate().zip(shares) {
            let look = look.clone();
            desk(Order::Inspect(Box::new(move |gateway, now| share.answer(number, look(gateway, now)))));
        }
        looking
    }

    /// How many workers there are, those included that have ended.
    pub fn workers(&self) -> usize {
        self.desks.len()
    }

    fn order(&self, order: impl Fn() -> Order) {
        for desk in self.desks.iter() {
            desk(order());
        }
    }
}

/// A worker that is asked. When it has answered, or has ended and will not, nobody waits for it any more.
struct Asked<T> {
    sender: Sender<(usize, Option<T>)>,
    number: usize,
}

impl<T> Asked<T> {
    fn tell(&self, answer: Option<T>) {
        // Whoever asked may have lost patience.
        let _ = self.sender.send((self.number, answer));
    }
}

impl<T> Drop for Asked<T> {
    fn drop(&mut self) {
        self.tell(None);
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::sync::Mutex;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use shuntyard_core::time::WallClock;

    fn gateway() -> Gateway {
        let now = shuntyard_core::time::Instant::ZERO;
        let config = Config::new(vec![Address::Unix("/run/a".into())]);
        Gateway::new(config, 1, now, WallClock { at: now, unix_seconds: 0 }).unwrap()
    }

    /// Every request for it would fail.
    #[test]
    fn a_configuration_with_an_upstream_whose_tls_nobody_knows_reaches_no_worker() {
        let desk: Desk = Arc::new(|_| panic!("it was ordered"));
        let handle = Handle::new(vec![desk], Backs::default());
        let mut config = Config::new(vec![Address::Unix("/run/a".into())]);
        config.upstreams[0].endpoints[0].tls = Some(shuntyard_core::config::Alpn::Http2);
        let unknown = ConfigError::UpstreamTls { upstream: "default".into() };
        assert_eq!(handle.configure(&config), Err(unknown));
    }

    #[test]
    fn patience_may_be_without_end() {
        let answers: Desk = Arc::new(|order| {
            if let Order::Inspect(look) = order {
                look(&gateway(), shuntyard_core::time::Instant::ZERO);
            }
        });
        // One that has ended drops its orders.
        let ended: Desk = Arc::new(drop);
        let handle = Handle::new(vec![answers, ended], Backs::default());
        assert_eq!(handle.inspect(Duration::MAX, |_, now| now), [shuntyard_core::time::Instant::ZERO]);
    }

    /// Whoever shows figures tells what the others know.
    #[test]
    fn who_neither_answers_nor_ends_is_stuck() {
        let answers: Desk = Arc::new(|order| {
            if let Order::Inspect(look) = order {
                look(&gateway(), shuntyard_core::time::Instant::ZERO);
            }
        });
        let kept: Arc<Mutex<Vec<Order>>> = Arc::default();
        let stuck: Desk = Arc::new(move |order| kept.lock().unwrap().push(order));
        let handle = Handle::new(vec![stuck, answers, Arc::new(drop)], Backs::default());
        let (seen, stuck) = handle.inspect_or_stuck(Duration::from_millis(10), |_, now| now);
        assert_eq!(seen.into_keys().collect::<Vec<_>>(), [1]);
        assert_eq!(stuck, BTreeSet::from([0]));
    }

    /// A worker that shares its thread with the asker can answer behind the call.
    #[test]
    fn a_look_is_ready_once_each_worker_has_answered_or_ended() {
        let kept: Arc<Mutex<Vec<Order>>> = Arc::default();
        let keeper = Arc::clone(&kept);
        let desk: Desk = Arc::new(move |order| keeper.lock().unwrap().push(order));
        let handle = Handle::new(vec![Arc::clone(&desk), desk], Backs::default());
        let mut looking = handle.look(|_, now| now);
        let mut context = Context::from_waker(Waker::noop());
        let mut orders = std::mem::take(&mut *kept.lock().unwrap());
        assert_eq!(orders.len(), 2, "it is asked before anybody polls");
        let Some(Order::Inspect(look)) = orders.pop() else { panic!("another order") };
        assert!(Pin::new(&mut looking).poll(&mut context).is_pending());
        look(&gateway(), shuntyard_core::time::Instant::ZERO);
        assert!(Pin::new(&mut looking).poll(&mut context).is_pending(), "one is missing");
        // That one ends.
        drop(orders);
        let seen = BTreeMap::from([(1, shuntyard_core::time::Instant::ZERO)]);
        assert_eq!(Pin::new(&mut looking).poll(&mut context), Poll::Ready(seen));
        let nobody = pin!(Handle::new(Vec::new(), Backs::default()).look(|_, now| now)).poll(&mut context);
        assert_eq!(nobody, Poll::Ready(BTreeMap::new()));
    }

    /// Else sums of what they tell, and their names, would differ from one look to the next.
    #[test]
    fn answers_stand_in_the_order_of_the_workers_whoever_is_first() {
        let kept: Arc<Mutex<Vec<Look>>> = Arc::default();
        let slow = Arc::clone(&kept);
        let slow: Desk = Arc::new(move |order| {
            if let Order::Inspect(look) = order {
                slow.lock().unwrap().push(look);
            }
        });
        let quick: Desk = Arc::new(move |order| {
            let Order::Inspect(look) = order else { return };
            let others = std::mem::take(&mut *kept.lock().unwrap());
            for (seconds, look) in (0..).zip([look].into_iter().chain(others)) {
                look(&gateway(), shuntyard_core::time::Instant::from_nanos(seconds));
            }
        });
        let ended: Desk = Arc::new(drop);
        let handle = Handle::new(vec![ended, slow, quick], Backs::default());
        let answers = || handle.inspect_by_worker(Duration::MAX, |_, now| now.as_nanos());
        assert_eq!(answers(), BTreeMap::from([(1, 1), (2, 0)]));
        assert_eq!(handle.inspect(Duration::MAX, |_, now| now.as_nanos()), [1, 0]);
    }
}
