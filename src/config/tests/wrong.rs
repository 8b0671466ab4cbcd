//! Wrong configurations and what is said of them. The snapshots are meant to be read: a message that does not help is a
//! defect.

use super::{parsed, snapshot};
use crate::config::code::Code;

/// Each of these lines, put into a configuration that is right but for it.
fn told(cases: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (what, config) in cases {
        let refused = parsed(config).expect_err(what);
        text.push_str(&format!("=== {what}\n{}\n", refused.draw(false)));
    }
    text
}

/// A configuration with one more line under `[upstream.app]`.
macro_rules! upstream {
    ($line:literal) => {
        concat!("[[route]]\nupstream = \"app\"\n\n[upstream.app]\nendpoints = [\"app:80\"]\n", $line, "\n")
    };
}

/// A configuration with these endpoints.
macro_rules! endpoints {
    ($list:literal) => {
        concat!("[[route]]\nupstream = \"app\"\n[upstream.app]\nendpoints = ", $list, "\n")
    };
}

/// A configuration with one more line in its route.
macro_rules! route {
    ($line:literal) => {
        concat!("[[route]]\n", $line, "\nupstream = \"app\"\n[upstream.app]\nendpoints = [\"app:80\"]\n")
    };
}

/// A configuration with one more line in its listener.
macro_rules! listen {
    ($line:literal) => {
        concat!(
            "[[listen]]\naddress = \":80\"\n",
            $line,
            "\n[[route]]\nupstream = \"app\"\n[upstream.app]\nendpoints = [\"app:80\"]\n"
        )
    };
}

#[test]
fn what_is_not_toml() {
    snapshot(
        "not_toml",
        &told(&[
            ("a time without quotes", upstream!("[limits]\nidle_timeout = 10s")),
            ("a list without end", endpoints!("[\"app:80\"")),
            ("a key twice", upstream!("share = \"none\"\nshare = \"client\"")),
            ("a section twice", upstream!("[upstream.app]")),
            ("a bracket is missing", "[[route]\nupstream = app\n[upstream.app]\nendpoints = [\"app:80\"]\n"),
        ]),
    );
}

#[test]
fn keys_that_nobody_reads_or_misses() {
    snapshot(
        "keys",
        &told(&[
            ("a key that is misspelt", upstream!("on_saturatoin = \"queue\"")),
            ("a key of another section", upstream!("idle_timeout = \"10s\"")),
            (
                "a key of a group of the section, whose upstream has a name of its own",
                "[[route]]\nupstream = \"a.b\"\n[upstream.\"a.b\"]\nendpoints = [\"app:80\"]\ntimeout = \"1s\"\nmax = 3\n",
            ),
            ("a key that two other sections have", upstream!("[limits]\ncert = \"a.pem\"")),
            ("another upstream's key in a section without one", upstream!("[limits]\nmax_http1 = 1")),
            ("a name that others have for a key", upstream!("max_connections = 7")),
            ("likewise in any section", upstream!("[limits]\ndrain_timeout = \"1s\"")),
            ("what is a queue's among limits", upstream!("[limits]\nqueue_timeout = \"1s\"")),
            ("a key behind a section", upstream!("workers = 4")),
            ("a key that is nowhere", upstream!("colour = \"red\"")),
            (
                "a section that is misspelt",
                "[[listener]]\naddress = \":80\"\n[[route]]\nupstream = \"app\"\n[upstream.app]\nendpoints = [\"app:80\"]\n",
            ),
            ("an inline key that is misspelt", upstream!("queue = { mx = 3 }")),
            (
                "an address is missing",
                "[[listen]]\nprotocols = [\"h2c\"]\n[[route]]\nupstream = \"app\"\n[upstream.app]\nendpoints = [\"app:80\"]\n",
            ),
            ("endpoints are missing", "[[route]]\nupstream = \"app\"\n[upstream.app]\nshare = \"none\"\n"),
            (
                "a route without upstream",
                "[[route]]\npath = \"/\"\n[upstream.app]\nendpoints = [\"app:80\"]\n",
            ),
            ("an empty file", ""),
        ]),
    );
}

