//! Whether a request is sent again: one decision, from one account of its attempts.

use crate::config::RetryConfig;
use crate::error::ErrorCode;
use crate::record::{AttemptOutcome, Cause};
use crate::request::Awaiting;
use crate::time::Duration;

/// How a backend failed a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The backend said that it did not process the request, or nothing of the request had left (RFC 9113 section 8.7).
    Unprocessed,
    /// The stream or its connection broke: the backend may have executed the request.
    Broken,
    /// The backend may have executed the request, and would do no better a second time: it took too long, or what it
    /// answered is no response.
    Final,
}

impl Loss {
    /// What is lost with a connection that ended for `cause`.
    pub(crate) const fn of_connection(cause: Cause) -> Self {
        match cause {
            // It stood, and was given requests, but has never said what it allows.
            Cause::ConnectionTimeout => Self::Broken,
            Cause::ConnectionTerminated
            | Cause::ResponseIncomplete
            | Cause::BackendProtocol
            | Cause::Tls(_) => Self::Broken,
            Cause::ConnectionRefused
            | Cause::BackendReset(_)
            | Cause::ResponseTimeout
            | Cause::StreamIdle
            | Cause::ResponseHeadTooLarge
            | Cause::RequestHeadTooLarge
            | Cause::RequestTargetTooLong
            | Cause::RequestMalformed
            | Cause::VersionUnsupported
            | Cause::CodingUnsupported
            | Cause::NoTunnel
            | Cause::QueueLimit
            | Cause::SystemLimit
            | Cause::MemoryLimit
            | Cause::Draining
            | Cause::NameUnresolved
            | Cause::NameTimeout
            | Cause::BackendHeadLimit
            | Cause::NoEndpoint
            | Cause::NoRoute
            | Cause::NotServed
            | Cause::HookAnswered
            | Cause::HookFailed(_)
            | Cause::LastForward
            | Cause::Misdirected
            | Cause::ProxyLoop => Self::Final,
        }
    }

    /// What is lost with a stream that the backend reset.
    pub(crate) const fn of_stream(code: ErrorCode) -> Self {
        match code {
            ErrorCode::REFUSED_STREAM => Self::Unprocessed,
            // The backend asks for fewer requests, or for another protocol.
            ErrorCode::ENHANCE_YOUR_CALM | ErrorCode::HTTP_1_1_REQUIRED => Self::Final,
            _ => Self::Broken, // 9113-7-01
        }
    }

    /// The outcome of an attempt that was lost so.
    pub(crate) const fn outcome(self, cause: Cause) -> AttemptOutcome {
        match self {
            Self::Unprocessed => AttemptOutcome::Unprocessed(cause),
            Self::Broken | Self::Final => AttemptOutcome::Failed(cause),
        }
    }
}

/// The pause before a third attempt, where the first two were refused.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// The longest pause: 32 attempts fit into a queue's deadline of ten seconds.
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// Whether a request whose attempt was lost is sent again, and after which pause. `asked_as_get`: the request for a tunnel was a GET on the wire, and
/// nothing has been put into the tunnel (RFC 9110 section 7.8). `budget` takes a token of the upstream's retry budget, and is asked last.
///
/// All layers share the account: `attempts` counts every thawing, `maybe_executed` those that a backend may have executed
/// (B66). What was provably not processed has a limit of its own and spends no budget.
pub(crate) fn next_attempt(
    awaiting: &Awaiting,
    loss: Loss,
    asked_as_get: bool,
    config: &RetryConfig,
    budget: impl FnOnce() -> bool,
) -> Option<Duration> {
    if !awaiting.replay.is_possible() {
        return None;
    }
    let unprocessed = awaiting.attempts.saturating_sub(awaiting.maybe_executed);
    match loss {
        Loss::Unprocessed => (unprocessed < config.unprocessed_attempts).then(|| pause(unprocessed)),
        Loss::Broken => {
            // The attempt that was lost just now is not counted as executed yet.
            // 9110-9.2.2-02
            let is_idempotent = awaiting.head.method.is_idempotent() || asked_as_get;
            let may = is_idempotent && awaiting.maybe_executed + 1 < config.attempts;
            (may && budget()).then_some(Duration::ZERO)
        }
        Loss::Final => None,
    }
}

/// None after the first, for a backend that goes away is no backend that is overloaded; then twice as long each time.
fn pause(unprocessed: u32) -> Duration {
    match unprocessed {
        0 | 1 => Duration::ZERO,
        n => PAUSE_MIN.saturating_mul(1 << (n - 2).min(10)).min(PAUSE_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_limit_and_fit_the_deadline() {
        let pauses: Vec<_> = (0..32).map(|n| pause(n).as_millis()).collect();
        assert_eq!(pauses[..9], [0, 0, 10, 20, 40, 80, 160, 250, 250]);
        assert!(pauses.iter().sum::<u128>() < 10_000);
        assert_eq!(pause(u32::MAX), PAUSE_MAX);
    }
}
