//! The section `[forwarding]`: what backends are told of clients.

use shuntyard_core::config::{Config, NotPeers, Peers};

use crate::config::code::Code;
use crate::config::kind::{Flag, List, Text, Words};
use crate::config::section::Section;

const PEERS: Text<Peers> = Text {
    what: "a block of addresses, or \"unix\"",
    code: Code::NotAddress,
    parse: |text| text.parse().map_err(|error: NotPeers| error.to_string()),
    write: Peers::to_string,
    help: "write \"10.0.0.0/8\", \"2001:db8::/32\", one address, or \"unix\" for all Unix sockets",
};

/// What messages are given on their way.
pub(super) fn section(section: &mut Section<'_, '_>, config: &mut Config) {
    section.group("forwarding", "what backends are told of clients, and clients of us", |group| {
        let fields = &mut config.forwarding;
        let words = &[
            ("x-forwarded", (true, false)),
            ("forwarded", (false, true)),
            ("both", (true, true)),
            ("off", (false, false)),
        ];
        let mut told = (fields.x_forwarded, fields.forwarded);
        let what = "client, scheme and host in x-forwarded-for, -proto, -host, or in `forwarded` (RFC 7239)";
        group.take("client", what, &Words { words, later: &[] }, &mut told);
        (fields.x_forwarded, fields.forwarded) = told;
        let what = "whether `forwarded` names a client by a word without meaning (RFC 7239 section 6.3)";
        group.take("obfuscate", what, &Flag, &mut fields.obfuscate);
        let what = "peers whose word about clients is taken; that of all others is removed";
        let peers = List { of: PEERS, min: 0, max: 1024 };
        group.take("trusted_proxies", what, &peers, &mut fields.trusted);
        let what = "whether responses get a `via` as well as requests";
        group.take("via_in_responses", what, &Flag, &mut config.via_in_responses);
    });
}
