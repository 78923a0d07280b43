//! What one answer of `/metrics` is made of.
//!
//! The database is asked at most once in some seconds, however many ask: several scrapers, and people
//! who reload a page, cost it no more than one. What it does not answer in time is left out; the rest is
//! told without it.

use std::time::Duration;

use super::health;
use super::ports::Ports;
use super::shared_answer::SharedAnswer;
use crate::domain::{ConnectionStatus, ProviderKind};
use crate::health::{DatabaseReadings, Readings};
use crate::store::{Lateness, QueueDepth, StoreError, WebhookReadings};

/// How long a few lookups are good for.
const KEPT: Duration = Duration::from_secs(5);
/// Counting connections reads them all.
const COUNTS_KEPT: Duration = Duration::from_secs(60);
/// Well within the ten seconds that Prometheus waits.
const PATIENCE: Duration = Duration::from_secs(5);

type Counts = Vec<(ProviderKind, ConnectionStatus, u64)>;

/// What was read last, each by itself: one that takes long keeps none of the others.
#[derive(Debug, Default)]
pub(super) struct ScrapeCache {
    depth: SharedAnswer<Vec<QueueDepth>>,
    lateness: SharedAnswer<Vec<Lateness>>,
    webhooks: SharedAnswer<WebhookReadings>,
    connections: SharedAnswer<Counts>,
}

pub(super) async fn metrics(ports: &Ports) -> String {
    let (database, readiness) = tokio::join!(
        Box::pin(database(ports)),
        health::ready_within(ports, PATIENCE)
    );
    let workers = ports.connections.worker_states();
    let readings = Readings {
        now: ports.context.clock.now(),
        database,
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

async fn database(ports: &Ports) -> DatabaseReadings {
    let store = &ports.context.store;
    let kept = &ports.scrape;
    let (depth, lateness, webhooks, connections) = tokio::join!(
        told(
            "queue depth",
            read(ports, &kept.depth, KEPT, store.queue_depth())
        ),
        told(
            "lateness",
            read(ports, &kept.lateness, KEPT, store.lateness())
        ),
        told(
            "webhooks",
            read(ports, &kept.webhooks, KEPT, store.webhook_readings())
        ),
        told(
            "connections",
            read(
                ports,
                &kept.connections,
                COUNTS_KEPT,
                store.connection_counts()
            )
        ),
    );
    DatabaseReadings {
        depth,
        lateness,
        webhooks,
        connections,
    }
}

async fn read<T: Clone>(
    ports: &Ports,
    kept: &SharedAnswer<T>,
    good_for: Duration,
    question: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let clock = ports.context.clock.as_ref();
    let answer = tokio::time::timeout(PATIENCE, kept.get(clock, good_for, question)).await;
    answer.unwrap_or_else(|_| Err(StoreError::too_late()))
}

async fn told<T>(what: &str, answer: impl Future<Output = Result<T, StoreError>>) -> Option<T> {
    let without = |error: &StoreError| {
        tracing::warn!(error = %error, "metrics lack what the database says of {what}");
    };
    answer.await.inspect_err(without).ok()
}
