//! How a run of octets is cut into the pieces that are read one by one.

use crate::refcodec::frame::PREFACE;
use crate::rng::Choices;

/// How a written run of octets is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segmentation {
    /// As it was written.
    Whole,
    /// Pieces of this many octets (at least 1).
    Fixed(u32),
    /// Pieces of random length, 1 to this many octets.
    Random(u32),
    /// At each boundary of a frame, or one octet before or after it.
    FrameBoundary,
    /// Once: behind this many octets of the whole direction.
    SplitAt(u32),
}

/// Follows the frames of one direction, so that it knows their boundaries.
#[derive(Clone, Debug)]
pub struct Cutter {
    /// Octets until the next boundary, once the header of the present frame is whole.
    left: usize,
    header: Vec<u8>,
    /// Octets that came before.
    before: usize,
}

impl Cutter {
    /// For what a client sends (`preface`) or a server sends.
    pub fn new(preface: bool) -> Self {
        Self { left: if preface { PREFACE.len() } else { 0 }, header: Vec::new(), before: 0 }
    }

    /// Cuts `octets` into pieces, none of them empty.
    pub fn cut(&mut self, octets: &[u8], how: Segmentation, choices: &mut Choices) -> Vec<Vec<u8>> {
        let boundaries = self.boundaries(octets);
        let mut cuts = Vec::new();
        match how {
            Segmentation::Whole => {}
            Segmentation::Fixed(length) => cuts.extend((0..octets.len()).step_by(length.max(1) as usize)),
            Segmentation::Random(most) => {
                let mut at = 0;
                while at < octets.len() {
                    cuts.push(at);
                    at += usize::try_from(choices.between(1, most.max(1).into())).expect("fits 32 bits");
                }
            }
            Segmentation::SplitAt(at) => cuts.extend((at as usize).checked_sub(self.before)),
            Segmentation::FrameBoundary => {
                let near = |at: usize, shift: u64| {
                    (at + usize::from(shift == 2)).saturating_sub(usize::from(shift == 0))
                };
                cuts.extend(boundaries.into_iter().map(|at| near(at, choices.between(0, 2))));
            }
        }
        cuts.push(octets.len());
        self.before += octets.len();
        let mut pieces = Vec::new();
        let mut start = 0;
        for cut in cuts {
            if cut > start && cut <= octets.len() {
                pieces.push(octets[start..cut].to_vec());
                start = cut;
            }
        }
        pieces
    }

    /// The indices in `octets` at which a frame ends.
    fn boundaries(&mut self, octets: &[u8]) -> Vec<usize> {
        let mut boundaries = Vec::new();
        for (at, &octet) in octets.iter().enumerate() {
            if self.left > 0 {
                self.left -= 1;
            } else {
                self.header.push(octet);
                if self.header.len() < 9 {
                    continue;
                }
                self.left =
                    self.header[..3].iter().fold(0, |length, &octet| length << 8 | usize::from(octet));
                self.header.clear();
            }
            if self.left == 0 {
                boundaries.push(at + 1);
            }
        }
        boundaries
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refcodec::frame::Frame;

    #[test]
    fn every_way_of_cutting_keeps_the_octets() {
        let frames = [
            Frame::Settings { ack: false, settings: vec![(3, 1)] },
            Frame::Ping { ack: true, opaque: [7; 8] },
        ];
        let octets: Vec<u8> = PREFACE.iter().copied().chain(frames.iter().flat_map(Frame::encode)).collect();
        for how in [
            Segmentation::Whole,
            Segmentation::Fixed(0),
            Segmentation::Fixed(7),
            Segmentation::Random(5),
            Segmentation::FrameBoundary,
        ] {
            let pieces = Cutter::new(true).cut(&octets, how, &mut Choices::new(3, "cut"));
            assert_eq!(pieces.concat(), octets, "{how:?}");
            assert!(pieces.iter().all(|piece| !piece.is_empty()));
            assert_eq!(pieces.len() == 1, how == Segmentation::Whole, "{how:?}");
        }
    }

    #[test]
    fn boundaries_are_found_across_runs() {
        let octets = Frame::Ping { ack: false, opaque: [0; 8] }.encode();
        let mut cutter = Cutter::new(false);
        assert_eq!(cutter.boundaries(&octets[..5]), []);
        assert_eq!(cutter.boundaries(&octets[5..]), [12]);
        assert_eq!(cutter.boundaries(&Frame::Settings { ack: true, settings: vec![] }.encode()), [9]);
    }
}
