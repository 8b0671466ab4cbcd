//! Binds [`shuntyard_core`] to sockets with tokio.
//!
//! **Not written yet: this crate carries no item.** Its name and place are kept, so that adapters stay side by side. Until
//! it is there, `shuntyard-mio` runs a gateway, and [`Gateway`](shuntyard_core::gateway::Gateway) shows the contract that
//! any event loop can keep.
