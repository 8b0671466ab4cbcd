//! What is true of request N: its fields and its content are pure functions of N and of the script.
//!
//! Every octet of content proves whose it is and where it belongs, so nothing needs to be stored to be compared.

use crate::refcodec::{Field, field, value_of};
use crate::rng::mix;
use crate::scenario::{Exchange, Method, ResponseKind};

/// Which way content goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client.
    Request,
    /// From the backend.
    Response,
}

/// The octets `from..from + length` of request `rid`'s content in one direction.
pub fn content(rid: u64, direction: Direction, from: u64, length: usize) -> Vec<u8> {
    let key = mix(rid.wrapping_mul(4) + 1 + direction as u64);
    let mut octets = Vec::with_capacity(length + 16);
    let first = from / 8;
    for word in (first..).take(length / 8 + 2) {
        octets.extend(mix(key ^ word.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes());
    }
    octets.drain(..usize::try_from(from % 8).expect("less than 8"));
    octets.truncate(length);
    octets
}

/// The first offset at which `octets`, said to begin at `from`, are not the content of `rid`.
pub fn first_wrong(rid: u64, direction: Direction, from: u64, octets: &[u8]) -> Option<u64> {
    let expected = content(rid, direction, from, octets.len());
    octets.iter().zip(expected).position(|(&seen, right)| seen != right).map(|at| from + at as u64)
}

/// A value that names the request it belongs to.
fn tag(rid: u64, place: &str) -> String {
    format!("r{rid}.{place}.{:x}", mix(rid) & 0xffff)
}

/// The request that a tagged value belongs to.
pub fn tagged(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    text.strip_prefix('r')?.split_once('.')?.0.parse().ok()
}

/// The request that a field section names, in `x-rid` or, where it is like all others but for its path, there.
pub fn rid_of(fields: &[Field]) -> Option<u64> {
    rid_in(|name| value_of(fields, name))
}

/// The request that is named by the fields of which these are the values.
pub(crate) fn rid_in<'a>(value_of: impl Fn(&str) -> Option<&'a [u8]>) -> Option<u64> {
    if let Some(rid) = value_of("x-rid") {
        return std::str::from_utf8(rid).ok()?.parse().ok();
    }
    let path = value_of(":path")?;
    tagged(&path[path.iter().position(|&octet| octet == b'?')? + 1..])
}

/// Whether the fields of a response are a backend's, and not a gateway's own.
pub fn is_of_backend(fields: &[Field]) -> bool {
    rid_of(fields).is_some() || value_of(fields, ALIKE).is_some()
}

/// In responses that say nothing of the request.
const ALIKE: &str = "x-alike";

/// So many requests in a row may differ in their path alone.
const ALIKE_FOR: u64 = 8;

/// The head of the request.
pub fn request_head(exchange: &Exchange) -> Vec<Field> {
    let (rid, request) = (exchange.rid, &exchange.request);
    let method = match request.method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
    };
    let mut fields = vec![
        field(":method", method),
        field(":scheme", "http"),
        field(":authority", &request.host),
        field(":path", format!("{}?{}", request.path, tag(rid, "path"))),
    ];
    if request.alike {
        fields.push(field("x-turn", (rid / ALIKE_FOR).to_string()));
    } else {
        fields.extend([field("x-rid", rid.to_string()), field("x-tag", tag(rid, "request"))]);
    }
    fields.push(field("user-agent", "shuntyard-sim"));
    if request.declare_length {
        fields.push(field("content-length", request.content.to_string()));
    }
    if request.expect {
        fields.push(field("expect", "100-continue"));
    }
    if !request.alike {
        fields.extend((0..request.extras).map(|n| extra(rid, n)));
        fields.extend(bulk(rid, request.bulk));
        fields.push(field("x-last", tag(rid, "request-last")));
    }
    fields
}

/// A further line: a cookie crumb, a name that comes again with another value, one that must never be indexed, an empty one.
fn extra(rid: u64, n: u8) -> Field {
    match n % 4 {
        0 => field("cookie", format!("crumb{n}={}", tag(rid, "cookie"))),
        1 => field("x-again", format!("{n}")),
        2 => field("authorization", format!("bearer {}", tag(rid, "secret"))),
        _ => field("x-empty", ""),
    }
}

/// One long line, where it is wanted.
fn bulk(rid: u64, octets: u32) -> Option<Field> {
    let word = format!("{:016x}", mix(rid ^ u64::from(octets)));
    let value: String = word.chars().cycle().take(octets as usize).collect();
    (octets > 0).then(|| field("x-bulk", value))
}

