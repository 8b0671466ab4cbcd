//! Two connections that are joined by memory.

use shuntyard_core::h2::{Connection, Event, Input};

/// Hands the octets of one side to the other, without a copy. Frames are whole, for everything is taken at once.
pub(crate) fn carry(
    from: &mut Connection,
    to: &mut Connection,
    mut take: impl FnMut(&mut Connection, Event<'_>),
) -> usize {
    while from.cut().is_some() {}
    let mut input = Input::new(from.transmit());
    let n = input.remaining().len();
    while let Some(event) = to.poll_event(&mut input).expect("both speak HTTP/2") {
        take(to, event);
    }
    assert!(input.remaining().is_empty(), "frames are whole");
    from.sent(n);
    n
}
