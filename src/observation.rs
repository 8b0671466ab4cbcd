//! What an operator can see of a running server: diagnostics, the access log, the admin address. Flags, and the life of
//! what stands behind them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use clap::builder::BoolishValueParser;
use shuntyard_adapter::transport::NotIntroduced;
use shuntyard_adapter::{Handle, Notice, Observer};
use shuntyard_core::address::Address;
use shuntyard_core::error::ErrorCode;
use shuntyard_core::tls::{TlsFailure, TlsFault};
use signal_hook::consts::SIGUSR1;
use signal_hook::iterator::Signals;

use crate::address::ListenAddress;
use crate::admin::{self, About, Admin};
use crate::diagnostics::{self, LogFormat};
use crate::failure::{Failure, plainly};
use crate::log::{AccessLog, Destination, Trust};
use crate::reload::Current;
use crate::throttle::{ByName, Shared};

/// The same trouble is told again after this time.
const NOTICE_INTERVAL: Duration = Duration::from_secs(10);

/// Where the configuration is wrong about an endpoint, each worker finds that out for itself, and nothing changes of itself.
const MISTAKE_INTERVAL: Duration = Duration::from_secs(86_400);

/// Handshakes that failed are told one by one up to so many a second.
const HANDSHAKES_TOLD: u32 = 20;

#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ObserveArgs {
    /// Where /status, /metrics, /livez and /readyz are served, as in 127.0.0.1:9901
    #[arg(long, env = "SHUNTYARD_ADMIN", value_name = "ADDRESS")]
    pub(crate) admin: Option<ListenAddress>,

    /// Serve them on an address that others can reach: whoever can is told everything there is to see
    #[arg(
        long,
        env = "SHUNTYARD_ADMIN_ALLOW_REMOTE",
        value_name = "BOOL",
        value_parser = BoolishValueParser::new(),
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub(crate) admin_allow_remote: Option<bool>,

    /// Write a JSON line for each request that has ended: to a file, which SIGUSR1 opens again, or to - (stdout)
    #[arg(long, env = "SHUNTYARD_ACCESS_LOG", value_name = "PATH")]
    pub(crate) access_log: Option<Destination>,

    /// Show query strings in the access log
    #[arg(
        long,
        env = "SHUNTYARD_ACCESS_LOG_QUERY",
        value_name = "BOOL",
        value_parser = BoolishValueParser::new(),
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub(crate) access_log_query: Option<bool>,

    /// Say more on stderr: -v tells of requests that went wrong, -vv of all (variable: 1, 2)
    #[arg(short, long, env = "SHUNTYARD_VERBOSE", action = clap::ArgAction::Count, value_parser = how_much)]
    pub(crate) verbose: u8,

    /// How diagnostics on stderr look
    #[arg(long, env = "SHUNTYARD_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

/// How often -v is said, by a variable.
fn how_much(text: &str) -> Result<u8, String> {
    text.parse().map_err(|_| "it is a number: 1 tells of requests that went wrong, 2 of all".to_owned())
}

impl ObserveArgs {
    /// These, and where they say nothing, what the file says.
    pub(crate) fn before(&self, file: Self) -> Self {
        let own = self.clone();
        Self {
            admin: own.admin.or(file.admin),
            admin_allow_remote: own.admin_allow_remote.or(file.admin_allow_remote),
            access_log: own.access_log.or(file.access_log),
            access_log_query: own.access_log_query.or(file.access_log_query),
            verbose: own.verbose,
            log_format: own.log_format,
        }
    }

    /// Whether others than this machine may reach the admin address.
    pub(crate) fn allows_remote(&self) -> bool {
        self.admin_allow_remote.unwrap_or(false)
    }

    /// Whether the gateways must write records ([`Config::records`](shuntyard_core::config::Config::records)).
    pub(crate) fn wants_records(&self) -> bool {
        // With -v, requests that went wrong are told on the log's thread, not on the workers'.
        self.access_log.is_some() || self.verbose > 0
    }
}

/// Clients' connections that ended before the gateway heard a word, by why: each is counted, whether or not a line tells of it.
#[derive(Debug, Default)]
pub(crate) struct Handshakes([AtomicU64; Self::REASONS.len()]);

impl Handshakes {
    /// The words of RFC 9209 for TLS, one for a connection without a header of the PROXY protocol, and one for those that were closed here because
    /// they took too long.
    const REASONS: [&str; 5] =
        ["tls_protocol_error", "tls_certificate_error", "tls_alert_received", "not_introduced", "timeout"];

    fn of_tls(failure: TlsFailure) -> usize {
        match failure.group() {
            _ if failure == TlsFailure::TimedOut => 4,
            TlsFault::Protocol => 0,
            TlsFault::Certificate => 1,
            TlsFault::Alert => 2,
        }
    }

    fn of_introduction(reason: NotIntroduced) -> usize {
        if reason == NotIntroduced::TimedOut { 4 } else { 3 }
    }

