//! What a peer may make us queue (RFC 9113 section 10.5).

use std::collections::VecDeque;

/// The answers to control frames (acknowledgements, resets) that wait in the outbox, by the place of their last octet.
///
/// A peer that asks and never reads would make them pile up without limit (CVE-2019-9512, -9514, -9515).
#[derive(Clone, Debug, Default)]
pub(crate) struct QueuedAnswers {
    ends: VecDeque<u64>,
}

impl QueuedAnswers {
    /// An answer was queued; its last octet is the `end`-th that this connection ever queued.
    pub(crate) fn push(&mut self, end: u64) {
        self.ends.push_back(end);
    }

    /// Everything up to the `sent`-th octet left. Memory goes with the last answer: idle connections hold none.
    pub(crate) fn advance(&mut self, sent: u64) {
        while self.ends.front().is_some_and(|&end| end <= sent) {
            self.ends.pop_front();
        }
        if self.ends.is_empty() && self.ends.capacity() > 0 {
            self.ends = VecDeque::new();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_leave_with_their_last_octet() {
        let mut answers = QueuedAnswers::default();
        answers.push(17);
        answers.push(34);
        answers.advance(16);
        assert_eq!(answers.len(), 2);
        answers.advance(17);
        assert_eq!(answers.len(), 1);
        answers.advance(100);
        assert_eq!((answers.len(), answers.ends.capacity()), (0, 0));
    }
}
