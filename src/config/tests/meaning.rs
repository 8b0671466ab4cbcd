use std::time::Duration;

use shuntyard_core::address::Address;
use shuntyard_core::config::{
    Balance, Config, HeaderRule, Host, HostPattern, PathPattern, Protocol, Saturation, Scope, UpstreamConfig,
};

use super::{FromFile, parsed, snapshot, valid};
use crate::cli::Adapter;
use crate::config::Flags;
use crate::config::reference::{LEAST, reference};
use crate::config::section::{Report, Standing};
use crate::log::Destination;
use crate::tls::{ClientFiles, Clients, IdentityFiles};

#[test]
fn three_lines_are_enough_and_all_else_is_the_cores_default() {
    let mut upstream = UpstreamConfig::new("app", vec![Address::Inet("127.0.0.1:9000".parse().unwrap())]);
    let mut expected = Config::of_upstream(upstream.clone());
    expected.routes[0].name = "*".into();
    assert_eq!(valid(LEAST).config, expected);
    let Address::Inet(listen) = &valid(LEAST).listen[0] else { panic!("a Unix socket") };
    assert_eq!((listen.port(), listen.ip().is_unspecified()), (8080, true));

    let without_listen = LEAST.lines().skip(2).collect::<Vec<_>>().join("\n");
    assert_eq!(valid(&without_listen).listen, []);
    upstream.share = Scope::None;
    assert_eq!(valid(&format!("{LEAST}share = \"none\"\n")).config.upstreams, [upstream]);
}

/// What holds for another protocol than is spoken stands in nobody's way.
#[test]
fn what_is_kept_is_held_against_what_is_spoken() {
    let kept = |endpoint: &str, connections: &str| {
        let text = LEAST.replace("127.0.0.1:9000", endpoint);
        let config = valid(&format!("{text}connections = {{ {connections} }}\n")).config;
        config.upstreams[0].connections_min
    };
    assert_eq!(kept("http://127.0.0.1:9000", "min = 100, max = 16, max_http1 = 256"), 100);
    assert_eq!(kept("h2c://127.0.0.1:9000", "min = 10, max_http1 = 2"), 10);
}

#[test]
fn a_client_may_have_half_of_all_connections_where_nobody_says_how_many() {
    let share = |limits: &str| {
        let FromFile { config, share_written, .. } = valid(&format!("[limits]\n{limits}\n{LEAST}"));
        (config.max_fronts_per_client, share_written)
    };
    assert_eq!(share(""), (25_000, false));
    assert_eq!(share("max_connections = 1000"), (500, false));
    assert_eq!(share("max_connections = 1"), (1, false));
    assert_eq!(share("max_connections = 1000000"), (25_000, false));
    assert_eq!(share("max_connections_per_client = 2000"), (2000, true));
    // As the reference has it, whose reader need not have meant it.
    assert_eq!(share("max_connections_per_client = 25000"), (25_000, false));
}

