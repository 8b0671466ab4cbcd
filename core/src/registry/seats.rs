//! The engines of the registry: where the next request may go, who takes a seat, who leaves it.

use crate::config::{Alpn, Protocol, Saturation};
use crate::key::{ConnId, EndpointId, EndpointKey, EntryKey, LaneKey, UpstreamKey};
use crate::record::Cause;
use crate::registry::{Endpoint, Lane, Means, Rank, Registry, Seat, Upstream, Wanted};
use crate::request::Needs;

/// Where the next request of an entry may go beside the engines that the entry has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// A connection is idle at the endpoint and can be adopted.
    Adopt(EndpointKey, ConnId),
    /// A connection to the endpoint can be ordered.
    Dial(EndpointKey),
}

/// The engines.
impl Registry {
    /// A way to serve the entry's next request that is better than an engine whose endpoint has the rank `best`; any way
    /// where there is none. An endpoint without a connection of this entry is one; an idle connection that is `of_use` is adopted
    /// before another is made.
    #[inline(always)]
    pub(crate) fn better_way(
        &self,
        entry: EntryKey,
        best: Option<Rank>,
        wanted: Wanted,
        of_use: impl Fn(ConnId) -> bool,
    ) -> Option<Way> {
        let entry = self.entries.get(entry)?;
        let upstream = self.upstreams.get(entry.upstream)?;
        // Mostly nothing is better than what there is, and nobody has to be asked.
        if best.is_some_and(|best| best.0 == 0 || upstream.is_alone()) {
            return None;
        }
        // Dials that are under way serve requests that wait already, unless they are late.
        let enough_dials = entry.prompt_dials() >= entry.queued;
        upstream
            .ranked(wanted)
            // Equals stay where a connection is.
            .filter(|(rank, ..)| best.is_none_or(|best| rank.0 < best.0))
            .filter_map(|(rank, key, endpoint)| {
                if let Some(&conn) = endpoint.idle.iter().rev().find(|conn| of_use(**conn)) {
                    return Some((rank, false, Way::Adopt(key, conn)));
                }
                let may_dial = !endpoint.resting && !enough_dials && !entry.has_engine_at(key);
                let cuts = best.is_none() && upstream.makes_room(endpoint);
                (may_dial && (cuts || upstream.has_room(endpoint))).then_some((rank, cuts, Way::Dial(key)))
            })
            // Among equals one that stands comes before one that is to be made, and before one for which another has to go all others.
            .min_by_key(|&((load, place), cuts, way)| {
                let (Way::Adopt(key, _) | Way::Dial(key)) = way;
                (wanted.avoid == Some(key), cuts, load, matches!(way, Way::Dial(_)), place)
            })
            .map(|(.., way)| way)
    }

    /// The best connection that is idle and `of_use`, wherever it is.
    pub(crate) fn idle_way(
        &self,
        entry: EntryKey,
        wanted: Wanted,
        of_use: impl Fn(ConnId) -> bool,
    ) -> Option<(EndpointKey, ConnId)> {
        let upstream = self.upstreams.get(self.entries.get(entry)?.upstream)?;
        let idle = |endpoint: &Endpoint| endpoint.idle.iter().rev().copied().find(|&conn| of_use(conn));
        upstream
            .ranked(wanted)
            .filter_map(|(rank, key, endpoint)| Some((rank, (key, idle(endpoint)?))))
            .min_by_key(|&(rank, _)| rank)
            .map(|(_, way)| way)
    }

