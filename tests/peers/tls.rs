//! TLS between the program and real clients: by name, by ALPN, resumed, refused.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::authority::Authority;
use crate::clients::chromium;
use crate::nghttpd::{Folder, Nghttpd};
use crate::process::{Program, run};
use crate::runner::Peers;
use crate::scripts::{ADAPTERS, fine, python, script};
use crate::servers::{Served, apache_with, nginx_with, start};

const PAGE: &str = "a page\n";

/// A program that listens for TLS, with what its clients need.
struct Secured {
    program: Program,
    place: String,
}

/// The port at which the program speaks TLS.
pub(crate) fn port_of(program: &Program) -> u16 {
    program.process.find_line("the port of TLS", |line| {
        let rest = line.strip_prefix("listening on 127.0.0.1:")?.strip_suffix(" over TLS)")?;
        rest.split(' ').next()?.parse().ok()
    })
}

/// A folder with certificates and a page.
pub(crate) struct Files(pub(crate) Folder);

impl Files {
    pub(crate) fn new() -> Self {
        let folder = Folder::new();
        let authority = Authority::new();
        let (cert, key) = authority.issue_pem(&["localhost"], |_| {});
        folder.write("ca.pem", authority.pem());
        folder.write("cert.pem", cert);
        folder.write("key.pem", key);
        folder.write("page", PAGE.repeat(20_000));
        Self(folder)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path(name).display().to_string()
    }

    fn ca(&self) -> PathBuf {
        self.0.path("ca.pem")
    }
}

/// Calls `test` with the program under each adapter.
fn everywhere(peers: &Peers, files: &Files, test: impl Fn(&Secured)) {
    let nghttpd = Nghttpd::start(peers, &files.0, &["--echo-upload"]);
    for adapter in ADAPTERS {
        let [flag, url] = nghttpd.backend();
        let (cert, key) = (files.path("cert.pem"), files.path("key.pem"));
        let tls = ["--listen-tls", "127.0.0.1:0", "--cert", &cert, "--key", &key];
        let program = Program::start(&[&["--adapter", adapter, &flag, &url], &tls[..]].concat());
        let port = port_of(&program);
        let secured = Secured { program, place: format!("localhost:{port}") };
        test(&secured);
        secured.program.end();
    }
}

/// A client that checks everything by itself.
fn works(peers: &Peers, client: impl Fn() -> Command) {
    let files = Files::new();
    everywhere(peers, &files, |secured| {
        fine("over TLS", client().arg(&secured.place).arg(files.ca()).arg(files.0.path("")));
    });
}

pub(crate) fn curl(peers: &Peers) {
    let files = Files::new();
    everywhere(peers, &files, |Secured { program, place }| {
        let ask = |arguments: &[&str]| {
            let mut command = peers.command("curl");
            command.args(["-sS", "-o", &files.path("got"), "-w", "%{http_code} %{http_version}"]);
            command.args(arguments);
            let output = run(&mut command);
            (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code().unwrap())
        };
        let (ca, url) = (files.path("ca.pem"), format!("https://{place}/page"));
        for (version, answer) in [
            ("--http2", "200 2"),
            ("--http1.1", "200 1.1"),
            ("--tls-max=1.2", "200 2"),
            ("--no-alpn", "200 1.1"),
        ] {
            let version: Vec<_> = version.split('=').collect();
            assert_eq!(ask(&[&version[..], &["--cacert", &ca, &url]].concat()), (answer.to_owned(), 0));
            assert!(std::fs::read(files.path("got")).unwrap() == std::fs::read(files.path("page")).unwrap());
        }
        // 60: it does not trust whom it meets.
        assert_eq!(ask(&[&url]).1, 60);
        let elsewhere = format!("elsewhere.test:{}", place.split(':').nth(1).unwrap());
        let map = format!("{elsewhere}:127.0.0.1");
        assert_eq!(ask(&["--cacert", &ca, "--resolve", &map, &format!("https://{elsewhere}/")]).1, 60);
        // In clear there is one clear answer, and one line.
        assert_eq!(ask(&[&format!("http://{place}/page")]), ("400 1.1".to_owned(), 0));
        assert!(std::fs::read_to_string(files.path("got")).unwrap().contains("https://"));
        program.process.find_line("a line about the authority", |line| {
            (line.starts_with("TLS with 127.0.0.1:")
                && line.ends_with("failed: the peer sent the alert unknown_ca"))
            .then_some(())
        });
        program.process.find_line("a line about no handshake", |line| {
            line.ends_with("failed: the peer does not speak TLS").then_some(())
        });
    });
}

