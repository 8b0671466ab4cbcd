//! A gateway between one client and its backends that are octets made and read by hand.

use std::collections::BTreeMap;
use std::time::Duration;

use shuntyard_core::config::Config;
use shuntyard_core::error::ErrorCode;
use shuntyard_core::fields::FieldSection;
use shuntyard_core::gateway::{Accepted, Action, Closed, ConnId, Connected, RecvBuf};
use shuntyard_core::hpack::{Decoder, SectionLimits};
use shuntyard_core::record::Record;

use crate::memory::Memory;
use crate::wire::*;

/// What the gateway said on a connection, as far as it is not flow control, acknowledgements and the like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Fields {
        stream: u32,
        lines: Vec<(String, String)>,
        end: bool,
    },
    Content {
        stream: u32,
        octets: Vec<u8>,
        end: bool,
    },
    Reset {
        stream: u32,
        code: ErrorCode,
    },
    GoAway {
        last: u32,
        code: ErrorCode,
    },
    /// It will say no more.
    Shutdown,
    Close,
}

impl Said {
    /// The value of the only field line with this name.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let Self::Fields { lines, .. } = self else { panic!("{self:?} has no fields") };
        let mut values = lines.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str());
        let value = values.next();
        assert_eq!(values.next(), None, "{name} stands there once: {self:?}");
        value
    }
}

struct Line {
    octets: Vec<u8>,
    decoder: Decoder,
    said: Vec<Said>,
}

pub(crate) struct Rig {
    pub(crate) memory: Memory,
    pub(crate) client: ConnId,
    /// In the order in which they were dialled.
    pub(crate) backends: Vec<ConnId>,
    lines: BTreeMap<ConnId, Line>,
}

impl Rig {
    /// A client that has said its preface.
    pub(crate) fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut memory = Memory::new(change);
        let peer: core::net::SocketAddr = "127.0.0.1:50000".parse().expect("an address");
        let client =
            memory.gateway.handle_accept(Accepted { peer: peer.into(), local: peer.into() }, memory.now);
        let mut rig = Self { memory, client, backends: Vec::new(), lines: BTreeMap::new() };
        rig.client_says(&[PREFACE, &settings(&[(INITIAL_WINDOW_SIZE, 1 << 20)]), &settings_ack()].concat());
        rig
    }

    pub(crate) fn client_says(&mut self, octets: &[u8]) {
        self.hear(self.client, octets);
    }

    /// The newest backend.
    pub(crate) fn backend(&self) -> ConnId {
        *self.backends.last().expect("a backend was dialled")
    }

    pub(crate) fn backend_says(&mut self, octets: &[u8]) {
        self.hear(self.backend(), octets);
    }

    pub(crate) fn hear(&mut self, conn: ConnId, octets: &[u8]) {
        let mut rest = octets;
        while !rest.is_empty() {
            let RecvBuf::Buffer(buffer) = self.memory.gateway.recv_buf(conn) else { break };
            let n = rest.len().min(buffer.len());
            buffer[..n].copy_from_slice(&rest[..n]);
            self.memory.gateway.handle_recv(conn, n, self.memory.now);
            rest = &rest[n..];
            self.turn();
        }
    }

    pub(crate) fn lose(&mut self, conn: ConnId) {
        self.memory.gateway.handle_closed(conn, Closed::Reset, self.memory.now);
        self.turn();
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.memory.now = self.memory.now + time;
        self.memory.gateway.handle_timeout(self.memory.now);
        self.turn();
    }

    /// What was said on a connection since it was last asked.
    pub(crate) fn said(&mut self, conn: ConnId) -> Vec<Said> {
        self.lines.get_mut(&conn).map_or(Vec::new(), |line| std::mem::take(&mut line.said))
    }

    pub(crate) fn said_to_client(&mut self) -> Vec<Said> {
        self.said(self.client)
    }

    pub(crate) fn said_to_backend(&mut self) -> Vec<Said> {
        self.said(self.backend())
    }

    fn turn(&mut self) {
        while let Some(action) = self.memory.gateway.poll_action() {
            match action {
                Action::Connect { conn, .. } => {
                    self.backends.push(conn);
                    self.memory.gateway.handle_connected(conn, Connected::default(), self.memory.now);
                    self.write(conn);
                    let greeting = [settings(&[(INITIAL_WINDOW_SIZE, 1 << 20)]), settings_ack()].concat();
                    self.hear(conn, &greeting);
                }
                Action::Writable(conn) => self.write(conn),
                Action::Record(record) => {
                    if let Record::Ended(end) = *record {
                        self.memory.records.push(end);
                    }
                }
                Action::Shutdown(conn) => self.line(conn).said.push(Said::Shutdown),
                Action::Close(conn) | Action::Abort(conn) => self.line(conn).said.push(Said::Close),
                _ => {}
            }
        }
    }

    fn line(&mut self, conn: ConnId) -> &mut Line {
        let fresh = || Line { octets: Vec::new(), decoder: Decoder::new(4096, 1, 0), said: Vec::new() };
        self.lines.entry(conn).or_insert_with(fresh)
    }

    fn write(&mut self, conn: ConnId) {
        while let Some(octets) = self.memory.gateway.poll_transmit(conn, self.memory.now).map(<[u8]>::to_vec)
        {
            self.memory.gateway.handle_sent(conn, octets.len(), self.memory.now);
            let line = self.line(conn);
            line.octets.extend(octets);
            if line.octets.starts_with(PREFACE) {
                line.octets.drain(..PREFACE.len());
            }
            line.read();
        }
    }
}

impl Line {
    fn read(&mut self) {
        for frame in take_frames(&mut self.octets) {
            let (stream, end) = (frame.stream_id, frame.has(END_STREAM));
            let said = match frame.frame_type {
                HEADERS => {
                    assert!(frame.has(END_HEADERS), "no section of these tests is so long");
                    Said::Fields { stream, lines: self.decoded(&frame.payload), end }
                }
                DATA => Said::Content { stream, octets: frame.payload, end },
                RST_STREAM => Said::Reset { stream, code: ErrorCode(frame.word(0)) },
                GOAWAY => Said::GoAway { last: frame.word(0), code: ErrorCode(frame.word(1)) },
                _ => continue,
            };
            self.said.push(said);
        }
    }

    fn decoded(&mut self, block: &[u8]) -> Vec<(String, String)> {
        let mut fields = FieldSection::new();
        let limits = SectionLimits { size: u32::MAX, fields: u32::MAX };
        self.decoder.decode(block, limits, &mut fields).expect("a field block of the gateway");
        let text = |octets: &[u8]| octets.iter().map(|&octet| char::from(octet)).collect::<String>();
        fields.iter().map(|line| (text(line.name), text(line.value))).collect()
    }
}
