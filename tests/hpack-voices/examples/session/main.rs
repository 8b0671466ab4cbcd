//! A client and a server of one implementation, joined by memory, so that `benches/voices sessions` can count what an exchange needs.
//!
//! `session VOICE words|kept N`: so many streams at once, a request of a dozen fields as a browser sends them with a path that
//! changes, a response of eight with a hundred octets. `words`: field sections are made of names and values for each message;
//! `kept`: they were made before, as far as the implementation can keep them. What each side heard is counted, and must be all.

#[path = "../../../../benches/instructions/carry.rs"]
mod carry;
mod nghttp2;
mod ours;
mod theirs;
#[path = "../../../../benches/instructions/work.rs"]
#[expect(dead_code, reason = "the sections of its works are all that is wanted")]
mod work;

use shuntyard_core::fields::FieldWriter;
use shuntyard_hpack_voices::{Line, SEED, lines};

/// Streams that are under way at once.
const STREAMS: usize = 100;
const CONTENT: [u8; 100] = [b'a'; 100];
const WARM_UP: usize = 2000;

/// What is said, and how.
struct Work {
    requests: Vec<Vec<Line>>,
    response: Vec<Line>,
    /// Whether sections are made once only.
    kept: bool,
}

impl Work {
    fn new(kept: bool) -> Self {
        let mut writer = FieldWriter::new(SEED);
        let request = |path: &String| lines(work::write_request(&mut writer, "GET", path, work::BROWSER));
        let requests = work::paths(64).iter().map(request).collect();
        Self { requests, response: lines(work::write_response(&mut writer, "100")), kept }
    }

    /// What a side must have heard after so many exchanges.
    fn after(&self, exchanges: usize) -> [Heard; 2] {
        let (mut server, mut client) = (Heard::default(), Heard::default());
        for request in self.requests.iter().cycle().take(exchanges) {
            for (heard, lines) in [(&mut server, request), (&mut client, &self.response)] {
                heard.head(lines.iter().map(|(name, value)| name.len() + value.len()));
                heard.ended += 1;
            }
            client.content += CONTENT.len();
        }
        [server, client]
    }
}

/// What one side was told by the other.
#[derive(Clone, Debug, Default, PartialEq)]
struct Heard {
    heads: usize,
    fields: usize,
    /// In names and values.
    octets: usize,
    content: usize,
    /// Messages that are whole.
    ended: usize,
}

impl Heard {
    /// A head whose lines have so many octets each.
    #[inline]
    fn head(&mut self, lines: impl Iterator<Item = usize>) {
        self.heads += 1;
        for octets in lines {
            self.fields += 1;
            self.octets += octets;
        }
    }
}

/// Who speaks to itself.
trait Voice {
    /// As many requests as there may be streams, and their responses.
    fn exchange(&mut self);

    /// What the server and the client have heard.
    fn heard(&self) -> [Heard; 2];

    /// Octets from client to server and back, frames and all.
    fn octets(&self) -> [usize; 2];
}

/// What is counted.
#[inline(never)]
fn exchange(voice: &mut dyn Voice) {
    voice.exchange();
}

/// From here on it counts.
#[inline(never)]
fn from_here() {
    std::hint::black_box(());
}

fn main() -> std::process::ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let [name, sections, n] = given.as_slice() else {
        eprintln!("usage: session shuntyard|nghttp2|h2 words|kept N");
        return std::process::ExitCode::from(2);
    };
    let n = n.parse::<usize>().unwrap_or(1).next_multiple_of(STREAMS);
    let work = || Work::new(sections == "kept");
    let mut voice: Box<dyn Voice> = match &name[..] {
        "shuntyard" => Box::new(ours::Session::new(work())),
        "nghttp2" => Box::new(nghttp2::Session::new(work())),
        _ => Box::new(theirs::Session::new(work())),
    };
    for _ in 0..WARM_UP / STREAMS {
        exchange(&mut *voice);
    }
    let before = voice.octets();
    from_here();
    for _ in 0..n / STREAMS {
        exchange(&mut *voice);
    }
    assert_eq!(voice.heard(), work().after(WARM_UP + n), "something did not come whole");
    let [there, back] = voice.octets();
    println!("{n} exchanges, {} octets there, {} back", there - before[0], back - before[1]);
    std::process::ExitCode::SUCCESS
}
