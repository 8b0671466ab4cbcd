//! What a request needs of the backend that serves it.

/// What a request needs of the backend that serves it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Needs {
    /// Whatever the configuration names.
    #[default]
    Anything,
    /// A tunnel that begins with an extended CONNECT: HTTP/2 with SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441 section 3), or
    /// an upgrade over HTTP/1.1.
    Tunnel,
    /// HTTP/1.1: a backend has asked for it (HTTP_1_1_REQUIRED, RFC 9113 section 7).
    Http1,
}
