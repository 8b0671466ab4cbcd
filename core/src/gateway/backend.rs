//! What backends send: responses go to the fronts that wait for them.

use crate::error::{ErrorCode, StreamError};
use crate::fields::{FieldName, FieldSection};
use crate::gateway::forward::map_back;
use crate::gateway::front::key_of;
use crate::gateway::hooked::Incoming;
use crate::gateway::leftover::NOBODY;
use crate::gateway::tunnel::{Direction, opens_tunnel};
use crate::gateway::{ConnId, Gateway};
use crate::h2::{Cut, Event, Sent, StreamKey};
use crate::hooks::strip;
use crate::message::{ResponseHead, Version};
use crate::record::{AttemptOutcome, Cause};
use crate::request::{Loss, Place, Request, RequestKey, ResponsePhase};
use crate::session::Session;
use crate::time::Instant;
use crate::window::{Both, Credit};

impl Gateway {
    pub(super) fn backend_event(&mut self, conn: ConnId, event: Event<'_>, now: Instant) {
        match event {
            Event::Response { tag, head, fields, end, .. } if tag != NOBODY => {
                self.response_head(key_of(tag), head, fields, end, now);
            }
            Event::Data { stream, tag, data, credit, end } if tag != NOBODY => {
                self.response_content((conn, stream), key_of(tag), data, credit, end, now);
            }
            event if Self::is_of_nobody(&event) => self.leftover_event(conn, event, now),
            Event::Interim { tag, head, fields, .. } => {
                self.interim_response(key_of(tag), head.status, fields, now);
            }
            Event::Trailers { tag, fields, .. } => self.response_trailers(key_of(tag), fields, now),
            Event::Reset { tag, error_code, .. } => {
                if !self.tunnel_closed(key_of(tag), error_code, now) {
                    let loss = self.loss_by_reset(key_of(tag), error_code);
                    let cause = self.cause_of_reset(conn, error_code);
                    self.attempt_lost(key_of(tag), loss, cause, now);
                }
            }
            Event::Failed { tag, error, .. } => {
                self.count_stream_error(conn, error);
                let too_large = error == StreamError::FieldsTooLarge;
                let cause = if too_large { Cause::ResponseHeadTooLarge } else { Cause::BackendProtocol };
                self.fail_request(key_of(tag), cause, now);
            }
            Event::Unprocessed { tag, .. } => {
                self.attempt_lost(key_of(tag), Loss::Unprocessed, Cause::ConnectionTerminated, now);
            }
            Event::Settings => self.settings_came(conn, now),
            Event::GoAway { error_code, debug_data, .. } => {
                self.count_goaway(conn, error_code, debug_data);
                self.backend_goes_away(conn, now);
            }
            // That octets came is what counts (`vigil`).
            Event::PingAck { .. } => {}
            Event::Response { .. }
            | Event::Data { .. }
            | Event::Reprioritized { .. }
            | Event::Request { .. }
            | Event::RequestRefused { .. } => self.ignored_events += 1,
        }
    }

    /// Why a backend's stream is gone. HTTP/1.1 has no word for a reset: there its connection has ended before the response has (RFC 9112 section 8).
    fn cause_of_reset(&self, conn: ConnId, error_code: ErrorCode) -> Cause {
        let session = self.conns.get(conn).map(|entry| &entry.session);
        match session {
            Some(Session::H1(_)) => Cause::ResponseIncomplete,
            _ => Cause::BackendReset(error_code),
        }
    }

    fn interim_response(&mut self, key: RequestKey, status: u16, mut fields: FieldSection, now: Instant) {
        // 9110-15.2-01: it is not passed on, so that it rules nothing out.
        if self.requests.get(key).is_none_or(|request| request.awaiting.version == Version::Http10) {
            return self.keep_section(fields);
        }
        if !self.reserve_output(key, &fields) {
            // Who takes so little misses what hints there are: the response is worth more. But for 100 somebody waits, who asked for it.
            if status != 100 {
                return self.keep_section(fields);
            }
            fields.retain(|line| line.facts.name == FieldName::Status);
        }
        if let Some(request) = self.requests.get_mut(key) {
            if let Some(route) = &request.awaiting.route {
                if let Some((authority, true)) = &route.authority {
                    map_back(&mut fields, authority, self.seed);
                }
                // What the final head does not have, or has otherwise.
                route.response_headers.strip(&mut fields);
            }
            let front = request.awaiting.front;
            // Who waited for it has the word now. One whose request is whole waits for no word.
            let waits = status == 100 && core::mem::take(&mut request.awaiting.head.expect_continue);
            let goes_on = waits && !request.awaiting.content_end;
            // L8: what is seen of one attempt rules another out.
            self.replays.end(&mut request.awaiting, &mut self.conns, &mut self.spare);
            if let Some(entry) = self.conns.get_mut(front.conn) {
                // A front that is gone has ended its request.
                let _ = entry.session.send_head(front.stream, &fields, false); // 9110-15.2-04
            }
            self.touch(front.conn);
            if goes_on {
                self.watch_progress(key, now);
            }
        }
        self.keep_section(fields);
    }

