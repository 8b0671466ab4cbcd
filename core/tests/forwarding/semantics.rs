//! RFC 9110: what a gateway owes to messages that are not its own, and what it says in its own.

use shuntyard_core::config::HeaderRule;
use shuntyard_core::error::ErrorCode;
use shuntyard_requirements::req;

use crate::rig::{Rig, Said};
use crate::wire::*;

/// What passes when a request and its response do, each with these lines beside its usual ones.
fn passed(request: &[Vec<u8>], response: &[Vec<u8>]) -> (Said, Said) {
    let mut rig = Rig::new(|_| {});
    rig.client_says(&headers(1, &[get(), request.concat()].concat(), true));
    let asked = rig.said_to_backend().remove(0);
    rig.backend_says(&headers(1, &[&OK[..], &response.concat()].concat(), true));
    (asked, rig.said_to_client().remove(0))
}

/// The values of the lines with this name, in order.
fn values<'a>(said: &'a Said, name: &str) -> Vec<&'a str> {
    let Said::Fields { lines, .. } = said else { panic!("{said:?}") };
    lines.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str()).collect()
}

#[test]
fn rfc9110_5_unknown_fields_and_their_order_pass() {
    req!("9110-5.1-01", "9110-5.1-02", "9110-5.3-02", "9110-5.5-03");
    let lines = [
        line("x-list", "2"),
        kept_line("x-unheard-of", "a, b"),
        line("x-list", "1"),
        line("x-empty", ""),
        [&[0x00, 5][..], b"x-raw", &[3, 0x80, b'"', 0xff]].concat(),
        line("x-list", "3"),
    ];
    let (asked, answered) = passed(&lines, &lines);
    for said in [&asked, &answered] {
        assert_eq!(values(said, "x-list"), ["2", "1", "3"]);
        assert_eq!((said.value("x-unheard-of"), said.value("x-empty")), (Some("a, b"), Some("")));
        assert_eq!(said.value("x-raw"), Some("\u{80}\"\u{ff}"));
    }
}

/// Credentials, challenges and what is said of resources and their places are not the gateway's to change.
#[test]
fn rfc9110_fields_of_others_are_not_modified() {
    req!("9110-10.1.3-06", "9110-10.2.1-02", "9110-11.6.1-03", "9110-11.6.2-01", "9110-7.7-06");
    let pairs = [
        ("authorization", "Basic YTpi"),
        ("referer", "http://example.com/from?a=b"),
        ("allow", "GET, M-SEARCH"),
        ("www-authenticate", "Basic realm=\"a\", New x=\"y, z\""),
        ("etag", "W/\"1\""),
        ("content-range", "words 1-2/*"),
        ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("server", "somebody"),
    ];
    let lines = pairs.map(|(name, value)| line(name, value));
    let (asked, answered) = passed(&lines, &lines);
    for (name, value) in pairs {
        assert_eq!((asked.value(name), answered.value(name)), (Some(value), Some(value)), "{name}");
    }
}

#[test]
fn rfc9110_7_7_target_and_content_pass_unchanged() {
    req!("9110-7.7-03", "9110-7.7-04", "9110-4.1-01", "9110-2.3-02");
    let mut rig = Rig::new(|_| {});
    let path = format!("/./a/../b//%2f%7E?q={}&%41", "x".repeat(8000));
    let head = [&[0x83, 0x86][..], &line(":authority", "a.example"), &line(":path", &path)].concat();
    rig.client_says(&[headers(1, &head, false), data(1, b"up\0\xff", true)].concat());
    let said = rig.said_to_backend();
    assert_eq!(said[0].value(":path"), Some(&path[..]));
    assert_eq!(said[1], Said::Content { stream: 1, octets: b"up\0\xff".to_vec(), end: true });
    let head = [&OK[..], &line("cache-control", "no-transform"), &line("content-encoding", "gzip")].concat();
    rig.backend_says(&[headers(1, &head, false), data(1, b"\x1f\x8b down", true)].concat());
    let said = rig.said_to_client();
    assert_eq!((said[0].value("content-encoding"), said[0].value("content-length")), (Some("gzip"), None));
    assert_eq!(said[1], Said::Content { stream: 1, octets: b"\x1f\x8b down".to_vec(), end: true });
}

