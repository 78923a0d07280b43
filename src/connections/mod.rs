//! Acting for connections: who may, when, and with which token.
//!
//! Owns the part of the actor tree from the registry down (registry → supervisor per connection →
//! worker), leases, token refresh and the provider limits. A connection's work is serial and apart
//! from all others': a crash, a limit or a revoked grant of one delays no other. Leaves to others:
//! what to do (`plan`), how to say it to a provider (`provider`), what is durable (`store`), and which
//! connections are due (`queue`).
//!
//! Three levels rather than two: ractor ends a child together with its parent, so the supervisor that
//! counts a worker's crashes must be neither the worker nor the registry.

mod account;
mod bucket;
mod call;
mod context;
mod gate;
mod handle;
mod lease;
mod limiter;
mod outcome;
mod planned;
mod ready;
mod record;
mod registry;
mod round;
mod send;
mod services;
mod shared_limiter;
mod supervisor;
#[cfg(test)]
mod tests;
mod token;
mod traced;
mod worker;

pub use call::{TestReport, Unreachable};
pub use context::WorkerContext;
pub use gate::{Pause, Trouble};
pub use handle::ConnectionsHandle;
pub(crate) use lease::keep_leases;
pub use record::{ConnectionSnapshot, WorkerState};
pub use services::{Service, Services};
pub(crate) use shared_limiter::Tokens;
