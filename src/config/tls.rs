//! What TLS needs, in a `[[listen]]` and in an `[upstream.NAME]`.

use std::path::PathBuf;

use crate::config::code::Code;
use crate::config::kind::{Flag, List, Text, Words};
use crate::config::problem::{Problem, Span};
use crate::config::section::{Located, Section};
use crate::config::sections::Offer;
use crate::config::text::{HOST, SERVER_NAME};
use crate::tls::{BackFiles, ClientFiles, Clients, FrontFiles, IdentityFiles};

const FILE: Text<PathBuf> = Text {
    what: "the path of a file",
    code: Code::BadPath,
    parse: |text| if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(text.into()) },
    write: |path| path.display().to_string(),
    help: "write the path of a file in PEM",
};

/// `tls` of a listener that speaks this.
pub(super) fn front(section: &mut Section<'_, '_>, spoken: &[Offer]) -> Option<Located<FrontFiles>> {
    let what = "TLS there; certificates and keys are read again when they change";
    section.optional_group("tls", what, |tls| {
        let own = identity(tls);
        let what = "certificates for other names: the one is shown that is for the name which a client asks for (SNI), else the one above";
        let others = tls.list("certificates", what, identity);
        let clients = shown_by_clients(tls);
        let what = "names whose clients show certificates in another way than is said above; a request for one of them over a connection that was opened for another name is answered 421";
        let by_name = tls.list("by_name", what, |group| {
            let names = List { of: HOST, min: 1, max: 256 };
            let what = "the names, or *.DOMAIN for all below a domain";
            let names = group.required("names", what, &names, "[\"admin.example.com\"]");
            let clients = shown_for_a_name(group);
            Some((names?.value, clients))
        });
        let value = FrontFiles {
            identities: own.into_iter().chain(others.into_iter().flatten()).collect(),
            protocols: spoken.iter().map(|offer| offer.protocol()).collect(),
            clients,
            by_name: by_name.into_iter().flatten().collect(),
        };
        Located { value, at: tls.at() }
    })
}

const CLIENTS: Words<Clients> = Words {
    words: &[("off", Clients::Off), ("optional", Clients::Optional), ("required", Clients::Required)],
    later: &[],
};

/// How clients show certificates: not at all where nothing is said.
fn shown_by_clients(section: &mut Section<'_, '_>) -> ClientFiles {
    let mut clients = Clients::Off;
    let at = section.take("client_auth", "whether clients show certificates", &CLIENTS, &mut clients);
    let is_wrong = at.is_none() && section.has("client_auth");
    authorities_of_clients(section, (!is_wrong).then_some((clients, at)))
}

/// Likewise those who come for a name. What a listener requires is given up for no name by leaving a line out.
fn shown_for_a_name(section: &mut Section<'_, '_>) -> ClientFiles {
    let what = "whether clients show certificates that come for one of these names";
    let said = section.required("client_auth", what, &CLIENTS, "\"required\"");
    authorities_of_clients(section, said.map(|found| (found.value, Some(found.at))))
}

/// `said`: whether clients show certificates, and where that stands; `None` where it is missing or wrong, which has been said.
fn authorities_of_clients(
    section: &mut Section<'_, '_>,
    said: Option<(Clients, Option<Span>)>,
) -> ClientFiles {
    let what = "the authorities that sign clients' certificates; read again when the file changes, and who has shown a certificate then is asked to come again";
    let ca = section.optional("client_ca", what, &FILE, "\"/etc/shuntyard/tls/clients.pem\"");
    let problem = match (&said, &ca) {
        (Some((Clients::Off, off)), Some(ca)) => {
            let title = "authorities of clients are named, and no client is asked for a certificate";
            let problem = Problem::new(Code::Contradiction, title, ca.at.clone()).label("would not be used");
            let problem =
                off.iter().fold(problem, |problem, at| problem.related(at.clone(), "nobody is asked"));
            Some(problem.help("write client_auth = \"required\", or \"optional\", or take `client_ca` out"))
        }
        (Some((Clients::Optional | Clients::Required, Some(at))), None) => {
            let title = "nobody is named who signs clients' certificates";
            let problem = Problem::new(Code::Contradiction, title, at.clone()).label("needs `client_ca`");
            Some(problem.help("name a file with the certificates of the authorities: client_ca = \"...\""))
        }
        _ => None,
    };
    problem.into_iter().for_each(|problem| section.refuse(problem));
    let clients = said.map_or(Clients::Off, |(clients, _)| clients);
    ClientFiles { clients, ca: ca.map(|found| found.value) }
}

/// `tls` of an upstream.
pub(super) fn back(section: &mut Section<'_, '_>) -> Option<Located<BackFiles>> {
    let what = "TLS with endpoints that speak it; files are read again when they change";
    section.optional_group("tls", what, |tls| {
        let what = "who endpoints have to be, and what they are asked for (SNI); without it, the host by which they are written down";
        let server_name = tls.optional("server_name", what, &SERVER_NAME, "\"app.internal\"");
        let what = "the authorities that sign for them; without it, those of the system";
        let ca = tls.optional("ca", what, &FILE, "\"/etc/shuntyard/tls/backends.pem\"");
        let mut insecure = false;
        let what = "take every certificate: whoever is between can read and change everything";
        let said = tls.take("insecure", what, &Flag, &mut insecure);
        if let (Some(at), Some(ca)) = (said.filter(|_| insecure), &ca) {
            let title = "authorities are named, and not asked";
            let problem = Problem::new(Code::Contradiction, title, at).label("takes every certificate");
            tls.refuse(problem.related(ca.at.clone(), "would not be used").help("leave one of them out"));
        }
        let what = "the certificate that is shown to endpoints that ask for one, with its chain";
        let cert = tls.optional("cert", what, &FILE, "\"/etc/shuntyard/tls/client.pem\"");
        let key = tls.optional("key", "its key", &FILE, "\"/etc/shuntyard/tls/client.key\"");
        if let (Some(Located { at, .. }), None) | (None, Some(Located { at, .. })) = (&cert, &key) {
            let problem = Problem::new(Code::Missing, "`cert` and `key` belong together", at.clone());
            tls.refuse(problem.label("the other one is missing"));
        }
        let identity = cert.zip(key).map(|(cert, key)| IdentityFiles { cert: cert.value, key: key.value });
        let value = BackFiles {
            server_name: server_name.map(|found| found.value),
            ca: ca.map(|found| found.value),
            insecure,
            identity,
        };
        Located { value, at: tls.at() }
    })
}

fn identity(section: &mut Section<'_, '_>) -> Option<IdentityFiles> {
    let what = "the certificate, with the chain to its authority behind it";
    let cert = section.required("cert", what, &FILE, "\"/etc/shuntyard/tls/cert.pem\"");
    let key = section.required("key", "its key", &FILE, "\"/etc/shuntyard/tls/key.pem\"");
    Some(IdentityFiles { cert: cert?.value, key: key?.value })
}
