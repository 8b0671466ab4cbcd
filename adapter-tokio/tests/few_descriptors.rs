//! The gateway in a program that has a tokio runtime and hardly a descriptor left. A file of its own: the limit is the whole process's.

use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use shuntyard_core::address::Address;
use shuntyard_core::config::Config;
use shuntyard_tokio::{Exit, Options, Server};

fn server() -> Server {
    let of_port = |port| Address::from(SocketAddr::from(([127, 0, 0, 1], port)));
    let options = Options { workers: 3.try_into().unwrap(), ..Options::new(vec![of_port(0)]) };
    Server::bind(Config::new(vec![of_port(9)]), options).unwrap()
}

/// A runtime that cannot be had is an error, however many there are already.
#[test]
fn where_some_workers_have_no_runtime_run_fails_and_does_not_panic() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let before = getrlimit(Resource::Nofile);
    let run = |room: u64| {
        let server = server();
        server.handle().drain(Duration::ZERO);
        let first_free = File::open("/dev/null").unwrap().as_raw_fd() as u64;
        setrlimit(Resource::Nofile, Rlimit { current: Some(first_free + room), ..before }).unwrap();
        let exit = runtime.block_on(async { server.run() });
        setrlimit(Resource::Nofile, before).unwrap();
        exit
    };
    let exits: Vec<_> = (0..64).map(run).collect();
    assert!(exits[0].is_err(), "there is nothing for anybody");
    assert_eq!(*exits[63].as_ref().unwrap(), Exit { cut: 0 });
}
