//! The settings of both sides of a connection (RFC 9113 section 6.5).

use core::ops::Deref;

use crate::config::{ConnectionConfig, DEFAULT_WINDOW, MAX_WINDOW};
use crate::error::ConnectionError;
use crate::frame::{DEFAULT_MAX_FRAME_SIZE, MAX_FRAME_SIZE};
use crate::parcel::{Packer, Unpacker};

/// Identifiers of settings (RFC 9113 section 6.5.2, RFC 8441 section 3, RFC 9218 section 2.1).
pub mod identifier {
    /// SETTINGS_HEADER_TABLE_SIZE, in octets.
    pub const HEADER_TABLE_SIZE: u16 = 0x1;
    /// SETTINGS_ENABLE_PUSH, 0 or 1.
    pub const ENABLE_PUSH: u16 = 0x2;
    /// SETTINGS_MAX_CONCURRENT_STREAMS.
    pub const MAX_CONCURRENT_STREAMS: u16 = 0x3;
    /// SETTINGS_INITIAL_WINDOW_SIZE, in octets.
    pub const INITIAL_WINDOW_SIZE: u16 = 0x4;
    /// SETTINGS_MAX_FRAME_SIZE, in octets.
    pub const MAX_FRAME_SIZE: u16 = 0x5;
    /// SETTINGS_MAX_HEADER_LIST_SIZE, in octets.
    pub const MAX_HEADER_LIST_SIZE: u16 = 0x6;
    /// SETTINGS_ENABLE_CONNECT_PROTOCOL, 0 or 1 (RFC 8441).
    pub const ENABLE_CONNECT_PROTOCOL: u16 = 0x8;
    /// SETTINGS_NO_RFC7540_PRIORITIES, 0 or 1 (RFC 9218).
    pub const NO_RFC7540_PRIORITIES: u16 = 0x9;
}

/// SETTINGS_HEADER_TABLE_SIZE before any SETTINGS frame, in octets (RFC 9113 section 6.5.2).
pub const DEFAULT_HEADER_TABLE_SIZE: u32 = 4096;

/// Which end of the connection we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// We open streams.
    Client,
    /// The peer opens streams.
    Server,
}

/// What the peer announced. It binds us from the moment its frame came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerSettings {
    /// The largest dynamic table our encoder may use, in octets.
    pub header_table_size: u32,
    /// How many streams we may open at a time; `None`: no limit was announced.
    pub max_concurrent_streams: Option<u32>,
    /// The window that our streams start with, in octets. 0 to 2^31-1.
    pub initial_window_size: u32,
    /// The longest payload of a frame that we may send, in octets. 2^14 to 2^24-1.
    pub max_frame_size: u32,
    /// The largest field section the peer is prepared for, in octets with 32 a field. Advice, not a rule.
    pub max_header_list_size: Option<u32>,
    /// Whether push is allowed.
    pub enable_push: bool,
    /// Whether extended CONNECT is understood (RFC 8441).
    pub enable_connect_protocol: bool,
    /// Whether the priority signals of RFC 7540 are without use (RFC 9218 section 2.1).
    pub no_rfc7540_priorities: bool,
}

impl Default for PeerSettings {
    /// The values before any SETTINGS frame (RFC 9113 section 6.5.2).
    fn default() -> Self {
        Self {
            header_table_size: DEFAULT_HEADER_TABLE_SIZE,
            max_concurrent_streams: None,
            initial_window_size: DEFAULT_WINDOW,
            max_frame_size: DEFAULT_MAX_FRAME_SIZE,
            max_header_list_size: None,
            enable_push: true,
            enable_connect_protocol: false,
            no_rfc7540_priorities: false,
        }
    }
}

/// What a SETTINGS frame changed, as far as somebody has to act on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct SettingsChange {
    /// What is to be added to the send window of every stream, in octets (RFC 9113 section 6.9.2).
    pub window_delta: i64,
    /// Set where the encoder has to announce a new limit.
    pub header_table_size: Option<HeaderTableSizeChange>,
    /// Whether the number of streams we may open changed.
    pub max_concurrent_streams: bool,
}

/// The limits of the encoder's dynamic table that one SETTINGS frame went through (RFC 7541 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderTableSizeChange {
    /// The smallest, in octets: to be announced first where it differs from the last.
    pub smallest: u32,
    /// The last, in octets: the one that holds.
    pub last: u32,
}