#[test]
fn rfc9110_7_6_3_via_goes_behind_that_of_others() {
    req!("9110-7.6.3-02");
    let (asked, answered) = passed(&[line("via", "1.1 before")], &[]);
    assert_eq!(values(&asked, "via"), ["1.1 before", "2.0 shuntyard"]);
    assert_eq!(values(&answered, "via"), ["2.0 shuntyard"]);
}

#[test]
fn rfc9110_8_6_content_length_is_forwarded_once_or_not_at_all() {
    req!("9110-8.6-10");
    let lengths = |values: &[&str]| {
        let lines = values.iter().map(|value| line("content-length", value)).collect::<Vec<_>>().concat();
        let mut rig = Rig::new(|_| {});
        rig.client_says(&headers(1, &[post(), lines].concat(), false));
        let asked = rig.backends.first().copied().map(|backend| rig.said(backend).remove(0));
        asked.map(|said| values_of(&said))
    };
    fn values_of(said: &Said) -> Vec<String> {
        values(said, "content-length").into_iter().map(str::to_owned).collect()
    }
    assert_eq!(lengths(&["5"]), Some(vec!["5".to_owned()]));
    assert_eq!(lengths(&["5", "5"]), Some(vec!["5".to_owned()]));
    for bad in [&["5", "6"][..], &["5, 5"], &["+5"], &["5a"], &[""], &["18446744073709551616"]] {
        assert_eq!(lengths(bad), None, "{bad:?}");
    }
}

#[test]
fn rfc9110_15_2_interim_responses_are_forwarded() {
    req!("9110-15.2-02", "9113-8.1-01");
    let mut rig = Rig::new(|_| {});
    rig.client_says(&headers(1, &get(), true));
    let interim = |status: &str| headers(1, &[line(":status", status), line("link", "</a>")].concat(), false);
    rig.backend_says(&[interim("103"), interim("100"), interim("103"), headers(1, &OK, true)].concat());
    let said = rig.said_to_client();
    let statuses: Vec<_> = said.iter().map(|said| said.value(":status")).collect();
    assert_eq!(statuses, [Some("103"), Some("100"), Some("103"), Some("200")]);
    assert_eq!((said[0].value("link"), said[3].value("link")), (Some("</a>"), None));
}

/// Trailers stay what they are.
#[test]
fn rfc9110_6_5_1_trailers_are_not_merged_into_the_head() {
    req!("9110-6.5.1-02");
    let mut rig = Rig::new(|_| {});
    let trailers = |value| headers(1, &line("x-sum", value), true);
    rig.client_says(&[headers(1, &post(), false), data(1, b"up", false), trailers("1")].concat());
    let said = rig.said_to_backend();
    assert_eq!((said[0].value("x-sum"), said[2].value("x-sum")), (None, Some("1")));
    rig.backend_says(&[headers(1, &OK, false), data(1, b"down", false), trailers("2")].concat());
    let said = rig.said_to_client();
    assert_eq!((said[0].value("x-sum"), said[2].value("x-sum")), (None, Some("2")));
}

