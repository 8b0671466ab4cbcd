//! The list of attacks.

use std::io;

use crate::peer::Peer;
use crate::{floods, heads, http1, stalls, uploads};

/// One turn of an attack: a burst of octets, as many as the connection takes at once.
pub type Turn = fn(&mut Peer) -> io::Result<()>;

/// One class of attack.
#[derive(Clone, Copy, Debug)]
pub struct Attack {
    /// What it is called here.
    pub name: &'static str,
    /// What others call it: a CVE number, or nothing.
    pub known_as: &'static str,
    /// What is said first: the client's side of a handshake.
    pub opens: fn(&mut Peer) -> io::Result<()>,
    /// What is said over and over.
    pub turn: Turn,
    /// Whether the attacker reads what the proxy says.
    pub reads: bool,
    /// Octets that shuntyard may hold for it: as many make a breach.
    pub bound: u64,
}

/// What one attacking connection may make shuntyard hold.
const BOUND: u64 = 8 << 20;
/// Likewise one upload that nobody reads.
const UPLOAD_BOUND: u64 = 256 << 10;

const fn attack(name: &'static str, known_as: &'static str, turn: Turn) -> Attack {
    Attack { name, known_as, opens: Peer::greet, turn, reads: true, bound: BOUND }
}

impl Attack {
    const fn deaf(self) -> Self {
        Self { reads: false, ..self }
    }

    const fn bounded(self, bound: u64) -> Self {
        Self { bound, ..self }
    }

    const fn opening(self, opens: Turn) -> Self {
        Self { opens, ..self }
    }
}

/// All of them, by name.
pub const ATTACKS: &[Attack] = &[
    attack("rapid-reset", "CVE-2023-44487", floods::rapid_reset),
    attack("late-reset", "CVE-2023-44487", floods::late_reset),
    attack("made-you-reset", "CVE-2025-8671", floods::made_you_reset),
    attack("malformed-requests", "CVE-2019-9514", floods::malformed_requests),
    attack("ping-flood", "CVE-2019-9512", floods::pings),
    attack("ping-flood-deaf", "CVE-2019-9512", floods::pings).deaf(),
    attack("settings-flood", "CVE-2019-9515", floods::settings),
    attack("settings-of-many", "CVE-2020-11080", floods::settings_of_many),
    attack("priority-loop", "CVE-2019-9513", floods::priorities),
    attack("unknown-frames", "", floods::unknown_frames),
    attack("empty-data", "CVE-2019-9518", floods::empty_data),
    attack("padding-only", "", floods::padding),
    attack("window-updates", "", floods::window_updates),
    attack("window-flapping", "", floods::window_flapping).opening(floods::open_downloads),
    attack("continuations", "CVE-2024-27316", heads::continuations),
    attack("empty-continuations", "CVE-2019-9518", heads::empty_continuations),
    attack("empty-names", "CVE-2019-9516", heads::empty_names),
    attack("hpack-bomb", "CVE-2016-6581", heads::indexed_bomb),
    attack("cookie-bomb", "CVE-2026-49975", heads::cookie_bomb),
    attack("cookie-crumbs", "CVE-2026-49975", heads::cookie_crumbs),
    attack("large-heads", "", heads::large),
    attack("data-dribble", "CVE-2019-9511", stalls::dribble).opening(stalls::open_without_window),
    attack("window-zero", "CVE-2016-1546", stalls::silence).opening(stalls::open_without_window),
    attack("window-open-deaf", "CVE-2019-9517", stalls::pings_seldom).opening(stalls::open_downloads).deaf(),
    attack("windows-grown", "CVE-2019-9517", stalls::greedy_then_deaf).opening(stalls::open_endless),
    attack("upload-unread", "", uploads::fill).opening(uploads::open_unread).bounded(UPLOAD_BOUND),
    attack("uploads-many", "", uploads::fill).opening(uploads::open_many_unread),
    attack("tiny-data", "", uploads::tiny_data).opening(uploads::open_read),
    attack("slow-preface", "", stalls::one_octet).opening(stalls::say_nothing),
    attack("slow-head", "", stalls::slow_continuations),
    attack("h1-slow-head", "", http1::slow_head).opening(stalls::say_nothing),
    attack("h1-endless-head", "", http1::endless_head).opening(http1::begin_head),
    attack("h1-chunk-extensions", "CVE-2023-39326", http1::chunk_extensions).opening(http1::begin_upload),
    attack("h1-tiny-chunks", "", http1::tiny_chunks).opening(http1::begin_upload),
    attack("h1-pipelined-deaf", "", http1::pipelined).opening(stalls::say_nothing).deaf(),
];
