//! Clients that reset, come too often, or come to look.

#[path = "../../adapter-mio/tests/edges/mod.rs"]
mod edges;

use shuntyard_tokio::{ClientAuth, Exit, FrontTls, Handle, Identity, Options, Server};
