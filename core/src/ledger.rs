//! Memory promised to backends: the ledger that accounts for it, and the permits it gives out.

/// The right to open one backend stream, with the memory reserved that its window promises. It goes back to the
/// `Ledger`; it can be neither copied nor made.
///
/// ```compile_fail
/// let reservation = shuntyard_core::ledger::Reservation { octets: 0 };
/// ```
#[must_use = "a permit that is not given back is memory lost"]
#[cfg_attr(feature = "fork", derive(Clone))]
#[derive(Debug)]
pub struct Permit {
    reservation: Reservation,
}

/// Memory that is kept free for what a peer may send. It goes back to the `Ledger` it came from.
#[must_use = "a reservation that is not given back is memory lost"]
#[cfg_attr(feature = "fork", derive(Clone))]
#[derive(Debug)]
pub struct Reservation {
    octets: u32,
}

impl Reservation {
    /// Divides off what exceeds `octets`.
    pub(crate) fn trim(&mut self, octets: u32) -> Self {
        let surplus = self.octets.saturating_sub(octets);
        self.octets -= surplus;
        Self { octets: surplus }
    }

    /// How much.
    pub const fn octets(&self) -> u32 {
        self.octets
    }

    /// Joins two.
    pub(crate) const fn merge(&mut self, other: Self) {
        self.octets = self.octets.saturating_add(other.octets);
    }
}

impl Permit {
    /// The right to open a stream goes with the memory for it.
    pub(crate) const fn new(reservation: Reservation) -> Self {
        Self { reservation }
    }

    /// The memory that goes with it.
    pub(crate) const fn octets(&self) -> u32 {
        self.reservation.octets
    }

    /// The stream's window grows, inside the ledger.
    pub(crate) const fn widen(&mut self, by: Reservation) {
        self.reservation.merge(by);
    }
}

impl From<Permit> for Reservation {
    fn from(permit: Permit) -> Self {
        permit.reservation
    }
}

/// The worker's account of memory that windows have promised: the memory is there before the window is.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    limit: u64,
    reserved: u64,
}

impl Ledger {
    /// An account of `limit` octets.
    pub(crate) const fn new(limit: u64) -> Self {
        Self { limit, reserved: 0 }
    }

    /// Another limit. Where more is promised already, nothing is taken back; nothing is promised until it has been given back.
    pub(crate) const fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// Octets reserved.
    pub(crate) const fn reserved(&self) -> u64 {
        self.reserved
    }

    /// The memory for one stream's window, unless the account has not so much left.
    pub(crate) fn reserve(&mut self, octets: u32) -> Option<Reservation> {
        let reserved = self.reserved.checked_add(octets.into()).filter(|&reserved| reserved <= self.limit)?;
        self.reserved = reserved;
        Some(Reservation { octets })
    }

    /// Octets that may still be reserved.
    pub(crate) const fn left(&self) -> u64 {
        self.limit.saturating_sub(self.reserved)
    }

    /// Whether more than half of the account is reserved.
    pub(crate) const fn is_half_taken(&self) -> bool {
        self.reserved > self.limit / 2
    }

    /// Memory for what is of use and not needed: out of half of the account, for the rest is for what is needed.
    pub(crate) fn reserve_of_half(&mut self, octets: u32) -> Option<Reservation> {
        let fits = self.reserved.saturating_add(octets.into()) <= self.limit / 2;
        if fits { self.reserve(octets) } else { None }
    }

    /// Raises what is held to `octets`, unless the account has not so much left.
    pub(crate) fn raise(&mut self, held: &mut Option<Reservation>, octets: u32) -> bool {
        let has = held.as_ref().map_or(0, |held| held.octets);
        let Some(more) = self.reserve(octets.saturating_sub(has)) else { return false };
        held.get_or_insert(Reservation { octets: 0 }).octets += more.octets;
        true
    }

    /// The stream is over and nothing of it is buffered any more.
    pub(crate) fn give_back(&mut self, reservation: impl Into<Reservation>) {
        let Reservation { octets } = reservation.into();
        self.reserved = self.reserved.saturating_sub(octets.into());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_ledger_is_never_overdrawn() {
        let mut ledger = Ledger::new(100);
        let first = ledger.reserve(60).expect("there is room");
        assert!(ledger.reserve(41).is_none());
        let second = ledger.reserve(40).expect("exactly enough");
        ledger.give_back(first);
        assert_eq!(ledger.reserved(), 40);
        ledger.give_back(second);
        assert_eq!(ledger.reserved(), 0);
    }

    proptest! {
        #[test]
        fn what_is_reserved_is_what_is_outstanding(
            limit in 0..5000_u64,
            steps in proptest::collection::vec((0..3_u8, any::<prop::sample::Index>(), 0..2000_u32), 0..200),
        ) {
            let mut ledger = Ledger::new(limit);
            let mut outstanding: Vec<Reservation> = Vec::new();
            for (step, at, octets) in steps {
                let reserved = ledger.reserved();
                match step {
                    0 => match ledger.reserve(octets) {
                        Some(reservation) => outstanding.push(Permit::new(reservation).into()),
                        None => prop_assert!(reserved + u64::from(octets) > limit),
                    },
                    1 if !outstanding.is_empty() => {
                        let at = at.index(outstanding.len());
                        ledger.give_back(outstanding.swap_remove(at));
                    }
                    2 if !outstanding.is_empty() => {
                        let at = at.index(outstanding.len());
                        let before = outstanding[at].octets;
                        let surplus = outstanding[at].trim(octets);
                        prop_assert_eq!(outstanding[at].octets, before.min(octets));
                        ledger.give_back(surplus);
                    }
                    _ => {}
                }
                let sum: u64 = outstanding.iter().map(|reservation| u64::from(reservation.octets)).sum();
                prop_assert_eq!(ledger.reserved(), sum);
                prop_assert!(sum <= limit);
            }
            outstanding.into_iter().for_each(|reservation| ledger.give_back(reservation));
            prop_assert_eq!(ledger.reserved(), 0);
        }
    }
}
