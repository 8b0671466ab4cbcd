//! rustls's errors in the words of the gateway, and what is wrong with keys and certificates.

use std::fmt;

use rustls::pki_types::pem;
use rustls::{CertificateError, Error, PeerMisbehaved};
use shuntyard_core::tls::TlsFailure;

/// The cause, in the gateway's words.
pub fn failure_of(error: &Error) -> TlsFailure {
    match error {
        Error::InvalidCertificate(error) => of_certificate(error),
        Error::NoCertificatesPresented => TlsFailure::CertificateMissing,
        Error::AlertReceived(alert) => TlsFailure::AlertReceived(u8::from(*alert)),
        // A server that has none in common says so, or chooses what it was not offered.
        Error::NoApplicationProtocol
        | Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedApplicationProtocol) => {
            TlsFailure::NoProtocol
        }
        Error::PeerIncompatible(_) => TlsFailure::Incompatible,
        Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => TlsFailure::NotTls,
        Error::DecryptError | Error::PeerSentOversizedRecord => TlsFailure::Decrypt,
        Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::InvalidMessage(_)
        | Error::InvalidEncryptedClientHello(_)
        | Error::UnsupportedNameType
        | Error::PeerMisbehaved(_) => TlsFailure::Misbehaved,
        _ => TlsFailure::Internal,
    }
}

fn of_certificate(error: &CertificateError) -> TlsFailure {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsFailure::CertificateExpired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            TlsFailure::CertificateNotYetValid
        }
        CertificateError::UnknownIssuer => TlsFailure::CertificateUnknownIssuer,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            TlsFailure::CertificateWrongName
        }
        CertificateError::Revoked => TlsFailure::CertificateRevoked,
        _ => TlsFailure::CertificateInvalid,
    }
}

/// What is wrong where the first line of a section is not all there.
const NO_BEGIN: &str = "the line that begins a section does not end";

/// What is wrong with what TLS is to be configured with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsConfigError {
    /// There is nothing in what should have certificates or a private key, but for white space.
    Empty,
    /// There is no certificate in what should have some.
    NoCertificate,
    /// There is no private key in what should have one.
    NoKey,
    /// Certificates, as PEM or DER, that cannot be read.
    Unreadable(String),
    /// A private key, as PEM, that cannot be read.
    KeyUnreadable(String),
    /// Certificates, as PEM, of which the end is missing.
    Unfinished(String),
    /// A private key, as PEM, of which the end is missing.
    KeyUnfinished(String),
    /// A key of a kind that is not supported.
    KeyUnsupported(String),
    /// The certificate is not of this key.
    KeyMismatch,
    /// No certificate of an authority could be read.
    NoRoots,
    /// A name that cannot be in a certificate.
    Name(String),
    /// What the library says of all else.
    Other(String),
}

impl fmt::Display for TlsConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("there is nothing in it"),
            Self::NoCertificate => f.write_str("there is no certificate in it"),
            Self::NoKey => f.write_str("there is no private key in it"),
            Self::Unreadable(what)
            | Self::KeyUnreadable(what)
            | Self::Unfinished(what)
            | Self::KeyUnfinished(what) => write!(f, "it cannot be read: {what}"),
            Self::KeyUnsupported(what) => write!(f, "a key of this kind is not supported: {what}"),
            Self::KeyMismatch => f.write_str("certificate and key do not match"),
            Self::NoRoots => f.write_str("there is no certificate of an authority in it"),
            Self::Name(name) => write!(f, "`{name}` is no name that a certificate could be for"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for TlsConfigError {}

impl TlsConfigError {
    /// Whether this may be the beginning of something good, which somebody still writes.
    pub fn is_unfinished(&self) -> bool {
        matches!(self, Self::Empty | Self::Unfinished(_) | Self::KeyUnfinished(_))
    }

    /// No certificate is in this PEM, and nothing that cannot be read.
    pub(crate) fn of_no_certificate(octets: &[u8]) -> Self {
        match octets {
            octets if octets.trim_ascii().is_empty() => Self::Empty,
            octets if ends_in_begin(octets) => Self::Unfinished(NO_BEGIN.to_owned()),
            _ => Self::NoCertificate,
        }
    }

    /// Certificates in this PEM that cannot be read.
    pub(crate) fn of_certificates(error: &pem::Error, octets: &[u8]) -> Self {
        if ends_early(error, octets) {
            Self::Unfinished(of_pem(error))
        } else {
            Self::Unreadable(of_pem(error))
        }
    }

    /// Likewise a private key.
    pub(crate) fn of_key(error: &pem::Error, octets: &[u8]) -> Self {
        match error {
            pem::Error::NoItemsFound if octets.trim_ascii().is_empty() => Self::Empty,
            pem::Error::NoItemsFound if ends_in_begin(octets) => Self::KeyUnfinished(NO_BEGIN.to_owned()),
            pem::Error::NoItemsFound => Self::NoKey,
            error if ends_early(error, octets) => Self::KeyUnfinished(of_pem(error)),
            error => Self::KeyUnreadable(of_pem(error)),
        }
    }
}

/// Whether the last line may become one that begins a section (RFC 7468 section 2), and is less than that.
fn ends_in_begin(octets: &[u8]) -> bool {
    let last = octets.rsplit(|octet| matches!(octet, b'\n' | b'\r')).next().unwrap_or_default();
    !last.is_empty() && b"-----BEGIN ".starts_with(last)
}

/// Whether the end is what is wrong.
fn ends_early(error: &pem::Error, octets: &[u8]) -> bool {
    match error {
        pem::Error::MissingSectionEnd { .. } => true,
        pem::Error::IllegalSectionStart { line } => octets.ends_with(line),
        _ => false,
    }
}

/// What is wrong with a certificate.
pub(crate) fn of_der(error: &webpki::Error) -> TlsConfigError {
    let what = match error {
        webpki::Error::BadDer | webpki::Error::TrailingData(_) => {
            "what stands in a section is no certificate"
        }
        webpki::Error::BadDerTime | webpki::Error::InvalidCertValidity => {
            "from when to when a certificate holds is no time"
        }
        webpki::Error::UnsupportedCertVersion => {
            "a certificate is of a version that is not taken: it must be 3"
        }
        _ => "a certificate is not as RFC 5280 has it",
    };
    TlsConfigError::Unreadable(what.to_owned())
}

/// What is wrong with a PEM, without a word of what is in it: that may be a key.
fn of_pem(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { end_marker } => {
            // As it should have been there: -----END PRIVATE KEY-----
            let marker = String::from_utf8_lossy(end_marker);
            let label = marker.trim().trim_start_matches("-----END").trim_matches(['-', ' ']);
            format!("the section {label} does not end")
        }
        pem::Error::IllegalSectionStart { .. } => {
            "a line begins with -----BEGIN and does not end with -----".to_owned()
        }
        pem::Error::Base64Decode(_) => "what stands in a section is not base64".to_owned(),
        error => error.to_string(),
    }
}
