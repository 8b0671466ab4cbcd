//! What the tasks of one worker share: the gateway, and what is known about sockets. Each has its turn with it.

use std::any::Any;
use std::cell::{OnceCell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use shuntyard_adapter::transport::Spare;
use shuntyard_adapter::{
    Backs, Clock, Desk, Observer, Recorded, WALL_CLOCK_INTERVAL, panicked, resolve, wall_clock,
};
use shuntyard_core::gateway::{Action, Command};
use shuntyard_core::time::Instant;
use tokio::task::{AbortHandle, spawn_local};

use crate::Notice;
use crate::alarm::Alarm;
use crate::connection::connect;
use crate::handshakes::Handshakes;
use crate::listener::Listener;
use crate::sockets::{Fate, Socket, Sockets};

/// A worker's tasks meet here, one at a time: no turn lasts across an await.
pub(crate) struct Yard {
    /// The worker's, counted from 0.
    number: usize,
    state: RefCell<State>,
    clock: Clock,
    observer: Option<Observer>,
    /// Where answers of other threads are handed in.
    desk: Desk,
    backs: Backs,
    /// A panic, which may have left the gateway in the middle of something: nobody has a turn with it any more.
    panic: OnceCell<Box<dyn Any + Send>>,
}

pub(crate) struct State {
    pub(crate) gateway: Recorded,
    pub(crate) sockets: Sockets,
    /// Memory for one connection with TLS at a time.
    pub(crate) spare: Spare,
    /// Clients whose handshakes are under way.
    pub(crate) handshakes: Rc<Handshakes>,
    /// Nobody listens any more in a drain.
    pub(crate) listeners: Vec<Listener>,
    /// Whether the gateway takes new connections.
    pub(crate) accepting: bool,
    pub(crate) alarm: Alarm,
    /// When this turn began. The clock is read once a turn.
    pub(crate) now: Instant,
    wall_clock_told: Instant,
    desk: Option<Waker>,
    /// The worker's time is over, and so many connections were cut.
    end: Option<u32>,
}

impl Yard {
    pub(crate) fn new(
        (number, gateway): (usize, Recorded),
        (listeners, backs): (Vec<Listener>, Backs),
        clock: Clock,
        observer: Option<Observer>,
        desk: Desk,
    ) -> Self {
        let now = clock.now();
        let state = State {
            gateway,
            sockets: Sockets::default(),
            spare: Spare::default(),
            handshakes: Rc::default(),
            listeners,
            accepting: true,
            alarm: Alarm::default(),
            now,
            wall_clock_told: now,
            desk: None,
            end: None,
        };
        Self { number, state: RefCell::new(state), clock, observer, desk, backs, panic: OnceCell::new() }
    }

    /// A turn: tells the gateway of `events`, then does what it asks for.
    pub(crate) fn turn<T>(self: &Rc<Self>, events: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.borrow_mut();
        state.now = self.clock.now();
        state.tell_wall_clock();
        let outcome = events(&mut state);
        self.act(&mut state);
        outcome
    }

    /// Does what the gateway asks for.
    pub(crate) fn act(self: &Rc<Self>, state: &mut State) {
        while let Some(action) = state.gateway.poll_action() {
            match action {
                Action::Connect { conn, target, secure } => {
                    let secured = secure.map(|secure| self.backs.begin(&secure));
                    let fate = Fate::default();
                    let task = self.spawn(connect(self.clone(), (conn, fate.clone()), target, secured));
                    state.sockets.insert(conn, Socket::new(task, fate));
                }
                Action::Readable(conn) => state.sockets.rouse(conn, |socket| socket.paused = false),
                Action::Writable(conn) => state.sockets.rouse(conn, |socket| socket.has_output = true),
                Action::Resolve { name, port } => {
                    resolve(name, port, self.desk.clone(), self.observer.clone());
                }
                Action::Shutdown(conn) => state.sockets.rouse(conn, |socket| socket.shutdown = true),
                Action::Close(conn) => state.sockets.close(conn),
                Action::Abort(conn) => state.sockets.abort(conn),
                Action::Accepting(accepting) => {
                    state.accepting = accepting;
                    state.listeners.iter_mut().for_each(Listener::rouse);
                }
                Action::Record(record) => self.observe(Notice::Record { worker: self.number, record }),
                Action::Drained { cut } => state.end(cut),
            }
        }
        while let Some(endpoint) = state.gateway.take_mistaken() {
            self.observe(Notice::AnsweredInHttp1 { endpoint });
        }
        while let Some((endpoint, code, debug_data)) = state.gateway.take_farewell() {
            self.observe(Notice::GoAway { endpoint, code, debug_data });
        }
        state.alarm.advance(state.gateway.poll_timeout());
    }

    /// Starts a task. Where it panics, the worker ends, and no other task of it goes on: the runtime would keep the panic to itself, and let those
    /// that are ready do so.
    pub(crate) fn spawn(self: &Rc<Self>, task: impl Future<Output = ()> + 'static) -> AbortHandle {
        let yard = self.clone();
        let task = async move {
            let mut task = pin!(task);
            poll_fn(|cx| yard.guard(|| task.as_mut().poll(cx))).await;
        };
        spawn_local(task).abort_handle()
    }

    /// Lets somebody go on, unless nobody may any more.
    fn guard<T>(&self, poll: impl FnOnce() -> Poll<T>) -> Poll<T> {
        if self.panic.get().is_some() {
            return Poll::Pending;
        }
        catch_unwind(AssertUnwindSafe(poll)).unwrap_or_else(|panic| {
            // It is the first: behind it nobody comes here.
            let _ = self.panic.set(panic);
            if let Some(waker) = self.state.borrow_mut().desk.take() {
                waker.wake();
            }
            Poll::Pending
        })
    }

    pub(crate) fn observe(&self, notice: Notice) {
        if let Some(observer) = &self.observer {
            observer(notice);
        }
    }

    /// Lets the desk do its part. Ready when the worker's time is over, with the connections that were cut.
    ///
    /// # Errors
    /// Something has panicked.
    pub(crate) fn poll_desk(&self, desk: impl FnOnce() -> Poll<u32>) -> Poll<io::Result<u32>> {
        let end = self.guard(desk);
        match self.panic.get() {
            Some(panic) => Poll::Ready(Err(panicked(&**panic))),
            None => end.map(Ok),
        }
    }

    /// Ready when the worker's time is over, with the connections that were cut.
    pub(crate) fn poll_end(&self, cx: &Context<'_>) -> Poll<u32> {
        let mut state = self.state.borrow_mut();
        match state.end {
            Some(cut) => Poll::Ready(cut),
            None => {
                state.desk = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl State {
    /// The worker's time is over, unless it was already.
    pub(crate) fn end(&mut self, cut: u32) {
        self.end.get_or_insert(cut);
        if let Some(waker) = self.desk.take() {
            waker.wake();
        }
    }

    fn tell_wall_clock(&mut self) {
        if self.now.saturating_since(self.wall_clock_told) >= WALL_CLOCK_INTERVAL {
            self.wall_clock_told = self.now;
            self.gateway.handle_command(Command::WallClock(wall_clock(self.now)), self.now);
        }
    }
}
