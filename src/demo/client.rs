//! The clients: one thread, a connection each, always the same number of requests under way, every octet verified.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use http::{HeaderMap, Response};
use mio::net::TcpStream;
use mio::{Events, Poll, Token};
use shuntyard_adapter::transport::BackTls;
use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::error::ErrorCode;
use shuntyard_core::h2::{Client, ClientEvent, StreamKey};

use super::content::{self, Verifier};
use super::figures::{Figures, Tally};
use super::link::{Link, sleep};
use super::secure::Secure;
use super::work::Work;

/// How long the thread sleeps at most: so late it notices that it shall end, or that patience has.
const TICK: Duration = Duration::from_millis(100);
const BUFFER_OCTETS: usize = 64 << 10;
/// Content that waits in a stream's queue, at most about so much of it.
const QUEUE_OCTETS: usize = 32 << 10;
const BLOCK: usize = 16 << 10;

/// What the clients do.
#[derive(Clone, Debug)]
pub(super) struct Load {
    pub(super) gateway: SocketAddr,
    /// Whom they take for the gateway.
    pub(super) tls: BackTls,
    pub(super) clients: usize,
    /// Requests under way on each connection.
    pub(super) streams: usize,
    /// How long a response may take.
    pub(super) patience: Duration,
}

/// Clients at work.
#[derive(Debug)]
pub(super) struct Clients {
    figures: Arc<Mutex<Figures>>,
    halt: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<()>>,
}

impl Clients {
    /// Connects and begins.
    pub(super) fn start(load: Load) -> io::Result<Self> {
        let figures = Arc::new(Mutex::new(Figures::new(Instant::now())));
        let halt = Arc::new(AtomicBool::new(false));
        let crowd = Crowd::connect(load)?;
        let (counted, halted) = (Arc::clone(&figures), Arc::clone(&halt));
        let thread =
            thread::Builder::new().name("clients".to_owned()).spawn(move || crowd.run(&counted, &halted))?;
        Ok(Self { figures, halt, thread })
    }

    pub(super) fn figures(&self) -> MutexGuard<'_, Figures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether all connections have ended.
    pub(super) fn have_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Gives up: whatever is unanswered has failed.
    pub(super) fn halt(&self) {
        self.halt.store(true, Ordering::Relaxed);
    }
}

/// What the thread of the clients owns.
struct Crowd {
    load: Load,
    poll: Poll,
    customers: Vec<Option<Customer>>,
    next_number: u64,
    buffer: Vec<u8>,
}

impl Crowd {
    fn connect(load: Load) -> io::Result<Self> {
        let poll = Poll::new()?;
        let customers = (0..load.clients)
            .map(|n| {
                let client = Client::new(ConnectionConfig::default(), n as u64).map_err(io::Error::other)?;
                let stream = TcpStream::connect(load.gateway)?;
                let link = Link::new(stream, client, poll.registry(), Token(n))?;
                let link = link.secured(Secure::new(&load.tls)?);
                Ok(Some(Customer { link, exchanges: Vec::new() }))
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { load, poll, customers, next_number: 0, buffer: vec![0; BUFFER_OCTETS] })
    }

    fn run(mut self, figures: &Mutex<Figures>, halt: &AtomicBool) -> io::Result<()> {
        let mut events = Events::with_capacity(256);
        let mut tally = Tally::default();
        loop {
            self.turn(&mut tally);
            if halt.load(Ordering::Relaxed) {
                for customer in self.customers.iter_mut().filter_map(Option::take) {
                    customer.lose("had no whole response when the demo gave up", &mut tally);
                }
            }
            let in_flight = self.customers.iter().flatten().map(|customer| customer.exchanges.len()).sum();
            let mut figures = figures.lock().unwrap_or_else(PoisonError::into_inner);
            figures.add(&mut tally, in_flight, Instant::now());
            drop(figures);
            if self.customers.iter().all(Option::is_none) {
                return Ok(());
            }
            sleep(&mut self.poll, &mut events, Some(TICK))?;
            for event in &events {
                if let Some(Some(customer)) = self.customers.get_mut(event.token().0) {
                    customer.link.note(event);
                }
            }
        }
    }

    fn turn(&mut self, tally: &mut Tally) {
        let Self { load, customers, next_number, buffer, .. } = self;
        for place in customers {
            let Some(customer) = place else { continue };
            let why = match customer.turn(load, next_number, buffer, tally) {
                Ok(()) if customer.link.has_ended() => {
                    "had no whole response when the connection ended".to_owned()
                }
                Ok(()) => continue,
                Err(error) => format!("lost its connection: {error}"),
            };
            if let Some(customer) = place.take() {
                customer.lose(&why, tally);
            }
        }
    }
}

/// A connection and its requests.
struct Customer {
    link: Link<Client>,
    exchanges: Vec<Exchange>,
}

/// A request under way.
struct Exchange {
    stream: StreamKey,
    work: Work,
    verifier: Verifier,
    answered: bool,
    /// Octets of content sent.
    sent: u64,
    sent_all: bool,
    begun: Instant,
}

impl Customer {
    fn turn(
        &mut self,
        load: &Load,
        next_number: &mut u64,
        buffer: &mut [u8],
        tally: &mut Tally,
    ) -> io::Result<()> {
        while self.link.read(buffer)? {
            while let Some(event) = self.link.peer.poll_event().map_err(io::Error::other)? {
                self.take(event, tally);
            }
        }
        self.lose_patience(load.patience, tally);
        while self.exchanges.len() < load.streams && self.link.peer.open_slots() > 0 {
            self.ask(Work::of(*next_number))?;
            *next_number += 1;
        }
        loop {
            let fed = self.feed();
            // What left may have been all that a stream had: its window is open, and nothing else would say so.
            let room = self.link.write()?;
            if !fed && !room || !self.link.is_writable() {
                return Ok(());
            }
        }
    }

