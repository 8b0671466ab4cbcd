//! SIGHUP: the configuration is read again. One with errors changes nothing.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use shuntyard_adapter::Handle;

use crate::cli::ServeArgs;
use crate::config;
use crate::descriptors::{self, Few, Shared};
use crate::failure::{Failure, Failures};
use crate::log::Trust;
use crate::prepare;
use crate::settings::Settings;
use crate::systemd::Manager;
use crate::tls::{Expiries, Upstreams, Watcher};

/// The configuration that is served, and how it can be replaced.
pub(crate) struct Current {
    args: ServeArgs,
    handle: Handle,
    upstreams: Arc<Upstreams>,
    /// What the access log believes of clients.
    trust: Trust,
    /// Is told of reloads.
    manager: Manager,
    state: Mutex<State>,
    /// A drain is about to begin.
    leaving: AtomicBool,
    /// Who looks at the files of certificates.
    watcher: OnceLock<Watcher>,
}

/// What is said of a reload.
enum Told {
    Info(String),
    /// What somebody wanted is not what is served.
    Warning(String),
}

impl Told {
    fn tell(&self) {
        match self {
            Self::Info(line) => tracing::info!("{line}"),
            Self::Warning(line) => tracing::warn!("{line}"),
        }
    }
}

struct State {
    settings: Settings,
    /// Counts from 1, which the program started with.
    revision: u64,
    since: Instant,
    /// The same as the time of day.
    loaded: SystemTime,
    reloads: Reloads,
}

/// What became of reloads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reloads {
    pub(crate) succeeded: u64,
    pub(crate) refused: u64,
    /// The last one was refused: what is served is not what was wanted.
    pub(crate) stale: bool,
}

impl Reloads {
    fn count(&mut self, success: bool) {
        *(if success { &mut self.succeeded } else { &mut self.refused }) += 1;
        self.stale = !success;
    }
}

impl Current {
    /// What the server of this handle was made with.
    pub(crate) fn new(
        args: ServeArgs,
        settings: Settings,
        handle: Handle,
        (upstreams, trust): (Arc<Upstreams>, Trust),
        manager: Manager,
    ) -> Self {
        Self {
            args,
            handle,
            upstreams,
            trust,
            manager,
            state: Mutex::new(State {
                settings,
                revision: 1,
                since: Instant::now(),
                loaded: SystemTime::now(),
                reloads: Reloads { succeeded: 0, refused: 0, stale: false },
            }),
            leaving: AtomicBool::new(false),
            watcher: OnceLock::new(),
        }
    }

    /// Who looks at the files of certificates hears of new ones.
    pub(crate) fn watched_by(&self, watcher: Watcher) {
        // There is one, once.
        let _ = self.watcher.set(watcher);
    }

    /// How long a drain is announced before it begins.
    pub(crate) fn ready_delay(&self) -> Duration {
        self.state().settings.ready_delay
    }

    /// From now on it is not ready: it will drain.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Whether a drain is about to begin, or has begun.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// How long a drain may take.
    pub(crate) fn drain_timeout(&self) -> Duration {
        self.state().settings.drain_timeout
    }

    /// The revision that is served, for how long it has been, and what became of reloads.
    pub(crate) fn standing(&self) -> (u64, Duration, Reloads) {
        let state = self.state();
        (state.revision, state.since.elapsed(), state.reloads)
    }

    /// The same for people, in a sentence.
    pub(crate) fn sentence(&self) -> String {
        let State { settings, revision, reloads, .. } = &*self.state();
        let stale = if reloads.stale { "; the last reload was refused" } else { "" };
        format!("Serving revision {revision}: {}{stale}", settings.summary())
    }

    /// When what is served was read.
    pub(crate) fn loaded(&self) -> SystemTime {
        self.state().loaded
    }

    /// What orders a reload, on a thread of its own: whatever it waits for, signals are heard. An order that comes during a reload makes one more
    /// behind it, however many come.
    pub(crate) fn reloader(self: &Arc<Self>) -> io::Result<impl Fn() + Send + use<>> {
        let (orders, ordered) = sync_channel(1);
        let current = Arc::clone(self);
        let reload = move || {
            for () in ordered {
                current.manager.reloading();
                current.reload().iter().for_each(Told::tell);
                current.manager.reloaded(&current.sentence());
            }
        };
        thread::Builder::new().name("reload".to_owned()).spawn(reload)?;
        // Where one waits already, that is enough.
        Ok(move || _ = orders.try_send(()))
    }

