//! Certificates that change while the program serves, and those that clients show.

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use rcgen::{CertificateParams, DnType};

use crate::authority::Authority;
use crate::nghttpd::{Folder, Nghttpd};
use crate::process::{Process, run};
use crate::proxy_protocol::{configured, end};
use crate::runner::Peers;
use crate::scripts::{ADAPTERS, fine, python};

/// As whoever renews certificates does: what is read is the old file or the new one.
fn put(folder: &Folder, name: &str, content: impl AsRef<[u8]>) {
    std::fs::rename(folder.write("new", content), folder.path(name)).unwrap();
}

/// A folder with a page and with what a listener shows, signed by this authority.
fn folder(authority: &Authority) -> Folder {
    let folder = Folder::new();
    let (cert, key) = authority.issue_pem(&["localhost", "admin.test"], |_| {});
    [("cert.pem", cert), ("key.pem", key), ("ca.pem", authority.pem())]
        .into_iter()
        .for_each(|(name, content)| put(&folder, name, content));
    folder.write("page", "a page\n");
    folder
}

fn start(adapter: &str, folder: &Folder, nghttpd: &Nghttpd, more: &str) -> (Process, u16) {
    let path = |name: &str| folder.path(name).display().to_string();
    let file = format!(
        "[[listen]]\naddress = \"127.0.0.1:0\"\n[listen.tls]\ncert = {:?}\nkey = {:?}\n{more}\
         [[route]]\nupstream = \"app\"\n[upstream.app]\nendpoints = [\"127.0.0.1:{}\"]\n",
        path("cert.pem"),
        path("key.pem"),
        nghttpd.port
    );
    let (process, ports) = configured(adapter, folder, &file, 1);
    (process, ports[0])
}

/// How often somebody looks for what must come; what takes its time on a busy machine has it.
const LOOKS: usize = 1000;

