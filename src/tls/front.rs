//! The files of a listener, and how it speaks TLS by what was read of them.

use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use shuntyard_adapter::Handle;
use shuntyard_adapter::transport::{ClientAuth, FrontTls, Identity};
use shuntyard_core::address::Address;

use super::expiry::not_after;
use super::held::{Again, Files, Held, Told, all_bad};
use super::{BadFile, ClientFiles, FrontFiles, IdentityFiles};

/// A listener whose files are looked at.
pub(crate) struct Front {
    pub(crate) address: Address,
    pub(crate) tls: FrontTls,
    files: FrontFiles,
    shown: Sets<IdentityFiles>,
    /// How clients of no group show certificates, then those of each.
    trusted: Sets<ClientFiles>,
}

/// Files of one kind.
struct Sets<F: Files> {
    of: Vec<Held<F>>,
    told: Told,
}

impl<F: Files + Clone> Sets<F> {
    fn load<'a>(files: impl IntoIterator<Item = &'a F>) -> Result<Self, BadFile>
    where
        F: 'a,
    {
        let of = files.into_iter().cloned().map(Held::load).collect::<Result<_, _>>()?;
        Ok(Self { of, told: Told::default() })
    }

    fn values(&self) -> Vec<F::Read> {
        values(&self.of)
    }

    /// Reads each again that is another, or all by force, and takes what was read over: what is bad stays as it was, and where that fails all do.
    /// What came of it for each, if any was read. Bad ones are told of where they should be.
    fn again(
        &mut self,
        force: bool,
        replace: impl FnOnce(&[F::Read]) -> Result<(), BadFile>,
        tell: impl FnOnce(&str),
    ) -> Option<Vec<Again>> {
        let mut next = self.of.clone();
        let again: Vec<_> = next.iter_mut().map(|held| held.again(force)).collect();
        let mut bad = all_bad(&next);
        let mut read = again.iter().any(|again| matches!(again, Again::Changed | Again::Read));
        match if read { replace(&values(&next)) } else { Ok(()) } {
            Ok(()) => self.of = next,
            Err(error) => {
                bad.push(error);
                read = false;
            }
        }
        if let Some(said) = self.told.of(bad, Instant::now(), force) {
            tell(&said);
        }
        read.then_some(again)
    }
}

fn values<F: Files>(sets: &[Held<F>]) -> Vec<F::Read> {
    sets.iter().map(|held| held.value().clone()).collect()
}

impl Front {
    /// Reads its files.
    pub(crate) fn load(address: Address, files: &FrontFiles) -> Result<Self, BadFile> {
        let shown = Sets::load(&files.identities)?;
        let trusted = Sets::load(files.all_clients())?;
        let names = files.by_name.iter().map(|(names, _)| names.clone());
        let clients = trusted.values();
        let (clients, groups) = clients
            .split_first()
            .map_or((ClientAuth::Off, &[][..]), |(first, groups)| (first.clone(), groups));
        let groups: Vec<_> = names.zip(groups.iter().cloned()).collect();
        let tls = FrontTls::by_name(&shown.values(), &files.protocols, &clients, &groups)
            .map_err(|error| files.bad(&error))?;
        Ok(Self { address, tls, files: files.clone(), shown, trusted })
    }

    /// Reads its files again where they are others, or all by force.
    pub(super) fn look_again(&mut self, force: bool, handle: &Handle) {
        self.look_at_certificates(force);
        self.look_at_clients(force, handle);
    }

    fn look_at_certificates(&mut self, force: bool) {
        let Self { address, tls, files, shown, .. } = self;
        let replace = |all: &[Identity]| tls.replace(all).map_err(|error| files.bad(&error));
        let tell = |said: &str| tracing::warn!("certificates on {address}: the old ones stay: {said}");
        let Some(again) = shown.again(force, replace, tell) else { return };
        let is_read = |again: &Again| matches!(again, Again::Changed | Again::Read);
        let read = again.iter().zip(&files.identities).filter(|(again, _)| is_read(again));
        let names: Vec<_> = read.map(|(_, files)| files.cert.display().to_string()).collect();
        let said = said(&again);
        tracing::info!("certificates ({}) {said} and are shown from now on", names.join(", "));
    }

    fn look_at_clients(&mut self, force: bool, handle: &Handle) {
        let Self { address, tls, files, trusted, .. } = self;
        let replace = |all: &[ClientAuth]| {
            let Some((clients, groups)) = all.split_first() else { return Ok(()) };
            tls.replace_clients(clients, groups).map_err(|error| files.bad(&error))
        };
        let tell =
            |said: &str| tracing::warn!("authorities of clients on {address}: the old ones stay: {said}");
        let Some(again) = trusted.again(force, replace, tell) else { return };
        if again.contains(&Again::Changed) {
            handle.part(address);
        }
        tracing::info!("authorities of clients on {address} {} and hold from now on", said(&again));
    }

    /// When what it shows expires, by file.
    pub(super) fn expiries(&self) -> impl Iterator<Item = (PathBuf, SystemTime)> {
        let shown = self.files.identities.iter().zip(&self.shown.of);
        shown.filter_map(|(files, held)| Some((files.cert.clone(), not_after(held.value().certificate())?)))
    }

