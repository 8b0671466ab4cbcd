//! Transforms of all shapes.

use shuntyard_core::hooks::{HookFailed, Step, Transform};

/// What a transform says that fails.
pub(crate) const BROKEN: HookFailed = HookFailed::Own("broken");

/// One octet of every five: of each full five the first.
#[derive(Default)]
pub(crate) struct Squeeze(usize);

impl Transform for Squeeze {
    fn transform(&mut self, input: &[u8], _: bool, output: &mut [u8]) -> Result<Step, HookFailed> {
        let (mut read, mut written) = (0, 0);
        for &octet in input {
            if self.0 == 0 && written == output.len() {
                break;
            }
            if self.0 == 0 {
                output[written] = octet;
                written += 1;
            }
            self.0 = (self.0 + 1) % 5;
            read += 1;
        }
        Ok(Step { read, written, more: false })
    }
}

pub(crate) fn squeezed(content: &[u8]) -> Vec<u8> {
    content.iter().step_by(5).copied().collect()
}

/// Five octets of every one, and a word at the end.
pub(crate) struct Stretch {
    /// Octets that it reads, but writes later.
    held: Vec<u8>,
    told_end: bool,
}

impl Stretch {
    pub(crate) fn new() -> Self {
        Self { held: Vec::new(), told_end: false }
    }
}

impl Transform for Stretch {
    /// Reads all it can get, up to 10,000 octets, so that much output waits for room.
    fn transform(&mut self, input: &[u8], end: bool, output: &mut [u8]) -> Result<Step, HookFailed> {
        let read = input.len().min(10_000 - self.held.len().min(10_000));
        self.held.extend(input[..read].iter().flat_map(|octet| [*octet; 5]));
        if end && read == input.len() && !self.told_end {
            self.held.extend(b"end");
            self.told_end = true;
        }
        let written = self.held.len().min(output.len());
        output[..written].copy_from_slice(&self.held[..written]);
        self.held.drain(..written);
        Ok(Step { read, written, more: !self.held.is_empty() })
    }
}

pub(crate) fn stretched(content: &[u8]) -> Vec<u8> {
    content.iter().flat_map(|octet| [*octet; 5]).chain(*b"end").collect()
}

/// Keeps everything until the end.
#[derive(Default)]
pub(crate) struct Hold(Vec<u8>);

impl Transform for Hold {
    fn transform(&mut self, input: &[u8], end: bool, output: &mut [u8]) -> Result<Step, HookFailed> {
        self.0.extend(input);
        let written = if end { self.0.len().min(output.len()) } else { 0 };
        output[..written].copy_from_slice(&self.0[..written]);
        self.0.drain(..written);
        Ok(Step { read: input.len(), written, more: end && !self.0.is_empty() })
    }
}

/// Writes what it reads the first time, and later says so only.
#[derive(Default)]
pub(crate) struct Lies(bool);

impl Transform for Lies {
    fn transform(&mut self, input: &[u8], _: bool, output: &mut [u8]) -> Result<Step, HookFailed> {
        let n = input.len().min(output.len());
        if !self.0 {
            output[..n].copy_from_slice(&input[..n]);
        }
        self.0 |= n > 0;
        Ok(Step { read: n, written: n, more: false })
    }
}

/// Never stops.
pub(crate) struct Endless;

impl Transform for Endless {
    fn transform(&mut self, input: &[u8], _: bool, output: &mut [u8]) -> Result<Step, HookFailed> {
        output.fill(b'x');
        Ok(Step { read: input.len(), written: output.len(), more: true })
    }
}

/// Passes so many octets on, and fails then.
pub(crate) struct Breaks(pub(crate) usize);

impl Transform for Breaks {
    fn transform(&mut self, input: &[u8], _: bool, output: &mut [u8]) -> Result<Step, HookFailed> {
        let read = input.len().min(output.len()).min(self.0);
        if read == 0 {
            return Err(BROKEN);
        }
        output[..read].copy_from_slice(&input[..read]);
        self.0 -= read;
        Ok(Step { read, written: read, more: false })
    }
}