    /// What is left where no engine has a slot and [`better_way`](Self::better_way) found nothing: one more connection to an
    /// endpoint that has some, if the policy dials; or a try in spite of everything, where there is nobody at all.
    /// `one_stream_each`: of those alone whose connections carry one request each.
    pub(crate) fn last_resort(
        &self,
        entry: EntryKey,
        wanted: Wanted,
        one_stream_each: bool,
    ) -> Option<EndpointKey> {
        let entry = self.entries.get(entry)?;
        let upstream = self.upstreams.get(entry.upstream)?;
        let deserted = entry.seats.is_empty() && upstream.all_rest();
        let dials =
            upstream.config().on_saturation == Saturation::Dial && entry.prompt_dials() < entry.queued;
        // Mostly that is all there is to ask.
        if !deserted && !dials {
            return None;
        }
        // Who waits for a dial that is late is tried elsewhere, and not at the same endpoint once more.
        let all_have_dials = !deserted && entry.dials() >= entry.queued;
        upstream
            .ranked(wanted)
            .filter(|(_, _, endpoint)| deserted || !endpoint.resting)
            .filter(|(_, _, endpoint)| upstream.can_have_more(endpoint))
            .filter(|(_, _, endpoint)| !one_stream_each || upstream.has_one_stream_each(endpoint))
            .map(|(rank, key, endpoint)| (rank, key, endpoint, entry.dials_at(key)))
            .filter(|&(_, _, endpoint, dialling)| deserted || dialling < upstream.dials_max(endpoint))
            .map(|(rank, key, endpoint, dialling)| {
                let is_late = dialling > 0 && entry.is_slow_at(key);
                let cuts = upstream.makes_room(endpoint);
                let order = (endpoint.is_in_doubt(), is_late, upstream.rank_of_dial(rank, dialling));
                ((wanted.avoid == Some(key), cuts, order), key)
            })
            .filter(|&((.., (_, is_late, _)), _)| !(is_late && all_have_dials))
            .min_by_key(|&(order, _)| order)
            .map(|(_, key)| key)
    }

    /// Whether the endpoint of the entry's upstream could not be dialled when that was tried last.
    pub(crate) fn is_in_doubt(&self, entry: EntryKey, endpoint: EndpointKey) -> bool {
        let upstream = self.entries.get(entry).and_then(|entry| self.upstreams.get(entry.upstream));
        upstream.and_then(|of| of.endpoint(endpoint)).is_some_and(Endpoint::is_in_doubt)
    }

    /// What requests in the lane have waited for in vain.
    pub(crate) fn waited_for(&self, lane: LaneKey) -> Cause {
        let Some(entry) = self.lanes.get(lane).and_then(|lane| self.entries.get(lane.entry)) else {
            return Cause::QueueLimit;
        };
        let Some(upstream) = self.upstreams.get(entry.upstream) else { return Cause::QueueLimit };
        // Others have all connections of an endpoint where the entry has none: it is that which it has waited for, whatever was dialled in vain beside it.
        let others_serve = |(key, of): (_, &Endpoint)| of.is_at_work() && !entry.has_engine_at(key);
        match entry.seats.as_slice() {
            [] if upstream.endpoints().all(|(_, endpoint)| endpoint.is_unresolved()) => Cause::NameTimeout,
            _ if upstream.awaits_place || upstream.endpoints().any(others_serve) => Cause::QueueLimit,
            [] if upstream.endpoints().any(|(_, endpoint)| endpoint.means != Means::Enough) => {
                Cause::SystemLimit
            }
            [] if upstream.endpoints().any(|(_, endpoint)| endpoint.is_in_doubt()) => {
                Cause::ConnectionTimeout
            }
            [] => Cause::QueueLimit,
            seats if seats.iter().all(|seat| seat.dialling) => Cause::ConnectionTimeout,
            _ => Cause::QueueLimit,
        }
    }

    /// An engine's limits are late: whoever waits in the entry is tried elsewhere.
    pub(crate) fn dial_is_slow(&mut self, entry: EntryKey, conn: ConnId) {
        let seats = self.entries.get_mut(entry).map(|entry| &mut entry.seats);
        if let Some(seat) = seats.and_then(|seats| seats.iter_mut().find(|seat| seat.conn == conn)) {
            seat.slow = true;
            self.wake(entry);
        }
    }

    /// Whether the entry's requests wait in vain: no engine, none on its way, and every endpoint was tried a moment ago.
    pub(crate) fn is_hopeless(&self, entry: EntryKey) -> bool {
        let Some(entry) = self.entries.get(entry) else { return false };
        let all_rest = |upstream: &Upstream| upstream.all_rest();
        entry.seats.is_empty() && self.upstreams.get(entry.upstream).is_none_or(all_rest)
    }

    /// Whether the upstream has connections that serve somebody, or might.
    pub(crate) fn is_at_work(&self, upstream: UpstreamKey) -> bool {
        self.upstreams.get(upstream).is_some_and(|of| of.endpoints().any(|(_, of)| of.is_at_work()))
    }

