//! What is counted: `benches/callgrind` collects inside of these functions only. None calls another.

use shuntyard_core::fields::FieldSection;
use shuntyard_core::gateway::{Action, ConnId, Gateway, RecvBuf};
use shuntyard_core::hpack::{Decoded, Decoder, Encoder, SectionLimits};
use shuntyard_core::time::Instant;

use crate::codec::Pair;

/// The warm-up is over: counts start from zero when this is entered.
#[inline(never)]
pub(crate) fn from_here() {
    std::hint::black_box(());
}

#[inline(never)]
pub(crate) fn lend(gateway: &mut Gateway, conn: ConnId) -> RecvBuf<'_> {
    gateway.recv_buf(conn)
}

#[inline(never)]
pub(crate) fn recv(gateway: &mut Gateway, conn: ConnId, octets: usize, now: Instant) {
    gateway.handle_recv(conn, octets, now);
}

#[inline(never)]
pub(crate) fn timeout(gateway: &mut Gateway, now: Instant) {
    if gateway.poll_timeout().is_some_and(|at| at <= now) {
        gateway.handle_timeout(now);
    }
}

#[inline(never)]
pub(crate) fn act(gateway: &mut Gateway) -> Option<Action> {
    gateway.poll_action()
}

#[inline(never)]
pub(crate) fn transmit(gateway: &mut Gateway, conn: ConnId, now: Instant) -> Option<&[u8]> {
    gateway.poll_transmit(conn, now)
}

#[inline(never)]
pub(crate) fn sent(gateway: &mut Gateway, conn: ConnId, octets: usize, now: Instant) {
    gateway.handle_sent(conn, octets, now);
}

#[inline(never)]
pub(crate) fn encode(encoder: &mut Encoder, fields: &FieldSection, block: &mut Vec<u8>) {
    encoder.encode(fields, block);
}

#[inline(never)]
pub(crate) fn decode(decoder: &mut Decoder, block: &[u8], fields: &mut FieldSection) -> bool {
    let limits = SectionLimits { size: 65_536, fields: 128 };
    decoder.decode(block, limits, fields) == Ok(Decoded::Whole)
}

#[inline(never)]
pub(crate) fn exchange(pair: &mut Pair) -> usize {
    pair.exchange()
}
