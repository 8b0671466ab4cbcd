//! The command line. Every flag is an environment variable too: `--drain-timeout` is SHUNTYARD_DRAIN_TIMEOUT.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use shuntyard_adapter::{RecordingOptions, StreamName};
use shuntyard_core::config::Scope;

use crate::address::{Endpoint, ListenAddress};
use crate::config::{Code, DAY, parse_time, write_time};
use crate::observation::ObserveArgs;

/// A gateway for HTTP/2 and HTTP/1.1
#[derive(Debug, Parser)]
#[command(name = "shuntyard", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What stands in a file where there is one.
const WITHOUT_FILE: [(&str, &str); 4] = [
    ("backend", "--backend <URL>"),
    ("backend_ca", "--backend-ca <FILE>"),
    ("backend_insecure", "--backend-insecure"),
    ("share", "--share <SHARE>"),
];

impl Cli {
    /// What the command line and the environment say. Where that is nothing sound, the program ends here.
    pub(crate) fn read() -> Self {
        let matches = without_empty(Self::command()).try_get_matches();
        matches.and_then(Self::of).unwrap_or_else(|error| {
            // Whoever has closed stderr has the exit code.
            let _ = error.print();
            // Who asks for health knows 0 and 1: to Docker 2 is none that a check may have. No flag stands before a command.
            let is_health = std::env::args_os().nth(1).is_some_and(|command| command == "health");
            std::process::exit(if is_health { error.exit_code().min(1) } else { error.exit_code() })
        })
    }

    fn of(matches: ArgMatches) -> Result<Self, clap::Error> {
        let mut cli = Self::from_arg_matches(&matches)?;
        if let (Command::Run(args) | Command::Check(args), Some((_, of))) =
            (&mut cli.command, matches.subcommand())
        {
            args.choose(of)?;
            args.judge()?;
        }
        Ok(cli)
    }
}

