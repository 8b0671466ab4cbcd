//! Certificates and keys in files: read, and held against each other. [`watch`] reads them again when they change.

mod expiry;
mod front;
mod held;
mod upstreams;
mod watch;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shuntyard_adapter::transport::{BackTls, ClientAuth, Identity, TlsConfigError, Trust, check_authorities};
use shuntyard_core::address::Address;
use shuntyard_core::config::{Config, HostPattern, Protocol, UpstreamConfig};

use crate::failure::{Failure, plainly};
pub(crate) use expiry::Expiries;
pub(crate) use front::Front;
use held::Files;
pub(crate) use upstreams::Upstreams;
pub(crate) use watch::{Watched, Watcher, watch};

/// Larger files are something else.
const MAX_OCTETS: u64 = 4 << 20;

/// A certificate with the chain to its authority, and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdentityFiles {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// Whether clients show certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Clients {
    /// None is asked for.
    #[default]
    Off,
    /// Who has one shows it.
    Optional,
    /// Who has none is turned away.
    Required,
}

/// What a listener needs to speak TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FrontFiles {
    /// The first is for those who ask for no name, or for one that nobody has.
    pub(crate) identities: Vec<IdentityFiles>,
    /// Offered in this order.
    pub(crate) protocols: Vec<Protocol>,
    pub(crate) clients: ClientFiles,
    /// Clients that ask for one of these names show certificates as is said there.
    pub(crate) by_name: Vec<(Vec<HostPattern>, ClientFiles)>,
}

/// How clients show certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClientFiles {
    pub(crate) clients: Clients,
    /// The authorities of clients.
    pub(crate) ca: Option<PathBuf>,
}

impl Files for ClientFiles {
    type Read = ClientAuth;

    fn paths(&self) -> impl Iterator<Item = &Path> {
        self.ca.as_deref().into_iter()
    }

    fn load(&self) -> Result<ClientAuth, BadFile> {
        Ok(match (self.clients, &self.ca) {
            (Clients::Off, _) | (_, None) => ClientAuth::Off,
            (Clients::Optional, Some(path)) => ClientAuth::Optional(read_authorities(path)?),
            (Clients::Required, Some(path)) => ClientAuth::Required(read_authorities(path)?),
        })
    }

    /// Connections end for it: that a file has another name or age is no reason.
    fn differs(before: &ClientAuth, now: &ClientAuth, _: bool) -> bool {
        before != now
    }
}

/// What an upstream needs to speak TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BackFiles {
    /// Who backends have to be; `None`: who they are written down as.
    pub(crate) server_name: Option<String>,
    /// The authorities that sign for them; `None`: the system's.
    pub(crate) ca: Option<PathBuf>,
    /// Every certificate is taken.
    pub(crate) insecure: bool,
    /// What is shown to backends that ask for it.
    pub(crate) identity: Option<IdentityFiles>,
}

/// What is wrong with which file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadFile {
    pub(crate) path: PathBuf,
    pub(crate) reason: String,
    pub(crate) trouble: Trouble,
}

/// What kind of trouble it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The file is not there, or may not be read.
    Unreadable,
    /// Nothing is in it, or not all: somebody may still write it.
    Unfinished,
    /// Something else is in it.
    Content,
    /// Key and certificate do not belong together.
    Mismatch,
    /// The system has no authorities.
    NoSystem,
}

impl Trouble {
    /// What to do.
    pub(crate) const fn help(self) -> &'static str {
        match self {
            Self::Unreadable => "the file must be there, and readable for the user of this program",
            Self::Unfinished | Self::Content => "certificates and keys are PEM: -----BEGIN CERTIFICATE-----",
            Self::Mismatch => "a certificate and its key belong together",
            Self::NoSystem => "name a file of authorities: `--backend-ca`, or `ca` in `tls` of the upstream",
        }
    }
}

impl BadFile {
    fn new(path: PathBuf, error: &TlsConfigError) -> Self {
        let trouble = match error {
            TlsConfigError::KeyMismatch => Trouble::Mismatch,
            error if error.is_unfinished() => Trouble::Unfinished,
            _ => Trouble::Content,
        };
        Self { path, reason: error.to_string(), trouble }
    }

