//! The codecs alone: HPACK with warm and with cold tables, and a client and a server joined without a gateway.

use std::sync::Arc;

use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::fields::{FieldSection, FieldWriter};
use shuntyard_core::h2::{Connection, Event, Role};
use shuntyard_core::hpack::{Decoder, Encoder};

use crate::carry::carry;
use crate::measured;
use crate::work::{self, BROWSER};

const SEED: u64 = 1;
const TABLE_SIZE: u32 = 4096;
const CONTENT: [u8; 100] = [b'a'; 100];
/// Streams that the pair has under way at once.
const STREAMS: usize = 100;

type Run = fn(usize, usize) -> String;

pub(crate) const ALL: &[(&str, Run)] = &[
    ("hpack-encode-warm", |warm_up, n| encode(warm_up, n, false)),
    ("hpack-encode-cold", |warm_up, n| encode(warm_up, n, true)),
    ("hpack-decode-warm", |warm_up, n| decode(warm_up, n, false)),
    ("hpack-decode-cold", |warm_up, n| decode(warm_up, n, true)),
    ("pair", pair),
];

/// Twelve fields, with a path that changes.
fn requests() -> Vec<FieldSection> {
    let mut writer = FieldWriter::new(SEED);
    let section = |path: &String| work::write_request(&mut writer, "GET", path, BROWSER).clone();
    work::paths(64).iter().map(section).collect()
}

/// `cold`: each block by an encoder that has seen none.
fn encode(warm_up: usize, n: usize, cold: bool) -> String {
    let (requests, mut encoder, mut block) = (requests(), Encoder::new(TABLE_SIZE), Vec::new());
    let mut octets = 0;
    for (i, fields) in requests.iter().cycle().take(warm_up + n).enumerate() {
        if i == warm_up {
            measured::from_here();
            octets = 0;
        }
        if cold {
            encoder = Encoder::new(TABLE_SIZE);
        }
        block.clear();
        measured::encode(&mut encoder, fields, &mut block);
        octets += block.len();
    }
    format!("{n} blocks after {warm_up}, {octets} octets")
}

/// `cold`: each block by a decoder that has seen none.
fn decode(warm_up: usize, n: usize, cold: bool) -> String {
    let (requests, mut encoder, mut block) = (requests(), Encoder::new(TABLE_SIZE), Vec::new());
    let (mut decoder, mut decoded) = (Decoder::new(TABLE_SIZE, SEED, 0), FieldSection::new());
    for (i, fields) in requests.iter().cycle().take(warm_up + n).enumerate() {
        if i == warm_up {
            measured::from_here();
        }
        if cold {
            (encoder, decoder) = (Encoder::new(TABLE_SIZE), Decoder::new(TABLE_SIZE, SEED, 0));
        }
        block.clear();
        encoder.encode(fields, &mut block);
        assert!(measured::decode(&mut decoder, &block, &mut decoded) && decoded == *fields);
    }
    format!("{n} blocks after {warm_up}")
}

/// A client and a server, what they exchange, and how much of it they did.
pub(crate) struct Pair {
    client: Connection,
    server: Connection,
    paths: Vec<String>,
    /// Where sections are made, of the client and of the server.
    writers: [FieldWriter; 2],
    asked: usize,
    answered: usize,
}

fn pair(warm_up: usize, n: usize) -> String {
    let connection = |role| Connection::new(role, Arc::new(ConnectionConfig::default()), SEED, 0);
    let mut pair = Pair {
        client: connection(Role::Client),
        server: connection(Role::Server),
        paths: work::paths(64),
        writers: [(); 2].map(|()| FieldWriter::new(SEED)),
        asked: 0,
        answered: 0,
    };
    while pair.answered < warm_up {
        measured::exchange(&mut pair);
    }
    let before = pair.answered;
    measured::from_here();
    while pair.answered < before + n {
        assert!(measured::exchange(&mut pair) > 0, "nothing moves any more");
    }
    format!("{} exchanges after {before}", pair.answered - before)
}

impl Pair {
    /// The client asks as much as it may, the server answers all it hears. Says how many octets went to and fro.
    ///
    /// A field section is made for each message, for an owner of connections has to do that too.
    pub(crate) fn exchange(&mut self) -> usize {
        let Self { client, server, paths, writers: [asks, answers], asked, answered } = self;
        while client.open_streams() < STREAMS {
            let fields = work::write_request(asks, "GET", &paths[*asked % paths.len()], BROWSER);
            if client.open(fields, true).is_err() {
                break;
            }
            *asked += 1;
        }
        let there = carry(client, server, |server, event| match event {
            Event::Request { stream, fields, .. } => {
                server.recycle(fields);
                let fields = work::write_response(answers, "100");
                server.send_head(stream, fields, false).expect("the stream is new");
                server.send_data(stream, &CONTENT, true).expect("the response was begun now");
            }
            event => assert!(matches!(event, Event::Settings), "nobody asked for {event:?}"),
        });
        let back = carry(server, client, |client, event| match event {
            Event::Response { fields, .. } => client.recycle(fields),
            Event::Data { stream, credit, end, .. } => {
                client.release(stream, credit);
                *answered += usize::from(end);
            }
            event => assert!(matches!(event, Event::Settings), "nobody asked for {event:?}"),
        });
        there + back
    }
}
