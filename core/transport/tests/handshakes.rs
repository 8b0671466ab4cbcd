//! Handshakes in memory: what is agreed on, who is shown, who is turned away.

mod common;

use common::{Authority, Pair};
use shuntyard_core::config::{Alpn, HostPattern, Protocol};
use shuntyard_core::time::Instant;
use shuntyard_core::tls::TlsFailure;
use shuntyard_requirements::req;
use shuntyard_transport::{BackTls, ClientAuth, FrontTls, Identity, TlsConfigError, Transport, Trust};

const BOTH: [Protocol; 2] = [Protocol::Http2, Protocol::Http1];

fn trusting(authority: &Authority) -> BackTls {
    BackTls::new(&Trust::Authorities(authority.pem()), None, None).unwrap()
}

fn meet(back: &BackTls, front: &FrontTls, host: &str, wanted: Option<Protocol>) -> Pair {
    let mut pair = Pair::new(
        wanted
            .map_or_else(
                || Transport::back(back, host, Alpn::Either),
                |protocol| Transport::back_by(back, host, protocol),
            )
            .unwrap(),
        Transport::front(front).unwrap(),
    );
    pair.run();
    pair
}

#[test]
fn both_ends_learn_what_was_agreed_on() {
    req!("9113-3.2-01", "9113-9.2-04");
    let authority = Authority::new();
    let front = FrontTls::new(&[authority.issue(&["a.example"])], &BOTH, &ClientAuth::Off).unwrap();
    let back = trusting(&authority);
    for (wanted, agreed) in [
        (None, Protocol::Http2),
        (Some(Protocol::Http1), Protocol::Http1),
        (Some(Protocol::Http2), Protocol::Http2),
    ] {
        let pair = meet(&back, &front, "a.example", wanted);
        let (client, server) = (pair.client.facts.unwrap(), pair.server.facts.unwrap());
        assert_eq!((client.protocol, server.protocol), (Some(agreed), Some(agreed)));
        let (client, server) = (client.tls.unwrap(), server.tls.unwrap());
        assert_eq!(server.server_name.as_deref(), Some("a.example"));
        assert!(server.certificate.is_none() && client.certificate.is_some());
    }
}

/// A server that knows HTTP/1.1 only serves whoever may speak it, and nobody who must speak HTTP/2.
#[test]
fn who_has_no_protocol_in_common_is_told_so() {
    let authority = Authority::new();
    let identity = [authority.issue(&["a.example"])];
    let front = FrontTls::new(&identity, &[Protocol::Http1], &ClientAuth::Off).unwrap();
    let back = trusting(&authority);
    let pair = meet(&back, &front, "a.example", Some(Protocol::Http2));
    assert_eq!(pair.server.failure, Some(TlsFailure::NoProtocol));
    assert_eq!(pair.client.failure, Some(TlsFailure::AlertReceived(120)));
    // Without ALPN on the other side HTTP/2 was not agreed on.
    let silent = FrontTls::new(&identity, &[], &ClientAuth::Off).unwrap();
    let pair = meet(&back, &silent, "a.example", Some(Protocol::Http2));
    assert_eq!(pair.client.failure, Some(TlsFailure::NoProtocol));
    let pair = meet(&back, &silent, "a.example", None);
    assert_eq!(pair.client.facts.unwrap().protocol, Some(Protocol::Http1));
    assert_eq!(pair.server.facts.unwrap().protocol, None);
}