    /// Reads the file again and serves what it says now, if nothing is wrong with it. Certificates are read again in any case. Says what came of
    /// it.
    fn reload(&self) -> Vec<Told> {
        let told = match &self.args.config {
            Some(path) => self.reload_file(path),
            None => vec![self.reload_certificates()],
        };
        self.watcher.get().into_iter().for_each(Watcher::look_now);
        told
    }

    fn reload_file(&self, path: &Path) -> Vec<Told> {
        // Reading may take its time: nobody waits for the state meanwhile.
        let (records, connections, shared) = {
            let settings = &self.state().settings;
            let of = &settings.config;
            (of.records, (of.max_fronts, of.backends_max), Shared::new(settings))
        };
        let file = config::may_be_read_again(path).map_err(Failure::Refused);
        let next = file.and_then(|()| Settings::new(&self.args)).and_then(|mut next| {
            // Who would write them down was decided at the start.
            next.config.records = records;
            let few = descriptors::take_all(&mut next, shared);
            next.config.validate().map_err(Failure::Config)?;
            // A file with which no start would succeed is not good because something runs.
            prepare::look(&next)?;
            check_fronts(&next)?;
            // What the next connection needs is there before it is made.
            self.upstreams.replace(next.back_tls.clone())?;
            self.handle.configure(&next.config).map_err(Failure::Config)?;
            self.trust.set(next.config.forwarding.clone());
            // That it is still so is no news.
            let is_news = (next.config.max_fronts, next.config.backends_max) != connections;
            few.iter().filter(|_| is_news).for_each(Few::tell);
            Ok(next)
        });
        let mut state = self.state();
        match next {
            Ok(next) => state.replace(next, path),
            Err(failure) => vec![state.keep(&failure, path)],
        }
    }

    /// Without a file there is nothing else. It counts as a reload, and as one that failed where a file of anybody is bad: who looks at figures only sees
    /// that what was wanted is not what is served.
    fn reload_certificates(&self) -> Told {
        let settings = self.state().settings.clone();
        let replaced = self.upstreams.replace(settings.back_tls.clone()).map_err(Failure::from);
        // Who looks at those of listeners takes them over, and says so.
        let checked = check_fronts(&settings);
        self.state().reloads.count(replaced.is_ok() && checked.is_ok());
        let of_upstreams = |failure| format!("certificates of upstreams stay: {failure}");
        let of_listeners = |failure| format!("what is bad of listeners' files stays as it was: {failure}");
        let bad: Vec<_> = [replaced.err().map(of_upstreams), checked.err().map(of_listeners)]
            .into_iter()
            .flatten()
            .collect();
        match bad.is_empty() {
            true => Told::Info("SIGHUP: there is no configuration file to read again".to_owned()),
            false => Told::Warning(format!("SIGHUP: {}", bad.join("; "))),
        }
    }

    /// How many certificates and authorities have files that are bad, so that what was read before is served.
    pub(crate) fn stale_files(&self) -> u64 {
        self.watcher.get().map_or(0, Watcher::stale)
    }

