//! What may go wrong, kind by kind.

use crate::refcodec::frame;
use crate::rng::Choices;
use crate::scenario::{
    BackendFault, BackendMischief, ClientMischief, GoAwayLast, Leave, Phase, ResponseMischief,
};
use crate::world::{MILLI, Nanos, SECOND};

/// A kind of fault; each is drawn by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Refuse,
    GoAway,
    BackendLeaves,
    BackendReset,
    BackendMischief,
    Silent,
    StreamReset,
    ResponseMischief,
    Cancel,
    ClientLeaves,
    HostileClient,
    NeverGrants,
    Tight,
    Jump,
}

const KINDS: [Kind; 14] = [
    Kind::Refuse,
    Kind::GoAway,
    Kind::BackendLeaves,
    Kind::BackendReset,
    Kind::BackendMischief,
    Kind::Silent,
    Kind::StreamReset,
    Kind::ResponseMischief,
    Kind::Cancel,
    Kind::ClientLeaves,
    Kind::HostileClient,
    Kind::NeverGrants,
    Kind::Tight,
    Kind::Jump,
];

/// The kinds of one scenario.
#[derive(Clone, Debug)]
pub(super) struct Faults {
    kinds: Vec<Kind>,
}

impl Faults {
    pub(super) fn draw(seed: u64) -> Self {
        let mut choices = Choices::new(seed, "faults");
        let kinds = match choices.between(1, 100) {
            1..=30 => Vec::new(),
            31..=60 => vec![*choices.pick(&KINDS)],
            _ => {
                let share = choices.between(10, 60);
                KINDS.into_iter().filter(|_| choices.chance(share)).collect()
            }
        };
        Self { kinds }
    }

    pub(super) fn without_tight_limits(mut self) -> Self {
        self.kinds.retain(|kind| *kind != Kind::Tight);
        self
    }