    /// Whether the next start may find it mended: a file that is not there yet, or is not all there, or of which another part is still to come.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self.trouble, Trouble::Unreadable | Trouble::Unfinished | Trouble::Mismatch)
    }
}

impl From<BadFile> for Failure {
    fn from(bad: BadFile) -> Self {
        Self::Tls(bad)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, BadFile> {
    let bad = |reason| BadFile { path: path.to_owned(), reason, trouble: Trouble::Unreadable };
    let failed = |error: io::Error| bad(plainly(&error));
    // A pipe might never say anything.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(bad("it is not a file".to_owned()));
    }
    let mut octets = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(MAX_OCTETS + 1).read_to_end(&mut octets).map_err(failed)?;
    if octets.len() as u64 > MAX_OCTETS { Err(bad("it has more than 4 MiB".to_owned())) } else { Ok(octets) }
}

/// Reads a file and looks at what is in it: what is wrong with that is said of the file.
fn read_checked(path: &Path, check: fn(&[u8]) -> Result<(), TlsConfigError>) -> Result<Vec<u8>, BadFile> {
    let octets = read(path)?;
    check(&octets).map_err(|error| BadFile::new(path.to_owned(), &error))?;
    Ok(octets)
}

fn read_authorities(path: &Path) -> Result<Vec<u8>, BadFile> {
    read_checked(path, check_authorities)
}

impl Files for IdentityFiles {
    type Read = Identity;

    fn paths(&self) -> impl Iterator<Item = &Path> {
        [&*self.cert, &*self.key].into_iter()
    }

    fn load(&self) -> Result<Identity, BadFile> {
        let (chain, key) = (read(&self.cert)?, read(&self.key)?);
        Identity::from_pem(&chain, &key).map_err(|error| {
            let of_key = Identity::check_chain(&chain).is_ok() && Identity::check_key(&key).is_err();
            let path = if of_key { &self.key } else { &self.cert };
            BadFile::new(path.clone(), &error)
        })
    }
}

impl IdentityFiles {
    /// What is wrong with each, or else with both together.
    fn bad(&self) -> Vec<BadFile> {
        let chain = read_checked(&self.cert, Identity::check_chain);
        let key = read_checked(&self.key, Identity::check_key);
        let each: Vec<_> = [chain, key].into_iter().filter_map(Result::err).collect();
        if each.is_empty() { self.load().err().into_iter().collect() } else { each }
    }
}

/// Files that are bad.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadFiles(pub(crate) Vec<BadFile>);

impl BadFiles {
    /// These, each once, if there are any; or else what comes of all together.
    fn or<T>(
        bad: impl IntoIterator<Item = BadFile>,
        load: impl FnOnce() -> Result<T, BadFile>,
    ) -> Result<(), Self> {
        let mut all: Vec<BadFile> = Vec::new();
        for bad in bad {
            if !all.contains(&bad) {
                all.push(bad);
            }
        }
        if all.is_empty() {
            all.extend(load().err());
        }
        if all.is_empty() { Ok(()) } else { Err(Self(all)) }
    }
}

impl From<BadFiles> for Failure {
    fn from(BadFiles(all): BadFiles) -> Self {
        Self::Several(all.into_iter().map(Self::Tls).collect())
    }
}

impl BackFiles {
    /// Reads the files: what is wrong with each that is bad.
    pub(crate) fn check(&self) -> Result<(), BadFiles> {
        let authorities = self.ca.iter().filter(|_| !self.insecure);
        let authorities = authorities.filter_map(|path| read_authorities(path).err());
        BadFiles::or(authorities.chain(self.identity.iter().flat_map(IdentityFiles::bad)), || self.load())
    }
}

impl Files for BackFiles {
    type Read = BackTls;

    fn paths(&self) -> impl Iterator<Item = &Path> {
        self.ca.as_deref().into_iter().chain(self.identity.iter().flat_map(IdentityFiles::paths))
    }