    /// Whether the upstream has nobody who could serve a request with these needs and a head of this size. One that was turned down does not wait for who cannot
    /// be reached: whether that would take it is not known.
    pub(crate) fn lacks(&self, upstream: UpstreamKey, needs: Needs, head: u32) -> bool {
        let is_there = |of: &Endpoint| needs != Needs::LargeHead || !of.resting;
        let serves = |of: &Upstream| of.endpoints().any(|(_, of)| of.serves(needs, head) && is_there(of));
        needs != Needs::Anything && !self.upstreams.get(upstream).is_some_and(serves)
    }

    /// Whether the entry's requests must not wait: every engine is full, none is on its way, and the policy is to refuse. Of an entry without
    /// engines: whether there is no place for one.
    pub(crate) fn is_refused(&self, entry: EntryKey) -> bool {
        let Some(entry) = self.entries.get(entry) else { return false };
        let Some(upstream) = self.upstreams.get(entry.upstream) else { return false };
        let is_full =
            if entry.seats.is_empty() { upstream.is_full(!self.is_place_near()) } else { entry.dials() == 0 };
        is_full && upstream.config().on_saturation == Saturation::Refuse
    }

    /// How many streams a connection of the upstream carries at most by its scope.
    pub(crate) fn streams_cap(&self, upstream: UpstreamKey) -> u32 {
        self.upstreams.get(upstream).map_or(0, Upstream::streams_cap)
    }

    /// A connection was ordered, for an engine of the entry or for whoever needs it next.
    pub(crate) fn register(&mut self, endpoint: EndpointId, entry: Option<EntryKey>, conn: ConnId) {
        self.places.take();
        let Some(of) = self.endpoint_mut(endpoint) else { return };
        of.connections += 1;
        if of.means == Means::Doubtful {
            of.means = Means::Tried;
        }
        let slow = of.is_in_doubt();
        if let Some(entry) = entry {
            self.seat(entry, Seat { conn, endpoint: endpoint.key, dialling: true, slow });
        }
    }

