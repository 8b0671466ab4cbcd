//! What one HTTP/2 connection announces and tolerates.

use std::sync::Arc;

use crate::config::{ConfigError, DEFAULT_WINDOW, MAX_WINDOW, range};

/// A frame with all the content that one of ours has, and its head.
const FRAME_LEN_MAX: usize = 16_384 + 9;

/// What one HTTP/2 connection announces and tolerates, in either role. Defaults of a gateway differ in one of them on each side: clients may use
/// extended CONNECT, and `max_concurrent_streams` is 1 towards backends, who open none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionConfig {
    /// SETTINGS_HEADER_TABLE_SIZE that we announce, in octets. 0 to 65,536. Default: 4096.
    pub header_table_size: u32,
    /// The largest dynamic table that our encoder uses although the peer allows more, in octets. 0 to 65,536. Default: 4096.
    pub encoder_table_size: u32,
    /// SETTINGS_MAX_CONCURRENT_STREAMS that a server announces. 1 to 2^31-1. Default: 100, as nghttpx and HAProxy have.
    pub max_concurrent_streams: u32,
    /// SETTINGS_INITIAL_WINDOW_SIZE that we announce, in octets. 0 to 2^31-1; in a gateway at least 1. Default: 65,535.
    pub initial_window_size: u32,
    /// What a stream's receive window grows to while the client takes the content as fast as it comes, in octets: on
    /// connections to backends, inside the ledger. Where it is below the initial window, that stays. 0 to 2^31-1. Default: 1 MiB.
    pub stream_window_max: u32,
    /// The connection's receive window, in octets. 65,535 to 2^31-1 (it cannot start lower, RFC 9113 section 6.9.2). Default:
    /// 1 MiB.
    pub connection_window_size: u32,
    /// SETTINGS_MAX_HEADER_LIST_SIZE that we announce and hold, in octets, with 32 more a field (RFC 9113 section 6.5.2). 256 to 16 MiB. Default:
    /// 64 KiB, as nghttpx has.
    pub max_header_list_size: u32,
    /// Fields of one section, each cookie crumb counted. 8 to 65,535. Default: 128, as Sozu has; Envoy and nghttpx: 100.
    pub max_fields: u32,
    /// CONTINUATION frames of one field block, each of 16,384 octets at most: what `max_header_list_size` allows has to fit.
    /// 0 to 1024. Default: 8, as nghttp2 has.
    pub max_continuations: u32,
    /// Settings in one SETTINGS frame. 6 (those that RFC 9113 has) to 2730 (as many as a frame holds). Default: 32, as nghttp2 has.
    pub max_settings: u32,
    /// Answers to control frames (acknowledgements, resets) that may wait in the outbox, in frames. 8 to 1,000,000. Default:
    /// 1000, as nghttp2 has.
    pub max_queued_control_frames: u32,
    /// What a peer may cost beyond what it brings, in points. A head beyond the limits costs 200, SETTINGS 100, a reset, by it or because
    /// of it, 60, a PING, GOAWAY, an empty frame of DATA and a frame that is ignored 10, WINDOW_UPDATE, DATA of less content than padding,
    /// 128 frames of DATA of fewer than 16 octets, and a client's chunk over HTTP/1.1 of fewer than five octets one. A message that comes whole earns 100, 256 octets
    /// of content 1, a frame of DATA that is sent and that no window cut short 12, a second 3,300; nothing is saved up. Of what is answered without a backend only
    /// content earns. 100 to 1,000,000,000. Default: 10,000. nghttp2: 1000 resets and 33 a second; Sozu: 100 a second.
    pub misuse_max: u32,
    /// Interim responses before the final one. 1 to 1000. Default: 16. Go: 5 by count, others by octets.
    pub max_interim_responses: u32,
    /// Whether a request must say its authority, in `:authority` or in `host`: who guesses one routes by accident. Default: yes.
    pub authority_required: bool,
    /// Whether a server understands extended CONNECT, and says so (RFC 8441 section 3). Default: no; clients of a gateway: yes.
    pub extended_connect: bool,
    /// The protocols that a client may upgrade to over HTTP/1.1, in lower case; a wish for others is ignored (RFC 9110 section 7.8).
    /// In a gateway: those that any route allows, whatever stands here. Default: `websocket`.
    pub upgrades: Vec<Arc<str>>,
    /// What a server over HTTP/1.1 says in `proxy-status` (RFC 9209) where it answers what is no whole request: the value of the field. In a gateway:
    /// its name with `http_request_error`, whatever stands here.
    pub proxy_status: Option<Arc<str>>,
    /// Octets in the outbox above which no DATA is cut; at twice as many no input is read. 1 to 2^30. Default: 128 KiB.
    pub outbox_high_mark: usize,
    /// How many streams a client opens before the server's first SETTINGS came. 1 to 2^31-1. Default: 100; RFC 9113 section 6.5.2
    /// recommends to allow at least as many. In a gateway `assumed_streams` of the upstream holds as well, by default 0.
    pub assumed_max_concurrent_streams: u32,
    /// How many streams a client opens where the server allows more or announces no limit. 1 to 2^31-1. Default: 250.
    pub max_concurrent_streams_cap: u32,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            header_table_size: 4096,
            encoder_table_size: 4096,
            max_concurrent_streams: 100,
            initial_window_size: DEFAULT_WINDOW,
            stream_window_max: 1 << 20,
            connection_window_size: 1 << 20,
            max_header_list_size: 64 << 10,
            max_fields: 128,
            max_continuations: 8,
            max_settings: 32,
            max_queued_control_frames: 1000,
            misuse_max: 10_000,
            max_interim_responses: 16,
            authority_required: true,
            extended_connect: false,
            upgrades: vec!["websocket".into()],
            proxy_status: None,
            outbox_high_mark: 128 << 10,
            assumed_max_concurrent_streams: 100,
            max_concurrent_streams_cap: 250,
        }
    }
}

