//! The Huffman code of HPACK (RFC 7541 appendix B) and the tables computed from it at compile time.
//!
//! The code is canonical: symbols in order of length, then of value, bear consecutive codes. So the lengths say it all.

/// Symbols: 256 octets and EOS, which must never be coded.
pub(super) const SYMBOLS: usize = 257;
/// The length of the shortest code, in bits.
pub(super) const SHORTEST: usize = 5;
/// The length of the longest code, in bits.
pub(super) const LONGEST: usize = 30;
/// Bits that [`SHORT_CODES`] looks at.
pub(super) const SHORT_BITS: usize = 12;

/// The length of the code of each symbol, in bits, EOS last.
#[rustfmt::skip]
pub(super) const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// The code of each symbol, right-aligned.
pub(super) static CODES: [u32; SYMBOLS] = CANONICAL.codes;

/// The symbols in the order of their codes.
pub(super) static SYMBOLS_BY_CODE: [u16; SYMBOLS] = CANONICAL.symbols_by_code;

/// For each length: 32 bits from here on, left-aligned, do not start with a code of this length or a shorter one.
pub(super) static LIMITS: [u64; LONGEST + 1] = CANONICAL.limits;

/// For each length: what to subtract from a code of this length to get its place in [`SYMBOLS_BY_CODE`].
pub(super) static PLACES: [u32; LONGEST + 1] = CANONICAL.places;

/// For the next twelve bits: the symbol that starts there and, if its code is there too, the one behind it, in the lower 16 bits,
/// the first one lowest; how many bits these symbols take, 8 or 16, in the next 8; how many their codes take in the upper 8. Or 0
/// where the code is longer. Most of what is said in field lines has codes of five or six bits.
pub(super) static SHORT_CODES: [u32; 1 << SHORT_BITS] = short_codes();

const CANONICAL: Canonical = canonical();

struct Canonical {
    codes: [u32; SYMBOLS],
    symbols_by_code: [u16; SYMBOLS],
    limits: [u64; LONGEST + 1],
    places: [u32; LONGEST + 1],
}

const fn canonical() -> Canonical {
    let mut all = Canonical {
        codes: [0; SYMBOLS],
        symbols_by_code: [0; SYMBOLS],
        limits: [0; LONGEST + 1],
        places: [0; LONGEST + 1],
    };
    let (mut code, mut place, mut length) = (0, 0, SHORTEST);
    while length <= LONGEST {
        all.places[length] = code - place;
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as usize == length {
                all.codes[symbol] = code;
                all.symbols_by_code[place as usize] = symbol as u16;
                code += 1;
                place += 1;
            }
            symbol += 1;
        }
        all.limits[length] = (code as u64) << (32 - length);
        code <<= 1;
        length += 1;
    }
    // Every sequence of bits starts with some code: decoding always finds one.
    assert!(all.limits[LONGEST] == 1 << 32 && place as usize == SYMBOLS);
    all
}

const fn short_codes() -> [u32; 1 << SHORT_BITS] {
    let mut table = [0; 1 << SHORT_BITS];
    let mut first = 0;
    while first < SYMBOLS {
        let length = LENGTHS[first] as usize;
        if length <= SHORT_BITS {
            let code = (CANONICAL.codes[first] as usize) << (SHORT_BITS - length);
            fill(&mut table, code, length, first as u32 | 8 << 16 | (length as u32) << 24);
            let mut second = 0;
            while second < SYMBOLS {
                let both = length + LENGTHS[second] as usize;
                if both <= SHORT_BITS {
                    let code = code | (CANONICAL.codes[second] as usize) << (SHORT_BITS - both);
                    let symbols = first as u32 | (second as u32) << 8;
                    fill(&mut table, code, both, symbols | 16 << 16 | (both as u32) << 24);
                }
                second += 1;
            }
        }
        first += 1;
    }
    table
}

/// Says `what` of all that begins with a code of this length.
const fn fill(table: &mut [u32; 1 << SHORT_BITS], code: usize, length: usize, what: u32) {
    let mut i = 0;
    while i < 1 << (SHORT_BITS - length) {
        table[code + i] = what;
        i += 1;
    }
}
