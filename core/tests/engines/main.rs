//! Request engines by the numbers of their behaviours: register, freeze, hand over, thaw, multiplex, deregister.

#[path = "../memory/mod.rs"]
mod memory;

mod adoption;
mod endpoints;
mod late;
mod lowered;
mod means;
mod memory_bound;
mod places;
mod pool;
mod priorities;
mod queue;
mod registration;
mod reload;
mod scopes;
mod sleep;
mod turns;
mod upkeep;
mod ways;
mod windows;
