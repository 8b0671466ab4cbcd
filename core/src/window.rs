//! Flow-control windows and the credit that refills them (RFC 9113 sections 5.2, 6.9).

use core::marker::PhantomData;

use crate::config::MAX_WINDOW;
use crate::parcel::{Packer, Unpacker};

/// A window would exceed 2^31-1 octets (RFC 9113 section 6.9.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overflow;

/// How much we may send. Negative after the peer lowered SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113 section 6.9.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SendWindow(i32);

impl SendWindow {
    /// A window of this size; sizes above 2^31-1 are cut to it.
    pub(crate) const fn new(size: u32) -> Self {
        Self(if size > MAX_WINDOW { MAX_WINDOW as i32 } else { size as i32 })
    }

    /// Octets that may be sent now.
    pub(crate) const fn available(self) -> usize {
        if self.0 > 0 { self.0 as usize } else { 0 } // 9113-6.9.2-02
    }

    /// The window itself, which may be negative.
    pub(crate) const fn get(self) -> i32 {
        self.0
    }

    pub(crate) fn pack(self, parcel: &mut Packer) {
        parcel.number(self.0.cast_unsigned());
    }

    pub(crate) fn unpack(parcel: &mut Unpacker<'_>) -> Self {
        Self(parcel.small().cast_signed())
    }

    /// Takes octets that are cut into a frame. The caller asked [`available`](Self::available) first.
    pub(crate) fn take(&mut self, octets: usize) {
        debug_assert!(octets <= self.available());
        self.0 -= octets.min(self.available()) as i32;
    }

    /// The peer's WINDOW_UPDATE, or its change of SETTINGS_INITIAL_WINDOW_SIZE. Nothing changes on overflow.
    ///
    /// # Errors
    ///
    /// The window would exceed 2^31-1.
    pub(crate) fn widen(&mut self, by: i64) -> Result<(), Overflow> {
        let sum = i64::from(self.0) + by;
        self.0 = i32::try_from(sum).map_err(|_| Overflow)?; // 9113-6.9.1-03
        Ok(())
    }
}

/// How much the peer may send, and what we owe it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecvWindow {
    /// What the peer may still send as far as it knows. Negative after a lowered initial size was acknowledged.
    available: i32,
    /// Octets released and not yet announced by WINDOW_UPDATE.
    pending: u32,
    /// What the window is restored to.
    size: u32,
}

/// The peer sent more than its window (RFC 9113 section 6.9.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exceeded;

impl RecvWindow {
    /// A window of this size; sizes above 2^31-1 are cut to it.
    pub(crate) const fn new(size: u32) -> Self {
        let size = if size > MAX_WINDOW { MAX_WINDOW } else { size };
        Self { available: size as i32, pending: 0, size }
    }

    /// What the peer may still send.
    pub(crate) const fn available(self) -> i32 {
        self.available
    }

    /// What the window is restored to.
    pub(crate) const fn size(self) -> u32 {
        self.size
    }

    /// Octets that arrived and were not released: with whoever holds their credit.
    pub(crate) const fn unreleased(self) -> u64 {
        let missing = self.size as i64 - self.available as i64 - self.pending as i64;
        if missing > 0 { missing as u64 } else { 0 }
    }

    pub(crate) fn pack(self, parcel: &mut Packer) {
        let Self { available, pending, size } = self;
        parcel.number(available.cast_unsigned());
        parcel.number(pending);
        parcel.number(size);
    }

    pub(crate) fn unpack(parcel: &mut Unpacker<'_>) -> Self {
        Self { available: parcel.small().cast_signed(), pending: parcel.small(), size: parcel.small() }
    }

    /// Octets of a frame arrived. None need no window, even of a negative one.
    ///
    /// # Errors
    ///
    /// They are more than the window has: nothing is taken from it.
    pub(crate) fn receive(&mut self, octets: u32) -> Result<(), Exceeded> {
        if octets > 0 && i64::from(octets) > i64::from(self.available) {
            return Err(Exceeded);
        }
        self.available -= octets as i32;
        Ok(())
    }

    /// Octets left our buffers. Returns the increment to announce once half the window is owed: a function of octet
    /// counts alone, so that it does not matter how the input was cut.
    pub(crate) fn release(&mut self, octets: u32) -> Option<u32> {
        self.pending = self.pending.saturating_add(octets);
        // The peer's window never exceeds 2^31-1: pending octets were taken from it before.
        if self.pending == 0 || self.pending < self.size.div_ceil(2) {
            return None;
        }
        let increment = core::mem::take(&mut self.pending);
        self.available = self.available.saturating_add_unsigned(increment);
        Some(increment)
    }

