//! Which connections are due.
//!
//! Owns the poller: it passes hints on at once, keeps the due times of the near future, and looks
//! into the database now and then for what a lost hint left behind. The rows themselves are the
//! store's, the work on them the connections'.

mod due;
mod poller;

pub use poller::{PollerHandle, PollerSnapshot};
