//! Changes of SETTINGS_HEADER_TABLE_SIZE and field blocks that may be wrong: our decoder against four others.
//!
//! The simulator's codec, written from RFC 7541 alone, must agree on every verdict, line, mark and table entry, but for
//! blocks with more than two size updates. nghttp2 and loona-hpack must agree but for the list in
//! `shuntyard_hpack_voices::differences`. The crate `hpack` accepts much that is wrong: only where it accepts what we
//! accept must it read the same.

use shuntyard_core::fields::FieldSection;
use shuntyard_core::hpack::{DecodeError, Decoded, Decoder, SectionLimits};
use shuntyard_hpack_voices::differences::{may_be_laxer, may_be_stricter};
use shuntyard_hpack_voices::{Line, NO_LIMITS, SEED, Voice};
use shuntyard_sim::refcodec::hpack::Decoder as Reference;

use crate::octets::Octets;

/// The whole check: limits and blocks, each behind an octet that says which.
pub fn run(data: &[u8]) {
    let mut octets = Octets(data);
    let mut panel = Panel::new();
    while !octets.is_empty() {
        if octets.octet() < 32 {
            panel.set_limit(octets.number() % 70_000);
        } else if panel.decode(octets.run(4096)).is_err() {
            return;
        }
    }
}

/// Our decoder and those that it is compared with, all with the state of the same connection.
struct Panel {
    ours: Decoder,
    /// Ours too, with limits that most sections exceed: its table must not be another for it.
    narrow: Decoder,
    reference: Reference,
    voices: Vec<Box<dyn Voice>>,
    /// The largest limit so far: a table keeps its memory.
    largest: u32,
}

impl Panel {
    fn new() -> Self {
        Self {
            ours: Decoder::new(4096, SEED, 1),
            narrow: Decoder::new(4096, SEED, 2),
            reference: Reference::default(),
            voices: shuntyard_hpack_voices::all().split_off(1),
            largest: 4096,
        }
    }

    fn set_limit(&mut self, octets: u32) {
        self.largest = self.largest.max(octets);
        self.ours.set_max_table_size(octets);
        self.narrow.set_max_table_size(octets);
        self.reference.set_limit(octets as usize);
        self.voices.iter_mut().for_each(|voice| voice.set_max_table_size(octets));
    }

    /// Decodes one block with all of them. `Err` ends the connection.
    fn decode(&mut self, block: &[u8]) -> Result<(), DecodeError> {
        let mut fields = FieldSection::new();
        let ours = self.ours.decode(block, NO_LIMITS, &mut fields);
        self.narrow(block, &fields, ours)?;
        let theirs = self.reference.decode(block);
        match (ours, theirs) {
            (Ok(_), Ok(theirs)) => {
                let lines = fields.iter().map(|line| (line.name, line.value, line.never_indexed));
                let expected = theirs.iter().map(|line| (&*line.field.0, &*line.field.1, line.never_indexed));
                assert!(lines.eq(expected), "we read {fields:?}, the reference {theirs:?}");
                self.tables_agree();
            }
            (Err(_), Err(_)) | (Err(DecodeError::SizeUpdatesTooMany), Ok(_)) => {}
            (ours, theirs) => panic!("we say {ours:?}, the reference {theirs:?}"),
        }
        let lines: Vec<Line> = shuntyard_hpack_voices::lines(&fields);
        self.voices.retain_mut(|voice| agrees(&mut **voice, block, ours, &lines));
        ours.map(|_| ())
    }

    /// A section beyond the limits is dropped, and the table follows all the same.
    fn narrow(
        &mut self,
        block: &[u8],
        whole: &FieldSection,
        verdict: Result<Decoded, DecodeError>,
    ) -> Result<(), DecodeError> {
        let limits = SectionLimits { size: 100, fields: 3 };
        let mut fields = FieldSection::new();
        let narrow = self.narrow.decode(block, limits, &mut fields);
        match (narrow, verdict) {
            (Ok(Decoded::Whole), Ok(_)) => {
                assert!(whole.size() <= 100 && whole.len() <= 3);
                assert_eq!(shuntyard_hpack_voices::lines(&fields), shuntyard_hpack_voices::lines(whole));
            }
            (Ok(Decoded::OverLimit(_)), Ok(_)) => {
                assert!(whole.size() > 100 || whole.len() > 3, "nothing is over a limit");
                assert!(fields.is_empty(), "a section over the limit is not kept");
            }
            (Err(error @ DecodeError::LiteralsTooMany), _) => return Err(error),
            (Err(narrow), Err(whole)) => assert_eq!(narrow, whole),
            (narrow, whole) => panic!("{narrow:?} with limits, {whole:?} without"),
        }
        if verdict.is_ok() {
            assert!(self.narrow.entries().eq(self.ours.entries()), "limits change nothing of the table");
        }
        Ok(())
    }

    /// C1: entries and size are the reference's, and what is held is within the largest limit.
    fn tables_agree(&self) {
        let table = &self.reference.table;
        let theirs = table.entries().iter().map(|(name, value)| (&**name, &**value));
        assert!(self.ours.entries().eq(theirs), "the tables differ");
        assert_eq!((self.ours.table_size(), self.ours.entry_count()), (table.size(), table.entries().len()));
        let most = self.largest as usize;
        assert!(self.ours.capacity() <= 4 * most + 4096, "{} octets held", self.ours.capacity());
    }
}

/// Whether a voice agrees and is to be asked again; a difference that is on no list is a defect.
fn agrees(voice: &mut dyn Voice, block: &[u8], ours: Result<Decoded, DecodeError>, lines: &[Line]) -> bool {
    let lenient = voice.name() == "hpack";
    // It panics on some blocks that are wrong.
    if lenient && ours.is_err() {
        return false;
    }
    match (ours, voice.decode(block)) {
        // Its static table has another name at index 15 (accept-charset).
        (Ok(_), Ok(theirs)) if lenient && theirs.iter().any(|(name, _)| name == b"accept-") => false,
        (Ok(_), Ok(theirs)) => {
            assert_eq!(theirs, lines, "read by {}", voice.name());
            true
        }
        (Err(_), Err(_)) => false,
        (Err(error), Ok(_)) => {
            assert!(lenient || may_be_stricter(voice.name(), error), "{} accepts: {error:?}", voice.name());
            false
        }
        (Ok(_), Err(error)) => {
            assert!(lenient || may_be_laxer(voice.name(), &error), "{} refuses: {error}", voice.name());
            false
        }
    }
}
