//! The memory that a configuration can come to, as a formula.

use crate::config::{Config, ConnectionConfig, RouteConfig};

/// What a gateway of some configuration may hold at most, in octets. Nothing that a peer sends exceeds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryBound {
    /// The terms of the sum, the largest first, each with its name.
    pub terms: Vec<(&'static str, u64)>,
}

/// The state of a connection beside its buffers and tables: structures, slabs of streams that have grown, what its encoder has
/// translated (at most 4 KiB) and kept of blocks (2 KiB) and of sections (at most two, of 1.75 KiB each), and blocks that its decoder has kept
/// (at most two, and two without their paths, with 2 KiB each), and signals of priorities that came early (at most a thousand, 8 KiB). One of HTTP/1.1 keeps two heads of requests (with 3 KiB each) and one of a
/// response (1 KiB) in place of those.
const CONNECTION_OCTETS: u64 = 28 << 10;
/// The state of a request beside large fields and content: its own and that of its two streams, a head, two trailer sections, and four queues of the least size.
const REQUEST_OCTETS: u64 = 12 << 10;
/// A client's place in the queue of one upstream.
const LANE_OCTETS: u64 = 256;
/// What is kept for use between connections: [`gateway`](crate::gateway) keeps 4 MiB of sections, content and large outboxes, one of
/// other outboxes, less than two of sections that came again (128, of 1 KiB and what is added or was taken out), and less than three of
/// lines that tables of sleepers have in common (4096, of 512 octets and what is added).
const SPARE_OCTETS: u64 = 10 << 20;
/// A frame of the largest size that we announce, with its head.
const FRAME_OCTETS: u64 = 16_384 + 9;

impl MemoryBound {
    /// The sum.
    pub fn total(&self) -> u64 {
        self.terms.iter().fold(0, |sum, &(_, octets)| sum.saturating_add(octets))
    }
}

impl Config {
    /// The memory that one gateway (one worker) may come to:
    ///
    /// ```text
    ///   ledger                                     what backends may send
    /// + upload ledger                              what clients sent and nobody took
    /// + 4.25 x replay ledger                       what is kept to be sent again, and is on its way again
    /// + 2 x head ledger                            heads and trailers
    /// + fronts x (2.25 x window + connection)      clients without memory of that ledger; outbox, inbox, tables
    /// + fronts x streams x request                 all else of requests
    /// + fronts x upstreams x lane                  places in queues
    /// + connections x connection                   backends
    /// + shared buffers
    /// ```
    ///
    /// Queues have memory in powers of two, and an eighth more where some of it has left: the first two terms count as so much more, and the windows
    /// of connections as nine quarters.
    ///
    /// It is what hostile clients can drive a gateway to that takes as many of them as it may. Ordinary ones stay orders of
    /// magnitude below. What bounds it in practice is `max_fronts`.
    ///
    /// ```
    /// use shuntyard_core::config::Config;
    ///
    /// let mut config = Config::new(Vec::new());
    /// config.max_fronts = 1000;
    /// let thousand = config.memory_bound().total();
    /// config.max_fronts = 2000;
    /// assert!(config.memory_bound().total() > thousand);
    /// ```
    pub fn memory_bound(&self) -> MemoryBound {
        let fronts = u64::from(self.max_fronts);
        let streams = fronts.saturating_mul(self.front.max_concurrent_streams.into());
        let section = self.front.max_header_list_size.max(self.backend.max_header_list_size);
        let section = section.saturating_add(self.routes.iter().map(RouteConfig::added).max().unwrap_or(0));
        let front = self.connection(&self.front, section);
        // Shared by the queues of many streams, each in memory of the next power of two and an eighth.
        let front = front.saturating_add(9 * u64::from(self.front.connection_window_size) / 4);
        let connections = self.upstreams.iter().fold(0u64, |sum, upstream| {
            let most =
                upstream.endpoints.iter().map(|endpoint| u64::from(upstream.most_connections(endpoint)));
            most.fold(sum, u64::saturating_add)
        });
        let connections = connections.min(self.backends_max.into());
        // They begin with one size, and are doubled up to another.
        let content = in_queues(self.ledger_octets, self.backend.initial_window_size);
        let mut terms = vec![
            (
                "content from backends",
                content.max(in_queues(self.ledger_octets, self.backend.stream_window_max)),
            ),
            ("content from clients", in_queues(self.upload_ledger_octets, self.front.initial_window_size)),
            // Once kept, and once more in its stream's queue while it is sent again; in memory that has grown by doubling, there to an eighth more.
            ("content kept to be sent again", self.replay_ledger_octets.saturating_mul(17) / 4),
            ("client connections", fronts.saturating_mul(front)),
            // By their size as HTTP counts it, of which their memory is at most the double.
            ("heads and trailers", self.head_ledger_octets.saturating_mul(2)),
            ("requests", streams.saturating_mul(REQUEST_OCTETS)),
            ("places in queues", fronts.saturating_mul(self.upstreams.len() as u64 * LANE_OCTETS)),
            ("backend connections", connections.saturating_mul(self.connection(&self.backend, section))),
            ("shared buffers", self.recv_buffer_octets as u64 + SPARE_OCTETS),
        ];
        terms.sort_by_key(|&(_, octets)| core::cmp::Reverse(octets));
        MemoryBound { terms }
    }

