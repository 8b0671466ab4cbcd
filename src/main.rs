//! The program `shuntyard`: an HTTP/2 gateway.

use std::process::ExitCode;

fn main() -> ExitCode {
    shuntyard::main()
}