/// A variable that is empty says as much as none: that is how a unit or a compose file leaves one out.
fn without_empty(command: clap::Command) -> clap::Command {
    let is_empty = |arg: &Arg| arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    command
        .mut_args(|arg| if is_empty(&arg) { arg.env(None::<&'static str>) } else { arg })
        .mut_subcommands(without_empty)
}

impl ServeArgs {
    /// There is a file, or there are flags in its place. A flag decides which, whatever variables say.
    fn choose(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        let given = |id| {
            let source = matches.value_source(id);
            source.filter(|source| matches!(source, ValueSource::CommandLine | ValueSource::EnvVariable))
        };
        let Some(file) = given("config") else { return Ok(()) };
        // A switch that is off says what holds without it.
        let is_off = |id: &str| id == "backend_insecure" && !self.backend_insecure;
        let others = WITHOUT_FILE.iter().filter(|(id, _)| !is_off(id));
        let others = others.filter_map(|(id, shown)| Some((given(id)?, *shown)));
        let Some((strongest, shown)) = others.max_by_key(|(source, _)| *source == ValueSource::CommandLine)
        else {
            return Ok(());
        };
        match (file, strongest) {
            (ValueSource::CommandLine, ValueSource::EnvVariable) => {
                self.backend.clear();
                (self.backend_ca, self.backend_insecure, self.share) = (None, false, None);
            }
            _ if file != ValueSource::CommandLine && given("backend") == Some(ValueSource::CommandLine) => {
                self.config = None;
            }
            _ => {
                let shown = named(strongest, shown);
                let words = format!("{} cannot be used with {shown}", named(file, "--config <FILE>"));
                return Err(Cli::command().error(ErrorKind::ArgumentConflict, words));
            }
        }
        Ok(())
    }

    /// What goes together, by values: a variable may say of a switch that it is off.
    fn judge(&self) -> Result<(), clap::Error> {
        let refused = |kind, words| Err(Cli::command().error(kind, words));
        if self.record.record_content && self.record.record.is_none() {
            return refused(ErrorKind::MissingRequiredArgument, "'--record-content' needs '--record <FILE>'");
        }
        if self.backend_insecure && self.backend_ca.is_some() {
            let words = "the argument '--backend-insecure' cannot be used with '--backend-ca <FILE>'";
            return refused(ErrorKind::ArgumentConflict, words);
        }
        // Whoever names certificates wants TLS: without it nobody is served in clear instead.
        if self.listen_tls.is_empty() && !(self.cert.is_empty() && self.key.is_empty()) {
            let words =
                "'--cert <FILE>' and '--key <FILE>' are for '--listen-tls <ADDRESS>', which is not there";
            return refused(ErrorKind::MissingRequiredArgument, words);
        }
        let in_clear = !self.backend.iter().any(|backend| backend.config().tls.is_some());
        if in_clear && (self.backend_insecure || self.backend_ca.is_some()) {
            let words = "'--backend-ca <FILE>' and '--backend-insecure' are for backends of TLS, and there is none: write h2:// \
                         or https:// in '--backend <URL>'";
            return refused(ErrorKind::ArgumentConflict, words);
        }
        Ok(())
    }
}

/// A flag, or the variable that stands for it: whoever has forgotten one finds it by its name.
fn named(source: ValueSource, shown: &str) -> String {
    let flag = shown.trim_start_matches('-').split(' ').next().unwrap_or_default();
    match source {
        ValueSource::EnvVariable => {
            format!("the variable SHUNTYARD_{}", flag.to_uppercase().replace('-', "_"))
        }
        _ => format!("the argument '{shown}'"),
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve clients and pass their requests on to backends
    Run(ServeArgs),
    /// Say everything that is wrong with a configuration, as `run` would; nothing is started
    Check(ServeArgs),
    /// What a configuration may say
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Show what the gateway promises: origins, gateway and clients in one process, every octet verified
    Demo(DemoArgs),
    /// Run the gateway's core on what `run --record` wrote, and say whether the same comes out
    Replay(ReplayArgs),
    /// Ask a running gateway whether it is alive, or ready: for health checks of containers. Exits with 0, or with 1 whatever is wrong
    Health(HealthArgs),
    /// Print the version
    Version,
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every key with its meaning, unit, range and default, as a configuration
    Reference,
    /// Print what an error code means; without a code, what each of them means
    Explain {
        /// The code, as in G0103
        #[arg(value_name = "CODE")]
        code: Option<Code>,
    },
}

/// Flags come before variables, these before the file, and that before the defaults.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServeArgs {
    /// The configuration file (TOML), which SIGHUP reads again; `shuntyard config reference` shows its keys
    #[arg(short, long, env = "SHUNTYARD_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// What drives the sockets [default: mio]
    #[arg(long, env = "SHUNTYARD_ADAPTER", value_enum)]
    pub(crate) adapter: Option<Adapter>,

    /// Threads that serve, each with connections of its own [default: the number of processors]
    #[arg(long, env = "SHUNTYARD_WORKERS", value_name = "N", value_parser = workers)]
    pub(crate) workers: Option<NonZeroUsize>,

    /// Where clients connect to: HOST:PORT, :PORT, unix:/PATH, or fd:NAME for what systemd passes by that name; may be repeated (variable:
    /// separated by commas). Takes the place of every [[listen]] of a file, those with TLS included [default: 127.0.0.1:8080]
    #[arg(long, env = "SHUNTYARD_LISTEN", value_name = "ADDRESS", value_delimiter = ',')]
    pub(crate) listen: Vec<ListenAddress>,

    /// Where clients connect to and speak TLS, with --cert and --key; may be repeated. Takes the place of every [[listen]] of a
    /// file, too
    #[arg(
        long,
        env = "SHUNTYARD_LISTEN_TLS",
        value_name = "ADDRESS",
        value_delimiter = ',',
        requires = "cert"
    )]
    pub(crate) listen_tls: Vec<ListenAddress>,

    /// The certificate of --listen-tls with its chain, as PEM; may be repeated: the one that a client asks for is shown, or the
    /// first. It is read again when it changes
    #[arg(long, env = "SHUNTYARD_CERT", value_name = "FILE", value_delimiter = ',', requires = "key")]
    pub(crate) cert: Vec<PathBuf>,

    /// The key of each --cert, in the same order, as PEM
    #[arg(long, env = "SHUNTYARD_KEY", value_name = "FILE", value_delimiter = ',', requires = "cert")]
    pub(crate) key: Vec<PathBuf>,

    /// Without a file, where requests go: h2c:// (HTTP/2 with prior knowledge), http:// (HTTP/1.1), h2:// (HTTP/2 over
    /// TLS) or https:// (either over TLS) in front of HOST:PORT or unix:/PATH; may be repeated (variable: separated by
    /// commas)
    #[arg(
        long,
        env = "SHUNTYARD_BACKEND",
        value_name = "URL",
        value_delimiter = ',',
        required_unless_present = "config"
    )]
    pub(crate) backend: Vec<Endpoint>,

    /// Without a file, the authorities that backends must be signed by, as PEM [default: those of the system]
    #[arg(long, env = "SHUNTYARD_BACKEND_CA", value_name = "FILE")]
    pub(crate) backend_ca: Option<PathBuf>,

    /// Without a file, take any certificate of a backend: whoever is between can read and change everything
    #[arg(long, env = "SHUNTYARD_BACKEND_INSECURE", value_parser = BoolishValueParser::new())]
    pub(crate) backend_insecure: bool,

    /// Without a file, who may share a backend connection [default: worker]
    #[arg(long, env = "SHUNTYARD_SHARE", value_enum)]
    pub(crate) share: Option<Share>,

    /// How long /readyz says 503 before SIGTERM, SIGINT and SIGQUIT begin to drain, so that balancers look elsewhere [default: 0s]
    #[arg(long, env = "SHUNTYARD_READY_DELAY", value_name = "TIME", value_parser = time_of_drain)]
    pub(crate) ready_delay: Option<Duration>,

    /// How long SIGTERM, SIGINT and SIGQUIT wait for requests that are under way, as in 500ms, 25s, 5m [default: 25s]
    #[arg(long, env = "SHUNTYARD_DRAIN_TIMEOUT", value_name = "TIME", value_parser = time_of_drain)]
    pub(crate) drain_timeout: Option<Duration>,

    #[command(flatten)]
    pub(crate) observe: ObserveArgs,

    #[command(flatten)]
    pub(crate) record: RecordArgs,
}

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct RecordArgs {
    /// Record everything that the gateways are told, for `replay`: FILE.0, FILE.1, one for each worker. Heads of
    /// requests and responses are in it, with all their secrets, and the configuration. What was recorded there before
    /// becomes FILE.0.before
    #[arg(long, env = "SHUNTYARD_RECORD", value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,

    /// Record content, too, and not only what comes over HTTP/1.1
    #[arg(long, env = "SHUNTYARD_RECORD_CONTENT", value_parser = BoolishValueParser::new())]
    pub(crate) record_content: bool,

    /// How many MiB each file may take; then recording ends
    #[arg(
        long,
        env = "SHUNTYARD_RECORD_MAX",
        value_name = "MIB",
        value_parser = clap::value_parser!(u64).range(1..=1 << 20),
        default_value_t = 1024
    )]
    pub(crate) record_max: u64,
}