    /// How many certificates and groups of authorities are not what is in their files.
    pub(super) fn stale(&self) -> u64 {
        (self.shown.told.paths().len() + self.trusted.told.paths().len()) as u64
    }
}

fn said(again: &[Again]) -> &'static str {
    if again.contains(&Again::Changed) { "have changed" } else { "were read again" }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use shuntyard_adapter::{Backs, Desk};
    use shuntyard_core::config::{HostPattern, Protocol};

    use super::*;
    use crate::tls::Clients;

    fn identity(folder: &Path, name: &str) -> IdentityFiles {
        let files = IdentityFiles { cert: folder.join(name), key: folder.join(format!("{name}.key")) };
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        fs::write(&files.cert, cert.pem()).unwrap();
        fs::write(&files.key, signing_key.serialize_pem()).unwrap();
        files
    }

    fn files(folder: &Path) -> FrontFiles {
        let clients = |name: &str| ClientFiles { clients: Clients::Required, ca: Some(folder.join(name)) };
        let group = |name: &str| (vec![HostPattern::Exact(name.into())], clients(name));
        FrontFiles {
            identities: ["a", "b", "c"].map(|name| identity(folder, name)).into(),
            protocols: vec![Protocol::Http2],
            clients: ClientFiles::default(),
            by_name: vec![group("a"), group("b")],
        }
    }

    /// Who renews one file of a secret gives all of them new links (Kubernetes).
    #[test]
    fn authorities_have_changed_where_something_else_is_in_their_files() {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicUsize, Ordering};

        let folder = std::env::temp_dir().join(format!("shuntyard-renewed-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let files = files(&folder);
        let address = Address::Inet(([127, 0, 0, 1], 0).into());
        let mut front = Front::load(address.clone(), &files).unwrap();
        let parted = Arc::new(AtomicUsize::new(0));
        let count = parted.clone();
        let desk: Desk = Arc::new(move |_| _ = count.fetch_add(1, Ordering::Relaxed));
        let handle = Handle::new(vec![desk], Backs::default());
        let parted = || parted.load(Ordering::Relaxed);
        let copy = |name: &str| {
            fs::copy(folder.join(name), folder.join("next")).unwrap();
            fs::rename(folder.join("next"), folder.join(name)).unwrap();
        };
        ["a", "b", "c"].iter().for_each(|name| copy(name));
        front.look_again(false, &handle);
        front.look_again(true, &handle);
        assert_eq!(parted(), 0, "nothing else is in them");
        identity(&folder, "longer.example");
        fs::rename(folder.join("longer.example"), folder.join("b")).unwrap();
        fs::rename(folder.join("longer.example.key"), folder.join("b.key")).unwrap();
        front.look_again(false, &handle);
        assert_eq!(parted(), 1);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_bad_file_stops_no_other() {
        let folder = std::env::temp_dir().join(format!("shuntyard-front-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let files = files(&folder);
        let identities = files.identities.clone();
        let mut front = Front::load(Address::Inet(([127, 0, 0, 1], 0).into()), &files).unwrap();
        let names = |front: &Front| -> Vec<String> {
            front.shown.values().iter().flat_map(|of| of.names().to_vec()).collect()
        };
        let authorities = |front: &Front| -> Vec<Vec<u8>> {
            let octets = |auth: &ClientAuth| match auth {
                ClientAuth::Required(pem) | ClientAuth::Optional(pem) => pem.clone(),
                ClientAuth::Off => Vec::new(),
            };
            front.trusted.values().iter().map(octets).collect()
        };
        let handle = Handle::new(Vec::new(), Backs::default());
        let before = authorities(&front);
        assert!(names(&front) == ["a", "b", "c"] && before[0].is_empty());

        // The first is bad, the second another, of the last the certificate was replaced and the key not yet.
        fs::write(&identities[0].cert, "nothing").unwrap();
        identity(&folder, "longer.example");
        fs::rename(folder.join("longer.example"), &identities[1].cert).unwrap();
        fs::rename(folder.join("longer.example.key"), &identities[1].key).unwrap();
        let key = fs::read(&identities[2].key).unwrap();
        identity(&folder, "c");
        let next = fs::read(&identities[2].key).unwrap();
        fs::write(&identities[2].key, key).unwrap();
        front.look_again(false, &handle);
        assert_eq!(
            (names(&front), front.stale()),
            (vec!["a".into(), "longer.example".into(), "c".into()], 3)
        );
        let now = authorities(&front);
        assert!(now[1] == before[1] && now[2] != before[2], "the authorities of one are bad");

        // What is mended is read, whatever else is bad.
        fs::write(&identities[2].key, [&next[..], b"\n"].concat()).unwrap();
        front.look_again(false, &handle);
        assert_eq!((front.stale(), front.shown.of[2].bad()), (2, None));
        identity(&folder, "a");
        front.look_again(false, &handle);
        assert_eq!(front.stale(), 0);
        fs::remove_dir_all(folder).unwrap();
    }
}