    /// The size changes: an acknowledged SETTINGS_INITIAL_WINDOW_SIZE moves the window by the difference (6.9.2).
    pub(crate) fn resize(&mut self, delta: i64) {
        let clamp = |value: i64, min: i64| value.clamp(min, i64::from(MAX_WINDOW));
        self.available = clamp(i64::from(self.available) + delta, i64::from(i32::MIN)) as i32;
        self.size = clamp(i64::from(self.size) + delta, 0) as u32;
    }

    /// The size becomes `size`; returns the increment to announce where it grew.
    pub(crate) fn grow(&mut self, size: u32) -> Option<u32> {
        let increment = size.min(MAX_WINDOW).checked_sub(self.size).filter(|&increment| increment > 0)?;
        self.resize(increment.into());
        Some(increment)
    }
}

/// Marks credit that is owed on the stream and on the connection.
#[derive(Clone, Debug)]
pub enum Both {}
/// Marks credit that is owed on the stream only.
#[derive(Clone, Debug)]
pub enum StreamLevel {}
/// Marks credit that is owed on the connection only.
#[derive(Clone, Debug)]
pub enum ConnectionLevel {}

/// Received octets whose window was not given back yet. A value: it can be divided and joined, but neither copied nor
/// made outside the connection that received the octets, so no octet is credited twice. One that is dropped, be it with the event that brought it,
/// is lost: so much less the peer may send on that connection, for good.
///
/// ```compile_fail
/// fn twice(connection: &mut shuntyard_core::h2::Connection, stream: shuntyard_core::h2::StreamKey,
///          credit: shuntyard_core::window::Credit<shuntyard_core::window::Both>) {
///     connection.release(stream, credit);
///     connection.release(stream, credit);
/// }
/// ```
/// Once is right:
/// ```
/// fn once(connection: &mut shuntyard_core::h2::Connection, stream: shuntyard_core::h2::StreamKey,
///         credit: shuntyard_core::window::Credit<shuntyard_core::window::Both>) {
///     connection.release(stream, credit);
/// }
/// ```
#[must_use = "credit that is not given back stalls its sender"]
#[cfg_attr(feature = "fork", derive(Clone))]
#[derive(Debug, PartialEq, Eq)]
pub struct Credit<L> {
    octets: u32,
    level: PhantomData<fn() -> L>,
}

impl<L> Credit<L> {
    pub(crate) const fn new(octets: u32) -> Self {
        Self { octets, level: PhantomData }
    }

    /// No octets: what a fresh account starts with.
    pub const fn none() -> Self {
        Self::new(0)
    }

    /// How many octets.
    pub const fn octets(&self) -> u32 {
        self.octets
    }

    /// Divides `octets` off, or all where there are fewer.
    pub fn take(&mut self, octets: u32) -> Self {
        let octets = octets.min(self.octets);
        self.octets -= octets;
        Self::new(octets)
    }

    /// Joins two credits of the same stream.
    pub fn merge(&mut self, other: Self) {
        // No overflow: both parts were taken from one window of at most 2^31-1 octets.
        self.octets = self.octets.saturating_add(other.octets);
    }
}

