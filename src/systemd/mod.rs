//! What the program has with systemd, or whoever else started it by the same rules: it says how it stands ([`notify`], sd_notify(3)), by signs of life, too, and
//! takes sockets over that were opened for it ([`sockets`], sd_listen_fds(3)). From a shell nothing of this happens.

mod notify;
mod sockets;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use shuntyard_adapter::Handle;

use crate::pulse;
use notify::Socket;
pub(crate) use sockets::{addresses, opened, take, unused, used};

/// Whoever wants to be told how the program stands, if anybody does.
#[derive(Clone, Default)]
pub(crate) struct Manager(Option<Arc<Told>>);

struct Told {
    socket: Socket,
    stage: Mutex<Stage>,
}

/// What was told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing yet. Of a reload meanwhile nothing is told: its end would say that all is ready.
    Starting,
    Ready,
    /// That it ends. Nothing leads back from there.
    Stopping,
}

impl Manager {
    /// The one that the environment names (NOTIFY_SOCKET). A name that nobody can have is said, and told nothing.
    pub(crate) fn of_environment() -> Self {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Self::default();
        };
        match Socket::named(&name) {
            Ok(socket) => Self::told_by(socket),
            Err(error) => {
                tracing::warn!(
                    "the service manager is not told how it goes: NOTIFY_SOCKET {name:?}: {error}"
                );
                Self::default()
            }
        }
    }

    fn told_by(socket: Socket) -> Self {
        Self(Some(Arc::new(Told { socket, stage: Mutex::new(Stage::Starting) })))
    }

    /// All listeners are bound, and workers serve.
    fn ready(&self, status: &str) {
        self.tell(&[Stage::Starting], Stage::Ready, || format!("READY=1\n{}", in_a_line(status)));
    }

    /// The configuration is about to be read again.
    pub(crate) fn reloading(&self) {
        self.tell(&[Stage::Ready], Stage::Ready, || {
            format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic_usec())
        });
    }

    /// It was, and was taken or refused.
    pub(crate) fn reloaded(&self, status: &str) {
        self.tell(&[Stage::Ready], Stage::Ready, || format!("READY=1\n{}", in_a_line(status)));
    }

    /// It is about to end, or has come nearer to that.
    pub(crate) fn stopping(&self, status: &str) {
        let text = || format!("STOPPING=1\n{}", in_a_line(status));
        self.tell(&[Stage::Starting, Stage::Ready, Stage::Stopping], Stage::Stopping, text);
    }

    /// Tells something if one of these stages holds, and which one does from then on.
    fn tell(&self, at: &[Stage], then: Stage, text: impl FnOnce() -> String) {
        let Some(told) = &self.0 else { return };
        // A stage that is replaced as a whole is whole.
        let mut stage = told.stage.lock().unwrap_or_else(PoisonError::into_inner);
        if at.contains(&stage) {
            *stage = then;
            told.socket.send(&text());
        }
    }

    /// Tells that it is ready as soon as every worker of this handle answers, and from then on gives signs of life where they are expected: one for each time
    /// that all workers that have not ended have answered. A worker that does not turn ends them.
    pub(crate) fn attend(
        &self,
        handle: Handle,
        status: impl FnOnce() -> String + Send + 'static,
    ) -> io::Result<()> {
        if self.0.is_none() {
            return Ok(());
        }
        let (manager, interval) = (self.clone(), notify::watchdog_interval());
        let attend = move || {
            if !is_serving(&handle) {
                return;
            }
            manager.ready(&status());
            if let Some(interval) = interval {
                manager.live(&handle, interval);
            }
        };
        thread::Builder::new().name("systemd".to_owned()).spawn(attend).map(drop)
    }

    /// Gives signs of life, for as long as the program lasts.
    fn live(&self, handle: &Handle, interval: Duration) {
        let Some(told) = &self.0 else { return };
        loop {
            let asked = Instant::now();
            // Who was late is asked again at once, which takes its time: there is not always time for another interval.
            if pulse::ask(handle, |_, _| ()).is_some() {
                told.socket.send("WATCHDOG=1");
                thread::sleep(interval.saturating_sub(asked.elapsed()));
            }
        }
    }
}

/// Waits until every worker serves: what is asked before it does is answered then. `false`: one has ended before.
fn is_serving(handle: &Handle) -> bool {
    loop {
        if let Some(answers) = pulse::ask(handle, |_, _| ()) {
            return answers.len() == handle.workers();
        }
    }
}

