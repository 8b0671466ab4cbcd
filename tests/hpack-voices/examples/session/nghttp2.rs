//! Sessions of nghttp2.
//!
//! Of `words`, an array of names and values is written for each message, and nghttp2 copies what it points to, as it does by default; `kept`: the
//! array stays, and nghttp2 is told that so does what it points to. Frames go to the other session from where nghttp2 has them.
#![expect(unsafe_code, reason = "nghttp2 is C")]

use std::ffi::{c_int, c_void};
use std::ptr;

use libnghttp2_sys as ffi;
use shuntyard_hpack_voices::Line;

use crate::{CONTENT, Heard, STREAMS, Voice, Work};

pub(crate) struct Session {
    client: Side,
    server: Side,
    requests: Vec<Section>,
    asked: usize,
    octets: [usize; 2],
}

/// A session and what its callbacks are given: a [`Peer`], which lives as long and is reached by its address only.
struct Side {
    session: *mut ffi::nghttp2_session,
    peer: *mut Peer,
}

struct Peer {
    heard: Heard,
    /// A server's answer to each request.
    response: Option<Section>,
    /// Where pairs are made that are not kept.
    made: Vec<ffi::nghttp2_nv>,
}

/// Lines, and the pairs that point to them where those are kept.
struct Section {
    lines: Vec<Line>,
    kept: Option<Vec<ffi::nghttp2_nv>>,
}

impl Session {
    pub(crate) fn new(work: Work) -> Self {
        let section = |lines| Section::new(lines, work.kept);
        Self {
            client: Side::new(None),
            server: Side::new(Some(section(work.response))),
            requests: work.requests.into_iter().map(section).collect(),
            asked: 0,
            octets: [0; 2],
        }
    }
}

impl Voice for Session {
    fn exchange(&mut self) {
        for _ in 0..STREAMS {
            self.client.ask(&self.requests[self.asked % self.requests.len()]);
            self.asked += 1;
        }
        self.octets[0] += carry(&self.client, &self.server);
        self.octets[1] += carry(&self.server, &self.client);
    }

    fn heard(&self) -> [Heard; 2] {
        // SAFETY: the peers live, and no callback runs.
        [&self.server, &self.client].map(|side| unsafe { (*side.peer).heard.clone() })
    }

    fn octets(&self) -> [usize; 2] {
        self.octets
    }
}

impl Section {
    fn new(lines: Vec<Line>, kept: bool) -> Self {
        // The lines may move, the octets of their names and values do not.
        let no_copy = (ffi::NGHTTP2_NV_FLAG_NO_COPY_NAME | ffi::NGHTTP2_NV_FLAG_NO_COPY_VALUE) as u8;
        let kept = kept.then(|| lines.iter().map(|line| pair(line, no_copy)).collect());
        Self { lines, kept }
    }

    fn pairs<'a>(&'a self, made: &'a mut Vec<ffi::nghttp2_nv>) -> &'a [ffi::nghttp2_nv] {
        self.kept.as_ref().unwrap_or_else(|| {
            made.clear();
            made.extend(self.lines.iter().map(|line| pair(line, ffi::NGHTTP2_NV_FLAG_NONE as u8)));
            made
        })
    }
}

fn pair((name, value): &Line, flags: u8) -> ffi::nghttp2_nv {
    ffi::nghttp2_nv {
        name: name.as_ptr().cast_mut(),
        value: value.as_ptr().cast_mut(),
        namelen: name.len(),
        valuelen: value.len(),
        flags,
    }
}

impl Side {
    /// A server, if it has a response.
    fn new(response: Option<Section>) -> Self {
        let new = if response.is_some() {
            ffi::nghttp2_session_server_new
        } else {
            ffi::nghttp2_session_client_new
        };
        let peer = Box::into_raw(Box::new(Peer { heard: Heard::default(), response, made: Vec::new() }));
        let settings = [ffi::nghttp2_settings_entry {
            settings_id: ffi::NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS as i32,
            value: STREAMS as u32,
        }];
        let (mut callbacks, mut session) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the callbacks have the types that are asked for and are copied into the session, which only `drop` frees,
        // before the peer; the settings are copied too.
        unsafe {
            assert_eq!(ffi::nghttp2_session_callbacks_new(&mut callbacks), 0);
            ffi::nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, Some(on_begin_headers));
            ffi::nghttp2_session_callbacks_set_on_header_callback(callbacks, Some(on_header));
            ffi::nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Some(on_data_chunk));
            ffi::nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, Some(on_frame));
            assert_eq!(new(&mut session, callbacks, peer.cast()), 0);
            ffi::nghttp2_session_callbacks_del(callbacks);
            let flags = ffi::NGHTTP2_FLAG_NONE as u8;
            assert_eq!(ffi::nghttp2_submit_settings(session, flags, settings.as_ptr(), settings.len()), 0);
        }
        Self { session, peer }
    }

    fn ask(&self, request: &Section) {
        // SAFETY: session and peer live, no callback runs; the pairs outlive the call, and what they point to the session.
        let stream = unsafe {
            let pairs = request.pairs(&mut (*self.peer).made);
            let (len, pairs) = (pairs.len(), pairs.as_ptr());
            ffi::nghttp2_submit_request2(self.session, ptr::null(), pairs, len, ptr::null(), ptr::null_mut())
        };
        assert!(stream > 0, "nghttp2 says {stream}");
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        // SAFETY: made by `new`, freed here only; the session first, which knows the peer.
        unsafe {
            ffi::nghttp2_session_del(self.session);
            drop(Box::from_raw(self.peer));
        }
    }
}

