//! Files of certificates that are looked at for as long as the program lasts, and read again when they are others.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, SystemTime};

use shuntyard_adapter::Handle;
use shuntyard_adapter::transport::FrontTls;
use shuntyard_core::address::Address;

use super::{BadFile, FrontFiles, Upstreams};

/// How often files are looked at. A look costs a few system calls, and sees what editors and Kubernetes do: they put another file in the place of
/// the old one.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Which files were seen, how old they were, and when somebody last changed who may read them.
pub(crate) type Look = Vec<Option<(u64, SystemTime, (i64, i64))>>;

/// What these files look like from outside, to be taken before they are read. Links are followed: where they lead to may change, too.
pub(super) fn look<'a>(paths: impl Iterator<Item = &'a Path>) -> Look {
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
pub(super) fn is_news(told: &mut Option<BadFile>, outcome: &Result<(), BadFile>) -> bool {
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
    use super::*;
    use crate::tls::Trouble;

    #[test]
    fn what_could_not_be_read_is_tried_again_although_it_looks_the_same() {
        let trouble = Trouble::Content;
        let bad = |reason: &str| BadFile { path: "a".into(), reason: reason.to_owned(), trouble };
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
}
