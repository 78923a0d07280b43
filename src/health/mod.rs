//! What operators measure, and what they watch it with.
//!
//! Owns the metrics of a daemon, their names and their text, and the dashboard and alert rules made
//! for them. Leaves to others when something happens, and where readings come from (`daemon`).

mod labels;
mod metrics;
pub mod observability;
mod readings;
mod text;

pub use metrics::Metrics;
pub(crate) use metrics::Settled;
pub use readings::{DatabaseReadings, Readings};
