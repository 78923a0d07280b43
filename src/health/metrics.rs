//! Counters and histograms of one daemon, as values: two daemons in one process do not mix.
//!
//! Names and units follow the conventions of Prometheus. Whatever can be known beforehand is told from
//! the start, as zero: a rise from nothing is invisible to who asks for a rate.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry, Unit};

use super::labels::{
    self, ByActor, ByAnswer, ByCall, ByDelivery, ByDirection, ByOutcome, ByProvider, ByReason,
    ByRoute, of,
};
use super::readings::{Gauges, Readings};
use super::text;
use crate::domain::{FailureCode, ProviderKind, SyncFailure, Timestamp, WaitReason};
use crate::provider::{Change, Done};
use crate::store::{DeliveryEnd, Job, JobEnd};

/// Cheap to clone; all clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    registry: Registry,
    jobs: Family<ByOutcome, Counter>,
    retries: Family<ByReason, Counter>,
    waits: Family<ByReason, Counter>,
    start_latency: Durations<ByProvider>,
    provider_latency: Durations<ByProvider>,
    in_flight: Family<ByProvider, Gauge>,
    changes: Family<ByCall, Counter>,
    settled: Family<ByProvider, Counter>,
    fresh: Family<ByProvider, Counter>,
    delay: Durations<ByProvider>,
    refreshes: Family<ByOutcome, Counter>,
    restarts: Family<ByActor, Counter>,
    leases: Gauge,
    takeovers: Counter,
    nodes: Gauge,
    deliveries: Family<ByDelivery, Counter>,
    delivery_latency: Histogram,
    messages: Family<ByDirection, Counter>,
    requests: Family<ByAnswer, Counter>,
    request_duration: Durations<ByRoute>,
    objective: Duration,
    /// Held while readings are set and told, so that no answer mixes two of them.
    gauges: Mutex<Gauges>,
}

/// What became of one job of a round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settled {
    taken_in_at: Timestamp,
    /// Whether the provider was asked for anything.
    sent: bool,
    outcome: &'static str,
    retried_for: Option<FailureCode>,
}

impl Settled {
    pub(crate) fn new(job: &Job, sent: bool, end: &JobEnd) -> Self {
        let retried_for = match end {
            JobEnd::Again {
                counted: true,
                error,
                ..
            } => error.as_ref().map(|(code, _)| *code),
            JobEnd::Again { counted: false, .. } | JobEnd::Completed | JobEnd::Failed { .. } => {
                None
            }
        };
        Self {
            taken_in_at: job.created_at,
            sent,
            outcome: labels::job_outcome(end),
            retried_for,
        }
    }
}

/// Counts as under way until it is dropped, however that comes.
#[derive(Debug)]
pub(crate) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

type Durations<L> = Family<L, Histogram, Buckets>;

/// How many of them, each twice the one before, and the first, in seconds.
#[derive(Clone, Copy, Debug)]
struct Buckets {
    first: f64,
    count: u16,
}

/// 1 ms to about 65 s.
const CALLS: Buckets = Buckets {
    first: 0.001,
    count: 17,
};
/// 1 ms to about 9 hours: what a limit or an outage holds back is late by that much.
const DELAYS: Buckets = Buckets {
    first: 0.001,
    count: 26,
};

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(exponential_buckets(self.first, 2.0, self.count))
    }
}

/// A registry while it is being filled.
struct Filling(Registry);

impl Filling {
    fn add<M: Metric + Clone + Default>(&mut self, name: &str, help: &str) -> M {
        let metric = M::default();
        self.0.register(name, help, metric.clone());
        metric
    }

    fn calls(&mut self, name: &str, help: &str) -> Histogram {
        let histogram = CALLS.new_metric();
        self.0
            .register_with_unit(name, help, Unit::Seconds, histogram.clone());
        histogram
    }

    fn durations<L>(&mut self, name: &str, help: &str, buckets: Buckets) -> Durations<L>
    where
        L: Clone + std::hash::Hash + Eq + EncodeLabelSet + std::fmt::Debug + Send + Sync + 'static,
    {
        let family = Family::new_with_constructor(buckets);
        self.0
            .register_with_unit(name, help, Unit::Seconds, family.clone());
        family
    }
}

