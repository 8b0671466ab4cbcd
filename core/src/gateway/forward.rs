//! What a gateway owes to the fields of a message that it forwards (RFC 9110 section 7.6, RFC 9113 section 8).

mod changed;
mod client;
mod line;
mod map_back;
mod max_forwards;
mod via;

pub(super) use client::Peer;
pub(super) use map_back::{map_back, map_forth};

use crate::address::Address;
use crate::config::Config;
use crate::fields::{FieldLine, FieldName, FieldSection, OwnOrigins};
use crate::message::{RequestHead, Version};
use crate::record::Cause;
use crate::time::imf_fixdate;

/// Knows what is added to messages.
#[derive(Clone, Debug)]
pub(super) struct Forward {
    seed: u64,
    origins: OwnOrigins,
    changed: changed::Changed,
    via: via::Via,
    introduction: client::Introduction,
}

impl Forward {
    pub(super) fn new(config: &Config, seed: u64) -> Self {
        Self::with(config, seed, OwnOrigins::default())
    }

    /// Other lines may be added from now on. They have origins that those before have not had.
    pub(super) fn configure(&mut self, config: &Config) {
        *self = Self::with(config, self.seed, self.origins);
    }

    fn with(config: &Config, seed: u64, mut origins: OwnOrigins) -> Self {
        Self {
            seed,
            via: via::Via::new(&config.via, config.via_in_responses, seed, &mut origins),
            introduction: client::Introduction::new(config.forwarding.clone(), seed, &mut origins),
            changed: changed::Changed::default(),
            origins,
        }
    }

    /// A request of this client is on its way to a backend. `memory`: for its fields, if they lie where others need them as they are. Connection-specific fields cannot be there: RFC 9113 section
    /// 8.2.2 makes such a message malformed. `te: trailers` stays, for trailers are forwarded.
    ///
    /// # Errors
    ///
    /// It must not go on. Its fields are as they would have left all the same.
    pub(super) fn request(
        &mut self,
        fields: &mut FieldSection,
        head: &RequestHead,
        client: &Peer<'_>,
        version: Version,
        memory: impl FnOnce() -> FieldSection,
    ) -> Result<(), Cause> {
        if self.changed.again(fields) {
            return Ok(());
        }
        let came = (fields.form_or_origin(), fields.form().is_some());
        fields.move_to(memory);
        keep_one_content_length(fields, head.content_length_repeated);
        if head.has_host && !head.has_authority {
            *fields = with_authority(fields, self.seed);
        }
        self.introduction.introduce(fields, client, &mut self.origins);
        let circle = head.has_via && self.via.has_been_here(fields);
        self.via.push(fields, version);
        if circle {
            return Err(Cause::ProxyLoop);
        }
        max_forwards::count_down(fields, head.method, self.seed)?;
        // All that was done hangs on the section without its path, on the connection that it came by, and on the configuration.
        self.changed.remember(came, fields, &mut self.origins);
        Ok(())
    }

    /// The trailers of a client's request are on their way to a backend. Whoever merges them into the head must find nothing there that
    /// is decided by heads (RFC 9110 section 6.5.1), or that a stranger says of itself.
    pub(super) fn request_trailers(&self, fields: &mut FieldSection, client: &Address) {
        use FieldName::{Cookie, Credentials, Expect, Forwarding, MaxForwards, Via};
        let of_heads = [Cookie, Credentials, Expect, MaxForwards, Via];
        let stays_behind = |name| match name {
            Forwarding => !self.introduction.trusts(client),
            other => of_heads.contains(&other),
        };
        if fields.iter().any(|line| stays_behind(line.facts.name)) {
            fields.retain(|line| !stays_behind(line.facts.name));
        }
    }

    /// A final response is on its way to a client, with this status. `memory` as for requests.
    pub(super) fn response(
        &mut self,
        fields: &mut FieldSection,
        status: u16,
        content_length_repeated: bool,
        version: Version,
        unix_seconds: u64,
        memory: impl FnOnce() -> FieldSection,
    ) {
        if self.changed.again(fields) {
            return;
        }
        let came = (fields.origin(), false);
        fields.move_to(memory);
        if status == 204 {
            // 9110-8.6-05: it says 0, or was refused.
            fields.retain(|line| line.facts.name != FieldName::ContentLength);
        }
        keep_one_content_length(fields, content_length_repeated);
        // 9110-6.6.1-04: when it came.
        let has_date = fields.has(FieldName::Date);
        if !has_date {
            fields.push(FieldLine::new(b"date", &imf_fixdate(unix_seconds), self.seed));
        }
        self.via.push_to_response(fields, version);
        if has_date {
            self.changed.remember(came, fields, &mut self.origins);
        }
    }
}

/// 9113-8.3.1-06: who forwards over HTTP/2 says the authority in `:authority`.
fn with_authority(fields: &FieldSection, seed: u64) -> FieldSection {
    let mut whole = FieldSection::new();
    fields.iter().filter(|line| line.facts.name.is_pseudo()).for_each(|line| whole.push(line));
    if let Some(host) = fields.iter().find(|line| line.facts.name == FieldName::Host) {
        let never_indexed = host.never_indexed;
        whole.push(FieldLine { never_indexed, ..FieldLine::new(b":authority", host.value, seed) });
    }
    let rest =
        fields.iter().filter(|line| !line.facts.name.is_pseudo() && line.facts.name != FieldName::Host);
    rest.for_each(|line| whole.push(line));
    whole
}

/// RFC 9110 section 8.6: lines that say the same are forwarded as one: one that is never indexed, if any is (7541-6.2.3-03).
fn keep_one_content_length(fields: &mut FieldSection, repeated: bool) {
    if repeated {
        let is_length = |line: &FieldLine<'_>| line.facts.name == FieldName::ContentLength;
        let marked = fields.iter().any(|line| is_length(&line) && line.never_indexed);
        let mut seen = false;
        fields.retain(|line| {
            !is_length(&line) || (line.never_indexed == marked && !core::mem::replace(&mut seen, true))
        });
    }
}

#[cfg(test)]
mod tests {
    use shuntyard_requirements::req;

    use super::*;

    #[test]
    fn rfc9110_8_6_one_line_goes_on_with_the_mark_of_any() {
        req!("7541-6.2.3-03");
        for marks in [[false, false, true], [false, true, true], [true, false, false], [false; 3]] {
            let mut fields = FieldSection::new();
            for marked in marks {
                let line = FieldLine::new(b"content-length", b"7", 1);
                fields.push(if marked { line.never_indexed() } else { line });
                fields.push(FieldLine::new(b"accept", b"*/*", 1));
            }
            keep_one_content_length(&mut fields, true);
            let lengths = fields.iter().filter(|line| line.name == b"content-length");
            assert_eq!(lengths.map(|line| line.never_indexed).collect::<Vec<_>>(), [marks.contains(&true)]);
            assert_eq!(fields.len(), 4);
        }
    }
}
