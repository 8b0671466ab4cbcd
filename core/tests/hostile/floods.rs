//! Floods from clients: each class, what it comes to, to the octet.

use shuntyard_core::config::{Config, ConnectionConfig};
use shuntyard_core::error::ErrorCode;
use shuntyard_core::key::ConnId;
use shuntyard_core::time::Duration;
use shuntyard_requirements::req;

use crate::memory::talk::{answer_all, ask, events, requests};
use crate::memory::{Memory, Peer};
use crate::wire::*;
use crate::{Came, is_answered_within_a_second};

/// What is said in the `n`th turn.
type Turn = fn(u32) -> Vec<u8>;

/// One class of attack, and what it must come to.
struct Flood {
    what: &'static str,
    /// Said first, behind the preface and SETTINGS.
    opens: fn() -> Vec<u8>,
    turn: Turn,
    /// The code of the farewell.
    code: ErrorCode,
    came: Came,
}

const MANY: u32 = 20_000;

fn nothing() -> Vec<u8> {
    Vec::new()
}

/// All the streams that there may be.
fn uploads() -> Vec<u8> {
    (0..100).map(|n| headers(id(n), &post(), false)).collect::<Vec<_>>().concat()
}

fn upload() -> Vec<u8> {
    headers(1, &post(), false)
}

/// An upload that makes us reset it.
fn reset_upload() -> Vec<u8> {
    [upload(), window_update(1, 0)].concat()
}

fn download() -> Vec<u8> {
    headers(1, &get(), true)
}

/// A field block that is not ended.
fn open_block() -> Vec<u8> {
    frame(HEADERS, END_STREAM, 1, &get())
}

/// A request with a crumb of 500 octets, which enters the dynamic table: an octet repeats it.
fn large_crumb() -> Vec<u8> {
    // Literal with incremental indexing, name 32 of the static table; a length of 500 behind a prefix of seven bits.
    let crumb = [&[0x60, 0x7f, 0xf5, 0x02][..], &[b'c'; 500]].concat();
    headers(1, &[get(), crumb].concat(), true)
}

const fn id(n: u32) -> u32 {
    2 * n + 1
}

const CALM: ErrorCode = ErrorCode::ENHANCE_YOUR_CALM;

const fn came(turns: u32, sent: usize, told: usize, reached: usize, held: usize) -> Came {
    Came { turns, sent, told, reached, held }
}

