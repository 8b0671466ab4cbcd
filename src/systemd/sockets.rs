//! Sockets that whoever started the program has opened for it, each with a name (socket activation, sd_listen_fds(3)). They stay open when this process ends, so
//! that nobody is refused until the next one takes them.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::sync::{Arc, OnceLock};

use listenfd::ListenFd;
use shuntyard_adapter::{ListenSocket, Opened};
use shuntyard_core::address::Address;

use crate::settings::Settings;

/// More than anybody opens: a number beyond is a mistake.
const MAX: usize = 1024;
/// What a socket is called whose name was not passed, as sd_listen_fds_with_names(3) has it.
const UNKNOWN: &str = "unknown";

/// What was passed to this process, once somebody has looked. A process inherits them once, and so do all who read configurations in it.
static PASSED: OnceLock<Vec<Passed>> = OnceLock::new();

/// A descriptor that was passed.
#[derive(Debug)]
struct Passed {
    name: String,
    /// Or why nobody can be accepted there, in words.
    found: Result<Opened, String>,
}

/// Takes what was passed. Until then, as in a check, nobody knows: that is for the program that serves, and before it has a second thread, for the
/// environment changes by it.
pub(crate) fn take() {
    PASSED.get_or_init(|| {
        let of = |name| std::env::var(name).ok();
        let (count, names) = (of("LISTEN_FDS"), of("LISTEN_FDNAMES"));
        let names = names_of(count.as_deref(), names.as_deref());
        if names.is_empty() {
            return Vec::new();
        }
        let mut passed = ListenFd::from_env();
        // None where they are for another process (LISTEN_PID).
        let names = names.into_iter().enumerate().take(passed.len());
        let mut all: Vec<Passed> =
            names.map(|(at, name)| Passed { found: opened_at(&mut passed, at, &name), name }).collect();
        refuse_doubles(&mut all);
        all
    });
}

/// Listeners are told apart by their addresses. Of two sockets with one (ReusePort=yes) nobody would accept from the second.
fn refuse_doubles(passed: &mut [Passed]) {
    let mut seen = BTreeSet::new();
    for Passed { found, .. } in passed {
        if let Ok(opened) = found
            && !seen.insert(opened.address.to_string())
        {
            *found = Err(format!("another socket that was passed listens on {}, too", opened.address));
        }
    }
}

/// A name for each of so many descriptors.
fn names_of(count: Option<&str>, names: Option<&str>) -> Vec<String> {
    let count = count.and_then(|count| count.parse().ok()).filter(|count| *count <= MAX).unwrap_or(0);
    let named = names.into_iter().flat_map(|names| names.split(':')).map(|name| match name {
        "" => UNKNOWN,
        name => name,
    });
    named.chain(std::iter::repeat(UNKNOWN)).take(count).map(str::to_owned).collect()
}

fn opened_at(passed: &mut ListenFd, at: usize, name: &str) -> Result<Opened, String> {
    let in_words = |error: io::Error| error.to_string();
    let nothing = || "it is no socket that listens, of TCP or Unix".to_owned();
    // What is no socket of these kinds is left where it is.
    if let Ok(Some(socket)) = passed.take_tcp_listener(at) {
        let address = Address::Inet(socket.local_addr().map_err(in_words)?);
        return is_listening(&socket).then(|| of(address, ListenSocket::Tcp(socket))).ok_or_else(nothing);
    }
    if let Ok(Some(socket)) = passed.take_unix_listener(at) {
        let address =
            Address::Unix(unix_name(&socket).unwrap_or_else(|| format!("{}#{at}", stand_in(name))).into());
        return is_listening(&socket).then(|| of(address, ListenSocket::Unix(socket))).ok_or_else(nothing);
    }
    Err(nothing())
}

fn of(address: Address, socket: ListenSocket) -> Opened {
    Opened { address, socket: Arc::new(socket) }
}

/// One end of a connection is passed likewise (Accept=yes), and is a socket of the same kind.
#[cfg(target_os = "linux")]
fn is_listening(socket: &impl AsFd) -> bool {
    socket2::SockRef::from(socket).is_listener().unwrap_or(false)
}

#[cfg(not(target_os = "linux"))]
fn is_listening(_: &impl AsFd) -> bool {
    true
}

/// Its path. Names in the abstract namespace have another form.
fn unix_name(socket: &UnixListener) -> Option<String> {
    socket.local_addr().ok()?.as_pathname()?.to_str().map(str::to_owned)
}

