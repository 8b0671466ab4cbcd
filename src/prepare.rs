//! What `run` reads and looks up before it takes anything, `check` likewise, and a reload as far as it goes: all refuse the same. All that is wrong is
//! told at once.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::Path;

use shuntyard_core::address::Address;

use crate::address::overlaps;
use crate::cli::ServeArgs;
use crate::failure::{Failure, Failures};
use crate::log::Destination;
use crate::observation::admin_address;
use crate::settings::{Settings, found, look_at_files};
use crate::tls::{Front, Upstreams};

/// What a start needs besides its settings.
pub(crate) struct Prepared {
    pub(crate) fronts: Vec<Front>,
    pub(crate) upstreams: Upstreams,
    pub(crate) admin: Option<SocketAddr>,
}

impl Prepared {
    /// What is to be served, and what that needs. Where that is not known, what flags alone name is looked at all the same.
    pub(crate) fn all(args: &ServeArgs) -> Result<(Settings, Self), Failure> {
        let mut failures = Failures::default();
        let settings = failures.take(Settings::new(args));
        if let Some(file) = &args.record.record {
            let there = has_folder(file).map_err(|error| Failure::Recording { file: file.clone(), error });
            failures.take(there);
        }
        let Some(settings) = settings else {
            look_at_flags(args, &mut failures);
            return Err(failures.into_one());
        };
        let prepared = failures.or(Self::new(&settings))?;
        Ok((settings, prepared))
    }

    /// Reads the files of TLS and looks up names. No address is taken, no file is written.
    fn new(settings: &Settings) -> Result<Self, Failure> {
        let mut failures = Failures::default();
        let admin = failures.take(look(settings)).flatten();
        let mut fronts = Vec::new();
        for (address, files) in &settings.listen_tls {
            // What changes while it is being read is read again.
            let loaded = Front::load(address.clone(), files);
            if loaded.is_err() {
                // That is the first that is bad.
                failures.take(files.check());
            }
            fronts.extend(failures.take(loaded));
        }
        let upstreams = Upstreams::load(settings.back_tls.clone());
        if upstreams.is_err() {
            settings.back_tls.values().for_each(|files| _ = failures.take(files.check()));
        }
        let upstreams = failures.take(upstreams);
        if let Some(upstreams) = &upstreams {
            failures.take(upstreams.backs().cover(&settings.config).map_err(Failure::Config));
        }
        match upstreams {
            Some(upstreams) => failures.or(Ok::<_, Failure>(Self { fronts, upstreams, admin })),
            None => Err(failures.into_one()),
        }
    }
}

/// What is wrong with flags, whatever else there may be.
fn look_at_flags(args: &ServeArgs, failures: &mut Failures) {
    let observe = &args.observe;
    failures.take(observe.access_log.iter().try_for_each(can_be_opened));
    // A file may allow others to reach it.
    let admin = observe.admin.as_ref().filter(|_| args.config.is_none());
    let admin = admin.map(|admin| admin_address(admin, observe.allows_remote())).transpose();
    let admin = failures.take(admin).flatten();
    look_at_files(args, failures);
    let (in_clear, secure) = (found(&args.listen, failures), found(&args.listen_tls, failures));
    share_nothing(&in_clear, &secure, admin, failures);
}

/// Where the access log and the admin address are, and whether all addresses are taken once. Says where the admin address is.
pub(crate) fn look(settings: &Settings) -> Result<Option<SocketAddr>, Failure> {
    let observe = &settings.observe;
    let mut failures = Failures::default();
    failures.take(observe.access_log.iter().try_for_each(can_be_opened));
    let admin = observe.admin.as_ref().map(|admin| admin_address(admin, observe.allows_remote()));
    let admin = failures.take(admin.transpose()).flatten();
    let secure: Vec<_> = settings.listen_tls.iter().map(|(address, _)| address.clone()).collect();
    share_nothing(&settings.listen, &secure, admin, &mut failures);
    failures.or(Ok::<_, Failure>(admin))
}

/// Whether the file of an access log is there, or its folder, as far as can be said without making it. A pipe is not opened: that would wait for its
/// reader.
pub(crate) fn can_be_opened(log: &Destination) -> Result<(), Failure> {
    let Destination::File(file) = log else { return Ok(()) };
    let opened = match fs::metadata(file) {
        Ok(found) if found.is_dir() || found.is_file() => {
            OpenOptions::new().append(true).open(file).map(drop)
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => has_folder(file),
        Err(error) => Err(error),
    };
    opened.map_err(|error| Failure::AccessLog { file: file.clone(), error })
}

/// Whether the folder of a file that is to be made is there.
fn has_folder(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = fs::metadata(folder.unwrap_or(Path::new(".")))?;
    if folder.is_dir() { Ok(()) } else { Err(ErrorKind::NotADirectory.into()) }
}

/// An address is taken once, whole or as a part of another one.
fn share_nothing(
    in_clear: &[Address],
    secure: &[Address],
    admin: Option<SocketAddr>,
    failures: &mut Failures,
) {
    let admin = admin.map(Address::Inet);
    let in_clear = in_clear.iter().map(|address| (address, Taker::InClear));
    let secure = secure.iter().map(|address| (address, Taker::Tls));
    let admin = admin.iter().map(|address| (address, Taker::Admin));
    let mut taken: Vec<(&Address, Taker)> = Vec::new();
    for (address, taker) in in_clear.chain(secure).chain(admin) {
        let shared = taken.iter().find(|(other, _)| overlaps(address, other));
        failures
            .take(shared.map_or(Ok(()), |(other, before)| Err(shared_by(other, address, before.and(taker)))));
        taken.push((address, taker));
    }
}

/// The admin address of a file is that of one of its listeners, or a part of it.
pub(crate) fn shared_with_admin(listener: &Address, admin: &Address) -> Failure {
    shared_by(listener, admin, Taker::InClear.and(Taker::Admin))
}

fn shared_by(other: &Address, address: &Address, between: &'static str) -> Failure {
    let (address, within) = match other {
        other if other == address => (address, None),
        other if is_unspecified(address) => (other, Some(address.clone())),
        other => (address, Some(other.clone())),
    };
    Failure::SharedAddress { address: address.clone(), within, between }
}

fn is_unspecified(address: &Address) -> bool {
    matches!(address, Address::Inet(address) if address.ip().is_unspecified())
}

/// Who takes an address.
#[derive(Clone, Copy)]
enum Taker {
    InClear,
    Tls,
    Admin,
}

impl Taker {
    /// Both of them, in words. They come in their order.
    fn and(self, next: Self) -> &'static str {
        match (self, next) {
            (_, Self::Admin) => "a listener and the admin address",
            (Self::InClear, Self::Tls) => "a listener with TLS and one without",
            _ => "two listeners",
        }
    }
}
