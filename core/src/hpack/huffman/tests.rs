use shuntyard_requirements::req;

use super::super::huffman_table::{SHORTEST, SYMBOLS};
use super::*;

fn encoded(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode(octets, &mut out);
    assert_eq!(out.len(), encoded_len(octets));
    out
}

fn decoded(coded: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut out = b"before".to_vec();
    decode(coded, &mut out)?;
    assert_eq!(&out[..6], b"before");
    Ok(out.split_off(6))
}

/// One bit after the other, down a tree made from the list of codes.
struct Naive {
    /// For either bit: the next node, or a symbol.
    nodes: Vec<[Next; 2]>,
}

#[derive(Clone, Copy)]
enum Next {
    Unset,
    Node(usize),
    Symbol(usize),
}

impl Naive {
    fn new() -> Self {
        let mut nodes = vec![[Next::Unset; 2]];
        for symbol in 0..SYMBOLS {
            let mut node = 0;
            for i in (0..LENGTHS[symbol]).rev() {
                let bit = (CODES[symbol] >> i & 1) as usize;
                node = match nodes[node][bit] {
                    Next::Node(next) => next,
                    Next::Symbol(_) => panic!("not a prefix code"),
                    Next::Unset if i == 0 => {
                        nodes[node][bit] = Next::Symbol(symbol);
                        break;
                    }
                    Next::Unset => {
                        nodes[node][bit] = Next::Node(nodes.len());
                        nodes.push([Next::Unset; 2]);
                        nodes.len() - 1
                    }
                };
            }
        }
        Self { nodes }
    }

    fn decoded(&self, coded: &[u8]) -> Result<Vec<u8>, DecodeError> {
        let mut out = Vec::new();
        let (mut node, mut length, mut ones) = (0, 0, true);
        for bit in coded.iter().flat_map(|octet| (0..8).rev().map(move |i| octet >> i & 1)) {
            match self.nodes[node][usize::from(bit)] {
                Next::Node(next) => (node, length, ones) = (next, length + 1, ones && bit == 1),
                Next::Symbol(symbol) => {
                    out.push(u8::try_from(symbol).map_err(|_| DecodeError::HuffmanEos)?);
                    (node, length, ones) = (0, 0, true);
                }
                Next::Unset => panic!("not a complete code"),
            }
        }
        match (ones, length) {
            (false, _) => Err(DecodeError::HuffmanPaddingInvalid),
            (true, 8..) => Err(DecodeError::HuffmanPaddingTooLong),
            (true, _) => Ok(out),
        }
    }
}

#[test]
fn rfc7541_appendix_b_samples() {
    for (symbol, code, length) in [
        (0, 0x1ff8, 13),
        (10, 0x3fff_fffc, 30),
        (32, 0x14, 6),
        (48, 0x0, 5),
        (92, 0x7fff0, 19),
        (128, 0xfffe6, 20),
        (199, 0x1ff_ffec, 25),
        (249, 0xfff_fffe, 28),
        (255, 0x3ff_ffee, 26),
        (256, 0x3fff_ffff, 30),
    ] {
        assert_eq!((CODES[symbol], LENGTHS[symbol]), (code, length), "{symbol}");
    }
}

#[test]
fn rfc7541_5_2_every_string_of_two_octets_round_trips() {
    assert_eq!(decoded(&encoded(b"")), Ok(vec![]));
    for a in 0..=255 {
        assert_eq!(decoded(&encoded(&[a])), Ok(vec![a]));
        for b in 0..=255 {
            assert_eq!(decoded(&encoded(&[a, b])), Ok(vec![a, b]));
        }
    }
}

#[test]
fn rfc7541_5_2_every_input_of_three_octets() {
    req!("7541-5.2-01", "7541-5.2-02", "7541-5.2-03");
    let naive = Naive::new();
    for input in 0..1_u32 << 24 {
        let octets = &input.to_be_bytes()[1..];
        for octets in
            [octets, &octets[..2], &octets[..1]].into_iter().take(if input % 256 == 0 { 3 } else { 1 })
        {
            assert_eq!(decoded(octets), naive.decoded(octets), "{octets:x?}");
        }
    }
}

/// Between three octets and what the accumulator holds: every pair of symbols of every two lengths, in each alignment,
/// with right and wrong endings.
#[test]
fn rfc7541_5_2_longer_inputs() {
    let naive = Naive::new();
    let by_length = |length| (0..=255_u8).find(|&octet| usize::from(LENGTHS[usize::from(octet)]) == length);
    let each: Vec<u8> = (SHORTEST..=LONGEST).filter_map(by_length).collect();
    for (&a, &b) in each.iter().flat_map(|a| each.iter().map(move |b| (a, b))) {
        for before in 0..12 {
            let mut string = vec![b'0'; before];
            string.extend([a, b, a, a, b]);
            let whole = encoded(&string);
            assert_eq!(decoded(&whole).as_ref(), Ok(&string));
            for end in 0..whole.len() {
                assert_eq!(decoded(&whole[..end]), naive.decoded(&whole[..end]));
            }
            for tail in [&[0xff][..], &[0xff; 4], &[0xfe], &[0], &[0xff, 0xff, 0xff, 0xfc], &[0xff, 0x7f]] {
                let altered = [&whole, tail].concat();
                assert_eq!(decoded(&altered), naive.decoded(&altered), "{altered:x?}");
            }
        }
    }
}

/// What is no code of anything for the most part, of every length up to several fillings of what is held, beginning with text of
/// every length.
#[test]
fn rfc7541_5_2_any_octets() {
    let (naive, mut random) = (Naive::new(), crate::random::Random::new(1));
    for n in 0..60_000_usize {
        let mut coded = encoded(&b"text/html; q=0.9"[..n % 17]);
        coded.extend(core::iter::repeat_with(|| random.next_u64() as u8).take(n / 17 % 41));
        assert_eq!(decoded(&coded), naive.decoded(&coded), "{coded:x?}");
    }
}

#[test]
fn rfc7541_5_2_eos_and_padding() {
    req!("7541-5.2-01", "7541-5.2-02", "7541-5.2-03");
    assert_eq!(decoded(&[0xff; 4]), Err(DecodeError::HuffmanEos));
    assert_eq!(decoded(&[0xff; 3]), Err(DecodeError::HuffmanPaddingTooLong));
    assert_eq!(decoded(&[0xff]), Err(DecodeError::HuffmanPaddingTooLong));
    assert_eq!(decoded(&[0x07]), Ok(vec![b'0']), "five bits of code, three of padding");
    assert_eq!(decoded(&[0x06]), Err(DecodeError::HuffmanPaddingInvalid));
    assert_eq!(decoded(&[0x07, 0xff]), Err(DecodeError::HuffmanPaddingTooLong));
}
