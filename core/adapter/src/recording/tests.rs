//! A conversation in memory, recorded and replayed.

mod covered;
mod ends;
mod explained;
mod files;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use shuntyard_core::config::{Config, ConnectionConfig, HostPattern, Protocol};
use shuntyard_core::error::ErrorCode;
use shuntyard_core::gateway::{Accepted, Action, Command, ConnId, Connected, RecvBuf};
use shuntyard_core::h2::{Client, Server, ServerEvent};
use shuntyard_core::hooks::{Context, HeadMut, HookFailed, Hooks, Verdict};
use shuntyard_core::message::RequestHead;
use shuntyard_core::time::{Duration, Instant};

use super::chunk::{Chunks, Writer};
use super::input::{ACTIONS, RECEIVED};
use super::names::file_of;
use super::recorder::WRITE_INTERVAL;
use super::replay::Recording;
use super::word::Word as _;
use super::*;
use crate::{MakeHooks, Notice, Observer, Options, equip};

const SECRET: &[u8] = b"what nobody else should read";

/// A file of its own for a test, gone with it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("shuntyard-{}-{name}", std::process::id())))
    }

    fn file(&self) -> PathBuf {
        file_of(&self.0, 0)
    }

    fn octets(&self) -> Vec<u8> {
        std::fs::read(self.file()).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // It may never have been made.
        let _ = std::fs::remove_file(self.file());
    }
}

fn gateway(recording: Option<RecordingOptions>, observer: Option<Observer>) -> Recorded {
    gateway_of(recording, observer, true)
}

/// In front of a backend of HTTP/2, or of HTTP/1.1.
fn gateway_of(
    recording: Option<RecordingOptions>,
    observer: Option<Observer>,
    backend_http2: bool,
) -> Recorded {
    let backend: std::net::SocketAddr = "127.0.0.1:9000".parse().unwrap();
    let mut options = Options::new(Vec::new());
    (options.recording, options.observer) = (recording, observer);
    let mut config = Config::new(vec![backend.into()]);
    if !backend_http2 {
        config.upstreams[0].endpoints[0].protocol = Protocol::Http1;
    }
    equip(&config, &options).unwrap().remove(0).gateway
}

/// A client and a backend around a gateway. The backend refuses the first request it sees, a GET.
struct World {
    gateway: Recorded,
    now: Instant,
    conn: ConnId,
    client: Client,
    backends: BTreeMap<ConnId, Server>,
    refused: bool,
    /// All that was written, to whom.
    output: Vec<(ConnId, Vec<u8>)>,
}

impl World {
    fn new(mut gateway: Recorded) -> Self {
        let now = Instant::from_nanos(1 << 40);
        let peer: std::net::SocketAddr = "127.0.0.1:5000".parse().unwrap();
        let conn = gateway.handle_accept(Accepted { peer: peer.into(), local: peer.into() }, now);
        let client = Client::new(ConnectionConfig::default(), 1).unwrap();
        Self { gateway, now, conn, client, backends: BTreeMap::new(), refused: false, output: Vec::new() }
    }

    /// Some requests with content, their answers, and a drain.
    fn run(mut self) -> Vec<(ConnId, Vec<u8>)> {
        let first = Request::get("http://example.com/").body(()).unwrap();
        self.client.send_request(&first, true).unwrap();
        for n in 0..4 {
            let request = Request::post(format!("http://example.com/{n}")).body(()).unwrap();
            let stream = self.client.send_request(&request, false).unwrap();
            self.client.send_data(stream, SECRET, true).unwrap();
        }
        for _ in 0..8 {
            self.turn();
        }
        self.gateway.handle_command(Command::Drain { deadline: Duration::from_secs(1) }, self.now);
        for _ in 0..8 {
            self.turn();
            self.now = self.now + Duration::from_secs(1);
            self.gateway.handle_timeout(self.now);
        }
        self.output
    }

    fn turn(&mut self) {
        self.listen();
        self.act();
    }

    /// Whoever has something to say is heard.
    fn listen(&mut self) {
        self.now = self.now + Duration::from_millis(1);
        while let Some(octets) = self.client.poll_transmit().map(<[u8]>::to_vec) {
            self.client.handle_sent(octets.len());
            self.hear(self.conn, &octets);
        }
        let backends: Vec<_> = self.backends.keys().copied().collect();
        for id in backends {
            let Some(octets) = self.backends.get_mut(&id).and_then(speak) else { continue };
            self.hear(id, &octets);
        }
    }

