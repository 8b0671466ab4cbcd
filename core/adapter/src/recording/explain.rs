//! The causal chain of one request: why it waited, what set it free, why it was sent again, how it ended.
//!
//! A second replay beside the first, which writes records whether or not they were written when it was recorded, and looks at
//! every request after each input. The input after which something is different is its cause. Records are no part of what
//! a gateway does, but for the memory they hold until they are taken: so this replay is compared, too.

use std::collections::BTreeMap;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::str::FromStr;

use shuntyard_core::config::Config;
use shuntyard_core::gateway::{
    Action, AttemptOutcome, Command, ConnId, Gateway, Glance, Record, RequestId, Wait, Whereabouts,
};
use shuntyard_core::time::Instant;

use crate::MakeHooks;
use crate::recording::input::{Entry, Input};
use crate::recording::recorder::Preamble;
use crate::recording::replay::{Recording, ReplayError, Replayed, tell};
use crate::recording::witness::Witness;

/// Requests that are told of at most, if a number alone is asked for.
const REQUESTS_MAX: usize = 20;

/// Of a request that waits for nobody.
const AT_ONCE: &str = "accepted, and answered at once";

/// A client's stream: its number, and perhaps its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamName {
    /// The connection; `None` is any.
    pub conn: Option<ConnId>,
    /// The stream's identifier.
    pub stream_id: u32,
}

impl FromStr for StreamName {
    type Err = String;

    /// `5`, or `3v1/5` as replays and messages name connections.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no stream: write 5, or 3v1/5 with its connection");
        let (conn, stream) = match text.split_once('/') {
            None => (None, text),
            Some((conn, stream)) => {
                let (index, generation) = conn.split_once('v').ok_or_else(wrong)?;
                let part = |text: &str| text.parse::<u32>().map(u64::from).map_err(|_| wrong());
                (Some(ConnId::from_bits(part(generation)? << 32 | part(index)?)), stream)
            }
        };
        Ok(Self { conn, stream_id: stream.parse().map_err(|_| wrong())? })
    }
}

/// Replays the file at `path`, and tells what became of a client's stream, line by line.
///
/// # Errors
/// As [`replay`](crate::replay).
pub fn explain(path: &Path, stream: StreamName) -> Result<(Replayed, Vec<String>), ReplayError> {
    explained(path, stream, None)
}

/// The same, to the same hooks as those of the gateway that was recorded. They are made twice.
///
/// # Errors
/// As [`replay_with`](crate::replay_with).
pub fn explain_with(
    path: &Path,
    stream: StreamName,
    hooks: &MakeHooks,
) -> Result<(Replayed, Vec<String>), ReplayError> {
    explained(path, stream, Some(hooks))
}

fn explained(
    path: &Path,
    stream: StreamName,
    hooks: Option<&MakeHooks>,
) -> Result<(Replayed, Vec<String>), ReplayError> {
    let recording = Recording::read(File::open(path)?)?;
    let mut second = Second::new(&recording.preamble, stream, hooks)?;
    let replayed = recording.play(hooks, |entry| second.play(entry))?;
    Ok((replayed, second.lines()))
}

/// The second replay, beside the first.
struct Second {
    gateway: Gateway,
    witness: Witness,
    /// Whether the gateway that was recorded wrote records: they count as its actions then.
    records: bool,
    story: Story,
    now: Instant,
    number: u64,
    /// The input after which something else came out than was recorded: that it writes records has changed what it does.
    left: Option<u64>,
    /// The input in which it panicked, in words.
    panicked: Option<String>,
}

impl Second {
    fn new(preamble: &Preamble, stream: StreamName, hooks: Option<&MakeHooks>) -> Result<Self, ReplayError> {
        Ok(Self {
            gateway: preamble.gateway_with(Config { records: true, ..preamble.config.clone() }, hooks)?,
            witness: Witness::new(preamble.content),
            records: preamble.config.records,
            story: Story::new(stream, preamble.now),
            now: preamble.now,
            number: 0,
            left: None,
            panicked: None,
        })
    }

