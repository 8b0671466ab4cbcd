//! What a backend is told of the client: `x-forwarded-for`, `-proto` and `-host`, and `forwarded` (RFC 7239).

use core::fmt::Write;

use crate::address::{Address, IpAddr};
use crate::config::ForwardingConfig;
use crate::fields::{FieldFacts, FieldLine, FieldName, FieldSection, Origin, OwnOrigins, fingerprint};
use crate::gateway::forward::line::Line;
use crate::key::ConnId;

/// Whose request it is.
#[derive(Clone, Copy, Debug)]
pub(in crate::gateway) struct Peer<'a> {
    pub(in crate::gateway) conn: ConnId,
    pub(in crate::gateway) address: &'a Address,
    /// It speaks TLS to us (RFC 9110 section 4.2.2).
    pub(in crate::gateway) secure: bool,
}

impl Peer<'_> {
    const fn scheme(self) -> &'static [u8] {
        if self.secure { b"https" } else { b"http" }
    }
}

const FOR: &[u8] = b"x-forwarded-for";
const PROTO: &[u8] = b"x-forwarded-proto";
const HOST: &[u8] = b"x-forwarded-host";
const FORWARDED: &[u8] = b"forwarded";

/// Tells backends of clients.
#[derive(Clone, Debug)]
pub(super) struct Introduction {
    config: ForwardingConfig,
    seed: u64,
    names: [FieldFacts; 4],
    /// That the client's scheme is `http`, and `https`.
    schemes: [Line; 2],
    /// Clients whose requests came last, by the place of their connections: the next are likely to be of the same.
    clients: Vec<Option<Client>>,
    /// What is known of `x-forwarded-host`, by the origin of `:authority`.
    hosts: Vec<(Origin, FieldFacts)>,
}

/// How many clients, and how many authorities, something is remembered of. Powers of two.
const REMEMBERED: usize = 64;

/// What is found out once for many requests of one client.
#[derive(Clone, Debug)]
struct Client {
    conn: ConnId,
    trusted: bool,
    /// `None` for one on a Unix socket.
    address: Option<Line>,
    /// As a parameter of `forwarded`, where that is told.
    node: Box<str>,
}

impl Introduction {
    pub(super) fn new(config: ForwardingConfig, seed: u64, origins: &mut OwnOrigins) -> Self {
        let names = [FOR, PROTO, HOST, FORWARDED].map(|name| FieldFacts::of_name(name, seed));
        let schemes =
            [&b"http"[..], b"https"].map(|scheme| Line::new((PROTO, &names[1]), scheme, seed, origins));
        Self { config, seed, names, schemes, clients: Vec::new(), hosts: Vec::new() }
    }

    /// Whether what this client says of others is believed.
    pub(super) fn trusts(&self, client: &Address) -> bool {
        self.config.trusts(client)
    }

    /// A request of this client is on its way to a backend.
    pub(super) fn introduce(&mut self, fields: &mut FieldSection, peer: &Peer<'_>, origins: &mut OwnOrigins) {
        let seed = self.seed;
        self.remember(peer, origins);
        let Some(Some(client)) = self.clients.get(place_of(peer.conn)) else { return };
        // RFC 9110 section 7.4: what came in clear is no https resource's, whoever says so. 9110-7.4-01
        let lies = |scheme: &[u8]| matches!(scheme, b"http" | b"https") && scheme != peer.scheme();
        if !client.trusted && fields.value_of(FieldName::Scheme).is_some_and(lies) {
            fields.replace_value(FieldName::Scheme, peer.scheme(), seed);
        }
        let said = fields.has(FieldName::Forwarding);
        if said && !client.trusted {
            fields.retain(|line| line.facts.name != FieldName::Forwarding);
        }
        let said = said && client.trusted;
        if self.config.forwarded {
            let scheme =
                fields.value_of(FieldName::Scheme).filter(|_| client.trusted).unwrap_or(peer.scheme());
            let element = client.element(fields.value_of(FieldName::Authority), scheme);
            // In other words it is as secret as before (RFC 7541 section 7.1.3).
            let told = |name| name == FieldName::Authority || (name == FieldName::Scheme && client.trusted);
            let secret = fields.iter().any(|line| line.never_indexed && told(line.facts.name));
            append(fields, (FORWARDED, &self.names[3]), (element.as_bytes(), secret), said, seed);
        }
        if !self.config.x_forwarded {
            return;
        }
        match &client.address {
            Some(line) if said => append(fields, (FOR, &self.names[0]), (line.value(), false), said, seed),
            Some(line) => line.push(fields),
            None => {}
        }
        // Of these the first gateway knows best.
        let [_, proto, host, _] = &self.names;
        if !client.trusted {
            self.schemes[usize::from(peer.secure)].push(fields);
        } else if !said || fields.get(PROTO).is_none() {
            let know = |line: &FieldLine<'_>| (proto.with_value(line.value, seed), Origin::NONE);
            fields.push_value_of(FieldName::Scheme, PROTO, know);
        }
        if !said || fields.get(HOST).is_none() {
            let hosts = &mut self.hosts;
            fields.push_value_of(FieldName::Authority, HOST, |line| known_host(hosts, host, line, seed));
        }
    }

