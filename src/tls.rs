//! Certificates and keys in files: read, held against each other, and read again when they change.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, SystemTime};

use shuntyard_adapter::transport::{BackTls, ClientAuth, FrontTls, Identity, TlsConfigError, Trust};
use shuntyard_adapter::{Backs, Handle};
use shuntyard_core::address::Address;
use shuntyard_core::config::{Config, HostPattern, Protocol, UpstreamConfig};

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

/// Which files were seen, how old they were, and when somebody last changed who may read them.
pub(crate) type Look = Vec<Option<(u64, SystemTime, (i64, i64))>>;

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

/// Reads authorities: what is wrong with them is said of their file.
fn read_authorities(path: &Path) -> Result<Vec<u8>, BadFile> {
    let octets = read(path)?;
    let bad =
        |error: TlsConfigError| BadFile { path: path.to_owned(), reason: error.to_string(), mismatch: false };
    shuntyard_adapter::transport::check_authorities(&octets).map_err(bad)?;
    Ok(octets)
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
        BadFile { path, reason: error.to_string(), mismatch: false }
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

/// What these files look like from outside, to be taken before they are read. Links are followed: where they lead to may change, too.
fn look<'a>(paths: impl Iterator<Item = &'a Path>) -> Look {
    let look = |path: &Path| {
        let found = fs::metadata(path).ok()?;
        Some((identity_of(&found), found.modified().ok()?, changed(&found)))
    };
    paths.map(look).collect()
}

/// Permissions are no part of a file's content, and its age does not tell that it can be read now.
fn changed(found: &fs::Metadata) -> (i64, i64) {
    use std::os::unix::fs::MetadataExt as _;
    (found.ctime(), found.ctime_nsec())
}

/// Which file it is, and how long.
fn identity_of(found: &fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    found.ino().rotate_left(32) ^ found.dev().rotate_left(8) ^ found.len()
}

/// What is looked at.
pub(crate) struct Watched {
    pub(crate) fronts: Vec<Front>,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) handle: Handle,
}

/// A listener that is looked at.
pub(crate) struct Front {
    pub(crate) address: Address,
    shown: Seen,
    trusted: Seen,
    files: FrontFiles,
    pub(crate) tls: FrontTls,
}

/// What was seen of files before they were read, and why they could not be read since.
#[derive(Debug, Default)]
struct Seen {
    look: Look,
    told: Option<BadFile>,
}

/// Files that were read again.
#[derive(Debug, PartialEq, Eq)]
struct Again {
    /// They look otherwise than those that were read before.
    changed: bool,
    outcome: Result<(), BadFile>,
    /// It has not been told yet.
    news: bool,
}

impl Seen {
    fn new(look: Look) -> Self {
        Self { look, told: None }
    }

    /// Loads files that look like this `now`, if they are others than those that were loaded, or by force. What could not be loaded is tried again
    /// with the next look: what was wrong may be mended without a trace in it.
    fn again(&mut self, now: Look, force: bool, load: impl FnOnce() -> Result<(), BadFile>) -> Option<Again> {
        let changed = now != self.look;
        if !changed && !force {
            // Those from before are back.
            self.told = None;
            return None;
        }
        let outcome = load();
        if outcome.is_ok() {
            self.look = now;
        }
        let news = is_news(&mut self.told, &outcome) || force;
        Some(Again { changed, outcome, news })
    }
}

/// Whether it is not what was told last.
fn is_news(told: &mut Option<BadFile>, outcome: &Result<(), BadFile>) -> bool {
    let bad = outcome.as_ref().err();
    let news = bad.is_none() || bad != told.as_ref();
    *told = bad.cloned();
    news
}

impl Front {
    /// Its files are about to be read.
    pub(crate) fn load(address: Address, files: &FrontFiles) -> Result<Self, BadFile> {
        let (shown, trusted) = (Seen::new(files.look()), Seen::new(files.look_at_clients()));
        Ok(Self { address, shown, trusted, files: files.clone(), tls: files.load()? })
    }
}

/// The thread that looks at the files.
pub(crate) struct Watcher {
    thread: Thread,
    force: Arc<AtomicBool>,
}