    /// The engine gets a seat.
    fn seat(&mut self, key: EntryKey, seat: Seat) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        entry.seats.push(seat);
        let upstream = entry.upstream;
        // A client that gets an engine of its own has had its turn.
        let mut lanes = Needs::ALL.map(|needs| entry.lanes[needs]);
        lanes.sort_by_key(|lane| lane.and_then(|lane| self.lanes.get(lane)).map(|lane| lane.turn_taken));
        if entry.seats.len() == 1 {
            self.recount(key, |without_engine| *without_engine -= 1);
        }
        lanes.into_iter().flatten().for_each(|lane| self.end_turn(lane));
        if let Some(of) = self.endpoint_mut(EndpointId { upstream, key: seat.endpoint }) {
            of.seated += 1;
        }
    }

    /// An engine of the endpoint has no entry any more.
    pub(super) fn left_seat(&mut self, endpoint: EndpointId) {
        if let Some(of) = self.endpoint_mut(endpoint) {
            of.seated = of.seated.saturating_sub(1);
        }
    }

    /// The entry has got its first engine, or lost its last.
    fn recount(&mut self, entry: EntryKey, count: impl Fn(&mut usize)) {
        let Some(entry) = self.entries.get(entry) else { return };
        let Some(upstream) = self.upstreams.get_mut(entry.upstream) else { return };
        for needs in Needs::ALL {
            let lane = entry.lanes[needs].and_then(|lane| self.lanes.get(lane));
            if lane.is_some_and(Lane::takes_turns) {
                count(&mut upstream.without_engine[needs]);
            }
        }
    }

    /// An idle connection gets an engine of the entry.
    pub(crate) fn adopt(&mut self, key: EntryKey, endpoint: EndpointKey, conn: ConnId) {
        if let Some(entry) = self.entries.get(key) {
            self.leave_idle(EndpointId { upstream: entry.upstream, key: endpoint }, conn);
            self.seat(key, Seat { conn, endpoint, dialling: false, slow: false });
        }
    }

    /// The engine is out of requests: it is deregistered, and its connection is idle from now on, in one step (B31). Says
    /// whether its endpoint still wants the connection. Who waits is not woken.
    pub(crate) fn deregister(&mut self, entry: Option<EntryKey>, endpoint: EndpointId, conn: ConnId) -> bool {
        if let Some(entry) = entry {
            self.unseat(entry, conn);
        }
        let Some(endpoint) = self.endpoint_mut(endpoint).filter(|endpoint| !endpoint.retired) else {
            return false;
        };
        endpoint.idle.push(conn);
        true
    }

    /// An engine leaves its entry, by its identity and never by its key (F3). Says whether its backend had not told its
    /// limits yet.
    pub(crate) fn unseat(&mut self, key: EntryKey, conn: ConnId) -> bool {
        let Some(entry) = self.entries.get_mut(key) else { return false };
        let Some(at) = entry.seats.iter().position(|seat| seat.conn == conn) else { return false };
        let (seat, upstream) = (entry.seats.swap_remove(at), entry.upstream);
        let was_last = entry.seats.is_empty();
        self.left_seat(EndpointId { upstream, key: seat.endpoint });
        if was_last {
            self.recount(key, |without_engine| *without_engine += 1);
        }
        seat.dialling
    }

    /// An idle connection is idle no longer.
    pub(crate) fn leave_idle(&mut self, endpoint: EndpointId, conn: ConnId) {
        if let Some(endpoint) = self.endpoint_mut(endpoint) {
            endpoint.idle.retain(|&other| other != conn);
        }
    }

    /// A connection to the endpoint stands: the system had what it takes. Where that was in doubt, whoever waits may dial again.
    pub(crate) fn stands(&mut self, endpoint: EndpointId) {
        let Some(of) = self.endpoint_mut(endpoint) else { return };
        if matches!(of.means, Means::Doubtful | Means::Tried) {
            of.means = Means::Enough;
            self.rested(endpoint.upstream);
        }
    }

    /// A backend said its limit.
    pub(crate) fn limit_told(
        &mut self,
        upstream: UpstreamKey,
        entry: Option<EntryKey>,
        seat: Seat,
        (streams_max, tunnels, head_max): (Option<u32>, bool, Option<u32>),
    ) {
        let mut rest_ends = false;
        if let Some(endpoint) = self.endpoint_mut(EndpointId { upstream, key: seat.endpoint }) {
            endpoint.tunnels = Some(tunnels || endpoint.offering > 0);
            endpoint.streams_max = Some(streams_max.unwrap_or(u32::MAX));
            endpoint.head_max = head_max;
            if seat.dialling {
                rest_ends = endpoint.succeeded();
                self.look_for_short(upstream);
            }
        }
        // Others may have waited for the end of that.
        if rest_ends {
            self.wake_upstream(upstream);
        }
        if let Some(entry) = entry {
            let seats = self.entries.get_mut(entry).map(|entry| &mut entry.seats);
            if let Some(seat) = seats.and_then(|seats| seats.iter_mut().find(|other| other.conn == seat.conn))
            {
                seat.dialling = false;
            }
            self.wake(entry);
        }
    }

    /// A connection of the endpoint takes requests, and its backend understands those for tunnels; or that is over.
    pub(crate) fn offer_tunnels(&mut self, endpoint: EndpointId, offers: bool) {
        let Some(of) = self.endpoint_mut(endpoint) else { return };
        of.offering = if offers { of.offering + 1 } else { of.offering.saturating_sub(1) };
        // What its successors will say nobody knows.
        of.tunnels = if of.offering > 0 { Some(true) } else { None };
    }

    /// A connection of the endpoint takes no more requests, and has a place in the pool no longer: whoever waits may have another, and the endpoint
    /// may have fewer than it should.
    pub(crate) fn drains(&mut self, endpoint: EndpointId) {
        let Some(of) = self.endpoint_mut(endpoint) else { return };
        of.draining += 1;
        of.forget_what_was_offered();
        self.look_for_short(endpoint.upstream);
        self.wake_upstream(endpoint.upstream);
    }

    /// A connection of the endpoint takes requests, and its backend allows no stream on it for now; or that is over.
    pub(crate) fn bar(&mut self, endpoint: EndpointId, barred: bool) {
        let Some(of) = self.endpoint_mut(endpoint) else { return };
        of.barred = if barred { of.barred + 1 } else { of.barred.saturating_sub(1) };
        // It has slots, though it may have nobody's engine; and the last one makes room for others.
        if !barred {
            self.look_for_short(endpoint.upstream);
            self.wake_upstream(endpoint.upstream);
        }
    }

    /// A connection of the endpoint is gone.
    pub(crate) fn connection_gone(&mut self, endpoint: EndpointId, was_draining: bool) {
        let EndpointId { upstream, key } = endpoint;
        if let Some(of) = self.upstreams.get_mut(upstream) {
            of.connection_gone(key, was_draining);
        }
        self.look_for_short(upstream);
        self.wake_upstream(upstream);
        self.forget_if_over(upstream);
    }
}