    /// Sees to it that the client is known.
    fn remember(&mut self, peer: &Peer<'_>, origins: &mut OwnOrigins) {
        if self.clients.is_empty() {
            self.clients = vec![None; REMEMBERED];
        }
        let (config, name, seed) = (&self.config, &self.names[0], self.seed);
        if let Some(place) = self.clients.get_mut(place_of(peer.conn))
            && place.as_ref().is_none_or(|client| client.conn != peer.conn)
        {
            *place = Some(Client::new(config, name, peer, seed, origins));
        }
    }
}

/// Where a connection's client is remembered.
const fn place_of(conn: ConnId) -> usize {
    conn.to_bits() as usize % REMEMBERED
}

/// What is known of a line with the value of this `:authority`. Found out once for each that comes again.
fn known_host(
    hosts: &mut Vec<(Origin, FieldFacts)>,
    name: &FieldFacts,
    authority: &FieldLine<'_>,
    seed: u64,
) -> (FieldFacts, Origin) {
    let origin = authority.origin.renamed();
    if origin == Origin::NONE {
        return (name.with_value(authority.value, seed), origin);
    }
    if hosts.is_empty() {
        *hosts = vec![(Origin::NONE, *name); REMEMBERED];
    }
    // Of most clients one authority comes, the first entry or the second of their tables: what differs is the decoder.
    let known = &mut hosts[(origin.0 ^ origin.0 >> 32) as usize % REMEMBERED];
    if known.0 != origin {
        *known = (origin, name.with_value(authority.value, seed));
    }
    (known.1, origin)
}

impl Client {
    fn new(
        config: &ForwardingConfig,
        name: &FieldFacts,
        peer: &Peer<'_>,
        seed: u64,
        origins: &mut OwnOrigins,
    ) -> Self {
        let ip = match peer.address {
            Address::Inet(peer) => Some(peer.ip()),
            Address::Unix(_) => None,
        };
        let address = ip.filter(|_| config.x_forwarded).map(|ip| {
            let value = ip.to_string().into_bytes();
            Line::new((FOR, name), &value, seed, origins)
        });
        let node = match ip {
            _ if !config.forwarded => String::new(),
            // RFC 7239 section 6.3.
            _ if config.obfuscate => format!("_{:x}", pseudonym(peer.conn.to_bits(), seed)),
            // RFC 7239 section 6: an IPv6 address stands in brackets, and so in quotes.
            Some(ip @ IpAddr::V4(_)) => ip.to_string(),
            Some(ip @ IpAddr::V6(_)) => format!("\"[{ip}]\""),
            // RFC 7239 section 6.2.
            None => "unknown".to_owned(),
        };
        Self { conn: peer.conn, trusted: config.trusts(peer.address), address, node: node.into() }
    }

