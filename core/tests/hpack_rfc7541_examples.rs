//! The examples of RFC 7541 appendix C: decoded all, encoded where the example codes strings as our encoder does.

use shuntyard_core::fields::{FieldLine, FieldSection};
use shuntyard_core::hpack::{Decoded, Decoder, Encoder, Indexing, IndexingPolicy, SectionLimits};
use shuntyard_requirements::req;

const SEED: u64 = 0x7541;
const NO_LIMITS: SectionLimits = SectionLimits { size: u32::MAX, fields: u32::MAX };

type Lines = [(&'static str, &'static str)];

struct Example {
    block: &'static str,
    fields: &'static Lines,
    /// The dynamic table after the block, newest entry first, and its size.
    table: &'static Lines,
    table_size: usize,
}

fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

fn section(lines: &Lines) -> FieldSection {
    let mut fields = FieldSection::new();
    for (name, value) in lines {
        fields.push(FieldLine::new(name.as_bytes(), value.as_bytes(), SEED));
    }
    fields
}

fn plain<'a>(entries: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<(&'a str, &'a str)> {
    let text = |octets| std::str::from_utf8(octets).unwrap();
    entries.map(|(name, value)| (text(name), text(value))).collect()
}

fn decode_all(max_table_size: u32, examples: &[Example]) {
    let mut decoder = Decoder::new(max_table_size, SEED, 0);
    let mut fields = FieldSection::new();
    for example in examples {
        assert_eq!(decoder.decode(&octets(example.block), NO_LIMITS, &mut fields), Ok(Decoded::Whole));
        let decoded = plain(fields.iter().map(|line| (line.name, line.value)));
        assert_eq!(decoded, example.fields);
        assert_eq!(plain(decoder.entries()), example.table);
        assert_eq!(decoder.table_size(), example.table_size);
    }
}

fn encode_all(mut encoder: Encoder, first: &str, examples: &[Example]) {
    let mut first = octets(first);
    for example in examples {
        let mut block = Vec::new();
        encoder.encode(&section(example.fields), &mut block);
        first.extend(octets(example.block));
        assert_eq!(block, first);
        first.clear();
        assert_eq!(plain(encoder.entries()), example.table);
        assert_eq!(encoder.table_size(), example.table_size);
    }
}

const C_2_1: Example = Example {
    block: "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
    fields: &[("custom-key", "custom-header")],
    table: &[("custom-key", "custom-header")],
    table_size: 55,
};
const C_2_2: Example = Example {
    block: "040c 2f73 616d 706c 652f 7061 7468",
    fields: &[(":path", "/sample/path")],
    table: &[],
    table_size: 0,
};
const C_2_3: Example = Example {
    block: "1008 7061 7373 776f 7264 0673 6563 7265 74",
    fields: &[("password", "secret")],
    table: &[],
    table_size: 0,
};
const C_2_4: Example = Example { block: "82", fields: &[(":method", "GET")], table: &[], table_size: 0 };

#[test]
fn rfc7541_c_2_representations() {
    req!("7541-3.2-01");
    for example in [C_2_1, C_2_2, C_2_3, C_2_4] {
        decode_all(4096, &[example]);
    }
}

#[test]
fn rfc7541_c_2_3_never_indexed_is_marked() {
    let mut fields = FieldSection::new();
    Decoder::new(4096, SEED, 0).decode(&octets(C_2_3.block), NO_LIMITS, &mut fields).unwrap();
    assert!(fields.iter().all(|line| line.never_indexed));
}

