//! SETTINGS of the peer, from when the gateway has acknowledged them.

use super::Police;
use crate::ledger::{Ledger, Violation};
use crate::refcodec::frame;

impl Police {
    /// The gateway acknowledges SETTINGS: what it emits from now on obeys them.
    pub(super) fn acknowledge(&mut self, ledger: &mut Ledger) -> Result<(), Violation> {
        let link = self.link;
        let settings = self.peer_settings.pop_front();
        ledger.require(&["9113-6.5.3-04"], "C5", settings.is_some(), || {
            format!("link {link}: a SETTINGS acknowledgement for none")
        })?;
        for (id, value) in settings.unwrap_or_default() {
            match id {
                frame::HEADER_TABLE_SIZE => self.outbound.decoder.set_limit(value as usize),
                frame::MAX_FRAME_SIZE => self.outbound.reader.max_frame_size = value as usize,
                frame::MAX_CONCURRENT_STREAMS => self.max_concurrent = Some(value),
                frame::INITIAL_WINDOW_SIZE => {
                    let change = i64::from(value) - self.initial_window;
                    self.initial_window = value.into();
                    self.streams.values_mut().for_each(|entry| entry.window += change);
                }
                _ => {}
            }
        }
        if self.max_concurrent.is_none() {
            // SETTINGS that name no limit set none (9113 6.5.2).
            self.max_concurrent = Some(u32::MAX);
        }
        Ok(())
    }
}
