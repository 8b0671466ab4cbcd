//! The same field sections through one codec, so that `benches/voices` can count what it needs.
//!
//! `cost VOICE WORK N`: a dozen fields as a browser sends them, with a path that changes. Each block is checked.

#[path = "../../../benches/instructions/work.rs"]
#[expect(dead_code, reason = "the sections of its works are all that is wanted")]
mod work;

use shuntyard_core::fields::{FieldSection, FieldWriter};
use shuntyard_core::hpack::{Decoded, Decoder, Encoder};
use shuntyard_hpack_voices::{Deflater, Inflater, Line, NO_LIMITS, SEED, lines};

const TABLE_SIZE: u32 = 4096;
const WARM_UP: usize = 200;

/// What is counted; of nghttp2 it is its own two functions.
mod measured {
    use super::{Decoded, Decoder, Encoder, FieldSection, Line, NO_LIMITS};

    #[inline(never)]
    pub(crate) fn encode(encoder: &mut Encoder, fields: &FieldSection, block: &mut Vec<u8>) {
        encoder.encode(fields, block);
    }

    #[inline(never)]
    pub(crate) fn decode(decoder: &mut Decoder, block: &[u8], fields: &mut FieldSection) {
        assert_eq!(decoder.decode(block, NO_LIMITS, fields), Ok(Decoded::Whole));
    }

    #[inline(never)]
    pub(crate) fn loona_encode(encoder: &mut loona_hpack::Encoder<'_>, all: &[Line], block: &mut Vec<u8>) {
        let all = all.iter().map(|(name, value)| (&name[..], &value[..]));
        encoder.encode_into(all, block).expect("a Vec takes all");
    }

    #[inline(never)]
    pub(crate) fn loona_decode(decoder: &mut loona_hpack::Decoder<'_>, block: &[u8]) -> usize {
        let mut count = 0;
        decoder.decode_with_cb(block, |_, _| count += 1).expect("a block");
        count
    }

    #[inline(never)]
    pub(crate) fn hpack_encode(encoder: &mut hpack::Encoder<'_>, all: &[Line]) -> Vec<u8> {
        encoder.encode(all.iter().map(|(name, value)| (&name[..], &value[..])))
    }

    #[inline(never)]
    pub(crate) fn hpack_decode(decoder: &mut hpack::Decoder<'_>, block: &[u8]) -> usize {
        let mut count = 0;
        decoder.decode_with_cb(block, |_, _| count += 1).expect("a block");
        count
    }
}

/// From here on it counts.
#[inline(never)]
fn from_here() {
    std::hint::black_box(());
}

/// Sections, what they are as lines, and whether each block begins with empty tables.
struct Work {
    sections: Vec<(FieldSection, Vec<Line>)>,
    cold: bool,
    n: usize,
}

impl Work {
    fn new(cold: bool, n: usize) -> Self {
        let mut writer = FieldWriter::new(SEED);
        let section = |path: &String| {
            let made = work::write_request(&mut writer, "GET", path, work::BROWSER);
            (made.clone(), lines(made))
        };
        Self { sections: work::paths(64).iter().map(section).collect(), cold, n }
    }

    /// Each section in turn, with a codec that is made anew where the tables are to be empty. Says how many octets there were.
    fn run<C>(
        &self,
        new: impl Fn() -> C,
        mut one: impl FnMut(&mut C, &FieldSection, &[Line]) -> usize,
    ) -> usize {
        let (mut codec, mut octets) = (new(), 0);
        for (i, (section, all)) in self.sections.iter().cycle().take(WARM_UP + self.n).enumerate() {
            if i == WARM_UP {
                octets = 0;
                from_here();
            }
            if self.cold {
                codec = new();
            }
            octets += one(&mut codec, section, all);
        }
        octets
    }
}

fn encode(voice: &str, work: &Work) -> usize {
    let mut block = Vec::new();
    match voice {
        "shuntyard" => work.run(
            || Encoder::new(TABLE_SIZE),
            |encoder, section, _| {
                block.clear();
                measured::encode(encoder, section, &mut block);
                block.len()
            },
        ),
        "nghttp2" => {
            work.run(|| Deflater::new(TABLE_SIZE as usize), |encoder, _, all| encoder.encode(all).len())
        }
        "loona-hpack" => work.run(loona_hpack::Encoder::new, |encoder, _, all| {
            block.clear();
            measured::loona_encode(encoder, all, &mut block);
            block.len()
        }),
        _ => work.run(hpack::Encoder::new, |encoder, _, all| measured::hpack_encode(encoder, all).len()),
    }
}

/// Blocks by our encoder, which writes what nghttp2's would.
fn decode(voice: &str, work: &Work) -> usize {
    fn with<D>(encoder: Encoder, decoder: D) -> (Encoder, D, Vec<u8>) {
        (encoder, decoder, Vec::new())
    }
    fn block<D>((encoder, _, block): &mut (Encoder, D, Vec<u8>), section: &FieldSection) -> usize {
        block.clear();
        encoder.encode(section, block);
        block.len()
    }
    let encoder = || Encoder::new(TABLE_SIZE);
    let mut fields = FieldSection::new();
    match voice {
        "shuntyard" => work.run(
            || with(encoder(), Decoder::new(TABLE_SIZE, SEED, 1)),
            |codec, section, _| {
                let len = block(codec, section);
                let (_, decoder, block) = codec;
                measured::decode(decoder, block, &mut fields);
                assert_eq!(&fields, section);
                len
            },
        ),
        "nghttp2" => work.run(
            || with(encoder(), Inflater::new()),
            |codec, section, all| {
                let len = block(codec, section);
                let (_, decoder, block) = codec;
                assert_eq!(decoder.decode_marked(block).expect("a block").len(), all.len());
                len
            },
        ),
        "loona-hpack" => work.run(
            || with(encoder(), loona_hpack::Decoder::new()),
            |codec, section, all| {
                let len = block(codec, section);
                let (_, decoder, block) = codec;
                assert_eq!(measured::loona_decode(decoder, block), all.len());
                len
            },
        ),
        _ => work.run(
            || with(encoder(), hpack::Decoder::new()),
            |codec, section, all| {
                let len = block(codec, section);
                let (_, decoder, block) = codec;
                assert_eq!(measured::hpack_decode(decoder, block), all.len());
                len
            },
        ),
    }
}

fn main() -> std::process::ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let [voice, what, n] = given.as_slice() else {
        eprintln!("usage: cost shuntyard|nghttp2|loona-hpack|hpack (encode|decode)-(warm|cold) N");
        return std::process::ExitCode::from(2);
    };
    let n = n.parse().unwrap_or(1);
    let work = Work::new(what.ends_with("cold"), n);
    let octets = if what.starts_with("encode") { encode(voice, &work) } else { decode(voice, &work) };
    println!("{} octets a block", octets / n);
    std::process::ExitCode::SUCCESS
}
