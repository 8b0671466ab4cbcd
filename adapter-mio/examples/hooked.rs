//! A gateway with hooks: it tells backends who asks, and puts every page into capitals.
//! `cargo run --example hooked 127.0.0.1:8080 127.0.0.1:9000`

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
        request.set("x-forwarded-for", context.client.to_string())?;
        Ok(Verdict::Forward)
    }

    fn response(
        &mut self,
        _: &Context<'_>,
        response: &mut HeadMut<'_, ResponseHead>,
    ) -> Result<Verdict, HookFailed> {
        response.remove("etag")?;
        response.transform(Box::new(Capitals));
        Ok(Verdict::Forward)
    }
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
