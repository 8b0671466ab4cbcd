//! The demo's output for programs: JSON objects (RFC 8259), each on a line.

use std::fmt::{self, Write as _};
use std::time::Duration;

use super::figures::Times;
use super::screen::{Snapshot, Summary};

/// A moment of the run.
pub(super) fn second(snapshot: &Snapshot) -> String {
    let mut line = format!(
        r#"{{"seconds":{:.1},"requests":{},"failed":{},"octets_verified":{},"in_flight":{},"requests_per_second":{:.1},{},"retried":{},"origins":["#,
        snapshot.elapsed.as_secs_f64(),
        snapshot.requests,
        snapshot.failed,
        snapshot.octets,
        snapshot.in_flight,
        snapshot.lap.requests_per_second,
        times(&snapshot.lap.times),
        snapshot.balance.retried,
    );
    for (n, (name, address, status)) in snapshot.origins.iter().enumerate() {
        let comma = if n == 0 { "" } else { "," };
        let _ = write!(
            line,
            r#"{comma}{{"name":"{name}","address":"{address}","state":"{}","connections":{},"streams":{},"requests":{}}}"#,
            super::table::state(status.state),
            status.connections,
            status.streams,
            status.answered,
        );
    }
    line + "]}"
}

/// Something that was done.
pub(super) fn step(elapsed: Duration, what: &str) -> String {
    format!(r#"{{"seconds":{:.1},"step":{}}}"#, elapsed.as_secs_f64(), Quoted(what))
}

/// What the run has shown.
pub(super) fn summary(summary: &Summary) -> String {
    let promises: Vec<String> = summary
        .promises
        .iter()
        .map(|promise| format!(r#"{{"name":{},"held":{}}}"#, Quoted(promise.name), promise.held))
        .collect();
    let complaints: Vec<String> = summary.complaints.iter().map(|text| Quoted(text).to_string()).collect();
    let seconds = summary.elapsed.as_secs_f64();
    format!(
        r#"{{"requests":{},"failed":{},"octets_verified":{},"seconds":{seconds:.1},"requests_per_second":{:.1},{},"retried":{},"drained":{},"promises":[{}],"complaints":[{}]}}"#,
        summary.requests,
        summary.failed,
        summary.octets,
        summary.requests as f64 / seconds.max(1e-3),
        times(&summary.times),
        summary.retried,
        summary.drained,
        promises.join(","),
        complaints.join(","),
    )
}

fn times(times: &Times) -> String {
    let Times { p50, p99, p999 } = times;
    format!(r#""p50_us":{},"p99_us":{},"p999_us":{}"#, p50.as_micros(), p99.as_micros(), p999.as_micros())
}

/// Text as a JSON string (RFC 8259 section 7).
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if c < ' ' => write!(f, "\\u{:04x}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_a_json_string() {
        for text in ["", "plain", "\"quoted\"", "back\\slash", "line\nbreak\0", "Ü😀"] {
            let read: String = serde_json::from_str::<serde_json::Value>(&Quoted(text).to_string())
                .expect("JSON")
                .as_str()
                .expect("a string")
                .to_owned();
            assert_eq!(read, text);
        }
    }
}
