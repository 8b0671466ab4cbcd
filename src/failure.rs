//! How the program fails: one message with help on stderr, and an exit code.

use std::fmt;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use shuntyard_adapter::{BindError, Difference, ReplayError};
use shuntyard_core::address::Address;
use shuntyard_core::config::ConfigError;

use crate::admin;
use crate::config::Refused;
use crate::diagnostics::{self, LogFormat};
use crate::tls::{BadFile, Trouble};

/// What to do where a socket was not passed.
pub(crate) const NOT_PASSED: &str = "the name is FileDescriptorName= of a .socket unit that belongs to the service; without systemd, name an address";

/// Why the program ends otherwise than well. Bad usage is not among it: what reads the command line ends the program, with 2, or with 1 for `health`.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An address could not be taken.
    Listen { address: Address, error: io::Error },
    /// The name of an address to listen on stands for nothing.
    ListenName { name: String, reason: String },
    /// Nobody has opened the sockets to listen on that should have been.
    NotPassed { name: String, reason: String },
    /// The admin address is none that is served.
    AdminAddress { reason: admin::Refused },
    /// One address for two, one of whom may have it as a part of another one.
    SharedAddress { address: Address, within: Option<Address>, between: &'static str },
    /// A configuration file with errors, or none.
    Refused(Refused),
    /// A value outside its range.
    Config(ConfigError),
    /// The system refused something that the program cannot do without.
    System { what: &'static str, error: io::Error },
    /// The file of the access log could not be opened.
    AccessLog { file: PathBuf, error: io::Error },
    /// The file of a recording could not be made.
    Recording { file: PathBuf, error: io::Error },
    /// As many certificates as keys are needed.
    KeysUnpaired { certs: usize, keys: usize },
    /// A file of TLS that cannot be used.
    Tls(BadFile),
    /// A recording cannot be replayed.
    Replay { file: PathBuf, error: ReplayError },
    /// A replay went another way than what was recorded.
    ReplayDiffers { difference: Difference, version: String },
    /// The drain ran out of time, or nobody wanted it to go on.
    Cut { connections: u32, hurried: bool },
    /// A gateway that was asked how it is is not well, or nobody knows.
    Unwell { reason: String },
    /// The demo saw that these promises do not hold.
    PromisesBroken { names: Vec<&'static str> },
    /// More than one of these: whoever mends one need not start again to hear of the next.
    Several(Vec<Self>),
}

/// What has failed so far, where the rest is looked at all the same.
#[derive(Debug, Default)]
pub(crate) struct Failures(Vec<Failure>);

impl Failures {
    /// What there is, or else one failure more. What was said already is not said again: two listeners may have the same files.
    pub(crate) fn take<T>(&mut self, result: Result<T, impl Into<Failure>>) -> Option<T> {
        let failure = match result {
            Ok(value) => return Some(value),
            Err(failure) => failure.into(),
        };
        let several = match failure {
            Failure::Several(several) => several,
            one => vec![one],
        };
        for failure in several {
            if !self.0.iter().any(|other| other.to_string() == failure.to_string()) {
                self.0.push(failure);
            }
        }
        None
    }

    /// The value, if all went well, this last result included.
    pub(crate) fn or<T>(mut self, last: Result<T, impl Into<Failure>>) -> Result<T, Failure> {
        match self.take(last) {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(self.into_one()),
        }
    }

    /// All of them as one.
    pub(crate) fn into_one(mut self) -> Failure {
        match self.0.pop() {
            Some(only) if self.0.is_empty() => only,
            last => {
                self.0.extend(last);
                Failure::Several(self.0)
            }
        }
    }
}

impl Failure {
    /// 1: it failed; 3: requests were cut; 78 (EX_CONFIG): starting it again won't help.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }

    fn code(&self) -> u8 {
        match self {
            // What cannot pass is in the way however much else may.
            Self::Several(several) => several.iter().map(Self::code).max().unwrap_or(1),
            // A name that has no address now may have one later, as at a boot before the network is there.
            Self::ListenName { .. } => 1,
            Self::Refused(refused) if refused.may_pass() => 1,
            // So may files that somebody else writes.
            Self::Tls(bad) if bad.may_pass() => 1,
            Self::Listen { .. }
            | Self::System { .. }
            | Self::Unwell { .. }
            | Self::PromisesBroken { .. }
            | Self::AccessLog { .. }
            | Self::Recording { .. }
            | Self::Replay { .. }
            | Self::ReplayDiffers { .. } => 1,
            Self::Cut { .. } => 3,
            // Whoever starts it again passes the same.
            Self::NotPassed { .. }
            | Self::AdminAddress { .. }
            | Self::SharedAddress { .. }
            | Self::Refused(_)
            | Self::Tls(_)
            | Self::KeysUnpaired { .. }
            | Self::Config(_) => 78,
        }
    }

    /// Whether a file of a configuration is refused.
    pub(crate) fn is_of_file(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            Self::Several(several) => several.iter().any(Self::is_of_file),
            _ => false,
        }
    }

    /// The message, as it is written to stderr.
    pub(crate) fn message(&self, format: LogFormat) -> String {
        if let Self::Several(several) = self {
            return several.iter().map(|failure| failure.message(format)).collect();
        }
        let refused = match self {
            Self::Refused(refused) => Some(refused),
            _ => None,
        };
        if format == LogFormat::Json {
            let details = refused.map(|refused| refused.draw(false));
            return diagnostics::last([
                ("message", Some(self.to_string())),
                ("help", self.help()),
                ("details", details),
            ]);
        }
        if let Some(refused) = refused {
            return refused.draw(colour());
        }
        let [red, cyan, plain] = if colour() { ["\x1b[1;31m", "\x1b[1;36m", "\x1b[0m"] } else { [""; 3] };
        let help = self.help().map(|help| format!("  = {cyan}help{plain}: {help}\n"));
        format!("{red}error{plain}: {self}\n{}", help.unwrap_or_default())
    }

    /// What to do.
    pub(crate) fn help(&self) -> Option<String> {
        match self {
            Self::Listen { address, error } => listen_help(address, error),
            Self::ListenName { .. } => {
                Some("listen on an address of this machine, as in 127.0.0.1:8080 or [::]:8080".to_owned())
            }
            Self::NotPassed { .. } => Some(NOT_PASSED.to_owned()),
            Self::AdminAddress { reason: admin::Refused::Remote(_) } => Some(
                "whoever can reach it sees everything; listen on 127.0.0.1, or say --admin-allow-remote"
                    .to_owned(),
            ),
            Self::Tls(BadFile { trouble: Trouble::Mismatch, .. }) | Self::KeysUnpaired { .. } => {
                Some("--cert and --key belong together in pairs, in their order".to_owned())
            }
            Self::Tls(bad) => Some(bad.trouble.help().to_owned()),
            Self::AdminAddress { reason: admin::Refused::NoPort } => {
                Some("write HOST:PORT, as in 127.0.0.1:9901: Unix sockets and those of systemd are not served there".to_owned())
            }
            Self::SharedAddress { .. } => Some("each of them needs an address, or a port, of its own".to_owned()),
            Self::Refused(_)
            | Self::Several(_)
            | Self::Config(_)
            | Self::System { .. }
            | Self::Unwell { .. }
            | Self::PromisesBroken { .. } => None,
            Self::AccessLog { error, .. } | Self::Recording { error, .. } => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                    Some("the folder of the file must be there".to_owned())
                }
                io::ErrorKind::IsADirectory => Some("name a file in it".to_owned()),
                io::ErrorKind::PermissionDenied => {
                    Some("the file, or its folder, must be writable for the user of this program".to_owned())
                }
                _ => None,
            },
            // What was told to --record is not quite the name of a file.
            Self::Replay { file, .. } => first_of(file)
                .filter(|first| !file.exists() && first.exists())
                .map(|first| format!("each worker has a file of its own: {}", first.display())),
            Self::ReplayDiffers { version, .. } => Some(format!(
                "it was recorded by version {version}, this is {}; of the same build it is a defect, and the \
                 recording shows it",
                env!("CARGO_PKG_VERSION")
            )),
            Self::Cut { hurried: true, .. } => None,
            Self::Cut { hurried: false, .. } => Some("a longer --drain-timeout lets them finish".to_owned()),
        }
    }
}