#[test]
fn a_backend_must_prove_who_it_is() {
    req!(
        "9110-4.2.2-03",
        "9110-4.3.4-01",
        "9110-4.3.4-02",
        "9110-4.3.4-05",
        "9110-4.3.4-07",
        "9113-9.1.1-02"
    );
    let authority = Authority::new();
    let (chain, key) = authority.issue_pem(&["a.example"], |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 2, 1);
    });
    let expired = Identity::from_pem(&chain, &key).unwrap();
    let (chain, key) =
        authority.issue_pem(&["a.example"], |params| params.not_before = rcgen::date_time_ymd(2400, 1, 1));
    let early = Identity::from_pem(&chain, &key).unwrap();
    let strange = Authority::new().issue(&["a.example"]);
    let right = authority.issue(&["a.example"]);
    let back = trusting(&authority);
    for (identity, host, failure, alert) in [
        (&expired, "a.example", TlsFailure::CertificateExpired, 45),
        (&early, "a.example", TlsFailure::CertificateNotYetValid, 45),
        (&strange, "a.example", TlsFailure::CertificateUnknownIssuer, 48),
        (&right, "b.example", TlsFailure::CertificateWrongName, 42),
    ] {
        let front = FrontTls::new(std::slice::from_ref(identity), &BOTH, &ClientAuth::Off).unwrap();
        let pair = meet(&back, &front, host, None);
        assert_eq!(pair.client.failure, Some(failure));
        assert!(
            matches!(pair.server.failure, Some(TlsFailure::AlertReceived(n)) if n == alert),
            "{:?}",
            pair.server.failure
        );
        // Only by explicit word.
        let blind = BackTls::new(&Trust::Nobody, None, None).unwrap();
        assert!(meet(&blind, &front, host, None).client.facts.is_some());
        // A name of the configuration stands for the host's.
        let named = BackTls::new(&Trust::Authorities(authority.pem()), None, Some("a.example")).unwrap();
        assert_eq!(
            meet(&named, &front, "127.0.0.1", None).client.facts.is_some(),
            identity.names() == right.names() && host == "b.example"
        );
    }
}

/// A name stands among the certificate's names, and nowhere else; an address among its addresses.
#[test]
fn names_and_addresses_are_what_a_certificate_is_for() {
    req!("9110-4.3.4-03", "9110-4.3.4-04");
    let authority = Authority::new();
    let back = trusting(&authority);
    let (chain, key) = authority.issue_pem(&["other.example"], |params| {
        params.distinguished_name.push(rcgen::DnType::CommonName, "a.example");
    });
    let common_name = Identity::from_pem(&chain, &key).unwrap();
    let address = authority.issue(&["127.0.0.1", "::1"]);
    for (identity, host, fits) in [
        (&common_name, "a.example", false),
        (&common_name, "other.example", true),
        (&address, "127.0.0.1", true),
        (&address, "::1", true),
        (&address, "127.0.0.2", false),
    ] {
        let front = FrontTls::new(std::slice::from_ref(identity), &BOTH, &ClientAuth::Off).unwrap();
        let pair = meet(&back, &front, host, None);
        assert_eq!(pair.client.facts.is_some(), fits, "{host}: {:?}", pair.client.failure);
    }
}

#[test]
fn clients_prove_who_they_are_where_they_must() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let identity = [authority.issue(&["a.example"])];
    let with = |authority: &Authority, identity: &Identity| {
        BackTls::new(&Trust::Authorities(authority.pem()), Some(identity), None).unwrap()
    };
    let known = with(&authority, &clients.issue(&["client"]));
    let strange = with(&authority, &Authority::new().issue(&["client"]));
    let (chain, key) = clients.issue_pem(&["client"], |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 2, 1);
    });
    let expired = with(&authority, &Identity::from_pem(&chain, &key).unwrap());
    let nobody = trusting(&authority);

    let optional = FrontTls::new(&identity, &BOTH, &ClientAuth::Optional(clients.pem())).unwrap();
    let required = FrontTls::new(&identity, &BOTH, &ClientAuth::Required(clients.pem())).unwrap();
    let certificate = |back: &BackTls, front: &FrontTls| {
        let pair = meet(back, front, "a.example", None);
        match pair.server.failure {
            Some(failure) => Err((failure, pair.client.failure)),
            None => Ok(pair.server.facts.unwrap().tls.unwrap().certificate.is_some()),
        }
    };
    let alert = |n| Some(TlsFailure::AlertReceived(n));
    assert_eq!(certificate(&nobody, &optional), Ok(false));
    assert_eq!(certificate(&known, &optional), Ok(true));
    assert_eq!(certificate(&known, &required), Ok(true));
    assert_eq!(certificate(&nobody, &required), Err((TlsFailure::CertificateMissing, alert(116))));
    for front in [&optional, &required] {
        assert_eq!(certificate(&strange, front), Err((TlsFailure::CertificateUnknownIssuer, alert(48))));
        assert_eq!(certificate(&expired, front), Err((TlsFailure::CertificateExpired, alert(45))));
    }
}

