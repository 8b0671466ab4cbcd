//! WebSockets over HTTP/1.1 and HTTP/2 on either side, in all four pairs.

use crate::runner::Peers;
use crate::scripts::{ADAPTERS, Backend, fine, python, script};

/// A server over HTTP/1.1 (Python's websockets), and one over HTTP/2 (Node).
fn backends(peers: &Peers) -> [(&'static str, Backend); 2] {
    let http1 = Backend::start(python(peers, "websocket.py").arg("serve"));
    let http2 = Backend::start(peers.command("node").arg(script("websocket_backend.mjs")));
    [("http", http1), ("h2c", http2)]
}

pub(crate) fn all_pairs(peers: &Peers) {
    for (scheme, backend) in backends(peers) {
        for adapter in ADAPTERS {
            let program = backend.behind(scheme, adapter);
            let place = format!("127.0.0.1:{}", program.port());
            for front in ["http1", "http2"] {
                let pair = format!("{front} in front of {scheme}, {adapter}");
                fine(&pair, python(peers, "websocket.py").args([front, &place]));
            }
            program.end();
        }
    }
}
