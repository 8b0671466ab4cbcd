//! `shuntyard replay`: the core, on what was recorded.

use std::io::Write as _;

use shuntyard_adapter::{Ending, ReplayError, Replayed, explain, replay};

use crate::cli::ReplayArgs;
use crate::failure::Failure;

/// Replays a recording, and says how it went.
pub(crate) fn run(ReplayArgs { file, explain: stream }: ReplayArgs) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let replayed = match stream {
        None => replay(&file),
        Some(stream) => explain(&file, stream).map(|(replayed, story)| {
            story.iter().for_each(|line| _ = writeln!(out, "{line}"));
            replayed
        }),
    };
    let failed = |error| Failure::Replay { file: file.clone(), error };
    let Replayed { version, content, inputs, nanos, hash, difference, ending } = replayed.map_err(failed)?;
    if let Some(difference) = difference {
        return Err(Failure::ReplayDiffers { difference, version });
    }
    // Whoever closed stdout does not want to know.
    let _ = writeln!(
        out,
        "{inputs} inputs in {:.3} s of recorded time, {}: the same came out, hash {hash:016x}; {}",
        nanos as f64 / 1e9,
        if content { "with content" } else { "without content" },
        match ending {
            Some(Ending::Ended) => "the recording is whole",
            Some(Ending::Full) => "the recording was full then",
            Some(Ending::Panicked) => "the recorded gateway panicked then, and this one does not",
            Some(Ending::Damaged(_)) => "what follows is damaged",
            Some(Ending::Missing) | None =>
                "the recording has no end: its process was killed, could not write, or still runs",
        }
    );
    match ending {
        Some(Ending::Damaged(damage)) => Err(failed(ReplayError::Damaged(damage))),
        _ => Ok(()),
    }
}
