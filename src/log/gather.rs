//! Attempts wait for the end of their request, on the worker that serves it: one worker's records never mix with
//! another's.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::SystemTime;

use shuntyard_core::gateway::{AttemptRecord, EndRecord, Record, RequestId};

/// All that was written down about one request.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Its end.
    pub(crate) end: EndRecord,
    /// Its attempts, in order.
    pub(crate) attempts: Vec<AttemptRecord>,
    /// When it ended.
    pub(crate) at: SystemTime,
}

thread_local! {
    /// Attempts of requests that have not ended. The end comes always, and takes them out.
    static ATTEMPTS: RefCell<HashMap<RequestId, Vec<AttemptRecord>>> = RefCell::default();
}

/// Takes a record in; gives out what is complete with it.
pub(super) fn gather(record: Record) -> Option<Finished> {
    match record {
        Record::Started { .. } => None,
        Record::Attempt(attempt) => {
            ATTEMPTS.with_borrow_mut(|waiting| waiting.entry(attempt.request).or_default().push(attempt));
            None
        }
        Record::Ended(end) => {
            let attempts = ATTEMPTS.with_borrow_mut(|waiting| waiting.remove(&end.request));
            Some(Finished { end, attempts: attempts.unwrap_or_default(), at: SystemTime::now() })
        }
    }
}
