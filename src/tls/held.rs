//! What was read of files, a set of them at a time: one that is bad keeps what was read of it before, and stops no other.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::BadFile;

/// Of files that stay bad it is told so often: who missed the first time must hear of it before the certificates that are shown have expired.
const TELL_INTERVAL: Duration = Duration::from_secs(3600);
/// Bad files that one line names.
const NAMED_MAX: usize = 4;

/// Files that are read together.
pub(super) trait Files {
    type Read: Clone;

    fn paths(&self) -> impl Iterator<Item = &Path>;

    /// Reads them.
    fn load(&self) -> Result<Self::Read, BadFile>;

    /// Whether something else was read `now` than `before`. Where that cannot be told, they have to look otherwise.
    fn differs(_before: &Self::Read, _now: &Self::Read, looks_otherwise: bool) -> bool {
        looks_otherwise
    }
}

/// Which files were seen, how old they were, and when somebody last changed who may read them.
type Look = Vec<Option<(u64, SystemTime, (i64, i64))>>;

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

/// Files and what was read of them.
#[derive(Clone)]
pub(super) struct Held<F: Files> {
    files: F,
    /// What was seen of them before they were read.
    look: Look,
    value: F::Read,
    /// Why they could not be read since.
    bad: Option<BadFile>,
}

/// What came of reading again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// They look as they did.
    Same,
    /// They were read, and are what they were.
    Read,
    /// They were read, and are others.
    Changed,
    /// They are bad.
    Bad,
}

impl<F: Files> Held<F> {
    pub(super) fn load(files: F) -> Result<Self, BadFile> {
        // Whatever comes after they were seen is seen the next time.
        let look = look(files.paths());
        Ok(Self { value: files.load()?, look, files, bad: None })
    }

    pub(super) fn value(&self) -> &F::Read {
        &self.value
    }

    pub(super) fn bad(&self) -> Option<&BadFile> {
        self.bad.as_ref()
    }

    /// Reads them again if they are others than those that were read, or by force. What could not be read is tried again the next time: what was
    /// wrong may be mended without a trace in how they look.
    pub(super) fn again(&mut self, force: bool) -> Again {
        let now = look(self.files.paths());
        let changed = now != self.look;
        if !changed && (!force || now.is_empty()) {
            // Those from before are back.
            self.bad = None;
            return Again::Same;
        }
        match self.files.load() {
            Ok(value) => {
                let differs = F::differs(&self.value, &value, changed);
                (self.look, self.value, self.bad) = (now, value, None);
                if differs { Again::Changed } else { Again::Read }
            }
            Err(bad) => {
                self.bad = Some(bad);
                Again::Bad
            }
        }
    }
}

/// What is wrong with these, each once.
pub(super) fn all_bad<'a, F: Files + 'a>(sets: impl IntoIterator<Item = &'a Held<F>>) -> Vec<BadFile> {
    let mut all: Vec<BadFile> = Vec::new();
    for bad in sets.into_iter().filter_map(Held::bad) {
        if !all.contains(bad) {
            all.push(bad.clone());
        }
    }
    all
}

/// What was told of bad files of one kind.
#[derive(Debug, Default)]
pub(super) struct Told {
    bad: Vec<BadFile>,
    at: Option<Instant>,
}

impl Told {
    /// What to tell of these, if they are to be told of now: one is new among them, or it was long ago, or somebody has asked.
    pub(super) fn of(&mut self, mut bad: Vec<BadFile>, now: Instant, asked: bool) -> Option<String> {
        let is_old = |bad: &BadFile| self.bad.contains(bad);
        let is_new = !bad.iter().all(is_old);
        // What is new is named first.
        bad.sort_by_key(is_old);
        let long_ago = self.at.is_none_or(|at| now.saturating_duration_since(at) >= TELL_INTERVAL);
        let due = !bad.is_empty() && (is_new || long_ago || asked);
        let said = due.then(|| in_words(&bad));
        if due {
            self.at = Some(now);
        }
        self.bad = bad;
        said
    }

    /// The files that are bad.
    pub(super) fn paths(&self) -> BTreeSet<&PathBuf> {
        self.bad.iter().map(|bad| &bad.path).collect()
    }
}

fn in_words(bad: &[BadFile]) -> String {
    let named = bad.iter().take(NAMED_MAX);
    let named: Vec<_> = named.map(|bad| format!("{}: {}", bad.path.display(), bad.reason)).collect();
    let more = match bad.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    format!("{}{more}", named.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::Trouble;

    fn bad(path: &str) -> BadFile {
        BadFile { path: path.into(), reason: "no".to_owned(), trouble: Trouble::Content }
    }

    /// A file with a number in it.
    #[derive(Clone)]
    struct Number(PathBuf);

    impl Files for Number {
        type Read = u8;

        fn paths(&self) -> impl Iterator<Item = &Path> {
            std::iter::once(&*self.0)
        }

        fn load(&self) -> Result<u8, BadFile> {
            let text = fs::read_to_string(&self.0).unwrap_or_default();
            text.trim_end().parse().map_err(|_| bad("number"))
        }
    }

    #[test]
    fn what_could_not_be_read_is_tried_again_although_it_looks_the_same() {
        let file = std::env::temp_dir().join(format!("shuntyard-held-{}", std::process::id()));
        // Within one tick of the clock only its length tells that a file is another.
        let write = |text: &str| fs::write(&file, text).unwrap();
        write("1");
        let mut held = Held::load(Number(file.clone())).unwrap();
        assert_eq!((held.again(false), held.again(true)), (Again::Same, Again::Read));
        write("no");
        for force in [false, false, true] {
            assert_eq!((held.again(force), *held.value()), (Again::Bad, 1));
            assert!(held.bad().is_some());
        }
        write("2\n\n");
        assert_eq!((held.again(false), *held.value()), (Again::Changed, 2));
        assert!(held.bad().is_none() && held.again(false) == Again::Same);
        // One that is put aside and comes back as it was is bad meanwhile.
        let aside = file.with_extension("aside");
        fs::hard_link(&file, &aside).unwrap();
        held.again(false);
        fs::remove_file(&file).unwrap();
        assert!(held.again(false) == Again::Bad && held.bad().is_some());
        fs::rename(&aside, &file).unwrap();
        held.again(false);
        assert!(held.bad().is_none());
        fs::remove_file(file).unwrap();
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
    fn bad_files_are_told_of_when_they_are_new_and_every_hour() {
        let begin = Instant::now();
        let mut told = Told::default();
        let mut at = |minutes: u64, paths: &[&str], asked| {
            let bad = paths.iter().map(|path| bad(path)).collect();
            told.of(bad, begin + Duration::from_secs(60 * minutes), asked)
        };
        let said = |text: &str| Some(text.to_owned());
        assert_eq!(at(0, &[], true), None);
        assert_eq!(at(0, &["a"], false), said("a: no"));
        assert_eq!(at(1, &["a"], false), None);
        assert_eq!(at(2, &["a"], true), said("a: no"));
        assert_eq!(at(3, &["a", "b"], false), said("b: no; a: no"));
        assert_eq!(at(62, &["b", "a"], false), None);
        assert_eq!(at(63, &["b", "a"], false), said("b: no; a: no"));
        // Trouble that went and came back is another one.
        assert_eq!(at(64, &["b"], false), None);
        assert_eq!(at(65, &["b", "a"], false), said("a: no; b: no"));
        let many = at(66, &["c", "d", "e", "f", "g", "h"], false);
        assert_eq!(many, said("c: no; d: no; e: no; f: no; and 2 more"));
    }
}
