//! What TLS needs, in a `[[listen]]`.

use std::path::PathBuf;

use crate::config::code::Code;
use crate::config::kind::{Text, Words};
use crate::config::problem::Problem;
use crate::config::section::{Located, Section};
use crate::config::sections::Offer;
use crate::tls::{Clients, FrontFiles, IdentityFiles};

const FILE: Text<PathBuf> = Text {
    what: "the path of a file",
    code: Code::BadPath,
    parse: |text| if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(text.into()) },
    write: |path| path.display().to_string(),
    help: "write the path of a file in PEM",
};

/// `tls` of a listener that speaks this.
pub(super) fn front(section: &mut Section<'_, '_>, spoken: &[Offer]) -> Option<Located<FrontFiles>> {
    let what = "TLS there; files are read again when they change. More certificates, for other names: [[listen.tls.certificates]], with cert and key each";
    section.optional_group("tls", what, |tls| {
        let own = identity(tls);
        let what = "certificates for other names: the one is shown that is for the name which a client asks for (SNI), else the one above";
        let others = tls.list("certificates", what, identity);
        let mut clients = Clients::Off;
        let words = Words {
            words: &[("off", Clients::Off), ("optional", Clients::Optional), ("required", Clients::Required)],
            later: &[],
        };
        let what = "whether clients show certificates; hooks and logs are told of them";
        let said = tls.take("client_auth", what, &words, &mut clients);
        let what = "the authorities that sign clients' certificates";
        let client_ca = tls.optional("client_ca", what, &FILE, "\"/etc/shuntyard/tls/clients.pem\"");
        if let Some(at) = said.filter(|_| clients != Clients::Off && client_ca.is_none()) {
            let title = "nobody is named who signs clients' certificates";
            let problem = Problem::new(Code::Contradiction, title, at).label("needs `client_ca`");
            tls.refuse(problem.help("name a file with the certificates of the authorities: client_ca = \"...\""));
        }
        let value = FrontFiles {
            identities: own.into_iter().chain(others.into_iter().flatten()).collect(),
            protocols: spoken.iter().map(|offer| offer.protocol()).collect(),
            clients,
            client_ca: client_ca.map(|found| found.value),
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
