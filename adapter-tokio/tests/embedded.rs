//! The gateway in a program that has a tokio runtime and a service of its own.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use shuntyard_core::address::Address;
use shuntyard_core::config::{Config, Protocol};
use shuntyard_core::fields::FieldSection;
use shuntyard_core::gateway::Record;
use shuntyard_core::hooks::{Context, Hooks, Verdict};
use shuntyard_tokio::{Exit, Notice, Observer, Options, Server};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

/// No test waits longer than this for an octet that should come.
const PATIENCE: Duration = Duration::from_secs(30);

/// In front of a backend that is none.
fn nobody() -> Config {
    Config::new(vec![Address::from(SocketAddr::from(([127, 0, 0, 1], 9)))])
}

fn any_port() -> Options {
    Options::new(vec![Address::from(SocketAddr::from(([127, 0, 0, 1], 0)))])
}

fn server() -> (Server, SocketAddr) {
    let server = Server::bind(nobody(), any_port()).unwrap();
    let Address::Inet(address) = server.local_addrs()[0] else { panic!("it is no port") };
    (server, address)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn ask_over_http_1(address: SocketAddr) -> String {
    let mut answer = String::new();
    let mut client = connect(address);
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
    client.read_to_string(&mut answer).unwrap();
    answer
}

/// Greets whoever connects.
async fn greet(listener: TcpListener) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"hello").await.unwrap();
    }
}

#[test]
fn a_program_serves_its_own_service_and_the_gateway_on_one_thread() {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build().unwrap();
    let exit = runtime.block_on(async {
        let own = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own_address = own.local_addr().unwrap();
        let (server, gateway_address) = server();
        let handle = server.handle();
        let clients = thread::spawn(move || {
            for _ in 0..3 {
                let mut greeting = String::new();
                connect(own_address).read_to_string(&mut greeting).unwrap();
                assert_eq!(greeting, "hello");
                assert!(ask_over_http_1(gateway_address).starts_with("HTTP/1.1 502 "));
            }
            handle.drain(PATIENCE);
        });
        let exit = tokio::select! {
            exit = server.serve() => exit.unwrap(),
            () = greet(own) => unreachable!("it serves for ever"),
        };
        clients.join().unwrap();
        exit
    });
    assert_eq!(exit, Exit { cut: 0 });
}

/// The same thread looks that has to answer.
#[test]
fn a_task_beside_the_gateway_looks_into_it_and_blocks_nobody() {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build().unwrap();
    let (server, address) = server();
    let handle = server.handle();
    let own_work = async {
        let seen = tokio::task::spawn_blocking(move || ask_over_http_1(address)).await.unwrap();
        assert!(seen.starts_with("HTTP/1.1 502 "));
        let looking = handle.look(|gateway, now| gateway.snapshot(0, now).ended());
        let ended = tokio::time::timeout(PATIENCE, looking).await.unwrap();
        handle.drain(PATIENCE);
        ended
    };
    let (exit, ended) = runtime.block_on(async { tokio::join!(server.serve(), own_work) });
    assert_eq!((exit.unwrap(), ended), (Exit { cut: 0 }, [(0, 1)].into()));
    // One that has ended answers nothing, and nobody waits for it.
    assert!(runtime.block_on(handle.look(|_, _| ())).is_empty());
}

