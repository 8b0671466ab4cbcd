//! With the feature `fork`, copies of a gateway, for those who try everything that may come next. What can be used once only, as credit and permits, is
//! copied with it: no dependency of a program should ask for that.

use crate::fields::SharedLines;
use crate::gateway::{Gateway, dormant, hooked, spare};

impl Gateway {
    /// A copy that goes on independently, and does the same if the same happens to it. `None` where the gateway has hooks:
    /// they are code of somebody else. Memory that is only kept for use is not copied, and a buffer that was lent is lent
    /// to the original only.
    pub fn fork(&self) -> Option<Self> {
        if self.hooks.is_some() {
            return None;
        }
        Some(Self {
            config: self.config.clone(),
            front_config: self.front_config.clone(),
            backend_config: self.backend_config.clone(),
            seed: self.seed,
            random: self.random.clone(),
            wall: self.wall,
            forward: self.forward.clone(),
            conns: self.conns.clone(),
            fronts: self.fronts,
            clients: self.clients.clone(),
            dormancy: dormant::Dormancy {
                awake: self.dormancy.awake.clone(),
                shared: SharedLines::default(),
            },
            requests: self.requests.clone(),
            registry: self.registry.clone(),
            routes: self.routes.clone(),
            account: self.account.clone(),
            ledger: self.ledger.clone(),
            uploads: self.uploads.clone(),
            replays: self.replays.clone(),
            heads: self.heads.clone(),
            recorded: self.recorded.clone(),
            deadlines: self.deadlines.clone(),
            actions: self.actions.clone(),
            recv_buffer: Vec::new(),
            recv_octets: self.recv_octets,
            lent: None,
            spare: spare::Spare::default(),
            hooks: hooked::Hooked::default(),
            output: Vec::new(),
            next_request: self.next_request,
            next_engine: self.next_engine,
            revisited: self.revisited.clone(),
            unwatched: self.unwatched.clone(),
            next_identity: self.next_identity,
            accepting: self.accepting,
            dispatch_at: self.dispatch_at,
            drain: self.drain.clone(),
            ignored_events: self.ignored_events,
            work: self.work.clone(),
        })
    }
}
