//! A well-behaved HTTP/2 backend: answers what the script of each request says, and fails where its plan says so.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::endpoint::Endpoint;
use crate::net::Link;
use crate::peer::Event;
use crate::refcodec::field;
use crate::refcodec::frame::NO_ERROR;
use crate::scenario::{Backend, BackendFault, Exchange, GoAwayLast, Leave, Phase, ResponseKind};
use crate::truth::{self, Direction};
use crate::world::{MILLI, Nanos, Wake, World};

mod mischief;

/// The scripts of all requests.
pub type Scripts = Arc<BTreeMap<u64, Exchange>>;

#[derive(Clone, Debug)]
struct Serving {
    rid: u64,
    received: u64,
    whole: bool,
    /// When the response begins, once it may.
    begins: Option<Nanos>,
    interim_sent: bool,
    head_sent: bool,
    sent: u64,
    next: Nanos,
}

/// One connection of a backend.
#[derive(Clone, Debug)]
pub struct BackendConn {
    plan: Backend,
    /// What goes wrong on this connection.
    fault: Option<BackendFault>,
    scripts: Scripts,
    me: Wake,
    endpoint: Endpoint,
    serving: BTreeMap<u32, Serving>,
    streams: u32,
    last_stream: u32,
    /// Streams above are not processed: GOAWAY was sent.
    gone_after: Option<u32>,
    /// When the second GOAWAY of two is due.
    second_goaway: Option<Nanos>,
    /// The fault of this connection has happened.
    fault_done: bool,
    /// Names the connection in `x-from`.
    link: usize,
    /// Requests that it has taken.
    pub(crate) taken: Vec<u64>,
}

/// From the first GOAWAY of two to the second.
const GOAWAY_STEP: Nanos = 5 * MILLI;

impl BackendConn {
    /// A connection that was just accepted.
    pub fn new(
        plan: Backend,
        fault: Option<BackendFault>,
        scripts: Scripts,
        me: Wake,
        world: &mut World,
    ) -> Self {
        let endpoint = Endpoint::new(false, plan.peer.clone(), me, world);
        let link = if let Wake::Backend(link) = me { link } else { 0 };
        Self {
            plan,
            fault,
            scripts,
            me,
            endpoint,
            serving: BTreeMap::new(),
            streams: 0,
            last_stream: 0,
            gone_after: None,
            second_goaway: None,
            fault_done: false,
            link,
            taken: Vec::new(),
        }
    }

    /// Its fault is over, if it had one that ends; whether it had.
    pub fn heal(&mut self) -> bool {
        let ends = self.plan.fault.is_some_and(|fault| !crate::probe::lasts(fault));
        ends && self.fault.take().is_some()
    }

    /// Goes away: what has come is answered whole, or nothing is that is not answered yet.
    pub fn say_goodbye(&mut self, serves: bool, world: &mut World) {
        self.go_away(if serves { self.last_stream } else { 0 }, NO_ERROR);
        world.wake(world.now(), self.me);
    }

    /// Whether everything it sent to be acknowledged was.
    pub fn is_acknowledged(&self) -> bool {
        self.endpoint.finished || self.endpoint.has_left() || self.endpoint.peer.is_acknowledged()
    }

    /// Looks at its link and its clock. An error says what the gateway did wrong.
    pub fn wake(&mut self, link: &mut Link, world: &mut World) -> Result<(), String> {
        if self.endpoint.has_left() || self.fault == Some(BackendFault::Silent) {
            return Ok(());
        }
        for event in self.endpoint.read(link, world)? {
            self.event(event, world)?;
            if let Some(BackendFault::Leave { after, how }) = self.fault
                && self.streams >= after
                && !std::mem::replace(&mut self.fault_done, true)
            {
                self.endpoint.leave(how, link, world);
                if self.endpoint.has_left() {
                    return Ok(());
                }
            }
        }
        if self.second_goaway.is_some_and(|at| at <= world.now()) {
            self.second_goaway = None;
            self.go_away(self.last_stream, NO_ERROR);
        }
        let streams: Vec<u32> = self.serving.keys().copied().collect();
        streams.into_iter().for_each(|stream| self.respond(stream, world));
        self.endpoint.write(link, world);
        let quiet = self.serving.is_empty() && self.endpoint.peer.output().is_empty();
        if self.endpoint.lost || (quiet && (self.endpoint.finished || self.gone_after.is_some())) {
            self.endpoint.leave(Leave::Close, link, world);
        }
        Ok(())
    }

