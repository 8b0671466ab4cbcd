//! What a request needs of the backend that serves it, and values that there are one each of these needs.

use core::ops::{Index, IndexMut};

/// What a request needs of the backend that serves it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Whatever the configuration names.
    #[default]
    Anything,
    /// A tunnel that begins with an extended CONNECT: HTTP/2 with SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441 section 3), or
    /// an upgrade over HTTP/1.1.
    Tunnel,
    /// HTTP/1.1: a backend has asked for it (HTTP_1_1_REQUIRED, RFC 9113 section 7).
    Http1,
    /// A backend that takes its head: one did not (SETTINGS_MAX_HEADER_LIST_SIZE, RFC 9113 section 6.5.2).
    LargeHead,
}

impl Needs {
    /// All there are.
    pub(crate) const ALL: [Self; 4] = [Self::Anything, Self::Tunnel, Self::Http1, Self::LargeHead];
}

/// A value for each of the needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ByNeeds<T> {
    anything: T,
    tunnel: T,
    http1: T,
    large_head: T,
}

impl<T> Index<Needs> for ByNeeds<T> {
    type Output = T;

    fn index(&self, needs: Needs) -> &T {
        match needs {
            Needs::Anything => &self.anything,
            Needs::Tunnel => &self.tunnel,
            Needs::Http1 => &self.http1,
            Needs::LargeHead => &self.large_head,
        }
    }
}

impl<T> IndexMut<Needs> for ByNeeds<T> {
    fn index_mut(&mut self, needs: Needs) -> &mut T {
        match needs {
            Needs::Anything => &mut self.anything,
            Needs::Tunnel => &mut self.tunnel,
            Needs::Http1 => &mut self.http1,
            Needs::LargeHead => &mut self.large_head,
        }
    }
}

/// The needs that nobody can serve for now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unserved(ByNeeds<bool>);

impl Unserved {
    /// A request with these needs waits in vain. Where nobody serves one that can do with any, nobody serves the others.
    pub(crate) fn add(&mut self, needs: Needs) {
        for other in Needs::ALL {
            self.0[other] |= needs == Needs::Anything || other == needs;
        }
    }

    /// Whether such a request would wait in vain.
    pub(crate) fn has(&self, needs: Needs) -> bool {
        self.0[needs]
    }

    /// Whether there is somebody for each.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
