//! `shuntyard check` and `shuntyard config`: what can be said without serving.

use std::io::{self, Write as _};

use crate::cli::{ConfigCommand, ServeArgs};
use crate::config::{Code, reference};
use crate::failure::Failure;
use crate::settings::Settings;

/// Reads what `run` would read, and says what there is to serve.
pub(crate) fn check(args: &ServeArgs) -> Result<(), Failure> {
    let settings = Settings::new(args)?;
    let what = args.config.as_ref().map_or("these flags".to_owned(), |path| path.display().to_string());
    print(&format!("{what}: valid: {}\n", settings.summary()));
    Ok(())
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
