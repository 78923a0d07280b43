//! The daemon against the simulated providers: to look around, to replay, to measure.
//!
//! Three performances on one stage: [`tour`] keeps a demo coach's week alive for people to look at,
//! [`mod@replay`] carries a file of changes through the API and compares every calendar with what should
//! be in it, [`latency`] measures the way from an accepted change to the provider. All three are
//! clients of the public API and of the simulator's HTTP controls; what is expected in a calendar is
//! worked out here from the contract alone ([`oracle`]), without the daemon's own planning.

mod api;
mod audit;
mod changes;
mod compare;
mod control;
mod latency;
mod oracle;
mod patience;
mod progress;
mod quotas;
mod replay;
mod settings;
mod sign_in;
mod stage;
mod tour;

pub use audit::audit;
pub use compare::{Difference, Holding};
pub use latency::measure as measure_latency;
pub use oracle::Sharing;
pub use replay::{Elsewhere, ReplayOptions, replay};
pub use settings::provider_settings;
pub use tour::look_around;
