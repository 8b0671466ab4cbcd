//! The program between real clients and real servers.

fn main() {}