    /// Does what the gateway asks for.
    fn act(&mut self) {
        while let Some(action) = self.gateway.poll_action() {
            match action {
                Action::Connect { conn, .. } => {
                    self.backends.insert(conn, Server::new(ConnectionConfig::default(), 2).unwrap());
                    self.gateway.handle_connected(conn, Connected::default(), self.now);
                }
                Action::Writable(conn) => self.write(conn),
                Action::Close(conn) | Action::Abort(conn) => _ = self.backends.remove(&conn),
                _ => {}
            }
        }
    }

    fn hear(&mut self, conn: ConnId, octets: &[u8]) {
        if let RecvBuf::Buffer(buffer) = self.gateway.recv_buf(conn) {
            buffer[..octets.len()].copy_from_slice(octets);
            self.gateway.handle_recv(conn, octets.len(), self.now);
        }
    }

    fn write(&mut self, conn: ConnId) {
        while let Some(octets) = self.gateway.poll_transmit(conn, self.now).map(<[u8]>::to_vec) {
            self.gateway.handle_sent(conn, octets.len(), self.now);
            if conn == self.conn {
                self.client.handle_recv(&octets);
                while let Ok(Some(_)) = self.client.poll_event() {}
            } else if let Some(server) = self.backends.get_mut(&conn) {
                serve(server, &octets, &mut self.refused);
            }
            self.output.push((conn, octets));
        }
    }
}

fn speak(server: &mut Server) -> Option<Vec<u8>> {
    let octets = server.poll_transmit()?.to_vec();
    server.handle_sent(octets.len());
    Some(octets)
}

fn serve(server: &mut Server, octets: &[u8], refused: &mut bool) {
    server.handle_recv(octets);
    while let Ok(Some(event)) = server.poll_event() {
        match event {
            ServerEvent::Request { stream, .. } if !std::mem::replace(refused, true) => {
                server.reset(stream, ErrorCode::REFUSED_STREAM);
            }
            ServerEvent::Request { stream, .. } => {
                server.send_response(stream, &Response::new(()), false).unwrap();
                server.send_data(stream, SECRET, true).unwrap();
            }
            ServerEvent::Data { stream, credit, .. } => server.release(stream, credit),
            _ => {}
        }
    }
}

/// Records the conversation.
fn recorded(place: &Place, content: bool) -> Vec<u8> {
    let options = RecordingOptions { file: place.0.clone(), content, max_octets: 1 << 20 };
    World::new(gateway(Some(options), None)).run();
    place.octets()
}

fn contains(octets: &[u8], what: &[u8]) -> bool {
    octets.windows(what.len()).any(|window| window == what)
}

#[test]
fn the_same_comes_out_with_and_without_content() {
    for content in [true, false] {
        let file = recorded(&Place::new(&format!("same-{content}")), content);
        assert_eq!(contains(&file, SECRET), content, "content is in the file: {content}");
        let replayed = replay_octets(&file).unwrap();
        assert_eq!(replayed.difference, None);
        assert_eq!((replayed.content, replayed.ending.as_ref()), (content, Some(&Ending::Ended)));
        assert!(replayed.inputs > 40, "{} inputs", replayed.inputs);
        assert_eq!(replay_octets(&file).unwrap(), replayed);
    }
}

