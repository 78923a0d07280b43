//! The real process, ended at every step of its work and at random moments; nothing may be lost,
//! doubled or put out of order by it.
//!
//! - [`every_point`]: the standard scenario, once for each failpoint and for each n-th side effect
//! - [`between_nodes`]: the steps that a lease takes from one node to the other
//! - [`random_kills`]: `kill -9` under a stream of changes, one node or two
//! - [`signals`]: SIGTERM with work in flight
//!
//! A `Stage` has the simulated calendars, a database and nodes: processes of the tested binary, which
//! are started again whenever they end. What is judged at the end are the calendars and the
//! simulator's ledger of effects, never what the daemon says of itself.

mod between_nodes;
mod client;
mod desired;
mod every_point;
mod figures;
mod node;
mod random_kills;
mod scenario;
mod signals;
mod stage;
mod takeover;
