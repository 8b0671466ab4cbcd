//! Hooks: each worker has its own, and what they make of messages goes over sockets like anything else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::StatusCode;
use shuntyard_adapter::Options;
use shuntyard_core::hooks::{Context, HeadMut, HookFailed, Hooks, Step, Transform, Verdict};
use shuntyard_core::message::{RequestHead, ResponseHead};

use crate::adapters::{Adapter, Running};
use crate::on_every_adapter;
use crate::peers::{Origin, Peer, any_port, backend};

on_every_adapter! {
    f30_every_worker_has_hooks_of_its_own,
    b52_content_doubles_on_its_way_to_the_client,
}

/// Says in each path which worker and which of its requests it is, and doubles what comes back.
struct Doubling {
    worker: usize,
    requests: usize,
}

impl Hooks for Doubling {
    fn request(
        &mut self,
        _: &Context<'_>,
        request: &mut HeadMut<'_, RequestHead>,
    ) -> Result<Verdict, HookFailed> {
        self.requests += 1;
        request.set_path(format!("/{}/{}", self.worker, self.requests))?;
        Ok(Verdict::Forward)
    }

    fn response(
        &mut self,
        _: &Context<'_>,
        response: &mut HeadMut<'_, ResponseHead>,
    ) -> Result<Verdict, HookFailed> {
        response.transform(Box::new(Twice));
        Ok(Verdict::Forward)
    }
}

struct Twice;

impl Transform for Twice {
    fn transform(&mut self, input: &[u8], _: bool, output: &mut [u8]) -> Result<Step, HookFailed> {
        let read = input.len().min(output.len() / 2);
        for (octet, pair) in input[..read].iter().zip(output.chunks_exact_mut(2)) {
            pair.fill(*octet);
        }
        Ok(Step { read, written: 2 * read, more: false })
    }
}

fn hooked(workers: usize, made: &Arc<AtomicUsize>) -> Options {
    let made = Arc::clone(made);
    Options {
        workers: workers.try_into().unwrap(),
        hooks: Some(Arc::new(move |worker| {
            made.fetch_add(1, Ordering::Relaxed);
            Box::new(Doubling { worker, requests: 0 })
        })),
        ..Options::new(vec![any_port()])
    }
}

/// Clients come until each worker has served some: no two workers count together.
fn f30_every_worker_has_hooks_of_its_own(adapter: &dyn Adapter) {
    const CLIENTS: usize = 500;
    let (origin, config) = Origin::start();
    let made = Arc::default();
    let server = Running::start_with(adapter, config, hooked(3, &made));
    assert_eq!(made.load(Ordering::Relaxed), 3);
    let mut counts = BTreeMap::<String, usize>::new();
    for n in 0.. {
        assert!(n < CLIENTS, "only these have served: {counts:?}");
        let mut client = Peer::connect(&server.address);
        let asked = [client.get("/a"), client.get("/b")];
        // The origin says the path, and each octet comes twice.
        let paths = client.responses(&asked).into_iter().map(|answer| {
            let once = answer.content.iter().step_by(2).copied().collect();
            String::from_utf8(once).unwrap()
        });
        for path in paths {
            let (worker, count) = path[1..].split_once('/').unwrap();
            let before = counts.entry(worker.to_owned()).or_default();
            *before += 1;
            assert_eq!(count, before.to_string(), "worker {worker} serves one after the other");
        }
        if counts.len() == 3 {
            break;
        }
    }
    server.end();
    origin.end();
}

fn b52_content_doubles_on_its_way_to_the_client(adapter: &dyn Adapter) {
    let (listener, config) = backend();
    let server = Running::start_with(adapter, config, hooked(1, &Arc::default()));
    let mut client = Peer::connect(&server.address);
    let asked = client.get("/");
    let content: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    let sent = content.clone();
    let upstream = std::thread::spawn(move || {
        let mut upstream = Peer::accept(&listener);
        let (stream, _) = upstream.request();
        upstream.answer(stream, &sent);
        upstream.read_to_end();
    });
    let answer = client.response(asked);
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.content.iter().step_by(2).eq(&content) && answer.content.len() == 2 * content.len());
    drop(client);
    server.end();
    upstream.join().unwrap();
}
