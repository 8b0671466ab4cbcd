use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use shuntyard_adapter::{Backs, Desk, Order};
use shuntyard_core::address::Address;
use shuntyard_core::config::Config;
use shuntyard_core::gateway::Gateway;
use shuntyard_core::time::WallClock;

use super::*;

/// A worker that has had one connection of a client, and is stuck as long as it is said to be: it keeps what it is asked.
fn worker(stuck: &Arc<AtomicBool>) -> Desk {
    let now = shuntyard_core::time::Instant::ZERO;
    let config = Config::new(vec![Address::Unix("/run/a".into())]);
    let mut gateway = Gateway::new(config, 1, now, WallClock { at: now, unix_seconds: 0 }).unwrap();
    let at = Address::Unix("/run/b".into());
    gateway.handle_accept(shuntyard_core::gateway::Accepted { peer: at.clone(), local: at }, now);
    let (gateway, kept, stuck) = (Mutex::new(gateway), Mutex::new(Vec::new()), Arc::clone(stuck));
    Arc::new(move |order| {
        if stuck.load(Ordering::Relaxed) {
            return kept.lock().unwrap().push(order);
        }
        if let Order::Inspect(look) = order {
            look(&gateway.lock().unwrap(), now);
        }
    })
}

fn status(about: &About, path: &str) -> u16 {
    answer(&Asked::of(path), about).status()
}

/// One that does not turn takes nobody's figures away, and not its own that it has told.
#[test]
fn a_worker_that_is_stuck_is_a_figure_and_hides_none() {
    let stuck = Arc::<AtomicBool>::default();
    let about = About::new(
        Handle::new(vec![worker(&stuck), worker(&Arc::default()), Arc::new(drop)], Backs::default()),
        "mio",
    );
    let look = |workers: f64, stuck: f64| {
        let metrics = metrics::text(&about.sight(0), &about);
        let figure = |name: &str| {
            let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            value.unwrap_or_else(|| panic!("{name} is missing")).parse::<f64>().unwrap()
        };
        assert_eq!((figure("shuntyard_workers"), figure("shuntyard_workers_stuck")), (workers, stuck));
        assert_eq!(figure("shuntyard_front_connections_opened_total"), 2.0, "what was counted stays");
        assert_eq!(figure("shuntyard_front_connections"), workers, "of others nobody knows");
        assert_eq!(figure("shuntyard_draining"), 0.0);
        // What may fail is there before it does; what was never measured is not.
        assert_eq!(figure("shuntyard_peer_errors_total{side=\"front\"}"), 0.0);
        assert_eq!(figure("shuntyard_requests_sent_again_total{upstream=\"default\"}"), 0.0);
        let failures = "shuntyard_backend_dial_failures_total{upstream=\"default\",endpoint=\"unix:/run/a\"}";
        assert_eq!(figure(failures), 0.0);
        assert!(!metrics.contains("_bucket{"), "{metrics}");
    };
    look(2.0, 0.0);
    assert_eq!((status(&about, "/livez"), status(&about, "/readyz")), (200, 200));
    stuck.store(true, Ordering::Relaxed);
    look(1.0, 1.0);
    let json: serde_json::Value = serde_json::from_str(&status::json(&about.sight(100), &about)).unwrap();
    assert_eq!((&json["stuck"], &json["leaving"]), (&serde_json::json!([0]), &serde_json::json!(false)));
    assert_eq!(status(&about, "/metrics"), 200);
    assert_eq!((status(&about, "/livez"), status(&about, "/readyz")), (503, 503));
}

/// Whoever reads one of them misses none.
#[test]
fn both_documents_have_the_same_limits() {
    let about = About::new(Handle::new(vec![worker(&Arc::default())], Backs::default()), "mio");
    let sight = about.sight(0);
    let json: serde_json::Value = serde_json::from_str(&status::json(&sight, &about)).unwrap();
    let limits = json["limits"].as_array().unwrap();
    let mut in_json: Vec<_> = limits.iter().map(|limit| limit["limit"].as_str().unwrap()).collect();
    let metrics = metrics::text(&sight, &about);
    let series = metrics.lines().filter_map(|line| line.strip_prefix("shuntyard_limits_hit_total{limit=\""));
    let mut in_metrics: Vec<_> = series.filter_map(|line| Some(line.split_once('"')?.0)).collect();
    in_json.sort_unstable();
    in_metrics.sort_unstable();
    assert!(
        in_json == in_metrics && in_json.contains(&"max_concurrent_streams"),
        "{in_json:?} {in_metrics:?}"
    );
}

#[test]
fn where_all_workers_have_ended_nothing_is_ready() {
    let about = About::new(Handle::new(vec![Arc::new(drop)], Backs::default()), "mio");
    assert_eq!((status(&about, "/livez"), status(&about, "/readyz")), (200, 503));
    assert!(about.sight(0).draining());
}
