//! The codes of errors in a configuration, and what `shuntyard config explain` says of each.

use std::fmt;
use std::str::FromStr;

/// What kind of error it is. Codes are never used for something else; numbers below 100 are about single values, those
/// from 100 on about values that don't go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Code {
    UnknownKey,
    WrongType,
    NotToml,
    Missing,
    NotYet,
    UnknownWord,
    OutOfRange,
    NotTime,
    NotSize,
    NotAddress,
    BadHost,
    BadPath,
    Unreadable,
    NameUnresolved,
    BadField,
    BadCertificate,
    NotPassed,
    AccessLog,
    ListenerTwice,
    NoRoute,
    UpstreamUndefined,
    NeverReached,
    EndpointTwice,
    Contradiction,
    AdminAddress,
}

impl Code {
    pub(crate) const ALL: [Self; 25] = [
        Self::UnknownKey,
        Self::WrongType,
        Self::NotToml,
        Self::Missing,
        Self::NotYet,
        Self::UnknownWord,
        Self::OutOfRange,
        Self::NotTime,
        Self::NotSize,
        Self::NotAddress,
        Self::BadHost,
        Self::BadPath,
        Self::Unreadable,
        Self::NameUnresolved,
        Self::BadField,
        Self::BadCertificate,
        Self::NotPassed,
        Self::AccessLog,
        Self::ListenerTwice,
        Self::NoRoute,
        Self::UpstreamUndefined,
        Self::NeverReached,
        Self::EndpointTwice,
        Self::Contradiction,
        Self::AdminAddress,
    ];

    fn number(self) -> u16 {
        match self {
            Self::UnknownKey => 1,
            Self::WrongType => 2,
            Self::NotToml => 3,
            Self::Missing => 4,
            Self::NotYet => 5,
            Self::UnknownWord => 6,
            Self::OutOfRange => 7,
            Self::NotTime => 8,
            Self::NotSize => 9,
            Self::NotAddress => 10,
            Self::BadHost => 11,
            Self::BadPath => 12,
            Self::Unreadable => 13,
            Self::NameUnresolved => 14,
            Self::BadField => 15,
            Self::BadCertificate => 16,
            Self::NotPassed => 17,
            Self::AccessLog => 18,
            Self::ListenerTwice => 101,
            Self::NoRoute => 102,
            Self::UpstreamUndefined => 103,
            Self::NeverReached => 104,
            Self::EndpointTwice => 105,
            Self::Contradiction => 106,
            Self::AdminAddress => 107,
        }
    }