impl Watcher {
    /// The files of listeners are read again, whatever they look like; others may be there that it has not heard of.
    pub(crate) fn look_now(&self) {
        self.force.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// Reads files again whenever they are others than before they were read, for as long as the program lasts. What is wrong with them is said, and
/// changes nothing: they may be about to be written.
///
/// Where there are no files the thread sleeps until it is told: a new configuration may have some.
pub(crate) fn watch(watched: Watched) -> io::Result<Watcher> {
    let Watched { mut fronts, upstreams, handle } = watched;
    let force = Arc::new(AtomicBool::new(false));
    let forced = Arc::clone(&force);
    let watch = move || {
        loop {
            if fronts.is_empty() && upstreams.is_empty() {
                thread::park();
            } else {
                thread::park_timeout(LOOK_INTERVAL);
            }
            let force = forced.swap(false, Ordering::AcqRel);
            fronts.iter_mut().for_each(|front| look_again(front, force, &handle));
            if let Some(outcome) = upstreams.look_again().and_then(|changed| upstreams.renew(changed)) {
                tell(&outcome, "certificates of upstreams", "have changed", "hold for new connections");
            }
        }
    };
    let thread = thread::Builder::new().name("certificates".to_owned()).spawn(watch)?.thread().clone();
    Ok(Watcher { thread, force })
}

fn look_again(front: &mut Front, force: bool, handle: &Handle) {
    let Front { address, shown, trusted, files, tls } = front;
    let said = |again: &Again| if again.changed { "have changed" } else { "were read again" };
    if let Some(again) = shown.again(files.look(), force, || files.replace(tls))
        && again.news
    {
        let names: Vec<_> = files.identities.iter().map(|files| files.cert.display().to_string()).collect();
        let what = format!("certificates ({})", names.join(", "));
        tell(&again.outcome, &what, said(&again), "are shown from now on");
    }
    let look = files.look_at_clients();
    // Without authorities there is nothing to be asked by.
    let force = force && !look.is_empty();
    if let Some(again) = trusted.again(look, force, || files.replace_clients(tls)) {
        if again.changed && again.outcome.is_ok() {
            handle.part(address);
        }
        if again.news {
            let what = format!("authorities of clients on {address}");
            tell(&again.outcome, &what, said(&again), "hold from now on");
        }
    }
}

fn tell(outcome: &Result<(), BadFile>, what: &str, said: &str, holds: &str) {
    match outcome {
        Ok(()) => tracing::info!("{what} {said} and {holds}"),
        Err(BadFile { path, reason, .. }) => {
            tracing::warn!("{what} {said}, the old ones stay: {}: {reason}", path.display());
        }
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
    fn what_could_not_be_read_is_tried_again_although_it_looks_the_same() {
        let bad = |reason: &str| BadFile { path: "a".into(), reason: reason.to_owned(), mismatch: false };
        let look = |n| vec![Some((n, SystemTime::UNIX_EPOCH, (0, 0)))];
        let again = |changed, outcome, news| Some(Again { changed, outcome, news });
        let mut seen = Seen::new(look(1));
        assert_eq!(seen.again(look(1), false, || panic!("nothing has changed")), None);
        assert_eq!(seen.again(look(2), false, || Err(bad("no"))), again(true, Err(bad("no")), true));
        // The same once more is told once.
        assert_eq!(seen.again(look(2), false, || Err(bad("no"))), again(true, Err(bad("no")), false));
        assert_eq!(seen.again(look(2), true, || Err(bad("no"))), again(true, Err(bad("no")), true));
        assert_eq!(seen.again(look(2), false, || Ok(())), again(true, Ok(()), true));
        assert_eq!(seen.again(look(2), false, || panic!("nothing has changed")), None);
        assert_eq!(seen.again(look(2), true, || Ok(())), again(false, Ok(()), true));
    }

    #[test]
    fn who_may_read_a_file_is_part_of_how_it_looks() {
        use std::os::unix::fs::PermissionsExt as _;
        let file = std::env::temp_dir().join(format!("shuntyard-look-{}", std::process::id()));
        fs::write(&file, "a").unwrap();
        let at = || look([&*file].into_iter());
        let before = at();
        // Within one tick of the clock nothing tells that a file was changed.
        std::thread::sleep(Duration::from_millis(50));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert_ne!(at(), before);
        fs::remove_file(file).unwrap();
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