    fn failed(&self, reason: usize) {
        if let Some(counter) = self.0.get(reason) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many have failed so far, by each reason.
    pub(crate) fn read(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Self::REASONS
            .into_iter()
            .zip(&self.0)
            .map(|(reason, counter)| (reason, counter.load(Ordering::Relaxed)))
    }
}

/// What is open to see a server.
pub(crate) struct Observation {
    log: Option<AccessLog>,
    failed: Arc<Handshakes>,
    admin: Option<Admin>,
    shown: bool,
}

impl Observation {
    /// Opens the log and takes the admin address, which is this one.
    pub(crate) fn start(
        args: &ObserveArgs,
        admin: Option<SocketAddr>,
        trust: Trust,
    ) -> Result<Self, Failure> {
        diagnostics::start(args.verbose, args.log_format)
            .map_err(|error| Failure::System { what: "cannot start a thread", error })?;
        let admin = admin.map(|address| Admin::bind(address, args.allows_remote())).transpose()?;
        let shown = args.access_log.is_some();
        let log = if args.wants_records() {
            let query = args.access_log_query.unwrap_or(false);
            let log = AccessLog::open(args.access_log.clone(), query, trust);
            Some(log.map_err(|error| match &args.access_log {
                Some(Destination::File(file)) => Failure::AccessLog { file: file.clone(), error },
                Some(Destination::Stdout) | None => Failure::System { what: "cannot write to stdout", error },
            })?)
        } else {
            None
        };
        reopen_at_signal(log.as_ref())?;
        Ok(Self { log, failed: Arc::default(), admin, shown })
    }

    /// Is told what the server notices.
    pub(crate) fn observer(&self) -> Observer {
        let note = self.log.as_ref().map(AccessLog::note);
        let failed = Arc::clone(&self.failed);
        let pauses = throttled(1, NOTICE_INTERVAL);
        let names = throttled_by_name(NOTICE_INTERVAL);
        let dials = throttled_by_name(NOTICE_INTERVAL);
        let backends = throttled_by_name(NOTICE_INTERVAL);
        let mistaken = throttled_by_name(MISTAKE_INTERVAL);
        let farewells = throttled_by_name(NOTICE_INTERVAL);
        let handshakes = throttled(HANDSHAKES_TOLD, Duration::from_secs(1));
        Arc::new(move |notice| match notice {
            Notice::Record { worker, record } => {
                if let Some(note) = &note {
                    note(worker, *record);
                }
            }
            Notice::AcceptPaused { listener, error, .. } if pauses().is_some() => {
                tracing::warn!("cannot accept on {listener}: {error}; trying again");
            }
            Notice::AcceptPaused { .. } => {}
            // Once for each listener, in a drain.
            Notice::AcceptEnded { listener, error } => {
                tracing::warn!(
                    "cannot accept on {listener}: {error}; who still waits there is reset, for it drains"
                );
            }
            Notice::HandshakeFailed { client, listener, failure } => {
                failed.failed(Handshakes::of_tls(failure));
                if let Some(more) = handshakes() {
                    tracing::info!("TLS with {client} on {listener} failed: {failure}{}", and_more(more));
                }
            }
            Notice::NotIntroduced { peer, listener, reason } => {
                failed.failed(Handshakes::of_introduction(reason));
                if let Some(more) = handshakes() {
                    tracing::info!("PROXY protocol of {peer} on {listener}: {reason}{}", and_more(more));
                }
            }
            Notice::NameUnresolved { name, error } => {
                if let Some(more) = names(&name) {
                    tracing::warn!("cannot resolve {name}: {error}{}", and_more(more));
                }
            }
            Notice::DialFailed { target, error } => {
                if let Some(more) = dials(&target.to_string()) {
                    tracing::warn!("cannot connect to {target}: {}{}", plainly(&error), and_more(more));
                }
            }
            Notice::BackendTlsFailed { upstream, host, failure } => {
                if let Some(more) = backends(&format!("{upstream} {host}")) {
                    tracing::warn!(
                        "TLS with {host} of upstream {upstream} failed: {failure}{}",
                        and_more(more)
                    );
                }
            }
            // Each worker finds out for itself.
            Notice::AnsweredInHttp1 { endpoint } if mistaken(&endpoint).is_some() => {
                tracing::warn!("{}", answered_in_http1(&endpoint));
            }
            Notice::AnsweredInHttp1 { .. } => {}
            Notice::GoAway { endpoint, code, debug_data } => {
                // Codes without a name are a backend's to choose, and are one kind.
                let kind = code.name().unwrap_or("unknown");
                if let Some(more) = farewells(&format!("{endpoint} {kind}")) {
                    tracing::warn!("{}{}", farewell(&endpoint, code, &debug_data), and_more(more));
                }
            }
            Notice::RecordingEnded { file, error } => {
                tracing::warn!("nothing more is recorded to {}: {error}", file.display());
            }
            _ => {}
        })
    }

