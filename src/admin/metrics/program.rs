//! What is said of the program itself: what runs, with which configuration, and what its process takes.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::registry::Unit;

use super::{Families, Points, set};
use crate::admin::About;
use crate::admin::process::Process;
use crate::admin::sight::Sight;
use crate::reload::Current;

fn since_1970(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

impl Families {
    pub(super) fn program(&mut self, sight: &Sight, about: &About) {
        let build = set([("version", env!("CARGO_PKG_VERSION")), ("adapter", about.adapter)]);
        self.add("shuntyard_build", None, "What runs", Points::Info(build));
        let workers = sight.workers.len() as f64;
        self.gauge("shuntyard_workers", "Threads that serve", vec![(Vec::new(), workers)]);
        let stuck = vec![(Vec::new(), sight.stuck.len() as f64)];
        self.gauge(
            "shuntyard_workers_stuck",
            "Threads that do not answer: of these, figures are what they told last, and what there is on them is not told",
            stuck,
        );
        let draining = f64::from(u8::from(sight.draining()));
        self.gauge(
            "shuntyard_draining",
            "1 while the program finishes what it has",
            vec![(Vec::new(), draining)],
        );
        about.current.iter().for_each(|current| self.configuration(current));
        if let Some(log) = &about.log {
            let results = ["written", "dropped", "failed"].into_iter().zip(log.read());
            self.count(
                "shuntyard_access_log_lines",
                "Requests by what became of their line in the access log",
                results.map(|(result, n)| (set([("result", result)]), n)).collect(),
            );
        }
        let ignored = vec![(Vec::new(), sight.ignored_events)];
        self.count("shuntyard_ignored_events", "Events for connections that were gone already", ignored);
    }

    fn configuration(&mut self, current: &Current) {
        let (_, _, reloads) = current.standing();
        let fine = f64::from(u8::from(!reloads.stale));
        self.gauge(
            "shuntyard_config_last_reload_success",
            "0 while what is served is not what the configuration file says, or without one the files of TLS, for the last reload was refused",
            vec![(Vec::new(), fine)],
        );
        self.gauge(
            "shuntyard_tls_files_stale",
            "Certificates with their keys, and authorities, whose files are bad, so that what was read before is served: bad files, once for each listener, and once for all upstreams",
            vec![(Vec::new(), current.stale_files() as f64)],
        );
        let expiries = current.expiries().into_iter();
        let expiries =
            expiries.map(|(file, at)| (set([("file", &*file.display().to_string())]), since_1970(at)));
        self.add(
            "shuntyard_tls_certificate_not_after",
            Some(Unit::Seconds),
            "When the certificate of this file that listeners show expires, since 1970",
            Points::Gauges(expiries.collect()),
        );
        let results = [("success", reloads.succeeded), ("refused", reloads.refused)];
        self.count(
            "shuntyard_config_reloads",
            "Reloads of the configuration by what became of them",
            results.map(|(result, n)| (set([("result", result)]), n)).into(),
        );
        self.add(
            "shuntyard_config_loaded_timestamp",
            Some(Unit::Seconds),
            "When the configuration that is served was read, since 1970",
            Points::Gauges(vec![(Vec::new(), since_1970(current.loaded()))]),
        );
    }

    /// The names that every exporter has.
    pub(super) fn process(&mut self, about: &About) {
        let process = Process::look();
        let started = since_1970(about.started);
        let one = |value: f64| Points::Gauges(vec![(Vec::new(), value)]);
        self.add("process_start_time", Some(Unit::Seconds), "When it started, since 1970", one(started));
        if let Some(seconds) = process.cpu_seconds {
            let points = Points::Seconds(vec![(Vec::new(), seconds)]);
            self.add("process_cpu", Some(Unit::Seconds), "Processor time, user and system", points);
        }
        let sizes = [
            ("process_resident_memory", "Memory in use", process.resident_bytes),
            ("process_virtual_memory", "Address space in use", process.virtual_bytes),
        ];
        for (name, help, size) in sizes {
            size.into_iter().for_each(|size| self.bytes(name, help, vec![(Vec::new(), size as f64)]));
        }
        let descriptors = [
            ("process_open_fds", "Descriptors in use", process.open_descriptors),
            ("process_max_fds", "Descriptors that may be in use", process.max_descriptors),
        ];
        for (name, help, number) in descriptors {
            number.into_iter().for_each(|number| self.gauge(name, help, vec![(Vec::new(), number as f64)]));
        }
    }
}