impl Metrics {
    /// `objective`: within what time of being taken in a change should be in its calendar.
    pub fn new(objective: Duration) -> Self {
        let mut filling = Filling(Registry::with_prefix("calendar"));
        let mut inner = Inner {
            jobs: filling.add("jobs", "Jobs settled, by outcome"),
            retries: filling.add("job_retries", "Attempts that failed and are tried again, by reason"),
            waits: filling.add(
                "connection_waits",
                "Rounds that ended in a wait of the whole connection, by reason; limit: of the provider or ours for it",
            ),
            start_latency: filling.durations(
                "job_start_latency",
                "Time from when a job was due to when its work began",
                DELAYS,
            ),
            provider_latency: filling.durations(
                "provider_latency",
                "Time a round of calls to a provider took",
                CALLS,
            ),
            in_flight: filling.add(
                "provider_rounds_in_flight",
                "Rounds of calls to a provider under way",
            ),
            changes: filling.add(
                "provider_changes",
                "Changes sent to a provider, by operation and outcome",
            ),
            settled: filling.add(
                "changes_settled",
                "Changes that reached their calendar or were given up",
            ),
            fresh: filling.add(
                "changes_within_objective",
                "Changes that reached their calendar within the freshness objective",
            ),
            delay: filling.durations(
                "change_delay",
                "Time from when a change was taken in to when its calendar showed it",
                DELAYS,
            ),
            refreshes: filling.add(
                "token_refreshes",
                "Access tokens refreshed, by outcome; refused: the coach must sign in again",
            ),
            restarts: filling.add("actor_restarts", "Actors restarted after a crash"),
            leases: filling.add("leases_held", "Connections this node acts for"),
            takeovers: filling.add(
                "lease_takeovers",
                "Connections taken over from a node that fell silent",
            ),
            nodes: filling.add("nodes_alive", "Nodes on this database, this one included"),
            deliveries: filling.add(
                "webhook_attempts",
                "Attempts to tell a webhook, by outcome; given_up: for good, unless replayed",
            ),
            delivery_latency: filling.calls(
                "webhook_latency",
                "Time an attempt to tell a webhook took",
            ),
            messages: filling.add("node_messages", "Wake-ups between nodes, sent and received"),
            requests: filling.add(
                "http_requests",
                "Requests answered, by route and class of status",
            ),
            request_duration: filling.durations(
                "http_request_duration",
                "Time until a request was answered",
                CALLS,
            ),
            objective,
            gauges: Mutex::new(Gauges::register(&mut filling.0)),
            registry: Registry::default(),
        };
        let told: Gauge<f64, std::sync::atomic::AtomicU64> = Gauge::default();
        told.set(objective.as_secs_f64());
        filling.0.register_with_unit(
            "freshness_objective",
            "Within what time of being taken in a change should be in its calendar",
            Unit::Seconds,
            told,
        );
        inner.registry = filling.0;
        inner.start_at_zero();
        Self {
            inner: Arc::new(inner),
        }
    }

    pub(crate) fn started(&self, provider: ProviderKind, job: &Job, now: Timestamp) {
        let waited = (now - job.scheduled_for).to_std().unwrap_or_default();
        self.inner
            .start_latency
            .get_or_create(&of(provider))
            .observe(waited.as_secs_f64());
    }

    pub(crate) fn settled(&self, provider: ProviderKind, settled: Settled, now: Timestamp) {
        let inner = &self.inner;
        let outcome = settled.outcome;
        inner
            .jobs
            .get_or_create(&labels::outcome(provider, outcome))
            .inc();
        if let Some(code) = settled.retried_for {
            let labels = labels::reason(provider, code.as_str());
            inner.retries.get_or_create(&labels).inc();
        }
        let arrived = outcome == labels::COMPLETED && settled.sent;
        if arrived || outcome == labels::FAILED {
            inner.settled.get_or_create(&of(provider)).inc();
        }
        if arrived {
            let delay = (now - settled.taken_in_at).to_std().unwrap_or_default();
            inner
                .delay
                .get_or_create(&of(provider))
                .observe(delay.as_secs_f64());
            if delay <= inner.objective {
                inner.fresh.get_or_create(&of(provider)).inc();
            }
        }
    }

