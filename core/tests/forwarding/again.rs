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
