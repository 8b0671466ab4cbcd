//! What model clients and backends have in common: a peer on a link, its pace of reading, its timed duties.

use crate::net::{End, Link, Read, Write};
use crate::peer::{Event, Peer};
use crate::scenario::{Leave, PeerPlan};
use crate::world::{Nanos, Wake, World};

/// One end of a link with a peer on it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The HTTP/2 end.
    pub peer: Peer,
    plan: PeerPlan,
    end: End,
    me: Wake,
    began: Nanos,
    next_read: Nanos,
    /// The wake for `next_read` is in the queue.
    read_wake: Nanos,
    settings_sent: usize,
    pings_sent: u32,
    /// The other end has finished or the connection is gone.
    pub finished: bool,
    /// The connection is gone.
    pub lost: bool,
    left: bool,
    /// It reads no more, for ever.
    pub deaf: bool,
    /// It writes no more, for ever.
    pub mute: bool,
}

/// Octets of output that a model keeps waiting before it makes more.
const OUTPUT_MAX: usize = 64 << 10;

impl Endpoint {
    /// An end that begins now.
    pub fn new(client: bool, plan: PeerPlan, me: Wake, world: &mut World) -> Self {
        let began = world.now();
        for (after, ..) in &plan.later_settings {
            world.wake(began + after, me);
        }
        if let Some((count, every)) = plan.pings {
            (1..=u64::from(count)).for_each(|n| world.wake(began + n * every, me));
        }
        Self {
            peer: Peer::new(client, plan.clone()),
            plan,
            end: if client { End::Initiator } else { End::Acceptor },
            me,
            began,
            next_read: 0,
            read_wake: 0,
            settings_sent: 0,
            pings_sent: 0,
            finished: false,
            lost: false,
            left: false,
            deaf: false,
            mute: false,
        }
    }

    /// Reads what has arrived, as fast as the plan allows.
    pub fn read(&mut self, link: &mut Link, world: &mut World) -> Result<Vec<Event>, String> {
        let mut events = Vec::new();
        self.duties(world.now());
        while !self.left && !self.lost && !self.finished && !self.deaf {
            if world.now() < self.next_read {
                if std::mem::replace(&mut self.read_wake, self.next_read) != self.next_read {
                    world.wake(self.next_read, self.me);
                }
                break;
            }
            let most = self.plan.read.map_or(usize::MAX, |(octets, _)| octets.max(1));
            match link.read(self.end, most, world) {
                Read::Octets(octets) => {
                    self.next_read = self.plan.read.map_or(0, |(_, every)| world.now() + every);
                    events.extend(self.peer.receive(&octets)?);
                }
                Read::Nothing => break,
                Read::Fin => self.finished = true,
                Read::Reset => (self.finished, self.lost) = (true, true),
            }
        }
        self.peer.grant();
        Ok(events)
    }

    /// Whether more output may be made.
    pub fn has_room(&self) -> bool {
        self.peer.output().len() < OUTPUT_MAX
    }

    /// Writes what waits, as much as the link takes.
    pub fn write(&mut self, link: &mut Link, world: &mut World) {
        let was_full = !self.has_room();
        while !self.left && !self.lost && !self.mute && !self.peer.output().is_empty() {
            match link.write(self.end, self.peer.output(), world) {
                Write::Taken(0) => break,
                Write::Taken(n) => self.peer.sent(n),
                Write::Reset => (self.finished, self.lost) = (true, true),
            }
        }
        if was_full && self.has_room() {
            // Whatever was not made for want of room can be made now.
            world.wake(world.now(), self.me);
        }
    }

    /// Goes away.
    pub fn leave(&mut self, how: Leave, link: &mut Link, world: &mut World) {
        if how == Leave::HalfClose {
            self.mute = true;
            return link.finish(self.end, world);
        }
        if std::mem::replace(&mut self.left, true) {
            return;
        }
        match how {
            Leave::Close => link.close(self.end, world),
            Leave::Reset => link.reset(self.end, world),
            // It was done above: who half-closes has not left.
            Leave::HalfClose => {}
        }
    }

    /// Whether this end has gone away by itself.
    pub fn has_left(&self) -> bool {
        self.left
    }

    fn duties(&mut self, now: Nanos) {
        let passed = now.saturating_sub(self.began);
        let later = &self.plan.later_settings;
        while let Some(&(at, ..)) = later.get(self.settings_sent).filter(|(after, ..)| *after <= passed) {
            let together = later[self.settings_sent..].iter().take_while(|(other, ..)| *other == at);
            let settings: Vec<(u16, u32)> = together.map(|&(_, id, value)| (id, value)).collect();
            self.settings_sent += settings.len();
            self.peer.send_settings(settings);
        }
        if let Some((count, every)) = self.plan.pings {
            while self.pings_sent < count && u64::from(self.pings_sent + 1) * every <= passed {
                self.peer.send_ping();
                self.pings_sent += 1;
            }
        }
    }
}
