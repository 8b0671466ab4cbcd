//! Descriptors: a connection takes one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use shuntyard_core::config::Config;

use crate::settings::Settings;

/// Takes all descriptors that the program may have: many systems begin with fewer, for the sake of programs that use select(2). Says where clients
/// alone may need more; that is worth a warning only where somebody has asked for so many, for the default is more than most systems give.
pub(crate) fn take_all(settings: &Settings) {
    let limit = getrlimit(Resource::Nofile);
    let all = Rlimit { current: limit.maximum, ..limit };
    // Where the system does not keep its word, what there was stays. No number: as many as anybody likes.
    let may = if setrlimit(Resource::Nofile, all).is_ok() { limit.maximum } else { limit.current };
    let (workers, each) = (settings.workers.get() as u64, u64::from(settings.config.max_fronts));
    let wanted = workers.saturating_mul(each);
    if let Some(may) = may.filter(|may| *may < wanted) {
        let words = format!(
            "{may} descriptors are all that the system gives (ulimit -Hn), and {wanted} clients may come \
             (max_connections, for each worker): those beyond wait to be accepted"
        );
        if settings.config.max_fronts == Config::new(Vec::new()).max_fronts {
            tracing::info!("{words}");
        } else {
            tracing::warn!("{words}");
        }
    }
}