/// Each counts its requests from 0.
#[test]
fn records_of_workers_on_one_thread_are_told_apart() {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build().unwrap();
    let seen = Arc::<Mutex<Vec<(usize, u64, bool)>>>::default();
    let kept = Arc::clone(&seen);
    let observer: Observer = Arc::new(move |notice| {
        let Notice::Record { worker, record } = notice else { return };
        match *record {
            Record::Started { request, .. } => kept.lock().unwrap().push((worker, request.0, false)),
            Record::Ended(end) => kept.lock().unwrap().push((worker, end.request.0, true)),
            Record::Attempt(_) => {}
        }
    });
    let config = Config { records: true, ..nobody() };
    let options = Options { workers: 2.try_into().unwrap(), observer: Some(observer), ..any_port() };
    let server = Server::bind(config, options).unwrap();
    let Address::Inet(address) = server.local_addrs()[0] else { panic!("it is no port") };
    let handle = server.handle();
    let account = Arc::clone(&seen);
    let clients = thread::spawn(move || {
        // The kernel picks the worker.
        let both = || [0, 1].iter().all(|of| account.lock().unwrap().iter().any(|(worker, ..)| worker == of));
        while !both() {
            ask_over_http_1(address);
        }
        handle.drain(PATIENCE);
    });
    runtime.block_on(server.serve()).unwrap();
    clients.join().unwrap();
    let mut seen = std::mem::take(&mut *seen.lock().unwrap());
    let all = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), all, "each has one start and one end");
    assert!(seen.chunks(2).all(|of| (of[0].0, of[0].1, !of[0].2) == of[1]), "{seen:?}");
}

#[test]
fn workers_go_to_runtimes_that_are_there_already() {
    let (server, address) = server();
    let handle = server.handle();
    let workers = server.into_workers();
    let threads: Vec<_> = workers
        .into_iter()
        .map(|worker| {
            thread::spawn(|| {
                let runtime = Builder::new_current_thread().enable_io().enable_time().build().unwrap();
                runtime.block_on(worker.serve()).unwrap()
            })
        })
        .collect();
    assert!(ask_over_http_1(address).starts_with("HTTP/1.1 502 "));
    handle.drain(PATIENCE);
    for thread in threads {
        assert_eq!(thread.join().unwrap(), Exit { cut: 0 });
    }
}

