//! Certificates and keys in files: read, held against each other, and read again when they change.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use shuntyard_adapter::transport::{BackTls, ClientAuth, FrontTls, Identity, TlsConfigError, Trust};
use shuntyard_core::config::{Config, Protocol, UpstreamConfig};

use crate::failure::{Failure, plainly};

/// How often files are looked at. A look costs a few system calls, and sees what editors and Kubernetes do: they put another file in the place of
/// the old one.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

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

/// Which files were seen, and how old they were.
pub(crate) type Look = Vec<Option<(u64, SystemTime)>>;

/// What a listener needs to speak TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FrontFiles {
    /// The first is for those who ask for no name, or for one that nobody has.
    pub(crate) identities: Vec<IdentityFiles>,
    /// Offered in this order.
    pub(crate) protocols: Vec<Protocol>,
    pub(crate) clients: Clients,
    /// The authorities of clients.
    pub(crate) client_ca: Option<PathBuf>,
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
    /// Key and certificate do not belong together.
    pub(crate) mismatch: bool,
}

impl From<BadFile> for Failure {
    fn from(BadFile { path, reason, mismatch }: BadFile) -> Self {
        Self::Tls { path, reason, mismatch }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, BadFile> {
    let bad = |reason| BadFile { path: path.to_owned(), reason, mismatch: false };
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

impl IdentityFiles {
    pub(crate) fn load(&self) -> Result<Identity, BadFile> {
        let (chain, key) = (read(&self.cert)?, read(&self.key)?);
        Identity::from_pem(&chain, &key).map_err(|error| {
            let of_key = matches!(error, TlsConfigError::NoKey | TlsConfigError::KeyUnsupported(_));
            let path = if of_key { &self.key } else { &self.cert };
            let mismatch = error == TlsConfigError::KeyMismatch;
            BadFile { path: path.clone(), reason: error.to_string(), mismatch }
        })
    }
}

impl BackFiles {
    /// Reads the files.
    pub(crate) fn load(&self) -> Result<BackTls, BadFile> {
        let trust = match &self.ca {
            _ if self.insecure => Trust::Nobody,
            Some(path) => Trust::Authorities(read(path)?),
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
            mismatch: false,
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

/// Reads the files of all upstreams.
pub(crate) fn load_backs(
    files: &BTreeMap<Arc<str>, BackFiles>,
) -> Result<HashMap<Arc<str>, BackTls>, BadFile> {
    files.iter().map(|(name, files)| Ok((name.clone(), files.load()?))).collect()
}

impl FrontFiles {
    fn identities(&self) -> Result<Vec<Identity>, BadFile> {
        self.identities.iter().map(IdentityFiles::load).collect()
    }

    /// Reads the files.
    pub(crate) fn load(&self) -> Result<FrontTls, BadFile> {
        let clients = match (self.clients, &self.client_ca) {
            (Clients::Off, _) | (_, None) => ClientAuth::Off,
            (Clients::Optional, Some(path)) => ClientAuth::Optional(read(path)?),
            (Clients::Required, Some(path)) => ClientAuth::Required(read(path)?),
        };
        FrontTls::new(&self.identities()?, &self.protocols, &clients).map_err(|error| BadFile {
            path: self.client_ca.clone().unwrap_or_default(),
            reason: error.to_string(),
            mismatch: false,
        })
    }

    fn paths(&self) -> impl Iterator<Item = &Path> {
        self.identities.iter().flat_map(|files| [files.cert.as_path(), files.key.as_path()])
    }

    /// What the files of certificates and keys look like from outside, to be taken before they are read. Links are followed: where they lead to may
    /// change, too.
    pub(crate) fn look(&self) -> Look {
        let look = |path: &Path| {
            let found = fs::metadata(path).ok()?;
            Some((identity_of(&found), found.modified().ok()?))
        };
        self.paths().map(look).collect()
    }
}

/// Which file it is, and how long.
fn identity_of(found: &fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    found.ino().rotate_left(32) ^ found.dev().rotate_left(8) ^ found.len()
}

/// Reads certificates and keys of these listeners again whenever they are others than before they were read, for as long as the program lasts. What is wrong with them is said, and
/// changes nothing: they may be about to be written.
pub(crate) fn watch(mut listeners: Vec<(Look, FrontFiles, FrontTls)>) -> std::io::Result<()> {
    if listeners.is_empty() {
        return Ok(());
    }
    let watch = move || {
        loop {
            thread::sleep(LOOK_INTERVAL);
            for (seen, files, tls) in &mut listeners {
                let now = files.look();
                if now != *seen {
                    *seen = now;
                    replace(files, tls);
                }
            }
        }
    };
    thread::Builder::new().name("certificates".to_owned()).spawn(watch).map(drop)
}

/// Shows what is in the files now, unless something is wrong with it.
fn replace(files: &FrontFiles, tls: &FrontTls) {
    let outcome = files.identities().and_then(|identities| {
        tls.replace(&identities).map_err(|error| BadFile {
            path: files.identities[0].cert.clone(),
            reason: error.to_string(),
            mismatch: false,
        })
    });
    let names: Vec<_> = files.identities.iter().map(|files| files.cert.display().to_string()).collect();
    let names: Arc<str> = names.join(", ").into();
    match outcome {
        Ok(()) => tracing::info!("certificates have changed and are shown from now on: {names}"),
        Err(BadFile { path, reason, .. }) => {
            tracing::warn!("certificates have changed, the old ones stay: {}: {reason}", path.display());
        }
    }
}