    /// Memory of an outbox: of a power of two and an eighth. Reading stops where it holds twice its mark; what one read then still adds are
    /// answers. One head beyond that, `section`, may be there too; more of them are in the head ledger (`gateway/output`).
    pub(crate) fn outbox_memory(&self, config: &ConnectionConfig, section: u32) -> u64 {
        let octets = config.outbox_full() as u64 + FRAME_OCTETS + u64::from(section);
        octets.next_power_of_two() / 8 * 9
    }

    /// Outbox, inbox, tables and state.
    fn connection(&self, config: &ConnectionConfig, section: u32) -> u64 {
        let outbox = self.outbox_memory(config, section);
        let block = u64::from(config.max_continuations).saturating_add(1).saturating_mul(FRAME_OCTETS);
        // All of a read may wait, beside a block that is not whole, in memory that has grown by doubling.
        let inbox = (self.recv_buffer_octets as u64).next_power_of_two()
            + 2 * block.min(config.field_block_max() as u64);
        // Peers may use the default until they have acknowledged less.
        let decoder = table_octets(config.header_table_size.max(4096));
        let tables =
            decoder + table_octets(config.encoder_table_size) + class_octets(config.encoder_table_size);
        let answers = 8 * u64::from(config.max_queued_control_frames).next_power_of_two();
        [outbox, inbox, tables, answers].into_iter().fold(CONNECTION_OCTETS, u64::saturating_add)
    }
}

/// What windows of this size need that are promised out of a ledger: each has memory of the next power of two, and an eighth more where some has
/// been taken (`outbox`).
fn in_queues(ledger: u64, window: u32) -> u64 {
    let window = u64::from(window.max(1));
    let memory = window.next_power_of_two();
    ledger.div_ceil(window).saturating_mul(memory + memory / 8)
}

/// What a dynamic table of this size holds at most (`hpack/dynamic_table`): its octets and half as many of entries that are gone, and an
/// index of 28 octets an entry, of which each takes 32 octets of the size (RFC 7541 section 4.1), in memory that grows by doubling. It may
/// come to both, one after the other.
pub(crate) fn table_octets(size: u32) -> u64 {
    let entries = u64::from(size) / 32;
    u64::from(size) * 3 / 2 + 28 * entries.next_power_of_two().max(4)
}

/// What an encoder holds beside, to find entries by their hashes.
pub(crate) fn class_octets(size: u32) -> u64 {
    8 * (u64::from(size) / 64).clamp(16, 1024).next_power_of_two()
}
