//! The files of upstreams, and how they are spoken to by what was read of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shuntyard_adapter::Backs;

use super::held::{Again, Held, all_bad};
use super::{BackFiles, BadFile};

/// How upstreams are spoken to: a reload may change which they are, while their files are read again.
pub(crate) struct Upstreams {
    backs: Backs,
    table: Mutex<Table>,
}

#[derive(Clone)]
struct Table {
    of: BTreeMap<Arc<str>, Held<BackFiles>>,
    /// How often they were replaced.
    revision: u64,
}

/// Files that were looked at again.
pub(super) struct Looked {
    next: Table,
    /// The upstreams of which something was read.
    read: Vec<Arc<str>>,
}

/// What holds now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Renewed {
    /// The upstreams of which other files hold.
    pub(super) read: Vec<Arc<str>>,
    /// What is wrong with those of others, which stay as they were.
    pub(super) bad: Vec<BadFile>,
}

impl Table {
    fn load(files: BTreeMap<Arc<str>, BackFiles>, revision: u64) -> Result<Self, BadFile> {
        let load = |(name, files)| Ok((name, Held::load(files)?));
        Ok(Self { of: files.into_iter().map(load).collect::<Result<_, _>>()?, revision })
    }

    fn hold_in(&self, backs: &Backs) {
        backs.replace(self.of.iter().map(|(name, held)| (name.clone(), held.value().clone())).collect());
    }
}

impl Upstreams {
    /// Reads the files of all of them.
    pub(crate) fn load(files: BTreeMap<Arc<str>, BackFiles>) -> Result<Self, BadFile> {
        let (table, backs) = (Table::load(files, 0)?, Backs::default());
        table.hold_in(&backs);
        Ok(Self { backs, table: Mutex::new(table) })
    }

    pub(crate) fn backs(&self) -> Backs {
        self.backs.clone()
    }

    /// Reads these files, which hold from now on instead of those before. Where something is wrong with one of them nothing has changed.
    pub(crate) fn replace(&self, files: BTreeMap<Arc<str>, BackFiles>) -> Result<(), BadFile> {
        let next = Table::load(files, 0)?;
        let mut table = self.table();
        *table = Table { revision: table.revision + 1, ..next };
        table.hold_in(&self.backs);
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.table().of.is_empty()
    }

    /// Reads files again that are others than before they were read.
    pub(super) fn look_again(&self) -> Looked {
        // Nobody waits for the table while files are read.
        let mut next = self.table().clone();
        let again = |(name, held): (&Arc<str>, &mut Held<BackFiles>)| {
            (held.again(false) == Again::Changed).then(|| name.clone())
        };
        let read = next.of.iter_mut().filter_map(again).collect();
        Looked { next, read }
    }

    /// What was read holds from now on, unless a reload has read other files meanwhile.
    pub(super) fn renew(&self, Looked { next, read }: Looked) -> Option<Renewed> {
        let mut table = self.table();
        if table.revision != next.revision {
            return None;
        }
        *table = next;
        if !read.is_empty() {
            table.hold_in(&self.backs);
        }
        Some(Renewed { read, bad: all_bad(table.of.values()) })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // It is replaced as a whole.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use shuntyard_core::config::Alpn;
    use shuntyard_core::gateway::Secure;

    use super::*;
    use crate::tls::tests::authority;

    fn of(sets: &[(&str, &Path)]) -> BTreeMap<Arc<str>, BackFiles> {
        let files = |ca: &Path| BackFiles { ca: Some(ca.to_owned()), ..BackFiles::default() };
        sets.iter().map(|(name, ca)| (Arc::from(*name), files(ca))).collect()
    }

    /// Those that were read again, and how many files are bad; `None`: nothing holds of it.
    fn outcome(renewed: Option<Renewed>) -> Option<(String, usize)> {
        renewed.map(|Renewed { read, bad }| (read.join(","), bad.len()))
    }

    #[test]
    fn what_a_reload_has_read_is_not_replaced_by_what_was_read_before() {
        let folder = std::env::temp_dir().join(format!("shuntyard-tls-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let ca = folder.join("ca.pem");
        fs::write(&ca, authority()).unwrap();
        // Within one tick of the clock only its length tells that a file is another.
        let longer = "\n".repeat(50);
        let upstreams = Upstreams::load(of(&[("a", &ca)])).unwrap();
        let known = |name: &str| {
            let secure = Secure { upstream: name.into(), host: "a.example".into(), alpn: Alpn::Either };
            upstreams.backs().begin(&secure).is_ok()
        };
        let again = || outcome(upstreams.renew(upstreams.look_again()));
        let is = |read: &str, bad| Some((read.to_owned(), bad));
        assert!(known("a") && again() == is("", 0));

        // Whatever comes after they were read is seen, even before they were looked at once.
        fs::write(&ca, authority() + &longer).unwrap();
        assert_eq!((again(), again()), (is("a", 0), is("", 0)));

        // What cannot be read is tried again.
        fs::write(&ca, "nothing").unwrap();
        assert_eq!((again(), again()), (is("", 1), is("", 1)));
        let looked = upstreams.look_again();
        fs::write(&ca, authority()).unwrap();
        upstreams.replace(of(&[("b", &ca)])).unwrap();
        assert_eq!(outcome(upstreams.renew(looked)), None);
        assert!(known("b") && again() == is("", 0));

        fs::write(&ca, authority() + &longer).unwrap();
        let looked = upstreams.look_again();
        upstreams.replace(of(&[("c", &ca)])).unwrap();
        assert_eq!(outcome(upstreams.renew(looked)), None);
        assert!(known("c") && upstreams.replace(of(&[("d", &folder)])).is_err() && known("c") && !known("d"));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_bad_file_of_one_upstream_stops_no_other() {
        let folder = std::env::temp_dir().join(format!("shuntyard-upstreams-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let [one, other] = ["one.pem", "other.pem"].map(|name| folder.join(name));
        fs::write(&one, authority()).unwrap();
        fs::write(&other, authority()).unwrap();
        let upstreams = Upstreams::load(of(&[("a", &one), ("b", &other), ("c", &one)])).unwrap();
        let again = || outcome(upstreams.renew(upstreams.look_again()));
        fs::remove_file(&one).unwrap();
        fs::write(&other, authority() + "\n").unwrap();
        // One file that two of them have is told of once.
        assert_eq!(again(), Some(("b".to_owned(), 1)));
        fs::write(&one, authority()).unwrap();
        assert_eq!(again(), Some(("a,c".to_owned(), 0)));
        fs::remove_dir_all(folder).unwrap();
    }
}
