//! Classes of octets, one bit a class.

/// `tchar` (RFC 9110 section 5.6.2).
pub(super) const TOKEN: u8 = 1;
/// What may follow the first letter of a scheme (RFC 3986 section 3.1).
pub(super) const SCHEME: u8 = 2;
/// `unreserved`, `sub-delims` and the percent sign of a registered name (RFC 3986 section 3.2.2).
pub(super) const REG_NAME: u8 = 4;

/// Whether `value` is not empty and every octet belongs to `class`.
pub(super) fn all(value: &[u8], class: u8) -> bool {
    !value.is_empty() && value.iter().fold(true, |all, &octet| all & (CLASSES[octet as usize] & class != 0))
}

/// Whether `value` is a protocol to change to (RFC 9110 section 7.8): a token, perhaps with a version behind a slash, which is one, too.
pub(super) fn is_protocol(value: &[u8]) -> bool {
    match value.iter().position(|&octet| octet == b'/') {
        Some(slash) => all(&value[..slash], TOKEN) && all(&value[slash + 1..], TOKEN),
        None => all(value, TOKEN),
    }
}

/// Whether every octet may stand in a path or a query: visible ASCII without the number sign, which would begin a
/// fragment. Wider than RFC 3986, as what browsers send is. Ranges and not the table: this runs over the longest
/// values, many octets at a time.
pub(super) fn all_path(value: &[u8]) -> bool {
    !value.iter().fold(false, |bad, &octet| bad | (octet <= b' ') | (octet >= 0x7f) | (octet == b'#'))
}

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut octet = 0;
    while octet < 128 {
        if (octet as u8).is_ascii_alphanumeric() {
            classes[octet] = TOKEN | SCHEME | REG_NAME;
        }
        octet += 1;
    }
    let classes = add(classes, b"!#$%&'*+-.^_`|~", TOKEN);
    let classes = add(classes, b"+-.", SCHEME);
    add(classes, b"-._~!$&'()*+,;=%", REG_NAME)
};

const fn add(mut classes: [u8; 256], octets: &[u8], class: u8) -> [u8; 256] {
    let mut i = 0;
    while i < octets.len() {
        classes[octets[i] as usize] |= class;
        i += 1;
    }
    classes
}
