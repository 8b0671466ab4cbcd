//! The examples of RFC 7541 appendix C, and what section 4 demands of table sizes.

use super::*;

fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap()).collect()
}

fn fields(pairs: &[(&str, &str)]) -> Vec<Field> {
    pairs.iter().map(|(name, value)| field(name, value)).collect()
}

fn decoded(decoder: &mut Decoder, block: &str) -> Vec<Field> {
    decoder.decode(&octets(block)).unwrap().into_iter().map(|line| line.field).collect()
}

#[test]
fn c1_integers() {
    for (prefix, value, wire) in [(5, 10, &[10][..]), (5, 1337, &[31, 154, 10]), (8, 42, &[42])] {
        let mut block = Vec::new();
        put_integer(&mut block, 0, prefix, value);
        assert_eq!(block, wire);
        assert_eq!(take_integer(&mut &block[..], prefix), Ok(value));
    }
    assert!(take_integer(&mut &[31, 0x80][..], 5).is_err());
    assert!(take_integer(&mut &[31, 0xff, 0xff, 0xff, 0xff, 0xff, 0][..], 5).is_err());
}

#[test]
fn c2_single_lines() {
    let mut decoder = Decoder::default();
    let block = "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572";
    assert_eq!(decoded(&mut decoder, block), fields(&[("custom-key", "custom-header")]));
    assert_eq!(decoder.table.size(), 55);
    let mut decoder = Decoder::default();
    assert_eq!(
        decoded(&mut decoder, "040c 2f73 616d 706c 652f 7061 7468"),
        fields(&[(":path", "/sample/path")])
    );
    let line = &decoder.decode(&octets("1008 7061 7373 776f 7264 0673 6563 7265 74")).unwrap()[0];
    assert_eq!((line.field.clone(), line.never_indexed), (field("password", "secret"), true));
    assert_eq!(decoded(&mut decoder, "82"), fields(&[(":method", "GET")]));
    assert!(decoder.table.entries().is_empty());
}

const REQUESTS: [&[(&str, &str)]; 3] = [
    &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")],
    &[
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "www.example.com"),
        ("cache-control", "no-cache"),
    ],
    &[
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/index.html"),
        (":authority", "www.example.com"),
        ("custom-key", "custom-value"),
    ],
];

/// Decodes and encodes the same sections; the wire and the sizes of the tables must agree with the RFC's.
fn both_ways(
    huffman: bool,
    limit: usize,
    sections: [&[(&str, &str)]; 3],
    wires: [&str; 3],
    sizes: [usize; 3],
) {
    let (mut decoder, mut encoder) = (Decoder::default(), Encoder { huffman, ..Encoder::default() });
    decoder.table.resize(limit);
    encoder.table.resize(limit);
    for ((section, wire), size) in sections.into_iter().zip(wires).zip(sizes) {
        assert_eq!(decoded(&mut decoder, wire), fields(section));
        assert_eq!(encoder.encode(&fields(section), Indexing::Incremental), octets(wire));
        assert_eq!((decoder.table.size(), encoder.table.size()), (size, size));
        assert_eq!(decoder.table.entries(), encoder.table.entries());
    }
}

#[test]
fn c3_requests_without_huffman() {
    let wires = [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ];
    both_ways(false, 4096, REQUESTS, wires, [57, 110, 164]);
}

#[test]
fn c4_requests_with_huffman() {
    let wires = [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ];
    both_ways(true, 4096, REQUESTS, wires, [57, 110, 164]);
}

const RESPONSES: [&[(&str, &str)]; 3] = [
    &[
        (":status", "302"),
        ("cache-control", "private"),
        ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
        ("location", "https://www.example.com"),
    ],
    &[
        (":status", "307"),
        ("cache-control", "private"),
        ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
        ("location", "https://www.example.com"),
    ],
    &[
        (":status", "200"),
        ("cache-control", "private"),
        ("date", "Mon, 21 Oct 2013 20:13:22 GMT"),
        ("location", "https://www.example.com"),
        ("content-encoding", "gzip"),
        ("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"),
    ],
];

#[test]
fn c5_responses_without_huffman_evict() {
    let wires = [
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
    ];
    both_ways(false, 256, RESPONSES, wires, [222, 222, 215]);
}

#[test]
fn c6_responses_with_huffman_evict() {
    let wires = [
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ];
    both_ways(true, 256, RESPONSES, wires, [222, 222, 215]);
}

#[test]
fn size_updates_are_told_smallest_first_then_last() {
    let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
    let section = fields(&[("a", "b")]);
    decoder.decode(&encoder.encode(&section, Indexing::Incremental)).unwrap();
    for limit in [100, 0, 200] {
        encoder.set_limit(limit);
        decoder.set_limit(limit);
    }
    let block = encoder.encode(&section, Indexing::Incremental);
    assert_eq!(block[..2], [0x20, 0x3f]);
    assert_eq!(
        decoder.clone().decode(&block[1..]),
        error("no table size update to 0 or less came first (4.2)")
    );
    assert_eq!(decoder.decode(&block).unwrap().len(), 1);
    assert_eq!(decoder.table.entries(), encoder.table.entries());
}

#[test]
fn broken_blocks_are_refused() {
    for block in ["80", "be", "40", "3fe2 1f", "8220", "4101", "0081 1e00", "ff"] {
        assert!(Decoder::default().decode(&octets(block)).is_err(), "{block}");
    }
}

#[test]
fn a_lowered_limit_is_told_even_in_an_empty_block() {
    let mut decoder = Decoder::default();
    decoder.set_limit(100);
    assert!(decoder.clone().decode(&[]).is_err());
    assert!(decoder.clone().decode(&[0x82]).is_err());
    assert_eq!(decoder.decode(&[0x3f, 0x45]), Ok(vec![]), "100");
    assert_eq!(decoder.decode(&[]), Ok(vec![]));
}