/// In the order of the table of attacks; CVE numbers where there are any.
#[rustfmt::skip]
fn floods() -> Vec<Flood> {
    let flood = |what, opens, turn: Turn, code, came| Flood { what, opens, turn, code, came };
    vec![
        flood("CVE-2023-44487 rapid reset", nothing, |n| [headers(id(n), &get(), true), rst_stream(id(n), ErrorCode::CANCEL)].concat(), CALM, came(166, 8_183, 17, 0, 0)),
        flood("CVE-2025-8671 made you reset", nothing, |n| [headers(id(n), &get(), true), window_update(id(n), 0)].concat(), CALM, came(163, 8_036, 2_136, 0, 0)),
        flood("CVE-2019-9514 malformed", nothing, |n| headers(id(n), &[0x82], true), CALM, came(166, 1_670, 2_175, 0, 0)),
        flood("CVE-2016-6581 HPACK bomb", nothing, |n| headers(id(n), &[get(), vec![0xa0; 16_000]].concat(), true), CALM, came(99, 1_603_600, 1_784, 0, 0)),
        flood("HPACK bomb without a free stream", uploads, |n| headers(id(n + 100), &[get(), vec![0xa0; 16_000]].concat(), true), CALM, came(50, 817_836, 667, 100, 0)),
        flood("HPACK literals by a name in the table", nothing, |n| headers(id(n), &[get(), kept_line(&"x".repeat(4_000), ""), [0x7e, 0].repeat(6_000)].concat(), true), CALM, came(0, 16_041, 17, 0, 0)),
        flood("CVE-2019-9512 PING", nothing, |_| ping(b"attacker"), CALM, came(1_000, 17_017, 17_017, 0, 0)),
        flood("CVE-2019-9515 SETTINGS", nothing, |_| settings(&[]), CALM, came(100, 909, 917, 0, 0)),
        flood("CVE-2020-11080 huge SETTINGS", nothing, |_| settings(&[(4, 70_000); 33]), CALM, came(0, 207, 17, 0, 0)),
        flood("window flapping", download, |n| settings(&[(4, if n % 2 == 0 { 0 } else { 0x7fff_0000 })]), CALM, came(100, 1_515, 917, 1, 0)),
        flood("CVE-2019-9513 PRIORITY", nothing, |n| priority(id(n % 100), 0), CALM, came(1_000, 14_014, 17, 0, 0)),
        flood("PRIORITY_UPDATE", nothing, |n| priority_update(id(n % 100), "u=0"), CALM, came(1_000, 16_016, 17, 0, 0)),
        flood("unknown frames", nothing, |_| frame(0xee, 0, 0, &[0; 64]), CALM, came(1_000, 73_073, 17, 0, 0)),
        flood("GOAWAY", nothing, |_| goaway(0, ErrorCode::NO_ERROR), CALM, came(1_000, 17_017, 17, 0, 0)),
        flood("CVE-2019-9518 empty DATA", upload, |_| data(1, b"", false), CALM, came(1_000, 9_009, 17, 1, 0)),
        flood("padding only", upload, |_| padded_data(1, b"", 255, false), CALM, came(1_000, 265_265, 108, 1, 0)),
        flood("more padding than content", upload, |_| padded_data(1, b"t", 255, false), CALM, came(10_000, 2_660_266, 1_083, 1, 10_000)),
        flood("DATA of closed streams", || [upload(), rst_stream(1, ErrorCode::CANCEL)].concat(), |_| data(1, &[0; 100], false), ErrorCode::STREAM_CLOSED, came(0, 109, 17, 0, 0)),
        flood("DATA behind our reset", reset_upload, |_| data(1, &[0; 100], false), ErrorCode::STREAM_CLOSED, came(655, 71_504, 30, 0, 0)),
        flood("trailers behind our reset", reset_upload, |_| headers(1, &line("a", "b"), true), CALM, came(996, 13_958, 30, 0, 0)),
        flood("resets behind our reset", reset_upload, |_| rst_stream(1, ErrorCode::CANCEL), CALM, came(996, 12_961, 30, 0, 0)),
        flood("CVE-2019-9511 dribble", download, |_| window_update(1, 1), CALM, came(10_000, 130_013, 17, 1, 0)),
        flood("WINDOW_UPDATE", nothing, |_| window_update(0, 1), CALM, came(10_000, 130_013, 17, 0, 0)),
        flood("CVE-2024-27316 CONTINUATION", open_block, |_| frame(CONTINUATION, 0, 1, &[0x82; 1000]), CALM, came(8, 9_081, 17, 0, 0)),
        flood("CVE-2019-9518 empty CONT.", open_block, |_| frame(CONTINUATION, 0, 1, &[]), CALM, came(0, 9, 17, 0, 0)),
        flood("CVE-2019-9516 empty names", nothing, |n| headers(id(n), &[get(), vec![0, 0, 0]].concat(), true), CALM, came(166, 6_513, 2_175, 0, 0)),
        flood("cookie crumbs beyond the limit", nothing, |n| headers(id(n), &[get(), line("cookie", "c").repeat(200)].concat(), true), CALM, came(99, 203_600, 1_784, 0, 0)),
        flood("large cookie crumbs, joined", large_crumb, |n| headers(id(n + 1), &[get(), vec![0xbe; 110]].concat(), true), CALM, came(184, 27_010, 9_458, 18, 0)),
        flood("streams beyond the limit", nothing, |n| headers(id(n), &post(), false), CALM, came(1_100, 39_636, 13_017, 100, 0)),
    ]
}

