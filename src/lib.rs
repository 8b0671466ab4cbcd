//! The program `shuntyard`: an HTTP/2 gateway. What of it is of use to others is how it reads its configuration; the gateway itself
//! is in `shuntyard_core`, and on sockets in `shuntyard_mio` and `shuntyard_tokio`.
//!
//! ```
//! let text = "[[route]]\nupstream = \"app\"\n[upstream.app]\nendpoints = [\"127.0.0.1:9000\"]\n";
//! let config = shuntyard::configuration("shuntyard.toml", text)?;
//! assert_eq!(&*config.upstreams[0].name, "app");
//!
//! let refused = shuntyard::configuration("shuntyard.toml", "[limits]\nmax_conections = 1\n").unwrap_err();
//! assert!(refused.to_string().contains("max_connections"));
//! # Ok::<(), shuntyard::Refused>(())
//! ```

use std::fmt;
use std::io::Write as _;
use std::process::ExitCode;

use shuntyard_core::config::Config;

mod address;
mod admin;
mod check;
mod cli;
mod config;
mod demo;
mod descriptors;
mod diagnostics;
mod failure;
mod health;
mod log;
mod observation;
mod prepare;
mod pulse;
mod reload;
mod replay;
mod run;
mod server;
mod settings;
mod signals;
mod systemd;
mod throttle;
mod tls;

use cli::{Cli, Command};
use diagnostics::LogFormat;

/// What a configuration file of this text makes of the core: the configuration of each worker's gateway, whichever adapter drives it. `name`
/// is what messages call the file. Files that the text names, such as certificates, are looked at; nothing is bound.
pub fn configuration(name: &str, text: &str) -> Result<Config, Refused> {
    let file = config::of_text(name.to_owned(), text.to_owned()).map_err(Refused)?;
    Ok(Config { records: file.observe.wants_records(), ..file.config })
}

/// Why a configuration is refused: everything that is wrong with it, with places in the text, as `shuntyard check` prints it. Its `Debug` is
/// its `Display`, for tests that unwrap.
pub struct Refused(config::Refused);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.draw(false))
    }
}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Refused {}

/// The program: what the command line asks for is done, and what fails is said.
pub fn main() -> ExitCode {
    let command = Cli::read().command;
    let format = match &command {
        Command::Run(args) | Command::Check(args) => args.observe.log_format,
        _ => LogFormat::Text,
    };
    let outcome = match command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::check(&args),
        Command::Config(command) => {
            check::show(command);
            Ok(())
        }
        Command::Demo(args) => demo::run(args),
        Command::Replay(args) => replay::run(args),
        Command::Health(args) => health::ask(&args),
        Command::Version => {
            // Whoever closed stdout does not want to know.
            let _ = writeln!(std::io::stdout(), "shuntyard {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
    };
    let (last, code) = match outcome {
        Ok(()) => (String::new(), ExitCode::SUCCESS),
        Err(failure) => (failure.message(format), failure.exit_code()),
    };
    diagnostics::end(last);
    code
}