impl Credit<Both> {
    /// Divides the levels, to give one back before the other.
    pub fn split(self) -> (Credit<StreamLevel>, Credit<ConnectionLevel>) {
        (Credit::new(self.octets), Credit::new(self.octets))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rfc9113_6_9_1_windows_do_not_overflow() {
        let mut window = SendWindow::new(1);
        assert_eq!(window.widen(i64::from(MAX_WINDOW)), Err(Overflow));
        assert_eq!(window.get(), 1);
        assert_eq!(window.widen(i64::from(MAX_WINDOW) - 1), Ok(()));
        assert_eq!(window.available(), MAX_WINDOW as usize);
    }

    #[test]
    fn rfc9113_6_9_2_windows_may_be_negative() {
        let mut window = SendWindow::new(65_535);
        window.take(60_000);
        assert_eq!(window.widen(16_384 - 65_535), Ok(()));
        assert_eq!((window.get(), window.available()), (-43_616, 0));
    }

    #[test]
    fn release_is_announced_at_half_the_window() {
        let mut window = RecvWindow::new(100);
        assert_eq!(window.receive(100), Ok(()));
        assert_eq!(window.receive(1), Err(Exceeded));
        assert_eq!(window.release(49), None);
        assert_eq!(window.release(1), Some(50));
        assert_eq!((window.available(), window.pending), (50, 0));
    }

    #[test]
    fn the_smallest_windows_still_get_their_credit_back() {
        let mut window = RecvWindow::new(1);
        assert_eq!(window.receive(1), Ok(()));
        assert_eq!(window.release(1), Some(1));
        let mut window = RecvWindow::new(0);
        assert_eq!(window.release(0), None);
    }

    /// Around every edge of the range, exactly what arithmetic without limits says.
    #[test]
    fn rfc9113_6_9_1_windows_at_the_edges_of_their_range() {
        let max = i64::from(MAX_WINDOW);
        let sizes = [0, 1, 2, 65_535, max - 1, max];
        let changes = (-2..=2).flat_map(|d| [d, d + max, d - max, d + 65_535, d - 65_535]);
        for (size, first) in
            sizes.into_iter().flat_map(|size| changes.clone().map(move |first| (size, first)))
        {
            for second in changes.clone() {
                let mut window = SendWindow::new(size as u32);
                let mut model = size;
                for change in [first, second] {
                    let fits = (-max - 1..=max).contains(&(model + change));
                    assert_eq!(window.widen(change).is_ok(), fits, "{size} {first} {second}");
                    model += if fits { change } else { 0 };
                    assert_eq!(i64::from(window.get()), model);
                    assert_eq!(window.available() as i64, model.max(0));
                }
            }
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Receive(u32),
        Release(u32),
        Resize(i32),
        Grow(u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        let octets = || prop_oneof![0..4_u32, 0..20_000_u32, 0..=MAX_WINDOW];
        prop_oneof![
            4 => octets().prop_map(Step::Receive),
            4 => octets().prop_map(Step::Release),
            1 => (-70_000..70_000_i32).prop_map(Step::Resize),
            1 => octets().prop_map(Step::Grow),
        ]
    }

    proptest! {
        /// W3: what was received is announced, owed, or still held; the peer counts what we count.
        #[test]
        fn no_octet_is_credited_twice_or_lost(size in 0..=MAX_WINDOW, steps in proptest::collection::vec(step(), 0..200)) {
            let mut window = RecvWindow::new(size);
            let (mut peer, mut target, mut held, mut owed) = (i64::from(size), i64::from(size), 0_i64, 0_i64);
            for step in steps {
                match step {
                    Step::Receive(octets) => {
                        let fits = octets == 0 || i64::from(octets) <= peer;
                        prop_assert_eq!(window.receive(octets).is_ok(), fits);
                        if fits {
                            peer -= i64::from(octets);
                            held += i64::from(octets);
                        }
                    }
                    Step::Release(octets) => {
                        let octets = i64::from(octets).min(held);
                        held -= octets;
                        owed += octets;
                        match window.release(octets as u32) {
                            Some(increment) => {
                                prop_assert!(increment > 0 && i64::from(increment) == owed, "all that is owed");
                                peer += owed;
                                owed = 0;
                            }
                            None => prop_assert!(owed == 0 || owed * 2 < target, "{owed} of {target} are owed"),
                        }
                    }
                    Step::Resize(delta) => {
                        // SETTINGS_INITIAL_WINDOW_SIZE stays within its range, and so must the window.
                        let delta = i64::from(delta).clamp(-target, i64::from(MAX_WINDOW) - target);
                        window.resize(delta);
                        target += delta;
                        peer += delta;
                    }
                    Step::Grow(octets) => {
                        let more = i64::from(octets) - target;
                        let increment = window.grow(octets);
                        prop_assert_eq!(increment.map(i64::from), Some(more).filter(|&more| more > 0));
                        target += more.max(0);
                        peer += more.max(0);
                    }
                }
                prop_assert_eq!((i64::from(window.available()), i64::from(window.pending)), (peer, owed));
                prop_assert_eq!(peer + held + owed, target);
            }
        }

        #[test]
        fn sending_takes_what_is_there_and_no_more(size: u32, steps in proptest::collection::vec((any::<bool>(), -200_000..=i64::from(u32::MAX)), 0..100)) {
            let mut window = SendWindow::new(size);
            let mut model = i64::from(size.min(MAX_WINDOW));
            for (take, octets) in steps {
                if take {
                    let octets = octets.unsigned_abs().min(window.available() as u64);
                    window.take(octets as usize);
                    model -= octets as i64;
                } else if window.widen(octets).is_ok() {
                    model += octets;
                }
                prop_assert_eq!(i64::from(window.get()), model);
                prop_assert!(model <= i64::from(MAX_WINDOW));
            }
        }

        #[test]
        fn credit_is_divided_and_joined_without_loss(octets in 0..=MAX_WINDOW, parts in proptest::collection::vec(any::<u32>(), 0..20)) {
            let mut rest = Credit::<Both>::new(octets);
            let mut joined = Credit::none();
            for part in parts {
                let before = rest.octets();
                let taken = rest.take(part);
                prop_assert_eq!(taken.octets(), part.min(before));
                joined.merge(taken);
                prop_assert_eq!(rest.octets() + joined.octets(), octets);
            }
            joined.merge(rest);
            let (stream, connection) = joined.split();
            prop_assert_eq!((stream.octets(), connection.octets()), (octets, octets));
        }
    }
}