    fn event(&mut self, event: Event, world: &mut World) -> Result<(), String> {
        match event {
            Event::Fields { stream, fields, end } if self.is_new(stream) => {
                let rid = truth::rid_of(&fields).ok_or("a request without a number")?;
                let exchange = self.scripts.get(&rid).ok_or(format!("request {rid} is nobody's"))?;
                if let Some(difference) =
                    truth::field_difference(rid, &truth::request_head(exchange), &fields)
                {
                    return Err(format!("request {rid} arrives changed: {difference}"));
                }
                self.accept(stream, rid, end, world);
            }
            Event::Fields { stream, fields, .. } => {
                let Some(serving) = self.serving.get_mut(&stream) else { return Ok(()) };
                let expected = truth::trailers(&self.scripts[&serving.rid], Direction::Request);
                if let Some(difference) = truth::field_difference(serving.rid, &expected, &fields) {
                    return Err(format!(
                        "the trailers of request {} arrive changed: {difference}",
                        serving.rid
                    ));
                }
                self.received(stream, 0, true, world)?;
            }
            Event::Data { stream, content, end } => {
                self.received(stream, content.len() as u64, end, world)?
            }
            Event::Reset { stream, .. } => {
                self.serving.remove(&stream);
            }
            Event::GoAway { .. } => {}
        }
        Ok(())
    }

    fn is_new(&self, stream: u32) -> bool {
        stream > self.last_stream
    }

    fn accept(&mut self, stream: u32, rid: u64, end: bool, world: &mut World) {
        self.streams += 1;
        let before = std::mem::replace(&mut self.last_stream, stream);
        if self.gone_after.is_some_and(|last| stream > last) {
            return;
        }
        self.taken.push(rid);
        let serving = Serving {
            rid,
            received: 0,
            whole: end,
            begins: None,
            interim_sent: false,
            head_sent: false,
            sent: 0,
            next: world.now(),
        };
        self.serving.insert(stream, serving);
        self.begin_if_due(stream, world);
        let due = self.is_fault_due();
        match self.fault.filter(|_| due) {
            Some(BackendFault::GoAway { last, code, .. }) => {
                let last = match last {
                    GoAwayLast::Newest => stream,
                    GoAwayLast::Before => before,
                    GoAwayLast::None => 0,
                    GoAwayLast::Beyond => stream + 100,
                    GoAwayLast::TwoStep => {
                        self.second_goaway = Some(world.now() + GOAWAY_STEP);
                        world.wake(world.now() + GOAWAY_STEP, self.me);
                        return self.endpoint.peer.go_away(u32::MAX >> 1, NO_ERROR);
                    }
                };
                self.go_away(last, code);
            }
            Some(BackendFault::Mischief { what, .. }) => {
                mischief::on_connection(what, &mut self.endpoint.peer, stream);
            }
            _ => {}
        }
    }

    fn is_fault_due(&mut self) -> bool {
        let (Some(BackendFault::GoAway { after, .. }) | Some(BackendFault::Mischief { after, .. })) =
            self.fault
        else {
            return false;
        };
        self.streams >= after && !std::mem::replace(&mut self.fault_done, true)
    }

    fn go_away(&mut self, last: u32, code: u32) {
        self.endpoint.peer.go_away(last, code);
        self.gone_after = Some(last);
        self.serving.retain(|&stream, _| stream <= last);
    }

    fn received(&mut self, stream: u32, octets: u64, end: bool, world: &mut World) -> Result<(), String> {
        let Some(serving) = self.serving.get_mut(&stream) else { return Ok(()) };
        serving.received += octets;
        serving.whole |= end;
        let expected = self.scripts[&serving.rid].request.content;
        let decoy = crate::mischief::is_decoy(serving.rid);
        if !decoy && (serving.received > expected || (end && serving.received != expected)) {
            return Err(format!(
                "request {} has {} octets of {expected}, end {end}",
                serving.rid, serving.received
            ));
        }
        self.begin_if_due(stream, world);
        Ok(())
    }

    /// The response begins `delay` after the request is whole, or after its head where the script says so.
    fn begin_if_due(&mut self, stream: u32, world: &mut World) {
        let Some(serving) = self.serving.get_mut(&stream) else { return };
        let response = &self.scripts[&serving.rid].response;
        if serving.begins.is_none()
            && (serving.whole || response.early || response.kind == ResponseKind::Echo)
        {
            let begins = world.now() + response.delay;
            serving.begins = Some(begins);
            world.wake(begins, self.me);
        }
    }

