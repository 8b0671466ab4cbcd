//! The program `shuntyard`: an HTTP/2 gateway.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

mod address;
mod admin;
mod cli;
mod demo;
mod diagnostics;
mod failure;
mod log;
mod observation;
mod run;
mod signals;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(args) => run::run(args),
        Command::Demo(args) => demo::run(args),
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
