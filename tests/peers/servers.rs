//! Apache httpd and nginx as backends: what they close, limit and renew by themselves costs no request.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::content::{octets, same};
use crate::load::h2load;
use crate::process::{PATIENCE, Process, Program, run};
use crate::runner::Peers;
use crate::scripts::{Backend, fine, python};

const ADAPTERS: [&str; 2] = ["mio", "tokio"];

/// nginx ends a connection after 1000 requests, as it does by default: five GOAWAYs in this load.
pub(crate) fn nginx(peers: &Peers) {
    serves(peers, "nginx", &|folder, port| {
        nginx_with(peers, folder, &format!("listen 127.0.0.1:{port} http2;"))
    });
}

/// Apache httpd, whose request engines this project is a descendant of.
pub(crate) fn apache(peers: &Peers) {
    serves(peers, "apache2", &|folder, port| {
        apache_with(peers, folder, port, &["http2"], "Protocols h2c http/1.1\n")
    });
}

/// nginx as it serves a folder, which holds all that it writes, with these lines about its one server.
pub(crate) fn nginx_with(peers: &Peers, folder: &Served, server: &str) -> Command {
    let config = folder.write(
        "nginx.conf",
        format!(
            "daemon off; user root; worker_processes 1; pid {0}/pid; error_log stderr;\n\
             events {{}}\n\
             http {{\n access_log off; default_type text/plain;\n\
             client_body_temp_path {0}/body; proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/fastcgi;\n\
             uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;\n\
             server {{ {server} root {0}; }}\n}}\n",
            folder.0.display()
        ),
    );
    let mut command = peers.command("nginx");
    command.arg("-e").arg("stderr").arg("-p").arg(&folder.0).arg("-c").arg(config);
    command
}

/// Apache httpd as it serves a folder, which holds all that it writes, with these modules and lines.
pub(crate) fn apache_with(
    peers: &Peers,
    folder: &Served,
    port: u16,
    modules: &[&str],
    lines: &str,
) -> Command {
    let load = |name: &&str| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n");
    let modules: String = ["mpm_event", "authz_core"].iter().chain(modules).map(load).collect();
    let config = folder.write(
        "httpd.conf",
        format!(
            "ServerRoot {0}\n{modules}ServerName origin.test\nListen 127.0.0.1:{port}\n\
             User www-data\nGroup www-data\nPidFile {0}/pid\nErrorLog {0}/error.log\nDocumentRoot {0}\n{lines}",
            folder.0.display()
        ),
    );
    let mut command = peers.command("apache2");
    command.arg("-DFOREGROUND").arg("-f").arg(config);
    command
}

/// Apache httpd with mod_proxy_wstunnel in front of a server of WebSockets: over HTTP/1.1, and over HTTP/2 by extended CONNECT.
pub(crate) fn apache_with_websockets(peers: &Peers) {
    let backend = Backend::start(python(peers, "websocket.py").arg("serve"));
    let folder = Served::new("apache2-websockets");
    let lines = format!(
        "Protocols h2c http/1.1\nH2WebSockets on\nProxyPass /echo {}/echo upgrade=websocket\n",
        backend.url("http")
    );
    let modules = ["http2", "proxy", "proxy_http", "proxy_wstunnel"];
    let (mut process, port) = start("apache2", &|port| apache_with(peers, &folder, port, &modules, &lines));
    for scheme in ["http", "h2c"] {
        for adapter in ADAPTERS {
            let program =
                Program::start(&["--adapter", adapter, "--backend", &format!("{scheme}://127.0.0.1:{port}")]);
            let place = format!("127.0.0.1:{}", program.port());
            for front in ["http1", "http2"] {
                let pair = format!("{front} in front of {scheme}, {adapter}");
                fine(&pair, python(peers, "websocket.py").args([front, &place]));
            }
            program.end();
        }
    }
    // Killed, it would leave its workers behind.
    process.signal("TERM");
    process.wait();
}

/// Many small requests, and a large one, through both adapters.
fn serves(peers: &Peers, name: &str, server: &dyn Fn(&Served, u16) -> Command) {
    let folder = Served::new(name);
    folder.write("index.html", "hello\n");
    let large = octets(9, 20_000_000);
    folder.write("large", &large);
    let (mut process, port) = start(name, &|port| server(&folder, port));
    let backend = format!("h2c://127.0.0.1:{port}");
    for adapter in ADAPTERS {
        let program = Program::start(&["--adapter", adapter, "--backend", &backend]);
        h2load(peers, 5000, &["-c", "5", "-m", "50"], &program.url("/index.html"));
        let curl = ["-sS", "--http2-prior-knowledge", &program.url("/large")];
        same(&run(peers.command("curl").args(curl)).stdout, &large);
        program.end();
    }
    // Killed, it would leave its workers behind.
    process.signal("TERM");
    process.wait();
}

/// Starts a server on a port that was free just now.
pub(crate) fn start(name: &str, command: &dyn Fn(u16) -> Command) -> (Process, u16) {
    for _ in 0..10 {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut process = Process::spawn(&mut command(port));
        let deadline = Instant::now() + PATIENCE;
        while process.is_running() {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return (process, port);
            }
            assert!(Instant::now() < deadline, "{name} does not listen: {}", process.log());
            thread::sleep(Duration::from_millis(5));
        }
        println!("{name} ended: {}", process.log());
    }
    panic!("{name} found no port");
}

/// A folder that a server's own user can read; it goes with its test.
pub(crate) struct Served(pub(crate) PathBuf);

impl Served {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("shuntyard-peers-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = Path::new(&self.0).join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // What stays lies among temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
