//! `[limits]`: what each worker bears, and what each limit stops. SECURITY.md has them as a table.

use std::time::Duration;

use shuntyard_core::config::{Config, ConnectionConfig, MAX_WINDOW};

use crate::config::code::Code;
use crate::config::kind::{Number, Size};
use crate::config::problem::{Problem, Span};
use crate::config::section::Section;
use crate::config::sections::TIME;
use crate::config::value::write_size;

const WINDOW: Size<u32> = Size { min: 1, max: MAX_WINDOW };
const CONNECTION_WINDOW: Size<u32> = Size { min: 65_535, max: MAX_WINDOW };

/// What one client may have at most, where nobody says it.
const SHARE_MAX: u32 = 25_000;

/// What one client may have of so many connections, where nobody says it.
pub(crate) fn share_of_client(connections: u32) -> u32 {
    (connections / 2).clamp(1, SHARE_MAX)
}

/// Whose connections, and how many. Says whether the file says what one client may have of them, and something else than holds without a word: who
/// copies the reference, which has every key with its default, has asked for nothing.
pub(super) fn of_clients(limits: &mut Section<'_, '_>, config: &mut Config) -> bool {
    let fronts = Number { min: 1, max: 10_000_000, of: "connections" };
    limits.take(
        "max_connections",
        "connections of clients; at so many the one that has been idle longest is closed, and one more waits to be accepted; stops clients that only come",
        &fronts,
        &mut config.max_fronts,
    );
    let what = "connections of one client, which is an address, or an IPv6 network of 64 bits; without it, or where it says as many, 25000 and no more than half of max_connections, also where that is lowered for want of descriptors; one more is closed; stops one client from taking them all";
    let share = share_of_client(config.max_fronts);
    config.max_fronts_per_client = share;
    limits.take("max_connections_per_client", what, &fronts, &mut config.max_fronts_per_client);
    config.max_fronts_per_client != share
}

/// How many of something a connection may have. Says where `max_header_list_size` stands.
pub(super) fn of_connections(limits: &mut Section<'_, '_>, config: &mut Config) -> Option<Span> {
    let streams = Number { min: 1, max: MAX_WINDOW, of: "streams" };
    let what = "requests of one client connection at a time; stops those who ask for more than anybody reads";
    limits.take("max_concurrent_streams", what, &streams, &mut config.front.max_concurrent_streams);
    let of_both = |config: &mut Config, apply: &dyn Fn(&mut ConnectionConfig)| {
        apply(&mut config.front);
        apply(&mut config.backend);
    };
    let list = Size { min: 256, max: 16 << 20 };
    let mut size = config.front.max_header_list_size;
    let what = "all fields of one request or response, with 32 octets each (RFC 9113 section 6.5.2); stops HPACK bombs";
    let list = limits.take("max_header_list_size", what, &list, &mut size);
    of_both(config, &|side| side.max_header_list_size = size);
    // HTTP/1.1: a head is whole in half of what is read to.
    config.recv_buffer_octets = config.recv_buffer_octets.max((2 * size as usize).min(16 << 20));
    let fields = Number { min: 8, max: 65_535, of: "fields" };
    let mut count = config.front.max_fields;
    limits.take(
        "max_header_fields",
        "fields of one request or response, each cookie crumb counted; stops bombs of references to tables",
        &fields,
        &mut count,
    );
    of_both(config, &|side| side.max_fields = count);
    let frames = Number { min: 1, max: 1024, of: "frames" };
    // What may be so large may come in as many frames as it takes, each of 16,384 octets.
    let mut continuations = config.front.max_continuations.max((2 * size / 16_384).min(1024));
    limits.take(
        "max_continuations",
        "CONTINUATION frames of one field block; stops CONTINUATION without end",
        &frames,
        &mut continuations,
    );
    of_both(config, &|side| side.max_continuations = continuations);
    let interim = Number { min: 1, max: 1000, of: "responses" };
    let what =
        "interim responses (1xx) before the final one; stops backends that never come to the final one";
    limits.take("max_interim_responses", what, &interim, &mut config.backend.max_interim_responses);
    let entries = Number { min: 6, max: 2730, of: "settings" };
    let mut settings = config.front.max_settings;
    let what = "settings of one SETTINGS frame; one more ends the connection; stops frames full of settings";
    limits.take("max_settings", what, &entries, &mut settings);
    of_both(config, &|side| side.max_settings = settings);
    let answers = Number { min: 8, max: 1_000_000, of: "frames" };
    let mut queued = config.front.max_queued_control_frames;
    let what = "answers to PING, SETTINGS and wrong frames that wait until the peer reads; one more ends the connection; stops those who ask and never read";
    limits.take("max_queued_control_frames", what, &answers, &mut queued);
    of_both(config, &|side| side.max_queued_control_frames = queued);
    let points = Number { min: 100, max: 1_000_000_000, of: "points" };
    let mut misuse = config.front.misuse_max;
    let what = "what a peer may cost beyond what it brings: 60 for a reset, 10 for a PING, less for less; whole messages, content and 3,300 a second \
        pay it back; stops rapid resets, floods of PING, SETTINGS and empty frames";
    limits.take("max_misuse", what, &points, &mut misuse);
    of_both(config, &|side| side.misuse_max = misuse);
    list
}

