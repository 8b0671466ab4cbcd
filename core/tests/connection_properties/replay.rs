//! Octets in any pieces: how they were cut changes nothing (X2), and none of them panics or makes much of little (N4).

use proptest::prelude::*;
use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::error::{ConnectionError, ErrorCode};
use shuntyard_core::h2::{Event, Input, Role, StreamKey};

use crate::wire::*;

/// What a client, or its owner, does next.
#[derive(Clone, Debug)]
enum Step {
    Open { end: bool },
    Send { stream: usize, octets: usize, end: bool },
    Trailers { stream: usize },
    Reset { stream: usize },
    Ping,
    Exchange,
    GoAway,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<bool>().prop_map(|end| Step::Open { end }),
        6 => (0..6usize, 0..3000usize, any::<bool>()).prop_map(|(stream, octets, end)| Step::Send { stream, octets, end }),
        1 => (0..6usize).prop_map(|stream| Step::Trailers { stream }),
        1 => (0..6usize).prop_map(|stream| Step::Reset { stream }),
        1 => Just(Step::Ping),
        3 => Just(Step::Exchange),
        1 => Just(Step::GoAway),
    ]
}

/// What an owner does on each event: it depends on the events alone.
fn react(connection: &mut shuntyard_core::h2::Connection, event: Event<'_>) {
    match event {
        Event::Request { stream, end, .. } => {
            let _ = connection.send_head(stream, &section(&[(":status", "200"), ("x-kept", "reply")]), false);
            if end {
                let _ = connection.send_data(stream, b"done", true);
            }
        }
        Event::RequestRefused { stream, .. } => {
            let _ = connection.send_head(stream, &section(&[(":status", "431")]), true);
        }
        Event::Data { stream, data, credit, end, .. } => {
            connection.release(stream, credit);
            let _ = connection.send_data(stream, data, end);
        }
        Event::Trailers { stream, .. } => {
            let _ = connection.send_trailers(stream, section(&[("x-end", "1")]));
        }
        _ => {}
    }
}

/// Feeds the pieces, reacting to each event, and takes the output behind the last.
fn feed<'a>(
    subject: &mut Subject,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<String>, Option<ConnectionError>, Vec<u8>) {
    let (mut told, mut inbox, mut failed) = (Vec::new(), Vec::new(), None);
    for piece in pieces {
        inbox.extend_from_slice(piece);
        let octets = std::mem::take(&mut inbox);
        let mut input = Input::new(&octets);
        loop {
            match subject.connection.poll_event(&mut input) {
                Ok(Some(event)) => {
                    told.push(format!("{event:?}"));
                    react(&mut subject.connection, event);
                }
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(failed.replace(error), None, "a connection ends once");
                    break;
                }
            }
        }
        inbox = input.remaining().to_vec();
    }
    (told, failed, subject.speak_octets())
}

/// The octets of both directions of a session between a client that takes these steps and a server that reacts.
fn session(steps: &[Step]) -> [Vec<u8>; 2] {
    let mut client = Subject::fresh(Role::Client, ConnectionConfig::default());
    let mut server = Subject::fresh(Role::Server, ConnectionConfig::default());
    let (mut streams, mut octets): (Vec<StreamKey>, _) = (Vec::new(), [Vec::new(), Vec::new()]);
    let exchange = |client: &mut Subject, server: &mut Subject, octets: &mut [Vec<u8>; 2]| {
        for _ in 0..3 {
            let up = client.speak_octets();
            octets[0].extend(&up);
            let (_, failed, down) = feed(server, [&up[..]]);
            assert_eq!(failed, None);
            octets[1].extend(&down);
            client.hear(&down);
        }
    };
    for step in steps {
        match *step {
            Step::Open { end } => streams.extend(client.connection.open(&request("POST"), end)),
            Step::Send { stream, octets, end } => {
                if let Some(&key) = streams.iter().rev().nth(stream) {
                    let _ = client.connection.send_data(key, &vec![b'x'; octets], end);
                }
            }
            Step::Trailers { stream } => {
                if let Some(&key) = streams.iter().rev().nth(stream) {
                    let _ = client.connection.send_trailers(key, section(&[("x-kept", "trailers")]));
                }
            }
            Step::Reset { stream } => {
                if let Some(&key) = streams.iter().rev().nth(stream) {
                    client.connection.reset(key, ErrorCode::CANCEL);
                }
            }
            Step::Ping => client.connection.ping(*b"a ping.."),
            Step::Exchange => exchange(&mut client, &mut server, &mut octets),
            Step::GoAway => server.connection.announce_goaway(),
        }
    }
    exchange(&mut client, &mut server, &mut octets);
    octets
}

/// A change to recorded octets: where, as a part of 65,536, and what.
#[derive(Clone, Debug)]
enum Damage {
    Flip { at: u16, bit: u8 },
    Remove { at: u16, octets: usize },
    Repeat { at: u16, octets: usize },
    Insert { at: u16, octets: Vec<u8> },
    Truncate { at: u16 },
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        4 => (any::<u16>(), 0..8u8).prop_map(|(at, bit)| Damage::Flip { at, bit }),
        1 => (any::<u16>(), 1..40usize).prop_map(|(at, octets)| Damage::Remove { at, octets }),
        1 => (any::<u16>(), 1..400usize).prop_map(|(at, octets)| Damage::Repeat { at, octets }),
        1 => (any::<u16>(), prop::collection::vec(any::<u8>(), 1..40)).prop_map(|(at, octets)| Damage::Insert { at, octets }),
        1 => any::<u16>().prop_map(|at| Damage::Truncate { at }),
        3 => (any::<u16>(), frame_octets()).prop_map(|(at, octets)| Damage::Insert { at, octets }),
    ]
}

