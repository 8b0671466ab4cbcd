//! `shuntyard check` and `shuntyard config`: what can be said without serving.

use std::io::{self, Write as _};

use shuntyard_adapter::recording_octets_max;
use shuntyard_adapter::transport::{CONNECTION_OCTETS, SESSIONS_OCTETS};
use shuntyard_core::config::{Config, EndpointConfig, MemoryBound};

use crate::cli::{ConfigCommand, ServeArgs};
use crate::config::{Code, reference};
use crate::failure::Failure;
use crate::log;
use crate::prepare::Prepared;
use crate::settings::count;

/// Reads what `run` would read, and says what there is to serve.
pub(crate) fn check(args: &ServeArgs) -> Result<(), Failure> {
    let (settings, _) = Prepared::all(args)?;
    let what = args.config.as_ref().map_or("these flags".to_owned(), |path| path.display().to_string());
    let workers = settings.workers.get() as u64;
    let beside = Beside {
        asking: settings.listen_tls.iter().map(|(_, files)| 1 + files.by_name.len() as u64).sum(),
        records: settings.observe.wants_records(),
        recording: args.record.record.is_some(),
    };
    let bound = memory_bound(&settings.config, beside, workers);
    let mut text = format!("{what}: valid: {}\n", settings.summary());
    let warnings = settings.warning().into_iter().chain(settings.share_warning());
    warnings.for_each(|warning| text.push_str(&format!("warning: {warning}\n")));
    text.push_str(&format!(
        "memory: {} at most, in {}, whatever clients and backends do\n",
        roughly(bound.total()),
        count(settings.workers.get(), "worker"),
    ));
    for (term, octets) in &bound.terms {
        text.push_str(&format!("  {:>10}  {term}\n", roughly(*octets)));
    }
    print(&text);
    Ok(())
}

/// What takes memory beside the core.
#[derive(Clone, Copy, Debug, Default)]
struct Beside {
    /// In so many ways clients of TLS are asked for certificates, or not: those of each listener and of its groups of names.
    asking: u64,
    /// Somebody wants records of requests.
    records: bool,
    /// What workers are told is recorded.
    recording: bool,
}

/// The core's bound of all workers, and what is added to it: by TLS with clients and with the backends that speak it, by records of requests, and by
/// a recording.
fn memory_bound(config: &Config, beside: Beside, workers: u64) -> MemoryBound {
    let Beside { asking, records, recording } = beside;
    let clients = if asking > 0 { u64::from(config.max_fronts) } else { 0 };
    let connections = |of: fn(&EndpointConfig) -> bool| {
        config.upstreams.iter().fold(0u64, |sum, upstream| {
            let those = upstream.endpoints.iter().filter(|endpoint| of(endpoint));
            those
                .map(|endpoint| u64::from(upstream.most_connections(endpoint)))
                .fold(sum, u64::saturating_add)
        })
    };
    let backends = connections(|endpoint| endpoint.tls.is_some());
    let mut bound = config.memory_bound();
    for (term, connections) in [("TLS with clients", clients), ("TLS with backends", backends)] {
        if connections > 0 {
            // The worker's own buffers are those of one connection more.
            let octets = connections.saturating_add(1).saturating_mul(CONNECTION_OCTETS);
            bound.terms.push((term, octets));
        }
    }
    if records {
        let requests =
            u64::from(config.max_fronts).saturating_mul(config.front.max_concurrent_streams.into());
        let waiting = requests.saturating_mul(log::attempts_octets_max(config));
        bound.terms.push(("attempts that the access log waits with", waiting));
    }
    if recording {
        let all = connections(|_| true).saturating_add(config.max_fronts.into());
        bound.terms.push(("recording", recording_octets_max(config, all)));
    }
    bound.terms.iter_mut().for_each(|(_, octets)| *octets = octets.saturating_mul(workers));
    if asking > 0 {
        // Of all workers.
        bound.terms.push(("sessions of TLS 1.2", asking.saturating_mul(SESSIONS_OCTETS)));
    }
    if records {
        // The workers' one log.
        bound.terms.push(("access log", log::octets_max(config)));
    }
    bound.terms.sort_by_key(|&(_, octets)| std::cmp::Reverse(octets));
    bound
}