    fn response_head(
        &mut self,
        key: RequestKey,
        head: ResponseHead,
        mut fields: FieldSection,
        end: bool,
        now: Instant,
    ) {
        if head.status == 408 && self.crosses_timeout(key, now) {
            return self.keep_section(fields);
        }
        if head.declines_upgrade && !self.decline_upgrade(key) {
            self.keep_section(fields);
            self.ignore_response(key, head.content_length, now);
            return self.fail_request(key, Cause::BackendProtocol, now);
        }
        let mut version = Version::Http2;
        if let Some(live) = self.requests.get_mut(key).and_then(Request::live_mut) {
            live.attempt.responded = Some(now);
            live.attempt.status = head.status;
            version = self.conns.get(live.conn()).map_or(version, |entry| entry.session.version());
        }
        let Incoming { status, mut relay, kept_out } = match self.incoming(key, head, &mut fields, end, now) {
            Ok(incoming) => incoming,
            Err(instead) => {
                self.keep_section(fields);
                return self.answer_instead(key, instead, head.content_length, now);
            }
        };
        if let Some(route) = self.requests.get(key).and_then(|request| request.awaiting.route.as_ref()) {
            if let Some((authority, true)) = &route.authority {
                map_back(&mut fields, authority, self.seed);
            }
            route.response_headers.apply(&mut fields);
        }
        let seconds = self.wall.unix_seconds_at(now);
        let (repeated, spare) = (head.content_length_repeated, &mut self.spare);
        self.forward.response(&mut fields, status, repeated, version, seconds, || spare.take_section());
        // As it leaves: hooks and rules may have added much.
        if !self.reserve_output(key, &fields) {
            self.keep_section(fields);
            return self.refuse_output(key, now);
        }
        if status == 426 {
            self.offer_upgrades(key);
        }
        if let Some(request) = self.requests.get_mut(key) {
            let own = Self::own_content(request, status);
            if own.is_some() {
                relay = None;
            }
            let front = request.awaiting.front;
            request.awaiting.response = ResponsePhase::Begun(status);
            request.awaiting.responded = Some(now);
            (request.awaiting.relay, request.awaiting.kept_out) = (relay, kept_out);
            self.replays.end(&mut request.awaiting, &mut self.conns, &mut self.spare);
            if let Some(own) = own {
                self.answer_in_place(key, (status, head.content_length), fields, &own, now);
                return;
            }
            request.awaiting.progress_at = now;
            self.unwatched.push(key);
            let is_tunnel = opens_tunnel(request.awaiting.head.method, status);
            if is_tunnel {
                self.open_tunnel(key, &mut fields);
            }
            if let Some(entry) = self.conns.get_mut(front.conn) {
                self.spare.lend_outbox(entry);
                let _ = entry.session.send_head(front.stream, &fields, end);
                entry.show(front.conn, &mut self.actions, &mut self.revisited);
            }
            if end && is_tunnel {
                self.tunnel_ended(key, Direction::ToClient, now);
            } else if end {
                self.backend_done(key, now);
                self.response_left(key, now);
            }
        }
        self.keep_section(fields);
    }

    fn response_content(
        &mut self,
        (conn, stream): (ConnId, StreamKey),
        key: RequestKey,
        data: &[u8],
        credit: Credit<Both>,
        end: bool,
        now: Instant,
    ) {
        let (mut owed, connection) = credit.split();
        // The octets lie in memory that the permit reserved, so that a slow client never stalls the others.
        if let Some(entry) = self.conns.get_mut(conn) {
            entry.session.release_connection(connection);
        }
        let Some(request) = self.requests.get_mut(key) else { return };
        if let Some(live) = request.live_mut() {
            live.attempt.response_octets += data.len() as u64;
        }
        let front = request.awaiting.front;
        if let Some(relay) = &mut request.awaiting.relay {
            relay.put(data, end);
            // What a transform makes of it, and when, is not the backend's doing.
            request.awaiting.progress_at = now;
            request.awaiting.response_credit.merge(owed);
            if end {
                self.backend_done(key, now);
            }
            return self.relay_response(key, now);
        }
        let mut sent = Sent { cut: data.len(), waits: false };
        if let Some(entry) = self.conns.get_mut(front.conn) {
            self.spare.lend_outbox(entry);
            sent = entry.session.send_data(front.stream, data, end);
            entry.show(front.conn, &mut self.actions, &mut self.revisited);
        }
        let Sent { cut, waits } = sent;
        let taken_at_once = !waits && !end;
        let is_tunnel = request.awaiting.tunnel.is_some();
        let left = owed.take(cut as u32);
        request.awaiting.response_octets += cut as u64;
        if cut > 0 {
            request.awaiting.progress_at = now;
        }
        if waits {
            request.awaiting.falls_due(data.len() - cut, now);
        }
        request.awaiting.response_credit.merge(owed);
        if left.octets() > 0
            && let Some(entry) = self.conns.get_mut(conn)
        {
            entry.session.release_stream(stream, left);
        }
        if taken_at_once {
            self.widen_for_fast_client(key, now);
        }
        if is_tunnel {
            match (end, waits) {
                (true, true) => self.tunnel_ends(key),
                (true, false) => self.tunnel_ended(key, Direction::ToClient, now),
                (false, _) => {}
            }
        } else if end {
            self.backend_done(key, now);
            if !waits {
                self.response_left(key, now);
            }
        }
    }

