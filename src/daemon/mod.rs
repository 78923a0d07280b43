//! The composition root: from settings to a running daemon, and back to quiet.
//!
//! Owns the order of starting (database → actors → HTTP last, so that "ready" is true) and of
//! stopping (HTTP → actors finish their rounds → leases given back → database). No statics: two
//! daemons in one process start and stop independently.

mod services;

use std::sync::Arc;

use ractor::ActorRef;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::connections::{ConnectionsHandle, WorkerContext, keep_leases};
use crate::domain::{Clock, Entropy, NodeId, SystemClock, SystemEntropy};
use crate::health::Metrics;
use crate::plan::Backoff;
use crate::provider::http;
use crate::queue::PollerHandle;
use crate::root::{self, RootMsg, Tree};
use crate::store::{Store, StoreError};

/// What a daemon takes from its surroundings.
#[derive(Clone, Debug)]
pub struct Surroundings {
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            clock: SystemClock::shared(),
            entropy: Arc::new(SystemEntropy),
        }
    }
}
