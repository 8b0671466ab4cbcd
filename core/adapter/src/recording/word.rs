//! Values to octets and back: everything that a recording names.
//!
//! Structs and enums of the core are listed field by field. One that gets a new field does not compile until the field
//! stands here too: a recording without it could not be replayed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use shuntyard_core::address::Address;
use shuntyard_core::config::{
    Alpn, Balance, Config, ConnectionConfig, EndpointConfig, ForwardingConfig, HeaderRule, Host, HostPattern,
    ListenerConfig, NameGroups, PathPattern, Peers, Protocol, RetryConfig, RouteConfig, Saturation, Scope,
    Timeouts, UpstreamConfig,
};
use shuntyard_core::gateway::{Accepted, Closed, Command, ConnId, Connected};
use shuntyard_core::time::{Instant, WallClock};
use shuntyard_core::tls::{TlsFacts, TlsFailure};

use crate::recording::recorder::Preamble;

/// A value in a recording.
pub(crate) trait Word: Sized {
    /// Appends the value.
    fn put(&self, out: &mut Vec<u8>);

    /// Takes a value from the front; `None` where there is none.
    fn take(input: &mut &[u8]) -> Option<Self>;

    /// What the octets are, in an order: another one is another [`FORMAT`](crate::recording::recorder::FORMAT).
    #[cfg(test)]
    fn shape() -> String;
}

/// The shape of what is reached so.
#[cfg(test)]
fn shape_behind<T, Part: Word>(_: impl Fn(T) -> Option<Part>) -> String {
    Part::shape()
}

/// Seven bits an octet, the low ones first.
impl Word for u64 {
    fn put(&self, out: &mut Vec<u8>) {
        let mut value = *self;
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    }

    fn take(input: &mut &[u8]) -> Option<Self> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let (&octet, rest) = input.split_first()?;
            *input = rest;
            let bits = u64::from(octet & 0x7f);
            value |= bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits)?;
            if octet < 0x80 {
                return Some(value);
            }
        }
        None
    }

    #[cfg(test)]
    fn shape() -> String {
        "number".to_owned()
    }
}

/// Octets behind their number.
pub(crate) fn put_octets(octets: &[u8], out: &mut Vec<u8>) {
    (octets.len() as u64).put(out);
    out.extend_from_slice(octets);
}

pub(crate) fn take_octets<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::take(input)?;
    let (octets, rest) = input.split_at_checked(len)?;
    *input = rest;
    Some(octets)
}

/// Types that are another type on the way.
macro_rules! by {
    ($($type:ty, |$value:ident| $put:expr, |$word:ident: $via:ty| $take:expr;)*) => {$(
        impl Word for $type {
            fn put(&self, out: &mut Vec<u8>) {
                let $value = self;
                <$via as Word>::put(&$put, out);
            }

            fn take(input: &mut &[u8]) -> Option<Self> {
                let $word = <$via as Word>::take(input)?;
                $take
            }

            #[cfg(test)]
            fn shape() -> String {
                let unit: String = stringify!($put).split_whitespace().collect();
                format!("{}={unit}", <$via as Word>::shape())
            }
        }
    )*};
}

by! {
    usize, |value| *value as u64, |word: u64| word.try_into().ok();
    u32, |value| u64::from(*value), |word: u64| word.try_into().ok();
    u16, |value| u64::from(*value), |word: u64| word.try_into().ok();
    bool, |value| u64::from(*value), |word: u64| match word { 0 => Some(false), 1 => Some(true), _ => None };
    Instant, |value| value.as_nanos(), |word: u64| Some(Self::from_nanos(word));
    Duration, |value| u64::try_from(value.as_nanos()).unwrap_or(u64::MAX), |word: u64| Some(Self::from_nanos(word));
    Arc<str>, |value| value.to_string(), |word: String| Some(word.into());
    SocketAddr, |value| value.to_string(), |word: String| word.parse().ok();
    NameGroups, |value| value.0.clone(), |word: Vec<Vec<HostPattern>>| Some(Self(word));
    Peers, |value| value.to_string(), |word: String| word.parse().ok();
    Box<Config>, |value| (**value).clone(), |word: Config| Some(Box::new(word));
    TlsFailure, |value| value.code(), |word: u64| Self::from_code(word);
    Arc<TlsFacts>, |value| (**value).clone(), |word: TlsFacts| Some(Self::new(word));
}

