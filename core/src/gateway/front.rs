//! What clients send: requests are frozen, their content is relayed or waits.

use std::sync::Arc;

use crate::counters::Limit;
use crate::fields::FieldSection;
use crate::gateway::conn::Side;
use crate::gateway::forward::Peer;
use crate::gateway::{ConnId, Gateway, tunnel};
use crate::h2::{Event, Sent, StreamKey};
use crate::hooks::strip;
use crate::key::{Key, UpstreamKey};
use crate::ledger::Reservation;
use crate::message::{Method, Refusal, RequestHead, Version};
use crate::priority::Priority;
use crate::record::{Cause, Outcome, Record, RequestId};
use crate::request::{Arrived, ContentMemory, FrontAddress, Place, RequestKey};
use crate::routes::Route;
use crate::time::Instant;
use crate::window::{Both, ConnectionLevel, Credit, StreamLevel};

/// Streams bear the key of their request; 0 is for streams that have none.
pub(super) const fn tag_of(key: RequestKey) -> u64 {
    key.to_bits().wrapping_add(1)
}

/// The request of a stream; stale for a stream that has none.
pub(super) const fn key_of(tag: u64) -> RequestKey {
    Key::from_bits(tag.wrapping_sub(1))
}

impl Gateway {
    pub(super) fn front_event(&mut self, conn: ConnId, event: Event<'_>, now: Instant) {
        match event {
            Event::Request { stream, head, fields, end } => {
                self.request_arrived(FrontAddress { conn, stream }, head, fields, end, now);
            }
            Event::RequestRefused { stream, refusal } => {
                self.request_refused(FrontAddress { conn, stream }, refusal, now);
            }
            Event::Data { stream, tag, data, credit, end } => {
                self.request_content(FrontAddress { conn, stream }, key_of(tag), data, credit, end, now);
            }
            Event::Trailers { tag, fields, .. } => self.request_trailers(key_of(tag), fields, now),
            Event::Reset { tag, .. } => self.client_gone(key_of(tag), Outcome::ClientGone, now),
            Event::Failed { tag, error, .. } => self.client_failed((conn, key_of(tag)), error, now),
            Event::PingAck { .. } => self.goaway_was_seen(conn, now),
            Event::Settings => self.established(conn, now),
            // We open no streams to clients.
            Event::GoAway { .. } => {}
            Event::Reprioritized { stream, tag } => self.reprioritized(conn, stream, key_of(tag)),
            Event::Interim { .. } | Event::Response { .. } | Event::Unprocessed { .. } => {
                self.ignored_events += 1
            }
        }
    }

    fn request_arrived(
        &mut self,
        front: FrontAddress,
        mut head: RequestHead,
        mut fields: FieldSection,
        mut end: bool,
        now: Instant,
    ) {
        let forwarded = self.prepare_request(&mut fields, &head, front.conn);
        let route = self.routes.of(&fields).map(Arc::clone);
        let mut tunnel_refused = tunnel::is_refused(&head, &fields, route.as_deref());
        if tunnel_refused && self.ignore_upgrade(front, &mut head, &mut fields) {
            (tunnel_refused, end) = (false, true);
        }
        let Some(sections) = self.reserve_head(front.conn, &mut fields) else {
            self.keep_section(fields);
            let key = self.freeze(front, head, (FieldSection::new(), None), end, route, now);
            return self.fail_request(key, Cause::MemoryLimit, now);
        };
        let (upstream, timeout) = route.as_ref().map(|route| (route.upstream, route.timeout)).unzip();
        let misdirected = self.is_misdirected(front.conn, &fields);
        let key = self.freeze(front, head, (fields, Some(sections)), end, route, now);
        if let Some(timeout) = timeout.flatten() {
            self.arm_total(key, now + timeout);
        }
        if !end && let Some(entry) = self.conns.get_mut(front.conn) {
            let upload = self.uploads.reserve(entry.session.stream_recv_window());
            if upload.is_none() {
                self.account.hit(Limit::UploadLedger);
            }
            if let Some(request) = self.requests.get_mut(key) {
                request.awaiting.upload = upload;
            }
        }
        if misdirected {
            return self.fail_request(key, Cause::Misdirected, now);
        }
        if tunnel_refused {
            return self.fail_request(key, Cause::NotServed, now);
        }
        if let Err(cause) = forwarded {
            return self.fail_request(key, cause, now);
        }
        if self.answered_on_arrival(key, now) {
            return;
        }
        let Some(upstream) = upstream else { return self.fail_request(key, Cause::NoRoute, now) };
        if !self.registry.has_room(upstream) && !self.crowd_in(key, upstream) {
            self.account.hit(Limit::Queue);
            return self.fail_request(key, Cause::QueueLimit, now);
        }
        self.submit(key, upstream, front.conn);
    }

