//! The socket that a service manager hears on, and how often it wants to.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A manager that does not read must stop neither signals nor reloads.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where a service manager hears.
pub(super) struct Socket {
    address: SocketAddr,
    /// The last try has failed, which was said.
    failed: AtomicBool,
}

impl Socket {
    /// A path, or behind `@` a name in the abstract namespace of Linux.
    pub(super) fn named(name: &OsStr) -> io::Result<Self> {
        let address = match name.as_bytes() {
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            [b'@', name @ ..] => in_the_abstract(name)?,
            _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is neither /PATH nor @NAME")),
        };
        Ok(Self { address, failed: AtomicBool::new(false) })
    }

    /// Sends one message, from a socket of its own each time: the other end may have been made anew.
    pub(super) fn send(&self, message: &str) {
        let sent = UnixDatagram::unbound().and_then(|socket| {
            socket.set_write_timeout(Some(PATIENCE))?;
            socket.send_to_addr(message.as_bytes(), &self.address)
        });
        let had_failed = self.failed.swap(sent.is_err(), Ordering::Relaxed);
        if let Err(error) = sent
            && !had_failed
        {
            tracing::warn!("the service manager cannot be told how it goes: {error}");
        }
    }
}

#[cfg(target_os = "linux")]
fn in_the_abstract(name: &[u8]) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt as _;
    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn in_the_abstract(_: &[u8]) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}

/// How often a sign of life is due: twice in the time after which there has to be one (sd_watchdog_enabled(3)). `None`: nobody waits for any.
pub(super) fn watchdog_interval() -> Option<Duration> {
    let of = |name| std::env::var(name).ok();
    interval(of("WATCHDOG_USEC").as_deref(), of("WATCHDOG_PID").as_deref())
}

fn interval(usec: Option<&str>, pid: Option<&str>) -> Option<Duration> {
    // It may be meant for whoever has started this program.
    let is_ours = pid.is_none_or(|pid| pid.parse() == Ok(std::process::id()));
    let usec = usec?.parse().ok().filter(|usec| *usec > 0 && is_ours)?;
    Some(Duration::from_micros(usec) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_of_life_are_due_at_half_the_time() {
        let own = std::process::id().to_string();
        let half = Some(Duration::from_secs(15));
        assert_eq!(interval(Some("30000000"), None), half);
        assert_eq!(interval(Some("30000000"), Some(&own)), half);
        for (usec, pid) in [(None, None), (Some("0"), None), (Some("x"), None), (Some("30000000"), Some("1"))]
        {
            assert_eq!(interval(usec, pid), None, "{usec:?} {pid:?}");
        }
    }

    #[test]
    fn names_are_paths_or_abstract() {
        let named = |name: &str| Socket::named(OsStr::new(name)).map(|socket| socket.address);
        assert_eq!(named("/run/a").unwrap().as_pathname().and_then(|path| path.to_str()), Some("/run/a"));
        assert!(named("@a").unwrap().as_pathname().is_none());
        for wrong in ["a", "vsock:2:1", &format!("/{}", "a".repeat(200))] {
            assert!(named(wrong).is_err(), "{wrong}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_abstract_name_is_reached() {
        let name = format!("shuntyard-notify-{}", std::process::id());
        let hears = UnixDatagram::bind_addr(&in_the_abstract(name.as_bytes()).unwrap()).unwrap();
        hears.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Socket::named(OsStr::new(&format!("@{name}"))).unwrap().send("READY=1");
        let mut octets = [0; 16];
        let n = hears.recv(&mut octets).unwrap();
        assert_eq!(&octets[..n], b"READY=1");
    }
}