/// An interim response.
pub fn interim_head(exchange: &Exchange) -> Vec<Field> {
    let rid = exchange.rid;
    let mut fields =
        vec![field(":status", "103"), field("x-rid", rid.to_string()), field("x-tag", tag(rid, "interim"))];
    fields.extend(bulk(rid, exchange.response.bulk));
    fields
}

/// The head of the final response.
pub fn response_head(exchange: &Exchange) -> Vec<Field> {
    let (rid, response) = (exchange.rid, &exchange.response);
    let mut fields = vec![field(":status", response.status.to_string())];
    if response.alike {
        fields.push(field(ALIKE, "yes"));
    } else {
        fields.extend([field("x-rid", rid.to_string()), field("x-tag", tag(rid, "response"))]);
    }
    fields.push(field("content-type", "application/octet-stream"));
    if response.declare_length && !bodiless_status(response.status) {
        fields.push(field("content-length", represented_length(exchange).to_string()));
    }
    if !response.alike {
        fields.extend(bulk(rid, response.bulk));
        fields.push(field("x-last", tag(rid, "response-last")));
    }
    fields
}

/// Trailers of either direction.
pub fn trailers(exchange: &Exchange, direction: Direction) -> Vec<Field> {
    let (place, octets) = match direction {
        Direction::Request => ("request-trailer", exchange.request.bulk),
        Direction::Response => ("response-trailer", exchange.response.bulk),
    };
    let mut fields = vec![field("x-trailer", tag(exchange.rid, place))];
    fields.extend(bulk(exchange.rid, octets));
    fields
}

/// Octets of long lines that its sections carry together.
pub(crate) fn bulk_length(exchange: &Exchange) -> u64 {
    let Exchange { request, response, .. } = exchange;
    let sections = |trailers: bool, interim: u8| 1 + u64::from(trailers) + u64::from(interim);
    u64::from(request.bulk) * sections(request.trailers, 0)
        + u64::from(response.bulk) * sections(response.trailers, response.interim)
}

/// How many octets of content the response carries.
pub fn response_length(exchange: &Exchange) -> u64 {
    let none = exchange.request.method == Method::Head || bodiless_status(exchange.response.status);
    if none { 0 } else { represented_length(exchange) }
}

fn represented_length(exchange: &Exchange) -> u64 {
    match exchange.response.kind {
        ResponseKind::Echo => exchange.request.content,
        ResponseKind::Sink => exchange.rid % 50,
        ResponseKind::Source(octets) => octets,
    }
}

fn bodiless_status(status: u16) -> bool {
    matches!(status, 204 | 304)
}

/// What is wrong with a field section that should carry `sent` of request `rid` and whatever a gateway may add, if anything.
pub fn field_difference(rid: u64, sent: &[Field], seen: &[Field]) -> Option<String> {
    let mut rest = seen.iter();
    for (name, value) in sent {
        if !rest.any(|(other, octets)| other == name && octets == value) {
            let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
            return Some(format!("{name}: {value} is missing or out of order"));
        }
    }
    let foreign = seen.iter().find(|(_, value)| tagged(value).is_some_and(|owner| owner != rid));
    foreign
        .map(|(_, value)| format!("the value {} belongs to another request", String::from_utf8_lossy(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_proves_owner_direction_and_offset() {
        let whole = content(7, Direction::Request, 0, 100);
        for from in 0..90 {
            assert_eq!(content(7, Direction::Request, from as u64, 10), whole[from..from + 10]);
        }
        assert_eq!(first_wrong(7, Direction::Request, 40, &whole[40..]), None);
        assert_eq!(
            first_wrong(7, Direction::Request, 0, &[&whole[..9], &whole[10..]].concat()).map(|at| at < 30),
            Some(true)
        );
        assert!(first_wrong(8, Direction::Request, 0, &whole).is_some());
        assert!(first_wrong(7, Direction::Response, 0, &whole).is_some());
    }

    #[test]
    fn field_differences_are_found() {
        let sent = [field("x-a", tag(1, "a")), field("x-b", "2")];
        let added = [field("x-a", tag(1, "a")), field("via", "2 x"), field("x-b", "2")];
        assert_eq!(field_difference(1, &sent, &added), None);
        assert!(field_difference(1, &sent, &added[..2]).is_some());
        assert!(field_difference(1, &[], &[field("x-c", tag(2, "c"))]).is_some());
        assert_eq!(tagged(b"r12.a.b"), Some(12));
        assert_eq!(tagged(b"round.trip"), None);
    }
}