/// The first file of a recording.
fn first_of(file: &Path) -> Option<PathBuf> {
    let mut name = file.file_name()?.to_owned();
    name.push(".0");
    Some(file.with_file_name(name))
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { address, error } => write!(f, "cannot listen on {address}: {}", plainly(error)),
            Self::ListenName { name, reason } | Self::NotPassed { name, reason } => {
                write!(f, "cannot listen on {name}: {reason}")
            }
            Self::AdminAddress { reason: admin::Refused::NoPort } => {
                f.write_str("the admin address is none of HOST:PORT")
            }
            Self::AdminAddress { reason: admin::Refused::Remote(address) } => {
                write!(f, "the admin address {address} can be reached from other machines")
            }
            Self::SharedAddress { address, within, between } => {
                write!(f, "{between} cannot share {address}")?;
                within.iter().try_for_each(|within| write!(f, ", which {within} takes along"))
            }
            Self::Refused(refused) => f.write_str(&refused.brief()),
            Self::Several(several) => {
                let all: Vec<_> = several.iter().map(Self::to_string).collect();
                f.write_str(&all.join("; "))
            }
            Self::Config(error) => error.fmt(f),
            Self::System { what, error } => write!(f, "{what}: {}", plainly(error)),
            Self::AccessLog { file, error } => {
                write!(f, "cannot open the access log {}: {}", file.display(), plainly(error))
            }
            Self::Recording { file, error } => {
                write!(f, "cannot record to {}: {}", file.display(), plainly(error))
            }
            Self::KeysUnpaired { certs, keys } => {
                write!(f, "--cert is there {certs} times, --key {keys} times")
            }
            Self::Tls(BadFile { path, reason, .. }) => write!(f, "{}: {reason}", path.display()),
            Self::Replay { file, error } => write!(f, "{}: {error}", file.display()),
            Self::ReplayDiffers { difference: Difference { input, at, what, panics }, .. } => {
                let seconds = at.as_nanos() as f64 / 1e9;
                let how = if *panics { "the gateway panics" } else { "the replay goes another way" };
                write!(f, "{how} at input {input}, at {seconds:.6} s: {what}")
            }
            Self::Unwell { reason } => f.write_str(reason),
            Self::PromisesBroken { names } => write!(f, "promises were broken: {}", names.join("; ")),
            Self::Cut { connections: 1, .. } => {
                f.write_str("1 connection was cut before its requests were done")
            }
            Self::Cut { connections, .. } => {
                write!(f, "{connections} connections were cut before their requests were done")
            }
        }
    }
}

