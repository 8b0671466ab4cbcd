//! `shuntyard check` and `shuntyard config`: what can be said without serving.

use std::io::{self, Write as _};

use shuntyard_adapter::transport::CONNECTION_OCTETS;
use shuntyard_core::config::{Config, MemoryBound};

use crate::cli::{ConfigCommand, ServeArgs};
use crate::config::{Code, reference};
use crate::failure::Failure;
use crate::prepare::Prepared;
use crate::settings::{Settings, count};

/// Reads what `run` would read, and says what there is to serve.
pub(crate) fn check(args: &ServeArgs) -> Result<(), Failure> {
    let settings = Settings::new(args)?;
    Prepared::new(&settings)?;
    let what = args.config.as_ref().map_or("these flags".to_owned(), |path| path.display().to_string());
    let bound = memory_bound(&settings.config, !settings.listen_tls.is_empty());
    let workers = settings.workers.get() as u64;
    let mut text = format!("{what}: valid: {}\n", settings.summary());
    text.push_str(&format!(
        "memory: {} at most, in {}, whatever clients and backends do\n",
        roughly(bound.total().saturating_mul(workers)),
        count(settings.workers.get(), "worker"),
    ));
    for (term, octets) in &bound.terms {
        text.push_str(&format!("  {:>10}  {term}\n", roughly(octets.saturating_mul(workers))));
    }
    print(&text);
    Ok(())
}

/// The core's bound, and what TLS adds: with clients, where there is a listener for it, and with the backends that speak it.
fn memory_bound(config: &Config, tls_with_clients: bool) -> MemoryBound {
    let clients = if tls_with_clients { u64::from(config.max_fronts) } else { 0 };
    let backends = config.upstreams.iter().fold(0u64, |sum, upstream| {
        let secure = upstream.endpoints.iter().filter(|endpoint| endpoint.tls.is_some());
        secure.map(|endpoint| u64::from(upstream.most_connections(endpoint))).fold(sum, u64::saturating_add)
    });
    let mut bound = config.memory_bound();
    for (term, connections) in [("TLS with clients", clients), ("TLS with backends", backends)] {
        if connections > 0 {
            // The worker's own buffers are those of one connection more.
            let octets = connections.saturating_add(1).saturating_mul(CONNECTION_OCTETS);
            bound.terms.push((term, octets));
        }
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
        let (clear, secure) = (memory_bound(&config, false), memory_bound(&config, true));
        assert_eq!(clear, config.memory_bound());
        assert_eq!(secure.total() - clear.total(), 1001 * CONNECTION_OCTETS);
        assert!(secure.terms.is_sorted_by(|one, next| one.1 >= next.1));
    }
}