/// Every value is another than the default, so each of them has arrived.
#[test]
fn every_key_arrives_where_it_belongs() {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/config/full.toml")).unwrap();
    let file = valid(&text);
    assert_eq!((file.adapter, file.workers.unwrap().get()), (Adapter::Tokio, 3));
    assert_eq!((file.ready_delay, file.drain_timeout), (Duration::from_secs(6), Duration::from_secs(7)));
    let observe = &file.observe;
    assert_eq!(observe.admin.as_ref().map(ToString::to_string).as_deref(), Some("0.0.0.0:9901"));
    assert_eq!(observe.access_log, Some(Destination::File("/var/log/shuntyard.json".into())));
    assert!(observe.admin_allow_remote == Some(true) && observe.access_log_query == Some(true));
    assert_eq!(
        file.listen,
        [
            Address::Inet("127.0.0.1:8443".parse().unwrap()),
            Address::Inet("[::1]:8443".parse().unwrap()),
            Address::Unix("/run/shuntyard.sock".into())
        ]
    );
    let Config { front, backend, timeouts, upstreams, routes, .. } = &file.config;
    assert_eq!(file.config.via, "yard-1");
    let told = &file.config.forwarding;
    assert_eq!((told.x_forwarded, told.forwarded, told.obfuscate), (false, true, true));
    let trusted: Vec<_> = told.trusted.iter().map(ToString::to_string).collect();
    assert_eq!(
        (trusted, file.config.via_in_responses),
        (vec!["10.0.0.0/8".into(), "::1".into(), "unix".into()], false)
    );
    assert_eq!(file.config.max_fronts, 500);
    let only: Vec<_> = file.config.listeners.iter().map(|listener| listener.only).collect();
    assert_eq!(only, [Some(Protocol::Http2); 3]);
    let introduced: Vec<_> = file.config.listeners.iter().map(|listener| listener.introduced).collect();
    assert_eq!(introduced, [false, true, false]);
    assert_eq!((front.max_concurrent_streams, backend.max_concurrent_streams), (50, 1));
    assert_eq!([front.max_header_list_size, backend.max_header_list_size], [32 << 10; 2]);
    assert_eq!([front.max_fields, backend.max_fields], [64; 2]);
    assert_eq!([front.max_continuations, backend.max_continuations], [4; 2]);
    assert_eq!(backend.max_interim_responses, 8);
    assert_eq!([front.max_settings, backend.max_settings], [16; 2]);
    assert_eq!([front.max_queued_control_frames, backend.max_queued_control_frames], [500; 2]);
    assert_eq!([front.outbox_high_mark, backend.outbox_high_mark], [64 << 10; 2]);
    assert_eq!([front.misuse_max, backend.misuse_max], [5000; 2]);
    assert_eq!((front.initial_window_size, front.connection_window_size), (128 << 10, 2 << 20));
    assert_eq!((backend.initial_window_size, backend.connection_window_size), (256 << 10, 4 << 20));
    assert_eq!(backend.stream_window_max, 512 << 10);
    assert_eq!(file.config.ledger_front_octets, 32 << 20);
    assert_eq!((file.config.ledger_octets, file.config.upload_ledger_octets), (2 << 30, 64 << 20));
    assert_eq!((file.config.replay_ledger_octets, file.config.head_ledger_octets), (16 << 20, 32 << 20));
    assert_eq!(file.config.replay_front_octets, 1 << 20);
    let times = [
        timeouts.preface,
        timeouts.field_block,
        timeouts.front_idle,
        timeouts.backend_idle,
        timeouts.connect,
        timeouts.response,
        timeouts.stream_idle,
        timeouts.write_stall,
        timeouts.linger,
        timeouts.front_age,
        timeouts.backend_age,
        timeouts.suspect_idle,
        timeouts.suspect_silent,
        timeouts.ping,
    ];
    assert_eq!(times, [11, 24, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23].map(Duration::from_secs));

    assert_eq!(routes.len(), 3);
    assert_eq!(&*routes[0].name, "api");
    assert_eq!(routes[0].host, HostPattern::Exact("api.example.com".into()));
    assert_eq!(routes[0].path, PathPattern::Prefix("/v1/".into()));
    assert_eq!((routes[0].authority.as_deref(), routes[0].map_back), (Some("api.internal:8080"), false));
    assert_eq!(routes[0].replace_errors, [500, 503]);
    assert_eq!((&*routes[0].upstream, routes[0].timeout), ("api", Some(Duration::from_secs(15))));
    let upgrades: Vec<_> = routes[0].upgrades.iter().map(|upgrade| &**upgrade).collect();
    assert_eq!((upgrades, routes[0].connect), (vec!["websocket", "irc"], false));
    assert_eq!((routes[1].upgrades.len(), routes[1].connect), (1, true));
    // RFC 9110 section 7.8: a protocol may have a version.
    let versioned = valid(
        "[[route]]\nupgrades = [\"tls/1.0\"]\nupstream = \"app\"\n[upstream.app]\nendpoints = [\"app:80\"]\n",
    );
    assert_eq!(*versioned.config.routes[0].upgrades, ["tls/1.0".into()]);
    let told = |rules: &[HeaderRule]| -> Vec<String> {
        let told = |rule: &HeaderRule| match rule {
            HeaderRule::Set { name, value } => format!("{name} = {value}"),
            HeaderRule::Add { name, value } => format!("{name} + {value}"),
            HeaderRule::Remove { name } => format!("- {name}"),
        };
        rules.iter().map(told).collect()
    };
    let expected = ["- x-debug", "x-env = test", "x-forwarded-proto = http", "x-tag + a", "x-tag + b"];
    assert_eq!(told(&routes[0].request_headers), expected);
    let expected = ["- server", "x-served-by = yard", "cache-control + no-store"];
    assert_eq!(told(&routes[0].response_headers), expected);
    assert_eq!(&*routes[1].name, "*.example.com/ping");
    assert_eq!(routes[1].host, HostPattern::Below("example.com".into()));
    assert_eq!(routes[1].path, PathPattern::Exact("/ping".into()));
    assert_eq!(
        (&*routes[2].name, &routes[2].host, &routes[2].path),
        ("*", &HostPattern::Any, &PathPattern::Any)
    );

    let [api, site] = &upstreams[..] else { panic!("two upstreams") };
    assert_eq!((&*api.name, api.balance, api.share), ("api", Balance::RoundRobin, Scope::Client));
    assert_eq!((api.on_saturation, api.assumed_streams), (Saturation::Queue, 10));
    assert_eq!((api.connections_min, api.connections_max, api.http1_connections_max), (1, 8, 80));
    assert_eq!((api.queue_max, api.queue_timeout), (1000, Duration::from_secs(9)));
    assert_eq!((api.retry.attempts, api.retry.unprocessed_attempts), (3, 5));
    assert_eq!((api.retry.budget_percent, api.retry.replay_octets), (29, 32 << 10));
    let hosts: Vec<_> = api.endpoints.iter().map(|endpoint| endpoint.host.to_string()).collect();
    assert_eq!(hosts, ["10.0.0.11:8443", "[2001:db8::1]:8443", "unix:/run/api.sock", "api.internal:8443"]);
    assert!(matches!(api.endpoints[3].host, Host::Name { port: 8443, .. }));
    let protocols: Vec<_> = api.endpoints.iter().map(|endpoint| endpoint.protocol).collect();
    assert_eq!(protocols, [Protocol::Http1, Protocol::Http1, Protocol::Http1, Protocol::Http2]);
    assert_eq!(site.on_saturation, Saturation::Refuse);
    assert_eq!(
        UpstreamConfig { endpoints: Vec::new(), on_saturation: Saturation::Dial, ..site.clone() },
        UpstreamConfig::new("site", Vec::new())
    );
}