    /// When the certificates that listeners show expire, by file.
    pub(crate) fn expiries(&self) -> Expiries {
        self.watcher.get().map_or_else(Expiries::new, Watcher::expiries)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A state that is replaced as a whole is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the files of certificates and keys of listeners are such as a start would take.
fn check_fronts(settings: &Settings) -> Result<(), Failure> {
    let mut failures = Failures::default();
    for (_, files) in &settings.listen_tls {
        failures.take(files.check());
    }
    failures.or(Ok::<_, Failure>(()))
}

impl State {
    fn replace(&mut self, next: Settings, path: &Path) -> Vec<Told> {
        let before = std::mem::replace(&mut self.settings, next);
        self.revision += 1;
        (self.since, self.loaded) = (Instant::now(), SystemTime::now());
        self.reloads.count(true);
        let now = &mut self.settings;
        let mut lines = Vec::new();
        let mut fixed = |what, changed| {
            if changed {
                lines.push(Told::Warning(format!(
                    "reload: {what} changed in the file, which needs a restart; the old one stays"
                )));
            }
        };
        // What it comes to may differ although nobody has changed a word: by what a name server answers, or how many processors there are.
        fixed("listen", now.listen_written != before.listen_written);
        fixed("workers", now.workers_written != before.workers_written && now.workers != before.workers);
        fixed("adapter", now.adapter != before.adapter);
        fixed("admin or access_log", now.observe != before.observe);
        let is_news = |warning: &String| before.share_warning().as_ref() != Some(warning);
        lines.extend(now.share_warning().filter(is_news).map(Told::Warning));
        // What runs is what the next reload is compared with.
        let Settings { listen, listen_tls, listen_written, config, .. } = before;
        (now.listen, now.listen_tls, now.listen_written) = (listen, listen_tls, listen_written);
        now.config.listeners = config.listeners;
        let Settings { workers, workers_written, adapter, observe, .. } = before;
        (now.workers, now.workers_written, now.adapter, now.observe) =
            (workers, workers_written, adapter, observe);
        let (revision, summary) = (self.revision, now.summary());
        lines.insert(0, Told::Info(format!("reloaded {}: revision {revision}, {summary}", path.display())));
        lines
    }

    fn keep(&mut self, failure: &Failure, path: &Path) -> Told {
        self.reloads.count(false);
        let Self { revision, since, .. } = self;
        let ago = ago(since.elapsed());
        let help = match failure.is_of_file() {
            true => format!(", run `shuntyard check --config {}` to see everything", path.display()),
            false => String::new(),
        };
        Told::Warning(format!(
            "reload refused, still serving revision {revision} (loaded {ago} ago): {failure}{help}"
        ))
    }
}

/// A time in its largest unit.
fn ago(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m", seconds / 60),
        seconds @ 3600..86_400 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn times_are_told_in_their_largest_unit() {
        let told = [0, 59, 60, 7199, 10_800, 200_000].map(|seconds| ago(Duration::from_secs(seconds)));
        assert_eq!(told, ["0s", "59s", "1m", "1h", "3h", "2d"]);
    }

    fn of_file(text: &str) -> Settings {
        let folder = std::env::temp_dir().join(format!("shuntyard-written-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("shuntyard.toml");
        std::fs::write(&path, text).unwrap();
        let line = ["shuntyard", "run", "--config", path.to_str().unwrap()];
        let Command::Run(args) = Cli::try_parse_from(line).unwrap().command else { panic!("it is to run") };
        let settings = Settings::new(&args).unwrap_or_else(|failure| panic!("{failure}"));
        std::fs::remove_dir_all(&folder).unwrap();
        settings
    }

    /// What a reload warns of.
    fn warnings(before: &Settings, now: &Settings) -> Vec<String> {
        let reloads = Reloads { succeeded: 0, refused: 0, stale: false };
        let (since, loaded) = (Instant::now(), SystemTime::now());
        let mut state = State { settings: before.clone(), revision: 1, since, loaded, reloads };
        let told = state.replace(now.clone(), Path::new("shuntyard.toml"));
        assert_eq!((state.settings.workers, &state.settings.listen), (before.workers, &before.listen));
        told.into_iter()
            .filter_map(|told| if let Told::Warning(line) = told { Some(line) } else { None })
            .collect()
    }

    /// A name has its addresses in another order, or others; processors were taken away: the file says what it said.
    #[test]
    fn only_what_is_written_differently_has_changed_in_the_file() {
        const TEXT: &str = "[[listen]]\naddress = \"127.0.0.1:8080\"\n[[listen]]\naddress = \"[::1]:8080\"\n\
            [[route]]\nupstream = \"app\"\n[upstream.app]\nendpoints = [\"h2c://127.0.0.1:9\"]\n";
        let settings = of_file(TEXT);
        let mut found = settings.clone();
        found.listen.reverse();
        found.workers = found.workers.saturating_add(1);
        assert_eq!(warnings(&settings, &found), [""; 0]);
        found.listen.pop();
        assert_eq!(warnings(&settings, &found), [""; 0]);
        let other =
            of_file(&format!("workers = {}\n{}", settings.workers.get() + 1, TEXT.replace("8080", "8081")));
        let lines = warnings(&settings, &other);
        assert!(
            lines.len() == 2 && lines[0].contains("listen changed") && lines[1].contains("workers changed")
        );
    }
}