impl RecordArgs {
    /// What is to be recorded, if anything.
    pub(crate) fn options(self) -> Option<RecordingOptions> {
        let Self { record, record_content, record_max } = self;
        record.map(|file| RecordingOptions { file, content: record_content, max_octets: record_max << 20 })
    }
}

#[derive(Args, Debug)]
pub(crate) struct ReplayArgs {
    /// A recording of one worker, as in FILE.0
    pub(crate) file: PathBuf,

    /// Print what became of a client's stream and why, by its number, or by connection and number as in 3v1/5
    #[arg(long, env = "SHUNTYARD_EXPLAIN", value_name = "STREAM")]
    pub(crate) explain: Option<StreamName>,
}

#[derive(Args, Debug)]
pub(crate) struct HealthArgs {
    /// Its admin address, as in 127.0.0.1:9901
    #[arg(long, env = "SHUNTYARD_ADMIN", value_name = "ADDRESS", required_unless_present = "config")]
    pub(crate) admin: Option<ListenAddress>,

    /// Without --admin, the configuration file whose [admin] says it
    #[arg(short, long, env = "SHUNTYARD_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Ask whether new clients are served (/readyz), and not only whether its workers turn (/livez)
    #[arg(long, env = "SHUNTYARD_READY", value_parser = BoolishValueParser::new())]
    pub(crate) ready: bool,

    /// How long the answer may take
    #[arg(long, env = "SHUNTYARD_TIMEOUT", value_name = "TIME", value_parser = some_time, default_value = "2s")]
    pub(crate) timeout: Duration,
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

    /// What drives the gateway's sockets
    #[arg(long, env = "SHUNTYARD_ADAPTER", value_enum, default_value_t = Adapter::Mio)]
    pub(crate) adapter: Adapter,

    /// Print JSON, an object a line, instead of a table (so it does where stdout is no terminal)
    #[arg(long, env = "SHUNTYARD_JSON", value_parser = BoolishValueParser::new())]
    pub(crate) json: bool,

    /// Stay up at the end until a signal, and print addresses for curl
    #[arg(long, env = "SHUNTYARD_KEEP", value_parser = BoolishValueParser::new())]
    pub(crate) keep: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Share {
    /// The requests of one client connection
    Client,
    /// All clients of a worker
    Worker,
    /// Nobody: a connection carries one request at a time
    None,
}

impl From<Share> for Scope {
    fn from(share: Share) -> Self {
        match share {
            Share::Client => Self::Client,
            Share::Worker => Self::Worker,
            Share::None => Self::None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
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
pub(crate) const MAX_WORKERS: usize = 1024;

fn workers(text: &str) -> Result<NonZeroUsize, String> {
    match text.parse() {
        Ok(workers) if workers <= NonZeroUsize::MIN.saturating_add(MAX_WORKERS - 1) => Ok(workers),
        _ => Err(format!("not a number between 1 and {MAX_WORKERS}")),
    }
}

/// As in `[drain]` of a file.
fn time_of_drain(text: &str) -> Result<Duration, String> {
    time_within(text, Duration::ZERO)
}

fn some_time(text: &str) -> Result<Duration, String> {
    time_within(text, Duration::from_millis(1))
}

fn time_within(text: &str, min: Duration) -> Result<Duration, String> {
    let time = parse_time(text)?;
    if (min..=DAY).contains(&time) {
        return Ok(time);
    }
    Err(format!("not between {} and {}", write_time(min), write_time(DAY)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_recording_has_the_size_that_is_said() {
        let args = ["shuntyard", "run", "--backend", "h2c://127.0.0.1:9", "--record", "a", "--record-max"];
        for max in [1, 7] {
            let cli = Cli::parse_from(args.iter().map(|&arg| arg.to_owned()).chain([max.to_string()]));
            let Command::Run(args) = cli.command else { panic!("another command") };
            let options = args.record.options().unwrap();
            assert_eq!((options.max_octets, options.content), (max << 20, false));
        }
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
}
