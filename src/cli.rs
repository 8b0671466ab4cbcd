//! The command line. Every flag is an environment variable too: `--drain-timeout` is SHUNTYARD_DRAIN_TIMEOUT.

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::address::{Endpoint, ListenAddress};
use crate::observation::ObserveArgs;

/// An HTTP/2 gateway
#[derive(Debug, Parser)]
#[command(name = "shuntyard", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve clients and pass their requests on to backends
    Run(RunArgs),
    /// Show what the gateway promises: origins, gateway and clients in one process, every octet verified
    Demo(DemoArgs),
    /// Print the version
    Version,
}

#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// What drives the sockets
    #[arg(long, env = "SHUNTYARD_ADAPTER", value_enum, default_value_t = Adapter::Mio)]
    pub(crate) adapter: Adapter,

    /// Threads that serve, each with connections of its own [default: the number of processors]
    #[arg(long, env = "SHUNTYARD_WORKERS", value_name = "N", value_parser = workers)]
    pub(crate) workers: Option<NonZeroUsize>,

    /// Where clients connect to: HOST:PORT or unix:/PATH; may be repeated (variable: separated by commas)
    #[arg(
        long,
        env = "SHUNTYARD_LISTEN",
        value_name = "ADDRESS",
        value_delimiter = ',',
        default_value = "127.0.0.1:8080"
    )]
    pub(crate) listen: Vec<ListenAddress>,

    /// Where requests go: h2c://HOST:PORT or h2c://unix:/PATH; may be repeated (variable: separated by commas)
    #[arg(long, env = "SHUNTYARD_BACKEND", value_name = "URL", value_delimiter = ',', required = true)]
    pub(crate) backend: Vec<Endpoint>,

    /// How long SIGTERM and SIGINT wait for requests that are under way, as in 500ms, 25s, 5m
    #[arg(
        long,
        env = "SHUNTYARD_DRAIN_TIMEOUT",
        value_name = "TIME",
        value_parser = duration,
        default_value = "25s"
    )]
    pub(crate) drain_timeout: Duration,

    #[command(flatten)]
    pub(crate) observe: ObserveArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// How long it lasts, about
    #[arg(
        long,
        env = "SHUNTYARD_SECONDS",
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=86_400),
        default_value_t = 20
    )]
    pub(crate) seconds: u32,

    /// Clients, each with a connection and 8 requests under way
    #[arg(
        long,
        env = "SHUNTYARD_CLIENTS",
        value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=100),
        default_value_t = 16
    )]
    pub(crate) clients: u16,

    /// Print JSON, an object a line, instead of a table (so it does where stdout is no terminal)
    #[arg(long, env = "SHUNTYARD_JSON", value_parser = FalseyValueParser::new())]
    pub(crate) json: bool,

    /// Stay up at the end until a signal, and print addresses for curl
    #[arg(long, env = "SHUNTYARD_KEEP", value_parser = FalseyValueParser::new())]
    pub(crate) keep: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Adapter {
    /// A hand-rolled event loop
    Mio,
    /// A tokio runtime on each thread
    Tokio,
}

impl Adapter {
    /// What it is called on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Mio => "mio",
            Self::Tokio => "tokio",
        }
    }
}

/// The most threads that anybody asks for on purpose.
const MAX_WORKERS: usize = 1024;

fn workers(text: &str) -> Result<NonZeroUsize, String> {
    match text.parse() {
        Ok(workers) if workers <= NonZeroUsize::MIN.saturating_add(MAX_WORKERS - 1) => Ok(workers),
        _ => Err(format!("not a number between 1 and {MAX_WORKERS}")),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 =
        digits.parse().map_err(|_| "not a time: write it with its unit, as in 25s".to_owned())?;
    let unit = match &text[digits.len()..] {
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(3600),
        _ => return Err("not a time: its unit is one of ms, s, m, h".to_owned()),
    };
    u32::try_from(number)
        .ok()
        .and_then(|number| unit.checked_mul(number))
        .ok_or_else(|| "too long a time".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_has_its_variable() {
        for command in Cli::command().get_subcommands() {
            for arg in command.get_arguments() {
                let Some(flag) = arg.get_long().filter(|flag| !["help", "version"].contains(flag)) else {
                    continue;
                };
                let variable = format!("SHUNTYARD_{}", flag.to_uppercase().replace('-', "_"));
                assert_eq!(arg.get_env().and_then(|name| name.to_str()), Some(variable.as_str()));
            }
        }
    }

    #[test]
    fn times_have_units() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("25s"), Ok(Duration::from_secs(25)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for wrong in ["", "25", "s", "-1s", "1.5s", "25 s", "25x", "5000000000s", "ä"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
