//! A well-behaved HTTP/2 client: asks what its session says, reads at its pace, notes what came.

use std::collections::BTreeMap;

use crate::endpoint::Endpoint;
use crate::mischief;
use crate::net::Link;
use crate::peer::Event;
use crate::refcodec::frame::{CANCEL, NO_ERROR};
use crate::refcodec::{Field, value_of};
use crate::scenario::{Exchange, Leave, Phase, Session};
use crate::truth::{self, Direction};
use crate::world::{Nanos, Wake, World};

/// What became of one exchange, as the client saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The stream, once the request was sent.
    pub stream: Option<u32>,
    /// Interim responses.
    pub interim: Vec<Vec<Field>>,
    /// The head of the final response.
    pub head: Option<Vec<Field>>,
    /// Octets of content.
    pub content: u64,
    /// The first octet that is not the truth, where the backend's response is answered.
    pub first_wrong: Option<u64>,
    /// Trailers.
    pub trailers: Option<Vec<Field>>,
    /// The response ended.
    pub ended: bool,
    /// The gateway reset the stream with this code.
    pub reset: Option<u32>,
    /// The client gave the request up.
    pub cancelled: bool,
    /// The connection went away, or GOAWAY said that the request was not processed.
    pub dropped: bool,
}

impl Answer {
    /// Whether nothing more will come.
    pub fn is_over(&self) -> bool {
        self.ended || self.reset.is_some() || self.cancelled || self.dropped
    }

    /// The status of the final response.
    pub fn status(&self) -> Option<u16> {
        std::str::from_utf8(value_of(self.head.as_deref()?, ":status")?).ok()?.parse().ok()
    }

    /// Whether the response is a backend's and not the gateway's own.
    pub fn is_from_backend(&self) -> bool {
        self.head.as_deref().is_some_and(truth::is_of_backend)
    }
}

#[derive(Clone, Debug)]
struct Sending {
    at: usize,
    sent: u64,
    next: Nanos,
    /// Content may be sent: nothing has to be waited for, or it came.
    allowed: bool,
    /// Until when a 100 (Continue) is waited for (RFC 9110 section 10.1.1).
    patience: Nanos,
}

/// How long a client waits for a 100 (Continue).
const PATIENCE: Nanos = 20 * crate::world::MILLI;

/// A client on its link.
#[derive(Clone, Debug)]
pub struct Client {
    session: Session,
    me: Wake,
    endpoint: Option<Endpoint>,
    next: usize,
    /// The exchange of each stream that has not ended.
    open: BTreeMap<u32, usize>,
    sending: BTreeMap<u32, Sending>,
    /// One for each exchange of the session.
    pub answers: Vec<Answer>,
    refused_after: Option<u32>,
    last_events: Nanos,
    /// Acts of hostility done.
    acts: u32,
}

impl Client {
    /// A client that has not connected yet.
    pub fn new(session: Session, me: Wake) -> Self {
        let answers = vec![Answer::default(); session.exchanges.len()];
        Self {
            session,
            me,
            endpoint: None,
            next: 0,
            open: BTreeMap::new(),
            sending: BTreeMap::new(),
            answers,
            refused_after: None,
            last_events: 0,
            acts: 0,
        }
    }

    /// The session.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Whether every exchange is over, or cannot begin any more.
    pub fn is_done(&self) -> bool {
        self.endpoint.as_ref().is_some_and(|endpoint| {
            let over = endpoint.finished || endpoint.has_left() || endpoint.mute;
            let written = endpoint.peer.output().is_empty() || over;
            let acts = self.session.hostile.map_or(0, |(_, acts, _)| acts);
            let rest = self.open.is_empty() && (self.next == self.answers.len() || !self.may_open(endpoint));
            endpoint.deaf || (written && (over || self.acts == acts) && rest)
        })
    }

    /// Whether everything it sent to be acknowledged was.
    pub fn is_acknowledged(&self) -> bool {
        self.endpoint.as_ref().is_none_or(|e| e.finished || e.has_left() || e.peer.is_acknowledged())
    }

    /// When the client last learnt something.
    pub fn last_events(&self) -> Nanos {
        self.last_events
    }

    /// Looks at its link and its clock. An error says what the gateway did wrong.
    pub fn wake(&mut self, link: &mut Link, world: &mut World) -> Result<(), String> {
        let plan = &self.session.peer;
        let mut endpoint =
            self.endpoint.take().unwrap_or_else(|| Endpoint::new(true, plan.clone(), self.me, world));
        let result = self.turn(&mut endpoint, link, world);
        self.endpoint = Some(endpoint);
        result
    }