    /// Serves the admin address for the server of this handle, which has this configuration, until the program ends.
    pub(crate) fn attend(
        &mut self,
        handle: Handle,
        adapter: &'static str,
        current: Arc<Current>,
    ) -> Result<(), Failure> {
        let Some(admin) = self.admin.take() else { return Ok(()) };
        tracing::info!("status on http://{}/status", admin.address());
        let counts = self.log.as_ref().filter(|_| self.shown).map(AccessLog::counts);
        admin
            .serve(About::new(handle, adapter).with(counts, current, Arc::clone(&self.failed)))
            .map_err(|error| Failure::System { what: "cannot start a thread", error })
    }

    /// The server has ended: what is left of the log is written.
    pub(crate) fn end(self) {
        if let Some(log) = self.log {
            log.end();
        }
    }
}

/// Where the admin address is taken; an error where it may not be.
pub(crate) fn admin_address(address: &ListenAddress, allow_remote: bool) -> Result<SocketAddr, Failure> {
    let inet = |address: &Address| match address {
        Address::Inet(address) => Some(*address),
        Address::Unix(_) => None,
    };
    let named = |reason| Failure::ListenName { name: address.to_string(), reason };
    // One that somebody else has opened would be bound a second time.
    let addresses = if address.is_passed() { Vec::new() } else { address.resolve().map_err(named)? };
    let Some(address) = addresses.iter().find_map(inet) else {
        return Err(Failure::AdminAddress { reason: admin::Refused::NoPort });
    };
    if address.ip().is_loopback() || allow_remote {
        Ok(address)
    } else {
        Err(Failure::AdminAddress { reason: admin::Refused::Remote(address) })
    }
}

/// SIGUSR1 ends a program that does not expect it, so it is expected even where there is no log.
fn reopen_at_signal(log: Option<&AccessLog>) -> Result<(), Failure> {
    let reopen = log.map(AccessLog::reopener);
    let watch = |mut signals: Signals| {
        let watch = move || {
            for _ in signals.forever() {
                reopen.iter().for_each(|reopen| reopen());
            }
        };
        thread::Builder::new().name("log-signals".to_owned()).spawn(watch)
    };
    Signals::new([SIGUSR1])
        .and_then(watch)
        .map(drop)
        .map_err(|error| Failure::System { what: "cannot watch for signals", error })
}

/// Whether one more line may be said, and how many were not. Where another worker is about to say one, this one is not said.
fn throttled(lines: u32, interval: Duration) -> impl Fn() -> Option<u64> {
    let throttle = Shared::new(lines, interval);
    move || throttle.admit(Instant::now())
}

/// Likewise of each name.
fn throttled_by_name(interval: Duration) -> impl Fn(&str) -> Option<u64> {
    let throttle = Mutex::new(ByName::new(1, interval));
    move |name| throttle.lock().unwrap_or_else(PoisonError::into_inner).admit(name, Instant::now())
}

/// What is wrong with the endpoint of this name, and what to write instead.
fn answered_in_http1(endpoint: &str) -> String {
    let (scheme, address) = endpoint.split_once("://").unwrap_or(("h2c", endpoint));
    let scheme = if scheme == "h2c" { "http" } else { "https" };
    format!("{endpoint} answered in HTTP/1.1, where HTTP/2 was expected: write {scheme}://{address}")
}

/// Why a backend has ended a connection, in its own words.
fn farewell(endpoint: &str, code: ErrorCode, debug_data: &[u8]) -> String {
    let words =
        if debug_data.is_empty() { String::new() } else { format!(": {}", debug_data.escape_ascii()) };
    format!("{endpoint} has ended a connection with GOAWAY, {code:?}{words}")
}

/// That others like it were not told of, whatever it is that is told.
fn and_more(more: u64) -> String {
    if more == 0 { String::new() } else { format!(" (and {more} more like it meanwhile)") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_backend_says_fits_a_line() {
        let said = |code, debug_data: &[u8]| farewell("10.0.0.1:80", code, debug_data);
        let calm = said(ErrorCode::ENHANCE_YOUR_CALM, b"too_many_pings");
        assert_eq!(calm, "10.0.0.1:80 has ended a connection with GOAWAY, ENHANCE_YOUR_CALM: too_many_pings");
        assert!(said(ErrorCode(77), b"\n\x1b[31m\xff").ends_with(r"ErrorCode(0x4d): \n\x1b[31m\xff"));
    }

    #[test]
    fn what_to_write_instead_is_an_endpoint() {
        for (endpoint, instead) in [
            ("127.0.0.1:9000", "http://127.0.0.1:9000"),
            ("h2c://app:80", "http://app:80"),
            ("unix:/run/app", "http://unix:/run/app"),
            ("h2://app:443", "https://app:443"),
        ] {
            let said = answered_in_http1(endpoint);
            assert!(said.starts_with(endpoint) && said.ends_with(&format!(": write {instead}")), "{said}");
            assert!(instead.parse::<crate::address::Endpoint>().is_ok(), "{instead}");
        }
    }
}
