//! One direction of a connection.

use crate::refcodec::frame::{Frame, Reader};
use crate::refcodec::hpack::{Decoder, Line};

/// One direction: frames and field blocks.
#[derive(Clone, Debug)]
pub(super) struct Half {
    pub(super) reader: Reader,
    pub(super) decoder: Decoder,
    /// Stream, octets and END_STREAM of a field block that is not whole.
    pub(super) block: Option<(u32, Vec<u8>, bool)>,
    pub(super) frames: u64,
}

impl Half {
    /// Puts HEADERS and CONTINUATION together; the fields once the block is whole.
    pub(super) fn fields(&mut self, frame: &Frame) -> Result<Option<(u32, Vec<Line>, bool)>, String> {
        let (stream, octets, end, whole) = match (frame, self.block.take()) {
            (Frame::Headers { stream, block, end, end_headers, .. }, None) => {
                (*stream, block.clone(), *end, *end_headers)
            }
            (Frame::Continuation { stream, block, end_headers }, Some((open, mut before, end)))
                if open == *stream =>
            {
                before.extend(block);
                (open, before, end, *end_headers)
            }
            (Frame::Continuation { .. }, _) => return Err("CONTINUATION without its HEADERS".into()),
            (_, Some((open, ..))) => {
                return Err(format!("a frame interrupts the field block of stream {open}"));
            }
            (_, None) => return Ok(None),
        };
        if !whole {
            self.block = Some((stream, octets, end));
            return Ok(None);
        }
        let lines = self.decoder.decode(&octets).map_err(|error| error.to_string())?;
        Ok(Some((stream, lines, end)))
    }
}