fn apply(octets: &mut Vec<u8>, damage: &Damage) {
    let place = |at: u16| usize::from(at) * octets.len() / 65_536;
    match damage {
        Damage::Flip { at, bit } => {
            let at = place(*at);
            octets.iter_mut().skip(at).take(1).for_each(|octet| *octet ^= 1 << bit);
        }
        Damage::Remove { at, octets: n } => {
            drop(octets.drain(place(*at)..(place(*at) + n).min(octets.len())))
        }
        Damage::Repeat { at, octets: n } => {
            let part = octets[place(*at)..(place(*at) + n).min(octets.len())].to_vec();
            let at = place(*at);
            octets.splice(at..at, part);
        }
        Damage::Insert { at, octets: new } => {
            // At the end of a frame, so that what follows is still read.
            let at = frame_ends(octets).into_iter().rfind(|&end| end <= place(*at)).unwrap_or(0);
            octets.splice(at..at, new.iter().copied());
        }
        Damage::Truncate { at } => octets.truncate(place(*at)),
    }
}

fn frame_ends(octets: &[u8]) -> Vec<usize> {
    let mut at = if octets.starts_with(PREFACE) { PREFACE.len() } else { 0 };
    let mut ends = Vec::new();
    while let Some([l0, l1, l2, ..]) = octets.get(at..at + 9) {
        at += 9 + u32::from_be_bytes([0, *l0, *l1, *l2]) as usize;
        ends.push(at);
    }
    ends
}

/// One frame with any values, most of them near the ones that mean something.
fn frame_octets() -> impl Strategy<Value = Vec<u8>> {
    let stream_id = prop_oneof![6 => 0..12u32, 1 => any::<u32>()];
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        prop::collection::vec(
            prop::sample::select(&[0u8, 0x82, 0x86, 0x84, 0xbe, 0x88, 0x40, 1, b'a'][..]),
            0..40
        ),
        any::<u32>().prop_map(|word| word.to_be_bytes().to_vec()),
        (1..10u16, any::<u32>())
            .prop_map(|(identifier, value)| settings(&[(identifier, value)])[9..].to_vec()),
        Just(get()),
    ];
    (0..11u8, any::<u8>(), stream_id, payload)
        .prop_map(|(frame_type, flags, stream_id, payload)| frame(frame_type, flags, stream_id, &payload))
}

/// A connection that octets of [`session`] make sense to.
fn subject(role: Role) -> Subject {
    let mut subject = Subject::fresh(role, ConnectionConfig::default());
    if role == Role::Client {
        for n in 0..8 {
            let key = subject.open("POST", n % 2 == 0);
            if n % 4 == 1 {
                subject.connection.send_data(key, &[n; 5000], true).expect("an open stream");
            }
        }
        subject.speak_octets();
    }
    subject
}

fn pieces<'a>(mut octets: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for size in sizes.iter().cycle() {
        if octets.is_empty() {
            break;
        }
        let (piece, rest) = octets.split_at((*size).min(octets.len()));
        pieces.push(piece);
        octets = rest;
    }
    pieces
}

/// Runs the octets whole, in these pieces, and octet by octet.
fn cuts_change_nothing(role: Role, octets: &[u8], sizes: &[usize]) -> Result<(), TestCaseError> {
    let whole = feed(&mut subject(role), [octets]);
    let cut = feed(&mut subject(role), pieces(octets, sizes));
    prop_assert_eq!(&whole, &cut);
    let single = feed(&mut subject(role), octets.chunks(1));
    prop_assert_eq!(&whole, &single);
    let (told, _, output) = whole;
    prop_assert!(told.len() <= octets.len() / 9 + 20, "{} events of {} octets", told.len(), octets.len());
    prop_assert!(output.len() <= 4 * octets.len() + 2000, "{} octets for {}", output.len(), octets.len());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn x2_sessions_in_any_pieces(
        steps in prop::collection::vec(step(), 1..40),
        damages in prop::collection::vec(damage(), 0..4),
        sizes in prop::collection::vec(1..200usize, 1..20),
    ) {
        let [mut up, mut down] = session(&steps);
        for damage in &damages {
            apply(&mut up, damage);
            apply(&mut down, damage);
        }
        cuts_change_nothing(Role::Server, &up, &sizes)?;
        cuts_change_nothing(Role::Client, &down, &sizes)?;
    }

    #[test]
    fn x2_any_frames_in_any_pieces(
        frames in prop::collection::vec(frame_octets(), 0..60),
        sizes in prop::collection::vec(1..100usize, 1..10),
    ) {
        let octets = [settings(&[]), settings_ack(), frames.concat()].concat();
        cuts_change_nothing(Role::Client, &octets, &sizes)?;
        cuts_change_nothing(Role::Server, &[PREFACE, &octets].concat(), &sizes)?;
    }

    #[test]
    fn x2_any_octets_in_any_pieces(octets in prop::collection::vec(any::<u8>(), 0..600), sizes in prop::collection::vec(1..100usize, 1..10)) {
        cuts_change_nothing(Role::Client, &octets, &sizes)?;
        cuts_change_nothing(Role::Server, &[PREFACE, &settings(&[]), &octets].concat(), &sizes)?;
        cuts_change_nothing(Role::Server, &octets, &sizes)?;
    }
}