pub(crate) fn nghttp(peers: &Peers) {
    let files = Files::new();
    everywhere(peers, &files, |Secured { place, .. }| {
        let ask = |how: &str| {
            let url = format!("https://{place}/page");
            let output = run(peers.command("nghttp").args([how, "--no-verify-peer", &url]));
            assert!(output.status.success(), "{output:?}");
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        assert!(ask("-nv").contains("The negotiated protocol: h2"));
        assert!(ask("--timeout=60") == PAGE.repeat(20_000));
    });
}

/// Sessions, versions, renegotiation, and what was not agreed on.
pub(crate) fn openssl(peers: &Peers) {
    let files = Files::new();
    everywhere(peers, &files, |Secured { place, .. }| {
        let talk = |arguments: &[&str], said: &str| {
            let mut command = peers.command("openssl");
            command.args(["s_client", "-connect", place, "-CAfile", &files.path("ca.pem")]).args(arguments);
            let mut child =
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            use std::io::Write as _;
            // Who was turned away reads nothing.
            let _ = child.stdin.take().unwrap().write_all(said.as_bytes());
            let output = child.wait_with_output().unwrap();
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
        };
        let session = files.path("session");
        for version in ["-tls1_2", "-tls1_3"] {
            let request = "GET /page HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
            let ask = ["-ign_eof", "-alpn", "http/1.1", version];
            let first = talk(&[&ask[..], &["-sess_out", &session]].concat(), request);
            assert!(first.contains("New, TLSv1.") && first.contains("a page\n"), "{first}");
            let second = talk(&[&ask[..], &["-sess_in", &session]].concat(), request);
            assert!(second.contains("Reused, TLSv1.") && second.contains("a page\n"), "{second}");
        }
        assert!(talk(&["-alpn", "spdy/1"], "").contains("no application protocol"));
        assert!(talk(&["-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"], "").contains("alert"));
        // RFC 9113 section 9.2.1: R asks for a renegotiation, which is not there.
        let renegotiated = talk(&["-tls1_2", "-alpn", "h2"], "R\n");
        assert!(renegotiated.contains("Secure Renegotiation IS supported"), "{renegotiated}");
        assert!(!renegotiated.contains("RENEGOTIATING\ndepth"), "{renegotiated}");
    });
}

pub(crate) fn python_ssl(peers: &Peers) {
    works(peers, || python(peers, "tls_client.py"));
}

pub(crate) fn node(peers: &Peers) {
    works(peers, || {
        let mut command = peers.command("node");
        command.arg(script("tls_client.mjs"));
        command
    });
}

pub(crate) fn java(peers: &Peers) {
    works(peers, || {
        let mut command = peers.command("java");
        command.arg(script("TlsClient.java"));
        command
    });
}

pub(crate) fn go(peers: &Peers) {
    let built = Folder::new();
    let mut build = peers.command("go");
    build.args(["build", "-o"]).arg(built.path("client")).arg(script("tls_client.go"));
    build.env("GOCACHE", built.path("cache")).env("GOFLAGS", "-mod=mod").env("GOPROXY", "off");
    let output = run(&mut build);
    assert!(output.status.success(), "{output:?}");
    works(peers, || Command::new(built.path("client")));
}

/// A browser speaks HTTP/2 over TLS only: the page says by which protocol it came.
pub(crate) fn browser(peers: &Peers) {
    const HTML: &str = r#"<!doctype html><title>over TLS</title><p id=out>waiting</p><script>
        Promise.all(Array.from({ length: 8 }, (_, n) => fetch("/page?" + n).then((a) => a.arrayBuffer()))).then((all) => {
          const spoken = new Set(performance.getEntriesByType("resource").map((entry) => entry.nextHopProtocol));
          document.getElementById("out").textContent = all.map((one) => one.byteLength) + " by " + [...spoken];
        }, (error) => (document.getElementById("out").textContent = "failed " + error));
        </script>"#;
    let files = Files::new();
    files.0.write("index.html", HTML);
    everywhere(peers, &files, |Secured { place, .. }| {
        let url = format!("https://{}/index.html", place.replace("localhost", "127.0.0.1"));
        let dom = chromium(peers, &["--ignore-certificate-errors", "--virtual-time-budget=20000"], &url);
        let expected = format!("{} by h2", ["140000"; 8].join(","));
        assert!(dom.contains(&expected), "{dom}");
    });
}

/// A server with TLS behind the program: what it answers, and what becomes of one that cannot be trusted.
fn behind(peers: &Peers, name: &str, server: &dyn Fn(&Served, u16) -> Command) {
    let folder = Served::new(&format!("tls-{name}"));
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (cert, key) = authority.issue_pem(&["localhost"], |_| {});
    folder.write("cert.pem", cert);
    folder.write("key.pem", key);
    folder.write("page", PAGE.repeat(20_000));
    let ca = folder.write("ca.pem", authority.pem()).display().to_string();
    let other = folder.write("other.pem", stranger.pem()).display().to_string();
    let (mut process, port) = start(name, &|port| server(&folder, port));
    let ask = |arguments: &[&str], path: &str| {
        let program = Program::start(&[&["--access-log", "-"], arguments].concat());
        let output =
            run(peers.command("curl").args(["-sS", "-i", "--http2-prior-knowledge", &program.url(path)]));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let log = program
            .process
            .find_line("the request's line", |line| line.contains("\"url.path\"").then(|| line.to_owned()));
        program.end();
        (said, log)
    };
    for adapter in ADAPTERS {
        for scheme in ["h2", "https"] {
            let backend = format!("{scheme}://localhost:{port}");
            let arguments = ["--adapter", adapter, "--backend", &backend, "--backend-ca", &ca];
            let (said, _) = ask(&arguments, "/page");
            assert!(said.starts_with("HTTP/2 200 ") && said.ends_with(&PAGE.repeat(20_000)), "{said:.400}");
        }
        // It is who it says; nobody vouches for that.
        let backend = format!("h2://localhost:{port}");
        let (said, log) =
            ask(&["--adapter", adapter, "--backend", &backend, "--backend-ca", &other], "/page");
        assert!(said.starts_with("HTTP/2 502 ") && said.contains("tls_certificate_error"), "{said:.400}");
        assert!(log.contains("the certificate is of an unknown issuer"), "{log}");
        // Somebody vouches for somebody else.
        let backend = format!("h2://127.0.0.1:{port}");
        let (said, log) = ask(&["--adapter", adapter, "--backend", &backend, "--backend-ca", &ca], "/page");
        assert!(said.starts_with("HTTP/2 502 "), "{said:.400}");
        assert!(log.contains("the certificate is not for this name"), "{log}");
        let (said, _) = ask(&["--adapter", adapter, "--backend", &backend, "--backend-insecure"], "/page");
        assert!(said.starts_with("HTTP/2 200 "), "{said:.400}");
    }
    // Killed, it would leave its workers behind.
    process.signal("TERM");
    process.wait();
}

pub(crate) fn nghttpd_behind(peers: &Peers) {
    behind(peers, "nghttpd", &|folder, port| {
        let mut command = peers.command("nghttpd");
        command.arg("-a").arg("127.0.0.1").arg("-d").arg(&folder.0).arg(port.to_string());
        command.arg(folder.0.join("key.pem")).arg(folder.0.join("cert.pem"));
        command
    });
}

pub(crate) fn nginx_behind(peers: &Peers) {
    behind(peers, "nginx", &|folder, port| {
        let server = format!(
            "listen 127.0.0.1:{port} ssl http2; ssl_certificate {0}/cert.pem; ssl_certificate_key {0}/key.pem;",
            folder.0.display()
        );
        nginx_with(peers, folder, &server)
    });
}

pub(crate) fn apache_behind(peers: &Peers) {
    behind(peers, "apache2", &|folder, port| {
        let lines = format!(
            "Protocols h2 http/1.1\nSSLEngine on\nSSLCertificateFile {0}/cert.pem\nSSLCertificateKeyFile {0}/key.pem\n",
            folder.0.display()
        );
        apache_with(peers, folder, port, &["http2", "socache_shmcb", "ssl"], &lines)
    });
}