impl Word for String {
    fn put(&self, out: &mut Vec<u8>) {
        put_octets(self.as_bytes(), out);
    }

    fn take(input: &mut &[u8]) -> Option<Self> {
        Self::from_utf8(take_octets(input)?.to_vec()).ok()
    }

    #[cfg(test)]
    fn shape() -> String {
        "text".to_owned()
    }
}

/// A digest.
impl Word for Arc<[u8; 32]> {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self[..]);
    }

    fn take(input: &mut &[u8]) -> Option<Self> {
        let (octets, rest) = input.split_first_chunk()?;
        *input = rest;
        Some(Self::new(*octets))
    }

    #[cfg(test)]
    fn shape() -> String {
        "digest".to_owned()
    }
}

/// Index and generation: both are small.
impl Word for ConnId {
    fn put(&self, out: &mut Vec<u8>) {
        (self.to_bits() & 0xffff_ffff).put(out);
        (self.to_bits() >> 32).put(out);
    }

    fn take(input: &mut &[u8]) -> Option<Self> {
        let index = u32::take(input)?;
        Some(Self::from_bits(u64::from(u32::take(input)?) << 32 | u64::from(index)))
    }

    #[cfg(test)]
    fn shape() -> String {
        "conn".to_owned()
    }
}

impl<T: Word> Word for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.len().put(out);
        self.iter().for_each(|value| value.put(out));
    }

    fn take(input: &mut &[u8]) -> Option<Self> {
        // Each takes an octet at least: no more memory is asked for than the input is worth.
        (0..usize::take(input).filter(|len| *len <= input.len())?).map(|_| T::take(input)).collect()
    }

    #[cfg(test)]
    fn shape() -> String {
        format!("[{}]", T::shape())
    }
}

impl<T: Word> Word for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        self.iter().for_each(|value| value.put(out));
    }

    fn take(input: &mut &[u8]) -> Option<Self> {
        if bool::take(input)? { T::take(input).map(Some) } else { Some(None) }
    }

    #[cfg(test)]
    fn shape() -> String {
        format!("?{}", T::shape())
    }
}

/// Structs, field by field.
macro_rules! structs {
    ($($type:ident { $($field:ident),* })*) => {$(
        impl Word for $type {
            fn put(&self, out: &mut Vec<u8>) {
                let Self { $($field),* } = self;
                $($field.put(out);)*
            }

            fn take(input: &mut &[u8]) -> Option<Self> {
                $(let $field = Word::take(input)?;)*
                Some(Self { $($field),* })
            }

            #[cfg(test)]
            fn shape() -> String {
                let fields =
                    [$(format!("{} {}", stringify!($field), shape_behind(|of: Self| Some(of.$field)))),*];
                format!("({})", fields.join(", "))
            }
        }
    )*};
}

/// Enums, variant by variant, each behind its number.
macro_rules! enums {
    ($($type:ident { $($number:literal = $variant:ident $(($inner:ident))? $({ $($field:ident),* })?),* })*) => {$(
        impl Word for $type {
            fn put(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant $(($inner))? $({ $($field),* })? => {
                        let number: u64 = $number;
                        number.put(out);
                        $($inner.put(out);)?
                        $($($field.put(out);)*)?
                    })*
                }
            }

            fn take(input: &mut &[u8]) -> Option<Self> {
                match u64::take(input)? {
                    $($number => {
                        $(let $inner = Word::take(input)?;)?
                        $($(let $field = Word::take(input)?;)*)?
                        Some(Self::$variant $(($inner))? $({ $($field),* })?)
                    })*
                    _ => None,
                }
            }

            #[cfg(test)]
            fn shape() -> String {
                let variants = [$({
                    let parts: &[String] = &[
                        $(shape_behind(|of: Self| match of {
                            Self::$variant($inner) => Some($inner),
                            _ => None,
                        }))?
                        $($(shape_behind(|of: Self| match of {
                            Self::$variant { $field, .. } => Some($field),
                            _ => None,
                        })),*)?
                    ];
                    format!("{} {}({})", $number, stringify!($variant), parts.join(", "))
                }),*];
                format!("<{}>", variants.join(" | "))
            }
        }
    )*};
}

