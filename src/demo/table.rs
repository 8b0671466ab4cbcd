//! The demo's output for people: the table's lines and the last words.

use std::time::Duration;

use super::figures::Times;
use super::origin::{State, Status};
use super::screen::{Snapshot, Summary};

const PLAIN: &str = "\x1b[0m";
const BOLD: &str = "\x1b[1m";
const FAINT: &str = "\x1b[2m";
const RED: &str = "\x1b[1;31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";

/// The lines of the table, none wider than `width`.
pub(super) fn lines(snapshot: &Snapshot, width: usize, colour: bool) -> Vec<String> {
    let mut rows = vec![
        (BOLD, heading(snapshot)),
        (FAINT, CLIENTS_HEAD.to_owned()),
        (if snapshot.failed > 0 { RED } else { "" }, clients(snapshot)),
        (FAINT, format!("  |   {} requests under way", count(snapshot.in_flight as u64))),
        ("", gateway(snapshot)),
        (FAINT, "  |".to_owned()),
        (FAINT, ORIGINS_HEAD.to_owned()),
    ];
    rows.extend(snapshot.origins.iter().map(|(name, address, status)| {
        let style = match status.state {
            State::Serving => GREEN,
            State::Slow | State::Leaving | State::Away => YELLOW,
        };
        (style, origin(name, &address.to_string(), status))
    }));
    rows.into_iter()
        .map(|(style, text)| {
            let text: String = text.chars().take(width).collect();
            if colour && !style.is_empty() { format!("{style}{text}{PLAIN}") } else { text }
        })
        .collect()
}

/// What was proved, in plain words.
pub(super) fn conclusion(summary: &Summary, colour: bool) -> String {
    let [green, red, plain] = if colour { [GREEN, RED, PLAIN] } else { [""; 3] };
    let seconds = summary.elapsed.as_secs_f64();
    let mut text = format!(
        "\n{} of {} requests failed{}.\n\
         {} of content verified, octet by octet; the drain let {} requests finish.\n\
         {} requests/s for {seconds:.1} s; p50 {}, p99 {}, p99.9 {}.\n\n",
        count(summary.failed),
        count(summary.requests + summary.failed),
        meanwhile(&summary.meanwhile),
        octets(summary.octets),
        count(summary.drained),
        count((summary.requests as f64 / seconds.max(1e-3)) as u64),
        time(summary.times.p50),
        time(summary.times.p99),
        time(summary.times.p999),
    );
    for promise in &summary.promises {
        let (style, word) = if promise.held { (green, "held  ") } else { (red, "BROKEN") };
        text += &format!("  {style}{word}{plain}  {}\n", promise.name);
    }
    for complaint in &summary.complaints {
        text += &format!("  {red}{complaint}{plain}\n");
    }
    text
}

/// The word for a state.
pub(super) fn state(state: State) -> &'static str {
    match state {
        State::Serving => "serving",
        State::Slow => "slow",
        State::Leaving => "leaving",
        State::Away => "away",
    }
}

const CLIENTS_HEAD: &str = "               requests requests/s      p50      p99    p99.9  failed  verified";
const ORIGINS_HEAD: &str = "                                state    connections   streams    requests";

fn heading(snapshot: &Snapshot) -> String {
    let (elapsed, length) = (snapshot.elapsed.as_secs(), snapshot.length.as_secs());
    format!("shuntyard demo: {elapsed} of {length} s")
}

fn clients(snapshot: &Snapshot) -> String {
    let Times { p50, p99, p999 } = snapshot.lap.times;
    format!(
        "{:<12}{:>11}{:>11}{:>9}{:>9}{:>9}{:>8}{:>10}",
        format!("{} clients", snapshot.clients),
        count(snapshot.requests),
        count(snapshot.lap.requests_per_second as u64),
        time(p50),
        time(p99),
        time(p999),
        count(snapshot.failed),
        octets(snapshot.octets),
    )
}