#[test]
fn values_of_another_type() {
    snapshot(
        "types",
        &told(&[
            ("a number in quotes", upstream!("[limits]\nmax_connections = \"100\"")),
            ("a time without unit", upstream!("[limits]\nidle_timeout = 10")),
            ("a size without unit", upstream!("[limits]\nmax_header_list_size = 65536")),
            ("a text for a list", endpoints!("\"app:80\"")),
            ("a number for an endpoint", endpoints!("[\"app:80\", 81]")),
            (
                "one bracket for a list of sections",
                "[route]\nupstream = \"app\"\n[upstream.app]\nendpoints = [\"app:80\"]\n",
            ),
            ("a text for a section", "[[route]]\nupstream = \"app\"\n[upstream]\napp = \"app:80\"\n"),
            ("a list for a section", upstream!("queue = [1, 2]")),
            ("a date", upstream!("assumed_streams = 2026-11-25")),
            ("a truth for a number", upstream!("retry = { budget = true }")),
        ]),
    );
}

#[test]
fn values_out_of_range() {
    snapshot(
        "ranges",
        &told(&[
            ("no connections", upstream!("connections = { max = 0 }")),
            ("0 is not off", upstream!("[limits]\nmax_concurrent_streams = 0")),
            ("no time", upstream!("[limits]\nresponse_timeout = \"0s\"")),
            ("too long a time", upstream!("[limits]\nconnect_timeout = \"2000h\"")),
            ("too small a size", upstream!("[limits]\nmax_header_list_size = \"1B\"")),
            ("too large a size", upstream!("[limits]\nresponse_window = \"2GiB\"")),
            ("a negative number", upstream!("assumed_streams = -1")),
            ("a number beyond all numbers", upstream!("assumed_streams = 99999999999999999999")),
            ("a budget in percent", upstream!("retry = { budget = 20 }")),
            ("a budget that is too fine", upstream!("retry = { budget = 0.125 }")),
            ("no endpoint", endpoints!("[]")),
            ("workers without number", concat!("workers = 0\n", upstream!(""))),
            ("less at most than at least", upstream!("connections = { min = 8, max = 4 }")),
            ("less at most than the default", upstream!("connections = { min = 20 }")),
            (
                "less at most of HTTP/1.1",
                upstream!("protocol = \"http/1.1\"\nconnections = { min = 10, max_http1 = 2 }"),
            ),
            (
                "less at most of what TLS may choose",
                upstream!("protocol = \"https\"\ntls = { insecure = true }\nconnections = { min = 300 }"),
            ),
            ("a CONNECT that leads elsewhere", route!("authority = \"app.internal\"\nconnect = true")),
            (
                "memory for no window of a client",
                upstream!("[limits]\nresponse_memory_per_client = \"1KiB\""),
            ),
            ("memory for no window", upstream!("[limits]\nresponse_memory = \"1KiB\"")),
            ("memory for no head", upstream!("[limits]\nhead_memory = \"1KiB\"")),
            ("a window that grows to less", upstream!("[limits]\nresponse_window_max = \"1KiB\"")),
            ("more kept than there is memory for", upstream!("retry = { replay_buffer = \"1MiB\" }")),
            ("no attempt", upstream!("retry = { attempts = 0 }")),
            ("via is no token", concat!("via = \"the yard\"\n", upstream!(""))),
            (
                "an upstream without a name",
                "[[route]]\nupstream = \"app\"\n[upstream.app]\nendpoints = [\"app:80\"]\n[upstream.\"\"]\nendpoints = [\"app:80\"]\n",
            ),
        ]),
    );
}