    /// RFC 7239 section 4.
    fn element(&self, authority: Option<&[u8]>, scheme: &[u8]) -> String {
        let mut element = format!("for={}", self.node);
        // What is no text is no authority: the rules of messages let none pass.
        if let Some(host) = authority.and_then(|authority| str::from_utf8(authority).ok()) {
            let _ = write!(element, ";host={}", Quoted(host));
        }
        if let Ok(scheme) = str::from_utf8(scheme) {
            let _ = write!(element, ";proto={}", Quoted(scheme));
        }
        element
    }
}

/// A token, or a quoted string (RFC 7239 section 4, RFC 9110 section 5.6.4).
struct Quoted<'a>(&'a str);

impl core::fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let of_token = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet);
        if !self.0.is_empty() && self.0.bytes().all(of_token) {
            return f.write_str(self.0);
        }
        f.write_char('"')?;
        for letter in self.0.chars() {
            if matches!(letter, '"' | '\\') {
                f.write_char('\\')?;
            }
            f.write_char(letter)?;
        }
        f.write_char('"')
    }
}

/// A name of a client from which nobody learns its number, or the key of all hashes.
fn pseudonym(client: u64, seed: u64) -> u64 {
    let half = |seed| u64::from(fingerprint(seed, &client.to_le_bytes()));
    half(seed) << 32 | half(!seed)
}

/// Puts a member behind those that are there, in one line: many applications look at one line only.
fn append(
    fields: &mut FieldSection,
    (name, facts): (&[u8], &FieldFacts),
    (member, secret): (&[u8], bool),
    said: bool,
    seed: u64,
) {
    let (mut value, mut never_indexed) = (Vec::new(), secret);
    if said {
        for line in fields.iter().filter(|line| line.name == name) {
            // 9110-5.6.1.1-01: no member of ours is empty.
            let blank = |octet: &u8| matches!(octet, b',' | b' ' | b'\t');
            let Some(last) = line.value.iter().rposition(|octet| !blank(octet)) else { continue };
            value.extend_from_slice(&line.value[..=last]);
            value.extend_from_slice(b", ");
            never_indexed |= line.never_indexed;
        }
        fields.remove(name, facts);
    }
    value.extend_from_slice(member);
    let (value, facts, origin) = (&value, facts.with_value(&value, seed), Origin::NONE);
    fields.push(FieldLine { name, value, facts, never_indexed, origin });
}

#[cfg(test)]
mod tests {
    use core::net::SocketAddr;

    use shuntyard_requirements::req;

    use super::*;

    const SEED: u64 = 4;

    fn config(trusted: &[&str]) -> ForwardingConfig {
        let trusted = trusted.iter().map(|peers| peers.parse().expect("peers")).collect();
        ForwardingConfig { trusted, ..ForwardingConfig::default() }
    }

    fn peer(text: &str) -> Address {
        SocketAddr::new(text.parse().expect("an address"), 50_000).into()
    }

    fn introduced(config: ForwardingConfig, peer: &Address, said: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut fields = FieldSection::new();
        let head = [(":scheme", "https"), (":authority", "a.example:81")];
        for (name, value) in head.iter().chain(said) {
            fields.push(FieldLine::new(name.as_bytes(), value.as_bytes(), SEED));
        }
        let peer = Peer { conn: ConnId::from_bits(7), address: peer, secure: false };
        let mut origins = OwnOrigins::default();
        Introduction::new(config, SEED, &mut origins).introduce(&mut fields, &peer, &mut origins);
        for line in fields.iter() {
            assert_eq!(line.facts, FieldFacts::of(line.name, line.value, SEED), "{line:?}");
        }
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let lines = fields.iter().filter(|line| !line.facts.name.is_pseudo());
        lines.map(|line| (text(line.name), text(line.value))).collect()
    }

    fn lines(lines: &[(&str, &str)]) -> Vec<(String, String)> {
        lines.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    const LIES: [(&str, &str); 5] = [
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "for=203.0.113.9"),
        ("x-forwarded-port", "1"),
        ("accept", "*/*"),
    ];

