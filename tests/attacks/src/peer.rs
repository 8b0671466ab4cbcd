//! The attacker's end of one connection.

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use shuntyard_sim::refcodec::frame::{Frame, PREFACE};
use shuntyard_sim::refcodec::hpack::{Encoder, Indexing};
use shuntyard_sim::refcodec::{Field, field};

use crate::windows::Windows;

/// A turn that the proxy does not take within this is given up, so that the rest of the measure goes on.
const WRITE_PATIENCE: Duration = Duration::from_millis(50);

/// A connection that says what it likes.
#[derive(Debug)]
pub struct Peer {
    socket: TcpStream,
    began: Instant,
    /// Octets that a turn wrote in part: frames must not be torn.
    unsent: Vec<u8>,
    encoder: Encoder,
    next_stream: u32,
    said: u64,
    heard: Arc<AtomicU64>,
    /// Octets of content that each stream has sent.
    uploaded: HashMap<u32, u64>,
    windows: Arc<Mutex<Windows>>,
    /// Nothing that comes is read any more.
    deaf: Arc<AtomicBool>,
    /// Milliseconds after the beginning, and one: 0 while it stands.
    ended: Arc<AtomicU64>,
}

impl Peer {
    /// Connects; with `reads` everything that comes is read, counted and thrown away.
    ///
    /// # Errors
    ///
    /// Those of the sockets.
    pub fn connect(proxy: SocketAddr, reads: bool) -> io::Result<Self> {
        let socket = TcpStream::connect(proxy)?;
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(WRITE_PATIENCE))?;
        let peer = Self {
            socket,
            began: Instant::now(),
            unsent: Vec::new(),
            encoder: Encoder::default(),
            next_stream: 1,
            said: 0,
            heard: Arc::default(),
            uploaded: HashMap::new(),
            windows: Arc::default(),
            deaf: Arc::default(),
            ended: Arc::default(),
        };
        if reads {
            let (mut socket, heard, ended) =
                (peer.socket.try_clone()?, peer.heard.clone(), peer.ended.clone());
            let (began, windows, deaf) = (peer.began, peer.windows.clone(), peer.deaf.clone());
            thread::spawn(move || {
                let mut octets = vec![0; 65_536];
                while let Ok(n @ 1..) = socket.read(&mut octets) {
                    heard.fetch_add(n as u64, Ordering::Relaxed);
                    held(&windows).hear(octets.get(..n).unwrap_or_default());
                    if deaf.load(Ordering::Relaxed) {
                        return;
                    }
                }
                end(&ended, began);
            });
        }
        Ok(peer)
    }

    /// When the proxy ended the connection, after its beginning.
    pub fn ended(&self) -> Option<Duration> {
        self.ended.load(Ordering::Relaxed).checked_sub(1).map(Duration::from_millis)
    }

    /// Octets that the proxy took.
    pub const fn said(&self) -> u64 {
        self.said
    }

    /// Octets that came.
    pub fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    /// Reads nothing any more: what comes stays with the kernel, and then with the proxy.
    pub fn stop_reading(&self) {
        self.deaf.store(true, Ordering::Relaxed);
    }

    /// The connection's time so far.
    pub fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// Says octets. Those that the proxy does not take now are said later, and what comes meanwhile is left out as a whole.
    ///
    /// # Errors
    ///
    /// The proxy has ended the connection.
    pub fn say(&mut self, octets: &[u8]) -> io::Result<()> {
        if self.unsent.is_empty() {
            self.unsent.extend_from_slice(octets);
        }
        while !self.unsent.is_empty() {
            match self.socket.write(&self.unsent) {
                Ok(n) => {
                    self.unsent.drain(..n);
                    self.said += n as u64;
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Ok(());
                }
                Err(error) => {
                    end(&self.ended, self.began);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Says frames.
    ///
    /// # Errors
    ///
    /// As [`say`](Self::say).
    pub fn frames(&mut self, frames: impl IntoIterator<Item = Frame>) -> io::Result<()> {
        self.say(&[])?;
        let octets: Vec<u8> = frames.into_iter().flat_map(|frame| frame.encode()).collect();
        self.say(&octets)
    }

    /// Whether octets wait that the proxy did not take.
    pub const fn is_blocked(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Preface and SETTINGS, as anybody says them.
    ///
    /// # Errors
    ///
    /// As [`say`](Self::say).
    pub fn greet(&mut self) -> io::Result<()> {
        self.greet_with(vec![])
    }

    /// Likewise with settings.
    ///
    /// # Errors
    ///
    /// As [`say`](Self::say).
    pub fn greet_with(&mut self, settings: Vec<(u16, u32)>) -> io::Result<()> {
        let mut octets = PREFACE.to_vec();
        octets.extend(Frame::Settings { ack: false, settings }.encode());
        octets.extend(Frame::Settings { ack: true, settings: vec![] }.encode());
        self.say(&octets)?;
        // The proxy's own SETTINGS may limit what is said next.
        thread::sleep(Duration::from_millis(100));
        Ok(())
    }

    /// A stream that was not used yet.
    pub const fn new_stream(&mut self) -> u32 {
        self.next_stream += 2;
        self.next_stream - 2
    }

    /// Whether a stream was used.
    pub const fn has_opened(&self) -> bool {
        self.next_stream > 1
    }

    /// All streams that were used.
    pub fn opened(&self) -> impl Iterator<Item = u32> + use<> {
        (1..self.next_stream).step_by(2)
    }

    /// How many streams were used that the proxy has not ended, as far as has been heard.
    pub fn open_streams(&self) -> u64 {
        u64::from(self.next_stream / 2).saturating_sub(held(&self.windows).over())
    }

    /// Octets of content that were sent on a stream.
    pub fn uploaded(&self, stream: u32) -> u64 {
        self.uploaded.get(&stream).copied().unwrap_or(0)
    }

    /// Sends so many DATA frames of `size` octets at most each, where the windows allow it: smaller ones, or none, where they do not.
    ///
    /// # Errors
    ///
    /// As [`say`](Self::say).
    pub fn upload(&mut self, stream: u32, size: usize, frames: usize) -> io::Result<()> {
        self.say(&[])?;
        // What is left out must not be taken from the windows.
        if self.is_blocked() {
            return Ok(());
        }
        let mut windows = held(&self.windows);
        let sizes: Vec<_> =
            (0..frames).map(|_| windows.take(stream, size)).take_while(|&size| size > 0).collect();
        drop(windows);
        *self.uploaded.entry(stream).or_default() += sizes.iter().sum::<usize>() as u64;
        let data = |size| Frame::Data { stream, content: vec![b'u'; size], padding: None, end: false };
        self.frames(sizes.into_iter().map(data))
    }

    /// HEADERS of a request on a new stream, and that stream.
    pub fn request(&mut self, method: &str, path: &str, more: &[Field], end: bool) -> (u32, Frame) {
        let stream = self.new_stream();
        let mut fields = vec![
            field(":method", method),
            field(":scheme", "http"),
            field(":authority", "victim.example"),
            field(":path", path),
        ];
        fields.extend_from_slice(more);
        let block = self.encoder.encode(&fields, Indexing::Incremental);
        (stream, Frame::Headers { stream, block, padding: None, priority: None, end_headers: true, end })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The reading thread ends with it. It may have ended already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

/// Nobody leaves windows half changed.
fn held(windows: &Mutex<Windows>) -> MutexGuard<'_, Windows> {
    windows.lock().unwrap_or_else(PoisonError::into_inner)
}

fn end(ended: &AtomicU64, began: Instant) {
    let at = 1 + u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
    // Who notices first has the time.
    let _ = ended.compare_exchange(0, at, Ordering::Relaxed, Ordering::Relaxed);
}