impl PeerSettings {
    /// Takes over the settings of one frame in order of appearance (RFC 9113 section 6.5.3); unknown ones are ignored.
    ///
    /// # Errors
    ///
    /// A value that its setting does not allow, or more than `max_settings` entries. The connection ends; what was taken
    /// over until then stays.
    pub fn apply(
        &mut self,
        role: Role,
        entries: impl ExactSizeIterator<Item = (u16, u32)>,
        max_settings: u32,
    ) -> Result<SettingsChange, ConnectionError> {
        if entries.len() > max_settings as usize {
            return Err(ConnectionError::SettingsTooMany);
        }
        let before = *self;
        let mut smallest = u32::MAX;
        // 9113-6.5.3-02
        for (identifier, value) in entries {
            self.apply_one(role, identifier, value)?; // 9113-6.5-07
            if identifier == identifier::HEADER_TABLE_SIZE {
                smallest = smallest.min(value);
            }
        }
        let last = self.header_table_size;
        let table_changed = last != before.header_table_size || smallest < before.header_table_size;
        Ok(SettingsChange {
            window_delta: i64::from(self.initial_window_size) - i64::from(before.initial_window_size),
            header_table_size: table_changed.then_some(HeaderTableSizeChange { smallest, last }),
            max_concurrent_streams: self.max_concurrent_streams != before.max_concurrent_streams,
        })
    }

    pub(crate) fn pack(&self, parcel: &mut Packer) {
        let &Self {
            header_table_size,
            max_concurrent_streams,
            initial_window_size,
            max_frame_size,
            max_header_list_size,
            enable_push,
            enable_connect_protocol,
            no_rfc7540_priorities,
        } = self;
        [header_table_size, initial_window_size, max_frame_size].into_iter().for_each(|of| parcel.number(of));
        [max_concurrent_streams, max_header_list_size].into_iter().for_each(|of| parcel.perhaps(of));
        for flag in [enable_push, enable_connect_protocol, no_rfc7540_priorities] {
            parcel.number(flag);
        }
    }

    pub(crate) fn unpack(parcel: &mut Unpacker<'_>) -> Self {
        Self {
            header_table_size: parcel.small(),
            initial_window_size: parcel.small(),
            max_frame_size: parcel.small(),
            max_concurrent_streams: parcel.perhaps(),
            max_header_list_size: parcel.perhaps(),
            enable_push: parcel.truth(),
            enable_connect_protocol: parcel.truth(),
            no_rfc7540_priorities: parcel.truth(),
        }
    }

    /// 9113-6.5-02
    fn apply_one(&mut self, role: Role, identifier: u16, value: u32) -> Result<(), ConnectionError> {
        match identifier {
            identifier::HEADER_TABLE_SIZE => self.header_table_size = value,
            identifier::ENABLE_PUSH => {
                self.enable_push = flag(value).ok_or(ConnectionError::EnablePushInvalid)?; // 9113-6.5.2-03
                // 9113-6.5.2-06
                if self.enable_push && role == Role::Client {
                    return Err(ConnectionError::EnablePushInvalid);
                }
            }
            identifier::MAX_CONCURRENT_STREAMS => self.max_concurrent_streams = Some(value),
            identifier::INITIAL_WINDOW_SIZE => {
                if value > MAX_WINDOW {
                    return Err(ConnectionError::InitialWindowSizeInvalid); // 9113-6.5.2-09
                }
                self.initial_window_size = value;
            }
            identifier::MAX_FRAME_SIZE => {
                if !(DEFAULT_MAX_FRAME_SIZE..=MAX_FRAME_SIZE).contains(&value) {
                    return Err(ConnectionError::MaxFrameSizeInvalid); // 9113-6.5.2-11
                }
                self.max_frame_size = value;
            }
            identifier::MAX_HEADER_LIST_SIZE => self.max_header_list_size = Some(value),
            identifier::ENABLE_CONNECT_PROTOCOL => {
                let enabled = flag(value).ok_or(ConnectionError::EnableConnectProtocolInvalid)?;
                if self.enable_connect_protocol && !enabled {
                    return Err(ConnectionError::EnableConnectProtocolInvalid);
                }
                self.enable_connect_protocol = enabled;
            }
            identifier::NO_RFC7540_PRIORITIES => {
                self.no_rfc7540_priorities =
                    flag(value).ok_or(ConnectionError::NoRfc7540PrioritiesInvalid)?;
            }
            _ => {} // 9113-6.5.2-13, 9113-5.5-01, 9113-6.5.3-03
        }
        Ok(())
    }
}

