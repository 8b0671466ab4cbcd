//! Certificates and keys in files: read, and held against each other. [`watch`] reads them again when they change.

mod watch;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shuntyard_adapter::Backs;
use shuntyard_adapter::transport::{BackTls, ClientAuth, FrontTls, Identity, TlsConfigError, Trust};
use shuntyard_core::config::{Config, HostPattern, Protocol, UpstreamConfig};

use crate::failure::{Failure, plainly};
pub(crate) use watch::{Front, Look, Watched, Watcher, watch};
use watch::{is_news, look};

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

impl ClientFiles {
    fn load(&self) -> Result<ClientAuth, BadFile> {
        Ok(match (self.clients, &self.ca) {
            (Clients::Off, _) | (_, None) => ClientAuth::Off,
            (Clients::Optional, Some(path)) => ClientAuth::Optional(read_authorities(path)?),
            (Clients::Required, Some(path)) => ClientAuth::Required(read_authorities(path)?),
        })
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
            Self::Content => "certificates and keys are PEM: -----BEGIN CERTIFICATE-----",
            Self::Mismatch => "a certificate and its key belong together",
            Self::NoSystem => "name a file of authorities: `--backend-ca`, or `ca` in `tls` of the upstream",
        }
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

/// Reads authorities: what is wrong with them is said of their file.
fn read_authorities(path: &Path) -> Result<Vec<u8>, BadFile> {
    let octets = read(path)?;
    let bad = |error: TlsConfigError| BadFile {
        path: path.to_owned(),
        reason: error.to_string(),
        trouble: Trouble::Content,
    };
    shuntyard_adapter::transport::check_authorities(&octets).map_err(bad)?;
    Ok(octets)
}

impl IdentityFiles {
    pub(crate) fn load(&self) -> Result<Identity, BadFile> {
        let (chain, key) = (read(&self.cert)?, read(&self.key)?);
        Identity::from_pem(&chain, &key).map_err(|error| {
            let of_key = matches!(
                error,
                TlsConfigError::NoKey | TlsConfigError::KeyUnreadable(_) | TlsConfigError::KeyUnsupported(_)
            );
            let path = if of_key { &self.key } else { &self.cert };
            let is_mismatch = error == TlsConfigError::KeyMismatch;
            let trouble = if is_mismatch { Trouble::Mismatch } else { Trouble::Content };
            BadFile { path: path.clone(), reason: error.to_string(), trouble }
        })
    }
}

impl BackFiles {
    /// What its files look like.
    fn look(&self) -> Look {
        let identity = self.identity.iter().flat_map(|files| [files.cert.as_path(), files.key.as_path()]);
        look(self.ca.as_deref().into_iter().chain(identity))
    }

