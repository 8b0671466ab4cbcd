//! `shuntyard replay`: the core, on what was recorded.

use std::io::Write as _;

use shuntyard_adapter::{Replayed, explain, replay};

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
    let Replayed { version, content, inputs, nanos, hash, difference, broken_off } =
        replayed.map_err(|error| Failure::Replay { file, error })?;
    if let Some(difference) = difference {
        return Err(Failure::ReplayDiffers { difference, version });
    }
    // Whoever closed stdout does not want to know.
    let _ = writeln!(
        out,
        "{inputs} inputs in {:.3} s of recorded time, {}: the same came out, hash {hash:016x}{}",
        nanos as f64 / 1e9,
        if content { "with content" } else { "without content" },
        if broken_off { "; the recording breaks off" } else { "" }
    );
    Ok(())
}
