//! The program `shuntyard`: an HTTP/2 gateway.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

mod address;
mod admin;
mod check;
mod cli;
mod config;
mod demo;
mod diagnostics;
mod failure;
mod log;
mod observation;
mod reload;
mod replay;
mod run;
mod server;
mod settings;
mod signals;
mod throttle;
mod tls;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::check(&args),
        Command::Config(command) => {
            check::show(command);
            Ok(())
        }
        Command::Demo(args) => demo::run(args),
        Command::Replay(args) => replay::run(args),
        Command::Version => {
            // Whoever closed stdout does not want to know.
            let _ = writeln!(std::io::stdout(), "shuntyard {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            failure.exit_code()
        }
    }
}
