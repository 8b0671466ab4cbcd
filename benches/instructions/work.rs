//! What clients ask for and what the backend answers.

use shuntyard_core::fields::{FieldSection, FieldWriter};

/// One kind of traffic: so many clients, each with so many requests under way at any time.
pub(crate) struct Work {
    pub(crate) name: &'static str,
    pub(crate) clients: usize,
    /// Whether clients speak HTTP/1.1: one request after the other.
    pub(crate) is_http1: bool,
    pub(crate) streams: usize,
    pub(crate) request: Request,
    /// Octets of each response.
    pub(crate) response: usize,
    /// Whether the gateway writes records.
    pub(crate) records: bool,
    /// Clients beside those that ask once each, and stay.
    pub(crate) idle: usize,
    /// Routes beside the one that is asked for.
    pub(crate) routes: usize,
}

pub(crate) struct Request {
    method: &'static str,
    fields: &'static [(&'static str, &'static str)],
    /// One path after the other, over and over.
    paths: usize,
    /// Octets of each request.
    pub(crate) content: usize,
}

const AUTHORITY: &str = "127.0.0.1:8080";
const GET: Request =
    Request { method: "GET", fields: &[("user-agent", "h2load nghttp2/1.52.0")], paths: 1, content: 0 };
const W1: Work = Work {
    name: "W1",
    clients: 10,
    is_http1: false,
    streams: 32,
    request: GET,
    response: 100,
    records: false,
    idle: 0,
    routes: 0,
};

pub(crate) const ALL: &[Work] = &[
    W1,
    Work { name: "W1r", records: true, ..W1 },
    Work { name: "W1h", request: Request { fields: BROWSER, ..GET }, ..W1 },
    Work { name: "W1v", request: VARIED, ..W1 },
    Work { name: "W2", clients: 1, streams: 100, ..W1 },
    Work { name: "W3", streams: 10, response: 64 << 10, ..W1 },
    Work { name: "W4", request: Request { method: "POST", fields: UPLOAD, content: 1 << 10, ..GET }, ..W1 },
    // One request after the other: what a turn costs by itself.
    Work { name: "W1s", clients: 1, streams: 1, ..W1 },
    // Nothing scans: beside many others a request costs what it costs beside few.
    Work { name: "W1c", idle: 10_000, ..W1 },
    Work { name: "W1q", streams: 1000, ..W1 },
    Work { name: "W1k", routes: 1000, ..W1 },
    Work { name: "W5", clients: 64, is_http1: true, streams: 1, ..W1 },
    Work { name: "W5v", clients: 64, is_http1: true, streams: 1, request: VARIED, ..W1 },
];

const VARIED: Request = Request { fields: BROWSER, paths: 64, ..GET };
const UPLOAD: &[(&str, &str)] = &[("user-agent", "h2load nghttp2/1.52.0"), ("content-length", "1024")];

pub(crate) const BROWSER: &[(&str, &str)] = &[
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("accept-language", "en-US,en;q=0.5"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("cookie", "session=4f3c2a1b9d8e7f60514233241506978a; theme=dark; _ga=GA1.1.1234567890.1700000000"),
    ("referer", "https://www.example.com/articles/2026/11/some-long-title"),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-mode", "navigate"),
];

const RESPONSE: &[(&str, &str)] = &[
    (":status", "200"),
    ("server", "nghttpd nghttp2/1.52.0"),
    ("date", "Mon, 23 Nov 2026 08:00:00 GMT"),
    ("content-type", "text/plain; charset=utf-8"),
    ("cache-control", "public, max-age=3600"),
    ("etag", "\"5f3e-8a7b6c5d4e3f2\""),
    ("vary", "accept-encoding"),
];

impl Request {
    /// The header sections that are sent in turn.
    pub(crate) fn sections(&self, seed: u64) -> Vec<FieldSection> {
        let section = |path: &String| {
            write_request(&mut FieldWriter::new(seed), self.method, path, self.fields).clone()
        };
        paths(self.paths).iter().map(section).collect()
    }

    /// The same as HTTP/1.1 has them.
    pub(crate) fn http1_heads(&self) -> Vec<Vec<u8>> {
        let lines: String = self.fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head =
            |path: &String| format!("{} {path} HTTP/1.1\r\nHost: {AUTHORITY}\r\n{lines}\r\n", self.method);
        paths(self.paths).iter().map(|path| head(path).into_bytes()).collect()
    }
}

pub(crate) fn paths(count: usize) -> Vec<String> {
    if count == 1 {
        return vec!["/".to_owned()];
    }
    (0..count).map(|n| format!("/articles/2026/11/item-{}?ref={n}", n * 7919 % 10_007)).collect()
}

/// The pseudo-header fields of a request, then `fields`.
pub(crate) fn write_request<'w>(
    writer: &'w mut FieldWriter,
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
) -> &'w FieldSection {
    let pseudo = [(":method", method), (":scheme", "http"), (":authority", AUTHORITY), (":path", path)];
    write(writer, &pseudo, fields)
}

/// The header section of a response.
pub(crate) fn write_response<'w>(writer: &'w mut FieldWriter, content_length: &str) -> &'w FieldSection {
    write(writer, RESPONSE, &[("content-length", content_length)])
}

fn write<'w>(writer: &'w mut FieldWriter, first: &[(&str, &str)], then: &[(&str, &str)]) -> &'w FieldSection {
    writer.restart();
    for lines in [first, then] {
        for (name, value) in lines {
            writer.push(name.as_bytes(), value.as_bytes());
        }
    }
    writer.section()
}
