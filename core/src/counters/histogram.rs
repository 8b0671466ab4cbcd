//! Durations in buckets of fixed boundaries.

use crate::message::Method;
use crate::record::Cause;
use crate::time::Duration;

/// The upper boundaries of all buckets but the last, which has none: those of OpenTelemetry's HTTP metrics.
pub const BOUNDARIES: [Duration; 14] = [
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(75),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_millis(750),
    Duration::from_secs(1),
    Duration::from_millis(2500),
    Duration::from_secs(5),
    Duration::from_millis(7500),
    Duration::from_secs(10),
];

/// How many durations fell between which boundaries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Not cumulative: a duration counts in the first bucket whose boundary it does not exceed.
    pub buckets: [u64; BOUNDARIES.len() + 1],
    /// The sum of all durations, each cut to whole microseconds.
    pub sum_micros: u64,
}

impl Histogram {
    /// Counts one.
    pub fn observe(&mut self, duration: Duration) {
        // Most are short: the first comparison decides.
        let (bucket, micros) = if duration <= BOUNDARIES[0] {
            (0, u64::from(duration.subsec_micros()))
        } else {
            let bucket = BOUNDARIES.iter().position(|&boundary| duration <= boundary);
            (bucket.unwrap_or(BOUNDARIES.len()), u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
        };
        self.buckets[bucket] += 1;
        self.sum_micros = self.sum_micros.saturating_add(micros);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Adds what was counted elsewhere.
    pub fn merge(&mut self, other: &Self) {
        self.buckets.iter_mut().zip(other.buckets).for_each(|(bucket, other)| *bucket += other);
        self.sum_micros = self.sum_micros.saturating_add(other.sum_micros);
    }
}

/// Why something ended otherwise than well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The gateway's own reason.
    Cause(Cause),
    /// The client went away.
    ClientGone,
    /// The client broke the protocol.
    ClientError,
    /// Nobody was interested in the attempt any more.
    Abandoned,
    /// Any of these: beyond the limit of what is told apart.
    Other,
}

impl Fault {
    /// A word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cause(cause) => cause.name(),
            Self::ClientGone => "client_gone",
            Self::ClientError => "client_error",
            Self::Abandoned => "abandoned",
            Self::Other => "_OTHER",
        }
    }

    /// Whether it is a failure: not each answer of the gateway's own is one.
    pub const fn is_failure(self) -> bool {
        match self {
            Self::Cause(cause) => cause.is_failure(),
            Self::ClientGone | Self::ClientError | Self::Abandoned | Self::Other => true,
        }
    }

    const fn index(self) -> u32 {
        match self {
            Self::ClientGone => 1,
            Self::ClientError => 2,
            Self::Abandoned => 3,
            Self::Other => 4,
            Self::Cause(cause) => 5 + cause.index() as u32,
        }
    }
}

/// What durations are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Labels {
    /// The request's method.
    pub method: Method,
    /// The status, or 0 where none came. From 1000 on it is a [class](Self::class), beyond the limit of what is told apart.
    pub status: u16,
    /// What went wrong, if something did.
    pub fault: Option<Fault>,
}

impl Labels {
    /// What they count as beyond [`Durations::SERIES_MAX`]: any method, the class of the status, and whether something went wrong. Clients can fill
    /// the series with methods and statuses of their choice, and errors that come later must be seen as errors all the same.
    const fn folded(self) -> Self {
        let fault = match self.fault {
            Some(fault) if fault.is_failure() => Some(Fault::Other),
            Some(_) | None => None,
        };
        Self { method: Method::Other, status: 1000 + self.class(), fault }
    }

    /// The first digit of the status; 0 where none came.
    pub const fn class(self) -> u16 {
        match self.status {
            1000.. => self.status - 1000,
            status => status / 100,
        }
    }

    /// Whether only the class of the status is known.
    pub const fn is_folded(self) -> bool {
        self.status >= 1000
    }