    fn ask(&mut self, work: Work) -> io::Result<()> {
        let stream = self.link.peer.send_request(&work.request(), !work.echo).map_err(io::Error::other)?;
        self.exchanges.push(Exchange {
            stream,
            work,
            verifier: Verifier::new(work.number, work.size),
            answered: false,
            sent: 0,
            sent_all: !work.echo,
            begun: Instant::now(),
        });
        Ok(())
    }

    /// Gives each upload something to send, if it lacks it. Whether there was something to give.
    fn feed(&mut self) -> bool {
        let client = &mut self.link.peer;
        let mut fed = false;
        for exchange in self.exchanges.iter_mut().filter(|exchange| !exchange.sent_all) {
            if client.queued(exchange.stream) < QUEUE_OCTETS {
                exchange.feed(client);
                fed = true;
            }
        }
        fed
    }

    fn take(&mut self, event: ClientEvent, tally: &mut Tally) {
        match event {
            ClientEvent::Response { stream, response, end } => {
                self.judge(stream, tally, |exchange, _| {
                    exchange.check_head(&response)?;
                    exchange.answered = true;
                    if end { exchange.check_end(None).map(|()| true) } else { Ok(false) }
                });
            }
            ClientEvent::Data { stream, data, credit, end } => {
                self.judge(stream, tally, |exchange, tally| {
                    exchange.verifier.take(&data)?;
                    tally.verified(data.len());
                    if end { exchange.check_end(None).map(|()| true) } else { Ok(false) }
                });
                self.link.peer.release(stream, credit);
            }
            ClientEvent::Trailers { stream, trailers } => {
                self.judge(stream, tally, |exchange, _| exchange.check_end(Some(&trailers)).map(|()| true))
            }
            ClientEvent::Reset { stream, error_code } => {
                self.judge(stream, tally, |_, _| Err(Wrong::Lost(format!("was reset: {error_code:?}"))));
            }
            ClientEvent::Failed { stream, error } => {
                self.judge(stream, tally, |_, _| Err(Wrong::Lost(format!("broke a rule: {error}"))));
            }
            ClientEvent::Unprocessed { stream } => {
                self.judge(stream, tally, |_, _| Err(Wrong::Lost("was not processed: GOAWAY".to_owned())));
            }
            // The rest is nothing to it.
            _ => {}
        }
    }

    /// Lets `check` look at what came for a request. It says whether the response is whole, or what is wrong.
    fn judge(
        &mut self,
        stream: StreamKey,
        tally: &mut Tally,
        check: impl FnOnce(&mut Exchange, &mut Tally) -> Result<bool, Wrong>,
    ) {
        let Some(place) = self.exchanges.iter().position(|exchange| exchange.stream == stream) else {
            return;
        };
        match check(&mut self.exchanges[place], tally) {
            Ok(false) => {}
            Ok(true) => {
                let exchange = self.exchanges.swap_remove(place);
                tally.succeed(exchange.begun.elapsed());
            }
            Err(wrong) => {
                let exchange = self.exchanges.swap_remove(place);
                tally.fail(matches!(wrong, Wrong::Content(_)), || exchange.complaint(&wrong.to_string()));
                self.link.peer.reset(stream, ErrorCode::CANCEL);
            }
        }
    }

    fn lose_patience(&mut self, patience: Duration, tally: &mut Tally) {
        let now = Instant::now();
        while let Some(late) =
            self.exchanges.iter().position(|exchange| now.duration_since(exchange.begun) > patience)
        {
            let exchange = self.exchanges.swap_remove(late);
            tally.fail(false, || exchange.complaint(&format!("had no whole response within {patience:?}")));
            self.link.peer.reset(exchange.stream, ErrorCode::CANCEL);
        }
    }

    /// The connection is over: what is unanswered has failed.
    fn lose(self, why: &str, tally: &mut Tally) {
        for exchange in self.exchanges {
            tally.fail(false, || exchange.complaint(why));
        }
    }
}

/// What is wrong with a response.
enum Wrong {
    Content(content::Fault),
    Trailers,
    Lost(String),
}

impl From<content::Fault> for Wrong {
    fn from(fault: content::Fault) -> Self {
        Self::Content(fault)
    }
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Content(fault) => write!(f, "got wrong content: {fault}"),
            Self::Trailers => f.write_str("got wrong trailers"),
            Self::Lost(why) => f.write_str(why),
        }
    }
}