structs! {
    Preamble { version, content, seed, now, wall, config, hooked }
    Accepted { peer, local }
    Connected { protocol, tls }
    TlsFacts { server_name, certificate, subject, verified, resumed }
    WallClock { at, unix_seconds }
    Config {
        front, backend, timeouts, upstreams, routes, http1, http2, listeners, max_fronts, max_fronts_per_client, backends_max, ledger_octets, ledger_front_octets, upload_ledger_octets, head_ledger_octets,
        replay_ledger_octets, replay_front_octets, recv_buffer_octets, fronts_awake, via, via_in_responses,
        forwarding, records
    }
    ForwardingConfig { x_forwarded, forwarded, obfuscate, trusted }
    ConnectionConfig {
        header_table_size, encoder_table_size, max_concurrent_streams, initial_window_size,
        connection_window_size, max_header_list_size, max_fields, max_continuations, max_settings, proxy_status,
        max_queued_control_frames, misuse_max, max_interim_responses, authority_required, extended_connect, upgrades, outbox_high_mark,
        assumed_max_concurrent_streams, max_concurrent_streams_cap, stream_window_max
    }
    Timeouts {
        preface, field_block, connect, response, front_idle, backend_idle, linger, write_stall, stream_idle, front_age, backend_age,
        suspect_idle, suspect_silent, ping
    }
    UpstreamConfig {
        name, endpoints, balance, share, on_saturation, connections_min, connections_max, http1_connections_max, assumed_streams,
        queue_max, queue_timeout, retry
    }
    EndpointConfig { host, protocol, tls }
    ListenerConfig { address, only, introduced, groups }
    RetryConfig { attempts, unprocessed_attempts, budget_percent, replay_octets }
    RouteConfig {
        name, host, path, upstream, authority, map_back, replace_errors, timeout, upgrades, connect, request_headers, response_headers
    }
}

enums! {
    Address { 0 = Inet(address), 1 = Unix(path) }
    Host { 0 = Address(address), 1 = Name { name, port } }
    Protocol { 0 = Http2, 1 = Http1 }
    Alpn { 0 = Http2, 1 = Either }
    HeaderRule { 0 = Set { name, value }, 1 = Add { name, value }, 2 = Remove { name } }
    Scope { 0 = Client, 1 = Worker, 2 = None }
    Saturation { 0 = Dial, 1 = Queue, 2 = Refuse }
    Balance { 0 = LeastActive, 1 = RoundRobin }
    HostPattern { 0 = Any, 1 = Exact(host), 2 = Below(host) }
    PathPattern { 0 = Any, 1 = Exact(path), 2 = Prefix(path) }
    Closed { 0 = ConnectRefused, 1 = ConnectTimedOut, 2 = ConnectFailed, 3 = Reset, 4 = Failed, 5 = Tls(failure), 6 = ConnectExhausted }
    Command {
        0 = Drain { deadline }, 1 = WallClock(wall), 2 = Resolved { name, port, addresses }, 3 = Configure(config), 4 = Part { listener }
    }
}

#[cfg(test)]
mod tests {
    use std::hash::Hasher as _;

    use super::*;
    use crate::recording::fold::Fold;
    use crate::recording::input::{
        ACCEPT, ACTIONS, ARRIVING, CLOSED, COMMAND, CONNECTED, INTRODUCED, READ_CLOSED, RECEIVED, SENT,
        TIMEOUT, TRANSMIT,
    };
    use crate::recording::recorder::FORMAT;

