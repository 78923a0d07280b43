//! The composition root: from settings to a running daemon, and back to quiet.
//!
//! Owns the order of starting (database → actors → HTTP last, so that "ready" is true) and of
//! stopping (HTTP → actors finish their rounds → leases given back → database). No statics: two
//! daemons in one process start and stop independently.

mod services;

use std::sync::Arc;
use std::time::Duration;

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

/// Why a daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("the HTTP client cannot be set up")]
    HttpClient(#[from] reqwest::Error),
    #[error("the actor tree did not start: {0}")]
    Actors(#[from] ractor::SpawnErr),
    #[error("BIND_ADDRESS {address} cannot be listened on: {source}")]
    Listen {
        address: std::net::SocketAddr,
        source: std::io::Error,
    },
}

/// A running daemon.
#[derive(Debug)]
pub struct Daemon {
    context: Arc<WorkerContext>,
    connections: ConnectionsHandle,
    root: ActorRef<RootMsg>,
    poller: PollerHandle,
    leases: JoinHandle<()>,
    stop_leases: CancellationToken,
    failed: CancellationToken,
    deadline: Duration,
}

impl Daemon {
    pub async fn start_core(config: &Config, surroundings: Surroundings) -> Result<Self, StartError> {
        let Surroundings { clock, entropy } = surroundings;
        let store = Store::open(&config.database.url).await?;
        store.migrate().await?;
        if store.is_sqlite() {
            // The only daemon on this file: whoever held leases is dead.
            store.release_leases(None).await?;
        }
        let http = http::client()?;
        let context = Arc::new(WorkerContext::new(
            store,
            clock.clone(),
            entropy.clone(),
            config.keys.clone(),
            NodeId::generate(clock.now(), entropy.as_ref()),
            services::services(config, &http, &clock),
            config.lease_ttl,
            Backoff {
                base: config.sync.retry_base,
                cap: config.sync.retry_cap,
                max_attempts: i32::try_from(config.sync.max_attempts).unwrap_or(i32::MAX),
            },
            Metrics::new(),
        ));
        let stop_leases = CancellationToken::new();
        let leases = tokio::spawn(keep_leases(context.clone(), stop_leases.clone()));
        let poller = PollerHandle::new();
        let connections = ConnectionsHandle::new();
        let failed = CancellationToken::new();
        let root = root::start(Tree {
            context: context.clone(),
            poller: poller.clone(),
            connections: connections.clone(),
            poll_interval: config.sync.poll_interval,
            failed: failed.clone(),
        })
        .await?;
        Ok(Self { context, connections, root, leases, stop_leases, failed, deadline: config.shutdown_deadline, poller })
    }
}
#[cfg(test)] mod smoke;
