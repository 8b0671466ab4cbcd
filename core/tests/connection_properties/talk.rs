//! Two connections that talk through pipes of any pace. A reader of frames of its own keeps the books of both.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;
use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::error::ErrorCode;
use shuntyard_core::h2::{Role, StreamKey};

use crate::steps::{Ending, Step, config, step};
use crate::wire::*;

/// One message: what its sender has handed over, and what its receiver has got.
#[derive(Clone, Debug)]
struct Message {
    id: u32,
    key: Option<StreamKey>,
    length: usize,
    ending: Ending,
    pushed: usize,
    end_pushed: bool,
    got: usize,
    end_got: bool,
}

/// The octet of a message at an offset: it names its owner.
fn octet(id: u32, side: usize, offset: usize) -> u8 {
    (u64::from(id) * 131 + side as u64 * 17 + offset as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()
        [0]
}

/// The flow control of one direction, by what stands on the wire.
#[derive(Clone, Debug)]
struct Books {
    /// What the sender may send: on the connection, for a new stream, and on each stream it used.
    connection: i64,
    initial: i64,
    streams: BTreeMap<u32, i64>,
    /// The receiver's SETTINGS that the sender has heard of and not acknowledged.
    heard: VecDeque<i64>,
    /// Flow-controlled octets that arrived, that their owner holds, and that were announced back; stream 0 is the connection.
    arrived: BTreeMap<u32, i64>,
    announced: BTreeMap<u32, i64>,
    /// Streams on which nothing is given back any more.
    ended: BTreeSet<u32>,
}

struct Side {
    subject: Subject,
    /// Octets of the outbox that the books have seen.
    seen: usize,
    /// Octets that the books have not made frames of yet.
    unread: Vec<u8>,
    /// Octets on their way to the other side.
    pipe: Vec<u8>,
    /// What arrived and is no whole frame yet.
    arriving: Vec<u8>,
    messages: Vec<Message>,
    ids: BTreeMap<StreamKey, u32>,
    reset: BTreeSet<u32>,
    /// Of what this side sends.
    books: Books,
    window: u32,
    connection_window: u32,
}

struct Talk {
    sides: [Side; 2],
    replies: BTreeMap<u32, (usize, Ending)>,
}

impl Talk {
    fn new(configs: [ConnectionConfig; 2]) -> Self {
        let mut roles = [Role::Client, Role::Server].into_iter();
        let sides = configs.map(|config| {
            let (window, connection_window) = (config.initial_window_size, config.connection_window_size);
            let mut subject = Subject::fresh(roles.next().expect("two"), config);
            subject.keep_credit = true;
            let books = Books {
                connection: 65_535,
                initial: 65_535,
                streams: BTreeMap::new(),
                heard: VecDeque::new(),
                arrived: BTreeMap::new(),
                announced: BTreeMap::new(),
                ended: BTreeSet::new(),
            };
            Side {
                subject,
                seen: 0,
                unread: vec![],
                pipe: vec![],
                arriving: vec![],
                messages: vec![],
                ids: BTreeMap::new(),
                reset: BTreeSet::new(),
                books,
                window,
                connection_window,
            }
        });
        let mut talk = Self { sides, replies: BTreeMap::new() };
        // The window beyond 65,535 is announced in the preface and is no credit.
        for side in 0..2 {
            let growth = i64::from(talk.sides[side].connection_window) - 65_535;
            talk.sides[1 - side].books.announced.insert(0, -growth);
        }
        talk
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Open { contents, ending } => self.open(contents, ending),
            Step::Push { side, message, octets } => self.push(side, message, octets),
            Step::Emit { side, octets } => self.emit(side, octets),
            Step::Deliver { side, octets } => self.deliver(side, octets),
            Step::Release { side, octets } => self.release(side, octets),
            Step::Reset { side, message } => self.reset(side, message),
        }
        for side in 0..2 {
            self.read_output(side);
        }
        for side in 0..2 {
            self.check_credit(side);
        }
    }

    fn open(&mut self, contents: [usize; 2], ending: Ending) {
        let windows = [1, 0].map(|side: usize| 3 * self.sides[side].window as usize + 5);
        let client = &mut self.sides[0];
        let Ok(key) = client.subject.connection.open(&request("POST"), false) else { return };
        let id = client.subject.connection.stream_id(key).expect("a stream that was opened");
        client.ids.insert(key, id);
        let message = |length| Message {
            id,
            key: Some(key),
            length,
            ending,
            pushed: 0,
            end_pushed: false,
            got: 0,
            end_got: false,
        };
        client.messages.push(message(contents[0] % windows[0]));
        self.replies.insert(id, (contents[1] % windows[1], ending));
    }

    fn push(&mut self, side: usize, message: usize, octets: usize) {
        let Side { subject, messages, reset, .. } = &mut self.sides[side];
        let mut open: Vec<_> = messages
            .iter_mut()
            .filter(|message| !message.end_pushed && !reset.contains(&message.id))
            .collect();
        let count = open.len();
        let Some(message) = open.get_mut(message % count.max(1)) else { return };
        let key = message.key.expect("a key");
        let n = octets.min(message.length - message.pushed);
        let content: Vec<_> =
            (message.pushed..message.pushed + n).map(|at| octet(message.id, side, at)).collect();
        message.pushed += n;
        let all = message.pushed == message.length;
        let with_content = all && matches!(message.ending, Ending::WithContent);
        let connection = &mut subject.connection;
        connection.send_data(key, &content, with_content).expect("an open stream");
        match message.ending {
            Ending::EmptyFrame if all => drop(connection.send_data(key, b"", true).expect("an open stream")),
            Ending::Trailers if all => {
                connection.send_trailers(key, section(&[("x-sum", "1")])).expect("an open stream");
            }
            _ => {}
        }
        message.end_pushed = all;
    }

    fn emit(&mut self, side: usize, octets: usize) {
        let connection = &mut self.sides[side].subject.connection;
        while connection.cut().is_some() {}
        self.read_output(side);
        let side = &mut self.sides[side];
        let n = octets.min(side.subject.connection.transmit().len());
        side.pipe.extend(&side.subject.connection.transmit()[..n]);
        side.subject.connection.sent(n);
        side.seen -= n;
    }

    /// Octets that this side emitted arrive at the other.
    fn deliver(&mut self, side: usize, octets: usize) {
        let n = octets.min(self.sides[side].pipe.len());
        let octets: Vec<_> = self.sides[side].pipe.drain(..n).collect();
        self.sides[side].arriving.extend(&octets);
        if self.sides[side].arriving.starts_with(PREFACE) {
            self.sides[side].arriving.drain(..PREFACE.len());
        } else if PREFACE.starts_with(&self.sides[side].arriving) {
            self.hear(1 - side, &octets);
            return;
        }
        let mut arriving = std::mem::take(&mut self.sides[side].arriving);
        for frame in take_frames(&mut arriving) {
            self.arrived(side, &frame);
        }
        self.sides[side].arriving = arriving;
        self.hear(1 - side, &octets);
    }

    /// A whole frame of `side` has arrived: its receiver knows.
    fn arrived(&mut self, side: usize, frame: &Frame) {
        let other = &mut self.sides[1 - side].books;
        match frame.frame_type {
            SETTINGS if !frame.has(ACK) => {
                let size =
                    frame.payload.chunks(6).find(|entry| entry[..2] == INITIAL_WINDOW_SIZE.to_be_bytes());
                other.heard.push_back(
                    size.map_or(65_535, |entry| u32::from_be_bytes(entry[2..].try_into().unwrap()).into()),
                );
            }
            WINDOW_UPDATE => {
                let increment = i64::from(frame.word(0));
                let window = match frame.stream_id {
                    0 => &mut other.connection,
                    id => other.streams.entry(id).or_insert(other.initial),
                };
                *window += increment;
                assert!(*window <= 0x7fff_ffff, "6.9.1: {frame:?}");
            }
            DATA => {
                let books = &mut self.sides[side].books;
                for id in [0, frame.stream_id] {
                    *books.arrived.entry(id).or_default() += frame.payload.len() as i64;
                }
            }
            _ => {}
        }
        if frame.has(END_STREAM) && matches!(frame.frame_type, DATA | HEADERS)
            || frame.frame_type == RST_STREAM
        {
            self.sides[side].books.ended.insert(frame.stream_id);
        }
    }

    /// Frames that a connection put into its outbox, at the moment at which it did.
    fn read_output(&mut self, at: usize) {
        let side = &mut self.sides[at];
        let octets = side.subject.connection.transmit();
        side.unread.extend(&octets[side.seen..]);
        side.seen = octets.len();
        if side.unread.starts_with(PREFACE) {
            side.unread.drain(..PREFACE.len());
        }
        for frame in take_frames(&mut side.unread) {
            self.produced(at, &frame);
        }
    }

    fn produced(&mut self, at: usize, frame: &Frame) {
        let length = frame.payload.len() as i64;
        match frame.frame_type {
            SETTINGS if frame.has(ACK) => {
                let books = &mut self.sides[at].books;
                let size = books.heard.pop_front().expect("6.5.3: one acknowledgement for one frame");
                let delta = size - std::mem::replace(&mut books.initial, size);
                books.streams.values_mut().for_each(|window| *window += delta);
            }
            DATA => {
                let books = &mut self.sides[at].books;
                let window = books.streams.entry(frame.stream_id).or_insert(books.initial);
                assert!(
                    length == 0 || length <= *window && length <= books.connection,
                    "W1: {frame:?} at {window}, {}",
                    books.connection
                );
                *window -= length;
                books.connection -= length;
            }
            WINDOW_UPDATE => {
                let announced = &mut self.sides[1 - at].books.announced;
                *announced.entry(frame.stream_id).or_default() += i64::from(frame.word(0));
            }
            RST_STREAM => _ = self.sides[1 - at].books.ended.insert(frame.stream_id),
            GOAWAY => panic!("{at}: {frame:?}"),
            _ => {}
        }
        assert!(length <= 16_384, "4.2");
    }

    fn hear(&mut self, at: usize, octets: &[u8]) {
        for told in self.sides[at].subject.hear(octets) {
            match told {
                Told::Request { id, key, .. } => {
                    let side = &mut self.sides[at];
                    side.ids.insert(key, id);
                    if side.subject.connection.stream_id(key).is_none() {
                        // Its reset came with it.
                        continue;
                    }
                    side.subject.respond(key, false);
                    let (length, ending) = self.replies[&id];
                    side.messages.push(Message {
                        id,
                        key: Some(key),
                        length,
                        ending,
                        pushed: 0,
                        end_pushed: false,
                        got: 0,
                        end_got: false,
                    });
                }
                Told::Data { key, content, end } => {
                    let id = self.sides[at].ids[&key];
                    let message = self.message(1 - at, id);
                    for (n, &got) in content.iter().enumerate() {
                        assert_eq!(got, octet(id, 1 - at, message.got + n), "D2: an octet of another place");
                    }
                    message.got += content.len();
                    assert!(!std::mem::replace(&mut message.end_got, end), "nothing follows the end");
                }
                Told::Trailers { key, .. } => {
                    let id = self.sides[at].ids[&key];
                    assert!(!std::mem::replace(&mut self.message(1 - at, id).end_got, true));
                }
                Told::Reset { key, code } => {
                    let id = self.sides[at].ids[&key];
                    let expected = if self.sides[1 - at].reset.contains(&id) {
                        ErrorCode::CANCEL
                    } else {
                        ErrorCode::REFUSED_STREAM
                    };
                    assert_eq!(code, expected);
                    self.sides[at].reset.insert(id);
                    self.sides[1 - at].reset.insert(id);
                }
                Told::Response { .. } | Told::Settings => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn message(&mut self, side: usize, id: u32) -> &mut Message {
        self.sides[side]
            .messages
            .iter_mut()
            .find(|message| message.id == id)
            .expect("a message that was sent")
    }

    fn release(&mut self, side: usize, mut octets: u32) {
        let Subject { connection, held, .. } = &mut self.sides[side].subject;
        while octets > 0
            && let Some((key, credit)) = held.first_mut()
        {
            let part = credit.take(octets);
            octets -= part.octets();
            connection.release(*key, part);
            if credit.octets() == 0 {
                let (_, empty) = held.remove(0);
                assert_eq!(empty.octets(), 0);
            }
        }
    }

    fn reset(&mut self, side: usize, message: usize) {
        let Side { subject, messages, reset, .. } = &mut self.sides[side];
        let Some(message) = messages.iter().rev().nth(message) else { return };
        let key = message.key.expect("a key");
        if subject.connection.stream_id(key).is_some() {
            subject.connection.reset(key, ErrorCode::CANCEL);
            reset.insert(message.id);
        }
    }

    /// W3: what arrived was announced back, or is held, or is less than the threshold.
    fn check_credit(&self, receiver: usize) {
        let side = &self.sides[receiver];
        let books = &self.sides[1 - receiver].books;
        let held = |id: u32| -> i64 {
            let held = side.subject.held.iter().filter(|(key, _)| id == 0 || side.ids[key] == id);
            held.map(|(_, credit)| i64::from(credit.octets())).sum()
        };
        for (&id, &arrived) in &books.arrived {
            let announced = books.announced.get(&id).copied().unwrap_or(0);
            let window = match id {
                0 => side.connection_window,
                _ if books.ended.contains(&id) || side.subject.connection.open_streams() == 0 => continue,
                _ if side.reset.contains(&id) => continue,
                // The larger one where the acknowledgement has not come yet.
                _ => side.window.max(65_535),
            };
            let pending = arrived - held(id) - announced;
            assert!(
                (0..=i64::from(window / 2)).contains(&pending),
                "W3: side {receiver}, stream {id}: {pending} pending"
            );
        }
    }

    /// Everybody does what is left to do until nothing is.
    fn finish(&mut self) {
        loop {
            let mut idle = true;
            for side in 0..2 {
                while self.sides[side]
                    .messages
                    .iter()
                    .any(|message| !message.end_pushed && !self.sides[side].reset.contains(&message.id))
                {
                    self.step(&Step::Push { side, message: 0, octets: usize::MAX });
                }
                self.step(&Step::Emit { side, octets: usize::MAX });
                idle &= self.sides[side].pipe.is_empty();
                self.step(&Step::Deliver { side, octets: usize::MAX });
                self.step(&Step::Release { side: 1 - side, octets: u32::MAX });
            }
            let quiet = |side: &Side| side.subject.connection.transmit().is_empty();
            if idle && self.sides.iter().all(quiet) {
                return;
            }
        }
    }

    fn check_end(&self) {
        for (at, side) in self.sides.iter().enumerate() {
            assert_eq!(
                (side.subject.connection.open_streams(), side.subject.connection.buffered()),
                (0, 0),
                "side {at}"
            );
            let is_reset = |id| self.sides.iter().any(|side| side.reset.contains(id));
            for message in side.messages.iter().filter(|message| !is_reset(&message.id)) {
                assert_eq!((message.got, message.end_got), (message.length, true), "side {at}: {message:?}");
            }
            // W4: the window that this side sends by is whole again, but for what is too little to announce.
            let size = i64::from(self.sides[1 - at].connection_window);
            let missing = size - side.books.connection;
            assert!((0..=size / 2).contains(&missing), "W4: side {at} misses {missing} of {size}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// D1, D2: every message arrives whole and in order; W1, W3, W4: no window is exceeded, no credit is lost.
    #[test]
    fn two_connections_talk(configs in [config(), config()], steps in prop::collection::vec(step(), 0..120)) {
        let mut talk = Talk::new(configs);
        for step in &steps {
            talk.step(step);
        }
        talk.finish();
        talk.check_end();
    }
}
