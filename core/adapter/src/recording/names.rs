//! The names of recordings: FILE.0 of the first worker, FILE.0.new until all workers' are begun, FILE.0.before of the run before.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::recording::chunk;
use crate::recording::recorder::RecordingOptions;

/// The file of the worker with this number.
pub(crate) fn file_of(file: &Path, worker: u64) -> PathBuf {
    with(file, &format!(".{worker}"))
}

/// What a file is called until it takes the place of the former recording.
pub(super) fn fresh(file: &Path) -> PathBuf {
    with(file, ".new")
}

/// What the file of a former recording is called.
fn before(file: &Path) -> PathBuf {
    with(file, ".before")
}

fn with(file: &Path, end: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Whether recordings can have their names: what is neither a file nor a link stays, and nothing is written.
pub(crate) fn may_begin(options: &RecordingOptions, workers: u64) -> io::Result<()> {
    let is_taken = |file: PathBuf| fs::symlink_metadata(&file).is_ok() && !chunk::is_there(&file);
    let taken = (0..workers).any(|worker| is_taken(file_of(&options.file, worker)));
    if taken { Err(io::ErrorKind::AlreadyExists.into()) } else { Ok(()) }
}

/// The files of this run, which are begun, take the places of those before.
pub(crate) fn publish(options: &RecordingOptions, workers: u64) -> io::Result<()> {
    set_aside(options, workers)?;
    for worker in 0..workers {
        let file = file_of(&options.file, worker);
        if let Err(error) = fs::rename(fresh(&file), &file) {
            // What has its name already would be taken for a former recording by the next run.
            (0..worker).for_each(|worker| _ = chunk::remove(&file_of(&options.file, worker)));
            return Err(error);
        }
    }
    // What a run of more workers had begun when it was killed.
    for worker in workers.. {
        if !chunk::remove(&fresh(&file_of(&options.file, worker)))? {
            break;
        }
    }
    Ok(())
}

/// Removes what was begun and has not got its name.
pub(crate) fn discard(options: &RecordingOptions, workers: u64) {
    // What cannot be removed is overwritten by the next run.
    (0..workers).for_each(|worker| _ = chunk::remove(&fresh(&file_of(&options.file, worker))));
}

/// What was recorded under the same name before, by however many workers, is kept once, under FILE.0.before and so on: it may be of an incident that
/// has ended its process. What had these names before is removed, so that all files of a kind are of one run; where nothing was recorded since, or by
/// a run in which nothing happened, as one that came to nothing after all, it stays.
fn set_aside(options: &RecordingOptions, workers: u64) -> io::Result<()> {
    let file = |worker| file_of(&options.file, worker);
    let former: Vec<u64> = (0..)
        .take_while(|&worker| worker < workers || chunk::is_there(&file(worker)))
        .filter(|&worker| chunk::is_there(&file(worker)))
        .collect();
    if !former.iter().any(|&worker| chunk::has_input(&file(worker))) {
        return former.into_iter().try_for_each(|worker| chunk::remove(&file(worker)).map(drop));
    }
    for worker in 0.. {
        if !chunk::remove(&before(&file(worker)))? && worker >= workers {
            break;
        }
    }
    former.into_iter().try_for_each(|worker| chunk::set_aside(&file(worker), &before(&file(worker))))
}
