//! Upgrades (RFC 9110 section 7.8), and the proof of WebSocket's (RFC 6455 section 4). Between protocols they travel as
//! extended CONNECT (RFC 8441).

/// What an exchange would become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Upgrade {
    /// The token, in lower case.
    pub(crate) protocol: Box<[u8]>,
    /// What `Sec-WebSocket-Accept` must say: of WebSocket only.
    pub(crate) accept: Option<[u8; ACCEPT_LEN]>,
}

/// Octets of `Sec-WebSocket-Key`: 16 in base64.
pub(crate) const KEY_LEN: usize = 24;
/// Octets of `Sec-WebSocket-Accept`: 20 in base64.
pub(crate) const ACCEPT_LEN: usize = 28;

/// Whether the protocol is WebSocket.
pub(crate) fn is_websocket(protocol: &[u8]) -> bool {
    protocol.eq_ignore_ascii_case(b"websocket")
}

/// The answer to a key (RFC 6455 section 4.2.2), where it is one.
pub(crate) fn accept(key: &[u8]) -> Option<[u8; ACCEPT_LEN]> {
    // Of 16 octets the last digit bears two bits.
    let [digits @ .., b'A' | b'Q' | b'g' | b'w', b'=', b'='] = key else { return None };
    if key.len() != KEY_LEN || !digits.iter().all(|digit| DIGITS.contains(digit)) {
        return None;
    }
    let mut sha1 = sha1_smol::Sha1::from(key);
    sha1.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    Some(base64(&sha1.digest().bytes()))
}

/// A key made of a nonce.
pub(crate) fn key(nonce: u128) -> [u8; KEY_LEN] {
    base64(&nonce.to_be_bytes())
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 with padding (RFC 4648 section 4). `N` is what comes of so many octets.
fn base64<const N: usize>(octets: &[u8]) -> [u8; N] {
    let mut out = [b'='; N];
    for (piece, digits) in octets.chunks(3).zip(out.chunks_mut(4)) {
        let bits =
            piece.iter().zip([16, 8, 0]).fold(0, |bits, (&octet, shift)| bits | u32::from(octet) << shift);
        for (digit, shift) in digits.iter_mut().zip([18, 12, 6, 0]).take(piece.len() + 1) {
            *digit = DIGITS[(bits >> shift & 63) as usize];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc6455_1_3_the_example() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), Some(*b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!(key(u128::from_be_bytes(*b"the sample nonce")), *b"dGhlIHNhbXBsZSBub25jZQ==");
    }

    #[test]
    fn keys_that_are_none() {
        for bad in [
            "",
            "==",
            "dGhlIHNhbXBsZSBub25jZR==",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25jZ===",
            "dGhlIHNhb BsZSBub25jZQ==",
        ] {
            assert_eq!(accept(bad.as_bytes()), None, "{bad}");
        }
        for nonce in [0, 1, u128::MAX, 1 << 64] {
            assert!(accept(&key(nonce)).is_some());
        }
    }
}
