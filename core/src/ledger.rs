//! Memory promised to backends: the ledger that accounts for it, and the permits it gives out.

/// The right to open one backend stream, with the memory reserved that its window promises. It goes back to the
/// [`Ledger`]; it can be neither copied nor made.
///
/// ```compile_fail
/// let permit = shuntyard_core::ledger::Permit { octets: 0 };
/// ```
#[must_use = "a permit that is not given back is memory lost"]
#[derive(Debug)]
pub struct Permit {
    octets: u32,
}

/// The worker's account of memory that windows have promised: the memory is there before the window is.
#[derive(Clone, Debug)]
pub struct Ledger {
    limit: u64,
    reserved: u64,
}

impl Ledger {
    /// An account of `limit` octets.
    pub const fn new(limit: u64) -> Self {
        Self { limit, reserved: 0 }
    }

    /// Octets reserved.
    pub const fn reserved(&self) -> u64 {
        self.reserved
    }

    /// The memory for one stream's window, unless the account has not so much left.
    pub(crate) fn reserve(&mut self, octets: u32) -> Option<Permit> {
        let reserved = self.reserved.checked_add(octets.into()).filter(|&reserved| reserved <= self.limit)?;
        self.reserved = reserved;
        Some(Permit { octets })
    }

    /// The stream is over and nothing of it is buffered any more.
    pub const fn give_back(&mut self, permit: Permit) {
        let Permit { octets } = permit;
        self.reserved = self.reserved.saturating_sub(octets as u64);
    }
}

#[cfg(test)]
mod tests {
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
}