/// Whoever merges trailers into a head finds nothing there that heads decide, that a stranger says of itself, or that a route takes out.
#[test]
fn rfc9110_6_5_1_trailers_bring_nothing_that_heads_decide() {
    let names = [
        "x-sum",
        "x-forwarded-for",
        "forwarded",
        "x_forwarded_host",
        "authorization",
        "cookie",
        "expect",
        "via",
    ];
    let more = ["max-forwards", "proxy-authorization", "x-user", "x-role", "x-added"];
    let trailers: Vec<u8> = names.iter().chain(&more).flat_map(|name| line(name, "1")).collect();
    let passed = |trusted: bool, frozen: bool| {
        let mut rig = Rig::new(|config| {
            config.forwarding.trusted =
                if trusted { vec!["127.0.0.0/8".parse().expect("peers")] } else { Vec::new() };
            let name = |name: &str| name.into();
            let rules = vec![
                HeaderRule::Remove { name: name("x-user") },
                HeaderRule::Set { name: name("x-role"), value: name("guest") },
                HeaderRule::Add { name: name("x-added"), value: name("2") },
            ];
            (config.routes[0].request_headers, config.routes[0].response_headers) = (rules.clone(), rules);
        });
        let head = headers(1, &post(), false);
        if frozen {
            rig.client_says(&[head, headers(1, &trailers, true)].concat());
        } else {
            rig.client_says(&head);
            rig.client_says(&headers(1, &trailers, true));
        }
        let names = |said: Vec<Said>| {
            let Some(Said::Fields { lines, end: true, .. }) = said.last() else { panic!("{said:?}") };
            lines.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        let asked = names(rig.said_to_backend());
        rig.backend_says(&[headers(1, &OK, false), headers(1, &trailers, true)].concat());
        (asked, names(rig.said_to_client()))
    };
    for frozen in [false, true] {
        let (asked, told) = passed(false, frozen);
        assert_eq!(asked, ["x-sum", "x-added"]);
        // What a backend says of itself is its own business, but for the route's rules.
        assert_eq!(told.len(), names.len() + more.len() - 2, "{told:?}");
        assert!(!told.iter().any(|name| name == "x-user" || name == "x-role"));
        let (asked, _) = passed(true, frozen);
        assert_eq!(asked, ["x-sum", "x-forwarded-for", "forwarded", "x_forwarded_host", "x-added"]);
    }
}

/// The gateway's own answer to a request whose backend was lost.
fn local_answer(method: &str) -> Vec<Said> {
    let mut rig = Rig::new(|config| config.upstreams[0].retry.attempts = 1);
    let head = [&line(":method", method)[..], &[0x86, 0x84], &line(":authority", "a.example")].concat();
    rig.client_says(&headers(1, &head, true));
    let backend = rig.backend();
    rig.lose(backend);
    rig.said_to_client()
}

#[test]
fn rfc9110_15_6_answers_of_the_gateway_say_when_and_why() {
    req!("9110-15.6-01", "9110-5.6.7-02", "9110-5.6.7-03", "9110-6.6.1-01", "9209-2-01", "9209-2.1.1-02");
    let said = local_answer("GET");
    assert_eq!(said[0].value(":status"), Some("502"));
    assert_eq!(said[0].value("date"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    assert_eq!(said[0].value("proxy-status"), Some("shuntyard; error=connection_terminated"));
    let Said::Content { octets, end: true, .. } = &said[1] else { panic!("{said:?}") };
    assert!(!octets.is_empty());
    assert_eq!(said[0].value("content-length"), Some(&*octets.len().to_string()));
}

/// A name that no token of structured fields begins like (RFC 8941 section 3.3.4) is said as a string.
#[test]
fn rfc9209_2_the_gateway_names_itself_by_a_token_or_a_string() {
    req!("9209-2-01");
    for (via, member) in
        [("front.example", "front.example"), ("9front", "\"9front\""), ("_front", "\"_front\"")]
    {
        let mut rig = Rig::new(|config| {
            config.via = via.to_owned();
            config.upstreams[0].retry.attempts = 1;
        });
        rig.client_says(&headers(1, &get(), true));
        let backend = rig.backend();
        rig.lose(backend);
        let expected = format!("{member}; error=connection_terminated");
        assert_eq!(rig.said_to_client()[0].value("proxy-status"), Some(&*expected));
    }
}

#[test]
fn rfc9110_9_3_2_an_answer_to_head_has_no_content() {
    req!("9110-9.3.2-01");
    let said = local_answer("HEAD");
    assert!(matches!(said[..], [Said::Fields { end: true, .. }]), "{said:?}");
    assert_eq!((said[0].value(":status"), said[0].value("content-length")), (Some("502"), Some("26")));
}

#[test]
fn rfc9110_5_4_a_head_that_is_too_large_is_answered_431() {
    req!("9110-5.4-01", "9110-2.3-01", "9113-8.1.1-06", "9113-8.1-06");
    let mut rig = Rig::new(|config| config.front.max_header_list_size = 4096);
    rig.client_says(&headers(1, &[post(), line("x-long", &"x".repeat(5000))].concat(), false));
    let said = rig.said_to_client();
    assert_eq!(said[0].value(":status"), Some("431"));
    assert_eq!(said[1..], [Said::Reset { stream: 1, code: ErrorCode::NO_ERROR }], "no more of the request");
    assert!(rig.backends.is_empty());
}
