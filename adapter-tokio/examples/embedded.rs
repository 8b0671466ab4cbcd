//! A program that has a service of its own, and the gateway beside it on the same runtime and thread:
//! `cargo run -p shuntyard-tokio --example embedded 127.0.0.1:8080 127.0.0.1:9000 127.0.0.1:7000`

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use shuntyard_core::config::Config;
use shuntyard_tokio::{Handle, Options, Server};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

/// Greets whoever connects, and tells how much the gateway has to do.
async fn greet(listener: TcpListener, gateway: Handle) -> Result<(), Box<dyn Error>> {
    loop {
        let (mut socket, peer) = listener.accept().await?;
        // Not `inspect`: it would block the thread on which the gateway has to answer.
        let clients = gateway.look(|gateway, _| gateway.view().fronts).await;
        let clients: usize = clients.values().sum();
        // One that has gone already needs no greeting.
        let _ = socket.write_all(format!("hello, {}\nclients {clients}\n", peer.ip()).as_bytes()).await;
    }
}

/// Serves both until the gateway is drained; `ready` is told how to do that, and where the two listen.
pub(crate) fn run(
    [listen, backend, greeter]: [SocketAddr; 3],
    ready: impl FnOnce(Handle, [SocketAddr; 2]),
) -> Result<(), Box<dyn Error>> {
    let server = Server::bind(Config::new(vec![backend.into()]), Options::new(vec![listen.into()]))?;
    let shuntyard_core::address::Address::Inet(gateway) = server.local_addrs()[0] else { return Ok(()) };
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(greeter).await?;
        let handle = server.handle();
        ready(handle.clone(), [gateway, listener.local_addr()?]);
        tokio::select! {
            exit = server.serve() => exit.map(drop).map_err(Box::from),
            end = greet(listener, handle) => end,
        }
    })
}

#[allow(dead_code, reason = "the test of the examples calls what it calls")]
fn main() -> Result<(), Box<dyn Error>> {
    let addresses: Vec<_> = std::env::args().skip(1).map(|text| text.parse()).collect::<Result<_, _>>()?;
    let addresses = addresses.try_into().map_err(|_| "usage: embedded LISTEN BACKEND GREETER")?;
    run(addresses, |handle, [gateway, greeter]| {
        println!("gateway on {gateway}, greetings on {greeter}, for a minute");
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(60));
            handle.drain(Duration::from_secs(5));
        });
    })
}