impl From<BindError> for Failure {
    fn from(error: BindError) -> Self {
        match error {
            BindError::Config(error) => Self::Config(error),
            BindError::Listen { address, error } => Self::Listen { address, error },
            BindError::Recording { file, error } => Self::Recording { file, error },
            BindError::Poll(error) => Self::System { what: "cannot poll", error },
            other => Self::System { what: "cannot serve", error: io::Error::other(other) },
        }
    }
}

/// Whether stderr shows colour (<https://no-color.org>).
fn colour() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The system's words in lower case and without a number, where the cause has a name.
pub(crate) fn plainly(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::AddrInUse => "address already in use".to_owned(),
        io::ErrorKind::AddrNotAvailable => "address not available".to_owned(),
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network is unreachable".to_owned(),
        io::ErrorKind::TimedOut => "connection timed out".to_owned(),
        _ => error.to_string(),
    }
}

fn listen_help(address: &Address, error: &io::Error) -> Option<String> {
    let help = match (error.kind(), address) {
        (io::ErrorKind::PermissionDenied, Address::Inet(address)) if address.port() < 1024 => {
            "ports below 1024 need CAP_NET_BIND_SERVICE; take a higher one, or \
             `setcap cap_net_bind_service=+ep` on the program"
                .to_owned()
        }
        (io::ErrorKind::PermissionDenied, Address::Unix(_)) => {
            "the folder must be writable for this user".to_owned()
        }
        (io::ErrorKind::AddrInUse, Address::Inet(address)) => {
            format!("`ss -ltnp 'sport = :{}'` shows who listens there", address.port())
        }
        (io::ErrorKind::AddrInUse, Address::Unix(path)) => {
            format!("somebody answers there, or {path} is not a socket")
        }
        (io::ErrorKind::AddrNotAvailable, _) => "`ip address` shows this machine's addresses".to_owned(),
        _ => return None,
    };
    Some(help)
}