/// Hands all octets of one side to the other.
fn carry(from: &Side, to: &Side) -> usize {
    let mut octets = 0;
    loop {
        let mut data = ptr::null();
        // SAFETY: the session lives; it lends what it sends until it is asked again.
        let n = unsafe { ffi::nghttp2_session_mem_send2(from.session, &mut data) };
        let Ok(len @ 1..) = usize::try_from(n) else {
            assert_eq!(n, 0, "nghttp2 does not send");
            return octets;
        };
        // SAFETY: another session, which lives too, and whose callbacks touch none but their own.
        let taken = unsafe { ffi::nghttp2_session_mem_recv2(to.session, data, len) };
        assert_eq!(taken, n, "nghttp2 does not understand itself");
        octets += len;
    }
}

unsafe extern "C" fn on_begin_headers(
    _: *mut ffi::nghttp2_session,
    _: *const ffi::nghttp2_frame,
    peer: *mut c_void,
) -> c_int {
    // SAFETY: what `Side::new` gave, which lives; callbacks do not interrupt each other.
    unsafe { (*peer.cast::<Peer>()).heard.heads += 1 };
    0
}

unsafe extern "C" fn on_header(
    _: *mut ffi::nghttp2_session,
    _: *const ffi::nghttp2_frame,
    _: *const u8,
    name_len: usize,
    _: *const u8,
    value_len: usize,
    _: u8,
    peer: *mut c_void,
) -> c_int {
    // SAFETY: as in `on_begin_headers`.
    let heard = unsafe { &mut (*peer.cast::<Peer>()).heard };
    heard.fields += 1;
    heard.octets += name_len + value_len;
    0
}

unsafe extern "C" fn on_data_chunk(
    _: *mut ffi::nghttp2_session,
    _: u8,
    _: i32,
    _: *const u8,
    len: usize,
    peer: *mut c_void,
) -> c_int {
    // SAFETY: as in `on_begin_headers`.
    unsafe { (*peer.cast::<Peer>()).heard.content += len };
    0
}

/// At its end, a request is answered.
unsafe extern "C" fn on_frame(
    session: *mut ffi::nghttp2_session,
    frame: *const ffi::nghttp2_frame,
    peer: *mut c_void,
) -> c_int {
    // SAFETY: all frames begin with their head; otherwise as in `on_begin_headers`.
    let (head, peer) = unsafe { ((*frame).hd, &mut *peer.cast::<Peer>()) };
    let is_message = [ffi::NGHTTP2_HEADERS, ffi::NGHTTP2_DATA].contains(&u32::from(head.type_));
    if !is_message || u32::from(head.flags) & ffi::NGHTTP2_FLAG_END_STREAM == 0 {
        return 0;
    }
    peer.heard.ended += 1;
    let Some(response) = &peer.response else { return 0 };
    let pairs = response.pairs(&mut peer.made);
    let content = ffi::nghttp2_data_provider2 {
        source: ffi::nghttp2_data_source { ptr: ptr::null_mut() },
        read_callback: Some(read_content),
    };
    // SAFETY: a session may be told to answer while it receives; the pairs and `content` outlive the call, what the
    // pairs point to outlives the session.
    unsafe { ffi::nghttp2_submit_response2(session, head.stream_id, pairs.as_ptr(), pairs.len(), &content) }
}

unsafe extern "C" fn read_content(
    _: *mut ffi::nghttp2_session,
    _: i32,
    out: *mut u8,
    room: usize,
    flags: *mut u32,
    _: *mut ffi::nghttp2_data_source,
    _: *mut c_void,
) -> ffi::nghttp2_ssize {
    assert!(room >= CONTENT.len(), "no window is so small here");
    // SAFETY: there is that much room, and flags are there to be written.
    unsafe {
        ptr::copy_nonoverlapping(CONTENT.as_ptr(), out, CONTENT.len());
        *flags |= ffi::NGHTTP2_DATA_FLAG_EOF;
    }
    CONTENT.len() as ffi::nghttp2_ssize
}