#[test]
fn the_reference_is_a_configuration_that_says_the_defaults() {
    assert_eq!(valid(&reference()), valid(LEAST));
    snapshot("reference", &reference());
}

/// A key that the full example lacks would not be held by the test above it.
#[test]
fn the_reference_and_the_full_example_have_every_key() {
    let mut report = Report::default();
    super::super::read(LEAST, &Flags::default(), &mut report).unwrap();
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/config/full.toml")).unwrap();
    let (full, mut full_report) = (text.clone(), Report::default());
    super::super::read(&full, &Flags::default(), &mut full_report).unwrap();
    let reference = reference();
    let mut keys = 0;
    for section in &report.declared {
        assert!(reference.contains(&section.header), "{}", section.header);
        for key in &section.keys {
            let hidden = if section.optional { "# " } else { "" };
            let line = match &key.standing {
                Standing::Default(value) | Standing::Required(value) => {
                    format!("\n{hidden}{} = {value}\n", key.name)
                }
                Standing::Absent(value) => format!("\n# {} = {value}\n", key.name),
            };
            assert!(reference.contains(&line), "{line}");
            let there = text.lines().any(|line| line.starts_with(&format!("{} = ", key.name)));
            // What TLS needs is in files that the example does not have.
            assert!(there || section.optional, "{}", key.name);
            keys += 1;
        }
        for (name, _) in &section.later {
            assert!(reference.contains(&format!("# not yet: {name} (")), "{name}");
        }
        // Whatever is read in it, be it a key, a section, or a list of sections that nobody has written.
        let stands = |name: &str| {
            let path = [section.header.trim_matches(['[', ']']), name].join(".");
            let path = path.trim_start_matches('.');
            let forms = [
                format!("{name} = "),
                format!("[{path}]"),
                format!("[{path}."),
                format!("not yet: {name} ("),
            ];
            forms.iter().any(|form| reference.contains(form))
        };
        for name in &section.known {
            assert!(stands(name), "{name} in {}", section.header);
        }
    }
    assert!(keys > 40, "{keys}");
}

