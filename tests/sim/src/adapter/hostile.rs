//! An adapter that breaks the contract: stale ids, events that nobody asked for, questions out of turn. The gateway ignores
//! what is wrong and says nothing to what is not due (X6, T4).

use shuntyard_core::gateway::{Closed, ConnId, Connected};

use super::Adapter;
use crate::invariants;
use crate::ledger::Violation;
use crate::stage::Stage;

/// So many events in one run are followed by a look at the whole gateway.
const DIGESTS_MAX: u32 = 4;

/// Ids of connections that are gone, as many as are remembered.
const STALE_MAX: usize = 8;

impl Adapter {
    pub(super) fn remember_stale(&mut self, id: ConnId) {
        self.stale.push(id);
        if self.stale.len() > STALE_MAX {
            self.stale.remove(0);
        }
    }

    /// Asks for what is not due and tells what is not so, in a moment in which the gateway has nothing left to do.
    pub(super) fn be_difficult(&mut self, stage: &mut Stage) -> Result<(), Violation> {
        if self.choices.chance(self.plan.spurious.into()) {
            self.ask_out_of_turn(stage)?;
        }
        if self.choices.chance(self.plan.hostile.into()) {
            self.break_the_contract(stage)?;
        }
        Ok(())
    }

    /// All that the gateway is, where there is time to look at it all: it takes some.
    /// The whole gateway in a number, where it is looked at.
    fn digest(&self, stage: &Stage) -> Option<u64> {
        if self.looked_at >= DIGESTS_MAX {
            return None;
        }
        let order: Vec<ConnId> = self.conns.keys().copied().collect();
        Some(self.gateway.digest(self.instant(stage.now()), &order))
    }

    fn ask_out_of_turn(&mut self, stage: &mut Stage) -> Result<(), Violation> {
        let now = self.instant(stage.now());
        if self.gateway.poll_timeout().is_some_and(|at| at <= now) {
            // A late timer is still to come.
            return Ok(());
        }
        let before = self.gateway.view();
        self.asked += 1;
        self.gateway.handle_timeout(now);
        let action = self.gateway.poll_action().map(|action| format!("{action:?}"));
        let after = self.gateway.view();
        stage.ledger.check("T4", action.is_none() && before == after, || {
            format!("a timeout that is not due leads to {action:?} and {after:?}, before {before:?}")
        })?;
        let blocked = |link: usize, stage: &Stage| stage.police[link].waiting() > 0;
        let idle: Vec<ConnId> =
            self.conns.iter().filter(|(_, conn)| !blocked(conn.link, stage)).map(|(&id, _)| id).collect();
        for id in idle {
            self.asked += 1;
            let octets = self.gateway.poll_transmit(id, now).map_or(0, <[u8]>::len);
            stage.ledger.check("W6", octets == 0, || {
                format!("{octets} octets wait on {id:?}, and nobody was told")
            })?;
        }
        // Each time it is asked the gateway may order one more connection, where requests wait for one: so actions may come.
        self.settle(stage).map(|_| ())
    }

    fn break_the_contract(&mut self, stage: &mut Stage) -> Result<(), Violation> {
        let now = self.instant(stage.now());
        let stale = if self.stale.is_empty() { None } else { Some(*self.choices.pick(&self.stale)) };
        let connecting = self.conns.iter().find(|(_, conn)| conn.connecting).map(|(&id, _)| id);
        let standing = self.conns.iter().find(|(_, conn)| !conn.connecting).map(|(&id, _)| id);
        let finished = self.conns.iter().find(|(_, conn)| conn.read_closed).map(|(&id, _)| id);
        let kind = self.choices.between(0, 8);
        let (event, id) = match kind {
            0 => ("handle_connected on a stale id", stale),
            1 => ("handle_recv on a stale id", stale),
            2 => ("handle_read_closed on a stale id", stale),
            3 => ("handle_sent on a stale id", stale),
            4 => ("handle_closed on a stale id", stale),
            5 => ("handle_connected twice", standing),
            6 => ("handle_recv without recv_buf", standing),
            7 => ("handle_read_closed before the connection stands", connecting),
            _ => ("handle_read_closed twice", finished),
        };
        let Some(id) = id else { return Ok(()) };
        if kind == 6 {
            // A buffer that was lent and not filled is given back.
            self.gateway.handle_recv(id, 0, now);
            while self.gateway.poll_action().is_some() {}
        }
        let (before, whole) = (self.gateway.view(), self.digest(stage));
        let ignored = self.gateway.ignored_events();
        match kind {
            0 | 5 => self.gateway.handle_connected(id, Connected::default(), now),
            1 | 6 => self.gateway.handle_recv(id, 10, now),
            2 | 7 | 8 => self.gateway.handle_read_closed(id, now),
            3 => self.gateway.handle_sent(id, 10, now),
            _ => self.gateway.handle_closed(id, Closed::Reset, now),
        }
        let same = whole.map(|whole| self.digest(stage) == Some(whole));
        self.looked_at += u32::from(self.looked_at < DIGESTS_MAX && self.events.is_multiple_of(5));
        if let Some(same) = same {
            stage.ledger.check("X6", same, || format!("{event} leaves another gateway"))?;
        }
        let (counted, after) = (self.gateway.ignored_events() > ignored, self.gateway.view());
        let action = self.gateway.poll_action().map(|action| format!("{action:?}"));
        invariants::x6_spurious_events_change_nothing(&mut stage.ledger, event, &before, &after, action)?;
        stage.ledger.check("X6", counted, || format!("{event} is not counted"))
    }
}
