//! Backends that are broken or taken over: what they say without end, and what their client gets.

use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::error::ErrorCode;
use shuntyard_core::h2::ClientEvent;

use crate::Came;
use crate::memory::Memory;
use crate::memory::talk::{ask, events};
use crate::wire::*;

type Turn = fn(u32) -> Vec<u8>;

/// What a backend does, and what it must come to. Its one request is on stream 1.
struct Flood {
    what: &'static str,
    opens: fn() -> Vec<u8>,
    turn: Turn,
    /// What the client gets.
    client: Gets,
    came: Came,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gets {
    /// An answer of the gateway.
    Status(u16),
    /// The end of a response that had begun.
    Reset,
}

fn nothing() -> Vec<u8> {
    Vec::new()
}

/// `:status: 200` of the static table.
fn response() -> Vec<u8> {
    headers(1, &[0x88], false)
}

fn open_block() -> Vec<u8> {
    frame(HEADERS, 0, 1, &[0x88])
}

/// `:status: 103`, literal.
const INTERIM: &[u8] = &[0x08, 3, b'1', b'0', b'3'];

const fn came(turns: u32, sent: usize, told: usize, held: usize) -> Came {
    Came { turns, sent, told, reached: 1, held }
}

#[rustfmt::skip]
fn floods() -> Vec<Flood> {
    let flood = |what, opens, turn: Turn, client, came| Flood { what, opens, turn, client, came };
    let bad = Gets::Status(502);
    vec![
        flood("PING", nothing, |_| ping(b"attacker"), bad, came(1_000, 17_017, 17_017, 0)),
        flood("SETTINGS", nothing, |_| settings(&[]), bad, came(100, 909, 917, 0)),
        flood("GOAWAY", nothing, |_| goaway(1, ErrorCode::NO_ERROR), bad, came(1_000, 17_017, 17, 0)),
        flood("unknown frames", nothing, |_| frame(0xee, 0, 0, &[0; 64]), bad, came(1_000, 73_073, 17, 0)),
        flood("WINDOW_UPDATE", nothing, |_| window_update(0, 1), bad, came(10_000, 130_013, 17, 0)),
        flood("window flapping", nothing, |n| settings(&[(4, if n % 2 == 0 { 0 } else { 0x7fff_0000 })]), bad, came(100, 1_515, 917, 0)),
        flood("PUSH_PROMISE", nothing, |_| frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2, 0x82]), bad, came(0, 14, 17, 0)),
        flood("interim responses", nothing, |_| headers(1, INTERIM, false), bad, came(16, 238, 13, 0)),
        flood("CONTINUATION", open_block, |_| frame(CONTINUATION, 0, 1, &[0x88; 1000]), bad, came(8, 9_081, 17, 0)),
        flood("empty CONTINUATION", open_block, |_| frame(CONTINUATION, 0, 1, &[]), bad, came(0, 9, 17, 0)),
        flood("PRIORITY", nothing, |n| priority(2 * (n % 100) + 1, 0), bad, came(1_000, 14_014, 17, 0)),
        flood("a head beyond the limits", nothing, |_| headers(1, &[vec![0x88], vec![0xa0; 16_000]].concat(), true), bad, came(0, 16_010, 13, 0)),
        flood("a malformed head", nothing, |_| headers(1, &[0x88, 0x88], true), bad, came(0, 11, 13, 0)),
        flood("empty DATA", response, |_| data(1, b"", false), Gets::Reset, came(1_000, 9_009, 17, 0)),
        flood("padding only", response, |_| padded_data(1, b"", 255, false), Gets::Reset, came(1_000, 265_265, 108, 0)),
        flood("more than its window", response, |_| data(1, &[0; 16_000], false), Gets::Reset, came(7, 128_072, 26, 46_465)),
    ]
}

fn attack(flood: &Flood) -> (Came, Option<Gets>) {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].retry.attempts = 1;
        config.upstreams[0].retry.unprocessed_attempts = 1;
    });
    memory.mute_backends = true;
    // Its windows stay as they are: what comes is not given back.
    let client = memory.connect(ConnectionConfig::default());
    memory.settle();
    ask(&mut memory, client, "/");
    let backend = memory.backends()[0];
    memory.inject(backend, &[settings(&[]), settings_ack()].concat());
    memory.sent_to(backend);
    memory.inject(backend, &(flood.opens)());
    let mut came = Came { turns: 0, sent: 0, told: 0, reached: 1, held: 0 };
    let (mut told, mut gets) = (Vec::new(), None);
    while came.turns < 20_000 {
        let octets = (flood.turn)(came.turns);
        came.sent += octets.len();
        memory.inject(backend, &octets);
        came.held = came.held.max(memory.gateway.view().buffered_octets);
        told.extend(memory.sent_to(backend));
        for event in events(&mut memory, client) {
            match event {
                ClientEvent::Response { response, .. } if response.status() != 200 => {
                    gets = Some(Gets::Status(response.status().as_u16()));
                }
                ClientEvent::Reset { .. } => gets = Some(Gets::Reset),
                _ => {}
            }
        }
        if gets.is_some() {
            break;
        }
        came.turns += 1;
    }
    came.told = told.len();
    (came, gets)
}

