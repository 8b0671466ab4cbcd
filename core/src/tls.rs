//! What a handshake of TLS found, and why one failed, as plain values: the gateway itself sees plaintext only.

use core::fmt;
use std::sync::Arc;

/// What a finished handshake told about the peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFacts {
    /// The name that the client asked for (SNI, RFC 6066 section 3), in lower case. Of a backend: the name it was asked for.
    pub server_name: Option<Arc<str>>,
    /// The SHA-256 of the certificate by which the peer has proved who it is. Of clients: `None` where none was asked for, or given.
    pub certificate: Option<Arc<[u8; 32]>>,
    /// Whom that certificate names, as RFC 4514 writes it.
    pub subject: Option<Arc<str>>,
    /// Authorities that are trusted stand behind that certificate. Of clients they always do, for one with another certificate is turned away;
    /// of a backend they do not where every certificate is taken.
    pub verified: bool,
    /// An earlier session was taken up again.
    pub resumed: bool,
}

macro_rules! failures {
    ($($(#[doc = $doc:literal])* $variant:ident = $index:literal, $group:ident, $reason:literal;)*) => {
        /// Why TLS failed on a connection: one variant a cause.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum TlsFailure {
            $($(#[doc = $doc])* $variant,)*
            /// The peer has ended it, with this description (RFC 8446 section 6).
            AlertReceived(u8),
        }

        impl TlsFailure {
            /// Every cause once; for alerts of the peer any description stands for all.
            pub const ALL: &[Self] = &[$(Self::$variant,)* Self::AlertReceived(40)];

            /// Whose fault it is.
            pub const fn group(self) -> TlsFault {
                match self {
                    $(Self::$variant => TlsFault::$group,)*
                    Self::AlertReceived(_) => TlsFault::Alert,
                }
            }

            /// As a number, for recordings: the description of an alert comes behind all others.
            pub const fn code(self) -> u64 {
                match self {
                    $(Self::$variant => $index,)*
                    Self::AlertReceived(description) => 256 + description as u64,
                }
            }

            /// The failure of this number.
            pub fn from_code(code: u64) -> Option<Self> {
                match code {
                    $($index => Some(Self::$variant),)*
                    256..512 => u8::try_from(code - 256).ok().map(Self::AlertReceived),
                    _ => None,
                }
            }
        }

        impl fmt::Display for TlsFailure {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant => f.write_str($reason),)*
                    Self::AlertReceived(description) => match alert_name(*description) {
                        Some(name) => write!(f, "the peer sent the alert {name}"),
                        None => write!(f, "the peer sent the alert {description}"),
                    },
                }
            }
        }
    };
}

/// Whose fault a failure is: the words of RFC 9209 section 2.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsFault {
    /// The peer broke the protocol, or speaks no version, cipher or application protocol that we do.
    Protocol,
    /// Its certificate does not prove what it should.
    Certificate,
    /// The peer has ended the handshake.
    Alert,
}

failures! {
    /// What came is no TLS. A client that speaks HTTP in clear gets an answer in clear.
    NotTls = 0, Protocol, "the peer does not speak TLS";
    /// Neither side's versions or ciphers suit the other.
    Incompatible = 1, Protocol, "no version, cipher or group in common";
    /// ALPN (RFC 7301): no protocol in common, or one that the upstream does not allow.
    NoProtocol = 2, Protocol, "no application protocol in common (ALPN)";
    /// The peer broke a rule of TLS.
    Misbehaved = 3, Protocol, "the peer broke the protocol";
    /// A record that is not what its peer had sent.
    Decrypt = 4, Protocol, "a record could not be decrypted";
    /// The connection ended before the handshake did.
    Interrupted = 5, Protocol, "the connection ended before the handshake did";
    /// Something failed on our side.
    Internal = 6, Protocol, "something failed on this side";
    /// The peer had to show a certificate and has none.
    CertificateMissing = 7, Certificate, "no certificate was presented";
    /// It is over.
    CertificateExpired = 8, Certificate, "the certificate has expired";
    /// It has not begun.
    CertificateNotYetValid = 9, Certificate, "the certificate is not valid yet";
    /// Nobody that we trust has signed it.
    CertificateUnknownIssuer = 10, Certificate, "the certificate is of an unknown issuer";
    /// It is somebody else's.
    CertificateWrongName = 11, Certificate, "the certificate is not for this name";
    /// It was taken back.
    CertificateRevoked = 12, Certificate, "the certificate is revoked";
    /// It cannot be read, is signed in a way that we do not take, or is for another use.
    CertificateInvalid = 13, Certificate, "the certificate is not valid";
    /// Whoever shook hands was closed here: the time for it was over, or others waited for the place.
    TimedOut = 14, Protocol, "the handshake was not done in time";
}

/// RFC 8446 section 6.2, and those of older versions that are still sent.
const fn alert_name(description: u8) -> Option<&'static str> {
    Some(match description {
        10 => "unexpected_message",
        20 => "bad_record_mac",
        22 => "record_overflow",
        40 => "handshake_failure",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        109 => "missing_extension",
        110 => "unsupported_extension",
        112 => "unrecognized_name",
        116 => "certificate_required",
        120 => "no_application_protocol",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_has_a_number_and_words() {
        let all = TlsFailure::ALL.iter().copied().chain([TlsFailure::AlertReceived(255)]);
        let mut said = std::collections::BTreeSet::new();
        for failure in all {
            assert_eq!(TlsFailure::from_code(failure.code()), Some(failure));
            assert!(said.insert(failure.to_string()), "{failure}");
        }
        assert_eq!(TlsFailure::from_code(200), None);
        assert_eq!(TlsFailure::from_code(512), None);
    }
}
