//! Attempts wait for the end of their request, on the worker that serves it: one worker's records never mix with
//! another's.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::SystemTime;

use shuntyard_core::config::{Config, UpstreamConfig};
use shuntyard_core::gateway::{AttemptRecord, EndRecord, Record, RequestId};
use shuntyard_core::tls::TlsFacts;

/// All that was written down about one request.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Its end.
    pub(crate) end: EndRecord,
    /// Its attempts, in order.
    pub(crate) attempts: Vec<AttemptRecord>,
    /// When it ended.
    pub(crate) at: SystemTime,
    /// The number of the worker that has served it.
    pub(crate) worker: usize,
}

impl Finished {
    /// Octets of memory that it holds, alone or with others.
    pub(super) fn octets(&self) -> usize {
        let facts = self.end.tls.as_deref().map_or(0, |facts| {
            let texts = [&facts.server_name, &facts.subject].into_iter().flatten();
            size_of::<TlsFacts>() + size_of::<[u8; 32]>() + texts.map(|text| text.len()).sum::<usize>()
        });
        let attempts = self.attempts.capacity() * size_of::<AttemptRecord>();
        size_of::<Self>() + self.end.fields.capacity() + facts + attempts
    }
}

/// Octets that the attempts of one request take at most, which wait for its end.
pub(crate) fn attempts_octets_max(config: &Config) -> u64 {
    let most = |upstream: &UpstreamConfig| upstream.retry.attempts.max(upstream.retry.unprocessed_attempts);
    let most = config.upstreams.iter().map(most).max().unwrap_or_default();
    // Memory of a list is doubled as it grows, and begins with four places.
    let places = u64::from(most).next_power_of_two().max(4);
    // And of the table of lists, which is half empty.
    places * size_of::<AttemptRecord>() as u64 + 2 * size_of::<(RequestId, Vec<AttemptRecord>)>() as u64
}

thread_local! {
    /// Attempts of requests that have not ended. The end comes always, and takes them out.
    static ATTEMPTS: RefCell<HashMap<RequestId, Vec<AttemptRecord>>> = RefCell::default();
}

/// Takes a record of this worker in, on its thread; gives out what is complete with it.
pub(super) fn gather(worker: usize, record: Record) -> Option<Finished> {
    match record {
        Record::Started { .. } => None,
        Record::Attempt(attempt) => {
            ATTEMPTS.with_borrow_mut(|waiting| waiting.entry(attempt.request).or_default().push(attempt));
            None
        }
        Record::Ended(end) => {
            let attempts = ATTEMPTS.with_borrow_mut(|waiting| waiting.remove(&end.request));
            let at = SystemTime::now();
            Some(Finished { end, attempts: attempts.unwrap_or_default(), at, worker })
        }
    }
}