    fn response_trailers(&mut self, key: RequestKey, mut fields: FieldSection, now: Instant) {
        if let Some(request) = self.requests.get(key) {
            if let Some(route) = &request.awaiting.route {
                route.response_headers.strip(&mut fields);
            }
            strip(&mut fields, request.awaiting.kept_out.as_deref());
        }
        let Some(fields) = self.reserve_trailers(key, fields, now) else { return };
        let Some(request) = self.requests.get_mut(key) else { return };
        let front = request.awaiting.front;
        if let Some(relay) = &mut request.awaiting.relay {
            relay.put_trailers(fields);
            self.backend_done(key, now);
            return self.relay_response(key, now);
        }
        if !self.reserve_last_output(key, &fields) {
            self.keep_section(fields);
            return self.refuse_output(key, now);
        }
        let mut all_left = true;
        if let Some(entry) = self.conns.get_mut(front.conn) {
            all_left = entry.session.send_trailers(front.stream, fields).unwrap_or(true);
        }
        self.touch(front.conn);
        self.backend_done(key, now);
        if all_left {
            self.response_left(key, now);
        }
    }

    /// The backend's part is over: the response was received whole. An upload that goes on has lost its use
    /// (RFC 9113 section 8.1). 9113-8.1-07: a reset of the backend finds no response from here on.
    pub(super) fn backend_done(&mut self, key: RequestKey, now: Instant) {
        let Some((conn, stream, is_sent)) = self.take_from_backend(key, now) else { return };
        if !is_sent && !self.end_declined(key, (conn, stream)) {
            self.end_upload(key, (conn, stream), now);
        }
        self.release_request(key, u32::MAX);
        self.stream_ended(conn, now);
    }

    /// The request has all that it will get of its backend. Says on which stream that was, and whether the request has left whole.
    pub(super) fn take_from_backend(
        &mut self,
        key: RequestKey,
        now: Instant,
    ) -> Option<(ConnId, StreamKey, bool)> {
        let request = self.requests.get_mut(key)?;
        let attempt = request.finish()?;
        let front = request.awaiting.front;
        let relayed = request.awaiting.relay.as_mut().map_or(0, |relay| relay.fit());
        let waiting =
            relayed + self.conns.get_mut(front.conn).map_or(0, |entry| entry.session.fit_queue(front.stream));
        if let Place::Finished(finished) = &mut request.place
            && let Some(surplus) = finished.trim(waiting as u32)
        {
            if request.awaiting.crowds_memory > 0 {
                self.leave_memory(key, surplus.octets());
            }
            self.give_back(front.conn, surplus);
        }
        self.attempt_over(key, &attempt, AttemptOutcome::Complete, now);
        Some((attempt.conn, attempt.stream, attempt.sent.is_some()))
    }

    /// Octets of content were cut for one side: the other side gets its credit.
    pub(super) fn content_left(&mut self, conn: ConnId, cut: Cut, now: Instant) {
        let key = key_of(cut.tag);
        let is_front = self.conns.get(conn).is_some_and(super::conn::Conn::is_front);
        let Some(request) = self.requests.get_mut(key) else {
            // Its request was over before, and it may have been the last that the connection stayed for.
            if cut.end {
                self.stream_ended(conn, now);
                self.touch(conn);
            }
            return;
        };
        let awaiting = &mut request.awaiting;
        if cut.octets > 0 {
            awaiting.progress_at = now;
        }
        if !is_front {
            return self.request_left(key, cut, now);
        }
        awaiting.response_octets += u64::from(cut.octets);
        let is_tunnel = awaiting.tunnel.is_some();
        match awaiting.relay {
            None => self.release_response(key, cut.octets),
            Some(_) => self.relay_response(key, now),
        }
        if cut.end && is_tunnel {
            self.tunnel_ended(key, Direction::ToClient, now);
        } else if cut.end {
            self.response_left(key, now);
            self.touch(conn);
        }
    }

    /// Content was cut for a backend.
    fn request_left(&mut self, key: RequestKey, cut: Cut, now: Instant) {
        let Some(live) = self.requests.get_mut(key).and_then(Request::live_mut) else {
            return self.content_cut(key, cut.octets);
        };
        live.attempt.request_octets += u64::from(cut.octets);
        match live.relay {
            None => self.content_cut(key, cut.octets),
            Some(_) => self.relay_request(key, now),
        }
        if cut.end {
            self.request_sent(key, now);
        }
    }
}
