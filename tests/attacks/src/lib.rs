//! Hostile clients on real sockets, against a running proxy.
//!
//! Each [`Attack`](attack::Attack) is one class of what is known to be done to HTTP/2 and HTTP/1.1 servers. The
//! [`measure`] of one counts what it makes the proxy do: requests to the origin, memory, processor time, the time until
//! the proxy has ended it, and how a bystander fares meanwhile. The program prints that as a table, for shuntyard and for
//! those of nghttpx and HAProxy that are installed.

pub mod attack;
pub mod bystander;
pub mod floods;
pub mod heads;
pub mod http1;
pub mod measure;
pub mod origin;
pub mod peer;
pub mod proxy;
pub mod stalls;
pub mod uploads;
pub mod windows;
