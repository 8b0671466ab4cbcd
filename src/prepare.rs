//! What `run` reads and looks up before it takes anything, and `check` likewise: both refuse the same.

use std::net::SocketAddr;

use shuntyard_core::address::Address;

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

/// An address is taken once.
fn share_nothing(settings: &Settings, admin: Option<SocketAddr>) -> Result<(), Failure> {
    let secure = || settings.listen_tls.iter().map(|(address, _)| address);
    let to_be_picked = |address: &Address| matches!(address, Address::Inet(at) if at.port() == 0);
    let shared =
        |address: &Address, between| Err(Failure::SharedAddress { address: address.clone(), between });
    if let Some(both) = secure().find(|address| settings.listen.contains(address) && !to_be_picked(address)) {
        return shared(both, "a listener with TLS and one without");
    }
    let admin = admin.map(Address::Inet).filter(|address| !to_be_picked(address));
    match admin {
        Some(admin) if settings.listen.iter().chain(secure()).any(|address| *address == admin) => {
            shared(&admin, "a listener and the admin address")
        }
        _ => Ok(()),
    }
}