    /// Makes a request what a backend may get.
    fn prepare_request(
        &mut self,
        fields: &mut FieldSection,
        head: &RequestHead,
        conn: ConnId,
    ) -> Result<(), Cause> {
        let Some(entry) = self.conns.get(conn) else { return Ok(()) };
        let Side::Front { peer, .. } = &entry.side else { return Ok(()) };
        let client = Peer { conn, address: peer, secure: entry.tls.is_some() };
        let spare = &mut self.spare;
        self.forward.request(fields, head, &client, entry.session.version(), || spare.take_section())
    }

    /// The identifier of a client's stream; 0 where it is gone.
    pub(super) fn stream_id(&self, front: FrontAddress) -> u32 {
        let entry = self.conns.get(front.conn);
        entry.and_then(|entry| entry.session.stream_id(front.stream)).unwrap_or(0)
    }

    /// A request begins.
    fn freeze(
        &mut self,
        front: FrontAddress,
        head: RequestHead,
        (fields, sections): (FieldSection, Option<Reservation>),
        end: bool,
        route: Option<Arc<Route>>,
        now: Instant,
    ) -> RequestKey {
        let id = RequestId(self.next_request);
        self.next_request += 1;
        self.account.route(route.as_ref().map(|route| route.number)).started += 1;
        let (mut version, mut urgency) = (Version::Http2, Priority::default().urgency);
        let mut entry = self.conns.get_mut(front.conn);
        if let Some(entry) = &mut entry {
            (version, urgency) = (entry.session.version(), entry.session.urgency(front.stream));
        }
        let arrived = Arrived { id, front, head, version, route, fields, sections, urgency, end, at: now };
        let key = self.requests.insert(arrived.freeze());
        if let Some(entry) = entry {
            entry.session.set_tag(front.stream, tag_of(key));
        }
        if self.has_readers() {
            let client = front.conn;
            let stream_id = self.stream_id(front);
            self.write_record(Record::Started { request: id, client, stream_id, at: now });
        }
        key
    }

    /// A request that is refused by its form is answered, so that it has its records (L1). Its fields were dropped.
    fn request_refused(&mut self, front: FrontAddress, refusal: Refusal, now: Instant) {
        let head = RequestHead {
            method: Method::Other,
            content_length: None,
            content_length_repeated: false,
            expect_continue: false,
            has_authority: false,
            has_host: false,
            has_via: false,
            extended_connect: false,
        };
        if matches!(refusal, Refusal::HeadTooLarge | Refusal::TargetTooLong) {
            self.account.hit(Limit::RequestHead);
        }
        let key = self.freeze(front, head, (FieldSection::new(), None), false, None, now);
        self.fail_request(key, refusal.into(), now);
    }

    /// A frozen request gets its place by its urgency (RFC 9218); a live one has none to change.
    fn reprioritized(&mut self, conn: ConnId, stream: StreamKey, key: RequestKey) {
        let urgency = self.conns.get(conn).map(|entry| entry.session.urgency(stream));
        let (Some(request), Some(urgency)) = (self.requests.get_mut(key), urgency) else { return };
        request.awaiting.urgency = urgency;
        if let Some(lane) = request.awaiting.lane {
            self.registry.reorder(&mut self.requests, key, lane);
        }
    }

    fn submit(&mut self, key: RequestKey, upstream: UpstreamKey, front: ConnId) {
        let Some(Side::Front { lanes, .. }) = self.conns.get_mut(front).map(|entry| &mut entry.side) else {
            return;
        };
        let lane = self.registry.submit(&mut self.requests, key, upstream, front, lanes);
        if let Some(request) = self.requests.get_mut(key) {
            request.awaiting.lane = lane;
        }
        self.unwatched.push(key);
    }

    /// The octets go on at once, or wait with the request: bounded by the window that the client was given.
    fn request_content(
        &mut self,
        front: FrontAddress,
        key: RequestKey,
        data: &[u8],
        credit: Credit<Both>,
        end: bool,
        now: Instant,
    ) {
        let (mut owed, mut connection) = credit.split();
        let Some(request) = self.requests.get_mut(key) else {
            return self.release_front(front, owed, connection);
        };
        let awaiting = &mut request.awaiting;
        awaiting.request_octets += data.len() as u64;
        let mut goes_on = false;
        if !data.is_empty() {
            awaiting.progress_at = now;
            goes_on = core::mem::take(&mut awaiting.head.expect_continue);
        }
        awaiting.content_end |= end;
        let mut left = (Credit::none(), Credit::none());
        let mut relayed = false;
        if awaiting.upload.is_some() {
            left.1.merge(connection.take(u32::MAX));
        }
        match &mut request.place {
            Place::Frozen(_) => {
                self.spare.lend(&mut awaiting.content, data.len());
                awaiting.content.extend(data);
            }
            Place::Live(live) => {
                let (conn, stream) = (live.conn(), live.stream());
                let max = awaiting.route.as_ref().map_or(0, |of| self.registry.replay_octets(of.upstream));
                self.replays.keep(data, max, awaiting, &mut self.conns, &mut self.spare);
                if let Some(relay) = &mut live.relay {
                    relay.put(data, end);
                    relayed = true;
                } else {
                    let mut sent = Sent { cut: data.len(), waits: false };
                    if let Some(entry) = self.conns.get_mut(conn) {
                        self.spare.lend_outbox(entry);
                        sent = entry.session.send_data(stream, data, end);
                    }
                    let Sent { cut, waits } = sent;
                    live.attempt.request_octets += cut as u64;
                    left.0.merge(owed.take(cut as u32));
                    left.1.merge(connection.take(cut as u32));
                    if end && !waits {
                        self.request_sent(key, now);
                    }
                    self.touch(conn);
                }
            }
            Place::Finished(_) => {
                left.0.merge(owed.take(u32::MAX));
                left.1.merge(connection.take(u32::MAX));
            }
        }
        let place = self.requests.get(key).map(|request| &request.place);
        if goes_on && matches!(place, Some(Place::Live(live)) if live.attempt.sent.is_none()) {
            self.watch_progress(key, now);
        }
        if let Some(request) = self.requests.get_mut(key) {
            request.awaiting.request_credit.merge(owed);
            request.awaiting.request_connection_credit.merge(connection);
        }
        self.release_front(front, left.0, left.1);
        if relayed {
            self.relay_request(key, now);
        }
    }