    fn turn(&mut self, endpoint: &mut Endpoint, link: &mut Link, world: &mut World) -> Result<(), String> {
        if endpoint.has_left() {
            return Ok(());
        }
        for event in endpoint.read(link, world)? {
            self.last_events = world.now();
            self.event(endpoint, event)?;
        }
        self.open_streams(endpoint, world);
        self.send_content(endpoint, world);
        self.be_hostile(endpoint, world);
        endpoint.write(link, world);
        self.cancel_at(endpoint, world);
        endpoint.write(link, world);
        let leaves = self.session.leave.filter(|&(at, _)| at <= world.now());
        let done = endpoint.finished && endpoint.peer.output().is_empty();
        if let Some((_, how)) = leaves.filter(|_| !endpoint.mute) {
            endpoint.leave(how, link, world);
            self.drop_rest(true);
        } else if endpoint.lost || done {
            endpoint.leave(Leave::Close, link, world);
            self.drop_rest(false);
        } else if endpoint.finished {
            self.drop_rest(false);
        }
        Ok(())
    }

    fn may_open(&self, endpoint: &Endpoint) -> bool {
        !endpoint.finished && !endpoint.has_left() && !endpoint.mute && self.refused_after.is_none()
    }

    fn open_streams(&mut self, endpoint: &mut Endpoint, world: &mut World) {
        while self.next < self.answers.len() && self.may_open(endpoint) && endpoint.has_room() {
            if self.session.patient && !endpoint.peer.has_settings() {
                return;
            }
            let limit = endpoint.peer.max_concurrent.map_or(100, |limit| limit as usize);
            if self.open.len() >= self.session.concurrency.clamp(1, limit.max(1)) || limit == 0 {
                return;
            }
            let at = self.next;
            self.next += 1;
            let exchange = &self.session.exchanges[at];
            let end = exchange.request.content == 0 && !exchange.request.trailers;
            let stream = endpoint.peer.open(&truth::request_head(exchange), end);
            self.answers[at].stream = Some(stream);
            self.open.insert(stream, at);
            if !end {
                let next = world.now() + exchange.request.pace.think;
                world.wake(next, self.me);
                let patience = world.now() + PATIENCE;
                if exchange.request.expect {
                    // Once: if each look at it asked to be woken then, those who wait one after the other would double the wakes.
                    world.wake(patience, self.me);
                }
                self.sending.insert(stream, Sending { at, sent: 0, next, allowed: false, patience });
            }
        }
    }

    fn send_content(&mut self, endpoint: &mut Endpoint, world: &mut World) {
        let streams: Vec<u32> = self.sending.keys().copied().collect();
        for stream in streams {
            let Some(sending) = self.sending.get_mut(&stream) else { continue };
            let exchange = &self.session.exchanges[sending.at];
            let pace = exchange.request.pace;
            if exchange.request.expect && !sending.allowed {
                let answer = &self.answers[sending.at];
                sending.allowed = !answer.interim.is_empty() || world.now() >= sending.patience;
                if !sending.allowed {
                    continue;
                }
            }
            while endpoint.has_room() && sending.next <= world.now() {
                let left = exchange.request.content - sending.sent;
                let (room, padding) = endpoint.peer.room(stream, pace.padding);
                let room = room.min(pace.frame.max(1));
                let n = usize::try_from(left).unwrap_or(usize::MAX).min(room);
                if n == 0 && left > 0 {
                    break;
                }
                let trailers = exchange.request.trailers;
                let ends = n as u64 == left && (trailers || n == 0 || !pace.bare_end);
                if n > 0 || !trailers {
                    let octets = truth::content(exchange.rid, Direction::Request, sending.sent, n);
                    let padding = padding.filter(|_| n > 0);
                    endpoint.peer.send_data(stream, octets, padding, ends && !trailers);
                }
                sending.sent += n as u64;
                if ends {
                    if trailers {
                        endpoint.peer.send_fields(
                            stream,
                            &truth::trailers(exchange, Direction::Request),
                            true,
                        );
                    }
                    self.sending.remove(&stream);
                    break;
                }
                if pace.think > 0 {
                    sending.next = world.now() + pace.think;
                    world.wake(sending.next, self.me);
                }
            }
        }
    }

