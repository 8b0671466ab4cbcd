//! The examples do what they say.

#[path = "../../core/examples/client.rs"]
mod client;
#[path = "../examples/hooked.rs"]
mod hooked;
#[path = "../../core/examples/server.rs"]
mod server;

use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use shuntyard_core::address::Address;

#[test]
fn a_gateway_with_hooks_shouts() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let backend = listener.local_addr().expect("it has one");
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let gateway = hooked::bind(any, backend).expect("a port is free");
    let Address::Inet(address) = gateway.local_addrs()[0] else { panic!("it is no port") };
    let handle = gateway.handle();
    let origin = thread::spawn(move || {
        let (socket, _) = listener.accept().expect("the gateway connects");
        server::serve(socket).expect("the connection ends well");
    });
    let running = thread::spawn(|| gateway.run());
    let (status, content) = client::get(&address.to_string(), "/page").expect("a response comes");
    assert_eq!((status.as_u16(), content), (200, b"THIS IS /PAGE\n".to_vec()));
    handle.drain(Duration::from_secs(30));
    assert_eq!(running.join().expect("it ends").expect("the system refuses nothing").cut, 0);
    origin.join().expect("it ends");
}
