//! What went wrong, in series.

use shuntyard_core::counters::{PerCause, SideCounters};
use shuntyard_core::error::{ConnectionError, StreamError};

use super::{Set, set, with};

/// All failures together. A series of one cause is born when that is first seen, at 1, and nobody who watches sees it rise: this is there from the start.
pub(super) fn seen(causes: &PerCause) -> u64 {
    causes.iter().filter(|(cause, _)| cause.is_failure()).map(|(_, n)| n).sum()
}

/// One series a failure that was seen.
pub(super) fn by_cause<'a>(
    of: Set,
    label: &'static str,
    causes: &'a PerCause,
) -> impl Iterator<Item = (Set, u64)> + use<'a> {
    let seen = causes.iter().filter(|&(cause, n)| n > 0 && cause.is_failure());
    seen.map(move |(cause, n)| (with(&of, label, cause.name()), n))
}

/// One series a rule that was broken.
pub(super) fn protocol_errors(side: &'static str, of: &SideCounters) -> Vec<(Set, u64)> {
    let connection =
        ConnectionError::ALL.iter().map(|error| format!("{error:?}")).zip(of.connection_errors.0);
    let stream = StreamError::ALL.iter().map(|error| format!("{error:?}")).zip(of.stream_errors.0);
    let named = |level: &'static str| {
        move |(rule, n): (String, u64)| (set([("side", side), ("level", level), ("code", &*snake(&rule))]), n)
    };
    let all = connection.map(named("connection")).chain(stream.map(named("stream")));
    let refused = (set([("side", side), ("level", "request"), ("code", "malformed")]), of.traffic.malformed);
    all.chain([refused]).filter(|&(_, n)| n > 0).collect()
}

/// `PrefaceInvalid` as `preface_invalid`.
fn snake(camel: &str) -> String {
    let mut out = String::new();
    for c in camel.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}
