//! The examples do what they say.

#[path = "../examples/embedded.rs"]
mod embedded;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

fn said(address: SocketAddr, words: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).expect("somebody listens");
    socket.set_read_timeout(Some(Duration::from_secs(30))).expect("it is not zero");
    socket.write_all(words).expect("the socket is fresh");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("it ends well");
    answer
}

#[test]
fn a_program_greets_and_stands_between_clients_and_backends() {
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let mut client = None;
    let ran = embedded::run(
        [any, "127.0.0.1:9".parse().expect("an address"), any],
        |handle, [gateway, greeter]| {
            client = Some(thread::spawn(move || {
                let said = (
                    said(greeter, b""),
                    said(gateway, b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"),
                );
                handle.drain(Duration::from_secs(30));
                said
            }));
        },
    );
    assert!(ran.is_ok(), "{ran:?}");
    let (greeting, answer) = client.expect("it was ready").join().expect("both were there");
    assert_eq!(greeting, "hello, 127.0.0.1\nclients 0\n");
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
}
