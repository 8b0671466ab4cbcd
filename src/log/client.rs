//! Whose a request is, where proxies stand in front of the gateway.

use std::net::{IpAddr, SocketAddr};

use shuntyard_core::address::Address;
use shuntyard_core::config::ForwardingConfig;
use shuntyard_core::gateway::EndRecord;

/// Whose request it is by the word of trusted proxies: of `x-forwarded-for` the last entry that is none of theirs, for what stands before it anybody may
/// have written. `None` where the peer is the client, for all that is known.
pub(super) fn behind_proxies(end: &EndRecord, forwarding: &ForwardingConfig) -> Option<IpAddr> {
    if !forwarding.trusts(&end.client) {
        return None;
    }
    let said: Vec<&[u8]> =
        end.fields.iter().filter(|line| line.name == b"x-forwarded-for").map(|line| line.value).collect();
    let peer = match &end.client {
        Address::Inet(peer) => Some(peer.ip()),
        Address::Unix(_) => None,
    };
    let mut client = None;
    for entry in said.iter().rev().flat_map(|value| value.rsplit(|&octet| octet == b',')) {
        // Whoever is not named by an address was seen by a proxy that is.
        let Some(address) = std::str::from_utf8(entry).ok().and_then(address) else { break };
        // The gateway's own entry is the last.
        if client.is_none() && Some(address) == peer {
            continue;
        }
        client = Some(address);
        if !forwarding.trusts(&Address::Inet((address, 0).into())) {
            break;
        }
    }
    client
}

/// The address of an entry, which some write with a port, and some that of IPv4 as IPv6 maps it (RFC 4291 section 2.5.5.2): what peers have is without that.
fn address(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim_matches([' ', '\t']);
    let bare = entry.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(entry, |(host, _)| host);
    let found = bare.parse().or_else(|_| bare.parse().map(|found: SocketAddr| found.ip()));
    found.ok().map(|found| found.to_canonical())
}
