//! A balancer in front that says whose each connection is: HAProxy in both versions, and curl as one.

use std::process::Command;

use crate::nghttpd::{Folder, Nghttpd};
use crate::process::{Process, run, shuntyard};
use crate::runner::Peers;
use crate::scripts::ADAPTERS;
use crate::servers::start;
use crate::tls::Files;

/// The program with a file of this content, and the ports of its listeners in order: those in clear come first.
pub(crate) fn configured(
    adapter: &str,
    folder: &Folder,
    file: &str,
    listeners: usize,
) -> (Process, Vec<u16>) {
    let file = folder.write("shuntyard.toml", format!("adapter = \"{adapter}\"\nworkers = 1\n{file}"));
    let process = Process::spawn(shuntyard(&["run", "--access-log", "-", "--config"]).arg(file));
    let ports = process.find_lines("the lines that name the ports", listeners, |line| {
        line.strip_prefix("listening on 127.0.0.1:")?.split(' ').next()?.parse().ok()
    });
    (process, ports)
}

/// Drains it. It must end well.
pub(crate) fn end(mut process: Process) {
    process.signal("TERM");
    assert_eq!(process.wait().code(), Some(0), "{}", process.log());
}

fn haproxy(peers: &Peers, folder: &Folder, port: u16, server: &str) -> Command {
    let config = folder.write(
        "haproxy.cfg",
        format!(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 10s\n timeout server 10s\n\
             listen front\n bind 127.0.0.1:{port}\n server gateway 127.0.0.1:{server}\n"
        ),
    );
    let mut command = peers.command("haproxy");
    command.arg("-db").arg("-f").arg(config);
    command
}

/// Clients through HAProxy are known by their own addresses, in clear and over TLS, and so is HAProxy's look whether we live.
pub(crate) fn senders(peers: &Peers) {
    let files = Files::new();
    let nghttpd = Nghttpd::start(peers, &files.0, &[]);
    let (cert, key) = (files.path("cert.pem"), files.path("key.pem"));
    let file = format!(
        "[[listen]]\naddress = \"127.0.0.1:0\"\naccept_proxy_protocol = true\n\
         [[listen]]\naddress = \"127.0.0.1:0\"\naccept_proxy_protocol = true\ntls = {{ cert = {cert:?}, key = {key:?} }}\n\
         [[route]]\nupstream = \"app\"\n[upstream.app]\nendpoints = [\"127.0.0.1:{}\"]\n",
        nghttpd.port
    );
    let (ca, page) = (files.path("ca.pem"), files.path("page"));
    let curl = |arguments: &[&str]| {
        let output = run(peers
            .command("curl")
            .args(["-sS", "--cacert", &ca, "-o", &files.path("got")])
            .args(arguments));
        output.status.success() && std::fs::read(files.path("got")).unwrap() == std::fs::read(&page).unwrap()
    };
    for adapter in ADAPTERS {
        let (gateway, ports) = configured(adapter, &files.0, &file, 2);
        let seen = |address: &str| {
            let address = format!("\"client.address\":\"{address}\"");
            gateway.log().lines().filter(|line| line.contains(&address)).count()
        };
        let mut asked = 0;
        for (version, scheme) in [
            ("send-proxy", "http"),
            ("send-proxy", "https"),
            ("send-proxy-v2", "http"),
            ("send-proxy-v2", "https"),
        ] {
            let port = ports[usize::from(scheme == "https")];
            let server = format!("{port} {version} check inter 200ms");
            let (mut balancer, port) = start("haproxy", &|port| haproxy(peers, &files.0, port, &server));
            let url = format!("{scheme}://localhost:{port}/page");
            // HTTP/1.1 in clear, HTTP/2 over TLS.
            assert!(curl(&["--interface", "127.0.0.7", &url]), "{version} {scheme}: {}", gateway.log());
            asked += 1;
            gateway.find_lines("the requests' lines", asked, |line| {
                line.contains("\"client.address\":\"127.0.0.7\"").then_some(())
            });
            balancer.kill();
        }
        assert_eq!(seen("127.0.0.1"), 0, "{}", gateway.log());
        // curl names its own address, or one that it is told.
        assert!(curl(&["--haproxy-protocol", &format!("https://localhost:{}/page", ports[1])]));
        gateway.find_line("the line of who came without a balancer", |line| {
            line.contains("\"client.address\":\"127.0.0.1\"").then_some(())
        });
        // Who says nothing of it is not served, and there is a line.
        for (scheme, port) in [("http", ports[0]), ("https", ports[1])] {
            assert!(!curl(&[&format!("{scheme}://localhost:{port}/page")]));
        }
        gateway.find_lines("the lines about no headers", 2, |line| {
            line.ends_with("it does not begin with a header of the PROXY protocol").then_some(())
        });
        end(gateway);
    }
}
