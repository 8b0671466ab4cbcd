//! JSON objects, member by member in the order of writing, without anything between them and the buffer.

use std::io::Write as _;

use shuntyard_core::time::Instant;

/// An object that is being written. Writing to memory does not fail.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> Object<'a> {
    pub(super) fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    pub(super) fn end(self) {
        self.out.push(b'}');
    }

    /// Names are this program's own: letters, dots and underscores.
    fn name(&mut self, name: &'static str) {
        if !std::mem::take(&mut self.empty) {
            self.out.push(b',');
        }
        let _ = write!(self.out, "\"{name}\":");
    }

    pub(super) fn text(&mut self, name: &'static str, value: &str) {
        self.name(name);
        let _ = serde_json::to_writer(&mut *self.out, value);
    }

    /// A text, or `null`.
    pub(super) fn word(&mut self, name: &'static str, value: Option<&str>) {
        match value {
            Some(value) => self.text(name, value),
            None => self.null(name),
        }
    }

    /// What a peer sent, as text: what is no UTF-8 is replaced.
    pub(super) fn octets(&mut self, name: &'static str, value: Option<&[u8]>) {
        self.word(name, value.map(String::from_utf8_lossy).as_deref());
    }

    pub(super) fn flag(&mut self, name: &'static str, value: bool) {
        self.name(name);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    pub(super) fn number(&mut self, name: &'static str, value: u64) {
        self.name(name);
        let _ = write!(self.out, "{value}");
    }

    /// A status code; `null` where there is none.
    pub(super) fn status(&mut self, name: &'static str, status: u16) {
        match status {
            0 => self.null(name),
            status => self.number(name, status.into()),
        }
    }

    /// Microseconds from one moment to another; `null` where that never came.
    pub(super) fn span(&mut self, name: &'static str, from: Instant, to: Option<Instant>) {
        match to.map(|to| to.saturating_since(from).as_micros()) {
            Some(micros) => self.number(name, u64::try_from(micros).unwrap_or(u64::MAX)),
            None => self.null(name),
        }
    }

    pub(super) fn list<T>(&mut self, name: &'static str, items: &[T], put: impl Fn(&mut Object<'_>, &T)) {
        self.name(name);
        self.out.push(b'[');
        for (place, item) in items.iter().enumerate() {
            if place > 0 {
                self.out.push(b',');
            }
            let mut object = Object::begin(self.out);
            put(&mut object, item);
            object.end();
        }
        self.out.push(b']');
    }

    fn null(&mut self, name: &'static str) {
        self.name(name);
        self.out.extend_from_slice(b"null");
    }
}
