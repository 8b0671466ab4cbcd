//! New configurations while requests are under way.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use http::StatusCode;
use shuntyard_core::address::Address;
use shuntyard_core::config::{Config, ConfigError, HeaderRule};

use crate::adapters::{Adapter, Running};
use crate::on_every_adapter;
use crate::peers::{Origin, PATIENCE, Peer};
use crate::process::{Process, shuntyard};

on_every_adapter! {
    a_new_configuration_applies_from_the_next_request_and_drops_none,
    a_wrong_configuration_changes_nothing,
}

/// Clients that ask without a pause, each on one connection. Every answer must be whole and right.
struct Load {
    ending: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(address: &Address) -> Self {
        let (ending, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let client = |number: u32| {
            let (ending, answered, address) = (ending.clone(), answered.clone(), address.clone());
            thread::spawn(move || {
                let mut client = Peer::connect(&address);
                for turn in 0.. {
                    if ending.load(Ordering::Relaxed) {
                        break;
                    }
                    let paths = [0, 1, 2, 3].map(|of| format!("/{number}/{turn}/{of}"));
                    let streams = paths.each_ref().map(|path| client.get(path));
                    for (answer, path) in client.responses(&streams).iter().zip(&paths) {
                        assert_eq!((answer.status, &answer.content[..]), (StatusCode::OK, path.as_bytes()));
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        };
        let clients = (0..3).map(client).collect();
        Self { ending, answered, clients }
    }

    /// Waits until so many more requests have been answered.
    fn wait_for(&self, more: u64) {
        let until = self.answered.load(Ordering::Relaxed) + more;
        while self.answered.load(Ordering::Relaxed) < until {
            assert!(self.clients.iter().all(|client| !client.is_finished()), "a client has failed");
            thread::yield_now();
        }
    }

    fn end(self) {
        self.ending.store(true, Ordering::Relaxed);
        self.clients.into_iter().for_each(|client| client.join().unwrap());
    }
}

/// What the answers say which configuration served them.
fn revision(config: &mut Config, number: u32) {
    let (name, value) = ("x-revision".into(), number.to_string().into());
    config.routes[0].response_headers = vec![HeaderRule::Set { name, value }];
}

/// The answer to one more request, which must be whole.
fn revision_seen(client: &mut Peer<shuntyard_core::h2::Client>) -> String {
    let answer = client.ask("/which");
    assert_eq!((answer.status, &answer.content[..]), (StatusCode::OK, &b"/which"[..]));
    answer.headers["x-revision"].to_str().unwrap().to_owned()
}

fn a_new_configuration_applies_from_the_next_request_and_drops_none(adapter: &dyn Adapter) {
    let (first, mut config) = Origin::start();
    let (second, elsewhere) = Origin::start();
    let endpoints = [&config, &elsewhere].map(|config| config.upstreams[0].endpoints.clone());
    revision(&mut config, 0);
    config.records = true;
    let server = Running::start_workers(adapter, config.clone(), 2);
    let load = Load::start(&server.address);
    let mut client = Peer::connect(&server.address);
    assert_eq!(revision_seen(&mut client), "0");
    for number in 1..=10 {
        config.upstreams[0].endpoints = endpoints[number as usize % 2].clone();
        revision(&mut config, number);
        server.handle.configure(&config).unwrap();
        // The order is on its way to the workers; what stands between is answered by the configuration before it.
        while revision_seen(&mut client) != number.to_string() {}
        load.wait_for(50);
    }
    load.end();
    drop(client);
    let attempts = server.attempts();
    server.end();
    first.end();
    second.end();
    let mut used: Vec<_> = attempts().iter().map(|attempt| attempt.endpoint.clone()).collect();
    used.sort();
    used.dedup();
    assert_eq!(used.len(), 2, "both backends have served: {used:?}");
}

fn a_wrong_configuration_changes_nothing(adapter: &dyn Adapter) {
    let (origin, mut config) = Origin::start();
    revision(&mut config, 1);
    let server = Running::start(adapter, config.clone());
    let mut client = Peer::connect(&server.address);
    assert_eq!(revision_seen(&mut client), "1");
    revision(&mut config, 2);
    config.routes[0].upstream = "nobody".into();
    assert!(matches!(server.handle.configure(&config), Err(ConfigError::UpstreamUnknown { .. })));
    // An order behind it has been carried out: so would that one have been.
    assert_eq!(server.handle.inspect(PATIENCE, |_, _| ()).len(), 1);
    assert_eq!(revision_seen(&mut client), "1");
    drop(client);
    server.end();
    origin.end();
}

/// A configuration file of this test's own.
struct File(PathBuf);

impl File {
    fn write(&self, backend: &Config, revision: u32, more: &str) {
        let endpoint = backend.upstreams[0].endpoints[0].host.to_string();
        let text = format!(
            "[[listen]]\naddress = \"127.0.0.1:0\"\n[[route]]\nupstream = \"app\"\n\
             response_headers = {{ set = {{ x-revision = \"{revision}\" }} }}\n\
             [upstream.app]\nendpoints = [\"{endpoint}\"]\n{more}"
        );
        fs::write(&self.0, text).unwrap();
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // It is in a folder for what may go.
        let _ = fs::remove_file(&self.0);
    }
}

/// From the file to the answers, on either adapter.
#[test]
fn a_hangup_reloads_the_file_under_load() {
    for adapter in ["mio", "tokio"] {
        let name = format!("shuntyard-reload-{adapter}-{}.toml", std::process::id());
        let file = File(std::env::temp_dir().join(name));
        let ((first, one), (second, two)) = (Origin::start(), Origin::start());
        file.write(&one, 1, "");
        let path = file.0.to_str().unwrap();
        let args = ["run", "--config", path, "--adapter", adapter, "--workers", "2"];
        let mut process = Process::spawn(&mut shuntyard(&args));
        let port = process.find_line("the port", |line| {
            line.strip_prefix("listening on 127.0.0.1:")?.split(' ').next()?.parse::<u16>().ok()
        });
        let load = Load::start(&Address::Inet(([127, 0, 0, 1], port).into()));
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Peer::on(Box::new(stream));
        assert_eq!(revision_seen(&mut client), "1");

        file.write(&two, 2, "");
        process.signal("HUP");
        process.find_line("the reload", |line| line.contains("revision 2, 1 listener").then_some(()));
        while revision_seen(&mut client) != "2" {}
        load.wait_for(100);

        file.write(&one, 3, "share = \"everybody\"\nqueue = 3\n");
        process.signal("HUP");
        let refused =
            process.find_line("the refusal", |line| line.contains("reload refused").then(|| line.to_owned()));
        let words = format!("ago): 2 errors in {path}: first 8:9: `share` cannot be");
        assert!(
            refused.contains("still serving revision 2 (loaded ")
                && refused.contains(&words)
                && refused.ends_with(&format!(", run `shuntyard check --config {path}` to see everything")),
            "{refused}"
        );
        load.wait_for(100);
        assert_eq!(revision_seen(&mut client), "2");

        file.write(&one, 4, "[[listen]]\naddress = \"127.0.0.1:0\"\n");
        process.signal("HUP");
        process.find_line("what needs a restart", |line| line.contains("listen changed").then_some(()));
        while revision_seen(&mut client) != "4" {}
        load.end();
        drop(client);
        process.signal("TERM");
        assert_eq!(process.wait().code(), Some(0), "{}", process.log());
        first.end();
        second.end();
    }
}
