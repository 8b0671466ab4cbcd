//! What the running hash of a recording without content covers of HTTP/1.1.

use super::*;

/// Two exchanges on one connection, over HTTP/1.1 on both sides.
fn exchanges(place: &Place, content: bool, method: &str) -> Vec<u8> {
    let options = RecordingOptions { file: place.0.clone(), content, max_octets: 1 << 20 };
    let mut world = World::new(gateway_of(Some(options), None, false));
    let mut backend = None;
    for (n, method) in [(1, method), (2, "GET")] {
        let request = format!("{method} / HTTP/1.1\r\nhost: a\r\nx: ask{n}\r\n\r\n");
        world.hear(world.conn, request.as_bytes());
        world.act();
        let backend = *backend.get_or_insert_with(|| *world.backends.keys().next().unwrap());
        let body = if method == "HEAD" { String::new() } else { format!("body{n}") };
        let response = format!("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx: say{n}\r\n\r\n{body}");
        world.hear(backend, response.as_bytes());
        world.act();
    }
    let answers =
        world.output.iter().filter(|(conn, octets)| *conn == world.conn && contains(octets, b"x: say"));
    assert_eq!(answers.count(), 2);
    drop(world);
    place.octets()
}

/// Whether a replay notices that these octets were others.
fn is_noticed(file: &[u8], place: &Place, what: &str) -> bool {
    let other = rewritten(file, place, |_, payload| {
        let at = payload.windows(what.len()).position(|window| window == what.as_bytes());
        at.into_iter().for_each(|at| payload[at] ^= 0x20);
    });
    assert_ne!(other, file, "{what}");
    replay_octets(&other).unwrap().difference.is_some()
}

#[test]
fn heads_are_covered_on_a_connection_that_is_used_again_and_content_is_not() {
    for content in [false, true] {
        let place = Place::new(&format!("again-{content}"));
        let file = exchanges(&place, content, "GET");
        assert_eq!(replay_octets(&file).unwrap().difference, None);
        for what in ["ask1", "say1", "ask2", "say2"] {
            assert!(is_noticed(&file, &place, what), "{content}: {what}");
        }
        for what in ["body1", "body2"] {
            assert_eq!(is_noticed(&file, &place, what), content, "{what}");
        }
    }
}

/// A response to HEAD says how long its content would be: behind one nothing is told from content any more, on the client's side.
#[test]
fn behind_head_responses_are_covered_by_their_length() {
    let place = Place::new("again-head");
    let file = exchanges(&place, false, "HEAD");
    assert_eq!(replay_octets(&file).unwrap().difference, None);
    let noticed = ["ask1", "say1", "ask2", "say2"].map(|what| is_noticed(&file, &place, what));
    assert_eq!(noticed, [true, true, true, false]);
}