impl ConnectionConfig {
    /// How long a field block may be that comes in several frames, in octets. One is rarely longer than what it decodes to; twice the limit is
    /// no honest one. But some frames of it come to their end in any case, so that what is too large is answered however it is cut.
    pub(crate) const fn field_block_max(&self) -> usize {
        let doubled = 2 * self.max_header_list_size as usize;
        if doubled < 4 * FRAME_LEN_MAX { 4 * FRAME_LEN_MAX } else { doubled }
    }

    /// From so many octets on an outbox takes no trailers any more, which wait in their streams. The least does not hang on the mark: a few of
    /// them have room in any.
    pub(crate) const fn outbox_full(&self) -> usize {
        let doubled = self.outbox_high_mark.saturating_mul(2);
        if doubled < 64 << 10 { 64 << 10 } else { doubled }
    }

    /// From so many octets on an outbox lets no input in: twice the mark, but content alone never does that, or two peers who both wait for the
    /// other to read would wait for ever. A frame of it is cut below the mark, and comes whole.
    pub(crate) const fn outbox_congested(&self) -> usize {
        let doubled = self.outbox_high_mark.saturating_mul(2);
        let content = self.outbox_high_mark.saturating_add(FRAME_LEN_MAX);
        if doubled < content { content } else { doubled }
    }

    /// Checks every value against its range.
    ///
    /// # Errors
    ///
    /// A value lies outside its range: [`ConfigError::OutOfRange`] names it.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let max_window = u64::from(MAX_WINDOW);
        range("header_table_size", self.header_table_size.into(), 0, 65_536)?;
        range("encoder_table_size", self.encoder_table_size.into(), 0, 65_536)?;
        range("max_concurrent_streams", self.max_concurrent_streams.into(), 1, max_window)?;
        range("initial_window_size", self.initial_window_size.into(), 0, max_window)?;
        range("stream_window_max", self.stream_window_max.into(), 0, max_window)?;
        range(
            "connection_window_size",
            self.connection_window_size.into(),
            DEFAULT_WINDOW.into(),
            max_window,
        )?;
        range("max_header_list_size", self.max_header_list_size.into(), 256, 16 << 20)?;
        range("max_fields", self.max_fields.into(), 8, 65_535)?;
        range("max_continuations", self.max_continuations.into(), 0, 1024)?;
        range("max_settings", self.max_settings.into(), 6, 2730)?;
        range("max_queued_control_frames", self.max_queued_control_frames.into(), 8, 1_000_000)?;
        range("misuse_max", self.misuse_max.into(), 100, 1_000_000_000)?;
        range("max_interim_responses", self.max_interim_responses.into(), 1, 1000)?;
        range("outbox_high_mark", self.outbox_high_mark as u64, 1, 1 << 30)?;
        range("assumed_max_concurrent_streams", self.assumed_max_concurrent_streams.into(), 1, max_window)?;
        range("max_concurrent_streams_cap", self.max_concurrent_streams_cap.into(), 1, max_window)
    }
}
