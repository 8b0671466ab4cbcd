//! Other HPACK implementations as witnesses in tests: two crates, nghttp2, and what fourteen encoders once wrote.
//!
//! [`Voice`] makes decoders comparable. The crate `hpack` speaks for valid blocks only: it accepts much that is wrong.

pub mod differences;
mod nghttp2;
pub mod stories;

pub use nghttp2::{Deflater, Inflater};
use proptest::test_runner::{Config as ProptestConfig, FileFailurePersistence};
use shuntyard_core::fields::{FieldLine, FieldSection};
use shuntyard_core::hpack::{Decoded, Decoder, SectionLimits};

/// The seed of all facts in these tests.
pub const SEED: u64 = 0x7541;

/// Limits that nothing in these tests exceeds.
pub const NO_LIMITS: SectionLimits = SectionLimits { size: u32::MAX, fields: u32::MAX };

/// A field line as any implementation knows it: name and value.
pub type Line = (Vec<u8>, Vec<u8>);

/// A decoder with the state of one connection.
pub trait Voice {
    /// Who speaks.
    fn name(&self) -> &'static str;

    /// The lines of a block, or its own words why there are none.
    fn decode(&mut self, block: &[u8]) -> Result<Vec<Line>, String>;

    /// Our SETTINGS_HEADER_TABLE_SIZE is acknowledged.
    fn set_max_table_size(&mut self, octets: u32);
}

/// Our own.
pub struct Ours(pub Decoder);

/// The crate `hpack`.
pub struct Hpack(pub hpack::Decoder<'static>);

/// The crate `loona-hpack`.
pub struct Loona(pub loona_hpack::Decoder<'static>);

/// All voices at the start of a connection, our own first.
pub fn all() -> Vec<Box<dyn Voice>> {
    let mut voices = strict();
    voices.push(Box::new(Hpack(hpack::Decoder::new())));
    voices
}

/// Those that can be asked about blocks that may be wrong, our own first.
pub fn strict() -> Vec<Box<dyn Voice>> {
    let mut loona = loona_hpack::Decoder::new();
    loona.set_max_allowed_table_size(4096);
    vec![Box::new(Ours(Decoder::new(4096, SEED, 1))), Box::new(Loona(loona)), Box::new(Inflater::new())]
}

/// How a property is tried: failures leave their seed beside the test.
pub fn property(cases: u32) -> ProptestConfig {
    let persistence = FileFailurePersistence::WithSource("regressions");
    ProptestConfig { cases, failure_persistence: Some(Box::new(persistence)), ..ProptestConfig::default() }
}

impl Voice for Ours {
    fn name(&self) -> &'static str {
        "shuntyard"
    }

    fn decode(&mut self, block: &[u8]) -> Result<Vec<Line>, String> {
        let mut fields = FieldSection::new();
        match self.0.decode(block, NO_LIMITS, &mut fields) {
            Ok(Decoded::Whole) => Ok(lines(&fields)),
            Ok(Decoded::OverLimit(limit)) => Err(format!("{limit:?}")),
            Err(error) => Err(format!("{error:?}")),
        }
    }

    fn set_max_table_size(&mut self, octets: u32) {
        self.0.set_max_table_size(octets);
    }
}

impl Voice for Hpack {
    fn name(&self) -> &'static str {
        "hpack"
    }

    fn decode(&mut self, block: &[u8]) -> Result<Vec<Line>, String> {
        self.0.decode(block).map_err(|error| format!("{error:?}"))
    }

    fn set_max_table_size(&mut self, _octets: u32) {
        // Its limit is the current size of the table; updates in blocks set it.
    }
}

impl Voice for Loona {
    fn name(&self) -> &'static str {
        "loona-hpack"
    }

    fn decode(&mut self, block: &[u8]) -> Result<Vec<Line>, String> {
        self.0.decode(block).map_err(|error| format!("{error:?}"))
    }

    fn set_max_table_size(&mut self, octets: u32) {
        self.0.set_max_allowed_table_size(octets as usize);
    }
}

/// Names and values of a section.
pub fn lines(fields: &FieldSection) -> Vec<Line> {
    fields.iter().map(|line| (line.name.to_vec(), line.value.to_vec())).collect()
}

/// A section of lines.
pub fn section(lines: &[Line]) -> FieldSection {
    let mut fields = FieldSection::new();
    for (name, value) in lines {
        fields.push(FieldLine::new(name, value, SEED));
    }
    fields
}
