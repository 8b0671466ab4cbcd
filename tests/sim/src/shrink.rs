//! Smaller scenarios that fail in the same way. Works on the text form, so that whatever a scenario can say can be taken out.

use crate::run::{Failure, run};
use crate::scenario::Scenario;
use crate::text;

/// A failure and the smallest scenario that was found for it.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The scenario.
    pub scenario: Scenario,
    /// What it breaks.
    pub failure: Failure,
    /// How many runs it took.
    pub runs: usize,
}

impl Shrunk {
    /// The report for people: invariant, seed, scenario, and the command that replays it.
    pub fn report(&self) -> String {
        let Failure { violation, at, seed, .. } = &self.failure;
        let text = text::print(&self.scenario);
        format!(
            "{violation}\n\nseed {seed}, at {at} ns of virtual time, shrunk in {} runs to:\n\n{text}\n\
             Save that as tests/sim/regressions/NAME.txt and replay it with\n\n    \
             SHUNTYARD_SCENARIO=NAME cargo test -p shuntyard-sim --test regressions -- --nocapture\n",
            self.runs
        )
    }
}

/// Shrinks a scenario that fails, in at most `runs` runs. A smaller one counts if the same invariant breaks.
pub fn shrink(scenario: &Scenario, failure: Failure, runs: usize) -> Shrunk {
    let id = failure.violation.id;
    let lines = text::print(scenario).lines().map(str::to_owned).collect();
    let mut search = Search { id, lines, best: (scenario.clone(), failure), runs: 0, runs_max: runs };
    while search.round() && search.runs < runs {}
    let (scenario, failure) = search.best;
    Shrunk { scenario, failure, runs: search.runs }
}

struct Search {
    id: &'static str,
    lines: Vec<String>,
    best: (Scenario, Failure),
    runs: usize,
    runs_max: usize,
}

impl Search {
    /// One pass over everything that may go; whether anything went.
    fn round(&mut self) -> bool {
        let sessions = self.drop_blocks();
        let lines = self.drop_runs_of_lines();
        sessions | lines | self.simplify_words()
    }

    /// Whole sessions with their exchanges.
    fn drop_blocks(&mut self) -> bool {
        let mut any = false;
        let mut at = 0;
        while at < self.lines.len() {
            let is_inner = |line: &String| line.starts_with(' ');
            let length = 1 + self.lines[at + 1..].iter().take_while(|line| is_inner(line)).count();
            let droppable = self.lines[at].starts_with("session") || self.lines[at].starts_with("backend");
            if droppable && self.try_without(at, length) {
                any = true;
            } else {
                at += length;
            }
        }
        any
    }

    /// Lines, many at a time first.
    fn drop_runs_of_lines(&mut self) -> bool {
        let mut any = false;
        for length in [16, 8, 4, 2, 1] {
            let mut at = 0;
            while at < self.lines.len() {
                let end = (at + length).min(self.lines.len());
                let structural = |line: &String| line.starts_with("session") || line.starts_with("scenario");
                if !self.lines[at..end].iter().any(structural) && self.try_without(at, end - at) {
                    any = true;
                } else {
                    at += 1;
                }
            }
        }
        any
    }

    /// Words back to their defaults; lists shorter; numbers smaller.
    fn simplify_words(&mut self) -> bool {
        let mut any = false;
        for at in 0..self.lines.len() {
            let mut word = 0;
            while let Some(text) = self.lines[at].split_whitespace().nth(word + 1).map(str::to_owned) {
                if text.starts_with("rid=") || text.starts_with("seed=") {
                    word += 1;
                } else if self.try_word(at, word, None) {
                    any = true;
                } else {
                    any |= smaller(&text).into_iter().any(|less| self.try_word(at, word, Some(&less)));
                    word += 1;
                }
            }
        }
        any
    }

    fn try_without(&mut self, at: usize, length: usize) -> bool {
        let mut lines = self.lines.clone();
        lines.drain(at..at + length);
        self.accept(lines)
    }

    fn try_word(&mut self, at: usize, word: usize, replacement: Option<&str>) -> bool {
        let line = &self.lines[at];
        let indent = if line.starts_with(' ') { "  " } else { "" };
        let mut words: Vec<&str> = line.split_whitespace().collect();
        match replacement {
            Some(text) => words[word + 1] = text,
            None => _ = words.remove(word + 1),
        }
        let mut lines = self.lines.clone();
        lines[at] = format!("{indent}{}", words.join(" "));
        self.accept(lines)
    }

    /// Takes the lines if they still fail in the same way.
    fn accept(&mut self, lines: Vec<String>) -> bool {
        if self.runs >= self.runs_max {
            return false;
        }
        let Ok(scenario) = text::parse(&lines.join("\n")) else { return false };
        if scenario.config.validate().is_err() {
            return false;
        }
        self.runs += 1;
        match run(&scenario) {
            Err(failure) if failure.violation.id == self.id => {
                self.lines = lines;
                self.best = (scenario, *failure);
                true
            }
            Ok(_) | Err(_) => false,
        }
    }
}

/// Simpler values of `name=value`, the simplest first.
fn smaller(word: &str) -> Vec<String> {
    let Some((name, value)) = word.split_once('=') else { return Vec::new() };
    let mut simpler = Vec::new();
    let parts: Vec<&str> = value.split(',').collect();
    if parts.len() > 1 {
        for skipped in 0..parts.len() {
            let rest = parts.iter().enumerate().filter(|(at, _)| *at != skipped).map(|(_, part)| *part);
            simpler.push(rest.collect::<Vec<_>>().join(","));
        }
    }
    if let Ok(number) = value.parse::<u64>() {
        simpler.extend(
            [0, 1, number / 2, number.saturating_sub(1)].iter().filter(|&&n| n < number).map(u64::to_string),
        );
    }
    simpler.into_iter().map(|value| format!("{name}={value}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smaller_values() {
        assert_eq!(smaller("a=1,2"), ["a=2", "a=1"]);
        assert_eq!(smaller("a=10"), ["a=0", "a=1", "a=5", "a=9"]);
        assert_eq!(smaller("a=true"), Vec::<String>::new());
    }
}