/// RFC 6066 section 3, RFC 9525 section 6.3: the exact name, one label for the asterisk, else the first.
#[test]
fn the_certificate_is_the_one_that_was_asked_for() {
    req!("9113-9.2-03");
    let authority = Authority::new();
    let identities = [
        authority.issue(&["default.example"]),
        authority.issue(&["*.w.example"]),
        authority.issue(&["Exact.example", "two.example"]),
    ];
    let front = FrontTls::new(&identities, &BOTH, &ClientAuth::Off).unwrap();
    // Each time a client without any session.
    let shown = |host: &str| {
        let pair = meet(&trusting(&authority), &front, host, None);
        (pair.client.facts.and_then(|facts| facts.tls.unwrap().certificate.clone()), pair.client.failure)
    };
    let [default, wild, exact] =
        ["default.example", "other.w.example", "exact.example"].map(|host| shown(host).0.unwrap());
    assert!(default != wild && wild != exact && default != exact);
    assert_eq!(shown("two.example").0, Some(exact));
    assert!(shown("EXACT.example").0.is_some());
    for beside in ["a.b.w.example", "w.example"] {
        assert_eq!(shown(beside).1, Some(TlsFailure::CertificateWrongName));
    }
    // They are replaced while it serves.
    front.replace(&[authority.issue(&["default.example"])]).unwrap();
    assert_ne!(shown("default.example").0, Some(default));
    assert_eq!(shown("exact.example").1, Some(TlsFailure::CertificateWrongName));
    assert_eq!(front.replace(&[]), Err(TlsConfigError::NoCertificate));
}

#[test]
fn the_second_connection_takes_the_session_up_again() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let identity = [authority.issue(&["a.example"])];
    let front = FrontTls::new(&identity, &BOTH, &ClientAuth::Required(clients.pem())).unwrap();
    let client = clients.issue(&["client"]);
    let back = BackTls::new(&Trust::Authorities(authority.pem()), Some(&client), None).unwrap();
    let first = meet(&back, &front, "a.example", None).server.facts.unwrap().tls.unwrap();
    let second = meet(&back, &front, "a.example", None);
    assert!(!first.resumed && second.client.facts.unwrap().tls.unwrap().resumed);
    let second = second.server.facts.unwrap().tls.unwrap();
    assert!(second.resumed);
    assert_eq!(
        (first.certificate.clone(), first.server_name.clone()),
        (second.certificate.clone(), second.server_name.clone())
    );
}

/// Who asks for one name must show a certificate, who asks for another need not; a session with one is none with the other.
#[test]
fn certificates_are_asked_for_by_name() {
    let (authority, clients, others) = (Authority::new(), Authority::new(), Authority::new());
    let identity = [authority.issue(&["*.a.example"])];
    let guarded = (vec![HostPattern::Exact("Admin.a.example".into())], ClientAuth::Required(clients.pem()));
    let asked = (vec![HostPattern::Below("w.a.example".into())], ClientAuth::Optional(others.pem()));
    let front = FrontTls::by_name(&identity, &BOTH, &ClientAuth::Off, &[guarded, asked]).unwrap();
    let with = |identity: &Identity| {
        BackTls::new(&Trust::Authorities(authority.pem()), Some(identity), None).unwrap()
    };
    let found = |back: &BackTls, host: &str, cuts| {
        let mut pair =
            Pair::new(Transport::back(back, host, Alpn::Either).unwrap(), Transport::front(&front).unwrap());
        pair.cuts = cuts;
        pair.run();
        match pair.server.failure {
            Some(failure) => Err(failure),
            None => Ok(pair.server.facts.unwrap().tls.unwrap()),
        }
    };
    let known = with(&clients.issue(&["client"]));
    for cuts in [(usize::MAX, 64 << 10), (1, 64 << 10), (300, 64 << 10)] {
        let nobody = trusting(&authority);
        assert_eq!(found(&nobody, "admin.a.example", cuts), Err(TlsFailure::CertificateMissing));
        assert_eq!(found(&nobody, "b.a.example", cuts).unwrap().certificate, None);
        let facts = found(&known, "admin.a.example", cuts).unwrap();
        assert!(facts.verified && facts.certificate.is_some());
        assert_eq!(facts.server_name.as_deref(), Some("admin.a.example"));
        assert_eq!(facts.subject.as_deref(), Some("CN=rcgen self signed cert"));
        // Nobody asks for it there, and elsewhere it is a stranger's.
        let facts = found(&known, "b.a.example", cuts).unwrap();
        assert!(!facts.verified && facts.certificate.is_none() && facts.subject.is_none());
    }
    assert!(found(&known, "admin.a.example", (usize::MAX, 64 << 10)).unwrap().resumed);

    // Whom is trusted changes: who was known is not, and no session helps.
    let required = |authority: &Authority| ClientAuth::Required(authority.pem());
    assert!(front.replace_clients(&ClientAuth::Off, &[required(&others)]).is_err());
    front.replace_clients(&ClientAuth::Off, &[required(&others), ClientAuth::Off]).unwrap();
    let cuts = (usize::MAX, 64 << 10);
    assert_eq!(found(&known, "admin.a.example", cuts), Err(TlsFailure::CertificateUnknownIssuer));
    let other = with(&others.issue(&["client"]));
    assert!(found(&other, "admin.a.example", cuts).unwrap().verified);

    // Who is asked as before keeps its sessions.
    front.replace_clients(&required(&others), &[required(&others), ClientAuth::Off]).unwrap();
    assert!(found(&other, "admin.a.example", cuts).unwrap().resumed);
}