/// Content that comes over HTTP/2 and leaves over HTTP/1.1 is zeros in a replay without content, either way.
#[test]
fn content_that_leaves_over_http_1_is_replayed_without_it() {
    for content in [true, false] {
        for front in [true, false] {
            let place = Place::new(&format!("http1-{content}-{front}"));
            let options = RecordingOptions { file: place.0.clone(), content, max_octets: 1 << 20 };
            let mut world = World::new(gateway_of(Some(options), None, front));
            if front {
                world.hear(world.conn, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
            } else {
                let request = Request::post("http://example.com/").body(()).unwrap();
                let stream = world.client.send_request(&request, false).unwrap();
                world.client.send_data(stream, SECRET, true).unwrap();
            }
            (0..4).for_each(|_| world.turn());
            if !front {
                let backend = *world.backends.keys().next().unwrap();
                world.backends.clear();
                world.hear(backend, b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes");
                world.turn();
            }
            assert!(world.output.iter().any(|(_, octets)| contains(octets, SECRET)), "{front}");
            drop(world);
            let file = place.octets();
            assert_eq!(contains(&file, SECRET), content, "{front}");
            assert_eq!(replay_octets(&file).unwrap().difference, None, "{content} {front}");
        }
    }
}

/// Nothing of ours has left yet: what it says is told from content all the same.
#[test]
fn a_backend_that_speaks_first_is_recorded_without_content() {
    for content in [true, false] {
        let place = Place::new(&format!("first-{content}"));
        let options = RecordingOptions { file: place.0.clone(), content, max_octets: 1 << 20 };
        let mut world = World::new(gateway(Some(options), None));
        world.client.send_request(&Request::get("http://example.com/").body(()).unwrap(), true).unwrap();
        let octets = world.client.poll_transmit().unwrap().to_vec();
        world.client.handle_sent(octets.len());
        world.hear(world.conn, &octets);
        let mut backend = None;
        while let Some(action) = world.gateway.poll_action() {
            match action {
                Action::Connect { conn, .. } => {
                    world.gateway.handle_connected(conn, Connected::default(), world.now);
                    // SETTINGS, of which half the header comes at first.
                    world.hear(conn, &[0, 0, 0, 4, 0]);
                    backend = Some(conn);
                }
                Action::Writable(conn) => world.write(conn),
                _ => {}
            }
        }
        let backend = backend.unwrap();
        let mut response = vec![0, 0, 0, 0, 0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88];
        response.extend([0, 0, SECRET.len() as u8, 0, 1, 0, 0, 0, 1]);
        response.extend(SECRET);
        let (settings, response) = response.split_at(4);
        world.hear(backend, settings);
        world.turn();
        world.hear(backend, response);
        world.turn();
        assert!(world.output.iter().any(|(conn, octets)| *conn == world.conn && contains(octets, SECRET)));
        drop(world);
        let file = place.octets();
        assert_eq!(contains(&file, SECRET), content);
        assert_eq!(replay_octets(&file).unwrap().difference, None);
    }
}

/// Hooks are code: whoever replays brings the same.
#[test]
fn a_gateway_with_hooks_is_replayed_with_them_only() {
    struct Marks;
    impl Hooks for Marks {
        fn request(
            &mut self,
            _: &Context<'_>,
            request: &mut HeadMut<'_, RequestHead>,
        ) -> Result<Verdict, HookFailed> {
            request.set("x", "marked")?;
            Ok(Verdict::Forward)
        }
    }
    struct Nothing;
    impl Hooks for Nothing {}
    let marks: MakeHooks = Arc::new(|worker| {
        assert_eq!(worker, 0);
        Box::new(Marks)
    });
    let place = Place::new("hooked");
    let recording = RecordingOptions { file: place.0.clone(), content: false, max_octets: 1 << 20 };
    let options =
        Options { hooks: Some(Arc::clone(&marks)), recording: Some(recording), ..Options::new(Vec::new()) };
    let backend: std::net::SocketAddr = "127.0.0.1:9000".parse().unwrap();
    let gateway = equip(&Config::new(vec![backend.into()]), &options).unwrap().remove(0).gateway;
    World::new(gateway).run();
    let (file, stream) = (place.file(), "1".parse().unwrap());
    assert_eq!(replay_with(&file, &marks).unwrap().difference, None);
    let octets = std::fs::read(&file).unwrap();
    assert_eq!(replay_octets_with(&octets, &marks).unwrap().difference, None);
    assert!(matches!(replay_octets(&octets), Err(ReplayError::Hooks)));
    let (replayed, story) = explain_with(&file, stream, &marks).unwrap();
    assert_eq!((replayed.difference, story.len() > 1), (None, true));
    assert!(matches!(replay(&file), Err(ReplayError::Hooks)));
    assert!(matches!(explain(&file, stream), Err(ReplayError::Hooks)));
    let others: MakeHooks = Arc::new(|_| Box::new(Nothing));
    assert!(replay_with(&file, &others).unwrap().difference.is_some());
    // Where there were none there are none.
    let place = Place::new("bare");
    recorded(&place, true);
    assert_eq!(replay_with(&place.file(), &marks).unwrap().difference, None);
}

#[test]
fn recording_changes_nothing() {
    let place = Place::new("nothing");
    let options = RecordingOptions { file: place.0.clone(), content: true, max_octets: 1 << 20 };
    let with = World::new(gateway(Some(options), None)).run();
    assert_eq!(with, World::new(gateway(None, None)).run());
    assert!(with.iter().any(|(_, octets)| contains(octets, SECRET)));
}

/// Writes the file again with other octets where `change` makes some.
fn rewritten(file: &[u8], place: &Place, change: impl Fn(usize, &mut Vec<u8>)) -> Vec<u8> {
    let mut writer = Writer::create(&place.file(), 1 << 20).unwrap();
    let mut chunks = Chunks::new(file);
    let mut number = 0;
    while let Ok(chunk) = chunks.next().unwrap() {
        let mut payload = chunk.payload;
        change(number, &mut payload);
        assert!(writer.write(&payload, chunk.hash).unwrap());
        number += 1;
    }
    place.octets()
}

#[test]
fn a_gateway_that_does_something_else_is_caught_at_the_input_that_shows_it() {
    let place = Place::new("else");
    let file = recorded(&place, true);
    // Another name in `via` shows in the first head that leaves.
    let via = |payload: &mut Vec<u8>| {
        let at = payload.windows(9).position(|window| window == b"shuntyard").unwrap();
        payload[at] = b'S';
    };
    let other = rewritten(&file, &place, |number, payload| {
        if number == 0 {
            via(payload);
        }
    });
    let difference = replay_octets(&other).unwrap().difference.expect("a difference");
    let mut inputs = Vec::new();
    let mut recording = Recording::read(&file[..]).unwrap();
    let collect = |step| {
        if let replay::Step::Input(entry) = step {
            inputs.push(entry.input);
        }
        true
    };
    recording.each(collect).unwrap();
    let found = &inputs[difference.input as usize];
    assert!(matches!(found, Input::Sent(..)), "{difference:?}");
    assert_eq!(found.to_string(), difference.what);
    let heads = |input: &&Input| matches!(input, Input::Sent(_, n) if *n > 100);
    assert_eq!(inputs.iter().find(heads), Some(found), "the first that carries heads");
}

/// An adapter may say that nothing came.
#[test]
fn what_is_nothing_is_replayed_as_nothing() {
    for content in [true, false] {
        let place = Place::new(&format!("nothing-{content}"));
        let options = RecordingOptions { file: place.0.clone(), content, max_octets: 1 << 20 };
        let mut world = World::new(gateway(Some(options), None));
        world.turn();
        for _ in 0..3 {
            world.hear(world.conn, b"");
            world.turn();
        }
        world.run();
        let replayed = replay(&place.file()).unwrap();
        assert_eq!((replayed.difference, replayed.ending), (None, Some(Ending::Ended)));
    }
}

/// The buffer is made when it is asked for first, and that is not written down.
#[test]
fn a_buffer_that_was_asked_for_before_another_configuration_is_replayed() {
    let place = Place::new("buffer");
    let options = RecordingOptions { file: place.0.clone(), content: false, max_octets: 1 << 20 };
    let mut world = World::new(gateway(Some(options), None));
    let backend: std::net::SocketAddr = "127.0.0.1:9000".parse().unwrap();
    let smaller = Config { recv_buffer_octets: 33 << 10, ..Config::new(vec![backend.into()]) };
    assert!(matches!(world.gateway.recv_buf(world.conn), RecvBuf::Buffer(_)));
    world.gateway.handle_command(Command::Configure(Box::new(smaller)), world.now);
    let request = Request::post("http://example.com/").body(()).unwrap();
    let stream = world.client.send_request(&request, false).unwrap();
    world.client.send_data(stream, &[b'a'; 40 << 10], true).unwrap();
    let mut all = Vec::new();
    while let Some(octets) = world.client.poll_transmit().map(<[u8]>::to_vec) {
        world.client.handle_sent(octets.len());
        all.extend(octets);
    }
    assert!(all.len() > 33 << 10);
    world.hear(world.conn, &all);
    world.turn();
    drop(world);
    assert_eq!(replay(&place.file()).unwrap().difference, None);
}

/// Numbers, not formulas: what is not written yet, and for each connection twice how far it has come.
#[test]
fn the_bound_counts_what_waits_and_each_connection() {
    let mut config = Config::new(Vec::new());
    config.recv_buffer_octets = 64 << 10;
    let of = |connections| recording_octets_max(&config, connections);
    assert_eq!(of(0), 3 * (80 + 64) * 1024);
    let each = (of(1000) - of(0)) / 1000;
    assert!((2 * 64..2 * 1024).contains(&each), "{each}");
}
