//! Content on its way through a transform, one bounded step at a time.

use core::fmt;

use crate::fields::FieldSection;
use crate::hooks::HookFailed;
use crate::outbox::OctetQueue;

/// Output that a transform is offered at a time, in octets; and so, what of its output waits at most.
pub const OUTPUT_OCTETS: usize = 16 << 10;

/// Makes content of other content: a part at a time, as much as there is room for.
///
/// ```
/// use shuntyard_core::hooks::{HookFailed, Step, Transform};
///
/// /// Says every octet twice.
/// struct Twice;
///
/// impl Transform for Twice {
///     fn transform(&mut self, input: &[u8], _end: bool, output: &mut [u8]) -> Result<Step, HookFailed> {
///         let read = input.len().min(output.len() / 2);
///         for (octet, pair) in input[..read].iter().zip(output.chunks_exact_mut(2)) {
///             pair.fill(*octet);
///         }
///         Ok(Step { read, written: 2 * read, more: false })
///     }
/// }
///
/// let mut output = [0; 5];
/// let step = Twice.transform(b"abc", true, &mut output)?;
/// assert_eq!((step.read, &output[..step.written]), (2, &b"aabb"[..]));
/// # Ok::<(), HookFailed>(())
/// ```
pub trait Transform: Send {
    /// Reads some of `input` from its front on, and writes some of `output`, which has [`OUTPUT_OCTETS`]. It is called again
    /// with the input that is left and with empty output until all input is read and it says that there is no more.
    /// `end`: nothing follows this input. Where it still has something to say then, it says it now.
    ///
    /// # Errors
    ///
    /// The message cannot be made. So it is, too, where a step moves nothing although there is input or more output.
    fn transform(&mut self, input: &[u8], end: bool, output: &mut [u8]) -> Result<Step, HookFailed>;
}

/// What one step of a [`Transform`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Octets of the input that it needs no more.
    pub read: usize,
    /// Octets of the output that it filled.
    pub written: usize,
    /// It has more output for what it has read.
    pub more: bool,
}

/// A transform at work on one message: the content that it has not read, and what is owed for that which it has.
pub struct Relay {
    transform: Box<dyn Transform>,
    /// Content that came and was not read: bounded by the sender's window.
    content: OctetQueue,
    /// No content will come.
    content_end: bool,
    /// They follow the content.
    trailers: Option<FieldSection>,
    /// There is more output for what was read.
    more: bool,
    /// Octets read, of whose output some has not left.
    owed: u32,
    /// All output was made.
    ended: bool,
}

/// What came of a step.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Made {
    /// Octets of output.
    pub(crate) octets: usize,
    /// The content ends behind them.
    pub(crate) end: bool,
}

impl Relay {
    /// A message of which nothing has come.
    pub fn new(transform: Box<dyn Transform>) -> Self {
        Self {
            transform,
            content: OctetQueue::default(),
            content_end: false,
            trailers: None,
            more: false,
            owed: 0,
            ended: false,
        }
    }

    /// Content came.
    pub(crate) fn put(&mut self, content: &[u8], end: bool) {
        self.content.extend(content);
        self.content_end |= end;
    }

    /// Trailers came; they end the content.
    pub(crate) fn put_trailers(&mut self, trailers: FieldSection) {
        self.content_end = true;
        self.trailers = Some(trailers);
    }

    /// The trailers, if they are to be sent: behind the content.
    pub(crate) fn take_trailers(&mut self) -> Option<FieldSection> {
        self.trailers.take()
    }

    /// Octets of content that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.content.len()
    }

    /// No more content comes: what waits gets memory of about its size. Says how much that is.
    pub(crate) fn fit(&mut self) -> usize {
        self.content.fit_if_roomy()
    }

    /// All output has left: so many octets of content have.
    pub(crate) fn take_owed(&mut self) -> u32 {
        core::mem::take(&mut self.owed)
    }

    /// One step; `None` where there is nothing to do until more content comes.
    pub(crate) fn step(&mut self, output: &mut [u8]) -> Result<Option<Made>, HookFailed> {
        let (input, end) = (self.content.as_slice(), self.content_end);
        if self.ended || (input.is_empty() && !end && !self.more) {
            return Ok(None);
        }
        let Step { read, written, more } = self.transform.transform(input, end, output)?;
        let left = input.len().checked_sub(read).ok_or(HookFailed::Transform)?;
        let stuck = read == 0 && written == 0 && (left > 0 || more);
        if written > output.len() || stuck {
            return Err(HookFailed::Transform);
        }
        self.more = more;
        self.ended = end && left == 0 && !more;
        self.content.consume_and_fit(read);
        self.owed = self.owed.saturating_add(read as u32);
        Ok(Some(Made { octets: written, end: self.ended }))
    }
}

/// What stands in a copy in place of the transform: code of somebody else has no copies. Nobody comes to use it, for a
/// gateway with hooks is not forked.
#[cfg(feature = "fork")]
struct Lost;

#[cfg(feature = "fork")]
impl Transform for Lost {
    fn transform(&mut self, _: &[u8], _: bool, _: &mut [u8]) -> Result<Step, HookFailed> {
        Err(HookFailed::Own("it is a copy"))
    }
}

#[cfg(feature = "fork")]
impl Clone for Relay {
    fn clone(&self) -> Self {
        Self {
            transform: Box::new(Lost),
            content: self.content.clone(),
            trailers: self.trailers.clone(),
            ..*self
        }
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("waiting", &self.content.len())
            .field("content_end", &self.content_end)
            .field("owed", &self.owed)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Says(Vec<Result<Step, HookFailed>>);

    impl Transform for Says {
        fn transform(&mut self, _: &[u8], _: bool, _: &mut [u8]) -> Result<Step, HookFailed> {
            self.0.remove(0)
        }
    }

    fn relay(steps: &[(usize, usize, bool)]) -> Relay {
        let steps = steps.iter().map(|&(read, written, more)| Ok(Step { read, written, more }));
        Relay::new(Box::new(Says(steps.collect())))
    }

    #[test]
    fn what_moves_nothing_or_too_much_has_failed() {
        for step in [(0, 0, false), (0, 0, true), (5, 0, false), (4, 9, false), (0, usize::MAX, false)] {
            let mut relay = relay(&[step]);
            relay.put(b"1234", false);
            assert_eq!(relay.step(&mut [0; 8]), Err(HookFailed::Transform), "{step:?}");
        }
        let mut failing = Relay::new(Box::new(Says(vec![Err("broken".into())])));
        failing.put(b"1", false);
        assert_eq!(failing.step(&mut [0; 8]), Err(HookFailed::Own("broken")));
    }

    #[test]
    fn it_is_called_until_nothing_is_left_to_do() {
        let mut relay = relay(&[(2, 0, false), (2, 8, true), (0, 3, false), (0, 0, false)]);
        let made = |octets, end| Ok(Some(Made { octets, end }));
        assert_eq!(relay.step(&mut [0; 8]), Ok(None), "nothing has come");
        relay.put(b"1234", false);
        assert_eq!((relay.step(&mut [0; 8]), relay.take_owed()), (made(0, false), 2));
        assert_eq!((relay.step(&mut [0; 8]), relay.waiting()), (made(8, false), 0));
        assert_eq!((relay.step(&mut [0; 8]), relay.take_owed()), (made(3, false), 2));
        assert_eq!(relay.step(&mut [0; 8]), Ok(None));
        relay.put(b"", true);
        assert_eq!(relay.step(&mut [0; 8]), made(0, true));
        assert_eq!(relay.step(&mut [0; 8]), Ok(None));
    }
}