#[test]
fn each_flood_of_a_backend_ends_within_its_budget_and_is_never_a_good_response() {
    let mut wrong = 0;
    for flood in floods() {
        let (came, gets) = attack(&flood);
        came.print(flood.what);
        if came != flood.came || gets != Some(flood.client) {
            println!("    expected {:?} and {:?}, not {gets:?}", flood.came, flood.client);
            wrong += 1;
        }
    }
    assert_eq!(wrong, 0, "what they came to is printed above");
}

/// DATA on a stream of which there is to be none any more, and what it must come to.
struct Late {
    what: &'static str,
    /// The backend has ended its response. Otherwise its client has taken the request back, so that some may be on its way.
    ended: bool,
    turn: Turn,
    /// The code of the farewell.
    code: ErrorCode,
    came: Came,
}

fn late() -> Vec<Late> {
    let late = |what, ended, turn: Turn, code, came: Came| Late {
        what,
        ended,
        turn,
        code,
        came: Came { reached: 2, ..came },
    };
    let closed = ErrorCode::STREAM_CLOSED;
    vec![
        late("DATA behind END_STREAM", true, |_| data(1, &[b'l'; 100], false), closed, came(0, 109, 17, 0)),
        late("likewise empty", true, |_| data(1, b"", false), closed, came(0, 9, 17, 0)),
        // As much as the stream's window had left may have been on its way: 65,535 octets. What is more costs, for others are on the connection.
        late(
            "DATA behind our reset",
            false,
            |_| data(1, &[b'l'; 100], false),
            ErrorCode::ENHANCE_YOUR_CALM,
            came(1_655, 180_504, 30, 0),
        ),
        late(
            "likewise empty",
            false,
            |_| data(1, b"", false),
            ErrorCode::ENHANCE_YOUR_CALM,
            came(1_003, 9_036, 30, 0),
        ),
        late(
            "likewise padding",
            false,
            |_| padded_data(1, b"", 255, false),
            ErrorCode::ENHANCE_YOUR_CALM,
            came(629, 166_950, 30, 0),
        ),
    ]
}

/// What it came to, the code of the farewell, and the status that somebody else gets whose request was on the same connection.
fn attack_late(late: &Late) -> (Came, Option<u32>, Option<u16>) {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].connections_max = 1;
        config.upstreams[0].retry.attempts = 1;
    });
    memory.mute_backends = true;
    let [client, bystander] = [(); 2].map(|()| memory.connect(ConnectionConfig::default()));
    memory.settle();
    let stream = ask(&mut memory, client, "/");
    let backend = memory.backends()[0];
    memory.inject(backend, &[settings(&[]), settings_ack()].concat());
    ask(&mut memory, bystander, "/bystander");
    memory.sent_to(backend);
    memory.inject(backend, &headers(1, &[0x88], late.ended));
    if !late.ended {
        memory.client(client).reset(stream, ErrorCode::CANCEL);
        memory.settle();
    }
    let mut came = Came { turns: 0, sent: 0, told: 0, reached: 2, held: 0 };
    let mut told = Vec::new();
    while came.turns < 20_000 {
        let octets = (late.turn)(came.turns);
        came.sent += octets.len();
        memory.inject(backend, &octets);
        came.held = came.held.max(memory.gateway.view().buffered_octets);
        told.extend(memory.sent_to(backend));
        if memory.closed.contains(&backend) || memory.shutdowns.contains(&backend) {
            break;
        }
        came.turns += 1;
    }
    came.told = told.len();
    let status = events(&mut memory, bystander).into_iter().find_map(|event| match event {
        ClientEvent::Response { response, .. } => Some(response.status().as_u16()),
        _ => None,
    });
    let goaway = take_frames(&mut told).into_iter().rfind(|frame| frame.frame_type == GOAWAY);
    (came, goaway.map(|frame| frame.word(1)), status)
}

#[test]
fn data_where_there_is_to_be_none_ends_the_connection() {
    let mut wrong = 0;
    for late in late() {
        let (came, code, status) = attack_late(&late);
        came.print(late.what);
        let expected = (Some(late.code.0), Some(502));
        if came != late.came || (code, status) != expected {
            println!("    expected {:?} and {expected:?}, not {:?}", late.came, (code, status));
            wrong += 1;
        }
    }
    assert_eq!(wrong, 0, "what they came to is printed above");
}
