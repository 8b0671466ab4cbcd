//! What configurations mean, and what is said of those that are wrong.

mod limits;
mod meaning;
mod wrong;

use super::{FromFile, Refused, of_text};

/// What a file of this text says.
fn parsed(text: &str) -> Result<FromFile, Refused> {
    of_text("shuntyard.toml".to_owned(), text.to_owned())
}

/// Likewise, of a text that is right.
#[track_caller]
fn valid(text: &str) -> FromFile {
    parsed(text).unwrap_or_else(|refused| panic!("{}", refused.draw(false)))
}

/// Compares with what was reviewed: `snapshots/` has it.
fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.set_prepend_module_to_snapshot(false);
    settings.bind(|| insta::assert_snapshot!(name, text));
}