    fn load(&self) -> Result<BackTls, BadFile> {
        let trust = match &self.ca {
            _ if self.insecure => Trust::Nobody,
            Some(path) => Trust::Authorities(read_authorities(path)?),
            // What cannot be read among them is left out: others may do.
            None => {
                let found = rustls_native_certs::load_native_certs().certs;
                Trust::Roots(found.into_iter().map(|root| root.to_vec()).collect())
            }
        };
        let identity = self.identity.as_ref().map(IdentityFiles::load).transpose()?;
        BackTls::new(&trust, identity.as_ref(), self.server_name.as_deref()).map_err(|error| BadFile {
            path: self.ca.clone().unwrap_or_else(|| "the system's authorities".into()),
            reason: error.to_string(),
            trouble: if self.ca.is_some() { Trouble::Content } else { Trouble::NoSystem },
        })
    }
}

/// What each upstream that speaks TLS needs: what `say` has for its name, or else what holds where nothing is said.
pub(crate) fn of_upstreams(
    config: &Config,
    say: impl Fn(&str) -> Option<BackFiles>,
) -> BTreeMap<Arc<str>, BackFiles> {
    let secure = |of: &&UpstreamConfig| of.endpoints.iter().any(|endpoint| endpoint.tls.is_some());
    let upstreams = config.upstreams.iter().filter(secure);
    upstreams.map(|of| (of.name.clone(), say(&of.name).unwrap_or_default())).collect()
}

impl FrontFiles {
    /// Reads the files: what is wrong with each that is bad.
    pub(crate) fn check(&self) -> Result<(), BadFiles> {
        let shown = self.identities.iter().flat_map(IdentityFiles::bad);
        let trusted = self.all_clients().filter_map(|files| files.load().err());
        BadFiles::or(shown.chain(trusted), || Front::load(Address::Inet(([0, 0, 0, 0], 0).into()), self))
    }

    /// How clients of no group show certificates, then those of each.
    fn all_clients(&self) -> impl Iterator<Item = &ClientFiles> {
        std::iter::once(&self.clients).chain(self.by_name.iter().map(|(_, files)| files))
    }

    fn bad(&self, error: &TlsConfigError) -> BadFile {
        let path = self.identities.first().map(|files| files.cert.clone()).unwrap_or_default();
        BadFile { path, reason: error.to_string(), trouble: Trouble::Content }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn authority() -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        rcgen::CertificateParams::default().self_signed(&key).unwrap().pem()
    }

    #[test]
    fn what_is_wrong_with_a_key_is_said_of_its_file() {
        let folder = std::env::temp_dir().join(format!("shuntyard-key-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        let files = IdentityFiles { cert: cert.clone(), key: key.clone() };
        let pem = rcgen::KeyPair::generate().unwrap().serialize_pem();
        fs::write(&cert, authority()).unwrap();
        fs::write(&key, &pem[..pem.len() / 2]).unwrap();
        let bad = files.load().unwrap_err();
        assert_eq!((bad.path, bad.trouble), (key.clone(), Trouble::Unfinished));
        assert_eq!(bad.reason, "it cannot be read: the section PRIVATE KEY does not end");
        // Each for itself: what is spoilt is no better for what is still to come.
        let spoilt = "-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----\n";
        for (chain, pem, troubles) in [
            ("", spoilt, vec![Trouble::Unfinished, Trouble::Content]),
            (&*authority(), spoilt, vec![Trouble::Content]),
            (spoilt, "", vec![Trouble::Content, Trouble::Unfinished]),
            (&*authority(), &*pem, vec![Trouble::Mismatch]),
        ] {
            fs::write(&cert, chain).unwrap();
            fs::write(&key, pem).unwrap();
            let bad: Vec<_> = files.bad().into_iter().map(|bad| bad.trouble).collect();
            assert_eq!(bad, troubles, "{chain}{pem}");
        }
        fs::write(&cert, "-----BEGIN CERTIFICATE-----\n").unwrap();
        assert_eq!(files.load().unwrap_err().path, cert);
        fs::remove_dir_all(&folder).unwrap();
    }
}
