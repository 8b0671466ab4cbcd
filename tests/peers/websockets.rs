//! WebSockets over HTTP/1.1 and HTTP/2 on either side, in all four pairs.

use crate::clients::chromium;
use crate::nghttpd::Folder;
use crate::process::Program;
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

/// A browser's own WebSocket, on a page that comes by another route. The image keeps the page from being finished.
pub(crate) fn browser(peers: &Peers) {
    const PAGE: &str = r#"<!doctype html><title>socket</title><p id=out>waiting</p><img src="/hold"><script>
        const out = document.getElementById("out");
        const socket = new WebSocket(`ws://${location.host}/echo`, "echo");
        socket.onopen = () => socket.send("hello ".repeat(1000));
        socket.onmessage = (event) => {
          out.textContent = "got " + event.data.length;
          socket.close(1000);
        };
        socket.onclose = (event) => {
          out.textContent += ", closed " + event.code;
          fetch("/go");
        };
        </script>"#;
    let folder = Folder::new();
    folder.write("index.html", PAGE);
    let pages = Backend::start(python(peers, "origin.py").arg(folder.path("")));
    for (scheme, backend) in backends(peers) {
        let config = folder.write("shuntyard.toml", routes(&backend.url(scheme), &pages.url("http")));
        for adapter in ADAPTERS {
            let program = Program::start(&["--adapter", adapter, "--config", config.to_str().unwrap()]);
            let dom = chromium(peers, &[], &program.url("/index.html"));
            assert!(dom.contains("got 6000, closed 1000"), "{scheme}, {adapter}: {dom}");
            program.end();
        }
    }
}

fn routes(socket: &str, pages: &str) -> String {
    format!(
        "[[listen]]\naddress = \"127.0.0.1:0\"\n\
         [[route]]\npath = \"/echo\"\nupstream = \"socket\"\n[[route]]\nupstream = \"pages\"\n\
         [upstream.socket]\nendpoints = [\"{socket}\"]\n[upstream.pages]\nendpoints = [\"{pages}\"]\n"
    )
}
