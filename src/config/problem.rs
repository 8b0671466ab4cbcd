//! What is wrong with a configuration, and how it is shown: all of it, each with its place in the file.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet, normalize_untrusted_str};

use crate::config::code::Code;
use crate::diagnostics::printable;

/// Octets of the file, from and to.
pub(crate) type Span = Range<usize>;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    code: Code,
    title: String,
    /// `None`: the file as a whole.
    at: Option<Span>,
    label: String,
    related: Option<(Span, String)>,
    help: Option<String>,
    /// The next start may find it mended.
    passing: bool,
}

impl Problem {
    /// Something about the file as a whole.
    pub(super) fn of_file(code: Code, title: impl Into<String>) -> Self {
        Self {
            code,
            title: title.into(),
            at: None,
            label: String::new(),
            related: None,
            help: None,
            passing: code == Code::NameUnresolved,
        }
    }

    /// Something at this place.
    pub(super) fn new(code: Code, title: impl Into<String>, at: Span) -> Self {
        Self { at: Some(at), ..Self::of_file(code, title) }
    }

    /// With these words under the place.
    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// With another place that has to do with it.
    pub(super) fn related(mut self, at: Span, label: impl Into<String>) -> Self {
        self.related = Some((at, label.into()));
        self
    }

    /// With what to do.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// One that the next start may find mended, if that is so.
    pub(super) fn passing(mut self, passing: bool) -> Self {
        self.passing = passing;
        self
    }

    fn start(&self) -> usize {
        self.at.as_ref().map_or(usize::MAX, |at| at.start)
    }

    fn draw(&self, source: &Source, renderer: &Renderer) -> String {
        // What an operator wrote may have control characters; in a message they would do something, and a line of it would be another error.
        let clean = |text: &str| normalize_untrusted_str(&printable(text));
        let title = Level::ERROR.primary_title(clean(&self.title)).id(self.code.to_string());
        let mut group = match &self.at {
            None => title.element(Origin::path(clean(&source.name))),
            Some(at) => {
                let mut primary = AnnotationKind::Primary.span(at.clone());
                if !self.label.is_empty() {
                    primary = primary.label(clean(&self.label));
                }
                let secondary = self
                    .related
                    .as_ref()
                    .map(|(span, label)| AnnotationKind::Context.span(span.clone()).label(clean(label)));
                let snippet = Snippet::source(&source.text).path(clean(&source.name));
                title.element(snippet.annotation(primary).annotations(secondary))
            }
        };
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(clean(help)));
        }
        renderer.render(&[group])
    }
}

/// The text of a configuration and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// A configuration that cannot work, with everything that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    source: Source,
    problems: Vec<Problem>,
}

impl Refused {
    /// `problems` must not be empty.
    pub(super) fn new(source: Source, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(Problem::start);
        Self { source, problems }
    }

    /// How many errors there are and what the first one is, in a line.
    pub(crate) fn brief(&self) -> String {
        let told = format!("{} in {}", self.count(), printable(&self.source.name));
        let Some(Problem { code, title, at, .. }) = self.problems.first() else { return told };
        let before = at.as_ref().and_then(|at| self.source.text.get(..at.start));
        let place = before.map(|before| {
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
            format!("{line}:{column}: ")
        });
        let first = if self.problems.len() == 1 { "" } else { "first " };
        format!("{told}: {first}{}{} ({code})", place.unwrap_or_default(), printable(title))
    }

    /// Whether nothing is wrong but what may have passed at the next start: names have no address now, files of certificates are not there yet.
    pub(crate) fn may_pass(&self) -> bool {
        self.problems.iter().all(|problem| problem.passing)
    }

    /// How many errors there are, in words.
    pub(crate) fn count(&self) -> String {
        match self.problems.len() {
            1 => "1 error".to_owned(),
            n => format!("{n} errors"),
        }
    }

    /// All errors, top to bottom, and how to learn more.
    pub(crate) fn draw(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut text = String::new();
        for problem in &self.problems {
            text.push_str(&problem.draw(&self.source, &renderer));
            text.push_str("\n\n");
        }
        let first = self.problems.iter().map(|problem| problem.code.to_string()).next().unwrap_or_default();
        text.push_str(&format!(
            "{} in {}; `shuntyard config explain {first}` tells more about a code\n",
            self.count(),
            printable(&self.source.name),
        ));
        text
    }

    #[cfg(test)]
    pub(super) fn codes(&self) -> Vec<Code> {
        self.problems.iter().map(|problem| problem.code).collect()
    }
}
