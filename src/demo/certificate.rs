//! The certificate of the demo's gateway: made anew each time, trusted by the demo's clients, and by whoever is told where it lies.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DnType, KeyPair};
use shuntyard_adapter::transport::{BackTls, ClientAuth, FrontTls, Identity, Trust};
use shuntyard_core::config::Protocol;

/// By this name the demo's clients ask for the gateway (SNI): so they are told from whoever else looks in.
pub(super) const CLIENTS_NAME: &str = "demo.test";
/// By this name everybody else does.
pub(super) const NAME: &str = "localhost";
const NAMES: [&str; 4] = [CLIENTS_NAME, NAME, "127.0.0.1", "::1"];
/// Clocks may differ by so much.
const SLACK: Duration = Duration::from_secs(3600);
/// The longest that a demo may last, and more.
const LIFE: Duration = Duration::from_secs(7 * 86_400);

/// A certificate that only this process has the key of, and how TLS is spoken with it.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    pub(super) front: FrontTls,
    pub(super) back: BackTls,
    pem: String,
}

impl Certificate {
    /// Makes key and certificate.
    pub(super) fn new() -> io::Result<Self> {
        let (pem, key) = self_signed().map_err(io::Error::other)?;
        let identity = Identity::from_pem(pem.as_bytes(), key.as_bytes()).map_err(io::Error::other)?;
        let protocols = [Protocol::Http2, Protocol::Http1];
        let front = FrontTls::new(&[identity], &protocols, &ClientAuth::Off).map_err(io::Error::other)?;
        let trust = Trust::Authorities(pem.clone().into_bytes());
        let back = BackTls::new(&trust, None, Some(CLIENTS_NAME)).map_err(io::Error::other)?;
        Ok(Self { front, back, pem })
    }
}

/// Certificate and key as PEM.
fn self_signed() -> Result<(String, String), rcgen::Error> {
    let mut params = CertificateParams::new(NAMES.map(str::to_owned))?;
    params.distinguished_name.push(DnType::CommonName, "shuntyard demo");
    let now = SystemTime::now();
    (params.not_before, params.not_after) = ((now - SLACK).into(), (now + LIFE).into());
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// The certificate, without its key, in a file for `curl --cacert`. It goes when this is dropped.
#[derive(Debug)]
pub(super) struct CertificateFile(PathBuf);

impl CertificateFile {
    /// Writes it where temporary files lie. The file is new: nobody else's is followed or written over.
    pub(super) fn write(certificate: &Certificate) -> io::Result<Self> {
        let folder = std::env::temp_dir();
        let id = std::process::id();
        for number in 0.. {
            let path = folder.join(format!("shuntyard-demo-{id}-{number}.pem"));
            match File::create_new(&path) {
                Ok(mut file) => {
                    // From here on it is removed, whatever happens.
                    let written = Self(path);
                    file.write_all(certificate.pem.as_bytes())?;
                    return Ok(written);
                }
                // Somebody has had this number before and was killed.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 100 => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for CertificateFile {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_holds_a_certificate_and_no_key_and_goes_with_its_owner() {
        let certificate = Certificate::new().expect("a certificate");
        let file = CertificateFile::write(&certificate).expect("a file");
        let other = CertificateFile::write(&certificate).expect("another file");
        assert_ne!(file.path(), other.path());
        let path = file.path().to_owned();
        let content = fs::read_to_string(&path).expect("the file");
        assert!(content.starts_with("-----BEGIN CERTIFICATE-----"), "{content}");
        assert!(!content.contains("KEY"), "{content}");
        drop(file);
        assert!(!path.exists());
    }
}