/// What people read. A line that ends within would begin another word.
fn in_a_line(status: &str) -> String {
    let plain = |of: char| if of.is_control() { ' ' } else { of };
    format!("STATUS={}", status.chars().map(plain).collect::<String>())
}

fn monotonic_usec() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::path::PathBuf;

    use shuntyard_adapter::{Backs, Desk, Order};
    use shuntyard_core::address::Address;
    use shuntyard_core::config::Config;
    use shuntyard_core::gateway::Gateway;
    use shuntyard_core::time::WallClock;

    use super::*;

    /// A manager that is told, and what it hears.
    struct Heard {
        manager: Manager,
        hears: UnixDatagram,
        path: PathBuf,
    }

    impl Heard {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("shuntyard-manager-{}-{name}", std::process::id()));
            let hears = UnixDatagram::bind(&path).unwrap();
            hears.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            let manager = Manager::told_by(Socket::named(path.as_os_str()).unwrap());
            Self { manager, hears, path }
        }

        fn next(&self) -> String {
            let mut octets = [0; 1024];
            let n = self.hears.recv(&mut octets).unwrap();
            String::from_utf8(octets[..n].to_vec()).unwrap()
        }

        fn hears_nothing(&self) -> bool {
            self.hears.set_nonblocking(true).unwrap();
            let nothing = self.hears.recv(&mut [0; 8]).is_err();
            self.hears.set_nonblocking(false).unwrap();
            nothing
        }
    }

    impl Drop for Heard {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.path);
        }
    }

    fn answering() -> Desk {
        Arc::new(|order| {
            let Order::Inspect(look) = order else { return };
            let now = shuntyard_core::time::Instant::ZERO;
            let config = Config::new(vec![Address::Unix("/run/a".into())]);
            look(&Gateway::new(config, 1, now, WallClock { at: now, unix_seconds: 0 }).unwrap(), now);
        })
    }

    #[test]
    fn stages_follow_each_other() {
        let heard = Heard::new("stages");
        let manager = &heard.manager;
        manager.reloading();
        manager.reloaded("too early");
        manager.ready("Serving\n1 listener");
        assert_eq!(heard.next(), "READY=1\nSTATUS=Serving 1 listener");
        manager.reloading();
        let before = monotonic_usec();
        let at = heard.next().strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().parse::<i64>().unwrap();
        assert!((1..=before).contains(&at));
        manager.reloaded("Serving");
        assert_eq!(heard.next(), "READY=1\nSTATUS=Serving");
        for status in ["Waiting", "Draining"] {
            manager.stopping(status);
            assert_eq!(heard.next(), format!("STOPPING=1\nSTATUS={status}"));
        }
        manager.reloading();
        manager.reloaded("too late");
        manager.ready("too late");
        assert!(heard.hears_nothing());
    }

    /// Then whoever waits for signs of life ends the program.
    #[test]
    fn a_worker_that_is_stuck_ends_signs_of_life() {
        let heard = Heard::new("stuck");
        let ended: Desk = Arc::new(drop);
        let handle = Handle::new(vec![answering(), ended], Backs::default());
        let manager = heard.manager.clone();
        thread::spawn(move || manager.live(&handle, Duration::from_millis(10)));
        assert_eq!([heard.next(), heard.next()], ["WATCHDOG=1", "WATCHDOG=1"]);

        let heard = Heard::new("alone");
        let kept: Mutex<Vec<Order>> = Mutex::default();
        let stuck: Desk = Arc::new(move |order| kept.lock().unwrap().push(order));
        let handle = Handle::new(vec![answering(), stuck], Backs::default());
        let manager = heard.manager.clone();
        thread::spawn(move || manager.live(&handle, Duration::from_millis(10)));
        thread::sleep(pulse::PATIENCE + Duration::from_millis(500));
        assert!(heard.hears_nothing());
    }

    #[test]
    fn it_is_ready_once_every_worker_answers() {
        let heard = Heard::new("ready");
        let (sender, orders) = std::sync::mpsc::channel();
        let sender = Mutex::new(sender);
        let waits: Desk = Arc::new(move |order| sender.lock().unwrap().send(order).unwrap());
        let handle = Handle::new(vec![answering(), waits], Backs::default());
        heard.manager.attend(handle, || "Serving".to_owned()).unwrap();
        let order = orders.recv().unwrap();
        assert!(heard.hears_nothing());
        answering()(order);
        assert_eq!(heard.next(), "READY=1\nSTATUS=Serving");
    }
}