#[test]
fn a_listener_with_tls() {
    let folder = std::env::temp_dir().join(format!("shuntyard-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let made = ["a.example", "b.example"].map(|name| {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let cert = file(&format!("{name}.pem"), &made.cert.pem());
        IdentityFiles { cert, key: file(&format!("{name}.key"), &made.signing_key.serialize_pem()) }
    });
    let text = |key: &std::path::Path| {
        format!(
            "[[listen]]\naddress = \"127.0.0.1:1\"\nprotocols = [\"http/1.1\", \"h2\"]\n[listen.tls]\n\
             cert = {0:?}\nkey = {key:?}\nclient_auth = \"optional\"\nclient_ca = {0:?}\n\
             [[listen.tls.certificates]]\ncert = {1:?}\nkey = {2:?}\n\
             [[listen.tls.by_name]]\nnames = [\"*.Admin.example\"]\nclient_auth = \"required\"\nclient_ca = {1:?}\n{3}",
            made[0].cert,
            made[1].cert,
            made[1].key,
            LEAST.split_once("[[route]]").map(|(_, rest)| format!("[[route]]{rest}")).unwrap(),
        )
    };
    let read = valid(&text(&made[0].key));
    let wrong = parsed(&text(&made[1].key)).unwrap_err().draw(false);
    let _ = std::fs::remove_dir_all(&folder);
    let [(address, files)] = &read.listen_tls[..] else { panic!("{read:?}") };
    assert_eq!((address.to_string(), read.listen.len()), ("127.0.0.1:1".to_owned(), 0));
    assert_eq!(files.identities, made);
    assert_eq!(files.protocols, [Protocol::Http1, Protocol::Http2]);
    let shown = |clients, ca: &IdentityFiles| ClientFiles { clients, ca: Some(ca.cert.clone()) };
    assert_eq!(files.clients, shown(Clients::Optional, &made[0]));
    let names = vec![HostPattern::Below("admin.example".into())];
    assert_eq!(files.by_name, [(names.clone(), shown(Clients::Required, &made[1]))]);
    assert_eq!(read.config.listeners[0].groups.0, [names]);
    assert!(wrong.contains("certificate and key do not match"), "{wrong}");
}