    /// Reads the files.
    pub(crate) fn load(&self) -> Result<BackTls, BadFile> {
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

/// How upstreams are spoken to: a reload may change which they are, while their files are read again.
pub(crate) struct Upstreams {
    backs: Backs,
    held: Mutex<Held>,
}

#[derive(Clone)]
struct Held {
    files: BTreeMap<Arc<str>, BackFiles>,
    /// What was seen of them before they were read.
    seen: Vec<Look>,
    /// Why they could not be read since.
    told: Option<BadFile>,
    /// How often they were replaced.
    revision: u64,
}

/// Files that were read again.
struct Changed {
    of: Held,
    read: Result<HashMap<Arc<str>, BackTls>, BadFile>,
}

impl Held {
    /// The files are about to be read.
    fn new(files: BTreeMap<Arc<str>, BackFiles>, revision: u64) -> Self {
        let seen = files.values().map(BackFiles::look).collect();
        Self { files, seen, told: None, revision }
    }

    fn read(&self) -> Result<HashMap<Arc<str>, BackTls>, BadFile> {
        self.files.iter().map(|(name, files)| Ok((name.clone(), files.load()?))).collect()
    }
}

impl Upstreams {
    /// Reads the files of all of them.
    pub(crate) fn load(files: BTreeMap<Arc<str>, BackFiles>) -> Result<Self, BadFile> {
        let held = Held::new(files, 0);
        Ok(Self { backs: Backs::new(held.read()?), held: Mutex::new(held) })
    }

    pub(crate) fn backs(&self) -> Backs {
        self.backs.clone()
    }

    /// Reads these files, which hold from now on instead of those before. Where something is wrong with them nothing has changed.
    pub(crate) fn replace(&self, files: BTreeMap<Arc<str>, BackFiles>) -> Result<(), BadFile> {
        let next = Held::new(files, 0);
        let read = next.read()?;
        let mut held = self.held();
        *held = Held { revision: held.revision + 1, ..next };
        self.backs.replace(read);
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.held().files.is_empty()
    }

    /// Reads the files again if they are others than before they were read.
    fn look_again(&self) -> Option<Changed> {
        let before = self.held().clone();
        let now = Held::new(before.files, before.revision);
        (now.seen != before.seen).then(|| Changed { read: now.read(), of: now })
    }

    /// What was read holds from now on, unless a reload has read other files meanwhile. What could not be read is read again at the next look,
    /// and told once.
    fn renew(&self, Changed { of, read }: Changed) -> Option<Result<(), BadFile>> {
        let mut held = self.held();
        if held.revision != of.revision {
            return None;
        }
        let outcome = read.map(|read| self.backs.replace(read));
        if outcome.is_ok() {
            held.seen = of.seen;
        }
        is_news(&mut held.told, &outcome).then_some(outcome)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // It is replaced as a whole.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FrontFiles {
    fn identities(&self) -> Result<Vec<Identity>, BadFile> {
        self.identities.iter().map(IdentityFiles::load).collect()
    }

    /// Reads the files.
    pub(crate) fn load(&self) -> Result<FrontTls, BadFile> {
        let by_name = |(names, files): &(Vec<_>, ClientFiles)| Ok((names.clone(), files.load()?));
        let groups: Vec<_> = self.by_name.iter().map(by_name).collect::<Result<_, BadFile>>()?;
        FrontTls::by_name(&self.identities()?, &self.protocols, &self.clients.load()?, &groups)
            .map_err(|error| self.bad(&error))
    }

    fn bad(&self, error: &TlsConfigError) -> BadFile {
        let path = self.identities.first().map(|files| files.cert.clone()).unwrap_or_default();
        BadFile { path, reason: error.to_string(), trouble: Trouble::Content }
    }

    /// Reads certificates and keys again, and shows them from now on.
    fn replace(&self, tls: &FrontTls) -> Result<(), BadFile> {
        tls.replace(&self.identities()?).map_err(|error| self.bad(&error))
    }

    /// Reads the authorities of clients again, and asks by them from now on.
    fn replace_clients(&self, tls: &FrontTls) -> Result<(), BadFile> {
        let by_name = self.by_name.iter().map(|(_, files)| files.load());
        let by_name: Vec<_> = by_name.collect::<Result<_, BadFile>>()?;
        tls.replace_clients(&self.clients.load()?, &by_name).map_err(|error| self.bad(&error))
    }

    /// What the files of certificates and keys look like.
    pub(crate) fn look(&self) -> Look {
        look(self.identities.iter().flat_map(|files| [files.cert.as_path(), files.key.as_path()]))
    }

    /// What the files of clients' authorities look like.
    pub(crate) fn look_at_clients(&self) -> Look {
        let files = std::iter::once(&self.clients).chain(self.by_name.iter().map(|(_, files)| files));
        look(files.filter_map(|files| files.ca.as_deref()))
    }
}

#[cfg(test)]
mod tests {
    use shuntyard_core::config::Alpn;
    use shuntyard_core::gateway::Secure;

    use super::*;

    fn authority() -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        rcgen::CertificateParams::default().self_signed(&key).unwrap().pem()
    }

    fn of(name: &str, ca: &Path) -> BTreeMap<Arc<str>, BackFiles> {
        BTreeMap::from([(name.into(), BackFiles { ca: Some(ca.to_owned()), ..BackFiles::default() })])
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
        assert_eq!((bad.path, bad.trouble), (key, Trouble::Content));
        assert_eq!(bad.reason, "it cannot be read: the section PRIVATE KEY does not end");
        fs::write(&cert, "-----BEGIN CERTIFICATE-----\n").unwrap();
        assert_eq!(files.load().unwrap_err().path, cert);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_a_reload_has_read_is_not_replaced_by_what_was_read_before() {
        let folder = std::env::temp_dir().join(format!("shuntyard-tls-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let ca = folder.join("ca.pem");
        fs::write(&ca, authority()).unwrap();
        // Within one tick of the clock only its length tells that a file is another.
        let longer = "\n".repeat(50);
        let upstreams = Upstreams::load(of("a", &ca)).unwrap();
        let known = |name: &str| {
            let secure = Secure { upstream: name.into(), host: "a.example".into(), alpn: Alpn::Either };
            upstreams.backs().begin(&secure).is_ok()
        };
        assert!(known("a") && upstreams.look_again().is_none());

        // Whatever comes after they were read is seen, even before they were looked at once.
        fs::write(&ca, authority() + &longer).unwrap();
        let changed = upstreams.look_again().expect("they have changed");
        assert_eq!(upstreams.renew(changed), Some(Ok(())));
        assert!(upstreams.look_again().is_none());

        // What cannot be read is told once, and tried again.
        fs::write(&ca, "nothing").unwrap();
        let changed = upstreams.look_again().expect("they have changed");
        assert!(matches!(upstreams.renew(changed), Some(Err(_))));
        let changed = upstreams.look_again().expect("they were not read");
        assert_eq!(upstreams.renew(changed), None);
        let changed = upstreams.look_again().expect("they were not read");
        fs::write(&ca, authority()).unwrap();
        upstreams.replace(of("b", &ca)).unwrap();
        assert_eq!(upstreams.renew(changed), None);
        assert!(known("b") && upstreams.look_again().is_none());

        fs::write(&ca, authority() + &longer).unwrap();
        let changed = upstreams.look_again().expect("they have changed");
        upstreams.replace(of("c", &ca)).unwrap();
        assert_eq!(upstreams.renew(changed), None);
        assert!(known("c") && upstreams.replace(of("d", &folder)).is_err() && known("c") && !known("d"));
        fs::remove_dir_all(folder).unwrap();
    }
}
