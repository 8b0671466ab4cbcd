//! Sections that come again: what hangs on time and on the configuration is made anew.

use core::time::Duration;

use shuntyard_core::fields::FieldSection;
use shuntyard_core::gateway::ConnId;
use shuntyard_core::hpack::{Decoder, SectionLimits};

use crate::memory::Memory;
use crate::wire::*;

struct Peer {
    conn: ConnId,
    decoder: Decoder,
    unread: Vec<u8>,
}

impl Peer {
    fn new(conn: ConnId) -> Self {
        Self { conn, decoder: Decoder::new(4096, 1, 1), unread: vec![] }
    }
    /// The last head that came, as text.
    fn head(&mut self, memory: &mut Memory) -> Vec<(String, String)> {
        self.unread.extend(memory.sent_to(self.conn));
        if self.unread.starts_with(PREFACE) {
            self.unread.drain(..PREFACE.len());
        }
        let mut last = vec![];
        for frame in take_frames(&mut self.unread).into_iter().filter(|frame| frame.frame_type == HEADERS) {
            let mut fields = FieldSection::new();
            let limits = SectionLimits { size: 1 << 16, fields: 100 };
            self.decoder.decode(&frame.payload, limits, &mut fields).expect("HPACK");
            let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
            last = fields.iter().map(|line| (text(line.name), text(line.value))).collect();
        }
        last
    }
}

fn value<'a>(head: &'a [(String, String)], name: &str) -> Option<&'a str> {
    head.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str())
}

#[test]
fn what_hangs_on_time_and_configuration_is_made_anew() {
    let mut memory = Memory::new(|config| config.via = "one".into());
    memory.mute_backends = true;
    let mut client = Peer::new(memory.connect_mute());
    memory.inject(client.conn, &[PREFACE, &settings(&[]), &settings_ack()].concat());
    let mut backend = None;
    let mut dates = vec![];
    for n in 0..12 {
        if n == 6 {
            memory.reconfigure(|config| config.via = "two".into());
        }
        memory.inject(
            client.conn,
            &headers(2 * n + 1, &[&[0x82, 0x86, 0x84][..], &line(":authority", "a")].concat(), true),
        );
        let to = backend.get_or_insert_with(|| {
            let to = *memory.backends().last().expect("one was dialled");
            memory.inject(to, &[settings(&[]), settings_ack()].concat());
            Peer::new(to)
        });
        let via = if n < 6 { "2.0 one" } else { "2.0 two" };
        assert_eq!(value(&to.head(&mut memory), "via"), Some(via), "request {n}");
        let conn = to.conn;
        memory.inject(conn, &headers(2 * n + 1, &OK, true));
        let head = client.head(&mut memory);
        assert_eq!(value(&head, "via"), Some(via), "response {n}");
        dates.push(value(&head, "date").expect("a date").to_owned());
        memory.wait(Duration::from_secs(1));
    }
    let all = dates.len();
    dates.dedup();
    assert_eq!(dates.len(), all, "{dates:?}");
}

/// Requests of several clients that differ in their paths alone: each keeps its path and what else is its own.
#[test]
fn each_request_keeps_its_path() {
    let mut memory = Memory::new(|_| {});
    memory.mute_backends = true;
    let clients: Vec<_> =
        ["first", "other", "first"].into_iter().map(|own| (memory.connect_mute(), own)).collect();
    let ours = |own: &str| [line(":authority", "a"), line("x-own", own)].concat();
    let entry = |own: &str| [kept_line("x-kept", own), line("x-last", "l")].concat();
    for (conn, own) in &clients {
        let first = [&[0x82, 0x86, 0x84][..], &ours(own), &entry(own)].concat();
        memory.inject(*conn, &[PREFACE, &settings(&[]), &settings_ack(), &headers(1, &first, true)].concat());
    }
    let conn = *memory.backends().last().expect("one was dialled");
    memory.inject(conn, &[settings(&[]), settings_ack()].concat());
    let mut to = Peer::new(conn);
    to.head(&mut memory);
    let passed = clients.len() as u32;
    (0..passed).for_each(|n| memory.inject(conn, &headers(2 * n + 1, &OK, true)));
    let mut values = vec![];
    for n in 0..60_u32 {
        let (from, own) = clients[(n * n + n / 7) as usize % clients.len()];
        // Now and then the table changes, the path is a secret, one that the static table has, or the one before.
        let (name, path) = match n % 20 {
            17 => (4, "/".to_owned()),
            18 | 19 => (0x14, format!("/secret/{n}")),
            7 => (4, format!("/path/{}", n - 1)),
            _ => (4, format!("/path/{n}")),
        };
        let literal = [&[name, path.len() as u8], path.as_bytes()].concat();
        let own_lines =
            if n % 20 == 13 { entry(own) } else { [&[NEWEST][..], &line("x-last", "l")].concat() };
        let block = [&[0x82, 0x86][..], &literal, &ours(own), &own_lines].concat();
        memory.inject(from, &headers(2 * n + 3, &block, true));
        let head = to.head(&mut memory);
        for (name, expected) in
            [(":path", &*path), ("x-own", own), ("x-kept", own), ("x-last", "l"), ("via", "2.0 shuntyard")]
        {
            assert_eq!(value(&head, name), Some(expected), "{name} of request {n}");
        }
        assert_eq!(head.iter().filter(|(name, _)| name == ":path").count(), 1);
        values.push(head.len());
        memory.inject(conn, &headers(2 * (passed + n) + 1, &OK, true));
    }
    values.dedup();
    assert_eq!(values.len(), 1, "all have the same lines: {values:?}");
}

/// What must not go on does not the next time either, as a whole or with another path.
#[test]
fn what_must_not_go_on_is_refused_each_time() {
    let circle = (&[0x82, 0x86][..], line("via", "2.0 shuntyard"), "502");
    let last = (&[&line(":method", "OPTIONS")[..], &[0x86]].concat()[..], line("max-forwards", "0"), "200");
    for (before, behind, status) in [circle, last] {
        let mut memory = Memory::new(|_| {});
        let mut client = Peer::new(memory.connect_mute());
        memory.inject(client.conn, &[PREFACE, &settings(&[]), &settings_ack()].concat());
        for n in 0..12 {
            let path = format!("/{}", if n < 6 { 0 } else { n });
            let path = [&[4, path.len() as u8], path.as_bytes()].concat();
            let block = [before, &path, &line(":authority", "a"), &behind].concat();
            memory.inject(client.conn, &headers(2 * n + 1, &block, true));
            assert_eq!(value(&client.head(&mut memory), ":status"), Some(status), "request {n}");
        }
        assert!(memory.dials.is_empty(), "nobody was asked");
    }
}
