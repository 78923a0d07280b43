//! Counters and histograms of one daemon, as values: two daemons in one process do not mix.
//!
//! Names and units follow the conventions of Prometheus. Labels are words from small fixed sets;
//! nothing of a coach or client is ever one.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::domain::{ConnectionStatus, JobStatus, ProviderKind, SyncFailure, Timestamp};
use crate::provider::{Change, Done};
use crate::store::{Job, JobEnd, QueueDepth};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByProvider {
    provider: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    provider: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByCall {
    provider: &'static str,
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByStatus {
    provider: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByActor {
    actor: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByDirection {
    direction: &'static str,
}

/// Cheap to clone; all clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    registry: Registry,
    jobs: Family<ByOutcome, Counter>,
    start_latency: Family<ByProvider, Histogram>,
    provider_latency: Family<ByProvider, Histogram>,
    changes: Family<ByCall, Counter>,
    refreshes: Family<ByOutcome, Counter>,
    restarts: Family<ByActor, Counter>,
    leases: Gauge,
    takeovers: Counter,
    nodes: Gauge,
    messages: Family<ByDirection, Counter>,
    depth: Family<ByStatus, Gauge>,
    oldest: Family<ByProvider, Gauge<f64, std::sync::atomic::AtomicU64>>,
    connections: Family<ByStatus, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn seconds() -> Histogram {
    // 1 ms to about 65 s.
    Histogram::new(exponential_buckets(0.001, 2.0, 17))
}

impl Metrics {
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("calendar");
        let jobs = Family::default();
        registry.register("jobs", "Jobs settled, by outcome", jobs.clone());
        let start_latency = Family::new_with_constructor(seconds as fn() -> Histogram);
        registry.register_with_unit(
            "job_start_latency",
            "Time from when a job was due to when its work began",
            Unit::Seconds,
            start_latency.clone(),
        );
        let provider_latency = Family::new_with_constructor(seconds as fn() -> Histogram);
        registry.register_with_unit(
            "provider_latency",
            "Time a round of calls to a provider took",
            Unit::Seconds,
            provider_latency.clone(),
        );
        let changes = Family::default();
        registry.register(
            "provider_changes",
            "Changes sent to a provider, by operation and outcome",
            changes.clone(),
        );
        let refreshes = Family::default();
        registry.register(
            "token_refreshes",
            "Access tokens refreshed",
            refreshes.clone(),
        );
        let restarts = Family::default();
        registry.register(
            "actor_restarts",
            "Actors restarted after a crash",
            restarts.clone(),
        );
        let leases = Gauge::default();
        registry.register(
            "leases_held",
            "Connections this node acts for",
            leases.clone(),
        );
        let takeovers = Counter::default();
        registry.register(
            "lease_takeovers",
            "Connections taken over from a node that fell silent",
            takeovers.clone(),
        );
        let nodes = Gauge::default();
        nodes.set(1);
        registry.register(
            "nodes_alive",
            "Nodes on this database, this one included",
            nodes.clone(),
        );
        let messages = Family::default();
        registry.register(
            "node_messages",
            "Wake-ups between nodes, sent and received",
            messages.clone(),
        );
        let depth = Family::default();
        registry.register("queue_jobs", "Open jobs, by status", depth.clone());
        let oldest = Family::default();
        registry.register_with_unit(
            "queue_oldest_due_age",
            "How long the oldest pending job has been due; 0 if none is",
            Unit::Seconds,
            oldest.clone(),
        );
        let connections = Family::default();
        registry.register("connections", "Connections, by status", connections.clone());
        Self {
            inner: Arc::new(Inner {
                registry,
                jobs,
                start_latency,
                provider_latency,
                changes,
                refreshes,
                restarts,
                leases,
                takeovers,
                nodes,
                messages,
                depth,
                oldest,
                connections,
            }),
        }
    }

    pub(crate) fn started(&self, provider: ProviderKind, job: &Job, now: Timestamp) {
        let waited = (now - job.scheduled_for).to_std().unwrap_or_default();
        self.inner
            .start_latency
            .get_or_create(&of(provider))
            .observe(waited.as_secs_f64());
    }

    pub(crate) fn settled(&self, provider: ProviderKind, end: &JobEnd) {
        let outcome = match end {
            JobEnd::Completed => "completed",
            JobEnd::Again { counted: true, .. } => "retried",
            JobEnd::Again { counted: false, .. } => "put_off",
            JobEnd::Failed { .. } => "failed",
        };
        let labels = ByOutcome {
            provider: provider.as_str(),
            outcome,
        };
        self.inner.jobs.get_or_create(&labels).inc();
    }

    pub(crate) fn called(
        &self,
        provider: ProviderKind,
        changes: &[Change],
        answers: &[Result<Done, SyncFailure>],
        took: Duration,
    ) {
        self.inner
            .provider_latency
            .get_or_create(&of(provider))
            .observe(took.as_secs_f64());
        for (change, answer) in changes.iter().zip(answers) {
            let labels = ByCall {
                provider: provider.as_str(),
                operation: operation(change),
                outcome: match answer {
                    Ok(_) => "ok",
                    Err(failure) => failure.code().as_str(),
                },
            };
            self.inner.changes.get_or_create(&labels).inc();
        }
    }

    pub(crate) fn refreshed(&self, provider: ProviderKind, ok: bool) {
        let labels = ByOutcome {
            provider: provider.as_str(),
            outcome: if ok { "ok" } else { "refused" },
        };
        self.inner.refreshes.get_or_create(&labels).inc();
    }

    pub(crate) fn restarted(&self, actor: &'static str) {
        self.inner.restarts.get_or_create(&ByActor { actor }).inc();
    }

    pub(crate) fn leases_held(&self, held: u64) {
        self.inner
            .leases
            .set(i64::try_from(held).unwrap_or(i64::MAX));
    }

    pub(crate) fn taken_over(&self) {
        self.inner.takeovers.inc();
    }

    pub(crate) fn nodes(&self, alive: usize) {
        self.inner
            .nodes
            .set(i64::try_from(alive).unwrap_or(i64::MAX));
    }

    pub(crate) fn notified(&self) {
        self.message("sent");
    }

    pub(crate) fn heard(&self) {
        self.message("received");
    }

    fn message(&self, direction: &'static str) {
        let labels = ByDirection { direction };
        self.inner.messages.get_or_create(&labels).inc();
    }

    /// Everything in the text format, with what the database says right now.
    ///
    /// # Errors
    /// Never in practice: a `String` takes every write.
    pub fn encode(
        &self,
        depth: &[QueueDepth],
        connections: &[(ProviderKind, ConnectionStatus, u64)],
        now: Timestamp,
    ) -> Result<String, std::fmt::Error> {
        self.read_depth(depth, now);
        self.inner.connections.clear();
        for (provider, status, count) in connections {
            let labels = ByStatus {
                provider: provider.as_str(),
                status: match status {
                    ConnectionStatus::Active => "active",
                    ConnectionStatus::NeedsReauth => "needs_reauth",
                    ConnectionStatus::Quarantined => "quarantined",
                    ConnectionStatus::Disconnected => "disconnected",
                },
            };
            let count = i64::try_from(*count).unwrap_or(i64::MAX);
            self.inner.connections.get_or_create(&labels).set(count);
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.inner.registry)?;
        Ok(text)
    }

    fn read_depth(&self, depth: &[QueueDepth], now: Timestamp) {
        self.inner.depth.clear();
        for provider in ProviderKind::ALL {
            self.inner.oldest.get_or_create(&of(provider)).set(0.0);
        }
        for row in depth {
            let status = match row.status {
                JobStatus::Pending => "pending",
                JobStatus::Processing => "processing",
                JobStatus::Failed => "failed",
                JobStatus::Completed | JobStatus::Cancelled => continue,
            };
            let labels = ByStatus {
                provider: row.provider.as_str(),
                status,
            };
            self.inner.depth.get_or_create(&labels).set(row.jobs);
            if let (JobStatus::Pending, Some(oldest)) = (row.status, row.oldest_due) {
                let age = (now - oldest).to_std().unwrap_or_default();
                self.inner
                    .oldest
                    .get_or_create(&of(row.provider))
                    .set(age.as_secs_f64());
            }
        }
    }
}

fn of(provider: ProviderKind) -> ByProvider {
    ByProvider {
        provider: provider.as_str(),
    }
}

fn operation(change: &Change) -> &'static str {
    match change {
        Change::Create { .. } => "create",
        Change::Update { .. } => "update",
        Change::Verify { .. } => "verify",
        Change::Delete { .. } => "delete",
    }
}