/// Requests, as in C.3 and C.4, which differ in how they code strings.
const fn requests(blocks: [&'static str; 3]) -> [Example; 3] {
    [
        Example {
            block: blocks[0],
            fields: &[
                (":method", "GET"),
                (":scheme", "http"),
                (":path", "/"),
                (":authority", "www.example.com"),
            ],
            table: &[(":authority", "www.example.com")],
            table_size: 57,
        },
        Example {
            block: blocks[1],
            fields: &[
                (":method", "GET"),
                (":scheme", "http"),
                (":path", "/"),
                (":authority", "www.example.com"),
                ("cache-control", "no-cache"),
            ],
            table: &[("cache-control", "no-cache"), (":authority", "www.example.com")],
            table_size: 110,
        },
        Example {
            block: blocks[2],
            fields: &[
                (":method", "GET"),
                (":scheme", "https"),
                (":path", "/index.html"),
                (":authority", "www.example.com"),
                ("custom-key", "custom-value"),
            ],
            table: &[
                ("custom-key", "custom-value"),
                ("cache-control", "no-cache"),
                (":authority", "www.example.com"),
            ],
            table_size: 164,
        },
    ]
}

const C_3: [Example; 3] = requests([
    "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
    "8286 84be 5808 6e6f 2d63 6163 6865",
    "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
]);
const C_4: [Example; 3] = requests([
    "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
    "8286 84be 5886 a8eb 1064 9cbf",
    "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
]);

#[test]
fn rfc7541_c_3_requests_without_huffman() {
    decode_all(4096, &C_3);
}

#[test]
fn rfc7541_c_4_requests_with_huffman() {
    req!("7541-2.1-01", "7541-2.1-02", "7541-3.2-01");
    decode_all(4096, &C_4);
    encode_all(Encoder::new(4096), "", &C_4);
}

const COOKIE: &str = "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";

/// Responses, as in C.5 and C.6, with a table of 256 octets.
const fn responses(blocks: [&'static str; 3]) -> [Example; 3] {
    [
        Example {
            block: blocks[0],
            fields: &[
                (":status", "302"),
                ("cache-control", "private"),
                ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
                ("location", "https://www.example.com"),
            ],
            table: &[
                ("location", "https://www.example.com"),
                ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
                ("cache-control", "private"),
                (":status", "302"),
            ],
            table_size: 222,
        },
        Example {
            block: blocks[1],
            fields: &[
                (":status", "307"),
                ("cache-control", "private"),
                ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
                ("location", "https://www.example.com"),
            ],
            table: &[
                (":status", "307"),
                ("location", "https://www.example.com"),
                ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
                ("cache-control", "private"),
            ],
            table_size: 222,
        },
        Example {
            block: blocks[2],
            fields: &[
                (":status", "200"),
                ("cache-control", "private"),
                ("date", "Mon, 21 Oct 2013 20:13:22 GMT"),
                ("location", "https://www.example.com"),
                ("content-encoding", "gzip"),
                ("set-cookie", COOKIE),
            ],
            table: &[
                ("set-cookie", COOKIE),
                ("content-encoding", "gzip"),
                ("date", "Mon, 21 Oct 2013 20:13:22 GMT"),
            ],
            table_size: 215,
        },
    ]
}

const C_5: [Example; 3] = responses([
    "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133
     2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70
     6c65 2e63 6f6d",
    "4803 3330 37c1 c0bf",
    "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d
     54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049
     5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e
     3d31",
]);
const C_6: [Example; 3] = responses([
    "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6
     2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
    "4883 640e ffc1 c0bf",
    "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab
     77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f
     9587 3160 65c0 03ed 4ee5 b106 3d50 07",
]);

#[test]
fn rfc7541_c_5_responses_without_huffman() {
    decode_all(256, &C_5);
}

#[test]
fn rfc7541_c_6_responses_with_huffman() {
    req!("7541-2.1-01", "7541-2.1-02", "7541-3.2-01");
    decode_all(256, &C_6);
    // The example indexes what our default does not, and has agreed on 256 octets beforehand: we announce them.
    let mut policy = IndexingPolicy::default();
    policy.set("location", Indexing::Index).unwrap();
    policy.set("set-cookie", Indexing::Index).unwrap();
    // And "307" takes three octets either way, which we then leave plain, as the second example of C.5 does.
    let [first, _, third] = C_6;
    let [_, plain_307, _] = C_5;
    encode_all(Encoder::with_policy(256, policy), "3f e1 01", &[first, plain_307, third]);
}