/// What is no ClientHello is told what is wrong with it, as where no name is waited for.
#[test]
fn what_is_no_client_hello_ends_while_a_name_is_waited_for() {
    let authority = Authority::new();
    let identity = [authority.issue(&["a.example"])];
    let groups = [(vec![HostPattern::Any], ClientAuth::Required(authority.pem()))];
    for octets in [
        &b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00"[..],
        b"\x17\x03\x03\x00\x01\x00",
        b"\x16\x03\x01\xff\xff\x00",
        b"\x80\x80",
    ] {
        let failure = |front: &FrontTls| {
            let mut end = common::End::new(Transport::front(front).unwrap());
            end.hear(octets, &mut Default::default(), (usize::MAX, 64 << 10));
            (end.failure, end.speak().is_empty())
        };
        let by_name = FrontTls::by_name(&identity, &BOTH, &ClientAuth::Off, &groups).unwrap();
        let plain = FrontTls::new(&identity, &BOTH, &ClientAuth::Off).unwrap();
        assert!(failure(&plain).0.is_some());
        assert_eq!(failure(&by_name), failure(&plain), "{octets:?}");
    }
}

/// The first handshake message of these octets, with so many octets of padding (RFC 7685), in records of one octet each.
fn padded(hello: &[u8], padding: u16) -> Vec<u8> {
    let mut message = hello[5..].to_vec();
    let grow = |message: &mut Vec<u8>, at: usize| {
        let length = u16::from_be_bytes([message[at], message[at + 1]]) + padding + 4;
        message[at..at + 2].copy_from_slice(&length.to_be_bytes());
    };
    grow(&mut message, 2);
    let session = 4 + 2 + 32;
    let suites = session + 1 + usize::from(message[session]);
    let compression = suites + 2 + usize::from(u16::from_be_bytes([message[suites], message[suites + 1]]));
    let extensions = compression + 1 + usize::from(message[compression]);
    grow(&mut message, extensions);
    let extension = [&[0, 21][..], &padding.to_be_bytes(), &vec![0; usize::from(padding)]].concat();
    // The last one may have to stay the last: it stands in front.
    message.splice(extensions + 2..extensions + 2, extension);
    message.iter().flat_map(|&octet| [22, 3, 1, 0, 1, octet]).collect()
}

