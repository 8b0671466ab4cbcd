//! What happens during the demo, and which promises are seen to hold.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::client::Clients;
use super::figures::Lap;
use super::gateway::{End, Gateway};
use super::origin::{Origin, State, Status};
use super::screen::{Promise, Screen, Snapshot, Summary};
use super::session::{Pace, SLOW_DELAY, SLOW_PIECE};

/// How long nothing may succeed, and how long each step may take: far beyond what a busy machine makes of it.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);
/// How long the drain lets requests finish.
const DRAIN: Duration = Duration::from_secs(10);
/// What a drain that is over time, or clients that give up, may take in addition.
const GRACE: Duration = Duration::from_secs(3);
/// How long an origin that came back may be idle before it is made needed.
const NEED: Duration = Duration::from_secs(1);
/// How often origins renew their connections for that.
const RENEWALS: usize = 8;
/// Parts of the time in which an origin is slow: the others answer in each of them, or within a moment behind it.
const SLOW_PARTS: u32 = 4;
const MOMENT: Duration = Duration::from_secs(2);
const TICK: Duration = Duration::from_millis(50);
const REDRAW: Duration = Duration::from_millis(200);
const SECOND: Duration = Duration::from_secs(1);

/// The cast, and how far the story has come.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) origins: Vec<Origin>,
    pub(super) gateway: Gateway,
    pub(super) clients: Clients,
    pub(super) screen: Screen,
    pub(super) signals: Receiver<()>,
    pub(super) workers: usize,
    pub(super) client_count: usize,
    pub(super) length: Duration,
    begun: Instant,
    drawn: Instant,
    lap_ended: Instant,
    lap: Lap,
    meanwhile: Vec<&'static str>,
    promises: Vec<Promise>,
}

/// Why the story goes to its end before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// The user wants it.
    Signal,
    /// Nothing succeeds any more.
    Stalled,
    /// One of the cast has left the stage.
    Lost,
}

/// What the story needs to be told.
#[derive(Debug)]
pub(super) struct Cast {
    pub(super) origins: Vec<Origin>,
    pub(super) gateway: Gateway,
    pub(super) clients: Clients,
    pub(super) client_count: usize,
    pub(super) workers: usize,
}

impl Story {
    pub(super) fn new(cast: Cast, screen: Screen, signals: Receiver<()>, length: Duration) -> Self {
        let Cast { origins, gateway, clients, client_count, workers } = cast;
        let now = Instant::now();
        Self {
            origins,
            gateway,
            clients,
            screen,
            signals,
            workers,
            client_count,
            length,
            begun: now,
            drawn: now,
            lap_ended: now,
            lap: Lap::default(),
            meanwhile: Vec::new(),
            promises: Vec::new(),
        }
    }

    /// Tells it to its end. Whether somebody wanted it to be short.
    pub(super) fn tell(&mut self) -> (Summary, bool) {
        let cut = self.play().err();
        self.promise("requests go on", !matches!(cut, Some(Cut::Stalled | Cut::Lost)));
        let drained = self.drain();
        (self.sum_up(drained), cut == Some(Cut::Signal))
    }

    /// Since it began.
    pub(super) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    fn play(&mut self) -> Result<(), Cut> {
        self.say(&format!(
            "{} clients, the gateway, {} origins: every octet that comes is compared",
            self.client_count,
            self.origins.len(),
        ));
        self.pass(1.0 / 3.0)?;
        self.one_turns_slow()?;
        self.pass(2.0 / 3.0)?;
        self.one_goes_away_and_comes_back()?;
        self.pass(1.0)
    }

    fn one_turns_slow(&mut self) -> Result<(), Cut> {
        let slow = 1;
        let under_way = self.clients.figures().in_flight as u64;
        let others: Vec<usize> = (0..self.origins.len()).filter(|&n| n != slow).collect();
        let (asked, before) = (self.asked(slow), self.answered(&others));
        self.origins[slow].pace(Pace::Slow);
        self.say(&format!(
            "origin {} turns slow: {} ms late, then {SLOW_PIECE} octets a frame",
            self.origins[slow].name,
            SLOW_DELAY.as_millis(),
        ));
        self.meanwhile.push("an origin was slow");
        // What was under way says nothing.
        let mut held = self.wait(PATIENCE, |story| {
            story.answered(&others).iter().zip(&before).all(|(now, before)| now - before > under_way)
        })?;
        held &= self.wait(PATIENCE, |story| story.asked(slow) > asked)?;
        let part = self.length.mul_f64(0.5).saturating_sub(self.begun.elapsed()) / SLOW_PARTS;
        for _ in 0..SLOW_PARTS {
            let before = self.answered(&others);
            self.wait(part, |_| false)?;
            held &= self.wait(MOMENT, |story| {
                story.answered(&others).iter().zip(&before).all(|(now, before)| now > before)
            })?;
        }
        self.promise("a slow origin does not stop the others", held);
        self.origins[slow].pace(Pace::Swift);
        self.say(&format!("origin {} is well again", self.origins[slow].name));
        Ok(())
    }

