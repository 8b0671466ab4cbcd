//! The body of the fuzz target `connection`, without a fuzzer: over conversations that are changed at random, and over
//! recorded clients where they are at hand.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderValue, Request, Response};
use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::h2::{Client, Role, Server, ServerEvent};
use shuntyard_core::random::Random;
use shuntyard_fuzz_bodies::connection::{Case, check};

#[test]
fn conversations_hold_whole_and_changed() {
    let (from_client, from_server) = conversation();
    let sides = [(Role::Server, from_client), (Role::Client, from_server)];
    for seed in 0..seeds(300) {
        named(&format!("seed {seed}"), || {
            let mut random = Random::new(seed);
            let (role, octets) = &sides[below(&mut random, 2)];
            let octets = changed(octets, &mut random);
            let manners = random.next_u64() as u8;
            let cuts = (0..below(&mut random, 6)).map(|_| below(&mut random, 40)).collect();
            check(&Case { role: *role, open: false, manners, cuts, octets: &octets });
        });
    }
    for (role, octets) in &sides {
        for cut in [1, 7, 9, 4096] {
            check(&Case { role: *role, open: false, manners: 0, cuts: vec![cut], octets });
        }
    }
}

#[test]
fn recorded_clients_hold() {
    let folder = data().join("nghttp2-corpus/corpus/nghttp");
    let files = files(&folder);
    if files.is_empty() {
        // Not captured by the test runner.
        let _ = writeln!(std::io::stderr(), "SKIPPED recorded_clients_hold: nothing in {}", folder.display());
        return;
    }
    for file in files {
        let octets = read(&file);
        for (manners, cut) in [(0, 1), (1, 9), (7, 100), (25, 3)] {
            named(&file.display().to_string(), || {
                for role in [Role::Server, Role::Client] {
                    check(&Case { role, open: false, manners, cuts: vec![cut], octets: &octets });
                }
            });
        }
    }
}

/// Data of others lies beside the project, where it is at all.
fn data() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    std::env::var_os("SHUNTYARD_DATA").map_or_else(beside, PathBuf::from)
}

/// How many random cases are tried: SHUNTYARD_SEEDS, or `usual`.
fn seeds(usual: u64) -> u64 {
    std::env::var("SHUNTYARD_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Says on what input a panic happened.
fn named(name: &str, test: impl FnOnce()) {
    if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(test)) {
        eprintln!("failed on {name}");
        std::panic::resume_unwind(panic);
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries.map(|entry| entry.expect("the folder can be read").path()).collect();
    files.retain(|path| path.is_file());
    files.sort();
    files
}

fn read(file: &Path) -> Vec<u8> {
    std::fs::read(file).expect("the file can be read")
}

fn below(random: &mut Random, limit: usize) -> usize {
    (random.next_u64() % limit as u64) as usize
}

/// A few octets other than they were, in places near each other or anywhere.
fn changed(octets: &[u8], random: &mut Random) -> Vec<u8> {
    let mut octets = octets.to_vec();
    for _ in 0..below(random, 6) {
        let at = below(random, octets.len());
        match random.next_u64() % 5 {
            0 => octets[at] = random.next_u64() as u8,
            1 => octets[at] ^= 1 << (random.next_u64() % 8),
            2 => octets.truncate(at.max(1)),
            3 => {
                let end = (at + below(random, 60)).min(octets.len());
                octets.extend_from_within(at..end);
            }
            _ => _ = octets.drain(at..(at + below(random, 12)).min(octets.len() - 1).max(at)),
        }
    }
    octets
}

/// What a client and a server say to each other.
fn conversation() -> (Vec<u8>, Vec<u8>) {
    let mut client = Client::new(ConnectionConfig::default(), 1).expect("the defaults are valid");
    let mut server = Server::new(ConnectionConfig::default(), 2).expect("the defaults are valid");
    let (mut from_client, mut from_server) = (Vec::new(), Vec::new());
    let mut trailers = HeaderMap::new();
    trailers.insert("sum", HeaderValue::from_static("17"));
    for n in 0..6 {
        let request = Request::post(format!("http://example.com/{n}")).header("x-number", n).body(());
        let stream = client.send_request(&request.expect("a request"), false).expect("a slot");
        client.send_data(stream, &vec![b'u'; n * 40], n % 2 == 0).expect("an open stream");
        if n % 2 == 1 {
            client.send_trailers(stream, &trailers).expect("an open stream");
        }
    }
    client.ping(*b"12345678");
    for _ in 0..3 {
        carry(client.poll_transmit(), &mut from_client, |octets| server.handle_recv(octets));
        client.handle_sent(usize::MAX);
        while let Some(event) = server.poll_event().expect("a sound client") {
            match event {
                ServerEvent::Request { stream, .. } => {
                    let hints =
                        Response::builder().status(103).header("link", "</a>").body(()).expect("a response");
                    let head = Response::builder()
                        .status(200)
                        .header("x-kind", "fine")
                        .body(())
                        .expect("a response");
                    server.send_response(stream, &hints, false).expect("an open stream");
                    server.send_response(stream, &head, false).expect("an open stream");
                    server.send_data(stream, &[b'd'; 300], false).expect("an open stream");
                    server.send_trailers(stream, &trailers).expect("an open stream");
                }
                ServerEvent::Data { stream, credit, .. } => server.release(stream, credit),
                _ => {}
            }
        }
        carry(server.poll_transmit(), &mut from_server, |octets| client.handle_recv(octets));
        server.handle_sent(usize::MAX);
        while client.poll_event().expect("a sound server").is_some() {}
    }
    (from_client, from_server)
}

fn carry(from: Option<&[u8]>, record: &mut Vec<u8>, to: impl FnOnce(&[u8])) {
    if let Some(octets) = from {
        record.extend_from_slice(octets);
        to(octets);
    }
}