    #[test]
    fn what_a_stranger_says_is_replaced() {
        let told = introduced(config(&["10.0.0.0/8"]), &peer("192.0.2.1"), &LIES);
        let expected = [
            ("accept", "*/*"),
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "a.example:81"),
        ];
        assert_eq!(told, lines(&expected));
        let silent = ForwardingConfig { x_forwarded: false, ..config(&[]) };
        assert_eq!(introduced(silent, &peer("192.0.2.1"), &LIES), lines(&[("accept", "*/*")]));
    }

    /// RFC 9110 section 7.4, and its other half.
    #[test]
    fn rfc9110_7_4_a_stranger_in_clear_does_not_come_by_https() {
        req!("9110-7.4-01");
        for (trusted, secure, said, expected) in [
            (&[][..], false, "https", "http"),
            (&[], true, "http", "https"),
            (&[], true, "https", "https"),
            (&[], false, "coap", "coap"),
            (&["192.0.2.0/24"], false, "https", "https"),
        ] {
            let mut fields = FieldSection::new();
            fields.push(FieldLine::new(b":scheme", said.as_bytes(), SEED));
            let (mut origins, at) = (OwnOrigins::default(), peer("192.0.2.1"));
            let peer = Peer { conn: ConnId::from_bits(7), address: &at, secure };
            Introduction::new(config(trusted), SEED, &mut origins).introduce(
                &mut fields,
                &peer,
                &mut origins,
            );
            assert_eq!(fields.value_of(FieldName::Scheme), Some(expected.as_bytes()));
        }
    }

    #[test]
    fn what_a_trusted_gateway_says_stays_and_its_address_goes_behind() {
        req!("9110-5.6.1.1-01");
        let said = [
            ("x-forwarded-for", "203.0.113.9, ,"),
            ("x-forwarded-host", "first.example"),
            ("x-forwarded-for", "198.51.100.2, 198.51.100.3"),
            ("x-forwarded-port", "443"),
        ];
        let told = introduced(config(&["2001:db8::/32"]), &peer("2001:db8::1"), &said);
        let expected = [
            ("x-forwarded-host", "first.example"),
            ("x-forwarded-port", "443"),
            ("x-forwarded-for", "203.0.113.9, 198.51.100.2, 198.51.100.3, 2001:db8::1"),
            ("x-forwarded-proto", "https"),
        ];
        assert_eq!(told, lines(&expected));
        // One that says nothing, and one whose address is none.
        let told = introduced(config(&["unix"]), &Address::Unix("".into()), &[]);
        assert_eq!(told, lines(&[("x-forwarded-proto", "https"), ("x-forwarded-host", "a.example:81")]));
        let off = ForwardingConfig { x_forwarded: false, ..config(&["0.0.0.0/0"]) };
        assert_eq!(introduced(off, &peer("192.0.2.1"), &LIES), lines(&LIES), "nothing is done at all");
    }

    #[test]
    fn rfc7239_4_elements() {
        req!("7239-4-01", "7239-4-03", "7239-5.3-01", "7239-5.4-01", "7239-6-01", "7239-6.3-01");
        req!("7239-6.3-02", "7239-7.1-01");
        let only =
            |trusted: &[&str]| ForwardingConfig { x_forwarded: false, forwarded: true, ..config(trusted) };
        let of = |config, peer: &str| introduced(config, &self::peer(peer), &[("forwarded", "for=a;by=_b")]);
        let element = |value: &str| lines(&[("forwarded", value)]);
        assert_eq!(of(only(&[]), "192.0.2.1"), element("for=192.0.2.1;host=\"a.example:81\";proto=http"));
        let v6 = "for=\"[2001:db8::1]\";host=\"a.example:81\";proto=http";
        assert_eq!(of(only(&[]), "2001:db8::1"), element(v6));
        let behind = "for=a;by=_b, for=192.0.2.1;host=\"a.example:81\";proto=https";
        assert_eq!(of(only(&["192.0.2.0/24"]), "192.0.2.1"), element(behind));
        let unix = introduced(only(&[]), &Address::Unix("".into()), &[]);
        assert_eq!(unix, element("for=unknown;host=\"a.example:81\";proto=http"));
        let hidden = of(ForwardingConfig { obfuscate: true, ..only(&[]) }, "192.0.2.1");
        let node = hidden[0].1.strip_prefix("for=_").and_then(|rest| rest.split(';').next()).expect("a node");
        assert!((1..=16).contains(&node.len()) && node.bytes().all(|octet| octet.is_ascii_hexdigit()));
        assert_eq!(Quoted("a\"b\\c").to_string(), r#""a\"b\\c""#);
        assert_eq!((Quoted("").to_string(), Quoted("a.b").to_string()), ("\"\"".into(), "a.b".into()));
    }

    /// A permutation that everybody knows could be undone: of two names their clients' numbers, or of one the key.
    #[test]
    fn rfc7239_6_3_a_pseudonym_tells_nothing_of_the_key() {
        // The finalizer of SplitMix64, backwards: each step is its own inverse but for the factors and the bits that were shifted out.
        let undo_shift =
            |bits: u64, by: u32| (1..64 / by + 1).fold(0, |sum, n| sum ^ bits >> (n * by)) ^ bits;
        let undone = |bits: u64| {
            let bits = undo_shift(bits, 31).wrapping_mul(0x3196_42b2_d24d_8ec3);
            let bits = undo_shift(bits, 27).wrapping_mul(0x96de_1b17_3f11_9089);
            undo_shift(bits, 30)
        };
        let mixed = |bits: u64| {
            let bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            bits ^ bits >> 31
        };
        assert_eq!(undone(mixed(0x1234_5678_9abc_def0)), 0x1234_5678_9abc_def0, "that is how");
        let (one, other) = (undone(pseudonym(1, SEED)), undone(pseudonym(2, SEED)));
        assert_ne!(one ^ other, 1 ^ 2);
        assert!(![one, other].contains(&(1 ^ SEED)) && ![one, other].contains(&(2 ^ SEED)));
    }

    #[test]
    fn what_must_not_be_indexed_must_not_be_under_another_name() {
        let mut fields = FieldSection::new();
        for (name, value) in [(&b":authority"[..], &b"secret.example"[..]), (FOR, b"203.0.113.9")] {
            fields.push(FieldLine::new(name, value, SEED).never_indexed());
        }
        let (mut origins, at) = (OwnOrigins::default(), peer("192.0.2.1"));
        let peer = Peer { conn: ConnId::from_bits(7), address: &at, secure: false };
        let trusting = config(&["192.0.2.0/24"]);
        Introduction::new(trusting, SEED, &mut origins).introduce(&mut fields, &peer, &mut origins);
        let never = |name: &[u8]| fields.iter().any(|line| line.name == name && line.never_indexed);
        assert!(never(FOR) && never(HOST) && !never(PROTO));
    }

    #[test]
    fn what_must_not_be_indexed_is_not_in_an_element_either() {
        let mut fields = FieldSection::new();
        fields.push(FieldLine::new(b":authority", b"secret.example", SEED).never_indexed());
        let (mut origins, at) = (OwnOrigins::default(), peer("192.0.2.1"));
        let peer = Peer { conn: ConnId::from_bits(7), address: &at, secure: false };
        let only = ForwardingConfig { x_forwarded: false, forwarded: true, ..config(&[]) };
        Introduction::new(only, SEED, &mut origins).introduce(&mut fields, &peer, &mut origins);
        assert!(fields.iter().any(|line| line.name == FORWARDED && line.never_indexed));
    }

    /// The next request of another client is not told as one of the last.
    #[test]
    fn clients_are_not_mixed_up() {
        let mut origins = OwnOrigins::default();
        let mut introduction = Introduction::new(config(&[]), SEED, &mut origins);
        for (conn, address) in [(1, "192.0.2.1"), (1, "192.0.2.1"), (2, "192.0.2.2"), (1, "192.0.2.1")] {
            let mut fields = FieldSection::new();
            let peer = Peer { conn: ConnId::from_bits(conn), address: &peer(address), secure: conn == 2 };
            introduction.introduce(&mut fields, &peer, &mut origins);
            assert_eq!(fields.get(FOR), Some(address.as_bytes()));
            assert_eq!(fields.get(PROTO), Some(if conn == 2 { &b"https"[..] } else { b"http" }));
        }
    }
}
