//! Requests that differ in their paths on one connection, each met as if it were the first on its own.

use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::h2::{Event, Input, Role};

use crate::wire::*;

/// A path that no table keeps, as it is: `name` is the index of the name with the bits of its representation.
fn path(name: u8, value: &[u8]) -> Vec<u8> {
    let literal = line("", str::from_utf8(value).expect("a path in these tests"));
    [&[name], &literal[2..]].concat()
}

/// The lines of a request around its path.
fn request(before: &[u8], path: &[u8], behind: &[u8]) -> Vec<u8> {
    [before, path, &line(":authority", "a"), behind].concat()
}

/// Everything that the owner of the connection learns of a request, and what the peer hears.
fn met(subject: &mut Subject, id: u32, block: &[u8], end: bool) -> String {
    let octets = headers(id, block, end);
    let (told, key) = match subject.connection.poll_event(&mut Input::new(&octets)) {
        Ok(Some(Event::Request { stream, head, fields, end })) => {
            let priority = subject.connection.priority(stream);
            let lines: Vec<_> =
                fields.iter().map(|line| (line.name, line.value, line.facts, line.never_indexed)).collect();
            (format!("{head:?} {lines:?} {end} {priority:?} {}", fields.size()), Some(stream))
        }
        Ok(Some(Event::RequestRefused { stream, refusal })) => (format!("{refusal:?}"), Some(stream)),
        Ok(Some(other)) => panic!("{other:?}"),
        Ok(None) => ("nothing".into(), None),
        Err(error) => (format!("{error:?}"), None),
    };
    let heard: Vec<_> =
        subject.speak().iter().map(|frame| (frame.frame_type, frame.payload.clone())).collect();
    if let Some(key) = key {
        subject.respond(key, end);
        if !end {
            subject.connection.reset(key, shuntyard_core::error::ErrorCode::NO_ERROR);
        }
        subject.speak();
    }
    format!("{told} {heard:?}")
}

/// All of them come twice and more, in an order in which each follows each.
#[test]
fn each_is_met_as_if_it_were_the_first() {
    let config = ConnectionConfig {
        max_header_list_size: 400,
        misuse_max: 100_000,
        extended_connect: true,
        ..ConnectionConfig::default()
    };
    let fresh = || {
        let mut subject = Subject::with(Role::Server, config.clone(), &[]);
        // Who has spoken of priorities once is understood otherwise from then on.
        met(&mut subject, 1, &[get(), line("priority", "u=2")].concat(), true);
        subject
    };
    let long = [b'/'; 300];
    let values: [&[u8]; 12] =
        [b"/", b"/a", b"/b?c", b"", b"*", b"a", b"/a#b", b"/a b", b"/a ", b"/\0", b"/\x7f", &long];
    let secret = [&[0x10][..], &line("x-secret", "s")[1..]].concat();
    let arounds: [(&[u8], Vec<u8>); 8] = [
        (&[0x82, 0x86], vec![]),
        (&[0x83, 0x86], line("content-length", "7")),
        (&[0x82, 0x86], line("content-length", "x")),
        (&[0x82, 0x86, 0x84], vec![]),
        (&[0x86], vec![]),
        (&[0x82, 0x86], [line("priority", "u=1"), secret].concat()),
        (&[0x86], vec![]),
        (&[0x86], vec![]),
    ];
    let methods = ["", "", "", "", "", "", "OPTIONS", "CONNECT"];
    let mut all = Vec::new();
    for name in [4, 0x15] {
        for ((before, behind), method) in arounds.iter().zip(methods) {
            let method = if method.is_empty() { vec![] } else { line(":method", method) };
            let protocol = if method.ends_with(b"CONNECT") { line(":protocol", "p") } else { vec![] };
            let before = [&method, *before, &protocol].concat();
            for value in values {
                let block = request(&before, &path(name, value), behind);
                let expected = met(&mut fresh(), 3, &block, false);
                all.push((block, expected));
            }
        }
    }
    let well = all.iter().filter(|(_, expected)| expected.contains("RequestHead")).count();
    assert!((30..all.len() / 2).contains(&well), "{well} of {}", all.len());
    let (mut subject, mut id) = (fresh(), 3);
    let mut meets = |subject: &mut Subject, block: &[u8], expected: &str, times: usize| {
        for _ in 0..times {
            let told = met(subject, id, block, false);
            // The stream is another one.
            assert_eq!(told, expected, "{block:x?}");
            id += 2;
        }
    };
    for step in [1, 5, 7, 11, 13, 12] {
        for at in 0..all.len() {
            let (block, expected) = &all[at * step % all.len()];
            meets(&mut subject, block, expected, 1 + at % 3 / 2);
            if at % 50 == 49 {
                // The table changes.
                let other = [&get()[..], &kept_line("x-kept", &at.to_string())].concat();
                let expected = met(&mut fresh(), 3, &other, false);
                meets(&mut subject, &other, &expected, 1);
            }
        }
    }
    // What is no Huffman code ends a connection, as ever.
    let (ordinary, expected) = &all[1];
    meets(&mut subject, ordinary, expected, 3);
    let wrong = request(&[0x82, 0x86], &[4, 0x81, 0], &[]);
    assert!(met(&mut subject, id, &wrong, false).starts_with("Compression"));
}

/// What is known of a request with another path does not admit a path that is for another method, and is not lost by it.
#[test]
fn a_path_is_checked_for_the_method_beside_it() {
    let mut subject = Subject::with(Role::Server, ConnectionConfig::default(), &[]);
    let mut id = 1;
    for (method, of_all) in [("GET", false), ("HEAD", false), ("OPTIONS", true)] {
        for (value, well) in
            [("/1", true), ("/2", true), ("/3", true), ("*", of_all), ("/4", true), ("*a", false)]
        {
            let before = [&line(":method", method)[..], &[0x86]].concat();
            let block = request(&before, &path(4, value.as_bytes()), &[]);
            let told = met(&mut subject, id, &block, false);
            assert_eq!(told.contains("RequestHead"), well, "{method} {value}: {told}");
            id += 2;
        }
    }
}