impl Upstream {
    /// Whether there is something for a request with these needs whose entry has no engine at all: a connection that is idle,
    /// or one that can be made.
    pub(super) fn offers(&self, needs: Needs) -> bool {
        self.endpoints().filter(|(_, endpoint)| endpoint.serves(needs, 0)).any(|(_, endpoint)| {
            !endpoint.idle.is_empty() || (!endpoint.resting && self.can_have_more(endpoint))
        })
    }

    /// Whether there is nothing for anybody who has no engine, and nothing will be before a connection goes that is needed; `all_taken`: there is no place for
    /// any other in any case.
    fn is_full(&self, all_taken: bool) -> bool {
        let is_full = |endpoint: &Endpoint| {
            !endpoint.is_unresolved()
                && (all_taken || !self.can_have_more(endpoint))
                && !endpoint.has_unseated()
                && !self.will_have_room(endpoint)
        };
        self.endpoints().all(|(_, endpoint)| is_full(endpoint))
    }

    /// Whether a connection takes the place of another that takes no more requests and carries none: all but a round trip has passed.
    fn will_have_room(&self, endpoint: &Endpoint) -> bool {
        let takes_its_leave = endpoint.draining > 0 && endpoint.active < endpoint.connections;
        takes_its_leave && endpoint.serving() < self.connections_max(endpoint)
    }

    /// Whether each of the endpoint's connections carries one request at a time.
    fn has_one_stream_each(&self, endpoint: &Endpoint) -> bool {
        endpoint.spoken() == Protocol::Http1 || self.streams_cap() == 1
    }

    /// So many dials of one entry may be under way to the endpoint. A limit that is not known cannot be divided; one of one stream is known, unless TLS
    /// may agree on another protocol now. Of an endpoint that could not be reached nobody knows whether it can now.
    fn dials_max(&self, endpoint: &Endpoint) -> u32 {
        if endpoint.is_in_doubt() || !self.has_one_stream_each(endpoint) {
            1
        } else if endpoint.config.tls == Some(Alpn::Either) && self.streams_cap() > 1 {
            self.config().connections_max.max(1)
        } else {
            u32::MAX
        }
    }

    /// Whether the endpoint may have one more connection, it is known where it is, and the system has what that takes. One that takes no more requests has a successor, over HTTP/1.1
    /// when it has ended: its last request ends with it. Where a connection stands on which no stream is allowed for now, another one would fare no
    /// better.
    pub(super) fn has_room(&self, endpoint: &Endpoint) -> bool {
        let most = self.connections_max(endpoint);
        let has_room = match endpoint.spoken() {
            Protocol::Http2 => endpoint.serving() < most && endpoint.connections < most.saturating_mul(2),
            Protocol::Http1 => endpoint.connections < most,
        };
        has_room && Self::may_dial(endpoint)
    }

    /// Whether as many connections of the endpoint take their leave as there may be, and none serves: the one that has done so longest makes room, for
    /// what it still carries would keep everybody else from being served.
    pub(crate) fn makes_room(&self, endpoint: &Endpoint) -> bool {
        let all_leave = endpoint.draining > 0 && endpoint.serving() == 0;
        let is_http2 = endpoint.spoken() == Protocol::Http2;
        is_http2 && all_leave && !self.has_room(endpoint) && Self::may_dial(endpoint)
    }

    /// Whether the endpoint may have one more connection, be it in place of another.
    fn can_have_more(&self, endpoint: &Endpoint) -> bool {
        self.has_room(endpoint) || self.makes_room(endpoint)
    }

    fn may_dial(endpoint: &Endpoint) -> bool {
        let has_means = matches!(endpoint.means, Means::Enough | Means::Doubtful);
        has_means && !endpoint.is_unresolved() && endpoint.barred == 0
    }
}