/// The gateway, somebody who only wants to be served, and the attacker.
struct Scene {
    memory: Memory,
    bystander: ConnId,
    attacker: ConnId,
    /// The connection that all of them share.
    backend: ConnId,
}

impl Scene {
    fn new() -> Self {
        Self::of(|_| {})
    }

    fn of(configure: impl FnOnce(&mut Config)) -> Self {
        let mut memory = Memory::new(configure);
        let bystander = memory.connect(ConnectionConfig::default());
        ask(&mut memory, bystander, "/first");
        answer_all(&mut memory);
        events(&mut memory, bystander);
        let backend = memory.backends()[0];
        let attacker = memory.connect_mute();
        let mut scene = Self { memory, bystander, attacker, backend };
        scene.say(&[PREFACE.to_vec(), settings(&[]), settings_ack()].concat());
        scene
    }

    fn say(&mut self, octets: &[u8]) {
        self.memory.inject(self.attacker, octets);
    }

    /// Requests of the attacker that have reached a backend, unanswered.
    fn reached(&mut self) -> usize {
        let backends = self.memory.backends().into_iter().filter(|&id| id != self.attacker);
        let mut reached = 0;
        for backend in backends.collect::<Vec<_>>() {
            if matches!(self.memory.peers.get(&backend), Some(Peer::Backend(_))) {
                let paths = requests(&mut self.memory, backend);
                reached += paths.iter().filter(|(_, request)| request.uri().path() == "/").count();
            }
        }
        reached
    }
}

fn attack(flood: &Flood) -> (Came, Vec<u8>) {
    let mut scene = Scene::new();
    scene.memory.sent_to(scene.attacker);
    let mut came = Came { turns: 0, sent: 0, told: 0, reached: 0, held: 0 };
    let opening = (flood.opens)();
    scene.say(&opening);
    let mut told = Vec::new();
    while came.turns < MANY {
        let octets = (flood.turn)(came.turns);
        came.sent += octets.len();
        scene.say(&octets);
        came.reached += scene.reached();
        came.held = came.held.max(scene.memory.gateway.view().buffered_octets);
        told.extend(scene.memory.sent_to(scene.attacker));
        if scene.memory.shutdowns.contains(&scene.attacker) || scene.memory.closed.contains(&scene.attacker) {
            break;
        }
        came.turns += 1;
    }
    came.told = told.len();
    // Others are served as if nothing had been.
    ask(&mut scene.memory, scene.bystander, "/bystander");
    scene.memory.peers.remove(&scene.attacker);
    assert!(is_answered_within_a_second(&mut scene.memory, "/bystander"), "{}", flood.what);
    assert!(
        !scene.memory.closed.contains(&scene.backend),
        "{}: the connection to the backend has lived",
        flood.what
    );
    scene.memory.wait(Duration::from_secs(10));
    assert!(scene.memory.closed.contains(&scene.attacker), "{}", flood.what);
    (came, told)
}

#[test]
fn each_flood_ends_within_its_budget_and_disturbs_nobody() {
    req!("9113-10.5-02");
    let mut wrong = 0;
    for flood in floods() {
        let (came, mut told) = attack(&flood);
        came.print(flood.what);
        let frames = take_frames(&mut told);
        let goaway = frames.iter().rev().find(|frame| frame.frame_type == GOAWAY);
        let code = goaway.map(|frame| frame.word(1));
        if came != flood.came || code != Some(flood.code.0) {
            println!("    expected {:?} and code {:?}, not {code:?}", flood.came, flood.code);
            wrong += 1;
        }
    }
    assert_eq!(wrong, 0, "what they came to is printed above");
}