    const fn key(self) -> u32 {
        let fault = match self.fault {
            Some(fault) => fault.index(),
            None => 0,
        };
        (self.method as u32) << 24 | (self.status as u32) << 8 | fault
    }
}

/// Durations, told apart by a few labels. Peers choose those, so there is a limit.
#[derive(Clone, Debug, Default)]
pub struct Durations {
    series: Vec<(Labels, Histogram)>,
    /// Where the last one was counted, and under which key: as a rule the next is of the same kind.
    last: usize,
    last_key: u32,
}

impl Durations {
    /// How many combinations of labels are told apart. Of others no more is kept than the class of the status and whether something went wrong: that makes
    /// 20 more series at most.
    pub const SERIES_MAX: usize = 64;

    /// Counts one.
    pub fn observe(&mut self, labels: Labels, duration: Duration) {
        self.histogram_mut(labels).observe(duration);
    }

    #[inline(always)]
    fn histogram_mut(&mut self, labels: Labels) -> &mut Histogram {
        let at = |series: &[(Labels, Histogram)], key| series.iter().position(|(of, _)| of.key() == key);
        let key = labels.key();
        if self.last_key != key || self.series.is_empty() {
            self.last_key = key;
            self.last = at(&self.series, key).unwrap_or_else(|| {
                let full = self.series.len() >= Self::SERIES_MAX;
                let labels = if full { labels.folded() } else { labels };
                at(&self.series, labels.key()).unwrap_or_else(|| {
                    self.series.push((labels, Histogram::default()));
                    self.series.len() - 1
                })
            });
        }
        &mut self.series[self.last].1
    }

    /// All that was seen, in the order in which it was seen first.
    pub fn iter(&self) -> impl Iterator<Item = (Labels, &Histogram)> {
        self.series.iter().map(|(labels, histogram)| (*labels, histogram))
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.series.iter().map(|(_, histogram)| histogram.count()).sum()
    }

    /// Adds what another gateway counted. It has kept to the limit itself: were it held to here once more, what is told apart would depend on who is
    /// added first.
    pub fn merge(&mut self, other: &Self) {
        for (labels, histogram) in other.iter() {
            match self.series.iter_mut().find(|(of, _)| of.key() == labels.key()) {
                Some((_, own)) => own.merge(histogram),
                None => self.series.push((labels, histogram.clone())),
            }
        }
        // What was looked up may have its place now.
        (self.last, self.last_key) = (0, self.series.first().map_or(0, |(labels, _)| labels.key()));
    }

    /// Takes over what the same gateway has counted elsewhere: the limit holds for both together.
    pub fn take_over(&mut self, other: &Self) {
        for (labels, histogram) in other.iter() {
            self.histogram_mut(labels).merge(histogram);
        }
    }
}

