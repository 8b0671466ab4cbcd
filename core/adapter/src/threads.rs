//! The threads of a server's workers: they end together.

use std::any::Any;
use std::io;
use std::thread;

use crate::{Exit, Handle};

/// Runs every worker on a thread of its own and waits for all. `work` says how many connections were cut.
/// Where one of them fails, the others are stopped.
///
/// # Errors
/// The first worker's that failed, be it by a panic, or the system's, where it gives no thread.
pub fn run_threads<W: Send>(
    workers: Vec<W>,
    handle: &Handle,
    work: impl Fn(W) -> io::Result<u32> + Sync,
) -> io::Result<Exit> {
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..)
            .zip(workers)
            .map(|(number, worker): (u32, W)| {
                thread::Builder::new().name(format!("worker-{number}")).spawn_scoped(scope, move || {
                    let _stop = StopOthersOnFailure(handle);
                    let outcome = work(worker);
                    if outcome.is_err() {
                        handle.stop();
                    }
                    outcome
                })
            })
            .collect();
        if threads.iter().any(Result::is_err) {
            handle.stop();
        }
        // All are waited for, whatever became of the first: a scope that is left with a panic of nobody's has one of its own.
        let outcomes: Vec<_> = threads
            .into_iter()
            .map(|thread| thread?.join().unwrap_or_else(|panic| Err(panicked(&*panic))))
            .collect();
        outcomes
            .into_iter()
            .try_fold(Exit { cut: 0 }, |exit, outcome| Ok(Exit { cut: exit.cut.saturating_add(outcome?) }))
    })
}

/// The end of a worker by a panic, with what was said in it.
pub fn panicked(panic: &(dyn Any + Send)) -> io::Error {
    let said = panic.downcast_ref::<&str>().copied();
    let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    io::Error::other(format!("a worker has panicked: {}", said.unwrap_or("without a word")))
}

/// A server with fewer workers than it should have would look healthy.
struct StopOthersOnFailure<'a>(&'a Handle);

impl Drop for StopOthersOnFailure<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::Backs;

    #[test]
    fn cuts_are_added_up() {
        let exit = run_threads(vec![1, 2, 3], &Handle::new(Vec::new(), Backs::default()), Ok).unwrap();
        assert_eq!(exit, Exit { cut: 6 });
    }

    #[test]
    fn one_that_fails_stops_the_others() {
        let stopped: &'static AtomicBool = Box::leak(Box::default());
        let desk: crate::Desk = std::sync::Arc::new(|_| stopped.store(true, Ordering::Relaxed));
        let handle = Handle::new(vec![desk], Backs::default());
        let work = |fails: bool| {
            if fails {
                return Err(io::ErrorKind::OutOfMemory.into());
            }
            while !stopped.load(Ordering::Relaxed) {
                thread::yield_now();
            }
            Ok(0)
        };
        let error = run_threads(vec![false, true, false], &handle, work).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
    }

    /// What was seen of the server until then is still to be written.
    #[test]
    fn one_that_panics_has_failed() {
        let handle = Handle::new(Vec::new(), Backs::default());
        for formatted in [false, true] {
            let work = |fails: bool| match (fails, formatted) {
                (false, _) => Ok(0),
                (true, false) => panic!("it is broken"),
                (true, true) => panic!("{} is broken", "it"),
            };
            for workers in [vec![false, true], vec![true, true, true]] {
                let error = run_threads(workers, &handle, work).unwrap_err();
                assert_eq!(error.to_string(), "a worker has panicked: it is broken");
            }
        }
    }
}
