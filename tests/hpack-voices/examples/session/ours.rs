//! Our own connections.

use std::sync::Arc;

use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::fields::{FieldSection, FieldWriter};
use shuntyard_core::h2::{Connection, Event, Role};
use shuntyard_hpack_voices::{Line, SEED, section};

use crate::carry::carry;
use crate::{CONTENT, Heard, STREAMS, Voice, Work};

pub(crate) struct Session {
    client: Connection,
    server: Connection,
    work: Work,
    requests: Vec<FieldSection>,
    response: FieldSection,
    /// Where sections are made that are not kept, of the client and of the server.
    writers: [FieldWriter; 2],
    asked: usize,
    heard: [Heard; 2],
    octets: [usize; 2],
}

impl Session {
    pub(crate) fn new(work: Work) -> Self {
        let connection = |role| Connection::new(role, Arc::new(ConnectionConfig::default()), SEED, 0);
        Self {
            client: connection(Role::Client),
            server: connection(Role::Server),
            requests: work.requests.iter().map(|lines| section(lines)).collect(),
            response: section(&work.response),
            work,
            writers: [(); 2].map(|()| FieldWriter::new(SEED)),
            asked: 0,
            heard: Default::default(),
            octets: [0; 2],
        }
    }
}

impl Voice for Session {
    fn exchange(&mut self) {
        let Self { client, server, work, requests, response, writers: [asks, answers], asked, heard, octets } =
            self;
        let [by_server, by_client] = heard;
        for _ in 0..STREAMS {
            let which = *asked % requests.len();
            let fields = if work.kept { &requests[which] } else { of(&work.requests[which], asks) };
            client.open(fields, true).expect("so many streams may be open");
            *asked += 1;
        }
        octets[0] += carry(client, server, |server, event| match event {
            Event::Request { stream, fields, end, .. } => {
                hear(by_server, &fields);
                by_server.ended += usize::from(end);
                server.recycle(fields);
                let fields = if work.kept { &*response } else { of(&work.response, answers) };
                server.send_head(stream, fields, false).expect("the stream is new");
                server.send_data(stream, &CONTENT, true).expect("the response was begun now");
            }
            event => assert!(matches!(event, Event::Settings), "nobody asked for {event:?}"),
        });
        octets[1] += carry(server, client, |client, event| match event {
            Event::Response { fields, .. } => {
                hear(by_client, &fields);
                client.recycle(fields);
            }
            Event::Data { stream, data, credit, end, .. } => {
                by_client.content += data.len();
                by_client.ended += usize::from(end);
                client.release(stream, credit);
            }
            event => assert!(matches!(event, Event::Settings), "nobody asked for {event:?}"),
        });
    }

    fn heard(&self) -> [Heard; 2] {
        self.heard.clone()
    }

    fn octets(&self) -> [usize; 2] {
        self.octets
    }
}

/// A section of words.
fn of<'w>(lines: &[Line], writer: &'w mut FieldWriter) -> &'w FieldSection {
    writer.restart();
    for (name, value) in lines {
        writer.push(name, value);
    }
    writer.section()
}

fn hear(heard: &mut Heard, fields: &FieldSection) {
    heard.head(fields.iter().map(|line| line.name.len() + line.value.len()));
}
