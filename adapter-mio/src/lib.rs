//! Binds [`shuntyard_core`] to sockets with a hand-rolled `mio` event loop.
