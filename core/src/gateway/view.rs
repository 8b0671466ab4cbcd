//! A look at the gateway from outside: for tests and status pages. A view walks everything; not for each event.

use crate::gateway::Gateway;
use crate::request::Place;

/// What there is at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Connections of clients.
    pub fronts: usize,
    /// Of these: asleep.
    pub asleep: usize,
    /// Connections to backends, those being made included.
    pub backends: usize,
    /// Engines in the registry.
    pub engines: usize,
    /// Requests that have not ended.
    pub requests: usize,
    /// Of these: frozen.
    pub frozen: usize,
    /// Of these: on a backend stream.
    pub live: usize,
    /// Of these: finished with the backend, the response still leaving.
    pub finished: usize,
    /// Requests in the queue, or resting before they go back to it: the frozen ones.
    pub queued: usize,
    /// Octets in outboxes, inboxes, streams' queues, frozen requests, and what is kept to be sent again.
    pub buffered_octets: usize,
    /// Octets reserved for content, in all ledgers.
    pub reserved_octets: u64,
    /// Octets reserved for heads and trailers.
    pub head_octets: u64,
    /// Deadlines armed.
    pub deadlines: usize,
    /// Octets that peers sent and get no credit for: of connections without streams. Always 0.
    pub credit_lost: u64,
}

impl Gateway {
    /// Events that named a connection that is gone, or that the contract does not foresee.
    pub fn ignored_events(&self) -> u64 {
        self.ignored_events
    }

    /// Whether it drains: it finishes what it has and ends.
    pub fn is_draining(&self) -> bool {
        self.drain.is_some()
    }

    /// What there is now.
    pub fn view(&self) -> View {
        let mut view = View {
            fronts: self.fronts,
            backends: self.conns.len() - self.fronts,
            engines: self.registry.entries().map(|(_, entry)| entry.seats.len()).sum(),
            requests: self.requests.len(),
            queued: self.registry.queued(),
            reserved_octets: self.ledger.reserved() + self.uploads.reserved() + self.replays.reserved(),
            head_octets: self.heads.reserved(),
            deadlines: self.deadlines.len(),
            ..View::default()
        };
        for (_, request) in self.requests.iter() {
            match request.place {
                Place::Frozen(_) => view.frozen += 1,
                Place::Live(_) => view.live += 1,
                Place::Finished(_) => view.finished += 1,
            }
            view.queued += usize::from(request.awaiting.paused);
            view.buffered_octets += request.awaiting.content.len() + request.awaiting.replay.len();
            view.buffered_octets += request.relayed_octets();
        }
        for (_, conn) in self.conns.iter() {
            view.asleep += usize::from(conn.session.is_asleep());
            view.buffered_octets += conn.inbox.len() + conn.session.buffered();
            if !conn.session.has_failed() {
                view.credit_lost += conn.session.credit_lost();
            }
        }
        view
    }
}
