//! Files of certificates that are looked at for as long as the program lasts, and read again when they are others.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant, SystemTime};

use shuntyard_adapter::Handle;

use super::expiry::{Expiries, Reminders};
use super::held::Told;
use super::upstreams::Renewed;
use super::{Front, Upstreams};

/// How often files are looked at. A look costs a few system calls, and sees what editors and Kubernetes do: they put another file in the place of
/// the old one.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What is looked at.
pub(crate) struct Watched {
    pub(crate) fronts: Vec<Front>,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) handle: Handle,
}

/// The thread that looks at the files.
pub(crate) struct Watcher {
    thread: Thread,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    force: AtomicBool,
    stale: AtomicU64,
    expiries: Mutex<Expiries>,
}

impl Shared {
    /// When what is shown now expires. It is to be seen from then on.
    fn expire(&self, fronts: &[Front]) -> Expiries {
        let expiries: Expiries = fronts.iter().flat_map(Front::expiries).collect();
        // It is replaced as a whole.
        self.expiries.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&expiries);
        expiries
    }
}

impl Watcher {
    /// The files of listeners are read again, whatever they look like; others may be there that it has not heard of.
    pub(crate) fn look_now(&self) {
        self.shared.force.store(true, Ordering::Release);
        self.thread.unpark();
    }

    /// How many certificates and authorities of listeners and upstreams have files that are bad, so that what was read before is served.
    pub(crate) fn stale(&self) -> u64 {
        self.shared.stale.load(Ordering::Relaxed)
    }

    /// When the certificates that listeners show expire, by file.
    pub(crate) fn expiries(&self) -> Expiries {
        self.shared.expiries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reads files again whenever they are others than before they were read, for as long as the program lasts. What is wrong with one is said, and
/// changes nothing but that others beside it are read all the same: it may be about to be written.
///
/// Where there are no files the thread sleeps until it is told: a new configuration may have some.
pub(crate) fn watch(watched: Watched) -> io::Result<Watcher> {
    let Watched { mut fronts, upstreams, handle } = watched;
    let shared = Arc::<Shared>::default();
    let told_to = Arc::clone(&shared);
    // Whoever looks at figures first finds them.
    shared.expire(&fronts);
    let watch = move || {
        let (mut told, mut reminders) = (Told::default(), Reminders::default());
        loop {
            let expiries = told_to.expire(&fronts);
            let due = reminders.due(&expiries, SystemTime::now(), Instant::now());
            due.iter().for_each(|line| tracing::warn!("{line}"));
            if fronts.is_empty() && upstreams.is_empty() {
                thread::park();
            } else {
                thread::park_timeout(LOOK_INTERVAL);
            }
            let force = told_to.force.swap(false, Ordering::AcqRel);
            fronts.iter_mut().for_each(|front| front.look_again(force, &handle));
            if let Some(renewed) = upstreams.renew(upstreams.look_again()) {
                tell_of_upstreams(renewed, &mut told);
            }
            let stale = fronts.iter().map(Front::stale).sum::<u64>() + told.paths().len() as u64;
            told_to.stale.store(stale, Ordering::Relaxed);
        }
    };
    let thread = thread::Builder::new().name("certificates".to_owned()).spawn(watch)?.thread().clone();
    Ok(Watcher { thread, shared })
}

fn tell_of_upstreams(Renewed { read, bad }: Renewed, told: &mut Told) {
    if !read.is_empty() {
        let names = read.join(", ");
        tracing::info!("certificates of upstreams ({names}) have changed and hold for new connections");
    }
    if let Some(said) = told.of(bad, Instant::now(), false) {
        tracing::warn!("certificates of upstreams: the old ones stay: {said}");
    }
}
