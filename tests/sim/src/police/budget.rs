//! What a peer costs that no useful work stands against: no more than the gateway must count, and all that it may pay back.

use super::{Police, Side};
use crate::refcodec::frame::Frame;
use crate::world::{Nanos, SECOND};

/// What time pays back in a second.
const PER_SECOND: u64 = 3_300;
/// What a frame of content that left pays back at most, and a message in either direction.
const FRAME_PAYS: u64 = 12;
const MESSAGE_PAYS: u64 = 100;
/// Octets of content that pay a point.
const OCTETS_PER_POINT: u64 = 256;
/// What may be owed: [`misuse_max`](shuntyard_core::config::ConnectionConfig::misuse_max) where nothing is configured. Of less nobody says
/// that it is enough for whoever keeps to the protocol.
pub(crate) const BUDGET: u32 = 10_000;

/// The account.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Misused {
    points: u64,
    /// What updates of windows have cost at most, beyond what went through these windows: a point each.
    crumbs: u64,
    at: Nanos,
    settings: bool,
}

impl Misused {
    fn pay(&mut self, points: u64) {
        self.points = self.points.saturating_sub(points);
    }

    fn passed(&mut self, now: Nanos) {
        let time = now.saturating_sub(std::mem::replace(&mut self.at, now));
        self.pay(time.saturating_mul(PER_SECOND) / SECOND + u64::from(time > 0));
    }

    fn content(&mut self, octets: usize, end: bool) {
        let octets = octets as u64 / OCTETS_PER_POINT;
        self.pay(octets + if end { MESSAGE_PAYS } else { 0 });
        self.crumbs = self.crumbs.saturating_sub(octets);
    }

    /// A frame came. Of what costs something some frames are left out, and some count for less than they cost: it hangs on what they find.
    pub(super) fn came(&mut self, frame: &Frame, now: Nanos) {
        self.passed(now);
        self.points += match frame {
            Frame::Settings { ack: false, .. } if std::mem::replace(&mut self.settings, true) => 100,
            Frame::Ping { ack: false, .. } | Frame::Priority { .. } | Frame::RstStream { .. } => 10,
            Frame::Data { content, end: false, .. } if content.is_empty() => 10,
            _ => 0,
        };
        match frame {
            Frame::Data { content, end, .. } => self.content(content.len(), *end),
            Frame::Headers { end: true, .. } => self.pay(MESSAGE_PAYS),
            Frame::WindowUpdate { .. } => self.crumbs += 1,
            _ => {}
        }
    }

    /// A frame left.
    pub(super) fn left(&mut self, frame: &Frame, now: Nanos) {
        self.passed(now);
        match frame {
            Frame::Data { content, end, .. } => {
                self.content(content.len(), *end);
                self.pay(FRAME_PAYS);
            }
            Frame::Headers { end: true, .. } => self.pay(MESSAGE_PAYS),
            _ => {}
        }
    }
}

impl Police {
    /// What a client has cost, where that is more than `most` and nothing came of it.
    pub fn endured(&self, most: u64) -> Option<u64> {
        let ended = self.over || self.peer_gone || self.last_goaway.is_some() || self.ended_by_gateway;
        let unread = self.paused || self.inbound_broken || self.waiting() > 0;
        let points = self.misused.points;
        (self.side == Side::Front && !ended && !unread && points > most).then_some(points)
    }

    /// Whether the peer may have opened its windows octet by octet for so long that it is not borne any longer: the protocol
    /// allows it, and it costs a frame for each octet (CVE-2019-9511).
    pub(super) fn crumbles(&self) -> bool {
        self.misused.crumbs > self.budget
    }
}