/// What is read of a ClientHello to learn its name, and what the handshake takes, is the same: else who is guarded by name could be met as nobody is.
#[test]
fn nothing_in_front_of_a_name_leads_around_what_is_asked_of_it() {
    let authority = Authority::new();
    let identity = [authority.issue(&["admin.a.example"])];
    let guarded = (vec![HostPattern::Exact("admin.a.example".into())], ClientAuth::Required(authority.pem()));
    let front = FrontTls::by_name(&identity, &BOTH, &ClientAuth::Off, &[guarded]).unwrap();
    // A warning (user_canceled), which the handshake itself would pass over.
    let warning = b"\x15\x03\x01\x00\x02\x01\x5a";
    let back = trusting(&authority);
    for cut in [1, 7, usize::MAX] {
        let client = Transport::back(&back, "admin.a.example", Alpn::Either).unwrap();
        let mut pair = Pair::new(client, Transport::front(&front).unwrap());
        pair.cuts.0 = cut;
        let octets = [&warning[..], &pair.client.speak()].concat();
        pair.server.hear(&octets, &mut pair.spare, pair.cuts);
        pair.run();
        assert_eq!((pair.server.failure, pair.server.facts), (Some(TlsFailure::Misbehaved), None));
        assert_eq!(pair.client.failure, Some(TlsFailure::AlertReceived(10)));
    }
    // More octets than are kept of what may be a ClientHello, but fewer than those of a handshake.
    for (padding, failure) in [(2_000, None), (10_500, Some(TlsFailure::Misbehaved))] {
        let mut client = common::End::new(Transport::back(&back, "admin.a.example", Alpn::Either).unwrap());
        let octets = padded(&client.speak(), padding);
        assert_eq!(octets.len() > 64 << 10, failure.is_some());
        let mut server = common::End::new(Transport::front(&front).unwrap());
        server.hear(&octets, &mut Default::default(), (usize::MAX, 64 << 10));
        assert_eq!((server.failure, server.speak().len() > 100), (failure, failure.is_none()), "{padding}");
    }
}

/// Between the first and the last octet of a handshake others come to be trusted: who has proved nothing to them asks again.
#[test]
fn a_handshake_that_was_begun_for_other_authorities_fails() {
    let (authority, clients, others) = (Authority::new(), Authority::new(), Authority::new());
    let identity = [authority.issue(&["a.example"])];
    let client = clients.issue(&["client"]);
    let known = BackTls::new(&Trust::Authorities(authority.pem()), Some(&client), None).unwrap();
    let asked = |authority: &Authority| ClientAuth::Optional(authority.pem());
    let unknown = Some(TlsFailure::CertificateUnknownIssuer);
    for (back, trusted, failure) in
        [(&known, &others, unknown), (&known, &clients, None), (&trusting(&authority), &others, None)]
    {
        let front = FrontTls::new(&identity, &BOTH, &asked(&clients)).unwrap();
        let client = Transport::back(back, "a.example", Alpn::Either).unwrap();
        let mut pair = Pair::new(client, Transport::front(&front).unwrap());
        let hello = pair.client.speak();
        pair.server.hear(&hello, &mut pair.spare, pair.cuts);
        front.replace_clients(&asked(trusted), &[]).unwrap();
        pair.run();
        assert_eq!((pair.server.failure, pair.server.facts.is_some()), (failure, failure.is_none()));
    }
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let authority = Authority::new();
    let (chain, _) = authority.issue_pem(&["a"], |_| {});
    let (other, key) = authority.issue_pem(&["a"], |_| {});
    let failed = |chain: &[u8], key: &[u8]| Identity::from_pem(chain, key).unwrap_err();
    assert_eq!(failed(&chain, &key), TlsConfigError::KeyMismatch);
    assert_eq!(failed(&other, &other), TlsConfigError::NoKey);
    assert_eq!(failed(&key, &key), TlsConfigError::NoCertificate);
    // In words, and without any that stand in it.
    let cut = &key[..key.len() / 2];
    let words = "the section PRIVATE KEY does not end".to_owned();
    assert_eq!(failed(&other, cut), TlsConfigError::KeyUnfinished(words.clone()));
    assert_eq!(failed(&other, cut).to_string(), format!("it cannot be read: {words}"));
    let cut = &other[..other.len() / 2];
    let words = "the section CERTIFICATE does not end".to_owned();
    assert_eq!(failed(cut, &key), TlsConfigError::Unfinished(words));
    let text = String::from_utf8(key.clone()).unwrap();
    for (broken, words) in [
        (text.replacen("\nM", "\n!", 1), "what stands in a section is not base64"),
        (
            text.replacen("KEY-----\n", "KEY\n", 1),
            "a line begins with -----BEGIN and does not end with -----",
        ),
    ] {
        assert_eq!(failed(&other, broken.as_bytes()), TlsConfigError::KeyUnreadable(words.to_owned()));
    }
    // Whatever is written by then: its end is all that is missing.
    for written in 0..other.len() - 1 {
        let error = failed(&other[..written], &key);
        assert!(error.is_unfinished(), "{written}: {error}");
    }
    for written in 0..key.len() - 1 {
        let error = failed(&other, &key[..written]);
        assert!(error.is_unfinished(), "{written}: {error}");
    }
    // What begins no section is something else, whatever follows: DER, or a file that is not meant.
    for octets in [&b"\x30\x82\x01\x0a"[..], b"[package]\n", b"-----END", b"-----\n", &other] {
        let error = failed(&other, octets);
        assert!(!error.is_unfinished(), "{error}");
    }
    for octets in [&b"\x30\x82\x01\x0a"[..], b"[package]\n", &key] {
        let error = failed(octets, &key);
        assert!(!error.is_unfinished(), "{error}");
    }
    assert_eq!(failed(b" \n", &key), TlsConfigError::Empty);
    assert!(failed(b"[package]\n-----BE", &key).is_unfinished());
    let in_front = [b"-----BEGIN KEY\n", &key[..]].concat();
    assert!(!failed(&other, &in_front).is_unfinished(), "more follows");
    assert!(
        Identity::from_pem(&[other.clone(), key.clone()].concat(), &[other.clone(), key.clone()].concat())
            .is_ok()
    );
    // What is in a section is more than a certificate. Base64 without a remainder can go on.
    let issued = || String::from_utf8(authority.issue_pem(&["a"], |_| {}).0).unwrap();
    let longer = loop {
        let (whole, found) = (issued(), "\n-----END");
        let (content, end) = whole.split_once(found).unwrap();
        if !content.ends_with('=') {
            break format!("{content}AAAA{found}{end}");
        }
    };
    let words = TlsConfigError::Unreadable("what stands in a section is no certificate".to_owned());
    assert_eq!(failed(longer.as_bytes(), &key), words);
    let nothing = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let said = failed(&other, nothing).to_string();
    assert!(
        said.starts_with("a key of this kind is not supported: ") && !said.contains("unexpected"),
        "{said}"
    );
    assert_eq!(BackTls::new(&Trust::Authorities(longer.into()), None, None).err(), Some(words));
    let failed = |pem: &[u8]| BackTls::new(&Trust::Authorities(pem.to_vec()), None, None).err();
    assert_eq!(failed(b""), Some(TlsConfigError::Empty));
    assert_eq!(failed(&key), Some(TlsConfigError::NoRoots));
    let failed = BackTls::new(&Trust::Nobody, None, Some("a b"));
    assert_eq!(failed.err(), Some(TlsConfigError::Name("a b".to_owned())));
}