impl PartialEq for Durations {
    fn eq(&self, other: &Self) -> bool {
        self.series == other.series
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    #[test]
    fn a_duration_counts_in_the_first_bucket_that_holds_it() {
        let mut histogram = Histogram::default();
        for nanos in [0, 5_000_000, 5_000_001, 10_000_000_000, 10_000_000_001, u64::MAX] {
            histogram.observe(Duration::from_nanos(nanos));
        }
        let mut buckets = [0; 15];
        (buckets[0], buckets[1], buckets[13], buckets[14]) = (2, 1, 1, 2);
        assert_eq!((histogram.buckets, histogram.count()), (buckets, 6));
    }

    #[test]
    fn what_peers_choose_is_told_apart_up_to_a_limit() {
        let mut durations = Durations::default();
        for status in 100..1000 {
            durations.observe(Labels { method: Method::Get, status, fault: None }, Duration::ZERO);
        }
        // 100 to 163 have their places, and then each class has one.
        assert_eq!((durations.count(), durations.iter().count()), (900, Durations::SERIES_MAX + 9));
        let rest = durations.iter().skip(Durations::SERIES_MAX);
        let rest: Vec<_> = rest.map(|(labels, histogram)| (labels.class(), histogram.count())).collect();
        assert_eq!(
            rest,
            [36, 100, 100, 100, 100, 100, 100, 100, 100]
                .into_iter()
                .enumerate()
                .map(|(i, n)| (i as u16 + 1, n))
                .collect::<Vec<_>>()
        );
        // What has its place keeps it.
        durations.observe(Labels { method: Method::Get, status: 100, fault: None }, Duration::ZERO);
        assert_eq!(durations.iter().next().map(|(_, histogram)| histogram.count()), Some(2));
    }

    /// A client that tries all methods on whatever is there must not blind whoever watches for errors.
    #[test]
    fn errors_are_seen_as_errors_where_all_series_are_taken() {
        let mut durations = Durations::default();
        for status in 200..264 {
            durations.observe(Labels { method: Method::Get, status, fault: None }, Duration::ZERO);
        }
        let cause = |cause| Some(Fault::Cause(cause));
        for (status, fault) in [
            (500, None),
            (503, None),
            (503, cause(Cause::QueueLimit)),
            (502, cause(Cause::ConnectionRefused)),
            (0, Some(Fault::ClientGone)),
            (404, None),
        ] {
            durations.observe(Labels { method: Method::Post, status, fault }, Duration::ZERO);
        }
        let folded = durations.iter().filter(|(labels, _)| labels.is_folded());
        let folded: Vec<_> =
            folded.map(|(labels, of)| (labels.class(), labels.fault.map(Fault::name), of.count())).collect();
        let other = Some("_OTHER");
        assert_eq!(folded, [(5, None, 2), (5, other, 2), (0, other, 1), (4, None, 1)]);
        // However many kinds come, there are no more than so many.
        for status in 0..1000 {
            for fault in [None, Some(Fault::ClientError)] {
                durations.observe(Labels { method: Method::Put, status, fault }, Duration::ZERO);
            }
        }
        assert_eq!(durations.iter().count(), Durations::SERIES_MAX + 20);
    }

    /// Whoever sums up the workers must get the same whatever their order, and the limit is each worker's own.
    #[test]
    fn a_sum_of_full_ones_is_the_same_in_any_order() {
        let full = |statuses: core::ops::Range<u16>| {
            let mut durations = Durations::default();
            for status in statuses {
                durations.observe(Labels { method: Method::Get, status, fault: None }, Duration::ZERO);
            }
            durations
        };
        let (one, two) = (full(200..264), full(230..300));
        let sum = |first: &Durations, second: &Durations| {
            let mut sum = first.clone();
            sum.merge(second);
            let mut told: Vec<_> = sum.iter().map(|(labels, of)| (labels.key(), of.count())).collect();
            told.sort_unstable();
            told
        };
        assert_eq!(sum(&one, &two), sum(&two, &one));
        // 200 to 293 by their names, and the six that the second did not tell apart.
        let told = sum(&one, &two);
        let rest = Labels { method: Method::Get, status: 299, fault: None }.folded().key();
        assert_eq!((told.len(), told.iter().find(|(key, _)| *key == rest)), (95, Some(&(rest, 6))));
    }

    #[test]
    fn what_a_gateway_takes_over_from_itself_keeps_to_the_limit() {
        let mut durations = Durations::default();
        let mut before = Durations::default();
        for status in 200..264 {
            durations.observe(Labels { method: Method::Get, status, fault: None }, Duration::ZERO);
            before.observe(Labels { method: Method::Post, status, fault: None }, Duration::ZERO);
        }
        durations.take_over(&before);
        assert_eq!((durations.iter().count(), durations.count()), (Durations::SERIES_MAX + 1, 128));
    }

    #[test]
    fn codes_of_resets_make_no_series_of_their_own() {
        let mut durations = Durations::default();
        for code in [ErrorCode::CANCEL, ErrorCode::INTERNAL_ERROR, ErrorCode(77)] {
            let fault = Some(Fault::Cause(Cause::BackendReset(code)));
            durations.observe(Labels { method: Method::Get, status: 502, fault }, Duration::ZERO);
        }
        assert_eq!(durations.iter().count(), 1);
    }
}