    fn respond(&mut self, stream: u32, world: &mut World) {
        let Some(serving) = self.serving.get_mut(&stream) else { return };
        let scripts = Arc::clone(&self.scripts);
        let exchange = &scripts[&serving.rid];
        if reset_due(exchange, serving) {
            let (_, code) = exchange.response.reset.expect("it is due");
            self.endpoint.peer.reset(stream, code);
            self.serving.remove(&stream);
            return;
        }
        if serving.begins.is_none_or(|begins| begins > world.now()) {
            return;
        }
        let total = truth::response_length(exchange);
        if let Some(what) = exchange.response.mischief
            && !serving.head_sent
        {
            self.serving.remove(&stream);
            return mischief::on_stream(what, &mut self.endpoint.peer, stream, exchange);
        }
        if exchange.response.interim > 0 && !std::mem::replace(&mut serving.interim_sent, true) {
            for _ in 0..exchange.response.interim {
                self.endpoint.peer.send_fields(stream, &truth::interim_head(exchange), false);
            }
            let begins = world.now() + exchange.response.interim_pause;
            serving.begins = Some(begins);
            if begins > world.now() || reset_due(exchange, serving) {
                return world.wake(begins, self.me);
            }
        }
        if !serving.head_sent {
            serving.head_sent = true;
            // An echo of nothing yet is no reason to end; an empty response is.
            let ends = total == 0 && !exchange.response.trailers;
            let mut head = truth::response_head(exchange);
            if !exchange.response.alike {
                head.push(field("x-from", format!("{}.{stream}", self.link)));
            }
            self.endpoint.peer.send_fields(stream, &head, ends);
            if ends {
                return self.ended(stream);
            }
        }
        self.send_content(stream, exchange, total, world);
    }

    fn send_content(&mut self, stream: u32, exchange: &Exchange, total: u64, world: &mut World) {
        let pace = exchange.response.pace;
        while self.endpoint.has_room() {
            let Some(serving) = self.serving.get_mut(&stream).filter(|serving| serving.next <= world.now())
            else {
                return;
            };
            if reset_due(exchange, serving) {
                return world.wake(world.now(), self.me);
            }
            let echo = exchange.response.kind == ResponseKind::Echo;
            let available = if echo { serving.received.min(total) } else { total } - serving.sent;
            let (room, padding) = self.endpoint.peer.room(stream, pace.padding);
            let room = room.min(pace.frame.max(1));
            let n = usize::try_from(available).unwrap_or(usize::MAX).min(room);
            if n == 0 && serving.sent < total {
                return;
            }
            let trailers = exchange.response.trailers;
            let ends = serving.sent + n as u64 == total && (trailers || n == 0 || !pace.bare_end);
            if n > 0 || !trailers {
                let octets = truth::content(serving.rid, Direction::Response, serving.sent, n);
                self.endpoint.peer.send_data(stream, octets, padding.filter(|_| n > 0), ends && !trailers);
                serving.sent += n as u64;
            }
            if ends {
                if trailers {
                    self.endpoint.peer.send_fields(
                        stream,
                        &truth::trailers(exchange, Direction::Response),
                        true,
                    );
                }
                return self.ended(stream);
            }
            if pace.think > 0 {
                serving.next = world.now() + pace.think;
                world.wake(serving.next, self.me);
            }
        }
    }

    /// After a complete response to a request that is not whole the rest is not wanted (RFC 9113 section 8.1).
    fn ended(&mut self, stream: u32) {
        if self.serving.remove(&stream).is_some_and(|serving| !serving.whole) {
            self.endpoint.peer.reset(stream, NO_ERROR);
        }
    }

    /// The plan of the backend that this connection belongs to.
    pub fn plan(&self) -> &Backend {
        &self.plan
    }
}

fn reset_due(exchange: &Exchange, serving: &Serving) -> bool {
    match exchange.response.reset {
        None => false,
        Some((Phase::RequestHead, _)) => true,
        Some((Phase::Interim, _)) => serving.interim_sent,
        Some((Phase::ResponseHead, _)) => serving.head_sent,
        Some((Phase::Sent(octets), _)) => serving.head_sent && serving.sent >= octets,
    }
}