/// How much memory. `list` is where `max_header_list_size` stands.
pub(super) fn of_memory(limits: &mut Section<'_, '_>, config: &mut Config, list: Option<Span>) {
    let what = "content of one request that a client may send ahead; stops uploads that no backend reads from taking memory";
    limits.take("request_window", what, &WINDOW, &mut config.front.initial_window_size);
    let what = "content that a client connection may send ahead in all; stops many uploads at once from taking what one may not";
    limits.take(
        "request_connection_window",
        what,
        &CONNECTION_WINDOW,
        &mut config.front.connection_window_size,
    );
    let what = "content of one response that a backend may send ahead; stops backends that are faster than clients from filling memory";
    let window = limits.take("response_window", what, &WINDOW, &mut config.backend.initial_window_size);
    let what = "what that grows to while the client takes the content as fast as it comes, out of half of response_memory; stops one fast download from taking all of it";
    let largest = limits.take("response_window_max", what, &WINDOW, &mut config.backend.stream_window_max);
    let what = "content that a backend connection may send ahead in all; stops all responses of a backend from coming at once";
    limits.take(
        "response_connection_window",
        what,
        &CONNECTION_WINDOW,
        &mut config.backend.connection_window_size,
    );
    let what = "memory for responses that wait for clients; a request is sent on when its window fits in; stops slow readers from filling memory";
    let memory =
        limits.take("response_memory", what, &Size { min: 1, max: 1 << 40 }, &mut config.ledger_octets);
    let what = "of that memory, what the requests of one client connection may hold; more of them wait; stops one slow reader from making all others wait";
    let share = Size { min: 1, max: 1 << 40 };
    let of_client = limits.take("response_memory_per_client", what, &share, &mut config.ledger_front_octets);
    let what = "memory for uploads that wait; above it, those of one client hold each other up; stops uploads to slow backends from filling memory";
    let uploads = Size { min: 1, max: 1 << 40 };
    limits.take("request_memory", what, &uploads, &mut config.upload_ledger_octets);
    let what = "memory for content that may have to be sent again; above it, a request is sent once; stops retries from filling memory";
    limits.take("replay_memory", what, &Size { min: 0, max: 1 << 40 }, &mut config.replay_ledger_octets);
    let what = "of that memory, what the requests of one client connection may hold; stops one client from having all memory for retries";
    let share = Size { min: 0, max: 1 << 40 };
    limits.take("replay_memory_per_client", what, &share, &mut config.replay_front_octets);
    let what = "memory for heads of requests under way, for trailers, and for heads of responses beyond the output buffer, at least one max_header_list_size; above it, requests get 503; a connection may hold a 256th by heads of its requests, or four heads of max_header_list_size and 2 KiB for each of max_concurrent_streams, if that is more, and a client 32 times that, but no more than half, or than one connection if that is more; stops large heads of many requests that wait, and of responses that clients do not read";
    let of_heads = Size { min: 256, max: 1 << 40 };
    let heads = limits.take("head_memory", what, &of_heads, &mut config.head_ledger_octets);
    let output = Size { min: 1, max: 1_u32 << 30 };
    let mut buffer = u32::try_from(config.front.outbox_high_mark).unwrap_or(output.max);
    let what = "output of one connection that waits for its peer to read; above it no content is taken up, at the double nothing is read from the peer; stops peers that do not read from filling memory";
    limits.take("output_buffer", what, &output, &mut buffer);
    config.front.outbox_high_mark = buffer as usize;
    config.backend.outbox_high_mark = buffer as usize;
    let least = u64::from(config.backend.initial_window_size);
    let pools = [
        ("response_memory", config.ledger_octets, memory),
        ("response_memory_per_client", config.ledger_front_octets, of_client),
    ];
    for (name, octets, at) in pools {
        if let Some(at) = at.or_else(|| window.clone()).filter(|_| octets < least) {
            let title =
                format!("`{name}` is less than one `response_window`, so no request could be sent on");
            limits.refuse(Problem::new(Code::Contradiction, title, at).label("together too little"));
        }
    }
    let most = config.backend.stream_window_max;
    // Where it is not said, a window that is larger than the default does not grow.
    if let Some(at) = largest.filter(|_| u64::from(most) < least) {
        let title = format!(
            "`response_window_max` is {}, which is less than `response_window`, {}",
            write_size(most.into()),
            write_size(least)
        );
        limits.refuse(Problem::new(Code::Contradiction, title, at).label("no window grows to less"));
    }
    let head = u64::from(config.front.max_header_list_size);
    if let Some(at) = heads.or(list).filter(|_| config.head_ledger_octets < head) {
        let title = "`head_memory` is less than one `max_header_list_size`, so a request may never find room";
        limits.refuse(Problem::new(Code::Contradiction, title, at).label("together too little"));
    }
}

