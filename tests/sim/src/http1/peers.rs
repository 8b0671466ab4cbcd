//! Model peers that speak HTTP/1.1: a client with one request after the other, or many at once in order, and a backend.

use super::{Fault, tunnels};
use crate::backend::Scripts;
use crate::client::Answer;
use crate::net::{End, Link, Read, Write};
use crate::refcodec::http1::{Part, Reader, message};
use crate::refcodec::{Field, field, value_of};
use crate::scenario::{Exchange, Method, RequestPlan};
use crate::truth::{self, Direction};
use crate::world::{Nanos, Wake, World};

/// One end of a connection: octets in, octets out.
#[derive(Debug)]
pub(super) struct Wire {
    reader: Reader,
    output: Vec<u8>,
    end: End,
    /// The other end has finished, or the connection is gone.
    over: bool,
    finished: bool,
    closed: bool,
}

impl Wire {
    pub(super) fn new(end: End) -> Self {
        let reader = Reader::new(end == End::Acceptor);
        Self { reader, output: Vec::new(), end, over: false, finished: false, closed: false }
    }

    pub(super) fn say(&mut self, octets: &[u8]) {
        self.output.extend_from_slice(octets);
    }

    pub(super) fn expect(&mut self, head: bool) {
        self.reader.expect(head);
    }

    pub(super) fn has_said_all(&self) -> bool {
        self.output.is_empty()
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Octets as they are.
    pub(super) fn read_raw(&mut self, link: &mut Link, world: &mut World) -> Vec<u8> {
        let mut all = Vec::new();
        while !self.over && !self.closed {
            match link.read(self.end, usize::MAX, world) {
                Read::Octets(octets) => all.extend(octets),
                Read::Nothing => break,
                Read::Fin | Read::Reset => self.over = true,
            }
        }
        all
    }

    pub(super) fn read(&mut self, link: &mut Link, world: &mut World) -> Result<Vec<Part>, String> {
        let octets = self.read_raw(link, world);
        self.reader.push(&octets);
        let mut parts = Vec::new();
        while let Some(part) = self.reader.next_part()? {
            parts.push(part);
        }
        Ok(parts)
    }

    pub(super) fn write(&mut self, link: &mut Link, world: &mut World) {
        while !self.output.is_empty() && !self.closed {
            match link.write(self.end, &self.output, world) {
                Write::Taken(0) => return,
                Write::Taken(n) => drop(self.output.drain(..n)),
                Write::Reset => return self.output.clear(),
            }
        }
    }

    /// Ends its own direction.
    pub(super) fn finish(&mut self, link: &mut Link, world: &mut World) {
        if !self.closed && !std::mem::replace(&mut self.finished, true) {
            link.finish(self.end, world);
        }
    }

    pub(super) fn close(&mut self, link: &mut Link, world: &mut World) {
        if !std::mem::replace(&mut self.closed, true) {
            link.close(self.end, world);
        }
    }
}

/// A client.
#[derive(Debug)]
pub(super) struct Client1 {
    exchanges: Vec<Exchange>,
    wire: Wire,
    /// Requests that were sent, and responses that came.
    asked: usize,
    answered: usize,
    /// Whether it sends all its requests before the first response.
    pipelines: bool,
    interim: bool,
    /// The response says that the connection ends with it.
    last: bool,
    /// It has come whole.
    is_last_over: bool,
    /// One for each exchange.
    pub(super) answers: Vec<Answer>,
}

impl Client1 {
    /// A client that has not asked yet.
    pub(super) fn new(exchanges: Vec<Exchange>, pipelines: bool) -> Self {
        let answers = vec![Answer::default(); exchanges.len()];
        let wire = Wire::new(End::Initiator);
        Self {
            exchanges,
            wire,
            asked: 0,
            answered: 0,
            pipelines,
            interim: false,
            last: false,
            is_last_over: false,
            answers,
        }
    }

    /// Whether nothing more will come.
    pub(super) fn is_done(&self) -> bool {
        self.wire.closed
    }

    /// Looks at its link. An error says what the gateway did wrong.
    pub(super) fn wake(&mut self, link: &mut Link, world: &mut World) -> Result<(), String> {
        for part in self.wire.read(link, world)? {
            self.part(part)?;
        }
        while self.asked < self.exchanges.len()
            && (self.pipelines || self.asked == self.answered)
            && !self.wire.over
        {
            self.ask();
        }
        self.wire.write(link, world);
        let all = self.answered == self.exchanges.len();
        if all || self.is_last_over || self.wire.over {
            self.answers[self.answered..].iter_mut().for_each(|answer| answer.dropped = true);
            self.wire.close(link, world);
        }
        Ok(())
    }

