//! What operators see: metrics, readiness and the tree of actors.

mod metrics;

pub use metrics::Metrics;