#[test]
fn values_that_are_written_otherwise() {
    snapshot(
        "forms",
        &told(&[
            ("a time with an unknown unit", upstream!("[limits]\nidle_timeout = \"10 min\"")),
            ("a time with a fraction", upstream!("[limits]\nidle_timeout = \"1.5s\"")),
            ("a size in thousands", upstream!("[limits]\nmax_header_list_size = \"64KB\"")),
            ("an endpoint with a scheme that is not served", endpoints!("[\"ftp://app:80\"]")),
            ("an endpoint without port", endpoints!("[\"app\", \"10.0.0.1:99999\"]")),
            ("no address of anybody", endpoints!("[\"10.0.0.256:80\"]")),
            ("an IPv6 address without brackets", endpoints!("[\"::1:80\"]")),
            (
                "a listener without port",
                "[[listen]]\naddress = \"127.0.0.1\"\n[[route]]\nupstream = \"app\"\n[upstream.app]\nendpoints = [\"app:80\"]\n",
            ),
            ("a host with a port", route!("host = \"api.example.com:443\"")),
            ("a star for all hosts", route!("host = \"*\"")),
            ("a star in the middle", route!("host = \"api.*.com\"")),
            ("a path without slash", route!("path = \"v1/\"")),
            ("a path with a star", route!("path = \"/v1/*\"")),
            ("a path with a query", route!("path = \"/v1?x\"")),
            (
                "rules for fields that are none",
                route!(
                    "request_headers = { remove = [\"x y\", \"Host\", \"Expect\"], set = { x-a = \" a\", x-b = [\"b\"] }, add = { x-c = 1 } }"
                ),
            ),
            ("a word that is misspelt", upstream!("balance = \"least_active\"")),
            ("a word that is unknown", upstream!("balance = \"random\"")),
            ("a protocol without its version", upstream!("protocol = \"http\"")),
            ("an upgrade that is never given", route!("upgrades = [\"h2c\"]")),
            ("upgrades to no protocols", route!("upgrades = [\"a/b/c\", \"\"]")),
        ]),
    );
}

#[test]
fn values_that_do_not_go_together() {
    snapshot(
        "together",
        &told(&[
            (
                "an upstream that is misspelt",
                "[[route]]\nupstream = \"appp\"\n\n[upstream.app]\nendpoints = [\"app:80\"]\n",
            ),
            (
                "an upstream that is nowhere",
                "[[route]]\nupstream = \"site\"\n\n[upstream.app]\nendpoints = [\"app:80\"]\n",
            ),
            ("no route", "[upstream.app]\nendpoints = [\"app:80\"]\n"),
            ("a doubled listener", listen!("[[listen]]\naddress = \":80\"")),
            ("a listener within another", listen!("[[listen]]\naddress = \"127.0.0.1:80\"")),
            ("a listener without address", listen!("[[listen]]\naddress = \"nobody.invalid:80\"")),
            ("an admin address for everybody", concat!("[admin]\naddress = \":9901\"\n", upstream!(""))),
            (
                "an admin address without port",
                concat!("[admin]\naddress = \"unix:/run/admin\"\n", upstream!("")),
            ),
            ("a doubled endpoint", endpoints!("[\"10.0.0.1:80\", \"10.0.0.2:80\", \"10.0.0.1:80\"]")),
            (
                "a route behind one for all",
                "[[route]]\nupstream = \"app\"\n[[route]]\npath = \"/v1/\"\nupstream = \"app\"\n[upstream.app]\nendpoints = [\"app:80\"]\n",
            ),
            (
                "a route behind one of which nobody knows what it serves",
                "[[route]]\nhost = \"a b\"\nupstream = \"app\"\n[[route]]\npath = \"/v1/\"\nupstream = \"app\"\n[upstream.app]\nendpoints = [\"app:80\"]\n",
            ),
            (
                "a route behind a shorter path",
                "[[route]]\nhost = \"*.b.c\"\npath = \"/v1/\"\nupstream = \"app\"\n[[route]]\nhost = \"a.b.c\"\npath = \"/v1/a/b\"\nupstream = \"app\"\n[upstream.app]\nendpoints = [\"app:80\"]\n",
            ),
        ]),
    );
}

