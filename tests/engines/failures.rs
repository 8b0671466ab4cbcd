//! Backends that go away, refuse, and die, under load: nothing is lost, nothing is done twice, and what fails is told.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use shuntyard_core::config::RetryConfig;
use shuntyard_core::record::{EndRecord, Outcome};

use crate::backend::{Backend, Executed, Manner};
use crate::client::{self, Answer};
use crate::gateway::{Adapter, Running};

crate::on_both_adapters! {
    b54_a_backend_that_goes_away_every_50_streams_costs_no_request,
    b56_a_backend_that_refuses_every_third_stream_costs_no_request,
    b57_a_backend_that_is_killed_and_restarted_costs_what_it_may_have_executed,
}

/// Whether the answer is what the backend says to this request.
fn is_right(number: usize, answer: &Answer) -> bool {
    (answer.status, &answer.content[..], answer.reset) == (200, number.to_string().as_bytes(), false)
}

/// Every request is answered, although the backend sends so many back; none was executed twice.
fn nothing_is_lost(adapter: Adapter, manner: Manner) -> (Backend, Vec<EndRecord>) {
    let requests = crate::requests();
    let executed = Executed::new(requests);
    let mut backend = Backend::start(manner, &executed);
    let gateway = Running::start(adapter, vec![backend.address()], |_| {});
    let answers = client::run(gateway.address, 0..requests, |_| {});
    let records = gateway.end();
    backend.kill();
    let wrong: Vec<_> = answers.iter().filter(|&(&number, answer)| !is_right(number, answer)).collect();
    assert!(wrong.is_empty(), "{} requests have failed: {:?}", wrong.len(), &wrong[..wrong.len().min(5)]);
    let times: Vec<_> = (0..requests).filter(|&number| executed.times(number) != 1).collect();
    assert!(times.is_empty(), "not executed once: {times:?}");
    assert_eq!(executed.wrong.load(Ordering::SeqCst), 0, "content that was not what was sent");
    let records: Vec<_> = records.into_values().collect();
    assert_eq!(records.len(), requests);
    assert!(records.iter().all(|record| record.outcome == Outcome::Complete && record.maybe_executed == 0));
    (backend, records)
}

fn b54_a_backend_that_goes_away_every_50_streams_costs_no_request(adapter: Adapter) {
    let (backend, records) = nothing_is_lost(adapter, Manner::GoesAwayAfter(50));
    let connections = backend.accepted.load(Ordering::SeqCst);
    assert!(connections >= records.len() as u64 / 50, "{connections} connections");
}

fn b56_a_backend_that_refuses_every_third_stream_costs_no_request(adapter: Adapter) {
    let (_, records) = nothing_is_lost(adapter, Manner::RefusesEach(3));
    let attempts: u32 = records.iter().map(|record| record.attempts).sum();
    let more = attempts as usize - records.len();
    assert!(more >= records.len() / 3, "{more} attempts more than requests");
}

/// Two backends, of which one is killed again and again, with all that it works on, and comes back at its address.
fn b57_a_backend_that_is_killed_and_restarted_costs_what_it_may_have_executed(adapter: Adapter) {
    let requests = crate::requests();
    let executed = Executed::new(requests);
    let steady = Backend::start(Manner::Plain, &executed);
    let mut mortal = Backend::start(Manner::Plain, &executed);
    let endpoints = vec![mortal.address(), steady.address()];
    let gateway = Running::start(adapter, endpoints, |_| {});
    let (mut alive, mut kills) = (true, 0);
    let answers = client::run(gateway.address, 0..requests, |answered| {
        match (alive, answered % (requests / 8)) {
            (true, 0) => {
                mortal.kill();
                kills += 1;
            }
            (false, n) if n == requests / 80 => mortal.listen(),
            _ => return,
        }
        alive = !alive;
    });
    let records = gateway.end();
    let mut steady = steady;
    steady.kill();
    if alive {
        mortal.kill();
    }
    let failed = account(&answers.into_iter().collect::<Vec<_>>(), &executed, &records);
    println!("{failed} of {requests} requests failed while a backend died {kills} times");
    assert!(kills > 0 && failed <= kills * client::AT_A_TIME, "more than were under way, {kills} times");
}

/// What failed may have been executed, and the record says so; what was executed twice was allowed to be, and what may be sent again was. How many
/// have failed.
fn account(
    answers: &[(usize, Answer)],
    executed: &Arc<Executed>,
    records: &std::collections::BTreeMap<String, EndRecord>,
) -> usize {
    let mut failed = 0;
    let attempts = RetryConfig::default().attempts;
    for (number, answer) in answers {
        let record = &records[&format!("/{number}")];
        let times = executed.times(*number);
        let is_post = number % 2 == 1;
        if is_right(*number, answer) {
            assert_eq!(record.outcome, Outcome::Complete, "{record:?}");
            assert!(times >= 1, "{record:?}");
        } else {
            failed += 1;
            assert!(record.outcome != Outcome::Complete, "{record:?}");
            // Where a response had begun, that says enough.
            let begun = matches!(record.outcome, Outcome::Truncated(_));
            let least = if is_post { 1 } else { attempts };
            assert!(record.maybe_executed >= least || begun, "another attempt might have helped: {record:?}");
        }
        // Each attempt that may have been executed is told, beside the one that the client has an answer of.
        let told = record.maybe_executed + u32::from(answer.status == 200);
        assert!(times <= told, "executed {times} times: {record:?}");
        assert!(!is_post || times <= 1, "a POST was executed {times} times: {record:?}");
    }
    assert_eq!(executed.wrong.load(Ordering::SeqCst), 0);
    assert_eq!(records.len(), answers.len());
    failed
}