    pub(super) fn has(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    pub(super) fn jumps(&self, seed: u64) -> Vec<(Nanos, Nanos)> {
        let mut choices = Choices::new(seed, "jumps");
        if !self.has(Kind::Jump) {
            return Vec::new();
        }
        let length = [MILLI, SECOND, 20 * SECOND, 3600 * SECOND];
        (0..choices.between(1, 2)).map(|_| (choices.between(0, 30 * MILLI), *choices.pick(&length))).collect()
    }

    /// What goes wrong with a backend, and on how many connections.
    pub(super) fn of_backend(&self, choices: &mut Choices) -> Option<(u32, BackendFault)> {
        let how = *choices.pick(&[Leave::Close, Leave::Reset, Leave::HalfClose]);
        let after = *choices.pick(&[0, 1, 1, 2, 3, 6]);
        let last = *choices.pick(&[
            GoAwayLast::Newest,
            GoAwayLast::Before,
            GoAwayLast::None,
            GoAwayLast::Beyond,
            GoAwayLast::TwoStep,
        ]);
        let code = *choices.pick(&[frame::NO_ERROR, frame::NO_ERROR, 2, 11]);
        let octets = choices.between(0, 3000);
        let what = *choices.pick(&BACKEND_MISCHIEF);
        let silent = *choices.pick(&[BackendFault::Silent, BackendFault::NoAnswer]);
        let candidates = [
            (Kind::Refuse, BackendFault::Refuse),
            (Kind::Silent, silent),
            (Kind::GoAway, BackendFault::GoAway { after, last, code }),
            (Kind::BackendLeaves, BackendFault::Leave { after, how }),
            (Kind::BackendReset, BackendFault::ResetAfter(octets)),
            (Kind::BackendMischief, BackendFault::Mischief { after, what }),
        ];
        let possible: Vec<_> = candidates.into_iter().filter(|(kind, _)| self.has(*kind)).collect();
        let connections = *choices.pick(&[1, 1, 2, 4, u32::MAX]);
        let there = !possible.is_empty() && choices.chance(70);
        let fault = there.then(|| (connections, choices.pick(&possible).1));
        // Drawn last, and for backends without a fault, so that all else of a seed stays as it was.
        let (octets, ends) = (choices.between(0, 3000), choices.chance(50));
        let ends = ends && (self.has(Kind::BackendLeaves) || self.has(Kind::BackendReset));
        fault.or(ends.then_some((connections, BackendFault::FinAfter(octets))))
    }

    /// After how many octets the sending direction of a client ends that does not leave otherwise, wherever in a frame that is.
    pub(super) fn fin(&self, choices: &mut Choices) -> Option<u64> {
        let octets = choices.between(0, 3000);
        (self.has(Kind::ClientLeaves) && choices.chance(30)).then_some(octets)
    }

    pub(super) fn leave(&self, choices: &mut Choices) -> Option<(Nanos, Leave)> {
        let how = *choices.pick(&[Leave::Close, Leave::Reset, Leave::HalfClose]);
        let at = super::early_moment(choices);
        (self.has(Kind::ClientLeaves) && choices.chance(40)).then_some((at, how))
    }

    pub(super) fn hostile(&self, choices: &mut Choices) -> Option<(Nanos, u32, ClientMischief)> {
        let what = *choices.pick(&CLIENT_MISCHIEF);
        let acts = *choices.pick(&[1, 2, 10, 60]);
        // Resets are what a budget bears most of.
        let acts = if what == ClientMischief::RapidReset && acts == 60 { 400 } else { acts };
        let at = super::early_moment(choices);
        (self.has(Kind::HostileClient) && choices.chance(50)).then_some((at, acts, what))
    }

    pub(super) fn stream_reset(&self, choices: &mut Choices, most: u64) -> Option<(Phase, u32)> {
        let code = *choices.pick(&[frame::REFUSED_STREAM, frame::REFUSED_STREAM, frame::CANCEL, 2, 0, 99]);
        let drawn = phase(choices, most);
        // A backend that has begun to answer cannot say that it did nothing.
        let phase = if code == frame::REFUSED_STREAM { Phase::RequestHead } else { drawn };
        (self.has(Kind::StreamReset) && choices.chance(30)).then_some((phase, code))
    }

    /// A reset that says more than that something failed, or says what is not so, in place of another one.
    pub(super) fn telling_reset(
        choices: &mut Choices,
        (phase, code): (Phase, u32),
        most: u64,
    ) -> (Phase, u32) {
        let sent = choices.between(0, most);
        let begun = *choices.pick(&[Phase::ResponseHead, Phase::Sent(0), Phase::Sent(sent)]);
        match choices.between(0, 9) {
            0 | 1 => (phase, frame::ENHANCE_YOUR_CALM),
            2 | 3 => (phase, frame::HTTP_1_1_REQUIRED),
            // It has begun to answer, and says that it did nothing.
            4 => (begun, frame::REFUSED_STREAM),
            _ => (phase, code),
        }
    }

    pub(super) fn cancel(&self, choices: &mut Choices, most: u64) -> Option<Phase> {
        let phase = phase(choices, most);
        (self.has(Kind::Cancel) && choices.chance(30)).then_some(phase)
    }

    /// Of a backend that has begun to answer, and not more.
    pub(super) fn interim_reset(&self, choices: &mut Choices) -> Option<(Phase, u32)> {
        let code = *choices.pick(&[frame::CANCEL, 2, 0, 99]);
        (self.has(Kind::StreamReset) && choices.chance(30)).then_some((Phase::Interim, code))
    }

    pub(super) fn interim_cancel(&self, choices: &mut Choices) -> Option<Phase> {
        (self.has(Kind::Cancel) && choices.chance(10)).then_some(Phase::Interim)
    }

    pub(super) fn response_mischief(&self, choices: &mut Choices) -> Option<ResponseMischief> {
        let what = *choices.pick(&RESPONSE_MISCHIEF);
        (self.has(Kind::ResponseMischief) && choices.chance(30)).then_some(what)
    }

    pub(super) fn never_grants(&self, choices: &mut Choices) -> bool {
        self.has(Kind::NeverGrants) && choices.chance(30)
    }
}

fn phase(choices: &mut Choices, most: u64) -> Phase {
    let octets = choices.between(0, most);
    *choices.pick(&[Phase::RequestHead, Phase::ResponseHead, Phase::Sent(octets), Phase::Sent(0)])
}

const CLIENT_MISCHIEF: [ClientMischief; 32] = [
    ClientMischief::RapidReset,
    ClientMischief::ProvokedResets,
    ClientMischief::Continuations,
    ClientMischief::HeaderBomb,
    ClientMischief::Crumbs,
    ClientMischief::Pings,
    ClientMischief::Settings,
    ClientMischief::EmptyData,
    ClientMischief::Priorities,
    ClientMischief::WindowOverflow,
    ClientMischief::WindowFlapping,
    ClientMischief::TableFlapping,
    ClientMischief::UnknownFrames,
    ClientMischief::IdleStream,
    ClientMischief::ClosedStream,
    ClientMischief::EvenStream,
    ClientMischief::OldStream,
    ClientMischief::PushPromise,
    ClientMischief::BadPadding,
    ClientMischief::BadPseudo,
    ClientMischief::LengthMismatch,
    ClientMischief::BadOctets,
    ClientMischief::BadHpack,
    ClientMischief::TooLargeFrame,
    ClientMischief::ZeroIncrement,
    ClientMischief::BadSettings,
    ClientMischief::UnreadAnswers,
    ClientMischief::NotHttp2,
    ClientMischief::HalfFrame,
    ClientMischief::WindowExceeded,
    ClientMischief::InterruptedBlock,
    ClientMischief::ConnectionFields,
];

const BACKEND_MISCHIEF: [BackendMischief; 12] = [
    BackendMischief::NotHttp2,
    BackendMischief::BadHpack,
    BackendMischief::PushPromise,
    BackendMischief::WrongStream,
    BackendMischief::TooLargeFrame,
    BackendMischief::WindowOverflow,
    BackendMischief::WindowExceeded,
    BackendMischief::BadSettings,
    BackendMischief::InterruptedBlock,
    BackendMischief::SettingsFlood,
    BackendMischief::PingFlood,
    BackendMischief::UnknownFrames,
];

const RESPONSE_MISCHIEF: [ResponseMischief; 13] = [
    ResponseMischief::NoStatus,
    ResponseMischief::InterimStorm,
    ResponseMischief::DataFirst,
    ResponseMischief::DataAfterEnd,
    ResponseMischief::TooShort,
    ResponseMischief::TooLong,
    ResponseMischief::TrailersWithoutEnd,
    ResponseMischief::BadField,
    ResponseMischief::TooManyFields,
    ResponseMischief::Stops,
    ResponseMischief::Uppercase,
    ResponseMischief::ConnectionField,
    ResponseMischief::InterimWithEnd,
];