#[test]
fn dropping_the_future_closes_listeners_and_connections() {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build().unwrap();
    let (server, address) = server();
    let mut client = runtime.block_on(async {
        let client = tokio::task::spawn_blocking(move || {
            let mut client = connect(address);
            client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
            // The server's SETTINGS begin: the connection is served.
            client.read_exact(&mut [0; 9]).unwrap();
            client
        });
        tokio::select! {
            exit = server.serve() => panic!("it ended: {exit:?}"),
            client = client => client.unwrap(),
        }
    });
    let refused = TcpStream::connect(address).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    // Closed in one way or another.
    let ended = client.read_to_end(&mut Vec::new());
    assert!(ended.is_ok() || ended.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
}

/// To each that connects it says without end what only the end of the connection would end.
fn endless_backend() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let talk = |mut stream: TcpStream| {
        let head = stream.read(&mut [0; 4096]).and_then(|_| stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n"));
        while head.is_ok() && stream.write_all(&[b'a'; 8 << 10]).is_ok() {}
    };
    thread::spawn(move || {
        listener.incoming().for_each(|stream| _ = thread::spawn(move || talk(stream.unwrap())))
    });
    address
}

/// Other threads wake its tasks there: some have not had their turn when the worker ends.
#[test]
fn what_is_cut_looks_cut_on_a_runtime_of_many_threads() {
    const CLIENTS: u32 = 16;
    let mut config = Config::new(vec![Address::from(endless_backend())]);
    config.upstreams[0].endpoints[0].protocol = Protocol::Http1;
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_io().enable_time().build().unwrap();
    let server = Server::bind(config, any_port()).unwrap();
    let Address::Inet(address) = server.local_addrs()[0] else { panic!("it is no port") };
    let handle = server.handle();
    // Each reads as it can: there is room for more again and again.
    let reads = move || {
        let mut client = connect(address);
        client.write_all(b"GET / HTTP/1.0\r\nhost: a\r\n\r\n").unwrap();
        client.read_exact(&mut [0; 12]).unwrap();
        thread::spawn(move || {
            loop {
                match client.read(&mut [0; 16 << 10]) {
                    Ok(0) => return false,
                    Ok(_) => thread::sleep(Duration::from_millis(1)),
                    Err(_) => return true,
                }
            }
        })
    };
    let drains = thread::spawn(move || {
        let clients: Vec<_> = (0..CLIENTS).map(|_| reads()).collect();
        handle.drain(Duration::from_millis(20));
        clients.into_iter().map(|client| client.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(runtime.block_on(server.serve()).unwrap(), Exit { cut: CLIENTS });
    assert!(drains.join().unwrap().iter().all(|broke| *broke));
}

/// Panics with every request, and counts them.
struct Broken(Arc<AtomicUsize>);

impl Hooks for Broken {
    fn arrived(&mut self, _: &Context<'_>, _: &FieldSection) -> Verdict {
        self.0.fetch_add(1, Ordering::Relaxed);
        panic!("the gateway is left in the middle of something");
    }
}

/// A server whose hooks panic with every request, and how often they have.
fn broken() -> (Server, SocketAddr, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let mut options = any_port();
    options.hooks = Some(Arc::new(move |_| Box::new(Broken(Arc::clone(&counted)))));
    let server = Server::bind(nobody(), options).unwrap();
    let Address::Inet(address) = server.local_addrs()[0] else { panic!("it is no port") };
    (server, address, calls)
}

fn asks(address: SocketAddr) -> TcpStream {
    let mut client = connect(address);
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    client
}

const WORDS_OF_BROKEN: &str = "a worker has panicked: the gateway is left in the middle of something";

/// The runtime keeps a task's panic to itself until the worker is looked at, and others may be ready at the same time.
#[test]
fn nobody_has_a_turn_after_a_panic() {
    let (server, address, calls) = broken();
    let clients: Vec<_> = (0..8).map(|_| asks(address)).collect();
    let runtime = Builder::new_current_thread().enable_io().enable_time().build().unwrap();
    let error = runtime.block_on(server.serve()).unwrap_err();
    assert_eq!((error.to_string().as_str(), calls.load(Ordering::Relaxed)), (WORDS_OF_BROKEN, 1));
    drop(clients);
}

/// Whoever embeds the gateway goes on, and hears the same on every way to serve.
#[test]
fn a_panic_is_an_error_with_its_own_words() {
    let (server, address, _) = broken();
    let client = asks(address);
    assert_eq!(server.run().unwrap_err().to_string(), WORDS_OF_BROKEN);
    drop(client);

    let (server, address, _) = broken();
    let client = asks(address);
    let runtime = Builder::new_current_thread().enable_io().enable_time().build().unwrap();
    let worker = server.into_workers().remove(0);
    assert_eq!(runtime.block_on(worker.serve()).unwrap_err().to_string(), WORDS_OF_BROKEN);
    drop(client);

    let (server, _) = self::server();
    let looking = server.handle().look(|_, _| -> usize { panic!("{} is looked for", "something") });
    let (seen, served) = runtime.block_on(async { tokio::join!(looking, server.serve()) });
    assert_eq!(served.unwrap_err().to_string(), "a worker has panicked: something is looked for");
    assert!(seen.is_empty());
}

/// Its thread is busy until the server ends; whoever would rather wait has threads for that.
#[test]
fn run_serves_inside_of_a_runtime_and_blocks_its_thread() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (server, _) = server();
        let beside = tokio::spawn(async {});
        server.handle().drain(Duration::ZERO);
        assert_eq!(server.run().unwrap(), Exit { cut: 0 });
        assert!(!beside.is_finished(), "it has had no turn");
        beside.await.unwrap();
    });
    runtime.block_on(async {
        let (server, _) = server();
        let handle = server.handle();
        // Without a turn of it the server would not end.
        let beside = tokio::spawn(async move { handle.drain(Duration::ZERO) });
        let exit = tokio::task::spawn_blocking(|| server.run()).await.unwrap();
        assert_eq!(exit.unwrap(), Exit { cut: 0 });
        beside.await.unwrap();
    });
}

/// There is nothing to wait with.
#[test]
fn outside_of_a_runtime_nothing_is_served() {
    let (server, _) = server();
    let mut serving = std::pin::pin!(server.serve());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut polls = (0..100).map(|_| serving.as_mut().poll(&mut context));
    let Some(std::task::Poll::Ready(Err(error))) = polls.find(|poll| poll.is_ready()) else {
        panic!("it waits for what does not come")
    };
    assert!(error.to_string().contains("runtime"), "{error}");
}