impl Exchange {
    /// The next block of content, then its end.
    fn feed(&mut self, client: &mut Client) {
        let mut block = [0; BLOCK];
        let n = (self.work.size - self.sent).min(BLOCK as u64) as usize;
        content::fill(self.work.number, self.sent, &mut block[..n]);
        self.sent += n as u64;
        self.sent_all = self.sent == self.work.size;
        let end = self.sent_all && !self.work.trailers;
        // A stream that is gone has an event that says so.
        let _ = client.send_data(self.stream, &block[..n], end);
        if self.sent_all && self.work.trailers {
            let _ = client.send_trailers(self.stream, &self.work.trailers());
        }
    }

    fn check_head(&self, response: &Response<()>) -> Result<(), Wrong> {
        let headers = response.headers();
        if response.status() != 200 {
            let why =
                headers.get("proxy-status").and_then(|why| why.to_str().ok()).unwrap_or("no reason given");
            return Err(Wrong::Lost(format!("was answered {}: {why}", response.status())));
        }
        let declared = headers.get("content-length").map(|length| length.to_str().ok()?.parse().ok());
        if declared != self.work.declared.then_some(Some(self.work.size)) {
            return Err(Wrong::Lost("was answered with a wrong content-length".to_owned()));
        }
        Ok(())
    }

    fn check_end(&self, trailers: Option<&HeaderMap>) -> Result<(), Wrong> {
        self.verifier.finish()?;
        let expected = self.work.trailers.then(|| self.work.trailers());
        if trailers == expected.as_ref() { Ok(()) } else { Err(Wrong::Trailers) }
    }

    fn complaint(&self, why: &str) -> String {
        let request = self.work.request();
        let progress = if self.answered { ", its response had begun," } else { "" };
        format!(
            "request {} ({} {}){progress} {why}",
            self.work.number,
            request.method(),
            request.uri().path()
        )
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use shuntyard_core::window::Credit;

    use super::super::certificate::Certificate;
    use super::*;

    fn silence() -> (TcpListener, Load) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let gateway = listener.local_addr().expect("an address");
        let tls = Certificate::new().expect("a certificate").back;
        (listener, Load { gateway, tls, clients: 2, streams: 3, patience: Duration::from_millis(50) })
    }

    /// One request, and a response with this content.
    fn answer(alter: impl FnOnce(&mut Vec<u8>)) -> Tally {
        let (_listener, load) = silence();
        let mut crowd = Crowd::connect(load).expect("clients");
        let customer = crowd.customers[0].as_mut().expect("a client");
        let work = Work { number: 5, size: 3000, echo: false, trailers: false, declared: false };
        customer.ask(work).expect("a slot");
        let stream = customer.exchanges[0].stream;
        let mut content = vec![0; 3000];
        content::fill(5, 0, &mut content);
        alter(&mut content);
        let mut tally = Tally::default();
        customer.take(ClientEvent::Response { stream, response: Response::new(()), end: false }, &mut tally);
        for (n, piece) in content.chunks(1000).enumerate() {
            let end = (n + 1) * 1000 >= content.len();
            let data = bytes::Bytes::copy_from_slice(piece);
            customer.take(ClientEvent::Data { stream, data, credit: Credit::none(), end }, &mut tally);
        }
        assert!(customer.exchanges.is_empty());
        tally
    }

    fn counts(mut tally: Tally) -> (u64, u64, u64) {
        let mut figures = Figures::new(Instant::now());
        figures.add(&mut tally, 0, Instant::now());
        assert_eq!(figures.complaints.len() as u64, figures.failed);
        (figures.requests, figures.failed, figures.wrong)
    }

    #[test]
    fn a_right_response_counts_and_one_flipped_octet_fails() {
        assert_eq!(counts(answer(|_| {})), (1, 0, 0));
        assert_eq!(counts(answer(|content| content[1234] ^= 1)), (0, 1, 1));
        assert_eq!(counts(answer(|content| content.truncate(2999))), (0, 1, 1));
        assert_eq!(counts(answer(|content| content.push(0))), (0, 1, 1));
    }

    #[test]
    fn a_gateway_that_never_answers_is_noticed_and_the_clients_end() {
        let (_listener, load) = silence();
        let clients = Clients::start(load).expect("clients");
        while clients.figures().failed < 6 {
            thread::sleep(Duration::from_millis(10));
        }
        clients.halt();
        while !clients.have_ended() {
            thread::sleep(Duration::from_millis(10));
        }
        let figures = clients.figures();
        assert_eq!((figures.requests, figures.in_flight, figures.wrong), (0, 0, 0));
        assert!(
            figures.complaints[0].contains("had no whole response within 50ms"),
            "{:?}",
            figures.complaints
        );
    }
}