    /// One act of hostility after the other, where the plan has any.
    fn be_hostile(&mut self, endpoint: &mut Endpoint, world: &mut World) {
        let Some((from, acts, what)) = self.session.hostile else { return };
        while self.acts < acts && endpoint.has_room() && !endpoint.finished {
            let due = from + u64::from(self.acts) * mischief::BETWEEN_ACTS;
            if due > world.now() {
                return world.wake(due, self.me);
            }
            mischief::act(what, self.session.n, self.acts, &mut endpoint.peer);
            self.acts += 1;
            endpoint.deaf |= mischief::stops_reading(what);
        }
        if self.acts == acts && mischief::stops_writing(what) && endpoint.peer.output().is_empty() {
            endpoint.mute = true;
        }
    }

    fn event(&mut self, endpoint: &mut Endpoint, event: Event) -> Result<(), String> {
        match event {
            Event::Fields { stream, fields, end } => {
                let Some((answer, exchange)) = self.answer(stream) else { return Ok(()) };
                note_fields(answer, exchange, fields, end)?;
                answer.ended |= end;
                self.finish(endpoint, stream, end);
            }
            Event::Data { stream, content, end } => {
                let Some((answer, exchange)) = self.answer(stream) else { return Ok(()) };
                if answer.is_from_backend() && answer.first_wrong.is_none() {
                    answer.first_wrong =
                        truth::first_wrong(exchange.rid, Direction::Response, answer.content, &content);
                }
                answer.content += content.len() as u64;
                answer.ended |= end;
                self.finish(endpoint, stream, end);
            }
            Event::Reset { stream, code } => {
                let Some((answer, _)) = self.answer(stream) else {
                    self.sending.remove(&stream);
                    return Ok(());
                };
                answer.reset = Some(code);
                self.open.remove(&stream);
                self.sending.remove(&stream);
            }
            Event::GoAway { last_stream, .. } => {
                self.refused_after = Some(last_stream);
                let beyond: Vec<u32> =
                    self.open.range(last_stream + 1..).map(|(&stream, _)| stream).collect();
                for stream in beyond {
                    let at = self.open.remove(&stream).expect("it was just listed");
                    self.answers[at].dropped = true;
                    self.sending.remove(&stream);
                }
            }
        }
        Ok(())
    }

    fn answer(&mut self, stream: u32) -> Option<(&mut Answer, &Exchange)> {
        let &at = self.open.get(&stream)?;
        Some((&mut self.answers[at], &self.session.exchanges[at]))
    }

    /// The response has ended. A request that has not goes on until it is whole or the server resets it (8.1).
    fn finish(&mut self, endpoint: &mut Endpoint, stream: u32, end: bool) {
        if end {
            self.open.remove(&stream);
            if self.sending.remove(&stream).is_some() {
                endpoint.peer.reset(stream, NO_ERROR);
            }
        }
    }

    fn cancel_at(&mut self, endpoint: &mut Endpoint, world: &mut World) {
        let due: Vec<u32> = self
            .open
            .iter()
            .filter(|&(stream, &at)| self.is_cancel_due(*stream, at))
            .map(|(&stream, _)| stream)
            .collect();
        for stream in due {
            let at = self.open.remove(&stream).expect("it was just listed");
            self.sending.remove(&stream);
            self.answers[at].cancelled = true;
            endpoint.peer.reset(stream, CANCEL);
            // There is room for the next request now.
            world.wake(world.now(), self.me);
        }
    }

    fn is_cancel_due(&self, stream: u32, at: usize) -> bool {
        match self.session.exchanges[at].request.cancel {
            None => false,
            Some(Phase::RequestHead) => true,
            Some(Phase::Sent(octets)) => {
                self.sending.get(&stream).is_none_or(|sending| sending.sent >= octets)
            }
            Some(Phase::Interim) => !self.answers[at].interim.is_empty(),
            Some(Phase::ResponseHead) => self.answers[at].head.is_some(),
        }
    }

    fn drop_rest(&mut self, by_client: bool) {
        for (_, at) in std::mem::take(&mut self.open) {
            self.answers[at].cancelled |= by_client;
            self.answers[at].dropped |= !by_client;
        }
        self.sending.clear();
    }
}

fn note_fields(
    answer: &mut Answer,
    exchange: &Exchange,
    fields: Vec<Field>,
    end: bool,
) -> Result<(), String> {
    let rid = exchange.rid;
    if answer.head.is_some() {
        return match (end, answer.trailers.replace(fields)) {
            (true, None) => Ok(()),
            _ => Err(format!("request {rid}: a third field section, or trailers without END_STREAM")),
        };
    }
    if value_of(&fields, ":status").is_some_and(|status| status.starts_with(b"1")) {
        answer.interim.push(fields);
        return if end { Err(format!("request {rid}: an interim response ends the stream")) } else { Ok(()) };
    }
    answer.head = Some(fields);
    Ok(())
}
