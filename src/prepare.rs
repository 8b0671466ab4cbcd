//! What `run` reads and looks up before it takes anything, `check` likewise, and a reload as far as it goes: all refuse the same.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::Path;

use shuntyard_core::address::Address;

use crate::address::overlaps;
use crate::failure::Failure;
use crate::log::Destination;
use crate::observation::admin_address;
use crate::settings::Settings;
use crate::tls::{BadFile, Front, Upstreams};

/// What a start needs besides its settings.
pub(crate) struct Prepared {
    pub(crate) fronts: Vec<Front>,
    pub(crate) upstreams: Upstreams,
    pub(crate) admin: Option<SocketAddr>,
}

impl Prepared {
    /// Reads the files of TLS and looks up names. No address is taken, no file is written.
    pub(crate) fn new(settings: &Settings, recording: Option<&Path>) -> Result<Self, Failure> {
        let admin = look(settings)?;
        if let Some(file) = recording {
            has_folder(file).map_err(|error| Failure::Recording { file: file.to_owned(), error })?;
        }
        // What changes while it is being read is read again.
        let fronts = settings.listen_tls.iter().map(|(address, files)| Front::load(address.clone(), files));
        let fronts = fronts.collect::<Result<_, BadFile>>()?;
        Ok(Self { fronts, upstreams: Upstreams::load(settings.back_tls.clone())?, admin })
    }
}

/// Where the access log and the admin address are, and whether all addresses are taken once. Says where the admin address is.
pub(crate) fn look(settings: &Settings) -> Result<Option<SocketAddr>, Failure> {
    let observe = &settings.observe;
    observe.access_log.iter().try_for_each(can_be_opened)?;
    let admin = observe.admin.as_ref().map(|admin| admin_address(admin, observe.allows_remote()));
    let admin = admin.transpose()?;
    share_nothing(settings, admin)?;
    Ok(admin)
}

/// Whether the file of an access log is there, or its folder, as far as can be said without making it. A pipe is not opened: that would wait for its
/// reader.
fn can_be_opened(log: &Destination) -> Result<(), Failure> {
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
fn share_nothing(settings: &Settings, admin: Option<SocketAddr>) -> Result<(), Failure> {
    let admin = admin.map(Address::Inet);
    let in_clear = settings.listen.iter().map(|address| (address, Taker::InClear));
    let secure = settings.listen_tls.iter().map(|(address, _)| (address, Taker::Tls));
    let admin = admin.iter().map(|address| (address, Taker::Admin));
    let mut taken: Vec<(&Address, Taker)> = Vec::new();
    for (address, taker) in in_clear.chain(secure).chain(admin) {
        if let Some((other, before)) = taken.iter().find(|(other, _)| overlaps(address, other)) {
            let (address, within) = match *other {
                other if other == address => (address, None),
                other if is_unspecified(address) => (other, Some(address.clone())),
                other => (address, Some(other.clone())),
            };
            let between = before.and(taker);
            return Err(Failure::SharedAddress { address: address.clone(), within, between });
        }
        taken.push((address, taker));
    }
    Ok(())
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