    fn there_and_back<T: Word + PartialEq + std::fmt::Debug>(value: &T) {
        let mut octets = Vec::new();
        value.put(&mut octets);
        let mut input = octets.as_slice();
        assert_eq!(T::take(&mut input).as_ref(), Some(value));
        assert!(input.is_empty());
        for end in 0..octets.len() {
            assert_eq!(T::take(&mut &octets[..end]), None, "{end} octets of {value:?}");
        }
    }

    /// A recording in another format is refused by its number; one whose number was forgotten is read as what it is not. Where this fails, raise
    /// FORMAT, and put both here. What the running hash covers belongs to the format, too, and nobody sees to that.
    #[test]
    fn another_format_has_another_number() {
        let shapes = [
            format!("preamble {}", Preamble::shape()),
            format!("{ACCEPT} {}", Accepted::shape()),
            format!("{ARRIVING} {}", Accepted::shape()),
            format!("{INTRODUCED} conn {}", Option::<Address>::shape()),
            format!("{CONNECTED} conn {}", Connected::shape()),
            format!("{RECEIVED} conn pieces"),
            format!("{READ_CLOSED} conn"),
            format!("{TRANSMIT} conn"),
            format!("{SENT} conn number"),
            format!("{CLOSED} conn {}", Closed::shape()),
            format!("{TIMEOUT}"),
            format!("{COMMAND} {}", Command::shape()),
            format!("{ACTIONS} number"),
        ]
        .join("\n");
        let mut fold = Fold::default();
        fold.write(shapes.as_bytes());
        assert_eq!((FORMAT, fold.0), (7, 11_906_094_097_066_975_906), "{shapes}");
    }

    #[test]
    fn numbers() {
        for value in [0, 1, 127, 128, 300, u64::MAX] {
            there_and_back(&value);
        }
        assert_eq!(u64::take(&mut &[0xff; 11][..]), None);
        assert_eq!(u64::take(&mut &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02][..]), None);
        there_and_back(&ConnId::from_bits(7 << 32 | 300));
        assert_eq!(Vec::<u64>::take(&mut &[0xff, 0xff, 0x03][..]), None, "longer than the input");
    }

    #[test]
    fn configurations_and_commands() {
        let inet: SocketAddr = "[::1]:80".parse().unwrap();
        let mut config = Config::new(vec![inet.into(), Address::Unix("/run/a".into())]);
        config.upstreams[0].endpoints.push(EndpointConfig {
            host: Host::Name { name: "b".into(), port: 1 },
            protocol: Protocol::Http1,
            tls: Some(Alpn::Either),
        });
        config.routes[0].path = PathPattern::Prefix("/x".into());
        config.routes[0].host = HostPattern::Below("example.com".into());
        config.routes[0].timeout = Some(Duration::from_millis(17));
        config.routes[0].authority = Some("app:1".into());
        config.forwarding.trusted = vec![Peers::Unix, "10.0.0.0/8".parse().unwrap()];
        let address = Address::Unix("/l".into());
        let groups = NameGroups(vec![vec![HostPattern::Exact("a".into())], Vec::new()]);
        config.listeners =
            vec![ListenerConfig { address, only: Some(Protocol::Http1), introduced: true, groups }];
        there_and_back(&config);
        there_and_back(&Command::Configure(Box::new(config)));
        there_and_back(&Command::Part { listener: inet.into() });
        there_and_back(&Command::Drain { deadline: Duration::from_secs(3) });
        there_and_back(&Command::Resolved { name: "b".into(), port: 9, addresses: vec![inet.into()] });
        there_and_back(&Closed::Failed);
        there_and_back(&Closed::ConnectExhausted);
        there_and_back(&Closed::Tls(TlsFailure::AlertReceived(48)));
        let tls = TlsFacts {
            server_name: Some("a".into()),
            certificate: Some(Arc::new([7; 32])),
            subject: Some("CN=a".into()),
            verified: true,
            resumed: true,
        };
        there_and_back(&Connected { protocol: Some(Protocol::Http2), tls: Some(Arc::new(tls)) });
    }
}
