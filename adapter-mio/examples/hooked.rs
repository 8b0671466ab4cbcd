//! A gateway with hooks: it tells backends where a request came from, and puts text into capitals.
//! `cargo run -p shuntyard-mio --example hooked 127.0.0.1:8080 127.0.0.1:9000`

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use shuntyard_core::config::Config;
use shuntyard_core::hooks::{Context, HeadMut, HookFailed, Hooks, Step, Transform, Verdict};
use shuntyard_core::message::{RequestHead, ResponseHead};
use shuntyard_mio::{BindError, Options, Server};

struct Shouting;

impl Hooks for Shouting {
    fn request(
        &mut self,
        context: &Context<'_>,
        request: &mut HeadMut<'_, RequestHead>,
    ) -> Result<Verdict, HookFailed> {
        request.set("x-asked-from", context.client.to_string())?;
        // Compressed text has no letters.
        request.remove("accept-encoding")?;
        Ok(Verdict::Forward)
    }

    fn response(
        &mut self,
        _: &Context<'_>,
        response: &mut HeadMut<'_, ResponseHead>,
    ) -> Result<Verdict, HookFailed> {
        if is_plain_text(response) {
            // They speak of the octets as they were.
            for name in ["etag", "content-digest", "repr-digest", "digest", "content-md5"] {
                response.remove(name)?;
            }
            response.transform(Box::new(Capitals));
        }
        Ok(Verdict::Forward)
    }
}

/// Whether the content is text, as it is, and may be changed (RFC 9110 section 7.7).
fn is_plain_text(response: &HeadMut<'_, ResponseHead>) -> bool {
    let is_text = response.get("content-type").is_some_and(|kind| kind.starts_with(b"text/"));
    let forbids = |value: &[u8]| value.to_ascii_lowercase().windows(12).any(|word| word == b"no-transform");
    let mut lines = response.fields().iter();
    is_text
        && response.get("content-encoding").is_none()
        && !lines.any(|line| line.name == b"cache-control" && forbids(line.value))
}

struct Capitals;

impl Transform for Capitals {
    fn transform(&mut self, input: &[u8], _end: bool, output: &mut [u8]) -> Result<Step, HookFailed> {
        let n = input.len().min(output.len());
        output[..n].copy_from_slice(&input[..n]);
        output[..n].make_ascii_uppercase();
        Ok(Step { read: n, written: n, more: false })
    }
}

pub(crate) fn bind(listen: SocketAddr, backend: SocketAddr) -> Result<Server, BindError> {
    let options =
        Options { hooks: Some(Arc::new(|_| Box::new(Shouting))), ..Options::new(vec![listen.into()]) };
    Server::bind(Config::new(vec![backend.into()]), options)
}

#[allow(dead_code, reason = "the test of the examples calls what it calls")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(backend)) = (arguments.next(), arguments.next()) else {
        return Err("usage: hooked LISTEN BACKEND".into());
    };
    bind(listen.parse()?, backend.parse()?)?.run()?;
    Ok(())
}
