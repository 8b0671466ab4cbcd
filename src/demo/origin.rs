//! An origin: a thread that listens and answers, and does what the story orders.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token, Waker};
use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::h2::Server;
use socket2::{Domain, Protocol, Socket, Type};

use super::link::{Link, sleep};
use super::session::{Pace, SLOW_INTERVAL, Session, Turn};

const LISTENER: Token = Token(0);
const WAKER: Token = Token(1);
const BACKLOG: i32 = 128;
const BUFFER_OCTETS: usize = 64 << 10;

/// What an origin can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Pace(Pace),
    Leave,
    Renew,
    Return,
    Stop,
}

/// How an origin is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Serving,
    Slow,
    /// GOAWAY was said, the listener is closed, streams are finished.
    Leaving,
    /// Nothing listens and no connection is left.
    Away,
}

/// What an origin says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) state: State,
    pub(super) connections: usize,
    pub(super) streams: usize,
    /// Responses that left whole.
    pub(super) answered: u64,
    /// Responses that were cut by the end of their connection.
    pub(super) unfinished: u64,
}

/// An origin that runs.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) name: &'static str,
    pub(super) address: SocketAddr,
    status: Arc<Mutex<Status>>,
    orders: Sender<Order>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Origin {
    /// Listens on a port that the kernel picks, and serves at most `streams` requests at a time on a connection.
    pub(super) fn start(name: &'static str, streams: u32) -> io::Result<Self> {
        let socket = bound(([127, 0, 0, 1], 0).into())?;
        let address = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let (sender, orders) = channel();
        let status = Arc::new(Mutex::new(Status::default()));
        let mut house = House {
            config: ConnectionConfig { max_concurrent_streams: streams, ..ConnectionConfig::default() },
            poll,
            listener: None,
            // Bound and not listening, so that nobody else gets the port while the origin is away.
            reserved: bound(address)?,
            address,
            orders,
            sessions: BTreeMap::new(),
            next_token: WAKER.0 + 1,
            status: Status::default(),
            published: Arc::clone(&status),
            buffer: vec![0; BUFFER_OCTETS],
        };
        house.listen(socket)?;
        let thread = thread::Builder::new().name(format!("origin-{name}")).spawn(move || house.run())?;
        Ok(Self { name, address, status, orders: sender, waker, thread: Some(thread) })
    }

    pub(super) fn status(&self) -> Status {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers late and in small pieces from now on, or no longer.
    pub(super) fn pace(&self, pace: Pace) {
        self.order(Order::Pace(pace));
    }

    /// Says GOAWAY on its connections, finishes what is under way and takes new ones.
    pub(super) fn renew(&self) {
        self.order(Order::Renew);
    }

    /// Stops listening, says GOAWAY and finishes what is under way.
    pub(super) fn leave(&self) {
        self.order(Order::Leave);
    }

    /// Listens again, on the same port.
    pub(super) fn come_back(&self) {
        self.order(Order::Return);
    }

    /// Whether its thread has ended although nobody said so.
    pub(super) fn has_failed(&self) -> bool {
        self.thread.as_ref().is_some_and(JoinHandle::is_finished)
    }

    fn order(&self, order: Order) {
        // An origin that has failed is noticed otherwise.
        let _ = self.orders.send(order);
        let _ = self.waker.wake();
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.order(Order::Stop);
        if let Some(thread) = self.thread.take() {
            // It owns all that it waits for: the order ends it.
            let _ = thread.join();
        }
    }
}

/// A socket of its own on an address that several of ours share.
fn bound(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// What the thread of an origin owns.
struct House {
    config: ConnectionConfig,
    poll: Poll,
    listener: Option<TcpListener>,
    reserved: Socket,
    address: SocketAddr,
    orders: Receiver<Order>,
    sessions: BTreeMap<usize, Session>,
    next_token: usize,
    status: Status,
    published: Arc<Mutex<Status>>,
    buffer: Vec<u8>,
}

impl House {
    fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(256);
        loop {
            let busy = self.status.state == State::Slow && self.status.streams > 0;
            sleep(&mut self.poll, &mut events, busy.then_some(SLOW_INTERVAL))?;
            for event in &events {
                if let Some(session) = self.sessions.get_mut(&event.token().0) {
                    session.link().note(event);
                }
            }
            while let Ok(order) = self.orders.try_recv() {
                match order {
                    Order::Pace(Pace::Swift) => self.status.state = State::Serving,
                    Order::Pace(Pace::Slow) => self.status.state = State::Slow,
                    Order::Leave => self.leave()?,
                    Order::Renew => self.sessions.values_mut().for_each(Session::leave),
                    Order::Return => self.come_back()?,
                    Order::Stop => return Ok(()),
                }
            }
            self.accept()?;
            self.turn();
            *self.published.lock().unwrap_or_else(PoisonError::into_inner) = self.status;
        }
    }

    fn listen(&mut self, socket: Socket) -> io::Result<()> {
        socket.listen(BACKLOG)?;
        let mut listener = TcpListener::from_std(socket.into());
        self.poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        self.listener = Some(listener);
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        while let Some(listener) = &self.listener {
            match listener.accept() {
                Ok((stream, _)) => {
                    let server =
                        Server::new(self.config.clone(), self.next_token as u64).map_err(io::Error::other)?;
                    let link = Link::new(stream, server, self.poll.registry(), Token(self.next_token))?;
                    self.sessions.insert(self.next_token, Session::new(link));
                    self.next_token += 1;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // The connection that was next has gone.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn turn(&mut self) {
        let pace = if self.status.state == State::Slow { Pace::Slow } else { Pace::Swift };
        let now = Instant::now();
        let Self { sessions, status, buffer, .. } = self;
        sessions.retain(|_, session| match session.turn(pace, now, buffer, &mut status.answered) {
            Turn::Open => true,
            Turn::Over { unfinished } => {
                status.unfinished += unfinished as u64;
                false
            }
        });
        status.connections = sessions.len();
        status.streams = sessions.values().map(Session::streams).sum();
        if status.state == State::Leaving && sessions.is_empty() {
            status.state = State::Away;
        }
    }

    fn leave(&mut self) -> io::Result<()> {
        // Whoever stands in the kernel's queue is connected as far as they know.
        self.accept()?;
        self.listener = None;
        self.sessions.values_mut().for_each(Session::leave);
        self.status.state = State::Leaving;
        Ok(())
    }

    fn come_back(&mut self) -> io::Result<()> {
        let next = bound(self.address)?;
        let socket = std::mem::replace(&mut self.reserved, next);
        self.listen(socket)?;
        self.status.state = State::Serving;
        Ok(())
    }
}