    /// Plays it, unless what came before has ended the story.
    fn play(&mut self, entry: &Entry) {
        if self.left.is_some() || self.panicked.is_some() {
            return;
        }
        self.now = self.now + entry.since;
        // What is known up to there is what somebody wants to know of a panic.
        if catch_unwind(AssertUnwindSafe(|| self.play_on(entry))).is_err() {
            let (number, input) = (self.number, &entry.input);
            let seconds = self.story.seconds(self.now);
            self.panicked = Some(format!("  {seconds:12.6} s  the gateway panics (input {number}: {input})"));
        }
    }

    fn play_on(&mut self, entry: &Entry) {
        let possible = match &entry.input {
            Input::Actions(n) => {
                self.ask(*n);
                true
            }
            Input::Command(Command::Configure(config)) => {
                // One that is not valid is none.
                if config.validate().is_ok() {
                    self.records = config.records;
                }
                let config = Config { records: true, ..Config::clone(config) };
                let input = Input::Command(Command::Configure(Box::new(config)));
                tell(&mut self.gateway, &input, self.now, &mut self.witness)
            }
            input => tell(&mut self.gateway, input, self.now, &mut self.witness),
        };
        if !possible || entry.check.is_some_and(|check| check != self.witness.fold.check()) {
            self.left = Some(self.number);
            return;
        }
        self.story.look(&self.gateway, self.number, self.now, &entry.input);
        self.number += 1;
    }

    /// Asks for so many actions. Records stand between them, and count where they were recorded.
    fn ask(&mut self, mut n: u64) {
        while n > 0 {
            let action = self.gateway.poll_action();
            if let Some(Action::Record(record)) = &action {
                self.story.record(record);
                if !self.records {
                    continue;
                }
            }
            self.witness.acted(action.as_ref());
            n -= 1;
        }
    }

    fn lines(self) -> Vec<String> {
        let mut lines = self.story.lines();
        lines.extend(self.panicked);
        lines.extend(self.left.map(|input| {
            format!(
                "what follows input {input} is not told: with records, which --explain needs, the gateway does \
                 something else there than was recorded"
            )
        }));
        lines
    }
}

/// What is known of the requests in question.
struct Story {
    stream: StreamName,
    begin: Instant,
    /// The input that brought octets or news last, for what is decided when actions are asked for.
    cause: String,
    requests: BTreeMap<RequestId, Told>,
    more: bool,
}

/// What was told of one request.
struct Told {
    /// The client's connection and stream.
    client: (ConnId, u32),
    /// Where it was when it was last told of.
    place: Whereabouts,
    lines: Vec<String>,
    over: bool,
}

impl Story {
    fn new(stream: StreamName, begin: Instant) -> Self {
        Self { stream, begin, cause: String::new(), requests: BTreeMap::new(), more: false }
    }

    /// How long it has been recorded then.
    fn seconds(&self, now: Instant) -> f64 {
        (now.as_nanos() - self.begin.as_nanos()) as f64 / 1e9
    }

    /// Looks for what is different after an input.
    fn look(&mut self, gateway: &Gateway, number: u64, now: Instant, input: &Input) {
        let asked = matches!(input, Input::Actions(_));
        // Of output that there was not nothing follows.
        let is_idle = matches!(input, Input::Transmit(conn) if gateway.shown(*conn).is_empty());
        if !asked && !is_idle {
            self.cause = format!("input {number}: {input}");
        }
        let seconds = self.seconds(now);
        let cause = self.cause.clone();
        let line = |what: String| format!("  {seconds:12.6} s  {what} ({cause})");
        for glance in gateway.glances(self.stream.conn, self.stream.stream_id) {
            let known = self.requests.len();
            if let Some(told) = self.requests.get_mut(&glance.request) {
                told.moved(glance.place, asked, line);
            } else if known < REQUESTS_MAX {
                let at_once = glance.place == Whereabouts::Finished;
                let accepted = line(if at_once { AT_ONCE } else { "accepted, and frozen" }.to_owned());
                self.requests.insert(glance.request, Told::new(glance, accepted));
            } else {
                self.more = true;
            }
        }
    }

