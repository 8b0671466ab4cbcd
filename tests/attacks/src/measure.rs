//! What one attack costs one proxy.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::attack::{Attack, Fate, Least};
use crate::bystander::{self, Bystander, Fare};
use crate::origin::Origin;
use crate::peer::Peer;
use crate::proxy::{Kind, Proxy};

/// What was seen.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Requests of the attacker that reached the origin.
    pub origin_requests: u64,
    /// Octets that the proxy took from the attacker.
    pub said: u64,
    /// Octets that it answered.
    pub heard: u64,
    /// Memory at its most, beyond what the proxy held before.
    pub grown: u64,
    /// Time of processors while the attack went on.
    pub cpu: Duration,
    /// How long it went on.
    pub lasted: Duration,
    /// The proxy ended it.
    pub ended: bool,
    /// The bystander.
    pub bystander: Fare,
    /// The proxy still runs.
    pub alive: bool,
}

impl Figures {
    /// What may not be, in words: nothing here depends on how fast the machine is.
    pub fn breaches(&self, attack: &Attack) -> Vec<String> {
        let mut breaches = Vec::new();
        if !self.alive {
            breaches.push("it died".to_owned());
        }
        if self.grown >= attack.bound {
            breaches.push(format!(
                "its memory grew by {} KiB, of {} at most",
                self.grown >> 10,
                attack.bound >> 10
            ));
        }
        let Fare { served, failed, .. } = self.bystander;
        if failed > 0 || served == 0 {
            breaches.push(format!("{failed} requests of the bystander failed, {served} did not"));
        }
        match (attack.fate, self.ended) {
            (Fate::Ended, false) => breaches.push("it is not ended".to_owned()),
            (Fate::Borne, true) if self.lasted < DEADLINES => breaches.push("it is ended".to_owned()),
            _ => {}
        }
        let Least { said, requests } = attack.least;
        if self.said < said {
            breaches.push(format!("{} octets of it were taken, of {said} at least", self.said));
        }
        if self.origin_requests < requests {
            let come = self.origin_requests;
            breaches.push(format!("{come} requests of it reached the origin, of {requests} at least"));
        }
        breaches
    }
}

/// No deadline that ends what is borne otherwise is shorter.
const DEADLINES: Duration = Duration::from_secs(30);
/// What shuntyard must end is given so long, and what must reach the origin, however short the others are: a busy machine needs longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// What shuntyard must bear is watched for so long at least.
const WATCHED: Duration = Duration::from_secs(5);

/// One attack on a proxy of its own, for `time` at most; longer on one of ours, where it must end the attack, or bear it.
///
/// # Errors
///
/// Those of the sockets, and of a proxy that cannot be started or does not serve.
pub fn measure(kind: Kind, attack: &Attack, time: Duration, origin: &Origin) -> io::Result<Figures> {
    // A clock that came first would hide that nothing else ends it.
    let mut proxy = Proxy::start(kind, origin.address(), attack.fate != Fate::Ended)?;
    // What is done at the first request is not the attack's doing.
    let mut line = None;
    for _ in 0..20 {
        if !bystander::ask(proxy.address(), &mut line)? {
            return Err(io::Error::other("the proxy does not serve"));
        }
    }
    let bystander = Bystander::start(proxy.address());
    let (before, attacked) = (proxy.usage(), origin.attacked());
    let (mut most, began) = (before.resident, Instant::now());
    let mut peer = Peer::connect(proxy.address(), attack.reads)?;
    // One that ends at once has ended: that is a figure, not a failure.
    let mut going = (attack.opens)(&mut peer);
    let time = match attack.fate {
        Fate::Ended if kind.is_ours() => time.max(PATIENCE),
        Fate::Borne if kind.is_ours() => time.max(WATCHED),
        _ => time,
    };
    let lacks = || kind.is_ours() && origin.attacked() - attacked < attack.least.requests;
    let is_over = |elapsed| elapsed >= time && (elapsed >= PATIENCE || !lacks());
    let mut sampled = Instant::now();
    while going.is_ok() && peer.ended().is_none() && !is_over(began.elapsed()) {
        going = (attack.turn)(&mut peer);
        if peer.is_blocked() {
            thread::sleep(Duration::from_millis(1));
        }
        if sampled.elapsed() > Duration::from_millis(10) {
            sampled = Instant::now();
            most = most.max(proxy.usage().resident);
        }
    }
    let lasted = peer.ended().unwrap_or_else(|| peer.age());
    let after = proxy.usage();
    most = most.max(after.resident);
    let figures = Figures {
        origin_requests: origin.attacked() - attacked,
        said: peer.said(),
        heard: peer.heard(),
        grown: most.saturating_sub(before.resident),
        cpu: after.cpu.saturating_sub(before.cpu),
        lasted,
        ended: peer.ended().is_some(),
        bystander: bystander.end(),
        alive: proxy.is_running(),
    };
    Ok(figures)
}