    fn ask(&mut self) {
        let exchange = &self.exchanges[self.asked];
        let RequestPlan { content, declare_length, pace, trailers, .. } = exchange.request;
        let head = truth::request_head(exchange);
        let [method, path, host] = [":method", ":path", ":authority"]
            .map(|name| String::from_utf8_lossy(value_of(&head, name).unwrap_or_default()).into_owned());
        let fields: Vec<Field> = std::iter::once(field("host", host)).chain(head.clone()).collect();
        let octets = truth::content(exchange.rid, Direction::Request, 0, content as usize);
        let behind = if trailers { truth::trailers(exchange, Direction::Request) } else { Vec::new() };
        let some = content > 0 || declare_length || trailers;
        let first = format!("{method} {path} HTTP/1.1");
        self.wire.output.extend(message(&first, &fields, some.then_some((&octets, pace.frame)), &behind));
        self.wire.reader.expect(exchange.request.method == Method::Head);
        self.asked += 1;
    }

    fn part(&mut self, part: Part) -> Result<(), String> {
        let (answer, exchange) = (&mut self.answers[self.answered], &self.exchanges[self.answered]);
        match part {
            Part::Head([_, status, _], fields) => {
                self.last |= value_of(&fields, "connection").is_some_and(|value| value == b"close");
                let fields = std::iter::once(field(":status", &status)).chain(fields).collect();
                self.interim = status.starts_with('1');
                if self.interim {
                    answer.interim.push(fields);
                } else {
                    answer.head = Some(fields);
                }
            }
            Part::Content(octets) => {
                if answer.is_from_backend() && answer.first_wrong.is_none() {
                    let (rid, from) = (exchange.rid, answer.content);
                    answer.first_wrong = truth::first_wrong(rid, Direction::Response, from, &octets);
                }
                answer.content += octets.len() as u64;
            }
            Part::End(_) if std::mem::take(&mut self.interim) => {}
            Part::End(trailers) => {
                answer.trailers = Some(trailers).filter(|trailers| !trailers.is_empty());
                answer.ended = true;
                self.answered += 1;
                self.is_last_over = self.last;
                if self.last && self.wire.reader.is_within() {
                    return Err("octets behind a response that was the last".into());
                }
            }
        }
        Ok(())
    }
}

/// One connection of a backend.
#[derive(Debug)]
pub(super) struct Backend1 {
    scripts: Scripts,
    me: Wake,
    wire: Wire,
    pub(super) fault: Fault,
    link: usize,
    /// The request that is being received or answered, and its octets of content.
    current: Option<(u64, u64)>,
    respond_at: Option<Nanos>,
    /// The connection ends with what it is saying.
    closing: bool,
    /// What is answered to a request for a tunnel.
    tunnel: Option<&'static [u8]>,
    /// There is one: what comes goes back.
    echoes: bool,
    served: u32,
    /// Requests whose head came.
    pub(super) executed: Vec<u64>,
}

impl Backend1 {
    /// A connection that was just accepted.
    pub(super) fn new(scripts: Scripts, me: Wake, link: usize, fault: Fault) -> Self {
        let wire = Wire::new(End::Acceptor);
        Self {
            scripts,
            me,
            wire,
            fault,
            link,
            current: None,
            respond_at: None,
            closing: false,
            tunnel: None,
            echoes: false,
            served: 0,
            executed: Vec::new(),
        }
    }

    /// Looks at its link and its clock. An error says what the gateway did wrong.
    pub(super) fn wake(&mut self, link: &mut Link, world: &mut World) -> Result<(), String> {
        if self.echoes {
            return self.echo(link, world);
        }
        for part in self.wire.read(link, world)? {
            self.part(part, world)?;
        }
        self.closing |= self.respond_at.is_some_and(|at| at <= world.now()) && self.respond();
        self.wire.write(link, world);
        if (self.closing && self.wire.has_said_all()) || self.wire.over {
            self.wire.close(link, world);
        }
        Ok(())
    }

    /// A tunnel, to its end: the client's comes first.
    fn echo(&mut self, link: &mut Link, world: &mut World) -> Result<(), String> {
        let octets = self.wire.read_raw(link, world);
        self.wire.say(&octets);
        self.wire.write(link, world);
        let leaves = matches!(self.fault, Fault::Leaves(after) if self.served > after) && !octets.is_empty();
        if leaves || (self.wire.over && self.wire.has_said_all()) {
            self.wire.close(link, world);
        }
        Ok(())
    }