    fn request_trailers(&mut self, key: RequestKey, mut fields: FieldSection, now: Instant) {
        if let Some(request) = self.requests.get(key) {
            if let Some(Side::Front { peer, .. }) =
                self.conns.get(request.awaiting.front.conn).map(|of| &of.side)
            {
                self.forward.request_trailers(&mut fields, peer);
            }
            if let Some(route) = &request.awaiting.route {
                route.request_headers.strip(&mut fields);
            }
        }
        let Some(mut fields) = self.reserve_trailers(key, fields, now) else { return };
        let Some(request) = self.requests.get_mut(key) else { return };
        request.awaiting.content_end = true;
        match &mut request.place {
            Place::Frozen(_) => request.awaiting.trailers = Some(fields),
            Place::Live(live) => {
                let (conn, stream) = (live.conn(), live.stream());
                request.awaiting.replay.keep_trailers(&fields);
                strip(&mut fields, live.kept_out.as_deref());
                if let Some(relay) = &mut live.relay {
                    relay.put_trailers(fields);
                    return self.relay_request(key, now);
                }
                if let Some(entry) = self.conns.get_mut(conn) {
                    // A stream that is gone has failed its request already, or will with the next event.
                    if entry.session.send_trailers(stream, fields).unwrap_or(true) {
                        self.request_sent(key, now);
                    }
                }
                self.touch(conn);
            }
            Place::Finished(_) => self.keep_section(fields),
        }
    }

    /// Octets of content were cut for a backend. Those that were cut before, for another attempt, have been credited.
    pub(super) fn content_cut(&mut self, key: RequestKey, octets: u32) {
        let request = self.requests.get_mut(key);
        let fresh = request.map_or(0, |request| request.awaiting.replay.cut(octets));
        self.release_request(key, fresh);
    }

    /// Content of the request has left, or never will: the client gets its windows back.
    pub(super) fn release_request(&mut self, key: RequestKey, octets: u32) {
        let Some(request) = self.requests.get_mut(key) else { return };
        let awaiting = &mut request.awaiting;
        let (front, stream) = (awaiting.front, awaiting.request_credit.take(octets));
        let connection = awaiting.request_connection_credit.take(octets);
        self.release_front(front, stream, connection);
    }

    #[inline(always)]
    pub(super) fn release_front(
        &mut self,
        front: FrontAddress,
        stream: Credit<StreamLevel>,
        connection: Credit<ConnectionLevel>,
    ) {
        if stream.octets() > 0 || connection.octets() > 0 {
            self.release_octets(front, stream, connection);
        }
    }

    fn release_octets(
        &mut self,
        front: FrontAddress,
        stream: Credit<StreamLevel>,
        connection: Credit<ConnectionLevel>,
    ) {
        if let Some(entry) = self.conns.get_mut(front.conn) {
            if stream.octets() > 0 {
                entry.session.release_stream(front.stream, stream);
            }
            if connection.octets() > 0 {
                entry.session.release_connection(connection);
            }
        }
        self.touch(front.conn);
    }

    /// Resets a stream, where it is still there.
    #[inline(always)]
    pub(super) fn reset_stream(
        &mut self,
        conn: ConnId,
        stream: StreamKey,
        code: crate::error::ErrorCode,
        now: Instant,
    ) {
        if let Some(entry) = self.conns.get_mut(conn)
            && entry.session.stream_id(stream).is_some()
        {
            entry.session.reset(stream, code);
            self.strain(conn, now);
            self.touch(conn);
        }
    }

    pub(super) fn cancel_deadline(&mut self, key: Option<crate::deadline::DeadlineKey>) {
        if let Some(key) = key {
            self.deadlines.cancel(key);
        }
    }
}