    /// What it is about, in a few words.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::UnknownKey => "a key that does not exist",
            Self::WrongType => "a value of another type",
            Self::NotToml => "text that is not TOML",
            Self::Missing => "a key that is missing",
            Self::NotYet => "a feature that this version does not have",
            Self::UnknownWord => "a word that is not one of the choice",
            Self::OutOfRange => "a value outside its range",
            Self::NotTime => "not a time",
            Self::NotSize => "not a size",
            Self::NotAddress => "not an address",
            Self::BadHost => "not a pattern of hosts",
            Self::BadPath => "not a pattern of paths",
            Self::Unreadable => "a file that cannot be read",
            Self::NameUnresolved => "a name without an address",
            Self::BadField => "not a header field",
            Self::BadCertificate => "a file of TLS that cannot be used",
            Self::NotPassed => "a socket that was not passed to the program",
            Self::AccessLog => "an access log that cannot be opened",
            Self::ListenerTwice => "an address to listen on that is there twice",
            Self::NoRoute => "no route",
            Self::UpstreamUndefined => "a route to an upstream that is not defined",
            Self::NeverReached => "a route that serves nothing",
            Self::EndpointTwice => "an endpoint that is there twice",
            Self::Contradiction => "values that contradict each other",
            Self::AdminAddress => "an admin address that is not served",
        }
    }

    /// What it means and what to do, in a paragraph or two.
    pub(crate) fn page(self) -> &'static str {
        match self {
            Self::UnknownKey => {
                "Nothing reads this key, so what it should do would not happen. It may be misspelt, or stand in another \
                 section: in TOML a key belongs to the last [section] above it, so keys without a section come first. \
                 `shuntyard config reference` lists all keys."
            }
            Self::WrongType => {
                "Texts, times, sizes and addresses stand in quotes, numbers do not, lists stand in [brackets], and \
                 groups of keys in {braces} or under a [section] of their own. Sections that may be there many times \
                 have [[two brackets]]."
            }
            Self::NotToml => {
                "The text breaks the rules of TOML (https://toml.io), so nothing else of it was looked at. Where many \
                 such errors are listed, the first is the one to mend: those below may be its consequences."
            }
            Self::Missing => {
                "The section cannot do without this key. The message names the section and the key."
            }
            Self::NotYet => {
                "The key or the word is part of shuntyard's configuration and this version has nothing behind it. It is \
                 refused, not ignored: whoever asks for TLS must not get plain TCP. Take it out to use this version; \
                 README.md lists what is not there yet."
            }
            Self::UnknownWord => "The value is one of a few words. The message lists them.",
            Self::OutOfRange => {
                "Every number, time, size and list has a range, which the message names and `shuntyard config reference` \
                 lists. Of a limit 0 does not mean \"off\", for one that is off lets one client take everything; where it may be written, \
                 it means none: `replay_memory`, `replay_memory_per_client`, `replay_buffer` and `budget` then keep nothing and send \
                 nothing again."
            }
            Self::NotTime => {
                "A time is a whole number and its unit, in quotes: \"250ms\", \"10s\", \"5m\", \"1h\". There is no \
                 default unit."
            }
            Self::NotSize => {
                "A size is a whole number and its unit, in quotes: \"512B\", \"64KiB\", \"1MiB\", \"2GiB\". A KiB is \
                 1024 octets. There is no default unit."
            }
            Self::NotAddress => {
                "Listeners are \"HOST:PORT\", \"[IPv6]:PORT\", \":PORT\" for all addresses of this machine, or \
                 \"unix:/PATH\"; port 0 is one that the kernel picks, and \"fd:NAME\" what systemd has opened. Endpoints are \"HOST:PORT\", \"[IPv6]:PORT\" or \
                 \"unix:/PATH\", where the host may be a name, behind the scheme that says what is spoken there \
                 (h2c://, http://, h2://, https://); without one the key `protocol` of the upstream says it."
            }
            Self::BadHost => {
                "A route serves one host (\"api.example.com\"), or all below a domain (\"*.example.com\", which is not \
                 the domain itself), or, without the key, all. Hosts stand without port, and IPv6 addresses without \
                 brackets. Upper and lower case are alike; names with other than ASCII letters are written as clients \
                 send them (xn--...). Where one host is asked for, such as `server_name`, it is no pattern."
            }
            Self::BadPath => {
                "A path begins with a slash. With a slash at its end it serves all paths that begin so (\"/v1/\"), \
                 otherwise this one path only (\"/v1\"). It is compared octet by octet with what clients send, without \
                 the query, so it has neither `?` nor `#` nor spaces, and percent-encoding as clients write it."
            }
            Self::Unreadable => {
                "The configuration could not be read: there is no such file, it may not be read, it is no text (UTF-8), \
                 or it is larger than 16 MiB."
            }
            Self::NameUnresolved => {
                "The name of an address to listen on is resolved when the program starts, and this one has no address. \
                 Names of endpoints may have none yet: they are asked for again."
            }
            Self::BadField => {
                "The name or the value of a header field has characters that RFC 9110 sections 5.1 and 5.5 do not allow \
                 there, or it is a field that belongs to the connection and not to the message."
            }
            Self::BadCertificate => {
                "A file that TLS needs cannot be read, is not PEM, holds nothing of its kind, or certificate and key do not belong \
                 together. `openssl x509 -in cert.pem -noout -pubkey` and `openssl pkey -in key.pem -pubout` print the \
                 same where they do. Files are read when the configuration is, so the program needs the right to."
            }
            Self::NotPassed => {
                "\"fd:NAME\" takes the sockets that systemd has opened and named so: FileDescriptorName= of a .socket unit, which \
                 without that line is the unit's own name. The service gets them where both units have the same name, or the socket's \
                 says Service=, and only if the socket was started: `systemctl list-sockets` shows what listens. `check` cannot know \
                 what will be passed, and says nothing of it."
            }
            Self::AccessLog => {
                "The file of the access log must be such as the user of this program may append to, or its folder be there, \
                 in which it is made. `-` is standard output."
            }
            Self::ListenerTwice => {
                "Two [[listen]] sections have the same address, or one of them has that of [admin]. One of them would get nothing. \
                 Sections with port 0 may be there many times: each gets a port of its own."
            }
            Self::NoRoute => {
                "Without any [[route]] every request would be answered 404. The smallest route is one line: [[route]] \
                 upstream = \"app\" serves everything."
            }
            Self::UpstreamUndefined => {
                "Every [[route]] names an upstream, which is a section [upstream.NAME] of the same file."
            }
            Self::NeverReached => {
                "The first route that matches serves a request, top to bottom. A route above this one matches every \
                 request that this one would: move this one up, or take it out."
            }
            Self::EndpointTwice => {
                "An endpoint that is listed twice would get no more requests, for connections and requests are counted \
                 by address."
            }
            Self::Contradiction => {
                "Each value alone is in its range, and both together cannot work. The message names them."
            }
            Self::AdminAddress => {
                "The admin address tells whoever can reach it everything there is to see, without asking who it is. So it \
                 is an address of this machine for this machine, as in \"127.0.0.1:9901\", unless allow_remote says \
                 otherwise. Unix sockets are not served there."
            }
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "G{:04}", self.number())
    }
}

impl FromStr for Code {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = |code: &Self| code.to_string().eq_ignore_ascii_case(text);
        Self::ALL.into_iter().find(named).ok_or_else(|| {
            format!("there is no such code; they are {}", Self::ALL.map(|code| code.to_string()).join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_in_order() {
        assert!(Code::ALL.is_sorted_by(|a, b| a < b && a.number() < b.number()));
        assert!(Code::ALL.iter().all(|code| code.to_string().parse() == Ok(*code)));
        assert_eq!(Code::UpstreamUndefined.to_string(), "G0103");
        assert!("G0000".parse::<Code>().is_err());
    }
}
