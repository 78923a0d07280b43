//! What one answer of `/metrics` is made of.
//!
//! The database is asked at most once in some seconds, however many ask: several scrapers, and people
//! who reload a page, cost it no more than one. While it does not answer, the rest is told without it.

use std::time::Duration;

use tokio::sync::Mutex;

use super::health;
use super::ports::Ports;
use crate::domain::{ConnectionStatus, ProviderKind};
use crate::health::{DatabaseReadings, Readings};
use crate::store::StoreError;

/// How long a few lookups are good for.
const KEPT: Duration = Duration::from_secs(5);
/// Counting connections reads them all.
const COUNTS_KEPT: Duration = Duration::from_secs(60);
/// Well within the ten seconds that Prometheus waits.
const PATIENCE: Duration = Duration::from_secs(5);

type Counts = Vec<(ProviderKind, ConnectionStatus, u64)>;

/// What was read last, and when on the monotonic clock.
#[derive(Debug, Default)]
pub(super) struct ScrapeCache {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    readings: Option<(Duration, DatabaseReadings)>,
    counts: Option<(Duration, Counts)>,
}

pub(super) async fn metrics(ports: &Ports) -> String {
    let readings = tokio::time::timeout(PATIENCE, database(ports));
    let (database, readiness) = tokio::join!(readings, health::ready_within(ports, PATIENCE));
    let workers = ports.connections.worker_states();
    let readings = Readings {
        now: ports.context.clock.now(),
        database: database.ok().and_then(|said| {
            said.inspect_err(
                |error| tracing::warn!(error = %error, "metrics lack what the database says"),
            )
            .ok()
        }),
        parts: readiness
            .parts
            .into_iter()
            .map(|part| (part.name, part.ok))
            .collect(),
        workers: workers
            .into_iter()
            .map(|(state, count)| (state.as_str(), count))
            .collect(),
        hints: vec![
            ("queue_poller", ports.poller.hints_waiting()),
            ("connections", ports.connections.hints_waiting()),
        ],
        due_times: ports.poller.snapshot().waiting,
        status_streams: ports.streams.open(),
        webhook_calls: ports.deliverer.snapshot().in_flight,
    };
    ports.context.metrics.encode(&readings).unwrap_or_default()
}

async fn database(ports: &Ports) -> Result<DatabaseReadings, StoreError> {
    let store = &ports.context.store;
    // Whoever comes meanwhile waits for the one that reads, and takes what it found.
    let mut kept = ports.scrape.kept.lock().await;
    let now = ports.context.clock.monotonic();
    let is_fresh = |at: Duration, within| now.saturating_sub(at) < within;
    if let Some((at, readings)) = &kept.readings
        && is_fresh(*at, KEPT)
    {
        return Ok(readings.clone());
    }
    let counts = match &kept.counts {
        Some((at, counts)) if is_fresh(*at, COUNTS_KEPT) => counts.clone(),
        Some(_) | None => {
            let counts = store.connection_counts().await?;
            kept.counts = Some((now, counts.clone()));
            counts
        }
    };
    let readings = DatabaseReadings {
        depth: store.queue_depth().await?,
        lateness: store.lateness().await?,
        connections: counts,
        webhooks: store.webhook_readings().await?,
    };
    kept.readings = Some((now, readings.clone()));
    Ok(readings)
}
