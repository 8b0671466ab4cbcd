//! Who does the cryptography. Always named: with two providers built in, rustls would not know which to take.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

#[cfg(feature = "aws-lc-rs")]
pub(crate) use rustls::crypto::aws_lc_rs as chosen;
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
pub(crate) use rustls::crypto::ring as chosen;
#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
compile_error!("one of the features `aws-lc-rs` and `ring` is needed");

/// The provider. Its suites are those of TLS 1.3 and, of 1.2, ECDHE with an AEAD: none that RFC 9113 appendix A prohibits.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(chosen::default_provider()) // 9113-9.2.2-04
}

/// The SHA-256 of the octets.
pub(crate) fn sha256(octets: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    if let rustls::SupportedCipherSuite::Tls13(suite) = chosen::cipher_suite::TLS13_AES_128_GCM_SHA256 {
        digest.copy_from_slice(suite.common.hash_provider.hash(octets).as_ref());
    }
    digest
}