    fn one_goes_away_and_comes_back(&mut self) -> Result<(), Cut> {
        let leaving = 2;
        let failed = self.clients.figures().failed;
        let Status { streams, unfinished, .. } = self.origins[leaving].status();
        self.origins[leaving].leave();
        let name = self.origins[leaving].name;
        self.say(&format!("origin {name} says GOAWAY, finishes its {streams} streams and closes its port"));
        self.meanwhile.push("another left");
        let gone = self.wait(PATIENCE, |story| story.origins[leaving].status().state == State::Away)?;
        let lost = self.origins[leaving].status().unfinished - unfinished;
        self.promise("GOAWAY loses no request", gone && lost == 0 && self.clients.figures().failed == failed);
        self.say(&format!("origin {name} is away: {lost} of its requests were lost"));
        self.wait((self.length / 20).min(SECOND), |_| false)?;

        self.origins[leaving].come_back();
        self.say(&format!("origin {name} listens again"));
        let used = self.is_used_again(leaving)?;
        if used && let Some(left) = self.meanwhile.last_mut() {
            *left = "another left and came back";
        }
        self.promise("an origin that comes back is used again", used);
        Ok(())
    }

    /// The gateway makes connections as it needs them: where it needs none for a while, an origin that renews its own changes
    /// that, and who has fewest is asked first.
    fn is_used_again(&mut self, back: usize) -> Result<bool, Cut> {
        let before = self.origins[back].status().answered;
        let used = move |story: &Self| story.origins[back].status().answered > before;
        for round in 0..RENEWALS {
            if self.wait(NEED, used)? {
                return Ok(true);
            }
            let other = round % back;
            self.origins[other].renew();
            self.say(&format!(
                "origin {} says GOAWAY on its connections and takes new ones",
                self.origins[other].name
            ));
        }
        self.wait(PATIENCE, used)
    }

    /// Drains the gateway under load. How many requests finished meanwhile.
    fn drain(&mut self) -> u64 {
        let (before, failed, under_way) = {
            let figures = self.clients.figures();
            (figures.requests, figures.failed, figures.in_flight)
        };
        self.gateway.drain(DRAIN);
        self.say(&format!("the gateway is drained while {under_way} requests are under way"));
        self.meanwhile.push("the gateway drained");
        let ended =
            self.linger(DRAIN + GRACE, |story| story.gateway.has_ended() && story.clients.have_ended());
        if !ended {
            self.gateway.stop();
            self.clients.halt();
            self.linger(GRACE, |story| story.gateway.has_ended() && story.clients.have_ended());
        }
        let end = self.gateway.end();
        let drained = ended && matches!(end, Some(End::Drained { cut: 0 }));
        let (requests, failed_now) = {
            let figures = self.clients.figures();
            (figures.requests - before, figures.failed)
        };
        self.promise("a drain loses no request", drained && failed_now == failed);
        self.draw();
        match end {
            Some(End::Drained { cut: 0 }) => {
                self.say(&format!(
                    "the gateway has ended: {requests} requests finished, 0 connections were cut"
                ));
            }
            Some(End::Drained { cut }) => {
                self.say(&format!("the gateway has ended: it cut {cut} connections"))
            }
            Some(End::Failed(error)) => self.say(&format!("the gateway's event loop failed: {error}")),
            Some(End::Panicked) => self.say("the gateway panicked"),
            None => self.say("the gateway has not ended in time"),
        }
        requests
    }

