//! Binds [`shuntyard_core`] to sockets with tokio. Not built yet: it carries no item.