fn gateway(snapshot: &Snapshot) -> String {
    format!(
        "gateway   {:<22}{} workers, {} requests sent to an origin again",
        snapshot.gateway.to_string(),
        snapshot.workers,
        count(snapshot.balance.retried),
    )
}

fn origin(name: &str, address: &str, status: &Status) -> String {
    format!(
        "origin {name}  {address:<22}{:<13}{:>11}{:>10}{:>12}",
        state(status.state),
        status.connections,
        status.streams,
        count(status.answered),
    )
}

fn meanwhile(what: &[&str]) -> String {
    match what {
        [] => String::new(),
        [one] => format!("\nwhile {one}"),
        [several @ .., last] => format!("\nwhile {}, and {last}", several.join(", ")),
    }
}

/// A number with commas between its thousands.
fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Octets in decimal units.
fn octets(number: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (number as f64, 0);
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{number} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// A time in the unit that fits it.
fn time(time: Duration) -> String {
    match time.as_micros() {
        0 => "-".to_owned(),
        us @ 1..1000 => format!("{us} us"),
        us @ 1000..100_000 => format!("{:.1} ms", us as f64 / 1e3),
        us @ 100_000..10_000_000 => format!("{} ms", us / 1000),
        us => format!("{} s", us / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::super::figures::Lap;
    use super::super::gateway::Balance;
    use super::*;

    fn snapshot() -> Snapshot {
        let origin = |name, port| (name, ([127, 0, 0, 1], port).into(), Status::default());
        Snapshot {
            elapsed: Duration::from_secs(12),
            length: Duration::from_secs(20),
            clients: 16,
            requests: 1_234_567,
            failed: 0,
            octets: 12_345_678_901,
            in_flight: 128,
            lap: Lap::default(),
            gateway: ([127, 0, 0, 1], 65_535).into(),
            workers: 2,
            balance: Balance::default(),
            origins: vec![origin("a", 40_000), origin("b", 40_001)],
        }
    }

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(
            [0, 999, 1000, 803_114, 1_000_000].map(count),
            ["0", "999", "1,000", "803,114", "1,000,000"]
        );
        assert_eq!([0, 999, 1000, 12_345_678].map(octets), ["0 B", "999 B", "1.0 kB", "12.3 MB"]);
        assert_eq!(octets(u64::MAX), "18446744.1 TB");
        let times = [0, 999, 1_200, 99_999, 100_000, 12_000_000].map(|us| time(Duration::from_micros(us)));
        assert_eq!(times, ["-", "999 us", "1.2 ms", "100.0 ms", "100 ms", "12 s"]);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in [0, 1, 40, 80, 200] {
            for line in lines(&snapshot(), width, false) {
                assert!(line.chars().count() <= width && !line.contains('\x1b'));
            }
        }
        assert!(lines(&snapshot(), 80, true).iter().any(|line| line.contains(GREEN)));
        let whole = lines(&snapshot(), 200, false);
        assert!(whole.iter().all(|line| line.len() <= 80), "a usual terminal shows all");
        assert!(whole.iter().any(|line| line.contains("1,234,567") && line.contains("12.3 GB")));
    }

    #[test]
    fn the_conclusion_names_what_was_broken() {
        use super::super::screen::Promise;
        let mut summary = Summary {
            elapsed: Duration::from_secs(20),
            requests: 803_113,
            failed: 1,
            octets: 12_300_000_000,
            times: Times::default(),
            retried: 0,
            drained: 128,
            meanwhile: vec!["an origin was slow", "the gateway drained"],
            promises: vec![Promise { name: "no request fails", held: false }],
            complaints: vec!["request 7 was reset".to_owned()],
        };
        let text = conclusion(&summary, false);
        assert!(text.contains("\n1 of 803,114 requests failed\n"), "{text}");
        assert!(text.contains("\nwhile an origin was slow, and the gateway drained.\n"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        assert!(text.contains("BROKEN  no request fails") && text.contains("request 7 was reset"));
        summary.promises[0].held = true;
        assert!(!conclusion(&summary, false).contains("BROKEN"));
    }
}