    fn part(&mut self, part: Part, world: &mut World) -> Result<(), String> {
        match part {
            Part::Head([method, path, _], fields) => {
                let rid = truth::rid_of(&fields).ok_or("a request without x-rid")?;
                let exchange = self.scripts.get(&rid).ok_or(format!("request {rid} is nobody's"))?;
                if self.current.is_some() {
                    return Err(format!("request {rid} before the one in front of it was answered"));
                }
                self.tunnel = tunnels::answer(&method, &fields, rid);
                if self.tunnel.is_some() {
                    self.executed.push(rid);
                    self.current = Some((rid, 0));
                    return Ok(());
                }
                let of_http2 = [":scheme", ":authority"];
                let expected: Vec<Field> = truth::request_head(exchange)
                    .into_iter()
                    .filter(|(name, _)| !of_http2.iter().any(|other| other.as_bytes() == name))
                    .collect();
                let host = value_of(&fields, "host").map(<[u8]>::to_vec);
                let seen: Vec<Field> =
                    [field(":method", method), field(":path", path)].into_iter().chain(fields).collect();
                let difference = super::difference(rid, &expected, &seen);
                if difference.is_some() || host.as_deref() != Some(exchange.request.host.as_bytes()) {
                    return Err(format!("request {rid} arrives changed: {difference:?}, {seen:?}"));
                }
                self.executed.push(rid);
                self.current = Some((rid, 0));
            }
            Part::Content(octets) => {
                let Some((rid, received)) = &mut self.current else { return Ok(()) };
                if truth::first_wrong(*rid, Direction::Request, *received, &octets).is_some() {
                    return Err(format!("content of request {rid} is wrong"));
                }
                *received += octets.len() as u64;
            }
            Part::End(trailers) => {
                let Some((rid, received)) = self.current else { return Ok(()) };
                if self.tunnel.is_some() {
                    self.respond_at = Some(world.now());
                    world.wake(world.now(), self.me);
                    return Ok(());
                }
                let exchange = &self.scripts[&rid];
                let owed = if exchange.request.trailers {
                    truth::trailers(exchange, Direction::Request)
                } else {
                    Vec::new()
                };
                let difference = truth::field_difference(rid, &owed, &trailers);
                if received != exchange.request.content || difference.is_some() {
                    return Err(format!("request {rid} ends after {received} octets: {difference:?}"));
                }
                let at = world.now() + exchange.response.delay;
                self.respond_at = Some(at);
                world.wake(at, self.me);
            }
        }
        Ok(())
    }

    /// The response, as whole as the fault allows; whether the connection ends with it.
    fn respond(&mut self) -> bool {
        self.respond_at = None;
        let Some((rid, _)) = self.current.take() else { return false };
        self.served += 1;
        if let Some(answer) = self.tunnel.take() {
            self.wire.say(answer);
            self.echoes = !tunnels::is_refused(rid);
            return false;
        }
        let exchange = &self.scripts[&rid];
        let response = &exchange.response;
        let now = |after| self.served > after;
        if matches!(self.fault, Fault::Leaves(after) if now(after)) {
            return true;
        }
        for _ in 0..response.interim {
            self.wire.output.extend(message("HTTP/1.1 103 Hints", &truth::interim_head(exchange), None, &[]));
        }
        let mut head = truth::response_head(exchange);
        if !response.alike {
            head.push(field("x-from", format!("{}.{}", self.link, self.served)));
        }
        let says = matches!(self.fault, Fault::SaysClose(after) if now(after));
        head.extend(says.then(|| field("connection", "close")));
        let bodiless = exchange.request.method == Method::Head || matches!(response.status, 204 | 304);
        let length = truth::response_length(exchange) as usize;
        let octets = truth::content(rid, Direction::Response, 0, length);
        let trailers =
            if response.trailers { truth::trailers(exchange, Direction::Response) } else { Vec::new() };
        let first = format!("HTTP/1.1 {} Said", response.status);
        let content = (!bodiless).then_some((&octets[..], response.pace.frame));
        let mut whole = message(&first, &head, content, &trailers);
        let breaks = matches!(self.fault, Fault::Breaks(after) if now(after));
        whole.truncate(if breaks { whole.len() - 1 } else { whole.len() });
        let mut leaves = false;
        if let Fault::Rogue(after, rogue) = self.fault
            && now(after)
        {
            (whole, leaves) = rogue.octets(whole);
        }
        self.wire.output.extend(whole);
        says || breaks || leaves
    }
}