    fn sum_up(&mut self, drained: u64) -> Summary {
        let balance = self.gateway.balance();
        let (requests, failed, wrong, octets, times, complaints) = {
            let figures = self.clients.figures();
            let complaints = figures.complaints.clone();
            (figures.requests, figures.failed, figures.wrong, figures.octets, figures.times(), complaints)
        };
        self.promise("no request fails", failed == 0 && requests > 0);
        self.promise("every octet is the right one", wrong == 0 && octets > 0);
        let ended = balance.complete + balance.incomplete + balance.others;
        let accounted = balance.started == ended && balance.complete == requests;
        self.promise("the gateway accounts for every request once", accounted);
        Summary {
            elapsed: self.begun.elapsed(),
            requests,
            failed,
            octets,
            times,
            retried: balance.retried,
            drained,
            meanwhile: self.meanwhile.clone(),
            promises: self.promises.clone(),
            complaints,
        }
    }

    /// How many requests each of these origins has answered.
    fn answered(&self, origins: &[usize]) -> Vec<u64> {
        origins.iter().map(|&n| self.origins[n].status().answered).collect()
    }

    /// How many requests an origin has got.
    fn asked(&self, origin: usize) -> u64 {
        let Status { streams, answered, unfinished, .. } = self.origins[origin].status();
        answered + unfinished + streams as u64
    }

    /// Lets time pass until this share of the story's length.
    fn pass(&mut self, share: f64) -> Result<(), Cut> {
        let until = self.length.mul_f64(share);
        let left = until.saturating_sub(self.begun.elapsed());
        self.wait(left, |_| false).map(drop)
    }

    /// Waits for something, for so long. Whether it came.
    fn wait(&mut self, limit: Duration, came: impl Fn(&Self) -> bool) -> Result<bool, Cut> {
        let begun = Instant::now();
        loop {
            if came(self) {
                return Ok(true);
            }
            let left = limit.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Ok(false);
            }
            match self.signals.recv_timeout(left.min(TICK)) {
                Ok(()) => return Err(Cut::Signal),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => thread::sleep(left.min(TICK)),
            }
            self.look_after()?;
            self.tick();
        }
    }

    /// Waits for something that neither a signal nor a failure makes superfluous.
    fn linger(&mut self, limit: Duration, came: impl Fn(&Self) -> bool) -> bool {
        let begun = Instant::now();
        while !came(self) {
            if begun.elapsed() >= limit {
                return false;
            }
            thread::sleep(TICK);
            self.tick();
        }
        true
    }

    fn look_after(&mut self) -> Result<(), Cut> {
        if self.clients.figures().last_success.elapsed() > PATIENCE {
            let seconds = PATIENCE.as_secs();
            self.say(&format!("no request has succeeded for {seconds} s: something hangs"));
            return Err(Cut::Stalled);
        }
        if self.gateway.has_ended()
            || self.clients.have_ended()
            || self.origins.iter().any(Origin::has_failed)
        {
            self.say("the gateway, the clients or an origin ended before their time");
            return Err(Cut::Lost);
        }
        Ok(())
    }

    /// Draws, if it is time.
    fn tick(&mut self) {
        let now = Instant::now();
        let lap_over = now.duration_since(self.lap_ended) >= SECOND;
        if lap_over {
            self.lap = self.clients.figures().take_lap(now);
            self.lap_ended += SECOND;
        }
        if lap_over || (self.screen.is_table() && now.duration_since(self.drawn) >= REDRAW) {
            self.draw();
        }
    }

    fn draw(&mut self) {
        self.drawn = Instant::now();
        let snapshot = self.snapshot();
        self.screen.show(&snapshot);
    }

    fn say(&mut self, what: &str) {
        self.screen.say(self.begun.elapsed(), what);
        if self.screen.is_table() {
            self.draw();
        }
    }

    fn promise(&mut self, name: &'static str, held: bool) {
        self.promises.push(Promise { name, held });
    }

    fn snapshot(&self) -> Snapshot {
        let origins =
            self.origins.iter().map(|origin| (origin.name, origin.address, origin.status())).collect();
        let figures = self.clients.figures();
        Snapshot {
            elapsed: self.begun.elapsed(),
            length: self.length,
            clients: self.client_count,
            requests: figures.requests,
            failed: figures.failed,
            octets: figures.octets,
            in_flight: figures.in_flight,
            lap: self.lap,
            gateway: self.gateway.address,
            workers: self.workers,
            balance: self.gateway.balance(),
            origins,
        }
    }
}