/// How long.
pub(super) fn of_time(limits: &mut Section<'_, '_>, config: &mut Config) {
    let times = &mut config.timeouts;
    let mut take = |name, what, place: &mut Duration| limits.take(name, what, &TIME, place);
    take(
        "preface_timeout",
        "from accept to the client's SETTINGS; stops those who say little or nothing",
        &mut times.preface,
    );
    take(
        "header_timeout",
        "a request's head, from its first octet to its last; stops heads of an octet now and then",
        &mut times.field_block,
    );
    let what = "a client connection without requests; stops clients that only stay";
    take("idle_timeout", what, &mut times.front_idle);
    let what = "a backend connection without requests, and a second less than `Keep-Alive: timeout` says over HTTP/1.1, where that is sooner; stops connections that nobody needs";
    take("backend_idle_timeout", what, &mut times.backend_idle);
    let what = "until a backend connection stands; stops backends that cannot be reached";
    take("connect_timeout", what, &mut times.connect);
    let what = "from the end of a request to the head of its response; stops backends that never answer";
    take("response_timeout", what, &mut times.response);
    let what = "a request or response of which no more comes, or that a backend does not take; stops content that begins and never goes on";
    take("stream_idle_timeout", what, &mut times.stream_idle);
    let what = "a peer that takes no output, a client's stream that takes less than 16KiB of a response that waits; stops those who ask and never read, and windows that stay closed or are opened by octets";
    take("write_timeout", what, &mut times.write_stall);
    let what = "how long input is discarded after the end, so that the peer sees why; stops peers that go on sending";
    take("linger_timeout", what, &mut times.linger);
    let what = "a client connection is asked to leave then, a tenth more or less, so that balancers can spread clients; stops load that stays where it once went";
    take("max_connection_age", what, &mut times.front_age);
    let what = "a backend connection takes no more requests then, a tenth more or less; stops load that stays at backends where it once went";
    take("max_backend_connection_age", what, &mut times.backend_age);
    let what = "a backend connection that was silent so long is sent a PING with its next request; stops new requests on connections that died unseen";
    take("suspect_idle", what, &mut times.suspect_idle);
    let what = "a backend connection that is silent so long while requests wait is sent a PING; stops requests that wait for a dead backend";
    take("suspect_silent", what, &mut times.suspect_silent);
    let what =
        "the answer to a PING; then the connection is given up; stops backends that accept and say nothing";
    take("ping_timeout", what, &mut times.ping);
}