/// A size in its largest unit, for people.
fn roughly(octets: u64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.into_iter().find(|(_, shift)| octets >> shift > 0) {
        Some((unit, shift)) => {
            let tenths = (u128::from(octets) * 10) >> shift;
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
        None => format!("{octets} B"),
    }
}

/// Prints what is asked for.
pub(crate) fn show(command: ConfigCommand) {
    match command {
        ConfigCommand::Reference => print(&reference()),
        ConfigCommand::Explain { code: Some(code) } => print(&explain(code)),
        ConfigCommand::Explain { code: None } => print(&Code::ALL.map(explain).join("\n")),
    }
}

fn explain(code: Code) -> String {
    let mut text = format!("{code}: {}\n", code.title());
    let mut column = usize::MAX;
    for word in code.page().split_whitespace() {
        if column.saturating_add(word.len()) > 100 {
            text.push_str("\n   ");
            column = 3;
        }
        text.push(' ');
        text.push_str(word);
        column += word.len() + 1;
    }
    text.push('\n');
    text
}

/// Whoever closed stdout does not want to know.
fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_counts_tls_where_it_is_spoken() {
        let mut config = Config::new(Vec::new());
        config.max_fronts = 1000;
        let bound = |asking, workers| memory_bound(&config, Beside { asking, ..Beside::default() }, workers);
        let (clear, secure) = (bound(0, 1), bound(1, 1));
        assert_eq!(clear, config.memory_bound());
        assert_eq!(secure.total() - clear.total(), 1001 * CONNECTION_OCTETS + SESSIONS_OCTETS);
        assert!(secure.terms.is_sorted_by(|one, next| one.1 >= next.1));
        // Sessions are of all workers, and of each way to ask.
        assert_eq!(bound(1, 3).total(), 3 * (secure.total() - SESSIONS_OCTETS) + SESSIONS_OCTETS);
        assert_eq!(bound(3, 1).total(), secure.total() + 2 * SESSIONS_OCTETS);
    }

    /// Numbers, not formulas: who changes what is counted changes them here, too. What is of the size of structures lies between two.
    #[test]
    fn what_takes_memory_beside_the_core_in_numbers() {
        let app: std::net::SocketAddr = "127.0.0.1:9000".parse().expect("an address");
        let mut config = Config::new(vec![app.into()]);
        config.upstreams[0].endpoints[0].tls = Some(shuntyard_core::config::Alpn::Either);
        config.upstreams[0].connections_max = 2;
        config.upstreams[0].http1_connections_max = 3;
        config.upstreams[0].retry.unprocessed_attempts = 6;
        config.max_fronts = 10;
        config.front.max_concurrent_streams = 5;
        let beside = Beside { asking: 2, records: true, recording: true };
        let bound = memory_bound(&config, beside, 1);
        let term = |name: &str| bound.terms.iter().find(|(term, _)| *term == name).expect("it is there").1;
        // 320 KiB for each of ten clients and four connections to the backend, and once more for a worker's own buffers.
        assert_eq!((term("TLS with clients"), term("TLS with backends")), (11 * 327_680, 5 * 327_680));
        // 4,096 of 4,352 octets, twice.
        assert_eq!(term("sessions of TLS 1.2"), 2 * 17_825_792);
        // Eight places for six attempts of each of fifty requests.
        let attempts = term("attempts that the access log waits with");
        assert!((50 * 8 * 100..50 * 8 * 400).contains(&attempts), "{attempts}");
        // 32 MiB in the queue; lines of 64 KiB and of a head of 139,264 octets in which each is escaped, twice: 1,802,240.
        let log = term("access log");
        assert!((33_554_432 + 1_802_240..36_000_000).contains(&log), "{log}");
        // What is not written yet, and how far fourteen connections have come.
        let recording = term("recording");
        let each = (recording - 1_179_648) / 14;
        assert!((2 * 64..2 * 1024).contains(&each), "{recording}");
    }

    /// All workers have one log. What waits for the end of a request waits on its worker.
    #[test]
    fn the_bound_counts_the_access_log_where_there_is_one() {
        let config = Config::new(Vec::new());
        let without = memory_bound(&config, Beside::default(), 2).total();
        let with = memory_bound(&config, Beside { records: true, ..Beside::default() }, 2);
        let term = |name: &str| with.terms.iter().find(|(term, _)| *term == name).expect("it is there").1;
        assert_eq!(term("access log"), log::octets_max(&config));
        let waiting = 2 * 100_000 * 100 * log::attempts_octets_max(&config);
        assert_eq!(term("attempts that the access log waits with"), waiting);
        assert_eq!(with.total() - without, log::octets_max(&config) + waiting);
    }

    #[test]
    fn the_bound_counts_a_recording_where_there_is_one() {
        let backend: std::net::SocketAddr = "127.0.0.1:9000".parse().expect("an address");
        let config = Config::new(vec![backend.into()]);
        let upstream = &config.upstreams[0];
        let backends = u64::from(upstream.most_connections(&upstream.endpoints[0]));
        let with = memory_bound(&config, Beside { recording: true, ..Beside::default() }, 2);
        let each = recording_octets_max(&config, u64::from(config.max_fronts) + backends);
        assert_eq!(with.total(), 2 * (config.memory_bound().total() + each));
        assert!(each > 3 * config.recv_buffer_octets as u64);
    }
}
