//! What the clients ask for: the request with a number is always the same.

use http::{HeaderMap, HeaderName, HeaderValue, Request};
use shuntyard_core::random::Random;

/// The smallest and the largest content, in octets.
const MIN_SIZE: u64 = 100;
const MAX_SIZE: u64 = 1 << 20;

/// The field that trailers bear: the number of the request.
const CHECK: HeaderName = HeaderName::from_static("demo-number");
const SIZE: HeaderName = HeaderName::from_static("demo-size");

/// One request and what is expected of its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) number: u64,
    /// Octets of content: of the response, and of the request where it is echoed.
    pub(super) size: u64,
    /// The content is sent, and is to come back.
    pub(super) echo: bool,
    /// The message with the content ends with trailers.
    pub(super) trailers: bool,
    /// The length of the content is said in advance.
    pub(super) declared: bool,
}

impl Work {
    /// The request with this number: two in seven are POSTs, one in eleven has trailers, small ones are frequent.
    pub(super) fn of(number: u64) -> Self {
        let mut random = Random::new(number ^ 0x6465_6d6f);
        let echo = random.next_u64() % 7 < 2;
        Self {
            number,
            size: size(random.next_u64()),
            echo,
            trailers: random.next_u64().is_multiple_of(11),
            declared: random.next_u64().is_multiple_of(2),
        }
    }

    /// Reads back what [`request`](Self::request) wrote. `None`: somebody else's request.
    pub(super) fn from_request<T>(request: &Request<T>) -> Option<Self> {
        let uri = request.uri();
        let mut segments = uri.path().strip_prefix('/')?.split('/');
        let echo = match segments.next()? {
            "content" => false,
            "echo" => true,
            _ => return None,
        };
        let number = segments.next()?.parse().ok()?;
        let size = segments.next()?.parse().ok()?;
        let options = uri.query().unwrap_or("");
        segments.next().is_none().then_some(Self {
            number,
            size,
            echo,
            trailers: options.split('&').any(|option| option == "trailers"),
            declared: options.split('&').any(|option| option == "declared"),
        })
    }

    /// The request's head.
    pub(super) fn request(&self) -> Request<()> {
        let Self { number, size, echo, trailers, declared } = *self;
        let kind = if echo { "echo" } else { "content" };
        let options = match (trailers, declared) {
            (false, false) => "",
            (true, false) => "?trailers",
            (false, true) => "?declared",
            (true, true) => "?trailers&declared",
        };
        let uri = format!("http://demo.test/{kind}/{number}/{size}{options}");
        let mut request = Request::new(());
        *request.uri_mut() = uri.parse().expect("letters and digits");
        request.headers_mut().insert("user-agent", HeaderValue::from_static("shuntyard-demo"));
        if echo {
            *request.method_mut() = http::Method::POST;
            if declared {
                request.headers_mut().insert("content-length", size.into());
            }
        }
        request
    }

    /// The trailers that belong to its content.
    pub(super) fn trailers(&self) -> HeaderMap {
        let mut trailers = HeaderMap::new();
        trailers.insert(CHECK, self.number.into());
        trailers.insert(SIZE, self.size.into());
        trailers
    }
}

/// Sizes are spread over all magnitudes, the larger the rarer.
fn size(random: u64) -> u64 {
    let share = (random >> 11) as f64 / (1u64 << 53) as f64;
    let span = (MAX_SIZE as f64 / MIN_SIZE as f64).ln();
    let size = MIN_SIZE as f64 * (span * share.powi(3)).exp();
    (size as u64).clamp(MIN_SIZE, MAX_SIZE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_say_all_that_the_work_is() {
        for number in 0..1000 {
            let work = Work::of(number);
            assert_eq!(Work::from_request(&work.request()), Some(work));
            assert!((MIN_SIZE..=MAX_SIZE).contains(&work.size));
        }
        for other in ["/", "/content", "/content/1", "/content/1/2/3", "/echo/x/1", "/content/1/-1"] {
            let request = Request::get(other).body(()).expect("a request");
            assert_eq!(Work::from_request(&request), None, "{other}");
        }
    }

    #[test]
    fn all_kinds_of_work_are_among_the_first() {
        let all: Vec<Work> = (0..1000).map(Work::of).collect();
        assert!(all.iter().any(|work| work.size < 200) && all.iter().any(|work| work.size > 500_000));
        for kind in 0..8 {
            let [echo, trailers, declared] = [1, 2, 4].map(|bit| kind & bit != 0);
            let like = |work: &&Work| (work.echo, work.trailers, work.declared) == (echo, trailers, declared);
            assert!(all.iter().any(|work| like(&work)), "{kind}");
        }
    }
}