/// What stands for the address of a socket of this name where there is none to be seen.
fn stand_in(name: &str) -> String {
    format!("fd:{name}")
}

/// Where the sockets of this name listen: systemd may pass several by one. An error says why there are none, in words. Where nobody has looked whether any
/// were passed, they may be.
pub(crate) fn addresses(name: &str) -> Result<Vec<Address>, String> {
    match PASSED.get() {
        Some(passed) => find(passed, name),
        None => Ok(vec![Address::Unix(stand_in(name).into())]),
    }
}

fn find(passed: &[Passed], name: &str) -> Result<Vec<Address>, String> {
    let mut addresses = Vec::new();
    for Passed { found, .. } in passed.iter().filter(|passed| passed.name == name) {
        let address = &found.as_ref().map_err(String::clone)?.address;
        if !addresses.contains(address) {
            addresses.push(address.clone());
        }
    }
    if !addresses.is_empty() {
        return Ok(addresses);
    }
    let names: BTreeSet<_> = passed.iter().map(|passed| &*passed.name).collect();
    Err(if names.is_empty() {
        "no socket was passed to this process".to_owned()
    } else {
        let names: Vec<_> = names.into_iter().collect();
        format!("no socket was passed by this name; passed were: {}", names.join(", "))
    })
}

/// All that were passed and can be accepted from.
pub(crate) fn opened() -> Vec<Opened> {
    PASSED.get().into_iter().flatten().filter_map(|passed| passed.found.clone().ok()).collect()
}

/// Those of them that listeners of these settings take.
pub(crate) fn used(settings: &Settings) -> Vec<Opened> {
    opened().into_iter().filter(|opened| serves(settings, &opened.address)).collect()
}

fn serves(settings: &Settings, address: &Address) -> bool {
    settings.listen.contains(address) || settings.listen_tls.iter().any(|(other, _)| other == address)
}

/// What was passed and is no listener of these settings, by name. Whoever connects there waits for nobody.
pub(crate) fn unused(settings: &Settings) -> BTreeSet<&'static str> {
    let is_used =
        |passed: &&Passed| passed.found.as_ref().is_ok_and(|opened| serves(settings, &opened.address));
    let passed = PASSED.get().into_iter().flatten();
    passed.filter(|passed| !is_used(passed)).map(|passed| &*passed.name).collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn passed(name: &str, port: Option<u16>) -> Passed {
        let opened = |port: u16| {
            let socket = TcpListener::bind("127.0.0.1:0").unwrap();
            of(Address::Inet(([127, 0, 0, 1], port).into()), ListenSocket::Tcp(socket))
        };
        Passed { name: name.to_owned(), found: port.map(opened).ok_or_else(|| "it is none".to_owned()) }
    }

    #[test]
    fn each_descriptor_has_a_name() {
        assert_eq!(names_of(Some("2"), Some("a:b")), ["a", "b"]);
        assert_eq!(names_of(Some("3"), Some("a:b")), ["a", "b", UNKNOWN]);
        assert_eq!(names_of(Some("1"), Some("a:b")), ["a"]);
        assert_eq!(names_of(Some("1"), None), [UNKNOWN]);
        assert_eq!(names_of(Some("3"), Some("a::c")), ["a", UNKNOWN, "c"]);
        for count in [None, Some("0"), Some("-1"), Some("4000000000"), Some("x")] {
            assert!(names_of(count, Some("a")).is_empty(), "{count:?}");
        }
    }

    #[test]
    fn sockets_are_found_by_name() {
        let all =
            [passed("https", Some(1)), passed("http", Some(2)), passed("http", Some(3)), passed("log", None)];
        let ports = |name: &str| {
            let port = |address| match address {
                Address::Inet(address) => address.port(),
                Address::Unix(_) => 0,
            };
            find(&all, name).map(|found| found.into_iter().map(port).collect::<Vec<_>>())
        };
        assert_eq!((ports("https"), ports("http")), (Ok(vec![1]), Ok(vec![2, 3])));
        assert_eq!(ports("log"), Err("it is none".to_owned()));
        let named = "no socket was passed by this name; passed were: http, https, log";
        assert_eq!(ports("htps"), Err(named.to_owned()));
        assert_eq!(find(&[], "http"), Err("no socket was passed to this process".to_owned()));
    }

    /// A check does not know what will be passed to the program.
    #[test]
    fn nobody_has_looked_in_a_check() {
        assert_eq!(addresses("http"), Ok(vec![Address::Unix("fd:http".into())]));
    }
}
