//! nghttp2's deflater and inflater.
#![expect(unsafe_code, reason = "nghttp2 is C")]

use std::ptr;

use libnghttp2_sys as ffi;

use crate::{Line, Voice};

/// nghttp2's encoder.
pub struct Deflater(*mut ffi::nghttp2_hd_deflater);

impl Deflater {
    /// One whose table takes at most `max_table_size` octets.
    pub fn new(max_table_size: usize) -> Self {
        let mut deflater = ptr::null_mut();
        // SAFETY: writes a pointer to a new deflater, which only `drop` frees.
        let result = unsafe { ffi::nghttp2_hd_deflate_new(&mut deflater, max_table_size) };
        assert!(result == 0 && !deflater.is_null());
        Self(deflater)
    }

    /// The peer's SETTINGS_HEADER_TABLE_SIZE.
    pub fn set_peer_max_table_size(&mut self, octets: u32) {
        // SAFETY: the deflater lives.
        assert_eq!(unsafe { ffi::nghttp2_hd_deflate_change_table_size(self.0, octets as usize) }, 0);
    }

    /// The block of a section.
    pub fn encode(&mut self, lines: &[Line]) -> Vec<u8> {
        let pairs: Vec<_> = lines
            .iter()
            .map(|(name, value)| ffi::nghttp2_nv {
                name: name.as_ptr().cast_mut(),
                value: value.as_ptr().cast_mut(),
                namelen: name.len(),
                valuelen: value.len(),
                flags: ffi::NGHTTP2_NV_FLAG_NONE as u8,
            })
            .collect();
        // SAFETY: the deflater lives; `pairs` point to octets that outlive both calls and are only read.
        let bound = unsafe { ffi::nghttp2_hd_deflate_bound(self.0, pairs.as_ptr(), pairs.len()) };
        let mut block = vec![0; bound];
        // SAFETY: as above; at most `block.len()` octets are written.
        let written = unsafe {
            ffi::nghttp2_hd_deflate_hd2(self.0, block.as_mut_ptr(), block.len(), pairs.as_ptr(), pairs.len())
        };
        block.truncate(usize::try_from(written).expect("the buffer is as large as nghttp2 asked for"));
        block
    }
}

impl Drop for Deflater {
    fn drop(&mut self) {
        // SAFETY: made by `new`, freed here only.
        unsafe { ffi::nghttp2_hd_deflate_del(self.0) }
    }
}

/// nghttp2's decoder.
pub struct Inflater(*mut ffi::nghttp2_hd_inflater, Limits);

/// What the peer may make of the table since the last block.
struct Limits {
    lowest: u32,
    last: u32,
}

impl Inflater {
    /// One with the default table.
    #[expect(clippy::new_without_default, reason = "it is made of C")]
    pub fn new() -> Self {
        let mut inflater = ptr::null_mut();
        // SAFETY: writes a pointer to a new inflater, which only `drop` frees.
        let result = unsafe { ffi::nghttp2_hd_inflate_new(&mut inflater) };
        assert!(result == 0 && !inflater.is_null());
        Self(inflater, Limits { lowest: 4096, last: 4096 })
    }

    /// The entries of the dynamic table, newest first.
    pub fn entries(&self) -> Vec<Line> {
        // SAFETY: the inflater lives; entries 62 to the number of all entries exist and are copied at once.
        unsafe {
            (62..=ffi::nghttp2_hd_inflate_get_num_table_entries(self.0))
                .map(|index| copied(&*ffi::nghttp2_hd_inflate_get_table_entry(self.0, index)))
                .collect()
        }
    }

    /// The lines of a block, each with whether it was never indexed, or nghttp2's error.
    pub fn decode_marked(&mut self, block: &[u8]) -> Result<Vec<(Line, bool)>, i64> {
        let mut lines = Vec::new();
        let mut rest = block;
        loop {
            // SAFETY: a struct of pointers and integers, for which zero is valid.
            let mut pair: ffi::nghttp2_nv = unsafe { std::mem::zeroed() };
            let mut flags = 0;
            // SAFETY: the inflater lives; `rest` is readable for its length.
            let read = unsafe {
                ffi::nghttp2_hd_inflate_hd3(self.0, &mut pair, &mut flags, rest.as_ptr(), rest.len(), 1)
            };
            rest = &rest[usize::try_from(read).map_err(|_| read as i64)?..];
            if flags as u32 & ffi::NGHTTP2_HD_INFLATE_EMIT != 0 {
                let never_indexed = pair.flags & ffi::NGHTTP2_NV_FLAG_NO_INDEX as u8 != 0;
                // SAFETY: what is emitted stays valid until the next call.
                lines.push((unsafe { copied(&pair) }, never_indexed));
            }
            if flags as u32 & ffi::NGHTTP2_HD_INFLATE_FINAL != 0 {
                // SAFETY: the inflater lives.
                unsafe { ffi::nghttp2_hd_inflate_end_headers(self.0) };
                return Ok(lines);
            }
            assert!(read > 0 || flags != 0, "nghttp2 stands still");
        }
    }
}

impl Voice for Inflater {
    fn name(&self) -> &'static str {
        "nghttp2"
    }

    fn decode(&mut self, block: &[u8]) -> Result<Vec<Line>, String> {
        match self.decode_marked(block) {
            Ok(lines) => {
                self.1.lowest = self.1.last;
                Ok(lines.into_iter().map(|(line, _)| line).collect())
            }
            // It has one number for everything that is wrong with a block.
            Err(error) if first_update(block).is_some_and(|size| size > self.1.lowest) => {
                Err(format!("{error}: the first update is above the lowest limit"))
            }
            Err(error) => Err(error.to_string()),
        }
    }

    fn set_max_table_size(&mut self, octets: u32) {
        self.1 = Limits { lowest: self.1.lowest.min(octets), last: octets };
        // SAFETY: the inflater lives and is between two blocks.
        assert_eq!(unsafe { ffi::nghttp2_hd_inflate_change_table_size(self.0, octets as usize) }, 0);
    }
}

impl Drop for Inflater {
    fn drop(&mut self) {
        // SAFETY: made by `new`, freed here only.
        unsafe { ffi::nghttp2_hd_inflate_del(self.0) }
    }
}

/// The size that a block begins with, if it begins with one of at most 16,414.
fn first_update(block: &[u8]) -> Option<u32> {
    match *block {
        [first @ 0x20..=0x3e, ..] => Some(u32::from(first & 0x1f)),
        [0x3f, next @ 0..=0x7f, ..] => Some(0x1f + u32::from(next)),
        [0x3f, low, high @ 0..=0x7f, ..] => Some(0x1f + u32::from(low & 0x7f) + (u32::from(high) << 7)),
        _ => None,
    }
}

/// # Safety
///
/// The pointers must be readable for their lengths, or null with length 0.
unsafe fn copied(pair: &ffi::nghttp2_nv) -> Line {
    let octets = |start: *const u8, len: usize| {
        if len == 0 {
            Vec::new()
        } else {
            // SAFETY: promised by the caller.
            unsafe { std::slice::from_raw_parts(start, len) }.to_vec()
        }
    };
    (octets(pair.name, pair.namelen), octets(pair.value, pair.valuelen))
}
