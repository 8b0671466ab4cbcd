//! How recordings end.

use std::panic::{AssertUnwindSafe, catch_unwind};

use shuntyard_core::fields::FieldSection;
use shuntyard_core::gateway::Record;
use shuntyard_core::message::ResponseHead;

use super::*;

/// Panics when it is called for the last of so many times.
struct Fuse(usize);

impl Fuse {
    fn burn(&mut self) {
        self.0 -= 1;
        assert_ne!(self.0, 0, "the fuse");
    }
}

impl Hooks for Fuse {
    fn arrived(&mut self, _: &Context<'_>, _: &FieldSection) -> Verdict {
        self.burn();
        Verdict::Forward
    }

    fn request(&mut self, _: &Context<'_>, _: &mut HeadMut<'_, RequestHead>) -> Result<Verdict, HookFailed> {
        self.burn();
        Ok(Verdict::Forward)
    }

    fn response(
        &mut self,
        _: &Context<'_>,
        _: &mut HeadMut<'_, ResponseHead>,
    ) -> Result<Verdict, HookFailed> {
        self.burn();
        Ok(Verdict::Forward)
    }

    fn record(&mut self, _: &Record) {
        self.burn();
    }
}

/// The kind of the last input of a file, and how that ends.
fn last_of(file: &[u8]) -> (String, Ending) {
    let mut last = String::new();
    let collect = |step| {
        if let replay::Step::Input(entry) = step {
            last = format!("{:?}", entry.input);
        }
        true
    };
    let ending = Recording::read(file).unwrap().each(collect).unwrap();
    (last.split('(').next().unwrap_or_default().to_owned(), ending.unwrap())
}

/// Whatever the call is: without it nobody could see it panic again.
#[test]
fn the_call_in_which_the_gateway_panics_is_the_last_of_its_recording() {
    let place = Place::new("panic");
    let mut kinds = std::collections::BTreeSet::new();
    for calls in 1.. {
        let hooks: MakeHooks = Arc::new(move |_| Box::new(Fuse(calls)));
        let recording = RecordingOptions { file: place.0.clone(), content: false, max_octets: 1 << 20 };
        let options = Options {
            hooks: Some(Arc::clone(&hooks)),
            recording: Some(recording),
            ..Options::new(Vec::new())
        };
        let backend: std::net::SocketAddr = "127.0.0.1:9000".parse().unwrap();
        let gateway = equip(&Config::new(vec![backend.into()]), &options).unwrap().remove(0).gateway;
        let panicked = catch_unwind(AssertUnwindSafe(|| World::new(gateway).run())).is_err();
        let again = catch_unwind(AssertUnwindSafe(|| replay_with(&place.file(), &hooks)));
        let (last, ending) = last_of(&place.octets());
        assert_eq!(ending, if panicked { Ending::Panicked } else { Ending::Ended });
        match again {
            Err(_) => assert!(panicked, "{calls}: it panics in the replay only"),
            Ok(replayed) => {
                assert!(!panicked, "{calls}: the panic in what followed {last} is missing");
                assert_eq!(replayed.unwrap().difference, None);
                break;
            }
        }
        kinds.insert(last);
    }
    // Requests are thawed and responses end where actions and output are asked for.
    let expected = ["Actions", "Received"];
    assert!(expected.iter().all(|kind| kinds.contains(*kind)), "{kinds:?}");
}

/// Records hold the memory of heads until they are taken. Where that is short, a gateway that writes some refuses what one without has served.
#[test]
fn an_explanation_ends_where_records_change_what_is_done() {
    for records in [false, true] {
        let place = Place::new(&format!("left-{records}"));
        let backend: std::net::SocketAddr = "127.0.0.1:9000".parse().unwrap();
        let mut config = Config::new(vec![backend.into()]);
        config.routes[0].host = HostPattern::Exact("b.example".into());
        (config.records, config.head_ledger_octets) = (records, 256 << 10);
        let recording = RecordingOptions { file: place.0.clone(), content: false, max_octets: 4 << 20 };
        let options = Options { recording: Some(recording), ..Options::new(Vec::new()) };
        let mut world = World::new(equip(&config, &options).unwrap().remove(0).gateway);
        for n in 0..40 {
            let request = Request::get(format!("http://a.example/{n}")).header("x", "a".repeat(9000));
            world.client.send_request(&request.body(()).unwrap(), true).unwrap();
        }
        for _ in 0..4 {
            world.turn();
        }
        drop(world);
        let (replayed, story) = explain(&place.file(), "1".parse().unwrap()).unwrap();
        assert_eq!(replayed.difference, None);
        let left = story.last().unwrap().starts_with("what follows input ");
        assert_eq!(left, !records, "{story:?}");
    }
}