/// Who sends an octet at a time faster than anybody means to pays in the end: a hundred and twenty-eight frames cost a point. Whatever came
/// before is passed on, and the backend's connection, which others share, lives.
#[test]
fn tiny_data_without_end_ends_the_connection_it_comes_on() {
    let mut scene = Scene::of(|config| config.front.misuse_max = 100);
    scene.say(&upload());
    let sent = (0..MANY).find(|_| {
        scene.say(&data(1, b"t", false));
        scene.reached();
        scene.memory.shutdowns.contains(&scene.attacker)
    });
    assert_eq!(sent, Some(101 * 128 - 1));
    ask(&mut scene.memory, scene.bystander, "/bystander");
    scene.memory.peers.remove(&scene.attacker);
    assert!(is_answered_within_a_second(&mut scene.memory, "/bystander"));
    assert!(!scene.memory.closed.contains(&scene.backend), "what it shared with others lives");
}

/// A little content is passed on as it comes, and is no misuse in ordinary numbers: neither here nor at a backend whose connection others
/// share.
#[test]
fn tiny_data_ends_no_connection() {
    let mut scene = Scene::new();
    scene.say(&upload());
    for _ in 0..MANY {
        scene.say(&data(1, b"t", false));
        scene.reached();
    }
    ask(&mut scene.memory, scene.bystander, "/bystander");
    assert!(!scene.memory.shutdowns.contains(&scene.attacker), "it may go on");
    assert!(scene.memory.peers.remove(&scene.attacker).is_some());
    assert!(answer_all(&mut scene.memory).contains(&"/bystander".to_owned()));
    assert_eq!(scene.memory.dials.len(), 1);
}

/// Over HTTP/1.1 a client has its connection for itself. Chunks of an octet each cost it in the end, however many the origin would bear;
/// three thousand a second it may send for ever.
#[test]
fn tiny_chunks_end_the_connection_of_whoever_sends_them_faster_than_time_pays_back() {
    let mut scene = Scene::new();
    let chatty = scene.memory.connect_mute();
    let head = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    scene.memory.inject(chatty, head);
    for _ in 0..20_000 {
        (0..3).for_each(|_| scene.memory.inject(chatty, b"1\r\nt\r\n"));
        scene.reached();
        scene.memory.wait(Duration::from_millis(1));
    }
    assert!(!scene.memory.closed.contains(&chatty), "an octet now and then is nobody's harm");
    let flooding = scene.memory.connect_mute();
    scene.memory.inject(flooding, head);
    let sent = (0..MANY).find(|_| {
        scene.memory.inject(flooding, b"1\r\nt\r\n");
        scene.reached();
        scene.memory.shutdowns.contains(&flooding) || scene.memory.closed.contains(&flooding)
    });
    assert_eq!(sent, Some(10_039), "each costs a point, and the content of 256 earns one");
    ask(&mut scene.memory, scene.bystander, "/bystander");
    for mute in [scene.attacker, chatty, flooding] {
        scene.memory.peers.remove(&mute);
    }
    assert!(is_answered_within_a_second(&mut scene.memory, "/bystander"));
    assert!(!scene.memory.closed.contains(&scene.backend), "what it shared with others lives");
}

/// Large chunks that the network cuts into single octets are no tiny ones; tiny ones cost as much however they are cut.
#[test]
fn chunks_cost_by_their_size_and_not_by_the_pieces_in_which_they_come() {
    let mut scene = Scene::new();
    let head = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    let slow = scene.memory.connect_mute();
    scene.memory.inject(slow, head);
    for _ in 0..12 {
        scene.memory.inject(slow, b"3e8\r\n");
        for _ in 0..1000 {
            scene.memory.inject(slow, b"t");
            scene.reached();
        }
        scene.memory.inject(slow, b"\r\n");
    }
    assert!(!scene.memory.shutdowns.contains(&slow), "12,000 octets of honest content");
    let flooding = scene.memory.connect_mute();
    scene.memory.inject(flooding, head);
    let sent = (0..MANY).find(|_| {
        b"2\r\ntt\r\n".iter().for_each(|octet| scene.memory.inject(flooding, &[*octet]));
        scene.reached();
        scene.memory.shutdowns.contains(&flooding) || scene.memory.closed.contains(&flooding)
    });
    assert_eq!(sent, Some(10_078), "each costs a point, and the content of 128 earns one");
}
