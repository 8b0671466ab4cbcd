use shuntyard_core::counters::{Durations, Fault, PerCause};
use shuntyard_core::gateway::Cause;
use shuntyard_core::message::Method;

use super::*;

/// What is said of errors that come when clients have filled the series, and of what the gateway answers because nobody else can.
#[test]
fn errors_have_a_type_and_successes_none() {
    let mut durations = Durations::default();
    let mut add = |method, status, cause: Option<Cause>| {
        let labels = Labels { method, status, fault: cause.map(Fault::Cause) };
        durations.observe(labels, std::time::Duration::ZERO);
    };
    add(Method::Options, 200, Some(Cause::LastForward));
    add(Method::Get, 503, None);
    (300..400).for_each(|status| add(Method::Get, status, None));
    add(Method::Post, 500, None);
    add(Method::Post, 502, Some(Cause::ConnectionRefused));
    add(Method::Post, 404, None);
    let said: Vec<_> = durations.iter().map(|(labels, _)| labelled(&Vec::new(), labels, 500)).collect();
    let texts = |series: &Set| series.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>();
    assert_eq!(texts(&said[0]), ["OPTIONS", "200"]);
    assert_eq!(texts(&said[1]), ["GET", "503", "503"]);
    let folded: Vec<_> = said[Durations::SERIES_MAX..].iter().map(texts).collect();
    assert_eq!(folded[0], ["_OTHER", "3xx"]);
    assert_eq!(folded[1], ["_OTHER", "5xx", "5xx"]);
    assert_eq!(folded[2], ["_OTHER", "5xx", "_OTHER"]);
    assert_eq!(folded[3], ["_OTHER", "4xx"]);
    let counted = {
        let mut causes = PerCause::default();
        [Cause::LastForward, Cause::NoRoute].into_iter().for_each(|cause| causes.add(cause));
        by_cause(Vec::new(), "error_type", &causes).collect::<Vec<_>>()
    };
    assert_eq!(counted, [(set([("error_type", "no_route")]), 1)]);
}