    fn record(&mut self, record: &Record) {
        match record {
            // One that the gateway answers on arrival is gone when it is looked for.
            &Record::Started { request, client, stream_id, at } => {
                let is_new = self.stream.is(client, stream_id) && !self.requests.contains_key(&request);
                if is_new && self.requests.len() < REQUESTS_MAX {
                    let seconds = self.seconds(at);
                    let line = format!("  {seconds:12.6} s  {AT_ONCE} ({})", self.cause);
                    let place = Whereabouts::Finished;
                    let glance = Glance { request, front: client, stream_id, attempts: 0, place };
                    self.requests.insert(request, Told::new(glance, line));
                } else if is_new {
                    self.more = true;
                }
            }
            Record::Attempt(attempt) => {
                let Some(told) = self.requests.get_mut(&attempt.request) else { return };
                let how = match attempt.outcome {
                    AttemptOutcome::Complete => format!("is answered with {}", attempt.status),
                    AttemptOutcome::Unprocessed(cause) => {
                        format!("was not processed: {cause:?}. The request may be sent again")
                    }
                    AttemptOutcome::Failed(cause) => format!("failed: {cause:?}"),
                    AttemptOutcome::Abandoned => "is given up".to_owned(),
                };
                let (n, endpoint) = (attempt.number, &attempt.endpoint);
                told.lines.push(format!("{:16}attempt {n}, at {endpoint}, {how}", ""));
            }
            Record::Ended(end) => {
                let Some(told) = self.requests.get_mut(&end.request) else { return };
                let (attempts, status) = (end.attempts, end.status);
                let plural = if attempts == 1 { "" } else { "s" };
                told.lines.push(format!(
                    "{:16}ended: {:?}, status {status}, {attempts} attempt{plural}",
                    "", end.outcome
                ));
                told.over = true;
            }
        }
    }

    fn lines(self) -> Vec<String> {
        let mut lines = Vec::new();
        for (RequestId(number), told) in &self.requests {
            let (front, stream_id) = told.client;
            lines.push(format!("request {number}: stream {stream_id} of the client's connection {front:?}"));
            lines.extend(told.lines.iter().cloned());
            if !told.over {
                lines.push(format!("{:16}not ended when the recording does", ""));
            }
        }
        if self.requests.is_empty() {
            lines.push("no request came on that stream".to_owned());
        }
        if self.more {
            lines.push("there are more: name the connection, too".to_owned());
        }
        lines
    }
}

impl StreamName {
    fn is(self, conn: ConnId, stream_id: u32) -> bool {
        self.stream_id == stream_id && self.conn.is_none_or(|own| own == conn)
    }
}

impl Told {
    fn new(glance: Glance, line: String) -> Self {
        let client = (glance.front, glance.stream_id);
        Self { client, place: glance.place, lines: vec![line], over: false }
    }

    /// Tells what is different from the last time. Why a request waits is known once actions were asked for.
    fn moved(&mut self, now: Whereabouts, asked: bool, line: impl Fn(String) -> String) {
        let before = self.place;
        let what = match (before, now) {
            (Whereabouts::Live { .. }, Whereabouts::Frozen(Wait::Paused)) => {
                Some("taken back, to be sent again after a pause".to_owned())
            }
            (Whereabouts::Live { .. }, Whereabouts::Frozen(_)) => {
                Some("taken back, and frozen again".to_owned())
            }
            (_, Whereabouts::Live { conn, stream_id }) if before != now => Some(format!(
                "thawed: stream {stream_id} of the backend's connection {conn:?} is free for it"
            )),
            (_, Whereabouts::Frozen(wait)) if asked && (before != now || self.lines.len() == 1) => {
                Some(format!("waits: {}", reason(wait)))
            }
            _ => None,
        };
        // A wait that was not told is news the next time.
        if what.is_some() || !matches!(now, Whereabouts::Frozen(_)) {
            self.place = now;
        }
        self.lines.extend(what.map(line));
    }
}

fn reason(wait: Wait) -> String {
    match wait {
        Wait::Paused => "it is sent again after a pause".to_owned(),
        Wait::NotOffered { engines: 1 } => "the only engine has not offered what it needs".to_owned(),
        Wait::NotOffered { engines } => format!("none of {engines} engines has offered what it needs"),
        Wait::NoEngine => "no engine serves its upstream".to_owned(),
        Wait::Connecting { engines: 1 } => "the only engine is being connected".to_owned(),
        Wait::Connecting { engines } => format!("all {engines} engines are being connected"),
        Wait::Busy { engines, connecting } => {
            format!("{engines} engines are as busy as their backends allow, {connecting} are being connected")
        }
        Wait::Memory => "an engine is free, but memory is not, or others come first".to_owned(),
    }
}
