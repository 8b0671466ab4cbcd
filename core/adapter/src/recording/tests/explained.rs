//! The stories that `explain` tells.

use super::*;

/// Of what nobody was asked for there is nothing to look at between two inputs.
#[test]
fn a_request_that_is_answered_at_once_is_explained() {
    let place = Place::new("at-once");
    let backend: std::net::SocketAddr = "127.0.0.1:9000".parse().unwrap();
    let mut config = Config::new(vec![backend.into()]);
    config.routes[0].host = HostPattern::Exact("b.example".into());
    let recording = RecordingOptions { file: place.0.clone(), content: false, max_octets: 1 << 20 };
    let options = Options { recording: Some(recording), ..Options::new(Vec::new()) };
    let mut world = World::new(equip(&config, &options).unwrap().remove(0).gateway);
    let request = Request::get("http://a.example/").body(()).unwrap();
    world.client.send_request(&request, true).unwrap();
    for _ in 0..4 {
        world.turn();
    }
    drop(world);
    let (replayed, story) = explain(&place.file(), "1".parse().unwrap()).unwrap();
    assert_eq!(replayed.difference, None);
    assert!(story[1].contains(" s  accepted, and answered at once (input "), "{story:?}");
    assert!(story[2].ends_with("ended: LocalReply(NoRoute), status 404, 0 attempts"), "{story:?}");
    assert_eq!(story.len(), 3);
    let other = explain(&place.file(), "3".parse().unwrap()).unwrap().1;
    assert_eq!(other, ["no request came on that stream"]);
}

/// It stands in no queue, and no engine could set it free.
#[test]
fn a_pause_before_the_next_attempt_is_explained() {
    let place = Place::new("paused");
    let options = RecordingOptions { file: place.0.clone(), content: false, max_octets: 1 << 20 };
    let mut world = World::new(gateway(Some(options), None));
    let request = Request::get("http://example.com/").body(()).unwrap();
    world.client.send_request(&request, true).unwrap();
    for _ in 0..20 {
        world.refused = false;
        world.listen();
        let _ = world.gateway.poll_transmit(world.conn, world.now);
        world.act();
    }
    drop(world);
    let (replayed, story) = explain(&place.file(), "1".parse().unwrap()).unwrap();
    assert_eq!(replayed.difference, None);
    let story = story.join("\n");
    assert!(story.contains("taken back, to be sent again after a pause"), "{story}");
    // That output was looked for and not found sets nobody free.
    let by_nothing = |line: &&str| line.contains("thawed") && line.contains("is asked for");
    assert_eq!(story.lines().find(by_nothing), None, "{story}");
}

#[test]
fn a_stream_is_explained() {
    let place = Place::new("explained");
    recorded(&place, false);
    let (replayed, story) = explain(&place.file(), "1".parse().unwrap()).unwrap();
    assert_eq!(replayed.difference, None);
    let story = story.join("\n");
    assert!(!story.contains("is not told"), "{story}");
    let order = [
        "accepted, and frozen (input",
        "waits: ",
        "thawed: stream 1 of the backend's connection 1v0",
        "taken back, and frozen again (input",
        "attempt 1, at 127.0.0.1:9000, was not processed: BackendReset(",
        "thawed: stream",
        "attempt 2, at 127.0.0.1:9000, is answered with 200",
        "ended: Complete, status 200, 2 attempts",
    ];
    let mut from = 0;
    for part in order {
        let at = story[from..].find(part).unwrap_or_else(|| panic!("{part:?} is missing in\n{story}"));
        from += at + part.len();
    }
    let elsewhere: StreamName = "7v1/1".parse().unwrap();
    assert_eq!(explain(&place.file(), elsewhere).unwrap().1, ["no request came on that stream"]);
    for wrong in ["", "x", "3/1", "3v/1", "3v1/", "3v1"] {
        assert!(wrong.parse::<StreamName>().is_err(), "{wrong}");
    }
}
