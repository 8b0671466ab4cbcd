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
    /// What shuntyard must do about it.
    pub fate: Fate,
    /// As much of it must have happened, or nothing was attacked.
    pub least: Least,
}

/// What shuntyard does about an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Ends its connection, by what was said there: no clock has a part in it, and deadlines are an hour.
    Ended,
    /// Bears it, within the bound, while it is watched, which is for seconds. What ends it later is a deadline of half a minute or more.
    Borne,
    /// Ends it by a clock: by a deadline that may be later than the attack lasts, or where more comes in a second than is borne.
    Awaited,
}

/// The least that an attack comes to.
#[derive(Clone, Copy, Debug)]
pub struct Least {
    /// Octets that the proxy took.
    pub said: u64,
    /// Requests that reached the origin.
    pub requests: u64,
}

/// What one attacking connection may make shuntyard hold.
const BOUND: u64 = 8 << 20;
/// Likewise one upload that nobody reads.
const UPLOAD_BOUND: u64 = 256 << 10;

/// Octets of a flood: less than any of them says in its first turn, and more than a greeting.
const FLOOD: u64 = 1_000;

const fn attack(name: &'static str, known_as: &'static str, turn: Turn) -> Attack {
    let least = Least { said: 1, requests: 0 };
    Attack { name, known_as, opens: Peer::greet, turn, reads: true, bound: BOUND, fate: Fate::Borne, least }
}

impl Attack {
    const fn deaf(self) -> Self {
        Self { reads: false, ..self }
    }

    const fn bounded(self, bound: u64) -> Self {
        Self { bound, ..self }
    }

    /// The proxy ends it, and not before it is one.
    const fn ended(self) -> Self {
        Self { fate: Fate::Ended, least: Least { said: FLOOD, requests: 0 }, ..self }
    }

    /// Goes on, and so many requests reach the origin.
    const fn asking(self, requests: u64) -> Self {
        Self { least: Least { requests, ..self.least }, ..self }
    }

    /// A clock ends it, if anything does.
    const fn awaited(self) -> Self {
        Self { fate: Fate::Awaited, ..self }
    }

    const fn opening(self, opens: Turn) -> Self {
        Self { opens, ..self }
    }
}

/// All of them, by name.
pub const ATTACKS: &[Attack] = &[
    attack("rapid-reset", "CVE-2023-44487", floods::rapid_reset).ended(),
    attack("late-reset", "CVE-2023-44487", floods::late_reset).ended(),
    attack("made-you-reset", "CVE-2025-8671", floods::made_you_reset).ended(),
    attack("malformed-requests", "CVE-2019-9514", floods::malformed_requests).ended(),
    attack("ping-flood", "CVE-2019-9512", floods::pings).ended(),
    attack("ping-flood-deaf", "CVE-2019-9512", floods::pings).deaf().ended(),
    attack("settings-flood", "CVE-2019-9515", floods::settings).ended(),
    attack("settings-of-many", "CVE-2020-11080", floods::settings_of_many).ended(),
    attack("priority-loop", "CVE-2019-9513", floods::priorities).ended(),
    attack("unknown-frames", "", floods::unknown_frames).ended(),
    attack("empty-data", "CVE-2019-9518", floods::empty_data).ended(),
    attack("padding-only", "", floods::padding).ended(),
    attack("window-updates", "", floods::window_updates).ended(),
    attack("window-flapping", "", floods::window_flapping).opening(floods::open_downloads).ended(),
    attack("continuations", "CVE-2024-27316", heads::continuations).ended(),
    attack("empty-continuations", "CVE-2019-9518", heads::empty_continuations).ended(),
    attack("empty-names", "CVE-2019-9516", heads::empty_names).ended(),
    attack("hpack-bomb", "CVE-2016-6581", heads::indexed_bomb).ended(),
    attack("cookie-bomb", "CVE-2026-49975", heads::cookie_bomb).ended(),
    attack("cookie-crumbs", "CVE-2026-49975", heads::cookie_crumbs).asking(10),
    attack("large-heads", "", heads::large).asking(20),
    attack("data-dribble", "CVE-2019-9511", stalls::dribble).opening(stalls::open_without_window).ended(),
    attack("window-zero", "CVE-2016-1546", stalls::silence).opening(stalls::open_without_window).asking(20),
    attack("window-open-deaf", "CVE-2019-9517", stalls::pings_seldom)
        .opening(stalls::open_downloads)
        .deaf()
        .asking(20),
    attack("windows-grown", "CVE-2019-9517", stalls::greedy_then_deaf)
        .opening(stalls::open_endless)
        .asking(20),
    attack("upload-unread", "", uploads::fill).opening(uploads::open_unread).bounded(UPLOAD_BOUND).asking(1),
    attack("uploads-many", "", uploads::fill).opening(uploads::open_many_unread).asking(20),
    attack("tiny-data", "", uploads::tiny_data).opening(uploads::open_read).asking(1).awaited(),
    attack("slow-preface", "", stalls::one_octet).opening(stalls::say_nothing).awaited(),
    attack("slow-head", "", stalls::slow_continuations).awaited(),
    attack("h1-slow-head", "", http1::slow_head).opening(stalls::say_nothing).awaited(),
    attack("h1-endless-head", "", http1::endless_head).opening(http1::begin_head).ended(),
    attack("h1-chunk-extensions", "CVE-2023-39326", http1::chunk_extensions)
        .opening(http1::begin_upload)
        .ended(),
    attack("h1-tiny-chunks", "", http1::tiny_chunks).opening(http1::begin_upload).ended(),
    attack("h1-pipelined-deaf", "", http1::pipelined).opening(stalls::say_nothing).deaf().asking(2),
];
