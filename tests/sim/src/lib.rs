//! A whole world in virtual time around `shuntyard_core`.