    /// A connection's round ended in a wait.
    pub(crate) fn waited(&self, provider: ProviderKind, why: WaitReason) {
        let labels = labels::reason(provider, labels::wait(why));
        self.inner.waits.get_or_create(&labels).inc();
    }

    /// A round of calls begins.
    pub(crate) fn calling(&self, provider: ProviderKind) -> InFlight {
        let gauge = self.inner.in_flight.get_or_create_owned(&of(provider));
        gauge.inc();
        InFlight(gauge)
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
            let outcome = match answer {
                Ok(_) => labels::OK,
                Err(failure) => failure.code().as_str(),
            };
            let labels = labels::call(provider, change.operation(), outcome);
            self.inner.changes.get_or_create(&labels).inc();
        }
    }

    pub(crate) fn refreshed(&self, provider: ProviderKind, failure: Option<&SyncFailure>) {
        let labels = labels::outcome(provider, labels::refresh_outcome(failure));
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

    /// An attempt to tell a webhook ended.
    pub(crate) fn delivered(&self, end: DeliveryEnd, took: Duration) {
        let labels = labels::delivery(end);
        self.inner.deliveries.get_or_create(&labels).inc();
        self.inner.delivery_latency.observe(took.as_secs_f64());
    }

    /// Deliveries were given up that nobody attempted just now.
    pub(crate) fn given_up(&self, count: u64) {
        let labels = labels::delivery(DeliveryEnd::GivenUp);
        self.inner.deliveries.get_or_create(&labels).inc_by(count);
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

    /// A request was answered; `route` is the template it matched.
    pub(crate) fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        let method = labels::method(method);
        let by_answer = ByAnswer {
            method,
            route: route.to_owned(),
            status: labels::status_class(status),
        };
        let by_route = ByRoute {
            method,
            route: route.to_owned(),
        };
        self.inner.requests.get_or_create(&by_answer).inc();
        self.inner
            .request_duration
            .get_or_create(&by_route)
            .observe(took.as_secs_f64());
    }

    /// Everything in Prometheus' text format, with what was read right now.
    ///
    /// # Errors
    /// Never in practice: a `String` takes every write.
    pub fn encode(&self, readings: &Readings) -> Result<String, std::fmt::Error> {
        let gauges = &self.inner.gauges;
        let gauges = gauges.lock().unwrap_or_else(PoisonError::into_inner);
        gauges.set(readings);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.inner.registry)?;
        drop(gauges);
        Ok(text::prometheus(&text))
    }
}

impl Inner {
    fn start_at_zero(&self) {
        self.nodes.set(1);
        for provider in ProviderKind::ALL {
            for outcome in labels::JOB_OUTCOMES {
                let labels = labels::outcome(provider, outcome);
                drop(self.jobs.get_or_create(&labels));
            }
            for outcome in labels::REFRESH_OUTCOMES {
                let labels = labels::outcome(provider, outcome);
                drop(self.refreshes.get_or_create(&labels));
            }
            for why in labels::WAITS {
                let labels = labels::reason(provider, labels::wait(why));
                drop(self.waits.get_or_create(&labels));
            }
            for operation in labels::OPERATIONS {
                let labels = labels::call(provider, operation, labels::OK);
                drop(self.changes.get_or_create(&labels));
            }
            // What most often is tried again; others show with their first.
            let labels = labels::reason(provider, FailureCode::ServerError.as_str());
            drop(self.retries.get_or_create(&labels));
            for counter in [&self.settled, &self.fresh] {
                drop(counter.get_or_create(&of(provider)));
            }
            for durations in [&self.start_latency, &self.provider_latency, &self.delay] {
                drop(durations.get_or_create(&of(provider)));
            }
            drop(self.in_flight.get_or_create(&of(provider)));
        }
        for actor in labels::ACTORS {
            drop(self.restarts.get_or_create(&ByActor { actor }));
        }
        for end in labels::DELIVERY_ENDS {
            drop(self.deliveries.get_or_create(&labels::delivery(end)));
        }
        for direction in ["sent", "received"] {
            drop(self.messages.get_or_create(&ByDirection { direction }));
        }
    }
}
