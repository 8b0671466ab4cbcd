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

/// A conversation of a gateway with these hooks. Whether it panicked.
fn panics(place: &Place, hooks: &MakeHooks) -> bool {
    let recording = RecordingOptions { file: place.0.clone(), content: false, max_octets: 1 << 20 };
    let options =
        Options { hooks: Some(Arc::clone(hooks)), recording: Some(recording), ..Options::new(Vec::new()) };
    let backend: std::net::SocketAddr = "127.0.0.1:9000".parse().unwrap();
    let gateway = equip(&Config::new(vec![backend.into()]), &options).unwrap().remove(0).gateway;
    catch_unwind(AssertUnwindSafe(|| World::new(gateway).run())).is_err()
}

fn fuse(calls: usize) -> MakeHooks {
    Arc::new(move |_| Box::new(Fuse(calls)))
}

/// Whatever the call is: without it nobody could see it panic again. A gateway that does not panic there does what the recorded one did.
#[test]
fn the_call_in_which_the_gateway_panics_is_the_last_of_its_recording() {
    let place = Place::new("panic");
    let mut kinds = std::collections::BTreeSet::new();
    for calls in 1.. {
        let hooks = fuse(calls);
        let panicked = panics(&place, &hooks);
        let (last, ending) = last_of(&place.octets());
        assert_eq!(ending, if panicked { Ending::Panicked } else { Ending::Ended });
        let again = replay_with(&place.file(), &hooks).unwrap();
        assert_eq!(again.difference.as_ref().is_some_and(|of| of.panics), panicked, "{calls}: {last}");
        let mended = replay_with(&place.file(), &fuse(usize::MAX)).unwrap();
        assert_eq!((mended.difference, mended.ending), (None, Some(ending)), "{calls}: {last}");
        if !panicked {
            break;
        }
        let difference = again.difference.unwrap();
        assert_eq!(difference.input + 1, mended.inputs, "{calls}: {last}");
        kinds.insert(last);
    }
    // Requests are thawed and responses end where actions and output are asked for.
    let expected = ["Actions", "Received"];
    assert!(expected.iter().all(|kind| kinds.contains(*kind)), "{kinds:?}");
}

/// What was known before is what somebody wants to know.
#[test]
fn a_panic_is_explained_by_what_came_before() {
    let place = Place::new("panic-explained");
    let panics_after = |calls: &usize| panics(&place, &fuse(*calls));
    let hooks = fuse((1..).take_while(panics_after).last().unwrap());
    assert!(panics(&place, &hooks));
    let (replayed, story) = explain_with(&place.file(), "1".parse().unwrap(), &hooks).unwrap();
    let difference = replayed.difference.unwrap();
    let last = story.last().unwrap();
    assert!(
        difference.panics && story[0].starts_with("request ") && story[0].contains(": stream 1 of"),
        "{story:?}"
    );
    let input = format!("the gateway panics (input {}: {})", difference.input, difference.what);
    assert!(story.len() > 2 && last.ends_with(&input), "{story:?}");
}

/// A gateway that was left in the middle of something is nothing to be recorded, though an adapter may call it again.
#[test]
fn who_calls_again_after_a_panic_is_not_recorded() {
    let place = Place::new("panic-caught");
    for calls in 1..8 {
        let hooks = fuse(calls);
        let recording = RecordingOptions { file: place.0.clone(), content: false, max_octets: 1 << 20 };
        let options = Options { hooks: Some(hooks), recording: Some(recording), ..Options::new(Vec::new()) };
        let backend: std::net::SocketAddr = "127.0.0.1:9000".parse().unwrap();
        let gateway = equip(&Config::new(vec![backend.into()]), &options).unwrap().remove(0).gateway;
        let mut world = World::new(gateway);
        let request = Request::get("http://example.com/").body(()).unwrap();
        world.client.send_request(&request, true).unwrap();
        let panicked = (0..8).any(|_| catch_unwind(AssertUnwindSafe(|| world.turn())).is_err());
        let written = |place: &Place| last_of(&place.octets());
        if !panicked {
            break;
        }
        // Whichever comes first: an input, or that actions are asked for.
        if calls % 2 == 0 {
            world.gateway.poll_action();
        }
        world.gateway.handle_timeout(world.now);
        let before = written(&place);
        assert_eq!(before.1, Ending::Panicked);
        drop(world);
        assert_eq!(written(&place), before);
    }
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
