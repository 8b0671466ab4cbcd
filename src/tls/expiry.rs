//! When certificates of listeners expire: a figure, and a warning while there is time to renew them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use der::asn1::{AnyRef, GeneralizedTime, UtcTime};
use der::{Decode as _, SliceReader, Tag, Tagged as _};

use crate::log::rfc3339_seconds;
use crate::settings::count;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// So long before a certificate expires somebody should know. Whoever renews them by a program does it earlier.
const WARNED_BEFORE: Duration = Duration::from_secs(14 * 86_400);

/// When the certificates that are shown expire, by the files that they were read of.
pub(crate) type Expiries = BTreeMap<PathBuf, SystemTime>;

/// `notAfter` of a certificate (RFC 5280 section 4.1). `None` where it has none that is understood: that is no reason not to show it.
pub(super) fn not_after(certificate: &[u8]) -> Option<SystemTime> {
    let certificate = AnyRef::from_der(certificate).ok()?;
    // What is signed comes first.
    let signed = AnyRef::decode(&mut SliceReader::new(certificate.value()).ok()?).ok()?;
    let mut fields = SliceReader::new(signed.value()).ok()?;
    let mut next = || AnyRef::decode(&mut fields).ok();
    // Version 1 does not say which it is.
    let first = next()?;
    let _serial_number = if first.tag() == Tag::Integer { first } else { next()? };
    let (_signature, _issuer, validity) = (next()?, next()?, next()?);
    let mut validity = SliceReader::new(validity.value()).ok()?;
    let _not_before = AnyRef::decode(&mut validity).ok()?;
    let not_after = AnyRef::decode(&mut validity).ok()?;
    let since_1970 = match not_after.tag() {
        Tag::UtcTime => not_after.decode_as::<UtcTime>().ok()?.to_unix_duration(),
        _ => not_after.decode_as::<GeneralizedTime>().ok()?.to_unix_duration(),
    };
    SystemTime::UNIX_EPOCH.checked_add(since_1970)
}

/// What was said of certificates that are about to expire.
#[derive(Debug, Default)]
pub(super) struct Reminders(BTreeMap<PathBuf, (SystemTime, Instant)>);

impl Reminders {
    /// What is to be said now: of each that has little time left once a day, and at once of one that was not there before.
    pub(super) fn due(&mut self, expiries: &Expiries, wall: SystemTime, now: Instant) -> Vec<String> {
        self.0.retain(|file, (at, _)| expiries.get(file) == Some(at));
        let mut lines = Vec::new();
        for (file, &at) in expiries {
            let left = at.duration_since(wall).ok();
            let was_said =
                self.0.get(file).is_some_and(|(_, said)| now.saturating_duration_since(*said) < DAY);
            if was_said || left.is_some_and(|left| left >= WARNED_BEFORE) {
                continue;
            }
            self.0.insert(file.clone(), (at, now));
            let when = match left {
                Some(left) => format!("expires in {}, at", roughly(left)),
                None => "has expired at".to_owned(),
            };
            let (file, at) = (file.display(), rfc3339_seconds(at));
            lines.push(format!("the certificate in {file} {when} {at}: clients refuse it from then on"));
        }
        lines
    }
}

fn roughly(left: Duration) -> String {
    let in_units = |unit: Duration, of| count((left.as_secs() / unit.as_secs()) as usize, of);
    match left {
        left if left >= 2 * DAY => in_units(DAY, "day"),
        left if left >= HOUR => in_units(HOUR, "hour"),
        _ => "less than an hour".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn certificate(year: i32) -> Vec<u8> {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.not_after = rcgen::date_time_ymd(year, 2, 3);
        params.self_signed(&key).unwrap().der().to_vec()
    }

    /// Until 2049 certificates say it in another form than from then on (RFC 5280 section 4.1.2.5).
    #[test]
    fn the_time_is_read_in_both_forms() {
        assert_eq!(not_after(&certificate(2030)), Some(at(1_896_307_200)));
        assert_eq!(not_after(&certificate(2050)), Some(at(2_527_459_200)));
        // RFC 5280 section 4.1.2.5: no time that is known.
        assert_eq!(not_after(&certificate(9999)), Some(at(253_373_616_000)));
    }

    #[test]
    fn what_is_no_certificate_has_no_time() {
        let whole = certificate(2030);
        for end in 0..whole.len() {
            assert_eq!(not_after(&whole[..end]), None);
        }
        // Wherever it is broken, nothing worse comes of it.
        for place in 0..whole.len() {
            for value in [0, 0x30, 0x7f, 0x80, 0x84, 0xff] {
                let mut broken = whole.clone();
                broken[place] = value;
                not_after(&broken);
            }
        }
    }

    #[test]
    fn reminders_come_once_a_day_and_at_once_of_another_certificate() {
        let (begin, day) = (Instant::now(), 86_400);
        let mut reminders = Reminders::default();
        let mut due = |hours: u64, ends: &[(&str, u64)]| {
            let expiries = ends.iter().map(|&(file, days)| (file.into(), at(days * day))).collect();
            reminders.due(&expiries, at(hours * 3600), begin + Duration::from_secs(hours * 3600)).join("\n")
        };
        let said = |text: &str| format!("the certificate in {text}: clients refuse it from then on");
        assert_eq!(due(0, &[("a", 14), ("b", 30)]), "");
        assert_eq!(due(1, &[("a", 14), ("b", 30)]), said("a expires in 13 days, at 1970-01-15T00:00:00Z"));
        assert_eq!(due(24, &[("a", 14), ("b", 30)]), "");
        assert_eq!(due(25, &[("a", 14), ("b", 30)]), said("a expires in 12 days, at 1970-01-15T00:00:00Z"));
        assert_eq!(due(26, &[("a", 2), ("b", 60)]), said("a expires in 22 hours, at 1970-01-03T00:00:00Z"));
        assert_eq!(due(47, &[("a", 60)]), "");
        assert_eq!(due(49, &[("a", 2)]), said("a has expired at 1970-01-03T00:00:00Z"));
    }
}
