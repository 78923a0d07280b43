//! What is not counted as it happens, but read when somebody asks: how the queue, the connections and
//! the actors stand.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::labels::{self, ByActor, ByPart, ByProvider, ByState, ByStatus, Whole, of};
use crate::domain::{ConnectionStatus, ProviderKind, Timestamp};
use crate::store::{Lateness, QueueDepth, WebhookReadings};

type Seconds = Gauge<f64, AtomicU64>;

/// What the database says. `None`: it did not answer that in time. What it would have said is then left
/// out, rather than told as zero.
#[derive(Clone, Debug, Default)]
pub struct DatabaseReadings {
    /// One that is not among them was not counted.
    pub depth: Option<Vec<QueueDepth>>,
    /// One that is not among them was not looked at.
    pub lateness: Option<Vec<Lateness>>,
    /// All there are.
    pub connections: Option<Vec<(ProviderKind, ConnectionStatus, u64)>>,
    pub webhooks: Option<WebhookReadings>,
}

/// What one answer tells beside the counters.
#[derive(Clone, Debug)]
pub struct Readings {
    pub now: Timestamp,
    pub database: DatabaseReadings,
    /// The parts of readiness.
    pub parts: Vec<(String, bool)>,
    /// Workers by what they are doing.
    pub workers: Vec<(&'static str, u64)>,
    /// Connections with a hint that the actor has not taken yet.
    pub hints: Vec<(&'static str, usize)>,
    /// Connections the poller keeps a due time of.
    pub due_times: usize,
    /// Streams of live status that are open.
    pub status_streams: usize,
    /// Calls to webhooks under way.
    pub webhook_calls: usize,
}

#[derive(Debug)]
pub(super) struct Gauges {
    depth: Family<ByStatus, Gauge>,
    oldest: Family<ByProvider, Seconds>,
    freshness: Family<ByProvider, Seconds>,
    connections: Family<ByStatus, Gauge>,
    ready: Family<ByPart, Gauge>,
    workers: Family<ByState, Gauge>,
    hints: Family<ByActor, Gauge>,
    due_times: Gauge,
    status_streams: Gauge,
    webhooks: Family<ByState, Gauge>,
    webhook_pending: Family<Whole, Gauge>,
    webhook_oldest: Family<Whole, Seconds>,
    webhook_calls: Gauge,
}

impl Gauges {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let gauges = Self {
            depth: Family::default(),
            oldest: Family::default(),
            freshness: Family::default(),
            connections: Family::default(),
            ready: Family::default(),
            workers: Family::default(),
            hints: Family::default(),
            due_times: Gauge::default(),
            status_streams: Gauge::default(),
            webhooks: Family::default(),
            webhook_pending: Family::default(),
            webhook_oldest: Family::default(),
            webhook_calls: Gauge::default(),
        };
        registry.register(
            "queue_jobs",
            "Open jobs, by status; of each status the oldest 10000 are counted",
            gauges.depth.clone(),
        );
        registry.register_with_unit(
            "queue_oldest_due_age",
            "How long the connection that has been due longest waits for its turn; 0 if none is due",
            Unit::Seconds,
            gauges.oldest.clone(),
        );
        registry.register_with_unit(
            "freshness",
            "Age of the oldest change that an active calendar does not show yet; 0 if all are current",
            Unit::Seconds,
            gauges.freshness.clone(),
        );
        registry.register(
            "connections",
            "Connections, by status",
            gauges.connections.clone(),
        );
        registry.register(
            "ready_part",
            "Whether a part of readiness is well (1) or not (0)",
            gauges.ready.clone(),
        );
        registry.register(
            "workers",
            "Workers of connections on this node, by what they are doing",
            gauges.workers.clone(),
        );
        registry.register(
            "mailbox_hints",
            "Connections whose hint an actor has not taken yet",
            gauges.hints.clone(),
        );
        registry.register(
            "poller_due_times",
            "Connections that the poller will wake at a known time",
            gauges.due_times.clone(),
        );
        registry.register(
            "status_streams",
            "Streams of live status that are open on this node",
            gauges.status_streams.clone(),
        );
        registry.register(
            "webhooks",
            "Webhooks, by state; failing: nothing succeeded since the last failure, disabled: not by an operator",
            gauges.webhooks.clone(),
        );
        registry.register(
            "webhook_deliveries_pending",
            "What webhooks are still to be told; the oldest 10000 are counted",
            gauges.webhook_pending.clone(),
        );
        registry.register_with_unit(
            "webhook_oldest_pending_age",
            "Age of the oldest event that a webhook is still to be told; 0 if there is none",
            Unit::Seconds,
            gauges.webhook_oldest.clone(),
        );
        registry.register(
            "webhook_attempts_in_flight",
            "Attempts to tell a webhook under way",
            gauges.webhook_calls.clone(),
        );
        gauges
    }

    pub(super) fn set(&self, readings: &Readings) {
        self.set_database(&readings.database, readings.now);
        self.ready.clear();
        for (part, ok) in &readings.parts {
            let labels = ByPart { part: part.clone() };
            self.ready.get_or_create(&labels).set(i64::from(*ok));
        }
        self.workers.clear();
        for (state, count) in &readings.workers {
            let labels = ByState { state };
            self.workers.get_or_create(&labels).set(whole(*count));
        }
        for (actor, waiting) in &readings.hints {
            let labels = ByActor { actor };
            self.hints.get_or_create(&labels).set(whole(*waiting));
        }
        self.due_times.set(whole(readings.due_times));
        self.status_streams.set(whole(readings.status_streams));
        self.webhook_calls.set(whole(readings.webhook_calls));
    }

    fn set_webhooks(&self, said: Option<&WebhookReadings>, now: Timestamp) {
        self.webhooks.clear();
        self.webhook_pending.clear();
        self.webhook_oldest.clear();
        let Some(said) = said else { return };
        for (state, count) in [
            ("enabled", said.enabled),
            ("failing", said.failing),
            ("switched_off", said.switched_off),
            ("disabled", said.disabled),
        ] {
            let labels = ByState { state };
            self.webhooks.get_or_create(&labels).set(whole(count));
        }
        self.webhook_pending
            .get_or_create(&Whole {})
            .set(whole(said.pending));
        self.webhook_oldest
            .get_or_create(&Whole {})
            .set(age(said.oldest_pending, now));
    }

    fn set_database(&self, said: &DatabaseReadings, now: Timestamp) {
        self.depth.clear();
        for row in said.depth.iter().flatten() {
            if let Some(labels) = labels::jobs(row.provider, row.status) {
                self.depth.get_or_create(&labels).set(row.jobs);
            }
        }
        self.oldest.clear();
        self.freshness.clear();
        for late in said.lateness.iter().flatten() {
            let age = |since| age(since, now);
            let provider = of(late.provider);
            self.oldest.get_or_create(&provider).set(age(late.due_at));
            self.freshness
                .get_or_create(&provider)
                .set(age(late.oldest_change));
        }
        self.set_webhooks(said.webhooks.as_ref(), now);
        self.set_connections(said.connections.as_deref());
    }

    fn set_connections(&self, said: Option<&[(ProviderKind, ConnectionStatus, u64)]>) {
        self.connections.clear();
        let Some(said) = said else { return };
        for provider in ProviderKind::ALL {
            for status in labels::STATUSES {
                let labels = labels::connections(provider, status);
                self.connections.get_or_create(&labels).set(0);
            }
        }
        for (provider, status, count) in said {
            let labels = labels::connections(*provider, *status);
            self.connections.get_or_create(&labels).set(whole(*count));
        }
    }
}

fn age(since: Option<Timestamp>, now: Timestamp) -> f64 {
    since
        .and_then(|since| (now - since).to_std().ok())
        .map_or(0.0, |age| age.as_secs_f64())
}

fn whole(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::TimeDelta;

    use super::*;
    use crate::domain::JobStatus;
    use crate::health::Metrics;

    fn told(database: DatabaseReadings) -> String {
        let readings = Readings {
            now: Timestamp::UNIX_EPOCH + TimeDelta::minutes(5),
            parts: vec![("database".to_owned(), false)],
            database,
            workers: Vec::new(),
            hints: Vec::new(),
            due_times: 0,
            status_streams: 0,
            webhook_calls: 0,
        };
        let metrics = Metrics::new(Duration::from_secs(60));
        metrics.encode(&readings).expect("a text")
    }

    #[test]
    fn a_database_that_does_not_answer_is_not_told_as_one_without_work() {
        let silent = told(DatabaseReadings::default());
        assert!(silent.contains("calendar_ready_part{part=\"database\"} 0\n"));
        for name in ["freshness_seconds{", "queue_jobs{", "connections{"] {
            assert!(!silent.contains(&format!("calendar_{name}")), "{silent}");
        }
    }

    #[test]
    fn ages_grow_from_what_was_read_and_what_is_due_later_has_none() {
        let late = Lateness {
            provider: ProviderKind::Google,
            due_at: Some(Timestamp::UNIX_EPOCH + TimeDelta::hours(1)),
            oldest_change: Some(Timestamp::UNIX_EPOCH),
        };
        let current = Lateness {
            provider: ProviderKind::Outlook,
            due_at: None,
            oldest_change: None,
        };
        let text = told(DatabaseReadings {
            lateness: Some(vec![late, current]),
            ..DatabaseReadings::default()
        });
        for line in [
            "calendar_freshness_seconds{provider=\"google\"} 300.0\n",
            "calendar_freshness_seconds{provider=\"outlook\"} 0.0\n",
            "calendar_queue_oldest_due_age_seconds{provider=\"google\"} 0.0\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }

    #[test]
    fn what_came_is_told_without_what_did_not() {
        let text = told(DatabaseReadings {
            depth: Some(vec![QueueDepth {
                provider: ProviderKind::Google,
                status: JobStatus::Failed,
                jobs: 7,
            }]),
            lateness: None,
            webhooks: None,
            connections: Some(Vec::new()),
        });
        for line in [
            "calendar_queue_jobs{provider=\"google\",status=\"failed\"} 7\n",
            "calendar_connections{provider=\"outlook\",status=\"active\"} 0\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
        for name in ["freshness_seconds{", "queue_jobs{provider=\"outlook\""] {
            assert!(!text.contains(&format!("calendar_{name}")), "{name}{text}");
        }
    }
}