/// A setting that is 0 or 1.
fn flag(value: u32) -> Option<bool> {
    match value {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

/// What we announced in our first SETTINGS frame, the only one we send, and whether the peer has acknowledged it.
///
/// Until then the peer may act on the values that RFC 9113 section 6.5.2 starts with.
///
/// ```
/// use shuntyard_core::config::ConnectionConfig;
/// use shuntyard_core::frame::put_settings;
/// use shuntyard_core::h2::settings::{LocalSettings, Role};
///
/// let mut settings = LocalSettings::new(&ConnectionConfig::default(), Role::Client);
/// let mut out = Vec::new();
/// put_settings(&mut out, &settings.entries());
/// assert!(settings.acknowledge().is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalSettings {
    header_table_size: u32,
    max_concurrent_streams: u32,
    initial_window_size: u32,
    max_header_list_size: u32,
    extended_connect: bool,
    role: Role,
    acknowledged: bool,
}

/// What the peer's acknowledgement puts into force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Acknowledged {
    /// The limit of our decoder's dynamic table, in octets. Where it is below 4096, the next field block starts with
    /// a size update (RFC 9113 section 4.3.1).
    pub header_table_size: u32,
    /// What is to be added to the receive window of every stream, in octets (RFC 9113 section 6.9.2).
    pub window_delta: i64,
}

impl LocalSettings {
    /// The settings of a connection with this configuration.
    pub fn new(config: &ConnectionConfig, role: Role) -> Self {
        Self {
            header_table_size: config.header_table_size,
            max_concurrent_streams: config.max_concurrent_streams,
            initial_window_size: config.initial_window_size,
            max_header_list_size: config.max_header_list_size,
            extended_connect: config.extended_connect,
            role,
            acknowledged: false,
        }
    }

    /// The same where the peer may have acknowledged them before.
    pub(crate) fn told_before(config: &ConnectionConfig, role: Role, acknowledged: bool) -> Self {
        Self { acknowledged, ..Self::new(config, role) }
    }

    /// The content of our first SETTINGS frame. What equals the value that RFC 9113 section 6.5.2 starts with is left
    /// out.
    pub fn entries(&self) -> SettingsList {
        let mut list = SettingsList { entries: [(0, 0); SettingsList::CAPACITY], len: 0 };
        if self.header_table_size != DEFAULT_HEADER_TABLE_SIZE {
            list.push(identifier::HEADER_TABLE_SIZE, self.header_table_size);
        }
        match self.role {
            // 9113-6.5.2-04, 9113-6.5.2-05: a server never says 1, and so never says it.
            Role::Client => list.push(identifier::ENABLE_PUSH, 0),
            Role::Server => {
                list.push(identifier::MAX_CONCURRENT_STREAMS, self.max_concurrent_streams);
                // In the first frame or never (RFC 9218 section 2.1).
                list.push(identifier::NO_RFC7540_PRIORITIES, 1);
                if self.extended_connect {
                    list.push(identifier::ENABLE_CONNECT_PROTOCOL, 1); // 8441-3-03
                }
            }
        }
        if self.initial_window_size != DEFAULT_WINDOW {
            list.push(identifier::INITIAL_WINDOW_SIZE, self.initial_window_size);
        }
        // 9113-6.5.2-10: SETTINGS_MAX_FRAME_SIZE keeps the value that it starts with, and is never said.
        list.push(identifier::MAX_HEADER_LIST_SIZE, self.max_header_list_size);
        list
    }

    /// The peer acknowledged our frame (RFC 9113 section 6.5.3).
    ///
    /// # Errors
    ///
    /// It did so before: there is nothing to acknowledge.
    pub fn acknowledge(&mut self) -> Result<Acknowledged, ConnectionError> {
        if self.acknowledged {
            return Err(ConnectionError::SettingsAckUnexpected);
        }
        self.acknowledged = true;
        Ok(Acknowledged {
            header_table_size: self.header_table_size,
            window_delta: i64::from(self.initial_window_size) - i64::from(DEFAULT_WINDOW),
        })
    }

    /// Whether the peer has acknowledged our frame.
    pub const fn is_acknowledged(&self) -> bool {
        self.acknowledged
    }
}

/// A few settings as identifier and value, without an allocation.
#[derive(Clone, Copy, Debug)]
pub struct SettingsList {
    entries: [(u16, u32); Self::CAPACITY],
    len: usize,
}

impl SettingsList {
    /// The most that [`LocalSettings::entries`] pushes: a server's.
    const CAPACITY: usize = 6;

    fn push(&mut self, identifier: u16, value: u32) {
        self.entries[self.len] = (identifier, value);
        self.len += 1;
    }
}

impl Deref for SettingsList {
    type Target = [(u16, u32)];

    fn deref(&self) -> &Self::Target {
        &self.entries[..self.len]
    }
}

#[cfg(test)]
mod tests;
