//! What `run` reads and looks up before it takes anything, and `check` likewise: both refuse the same.

use std::net::SocketAddr;

use shuntyard_core::address::Address;

use crate::address::overlaps;
use crate::failure::Failure;
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
    pub(crate) fn new(settings: &Settings) -> Result<Self, Failure> {
        let observe = &settings.observe;
        let admin = observe.admin.as_ref().map(|admin| admin_address(admin, observe.admin_allow_remote));
        let admin = admin.transpose()?;
        share_nothing(settings, admin)?;
        // What changes while it is being read is read again.
        let fronts = settings.listen_tls.iter().map(|(address, files)| Front::load(address.clone(), files));
        let fronts = fronts.collect::<Result<_, BadFile>>()?;
        Ok(Self { fronts, upstreams: Upstreams::load(settings.back_tls.clone())?, admin })
    }
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