#[test]
fn features_that_are_not_there_yet() {
    snapshot(
        "not_yet",
        &told(&[
            ("trust by listener", listen!("trusted_proxies = [\"10.0.0.0/8\"]")),
            ("connections of all workers", upstream!("share = \"process\"")),
            ("outlier detection", upstream!("[upstream.app.outlier]\nmax_ejection_percent = 10")),
            ("discovery", upstream!("discover = { file = \"site.json\" }")),
            ("another access log", upstream!("[access_log]\npath = \"-\"\nformat = \"combined\"")),
        ]),
    );
}

#[test]
fn what_is_wrong_with_tls() {
    snapshot(
        "tls",
        &told(&[
            ("no file", listen!("tls = { cert = \"/no/cert.pem\", key = \"/no/key.pem\" }")),
            ("no certificate", listen!("tls = { cert = \"Cargo.toml\", key = \"Cargo.toml\" }")),
            ("not a file", listen!("tls = { cert = \"/dev/zero\", key = \"/dev/zero\" }")),
            ("no key is named", listen!("tls = { cert = \"Cargo.toml\" }")),
            (
                "in clear over TLS",
                listen!("protocols = [\"h2c\"]\ntls = { cert = \"Cargo.toml\", key = \"Cargo.toml\" }"),
            ),
            ("TLS without TLS", listen!("protocols = [\"h2\"]")),
            ("of an upstream in clear", upstream!("tls = { server_name = \"app\" }")),
            ("authorities", upstream!("protocol = \"h2\"\ntls = { ca = \"Cargo.toml\" }")),
            (
                "nobody is asked",
                upstream!("protocol = \"h2\"\ntls = { ca = \"Cargo.toml\", insecure = true }"),
            ),
            (
                "who a socket is",
                "[[route]]\nupstream = \"app\"\n[upstream.app]\nendpoints = [\"h2://unix:/run/app\"]\n",
            ),
            ("who nobody can be", upstream!("protocol = \"h2\"\ntls = { server_name = \"a b\" }")),
            ("no authorities", upstream!("protocol = \"h2\"\ntls = { ca = \"/no/ca.pem\" }")),
            ("half of a pair", upstream!("protocol = \"https\"\ntls = { cert = \"Cargo.toml\" }")),
            (
                "whose clients",
                listen!("tls = { cert = \"Cargo.toml\", key = \"Cargo.toml\", client_auth = \"required\" }"),
            ),
            (
                "no client is asked",
                listen!("tls = { cert = \"Cargo.toml\", key = \"Cargo.toml\", client_ca = \"/no/ca.pem\" }"),
            ),
            (
                "no client is asked on purpose",
                listen!(
                    "tls = { cert = \"Cargo.toml\", key = \"Cargo.toml\", client_auth = \"off\", client_ca = \"/no/ca.pem\" }"
                ),
            ),
            (
                "names that weaken what is required",
                listen!(
                    "[listen.tls]\ncert = \"Cargo.toml\"\nkey = \"Cargo.toml\"\nclient_auth = \"required\"\nclient_ca = \"Cargo.toml\"\n[[listen.tls.by_name]]\nnames = [\"two.test\"]\nclient_ca = \"Cargo.toml\""
                ),
            ),
        ]),
    );
}

#[test]
fn all_errors_are_told_at_once_in_the_order_of_the_file() {
    let config = "\
        workers = \"many\"\n\
        [[listen]]\naddress = \"8080\"\ntls = {}\n\
        [[route]]\nhost = \"a b\"\nupstream = \"appp\"\n\
        [upstream.app]\nendpoints = [\"app\", 3]\nqueue = { max = 0, tiemout = \"1s\" }\n\
        [limits]\nidle_timeout = \"1\"\n";
    let refused = parsed(config).unwrap_err();
    assert_eq!(
        refused.codes(),
        [
            Code::WrongType,
            Code::NotAddress,
            Code::Missing,
            Code::Missing,
            Code::BadHost,
            Code::UpstreamUndefined,
            Code::NotAddress,
            Code::WrongType,
            Code::OutOfRange,
            Code::UnknownKey,
            Code::NotTime,
        ]
    );
    snapshot("at_once", &refused.draw(false));
}

