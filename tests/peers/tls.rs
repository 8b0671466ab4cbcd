//! TLS between the program and real clients: by name, by ALPN, resumed, refused.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use rcgen::CertificateParams;

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
        let tls = ["--listen-tls", "127.0.0.1:0", "--cert", &cert, "--key", &key, "--access-log", "-"];
        let program = Program::start(&[&["--adapter", adapter, &flag, &url], &tls[..]].concat());
        let port = port_of(&program);
        let secured = Secured { program, place: format!("localhost:{port}") };
        test(&secured);
        secured.program.end();
    }
}

impl Secured {
    /// A request came over a connection that has taken an earlier session up again.
    fn resumed(&self) {
        self.program.process.find_line("a session that was resumed", |line| {
            line.contains(r#""tls.resumed":true"#).then_some(())
        });
    }
}

/// A client that checks everything by itself, and whose second connection takes the session of the first up again.
fn works(peers: &Peers, client: impl Fn() -> Command) {
    let files = Files::new();
    everywhere(peers, &files, |secured| {
        fine("over TLS", client().arg(&secured.place).arg(files.ca()).arg(files.0.path("")));
        secured.resumed();
    });
}

pub(crate) fn curl(peers: &Peers) {
    let files = Files::new();
    everywhere(peers, &files, |secured| {
        let Secured { program, place } = secured;
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
        // Two connections, of which the second need not prove anything again, in either version.
        for version in ["1.2", "1.3"] {
            let close = ["--http1.1", "-H", "connection: close", "--tls-max", version, "--cacert", &ca];
            let twice = [&close[..], &["-v", "-o", "/dev/null", &url, &url]].concat();
            let output = run(peers.command("curl").args(["-sS", "-o", &files.path("got")]).args(twice));
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(
                said.contains("SSL re-using session ID") || said.contains("SSL reusing session"),
                "{said}"
            );
        }
        secured.resumed();
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
    everywhere(peers, &files, |Secured { place, program }| {
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
        // A name that nobody has is shown the first certificate: who insists ends it, with the word for that and one line.
        let elsewhere = ["-servername", "elsewhere.test", "-verify_hostname", "elsewhere.test"];
        let said = talk(&[&elsewhere[..], &["-verify_return_error"]].concat(), "");
        assert!(said.contains("ostname mismatch"), "{said}");
        let line = "failed: the peer sent the alert bad_certificate";
        program.process.find_line("a line about the name", |told| told.ends_with(line).then_some(()));
        assert_eq!(program.process.log().lines().filter(|told| told.ends_with(line)).count(), 1);
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

/// How a server behind the program speaks TLS.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// HTTP/2, or HTTP/1.1.
    Either,
    /// By ALPN it chooses nothing but HTTP/1.1.
    Http1,
}

/// A server with TLS behind the program: what it answers, and what becomes of one that cannot be trusted.
fn behind(peers: &Peers, name: &str, server: &dyn Fn(&Served, u16, Manner) -> Command) {
    let folder = Served::new(&format!("tls-{name}"));
    let (authority, stranger) = (Authority::new(), Authority::new());
    let show = |change: &dyn Fn(&mut CertificateParams)| {
        let (cert, key) = authority.issue_pem(&["localhost"], change);
        folder.write("cert.pem", cert);
        folder.write("key.pem", key);
    };
    show(&|_| {});
    folder.write("page", PAGE.repeat(20_000));
    let ca = folder.write("ca.pem", authority.pem()).display().to_string();
    let other = folder.write("other.pem", stranger.pem()).display().to_string();
    let (mut process, port) = start(name, &|port| server(&folder, port, Manner::Either));
    for adapter in ADAPTERS {
        for scheme in ["h2", "https"] {
            let (said, _) =
                ask(peers, adapter, &format!("{scheme}://localhost:{port}"), &["--backend-ca", &ca]);
            assert!(said.starts_with("HTTP/2 200 ") && said.ends_with(&PAGE.repeat(20_000)), "{said:.400}");
        }
        let refused = |url: &str, ca: &str, word: &str, reason: &str| {
            is_refused(peers, adapter, (url, ca), word, reason)
        };
        // It is who it says; nobody vouches for that.
        let (url, word) = (format!("h2://localhost:{port}"), "tls_certificate_error");
        refused(&url, &other, word, "the certificate is of an unknown issuer");
        // Somebody vouches for somebody else.
        let url = format!("h2://127.0.0.1:{port}");
        refused(&url, &ca, word, "the certificate is not for this name");
        let (said, _) = ask(peers, adapter, &url, &["--backend-insecure"]);
        assert!(said.starts_with("HTTP/2 200 "), "{said:.400}");
    }
    // Killed, it would leave its workers behind.
    process.signal("TERM");
    process.wait();
    show(&|params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 2, 1);
    });
    let (mut process, port) = start(name, &|port| server(&folder, port, Manner::Either));
    for adapter in ADAPTERS {
        let url = format!("h2://localhost:{port}");
        is_refused(peers, adapter, (&url, &ca), "tls_certificate_error", "the certificate has expired");
    }
    process.signal("TERM");
    process.wait();
}

/// A server that chooses HTTP/1.1: asked for HTTP/2 and nothing else it says that there is nothing in common, or says nothing of it; asked for either
/// it is spoken to in that.
fn chooses_http1(
    peers: &Peers,
    name: &str,
    (word, reason): (&str, &str),
    server: &dyn Fn(&Served, u16, Manner) -> Command,
) {
    let folder = Served::new(&format!("tls-http1-{name}"));
    let authority = Authority::new();
    let (cert, key) = authority.issue_pem(&["localhost"], |_| {});
    folder.write("cert.pem", cert);
    folder.write("key.pem", key);
    folder.write("page", PAGE);
    let ca = folder.write("ca.pem", authority.pem()).display().to_string();
    let (mut process, port) = start(name, &|port| server(&folder, port, Manner::Http1));
    for adapter in ADAPTERS {
        let url = format!("h2://localhost:{port}");
        is_refused(peers, adapter, (&url, &ca), word, reason);
        let (said, log) = ask(peers, adapter, &format!("https://localhost:{port}"), &["--backend-ca", &ca]);
        assert!(said.starts_with("HTTP/2 200 ") && said.ends_with(PAGE), "{said:.400} {log}");
    }
    process.signal("TERM");
    process.wait();
}

/// Asks for the page by the program in front of this backend: what came, and the line in the log.
fn ask(peers: &Peers, adapter: &str, backend: &str, more: &[&str]) -> (String, String) {
    let arguments = ["--access-log", "-", "--adapter", adapter, "--backend", backend];
    let program = Program::start(&[&arguments, more].concat());
    let url = program.url("/page");
    let output = run(peers.command("curl").args(["-sS", "-i", "--http2-prior-knowledge", &url]));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let log = program
        .process
        .find_line("the request's line", |line| line.contains("\"url.path\"").then(|| line.to_owned()));
    program.end();
    (said, log)
}

/// A backend with which TLS fails is 502, with RFC 9209's word for the client, and that with its reason in the log.
#[track_caller]
fn is_refused(peers: &Peers, adapter: &str, (url, ca): (&str, &str), word: &str, reason: &str) {
    let (said, log) = ask(peers, adapter, url, &["--backend-ca", ca]);
    assert!(said.starts_with("HTTP/2 502 ") && said.contains(word), "{said:.400}");
    let error = format!("\"error\":\"{word}\",\"error_reason\":\"{reason}\"");
    assert!(log.contains(&error), "{error}: {log}");
}

pub(crate) fn nghttpd_behind(peers: &Peers) {
    behind(peers, "nghttpd", &|folder, port, _| {
        let mut command = peers.command("nghttpd");
        command.arg("-a").arg("127.0.0.1").arg("-d").arg(&folder.0).arg(port.to_string());
        command.arg(folder.0.join("key.pem")).arg(folder.0.join("cert.pem"));
        command
    });
}

pub(crate) fn nginx_behind(peers: &Peers) {
    let server = |folder: &Served, port: u16, manner: Manner| {
        let http2 = if manner == Manner::Http1 { "" } else { "http2" };
        let server = format!(
            "listen 127.0.0.1:{port} ssl {http2}; ssl_certificate {0}/cert.pem; ssl_certificate_key {0}/key.pem;",
            folder.0.display()
        );
        nginx_with(peers, folder, &server)
    };
    behind(peers, "nginx", &server);
    let refusal = ("tls_alert_received", "the peer sent the alert no_application_protocol");
    chooses_http1(peers, "nginx", refusal, &server);
}

pub(crate) fn apache_behind(peers: &Peers) {
    let server = |folder: &Served, port: u16, manner: Manner| {
        let protocols = if manner == Manner::Http1 { "http/1.1" } else { "h2 http/1.1" };
        let lines = format!(
            "Protocols {protocols}\nSSLEngine on\nSSLCertificateFile {0}/cert.pem\nSSLCertificateKeyFile {0}/key.pem\n",
            folder.0.display()
        );
        apache_with(peers, folder, port, &["http2", "socache_shmcb", "ssl"], &lines)
    };
    behind(peers, "apache2", &server);
    let refusal = ("tls_protocol_error", "no application protocol in common (ALPN)");
    chooses_http1(peers, "apache2", refusal, &server);
}
