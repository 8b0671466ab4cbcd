//! A connection of a small world: the peer on it, and how far each of its streams is.

use std::collections::BTreeMap;
use std::sync::Arc;

use shuntyard_core::gateway::ConnId;

use crate::backend::Scripts;
use crate::peer::{self, Peer};
use crate::police::Side;
use crate::refcodec::frame::Frame;
use crate::scenario::{Exchange, PeerPlan};
use crate::truth::{self, Direction};

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Dialling,
    Standing,
    Over,
}

/// One connection of the gateway, with its peer.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) conn: ConnId,
    pub(super) side: Side,
    pub(super) life: Life,
    pub(super) plan: PeerPlan,
    /// The peer, once it has spoken. A backend may be silent for a while.
    pub(super) peer: Option<Peer>,
    /// What came before the peer spoke.
    pub(super) early: Vec<u8>,
    pub(super) streams: BTreeMap<u32, Talk>,
    /// A client's requests that it has not opened yet are those behind so many.
    pub(super) opened: usize,
    /// The limit of streams that a backend told last, and how often it has told another.
    pub(super) limit: Option<u32>,
    pub(super) limits_told: u32,
    /// The last stream of a backend's GOAWAY.
    pub(super) goaway: Option<u32>,
    /// The gateway has output.
    pub(super) writable: bool,
    /// The gateway takes no input now.
    pub(super) paused: bool,
    /// The gateway has ended its direction, or this end its own.
    pub(super) shut: bool,
    pub(super) finished: bool,
}

/// One stream, as its peer sees it.
#[derive(Clone, Debug)]
pub(super) struct Talk {
    pub(super) rid: u64,
    /// The peer's own head was sent.
    pub(super) head: bool,
    /// Octets of content that the peer has sent, of so many.
    pub(super) said: u64,
    pub(super) total: u64,
    /// The peer's END_STREAM was sent.
    pub(super) done: bool,
    /// Octets that came from the gateway, and those for which it got credit.
    pub(super) heard: u64,
    pub(super) credited: u64,
    /// The gateway has sent END_STREAM.
    pub(super) whole: bool,
    /// The response is the gateway's own.
    foreign: bool,
}

impl Link {
    pub(super) fn new(conn: ConnId, side: Side, life: Life, plan: &PeerPlan) -> Self {
        let peer = (side == Side::Front).then(|| Peer::new(true, plan.clone()));
        Self {
            conn,
            side,
            life,
            plan: plan.clone(),
            peer,
            early: Vec::new(),
            streams: BTreeMap::new(),
            opened: 0,
            limit: None,
            limits_told: 0,
            goaway: None,
            writable: false,
            paused: false,
            shut: false,
            finished: false,
        }
    }

    /// The backend says its first word.
    pub(super) fn greet(&mut self, limit: u32, scripts: &Scripts) -> Result<(), String> {
        let plan = PeerPlan { max_concurrent: Some(limit), ..self.plan.clone() };
        self.peer = Some(Peer::new(false, plan));
        self.limit = Some(limit);
        let early = std::mem::take(&mut self.early);
        self.hear(&early, scripts)
    }

    /// Octets of the gateway arrive.
    pub(super) fn hear(&mut self, octets: &[u8], scripts: &Scripts) -> Result<(), String> {
        let Some(peer) = &mut self.peer else {
            self.early.extend_from_slice(octets);
            return Ok(());
        };
        for event in peer.receive(octets)? {
            self.event(event, scripts)?;
        }
        Ok(())
    }

    fn event(&mut self, event: peer::Event, scripts: &Scripts) -> Result<(), String> {
        match event {
            peer::Event::Fields { stream, fields, end } => match self.streams.get_mut(&stream) {
                Some(talk) => {
                    talk.whole |= end;
                    talk.foreign |= self.side == Side::Front && !truth::is_of_backend(&fields);
                }
                None if self.side == Side::Front => {}
                None => {
                    let rid = truth::rid_of(&fields).ok_or("a request without x-rid")?;
                    let exchange = scripts.get(&rid).ok_or(format!("request {rid} is nobody's"))?;
                    if self.goaway.is_none_or(|last| stream <= last) {
                        self.streams.insert(stream, Talk::new(rid, truth::response_length(exchange), end));
                    }
                }
            },
            peer::Event::Data { stream, content, end } => {
                if let Some(talk) = self.streams.get_mut(&stream) {
                    let direction =
                        if self.side == Side::Front { Direction::Response } else { Direction::Request };
                    let wrong = truth::first_wrong(talk.rid, direction, talk.heard, &content);
                    if let Some(at) = wrong.filter(|_| !talk.foreign) {
                        return Err(format!("request {}: octet {at} is wrong", talk.rid));
                    }
                    talk.heard += content.len() as u64;
                    talk.whole |= end;
                }
            }
            peer::Event::Reset { stream, .. } => _ = self.streams.remove(&stream),
            peer::Event::GoAway { .. } => {}
        }
        self.streams.retain(|_, talk| !(talk.done && talk.whole));
        Ok(())
    }

