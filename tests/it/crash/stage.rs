//! Calendars, database and nodes of one run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use calendar_integration::domain::{Clock, SystemClock, SystemEntropy};
use calendar_integration::simulator::{Simulator, SimulatorConfig, SimulatorHandle, Window};
use reqwest::Method;
use serde_json::json;

use super::client::{Client, PATIENCE, PAUSE, patiently};
use super::desired::Desired;
use super::node::{Launch, Node};
use crate::support::{Receiver, TestDatabase, is_postgres, settings};

/// How a stage is set.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) nodes: usize,
    /// For the first start of each node.
    pub(super) failpoints: Option<String>,
    pub(super) lease_ttl: &'static str,
    /// How soon work is found whose wake-up was lost.
    pub(super) poll_interval: &'static str,
    /// What every call to a provider takes, so that a kill meets calls under way.
    pub(super) latency: Duration,
}

pub(super) struct Stage {
    pub(super) calendars: SimulatorHandle,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) client: Client,
    pub(super) nodes: Vec<Node>,
    /// The platform's, for what happens.
    receiver: Receiver,
    _simulator: Simulator,
    _logs: tempfile::TempDir,
    /// Last: what uses it is gone before it is removed.
    pub(super) database: TestDatabase,
}

impl Stage {
    pub(super) async fn set(plan: Plan) -> Self {
        let clock = SystemClock::shared();
        let mut config = SimulatorConfig::default();
        config.limits.latency = plan.latency;
        // Crashes are tried here, not quotas.
        config.limits.google_per_user = Window::new(1_000_000, Duration::from_secs(60));
        config.limits.google_per_project = Window::new(1_000_000, Duration::from_secs(60));
        let simulator = Simulator::start(config, clock.clone(), Arc::new(SystemEntropy))
            .await
            .expect("the simulator starts");
        let database = TestDatabase::create().await;
        let mut settings = settings(&simulator, &database);
        // A SQLite file has one node, and nobody waits for the end of its leases. Short ones would only
        // be lost to its one writer on a busy machine.
        let lease_ttl = if is_postgres() { plan.lease_ttl } else { "15s" };
        settings.extend([
            ("LEASE_TTL", lease_ttl.to_owned()),
            ("SYNC_POLL_INTERVAL", plan.poll_interval.to_owned()),
            ("GOOGLE_LIMIT_PER_USER", "1000000/1m".to_owned()),
            ("GOOGLE_LIMIT_PER_PROJECT", "1000000/1m".to_owned()),
            ("SHUTDOWN_DEADLINE", "8s".to_owned()),
            ("WEBHOOK_ALLOW_PRIVATE_ADDRESSES", "true".to_owned()),
            ("LOG_FORMAT", "json".to_owned()),
            ("RUST_LOG", "info".to_owned()),
        ]);
        let logs = tempfile::tempdir().expect("a directory");
        let nodes: Vec<Node> = (1..=plan.nodes)
            .map(|number| {
                Node::start(Launch {
                    settings: settings.clone(),
                    failpoints: plan.failpoints.clone(),
                    directory: logs.path().to_owned(),
                    name: format!("node-{number}"),
                })
            })
            .collect();
        Self {
            calendars: simulator.handle(),
            client: Client::new(nodes.clone(), clock.as_ref()),
            clock,
            nodes,
            receiver: Receiver::start().await,
            _simulator: simulator,
            _logs: logs,
            database,
        }
    }

    /// Asks to be told what happens.
    pub(super) async fn register(&self) {
        let url = json!({"url": self.receiver.url("/")});
        patiently("the webhook is there", async || {
            // Asked first: a registration whose answer was lost is one.
            let known = self.client.attempt(Method::GET, "webhooks", None).await?;
            let known = known.json()["webhooks"].as_array()?.len();
            if known == 0 {
                self.client
                    .attempt(Method::POST, "webhooks", Some(&url))
                    .await;
            }
            (known == 1).then_some(())
        })
        .await;
    }

    /// Waits until the platform was told everything, and sees that it was told in order.
    pub(super) async fn was_told(&self, desired: &Desired) {
        patiently("everything is told", async || {
            let reply = self.client.attempt(Method::GET, "webhooks", None).await?;
            (reply.json()["webhooks"][0]["pending"] == 0).then_some(())
        })
        .await;
        for (subject, last) in &desired.told {
            let told = self.receiver.told_of(*subject);
            assert_eq!(told.last().map(String::as_str), Some(*last), "{told:?}");
        }
        assert!(self.receiver.order_was_kept(&self.database).await);
    }

    /// Waits until every calendar is as it should be and nothing is left to do.
    pub(super) async fn converges(&self, desired: &Desired) {
        assert!(
            self.comes_to_rest(desired).await,
            "not as it should be, or work is left: {:#?}",
            desired.differences(&self.calendars)
        );
    }

    /// As [`Self::converges`]; whether it does in time.
    pub(super) async fn comes_to_rest(&self, desired: &Desired) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if desired.differences(&self.calendars).is_empty() && self.is_quiet(desired).await {
                return true;
            }
            tokio::time::sleep(PAUSE).await;
        }
        false
    }

    async fn is_quiet(&self, desired: &Desired) -> bool {
        for link in desired.links.iter().filter(|link| link.is_active) {
            let path = format!("connections/{}/sync-status", link.id);
            let Some(reply) = self.client.attempt(Method::GET, &path, None).await else {
                return false;
            };
            let status = reply.json();
            let is_quiet =
                status["pending"] == 0 && status["processing"] == 0 && status["current"].is_null();
            if !is_quiet {
                return false;
            }
            assert_eq!(status["failed"], 0, "{status}");
        }
        true
    }

    /// What was done twice.
    pub(super) fn duplicated(&self) -> Vec<String> {
        let duplicates = self.calendars.duplicates().into_iter();
        duplicates.map(|one| format!("{one:?}")).collect()
    }
}

impl Drop for Stage {
    #[expect(clippy::print_stderr, reason = "what a failed run has to say")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            for node in &self.nodes {
                let log = node.log();
                let lines: Vec<&str> = log.lines().collect();
                let last = lines.len().saturating_sub(60);
                eprintln!("{}", lines[last..].join("\n"));
            }
        }
    }
}
