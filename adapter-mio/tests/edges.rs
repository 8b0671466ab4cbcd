//! Clients that reset, come too often, or come to look.

#[path = "edges/mod.rs"]
mod edges;

use shuntyard_mio::{ClientAuth, Exit, FrontTls, Handle, Identity, Options, Server};