/// Looks until it holds, with pauses.
fn look_for(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..LOOKS {
        if holds() {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("{what} never came");
}

/// No request fails, and the new one is served soon.
pub(crate) fn replaced_under_load(peers: &Peers) {
    for adapter in ADAPTERS {
        let folder = folder(&Authority::new());
        let nghttpd = Nghttpd::start(peers, &folder, &[]);
        let (gateway, port) = start(adapter, &folder, &nghttpd, "");
        let url = format!("https://localhost:{port}/page");
        let mut load = peers.command("h2load");
        load.args(["-D", "4", "-c", "4", "-m", "10", &url]).stdout(Stdio::piped()).stderr(Stdio::null());
        let load = load.spawn().unwrap();
        thread::sleep(Duration::from_millis(500));
        let next = Authority::new();
        let (cert, key) = next.issue_pem(&["localhost"], |_| {});
        put(&folder, "next.pem", next.pem());
        put(&folder, "key.pem", key);
        put(&folder, "cert.pem", cert);
        look_for("the new certificate", || {
            let mut curl = peers.command("curl");
            curl.args(["-sS", "--cacert"]).arg(folder.path("next.pem")).arg(&url);
            run(&mut curl).stdout == b"a page\n"
        });
        let said = String::from_utf8(load.wait_with_output().unwrap().stdout).unwrap();
        let requests = said.lines().find(|line| line.starts_with("requests:")).unwrap();
        assert!(requests.ends_with(" 0 failed, 0 errored, 0 timeout"), "{said}");
        assert!(!requests.contains(" 0 succeeded"), "{said}");
        end(gateway);
    }
}

/// Who shows which certificate for which name: alerts, lines, what is written down; and whom is trusted changes.
pub(crate) fn of_clients(peers: &Peers) {
    for adapter in ADAPTERS {
        let (clients, strangers) = (Authority::new(), Authority::new());
        let folder = folder(&Authority::new());
        put(&folder, "clients.pem", clients.pem());
        let named = |params: &mut CertificateParams| {
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, "Ann, a friend");
        };
        let issue = |name: &str, authority: &Authority, change: &dyn Fn(&mut CertificateParams)| {
            let (cert, key) = authority.issue_pem(&["client"], change);
            put(&folder, name, [cert, key].concat());
        };
        issue("known", &clients, &named);
        issue("strange", &strangers, &named);
        issue("expired", &clients, &|params| {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2020, 2, 1);
        });
        let nghttpd = Nghttpd::start(peers, &folder, &[]);
        let ca = folder.path("clients.pem").display().to_string();
        let more = format!(
            "client_auth = \"optional\"\nclient_ca = {ca:?}\n[[listen.tls.by_name]]\nnames = [\"admin.test\"]\n\
             client_auth = \"required\"\nclient_ca = {ca:?}\n"
        );
        let (gateway, port) = start(adapter, &folder, &nghttpd, &more);
        let ask = |host: &str, certificate: Option<&str>, more: &[&str]| {
            let mut curl = peers.command("curl");
            curl.args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--cacert"])
                .arg(folder.path("ca.pem"));
            curl.args(["--resolve", &format!("admin.test:{port}:127.0.0.1")]).args(more);
            certificate.iter().for_each(|name| _ = curl.arg("--cert").arg(folder.path(name)));
            let output = run(curl.arg(format!("https://{host}:{port}/page")));
            let [said, complaint] =
                [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap());
            (said, complaint)
        };
        let served = |host: &str, certificate: Option<&str>, more: &[&str]| ask(host, certificate, more).0;
        assert_eq!(served("localhost", None, &[]), "200");
        assert_eq!(served("localhost", Some("known"), &[]), "200");
        assert_eq!(served("admin.test", Some("known"), &[]), "200");
        gateway.find_line("what the client has shown", |line| {
            let shown = line.contains(r#""tls.client.subject":"CN=Ann\\, a friend""#);
            (shown && line.contains(r#""tls.client.server_name":"admin.test""#)).then_some(())
        });
        // One certificate for both names does not make what was shown for one good for the other.
        for version in ["--http2", "--http1.1"] {
            let host = ["-H", "host: admin.test", version];
            assert_eq!(served("localhost", Some("known"), &host), "421");
        }
        let turned_away = [
            ("admin.test", None, "certificate required", "no certificate was presented"),
            ("admin.test", Some("strange"), "unknown ca", "the certificate is of an unknown issuer"),
            ("admin.test", Some("expired"), "certificate expired", "the certificate has expired"),
        ];
        for (host, certificate, alert, line) in turned_away {
            // It waits for what the other side has to say.
            let mut openssl = peers.command("openssl");
            openssl.args([
                "s_client",
                "-ign_eof",
                "-servername",
                host,
                "-connect",
                &format!("127.0.0.1:{port}"),
            ]);
            if let Some(name) = certificate {
                openssl.arg("-cert").arg(folder.path(name)).arg("-key").arg(folder.path(name));
            }
            let complaint = String::from_utf8_lossy(&run(&mut openssl).stderr).into_owned();
            assert!(complaint.contains(alert), "{complaint}");
            gateway.find_line(line, |told| told.ends_with(line).then_some(()));
            assert_eq!(gateway.log().lines().filter(|told| told.ends_with(line)).count(), 1);
            // Who sends a request at once, as curl does, hears it all the same.
            let (said, complaint) = ask(host, certificate, &["--http2"]);
            assert!(said == "000" && complaint.contains(alert), "{said} {complaint}");
        }
        put(&folder, "clients.pem", strangers.pem());
        look_for("the new authorities", || served("admin.test", Some("strange"), &[]) == "200");
        assert_eq!(served("admin.test", Some("known"), &[]), "000");
        gateway.find_line("that they have changed", |line| {
            (line.contains("authorities of clients on 127.0.0.1:") && line.ends_with("hold from now on"))
                .then_some(())
        });
        end(gateway);
    }
}

/// A call by gRPC for a name that asks for certificates, over a connection that was made for another.
pub(crate) fn misdirected_call(peers: &Peers) {
    for adapter in ADAPTERS {
        let folder = folder(&Authority::new());
        put(&folder, "clients.pem", Authority::new().pem());
        let nghttpd = Nghttpd::start(peers, &folder, &[]);
        let more = format!(
            "[[listen.tls.by_name]]\nnames = [\"admin.test\"]\nclient_auth = \"required\"\nclient_ca = {:?}\n",
            folder.path("clients.pem").display().to_string()
        );
        let (gateway, port) = start(adapter, &folder, &nghttpd, &more);
        let mut call = python(peers, "grpc_misdirected.py");
        call.arg(format!("localhost:{port}")).arg(folder.path("ca.pem")).arg("admin.test");
        fine(adapter, &mut call);
        end(gateway);
    }
}
