//! Property-tests a configuration of one's own: whatever clients ask for, `/internal/` leads nobody anywhere but to the
//! upstream that may serve it. `cargo run -p shuntyard-core --example own_configuration`
//!
//! Paths are matched octet by octet. `/%69nternal/`, `/x/../internal/`, `/./internal/` and `//internal/` are other paths here, and lead to the site;
//! where the site's server takes them for the same, what is in there is reached by them. A prefix sorts requests, and protects nothing
//! that its backend would serve under another spelling.

use std::sync::{Arc, Mutex};

use http::{Request, Response};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use shuntyard_core::address::Address;
use shuntyard_core::config::{
    Config, ConnectionConfig, HostPattern, PathPattern, RouteConfig, UpstreamConfig,
};
use shuntyard_core::fields::FieldSection;
use shuntyard_core::gateway::{Accepted, Gateway, RecvBuf};
use shuntyard_core::h2::Client;
use shuntyard_core::hooks::{Context, Hooks, Verdict};
use shuntyard_core::time::{Instant, WallClock};

/// What goes into production.
fn configuration() -> Config {
    let internal = PathPattern::Prefix("/internal/".into());
    let example = HostPattern::Below("example.com".into());
    Config {
        routes: vec![
            RouteConfig { path: internal, ..RouteConfig::any("internal", "vault") },
            RouteConfig { host: example, ..RouteConfig::any("pages", "site") },
        ],
        upstreams: ["vault", "site"]
            .map(|name| UpstreamConfig::new(name, vec![Address::unspecified()]))
            .into(),
        ..Config::new(vec![Address::unspecified()])
    }
}

/// Remembers where a request would go, and answers it.
struct Spy(Arc<Mutex<Option<String>>>);

impl Hooks for Spy {
    fn arrived(&mut self, context: &Context<'_>, _: &FieldSection) -> Verdict {
        *self.0.lock().expect("nobody panics with it") = context.upstream.map(str::to_owned);
        Verdict::Answer(Response::default())
    }
}

/// The upstream of a request, told by the gateway itself.
fn upstream_of(uri: &str) -> Result<Option<String>, Box<dyn std::error::Error>> {
    let (now, seen) = (Instant::ZERO, Arc::default());
    let gateway = Gateway::new(configuration(), 1, now, WallClock { at: now, unix_seconds: 0 })?;
    let mut gateway = gateway.with_hooks(Box::new(Spy(Arc::clone(&seen))));
    let mut client = Client::new(ConnectionConfig::default(), 1)?;
    client.send_request(&Request::get(uri).body(())?, true)?;
    let info = Accepted { peer: Address::unspecified(), local: Address::unspecified() };
    let (conn, octets) = (gateway.handle_accept(info, now), client.poll_transmit().unwrap_or_default());
    if let RecvBuf::Buffer(buffer) = gateway.recv_buf(conn) {
        buffer[..octets.len()].copy_from_slice(octets);
        gateway.handle_recv(conn, octets.len(), now);
    }
    let upstream = seen.lock().expect("nobody panics with it").take();
    Ok(upstream)
}

pub(crate) fn main() {
    let uris = "http://([a-z]{1,3}\\.)?(example|elsewhere)\\.com(:[1-9][0-9]{0,3})?/\
                (internal/|%69nternal/|(x/\\.\\./|\\./|/)internal/)?([a-z0-9./?]|%[0-9A-Fa-f]{2}){0,8}";
    let property = |uri: String| {
        let upstream = upstream_of(&uri).map_err(|error| TestCaseError::reject(error.to_string()))?;
        let internal = uri.splitn(4, '/').nth(3).is_some_and(|path| path.starts_with("internal/"));
        prop_assert_eq!(upstream.as_deref() == Some("vault"), internal, "{}", uri);
        Ok(())
    };
    TestRunner::deterministic().run(&uris, property).expect("the property holds");
    println!("256 requests went where they should");
}