    /// The client opens a stream with its next request.
    pub(super) fn open(&mut self, exchange: &Exchange) {
        let Some(peer) = &mut self.peer else { return };
        let total = exchange.request.content;
        let stream = peer.open(&truth::request_head(exchange), total == 0);
        self.opened += 1;
        let mut talk = Talk::new(exchange.rid, total, false);
        (talk.head, talk.done) = (true, total == 0);
        self.streams.insert(stream, talk);
    }

    /// The backend answers.
    pub(super) fn head(&mut self, stream: u32, scripts: &Scripts) {
        let (Some(peer), Some(talk)) = (&mut self.peer, self.streams.get_mut(&stream)) else { return };
        let ends = talk.total == 0;
        peer.send_fields(stream, &truth::response_head(&scripts[&talk.rid]), ends);
        (talk.head, talk.done) = (true, ends);
        self.tidy();
    }

    /// One octet of content, or none.
    pub(super) fn data(&mut self, stream: u32, octets: usize, end: bool) {
        let direction = if self.side == Side::Front { Direction::Request } else { Direction::Response };
        let (Some(peer), Some(talk)) = (&mut self.peer, self.streams.get_mut(&stream)) else { return };
        peer.send_data(stream, truth::content(talk.rid, direction, talk.said, octets), None, end);
        talk.said += octets as u64;
        talk.done |= end;
        self.tidy();
    }

    pub(super) fn reset(&mut self, stream: u32, code: u32) {
        if let Some(peer) = &mut self.peer {
            peer.reset(stream, code);
        }
        self.streams.remove(&stream);
    }

    /// Room for one octet more in the gateway's direction of a stream.
    pub(super) fn credit(&mut self, stream: u32) {
        if let (Some(peer), Some(talk)) = (&mut self.peer, self.streams.get_mut(&stream)) {
            talk.credited += 1;
            peer.raw(&Frame::WindowUpdate { stream, increment: 1 }.encode());
        }
    }

    pub(super) fn go_away(&mut self, last: u32) {
        if let Some(peer) = &mut self.peer {
            peer.go_away(last, 0);
        }
        self.goaway = Some(last);
        self.streams.retain(|&stream, _| stream <= last);
    }

    pub(super) fn tell_limit(&mut self, limit: u32) {
        if let Some(peer) = &mut self.peer {
            peer.send_settings(vec![(crate::refcodec::frame::MAX_CONCURRENT_STREAMS, limit)]);
        }
        self.limit = Some(limit);
        self.limits_told += 1;
    }

    /// Nothing comes of it any more; what it was makes no difference.
    pub(super) fn end(&mut self) {
        self.life = Life::Over;
        self.peer = None;
        self.early = Vec::new();
        self.streams.clear();
        (self.writable, self.paused, self.shut, self.finished) = (false, false, false, false);
    }

    /// Octets that a stream can carry now.
    pub(super) fn room(&self, stream: u32) -> usize {
        self.peer.as_ref().map_or(0, |peer| peer.room(stream, None).0)
    }

    /// The peer's octets for the gateway.
    pub(super) fn output(&self) -> Arc<[u8]> {
        self.peer.as_ref().map_or_else(|| Arc::from([]), |peer| peer.output().into())
    }

    fn tidy(&mut self) {
        self.streams.retain(|_, talk| !(talk.done && talk.whole));
    }
}

impl Talk {
    fn new(rid: u64, total: u64, whole: bool) -> Self {
        Self { rid, head: false, said: 0, total, done: false, heard: 0, credited: 0, whole, foreign: false }
    }
}
