//! What real clients and a backend that dies make the program do, recorded, replays to the same.

use crate::content::octets;
use crate::load::h2load;
use crate::nghttpd::{Folder, Nghttpd};
use crate::process::{Program, run, shuntyard};
use crate::runner::Peers;

const WORKERS: usize = 2;

/// X7: on both adapters, with content and without.
pub(crate) fn recordings_replay_to_the_same(peers: &Peers) {
    for adapter in ["mio", "tokio"] {
        for content in [false, true] {
            let folder = Folder::new();
            let file = folder.path("recording").to_str().unwrap().to_owned();
            record(peers, &folder, adapter, content, &file);
            let mut inputs = 0;
            for worker in 0..WORKERS {
                inputs += replay(&format!("{file}.{worker}"), content);
            }
            // Each of the requests came, was asked for actions about, and left.
            assert!(inputs > 200, "{adapter}: {inputs} inputs");
            explain(&file);
            asked_by_its_prefix(&file);
            flip(&format!("{file}.0"));
        }
    }
}

/// Load, single requests, an upload, and a backend that is killed twice.
fn record(peers: &Peers, folder: &Folder, adapter: &str, content: bool, file: &str) {
    folder.write("index.html", "hello\n");
    let upload = folder.write("upload", octets(7, 200_000));
    let mut backend = Nghttpd::start(peers, folder, &["--echo-upload"]);
    let [flag, url] = backend.backend();
    let workers = WORKERS.to_string();
    let mut arguments = vec![&flag, &url, "--adapter", adapter, "--workers", &workers, "--record", file];
    arguments.extend(content.then_some("--record-content"));
    let program = Program::start(&arguments);
    h2load(peers, 2000, &["-c", "6", "-m", "20"], &program.url("/"));
    let curl = |arguments: &[&str], path: &str| {
        let mut command = peers.command("curl");
        command.args(["-sS", "--http2-prior-knowledge", "-w", "%{http_code}", "-o", "/dev/null"]);
        let output = run(command.args(arguments).arg(program.url(path)));
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let upload = format!("@{}", upload.display());
    for version in ["--http2-prior-knowledge", "--http1.1"] {
        assert_eq!(curl(&[version, "--data-binary", &upload], "/upload"), "200");
    }
    for _ in 0..2 {
        backend.process.kill();
        assert_eq!(curl(&[], "/"), "502");
        backend.restart(peers, folder);
        assert_eq!(curl(&[], "/"), "200");
    }
    program.end();
}

/// Replays a file; says how many inputs it has.
fn replay(file: &str, content: bool) -> u64 {
    let output = run(&mut shuntyard(&["replay", file]));
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{file}: {output:?}");
    let kind = if content { "with content: the same came out" } else { "without content: the same came out" };
    assert!(said.contains(kind) && said.ends_with("; the recording is whole\n"), "{said}");
    said.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{said}"))
}

/// The first stream of every client is told of in one of the files, from its beginning to its end.
fn explain(file: &str) {
    let mut story = String::new();
    for worker in 0..WORKERS {
        let output = run(&mut shuntyard(&["replay", &format!("{file}.{worker}"), "--explain", "1"]));
        story += &String::from_utf8(output.stdout).unwrap();
    }
    for part in ["accepted, and frozen (input", "thawed: stream", "is answered with 200", "ended: Complete"] {
        assert!(story.contains(part), "{part:?} is missing in\n{story}");
    }
    assert!(story.contains("status 502"), "a request met a dead backend:\n{story}");
}

/// The name that `--record` was told is none of the files'.
fn asked_by_its_prefix(file: &str) {
    let output = run(&mut shuntyard(&["replay", file]));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&format!("{file}.0")), "{said}");
}

fn flip(file: &str) {
    let mut octets = std::fs::read(file).unwrap();
    let middle = octets.len() / 2;
    octets[middle] ^= 4;
    std::fs::write(file, octets).unwrap();
    let output = run(&mut shuntyard(&["replay", file]));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let place = said.split_once("(octets ").and_then(|(_, rest)| rest.split_once(" of the file) is damaged"));
    let (begin, end) =
        place.and_then(|(place, _)| place.split_once(" to ")).unwrap_or_else(|| panic!("{said}"));
    let range = begin.parse::<usize>().unwrap()..end.parse::<usize>().unwrap();
    assert!(range.contains(&middle), "{middle}: {said}");
}