#[test]
fn what_an_operator_wrote_does_nothing_to_a_terminal() {
    let refused = parsed("\"\\u001b[2J\" = 1\nvia = \"\\u001b]0;x\\u0007\"\n").unwrap_err();
    assert!(!refused.draw(false).contains(['\u{1b}', '\u{7}']), "{}", refused.draw(false));
    assert!(refused.draw(true).contains("\u{1b}["), "colour");
}

/// What stands in a file draws no line that looks like an error of its own.
#[test]
fn a_name_of_two_lines_is_one_error() {
    let forged = r#""a\nerror[G0001]: x""#;
    for config in [
        upstream!("").replace("\"app\"", forged),
        upstream!("").replace("\"app:80\"", forged),
        format!("{}{forged} = 1\n", upstream!("")),
        format!("{}share = {forged}\n", upstream!("")),
        upstream!("").replace("upstream = \"app\"", &format!("upstream = \"app\"\nhost = {forged}")),
    ] {
        let refused = parsed(&config).expect_err(&config);
        let (brief, drawn) = (refused.brief(), refused.draw(false));
        let heads = drawn.lines().filter(|line| line.starts_with("error[")).count();
        assert_eq!((heads, refused.codes().len()), (1, 1), "{drawn}");
        assert!(!brief.contains('\n'), "{brief}");
    }
}

/// A certificate that is asked for by nobody is no door that is shut.
#[test]
fn authorities_that_nobody_asks_are_refused_once() {
    let with = |said: &str| {
        let tls = format!("[listen.tls]\ncert = \"Cargo.toml\"\nkey = \"Cargo.toml\"\n{said}\n");
        let text = format!("[[listen]]\naddress = \":80\"\n{tls}{}", upstream!(""));
        parsed(&text).expect_err("Cargo.toml is no certificate").codes()
    };
    // Neither as one nor as its key.
    let certificate = Code::BadCertificate;
    assert_eq!(with("client_ca = \"c\""), [certificate, certificate, Code::Contradiction]);
    assert_eq!(
        with("client_auth = \"of\"\nclient_ca = \"c\""),
        [certificate, certificate, Code::UnknownWord]
    );
    let group = |said: &str| with(&format!("[[listen.tls.by_name]]\nnames = [\"a.test\"]\n{said}"));
    assert_eq!(group(""), [certificate, certificate, Code::Missing]);
    assert_eq!(group("client_ca = \"c\""), [certificate, certificate, Code::Missing]);
    assert_eq!(
        group("client_auth = \"off\"\nclient_ca = \"c\""),
        [certificate, certificate, Code::Contradiction]
    );
    assert_eq!(group("client_auth = \"off\""), [certificate, certificate]);
}

#[test]
fn a_line_says_how_many_errors_there_are_and_where_the_first_is() {
    let brief = |text: &str| parsed(text).unwrap_err().brief();
    let one = upstream!("balance = \"random\"");
    assert_eq!(brief(one), "1 error in shuntyard.toml: 6:11: `balance` cannot be \"random\" (G0006)");
    let two = upstream!("balance = \"random\"\nqueue = 1");
    assert_eq!(brief(two), "2 errors in shuntyard.toml: first 6:11: `balance` cannot be \"random\" (G0006)");
    assert_eq!(
        brief("[upstream.app]\nendpoints = [\"app:80\"]\n"),
        "1 error in shuntyard.toml: there is no [[route]]: every request would be answered 404 (G0102)"
    );
}
