//! Descriptors: a connection takes one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::settings::Settings;

/// Takes all descriptors that the program may have: many systems begin with fewer, for the sake of programs that use select(2). Warns where clients
/// alone may need more.
pub(crate) fn take_all(settings: &Settings) {
    let limit = getrlimit(Resource::Nofile);
    let all = Rlimit { current: limit.maximum, ..limit };
    // Where the system does not keep its word, what there was stays. No number: as many as anybody likes.
    let may = if setrlimit(Resource::Nofile, all).is_ok() { limit.maximum } else { limit.current };
    let (workers, each) = (settings.workers.get() as u64, u64::from(settings.config.max_fronts));
    let wanted = workers.saturating_mul(each);
    if let Some(may) = may.filter(|may| *may < wanted) {
        tracing::warn!(
            "{may} descriptors are all that the system gives (ulimit -Hn), and {wanted} clients may come \
             (max_connections, for each worker): those beyond wait to be accepted"
        );
    }
}