/// However octets are cut, and however little room there is, all of them come, in order.
#[test]
fn octets_come_whole_however_they_are_cut() {
    let authority = Authority::new();
    let front = FrontTls::new(&[authority.issue(&["a.example"])], &BOTH, &ClientAuth::Off).unwrap();
    let back = trusting(&authority);
    let said: Vec<u8> = (0..200_000u32).map(|n| (n % 251) as u8).collect();
    for cuts in [(1, 1), (7, 100), (4096, 16 << 10), (usize::MAX, 20_000), (usize::MAX, 100_000)] {
        let mut pair = Pair::new(
            Transport::back(&back, "a.example", Alpn::Either).unwrap(),
            Transport::front(&front).unwrap(),
        );
        pair.cuts = cuts;
        pair.run();
        let mut rest = &said[..];
        while !rest.is_empty() {
            let before = pair.client.left;
            pair.client.say(rest, &mut pair.spare, Instant::ZERO);
            // Answers in between: tickets and octets of the other direction do not get in each other's way.
            pair.server.say(b"meanwhile", &mut pair.spare, Instant::ZERO);
            pair.run();
            rest = &rest[pair.client.left - before..];
        }
        assert!(pair.server.heard == said, "{cuts:?}");
        assert!(pair.client.heard.chunks(9).all(|chunk| chunk == b"meanwhile"));
        pair.client.transport.close();
        pair.run();
        assert!(pair.server.ended && !pair.client.ended);
        // The other direction is still open.
        pair.server.say(b"last", &mut pair.spare, Instant::ZERO);
        pair.run();
        assert!(pair.client.heard.ends_with(b"last"));
    }
}
