//! What the gateway gave out, as a running hash: recorder and replay keep one each, and they must agree.

use std::hash::{Hash, Hasher as _};
use std::net::SocketAddr;

use shuntyard_core::address::Address;
use shuntyard_core::gateway::{Action, ConnId, Record};

use crate::recording::content::Content;
use crate::recording::fold::Fold;
use crate::recording::heads::{Heads, Methods};

/// The hash, and how far each connection has come.
#[derive(Debug)]
pub(crate) struct Witness {
    pub(crate) fold: Fold,
    /// Content is recorded, and counts in the hash.
    content: bool,
    /// By the index of the connection; a later one with the same index takes the place.
    tracks: Vec<Option<Track>>,
}

/// The two directions of a connection.
#[derive(Debug)]
struct Track {
    conn: ConnId,
    is_front: bool,
    recv: Content,
    send: Content,
    /// Of HTTP/1.1: what we say, and what a client has asked by.
    heads: Heads,
    methods: Methods,
}

impl Track {
    /// Whether what we say with these octets is HTTP/2. The client decides for both, and towards a backend we do.
    fn says_http2(&self, octets: &[u8]) -> bool {
        if self.is_front { self.recv.is_http2() } else { self.send.is_http2_with(octets) }
    }
}

impl Witness {
    /// What is remembered of a connection.
    pub(crate) const TRACK_OCTETS: u64 = size_of::<Option<Track>>() as u64;

    pub(crate) fn new(content: bool) -> Self {
        Self { fold: Fold::default(), content, tracks: Vec::new() }
    }

    /// `handle_accept` has given an id.
    pub(crate) fn accepted(&mut self, conn: ConnId) {
        conn.hash(&mut self.fold);
        self.track(conn, true);
    }

    /// `poll_action` has answered.
    pub(crate) fn acted(&mut self, action: Option<&Action>) {
        let fold = &mut self.fold;
        match action {
            None => fold.write_u64(0),
            Some(Action::Connect { conn, target, secure }) => {
                (1_u64, conn).hash(fold);
                hash_address(target, fold);
                secure.hash(fold);
                self.track(*conn, false);
            }
            Some(Action::Readable(conn)) => (2_u64, conn).hash(fold),
            Some(Action::Writable(conn)) => (3_u64, conn).hash(fold),
            Some(Action::Resolve { name, port }) => (4_u64, name, u32::from(*port)).hash(fold),
            Some(Action::Shutdown(conn)) => (5_u64, conn).hash(fold),
            Some(Action::Close(conn)) => (6_u64, conn).hash(fold),
            Some(Action::Accepting(accepting)) => (7_u64, accepting).hash(fold),
            Some(Action::Record(record)) => hash_record(record, fold),
            Some(Action::Drained { cut }) => (9_u64, cut).hash(fold),
            Some(Action::Abort(conn)) => (10_u64, conn).hash(fold),
        }
    }

    /// `poll_transmit` has shown so many octets, 0 for `None`.
    pub(crate) fn shown(&mut self, octets: usize) {
        self.fold.write_usize(octets);
    }

    /// These octets have left.
    pub(crate) fn sent(&mut self, conn: ConnId, octets: &[u8]) {
        let Self { fold, content, tracks } = self;
        match find(tracks, conn).filter(|_| !*content) {
            None => fold.write(octets),
            Some(track) => {
                let mut count = |piece: &[u8], is_content| {
                    if is_content { fold.write_usize(piece.len()) } else { fold.write(piece) }
                };
                if track.says_http2(octets) {
                    return track.send.split(octets, count);
                }
                // What came over HTTP/2 leaves over HTTP/1.1.
                track.heads.split(octets, track.methods.found, &mut count);
                if !track.is_front {
                    track.send.split(octets, |_, _| {});
                }
            }
        }
    }

    /// Octets came: shows them in pieces, those that are not recorded with `true`.
    pub(crate) fn received<'a>(
        &mut self,
        conn: ConnId,
        octets: &'a [u8],
        mut show: impl FnMut(&'a [u8], bool),
    ) {
        match find(&mut self.tracks, conn).filter(|_| !self.content) {
            Some(track) if track.is_front || track.send.is_http2() => {
                track.recv.split(octets, show);
                if !track.recv.is_http2() {
                    track.methods.look(octets);
                }
            }
            Some(track) => {
                // A backend may speak before our preface has left: its frames are counted, in case it is HTTP/2.
                track.recv.split(octets, |_, _| {});
                show(octets, false);
            }
            None => show(octets, false),
        }
    }

    fn track(&mut self, conn: ConnId, is_front: bool) {
        if self.content {
            return;
        }
        let at = index(conn);
        if self.tracks.len() <= at {
            self.tracks.resize_with(at + 1, || None);
        }
        // A client begins with the preface, and so do we towards a backend.
        self.tracks[at] = Some(Track {
            conn,
            is_front,
            recv: Content::new(is_front),
            send: Content::new(!is_front),
            heads: Heads::new(is_front),
            methods: Methods::default(),
        });
    }
}

fn index(conn: ConnId) -> usize {
    (conn.to_bits() & 0xffff_ffff) as usize
}

fn find(tracks: &mut [Option<Track>], conn: ConnId) -> Option<&mut Track> {
    tracks.get_mut(index(conn))?.as_mut().filter(|track| track.conn == conn)
}

/// By its octets: how the standard library hashes addresses is its own affair, and not the same on every machine.
fn hash_address(address: &Address, fold: &mut Fold) {
    match address {
        Address::Inet(SocketAddr::V4(address)) => {
            fold.write_u64(4);
            fold.write(&address.ip().octets());
            fold.write_u16(address.port());
        }
        Address::Inet(SocketAddr::V6(address)) => {
            fold.write_u64(6);
            fold.write(&address.ip().octets());
            (address.port(), address.flowinfo(), address.scope_id()).hash(fold);
        }
        Address::Unix(path) => {
            fold.write_u64(1);
            fold.write(path.as_bytes());
        }
    }
}

/// What the record says in numbers. Its texts come from the configuration, its fields from what was received.
fn hash_record(record: &Record, fold: &mut Fold) {
    fold.write_u64(8);
    match record {
        Record::Started { request, at, .. } => (0_u64, request, at).hash(fold),
        Record::Attempt(attempt) => {
            (1_u64, attempt.request, attempt.number, attempt.engine, attempt.stream_id).hash(fold);
            (attempt.outcome, u32::from(attempt.status)).hash(fold);
            (attempt.request_octets, attempt.response_octets).hash(fold);
            (attempt.thawed, attempt.sent, attempt.responded, attempt.ended).hash(fold);
        }
        Record::Ended(end) => {
            (2_u64, end.request, end.outcome, u32::from(end.status), end.attempts).hash(fold);
            (end.request_octets, end.response_octets).hash(fold);
            (end.accepted, end.thawed, end.responded, end.ended).hash(fold);
        }
    }
}