/// Those in clear are bound first, whatever the file's order, and port 0 is there as often as it likes: each keeps what is said of it.
#[test]
fn listeners_with_port_0_keep_what_is_said_of_each() {
    let folder = std::env::temp_dir().join(format!("shuntyard-listeners-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let listener = |more: &str| format!("[[listen]]\naddress = \"127.0.0.1:0\"\n{more}");
    let tls = format!("tls = {{ cert = {cert:?}, key = {key:?} }}\n");
    let text = [
        listener(&format!("accept_proxy_protocol = true\nprotocols = [\"h2\"]\n{tls}")),
        listener("protocols = [\"http/1.1\"]\n"),
        listener(&tls),
        listener("accept_proxy_protocol = true\n"),
        LEAST.split_once("[[route]]").map(|(_, rest)| format!("[[route]]{rest}")).unwrap(),
    ];
    let read = valid(&text.concat());
    let _ = std::fs::remove_dir_all(&folder);
    assert_eq!((read.listen.len(), read.listen_tls.len()), (2, 2));
    let said: Vec<_> = read.config.listeners.iter().map(|of| (of.introduced, of.only)).collect();
    let (http1, http2) = (Some(Protocol::Http1), Some(Protocol::Http2));
    assert_eq!(said, [(false, http1), (true, None), (true, http2), (false, None)]);
}

/// A head that may be large may come in the frames that it takes, and has a buffer in which it is whole over HTTP/1.1.
#[test]
fn a_large_list_size_brings_what_it_takes() {
    let of = |limits: &str| valid(&format!("{LEAST}\n[limits]\n{limits}")).config;
    let config = of("max_header_list_size = \"1MiB\"");
    assert_eq!([config.front.max_continuations, config.backend.max_continuations], [128; 2]);
    assert_eq!(config.recv_buffer_octets, 2 << 20);
    let config = of("max_header_list_size = \"1MiB\"\nmax_continuations = 9");
    assert_eq!(config.front.max_continuations, 9, "who says so has it so");
    let config = of("max_header_list_size = \"32KiB\"");
    let default = Config::new(Vec::new());
    assert_eq!(config.front.max_continuations, default.front.max_continuations);
    assert_eq!(config.recv_buffer_octets, default.recv_buffer_octets);
}

/// The keys' ranges are those of the core: at both ends it takes the value.
#[test]
fn ranges_are_those_of_the_core() {
    let mut report = Report::default();
    super::super::read(LEAST, &Flags::default(), &mut report).unwrap();
    let mut tried = 0;
    for section in &report.declared {
        for key in &section.keys {
            let Some((_, range)) = key.kind.split_once(", ") else { continue };
            let Some((min, rest)) = range.split_once(" to ") else { continue };
            let max = rest.split([' ', ')']).next().unwrap();
            for value in [min, max] {
                let number = value.bytes().all(|octet| octet.is_ascii_digit() || octet == b'.');
                let value = if number { value.to_owned() } else { format!("\"{value}\"") };
                let value = if key.kind.starts_with("list") { format!("[{value}]") } else { value };
                let line = format!("{} = {value}\n", key.name);
                let companion = match key.name {
                    // What must not be less than the other one.
                    "max" if section.header.ends_with("connections]") => "",
                    "min" => "max = 1024\n",
                    "stream_window" | "response_window" => {
                        "response_memory_per_client = \"4GiB\"\nresponse_memory = \"4GiB\"\n"
                    }
                    "response_memory" | "response_memory_per_client" | "response_window_max" => {
                        "response_window = \"1B\"\n"
                    }
                    "head_memory" => "max_header_list_size = \"256B\"\n",
                    "replay_buffer" => {
                        "[limits]\nreplay_memory = \"1GiB\"\nreplay_memory_per_client = \"1GiB\"\n"
                    }
                    _ => "",
                };
                let text = match section.header.as_str() {
                    "" => format!("{line}{LEAST}"),
                    "[[listen]]" => continue,
                    "[[route]]" => LEAST.replace("[[route]]\n", &format!("[[route]]\n{line}")),
                    "[upstream.app]" => format!("{LEAST}{line}"),
                    header => format!("{LEAST}{header}\n{line}{companion}"),
                };
                valid(&text);
                tried += 1;
            }
        }
    }
    assert!(tried > 60, "{tried}");
}

#[test]
fn the_same_path_on_other_hosts_is_no_contradiction() {
    let routes = "\
        [[route]]\nhost = \"a.example.com\"\npath = \"/v1\"\nupstream = \"app\"\n\
        [[route]]\nhost = \"*.example.com\"\npath = \"/v1\"\nupstream = \"app\"\n\
        [[route]]\nhost = \"example.com\"\npath = \"/v1\"\nupstream = \"app\"\n\
        [[route]]\nhost = \"example.com\"\npath = \"/v1/\"\nupstream = \"app\"\n\
        [[route]]\npath = \"/v1/\"\nupstream = \"app\"\n\
        [[route]]\nupstream = \"app\"\n[upstream.app]\nendpoints = [\"a:1\"]\n";
    assert_eq!(valid(routes).config.routes.len(), 6);
}

#[test]
fn an_error_is_no_panic_whatever_the_text_is() {
    // Every beginning of a text, and every text with an octet less.
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/config/full.toml")).unwrap();
    for (at, _) in text.char_indices() {
        for text in [text[..at].to_owned(), format!("{}{}", &text[..at], &text[at + 1..])] {
            if let Err(refused) = parsed(&text) {
                assert!(refused.draw(false).contains("error[G0"), "{text}");
            }
        }
    }
}

/// Flags have others in their place: an address that this machine has not, or files that are elsewhere, keep no start from what it was told to do. What
/// contradicts itself does so all the same.
#[test]
fn listeners_that_flags_replace_need_neither_addresses_nor_files() {
    let of = |text: &str| {
        let flags = Flags { names_listeners: true, ..Flags::default() };
        super::super::read(text, &flags, &mut Report::default())
    };
    let upstream = LEAST.lines().skip(2).collect::<Vec<_>>().join("\n");
    let text = format!(
        "[[listen]]\naddress = \"nosuch.invalid:443\"\ntls = {{ cert = \"/no/cert.pem\", key = \"/no/key.pem\" }}\n{upstream}"
    );
    let found = of(&text).unwrap();
    assert_eq!((found.written.len(), found.listen.len(), found.listen_tls.len()), (1, 0, 0));
    assert!(of(&text.replace("key.pem\" }", "key.pem\" }\nprotocols = [\"h2c\"]")).is_err());
    assert!(parsed(&text).is_err(), "without flags they are what is served");
}
