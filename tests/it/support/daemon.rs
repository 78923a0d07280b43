//! The daemon under test: its own database, its own providers, a runtime that can be killed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use calendar_integration::config::{Config, Section, Sources};
use calendar_integration::daemon::{Daemon, StartError, Surroundings};
use calendar_integration::domain::{
    Clock, CoachId, ManualClock, SystemClock, SystemEntropy, Timestamp,
};
use calendar_integration::security::api_token::{Caller, Realm, Role, Signer};
use calendar_integration::simulator::{Simulator, SimulatorConfig, SimulatorHandle};
use calendar_integration::store::StoreError;
use calendar_integration::telemetry;
use calendar_integration::webhooks::Lookup;
use chrono::TimeDelta;
use secrecy::ExposeSecret;
use tokio::runtime::Runtime;
use url::Url;
use uuid::Uuid;

use super::{Api, TestDatabase, eventually};

pub(crate) const JWT_SECRET: &str = "a-secret-of-the-tests-that-is-long-enough";
pub(crate) const PUBLIC_URL: &str = "http://localhost:3001";

/// What a story wants to be different.
#[derive(Default)]
pub(crate) struct Setup {
    settings: BTreeMap<&'static str, String>,
    simulator: SimulatorConfig,
    clock: Option<Arc<ManualClock>>,
    host_clock: Option<Arc<dyn Clock>>,
    database: Option<TestDatabase>,
    call_timeout: Option<Duration>,
    lookup: Option<Arc<dyn Lookup>>,
}

impl Setup {
    /// Time stands still unless the story lets it pass.
    pub(crate) fn with_manual_clock() -> Self {
        let start: Timestamp = "2027-01-11T09:00:00Z".parse().expect("a time");
        Self {
            clock: Some(ManualClock::starting_at(start)),
            ..Self::default()
        }
        // A story that lets minutes pass in an instant takes no lease away by that.
        .set("LEASE_TTL", "5m")
    }

    pub(crate) fn set(mut self, name: &'static str, value: &str) -> Self {
        self.settings.insert(name, value.to_owned());
        self
    }

    /// On a host whose clock is this one.
    pub(crate) fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.host_clock = Some(clock);
        self
    }

    pub(crate) fn on(mut self, database: TestDatabase) -> Self {
        self.database = Some(database);
        self
    }

    /// Calls to providers are given up after this long.
    pub(crate) fn calls_last_at_most(mut self, timeout: Duration) -> Self {
        self.call_timeout = Some(timeout);
        self
    }

    /// Who says where the names of webhooks lead.
    pub(crate) fn lookup(mut self, lookup: Arc<dyn Lookup>) -> Self {
        self.lookup = Some(lookup);
        self
    }

    pub(crate) fn simulate(mut self, change: impl FnOnce(&mut SimulatorConfig)) -> Self {
        change(&mut self.simulator);
        self
    }

    pub(crate) async fn start(self) -> TestDaemon {
        let right: Arc<dyn Clock> = match &self.clock {
            Some(manual) => manual.clone(),
            None => SystemClock::shared(),
        };
        let clock = self.host_clock.unwrap_or_else(|| right.clone());
        let simulator = Simulator::start(self.simulator, right, Arc::new(SystemEntropy))
            .await
            .expect("the simulator starts");
        let database = match self.database {
            Some(database) => database,
            None => TestDatabase::create().await,
        };
        let mut settings = settings(&simulator, &database);
        settings.extend(self.settings);
        if let Ok(filter) = std::env::var("RUST_LOG") {
            settings.insert("RUST_LOG", filter);
        }
        let mut surroundings = Surroundings {
            clock,
            ..Surroundings::default()
        };
        if let Some(timeout) = self.call_timeout {
            surroundings.call_timeout = timeout;
        }
        if let Some(lookup) = self.lookup {
            surroundings.lookup = lookup;
        }
        let process = Process::start(&settings, &surroundings)
            .await
            .expect("the daemon starts");
        begin_working(self.clock.as_deref());
        TestDaemon {
            process: Some(process),
            settings,
            calendars: simulator.handle(),
            _simulator: simulator,
            manual_clock: self.clock,
            surroundings,
            http: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .timeout(Duration::from_secs(30))
                .build()
                .expect("a client"),
            database,
        }
    }
}

/// A limiter for a whole provider begins with nothing, and has something a moment later.
fn begin_working(clock: Option<&ManualClock>) {
    if let Some(clock) = clock {
        clock.advance(Duration::from_secs(1));
    }
}

/// Retries are quick and many, everything else is as it ships.
pub(crate) fn settings(
    simulator: &Simulator,
    database: &TestDatabase,
) -> BTreeMap<&'static str, String> {
    let urls = [
        ("GOOGLE_AUTH_URL", simulator.google_auth_url()),
        ("GOOGLE_TOKEN_URL", simulator.google_token_url()),
        ("GOOGLE_REVOKE_URL", simulator.google_revoke_url()),
        ("GOOGLE_USERINFO_URL", simulator.google_userinfo_url()),
        ("GOOGLE_API_URL", simulator.google_api_url()),
        ("MICROSOFT_LOGIN_URL", simulator.microsoft_login_url()),
        ("MICROSOFT_GRAPH_URL", simulator.microsoft_graph_url()),
    ];
    let texts = [
        ("BIND_ADDRESS", "127.0.0.1:0"),
        ("PUBLIC_URL", PUBLIC_URL),
        ("CORS_ORIGINS", "https://app.example.org"),
        ("GOOGLE_CLIENT_ID", "demo-google-client"),
        ("GOOGLE_CLIENT_SECRET", "demo-google-secret"),
        ("MICROSOFT_CLIENT_ID", "demo-microsoft-client"),
        ("MICROSOFT_CLIENT_SECRET", "demo-microsoft-secret"),
        (
            "TOKEN_ENCRYPTION_KEYS",
            "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        ),
        ("AUTH_JWT_SECRET", JWT_SECRET),
        ("SYNC_RETRY_BASE", "20ms"),
        ("SYNC_RETRY_CAP", "200ms"),
        ("LEASE_TTL", "2s"),
        ("SHUTDOWN_DEADLINE", "5s"),
    ];
    let texts = texts.map(|(name, text)| (name, text.to_owned()));
    let urls = urls.map(|(name, url)| (name, url.to_string()));
    let database = ("DATABASE_URL", database.url());
    texts.into_iter().chain(urls).chain([database]).collect()
}

/// A daemon with threads of its own, so that all of it can end between two instructions.
struct Process {
    runtime: Option<Runtime>,
    daemon: Option<Daemon>,
    url: Url,
}

impl Process {
    async fn start(
        settings: &BTreeMap<&'static str, String>,
        surroundings: &Surroundings,
    ) -> Result<Self, StartError> {
        let sources = Sources::of_pairs(settings.iter().map(|(name, value)| (*name, value)));
        let config = Config::load(&sources).expect("the settings are right");
        if settings.contains_key("RUST_LOG") {
            telemetry::init(&config.telemetry);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let started = runtime
            .spawn(Daemon::start(config, surroundings.clone()))
            .await;
        let daemon = match started.expect("no panic") {
            Ok(daemon) => daemon,
            Err(error) => {
                runtime.shutdown_background();
                return Err(error);
            }
        };
        Ok(Self {
            url: daemon.url(),
            runtime: Some(runtime),
            daemon: Some(daemon),
        })
    }

    async fn stop(mut self) {
        if let (Some(runtime), Some(daemon)) = (&self.runtime, self.daemon.take()) {
            runtime
                .spawn(daemon.shutdown())
                .await
                .expect("no panic while stopping");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A further daemon; killed when dropped.
pub(crate) struct Node(Process);

impl Node {
    pub(crate) fn service(&self, first: &TestDaemon) -> Api {
        // Also while the first one is stopped.
        first.service_at(self.0.url.clone())
    }

    pub(crate) fn admin(&self, first: &TestDaemon) -> Api {
        Api {
            daemon: self.0.url.clone(),
            ..first.admin()
        }
    }
}

pub(crate) struct TestDaemon {
    process: Option<Process>,
    settings: BTreeMap<&'static str, String>,
    pub(crate) calendars: SimulatorHandle,
    _simulator: Simulator,
    manual_clock: Option<Arc<ManualClock>>,
    /// Its clock is also the one that the simulator's receipts are told in.
    pub(crate) surroundings: Surroundings,
    pub(super) http: reqwest::Client,
    /// Last: what uses it is gone before it is removed.
    pub(crate) database: TestDatabase,
}

impl TestDaemon {
    pub(crate) async fn start() -> Self {
        Setup::default().start().await
    }

    pub(crate) fn url(&self) -> Url {
        self.process.as_ref().expect("it runs").url.clone()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.surroundings.clock.now()
    }

    /// Sets the wall clock alone, forward or back. Only with a manual clock.
    pub(crate) fn set_clock(&self, by: TimeDelta) {
        let clock = self.manual_clock.as_ref().expect("a manual clock");
        clock.jump_to(clock.now() + by);
    }

    pub(crate) fn setting(&self, name: &str) -> &str {
        &self.settings[name]
    }

    /// Lets time pass. Only with a manual clock.
    pub(crate) fn advance(&self, by: TimeDelta) {
        let clock = self.manual_clock.as_ref().expect("a manual clock");
        clock.advance(by.to_std().expect("forward"));
    }

    /// Ends it as SIGTERM does.
    pub(crate) async fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.stop().await;
        }
    }

    /// Ends it as `kill -9` does: nothing is finished, nothing is said.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again, with settings changed.
    pub(crate) async fn start_with(&mut self, settings: &[(&'static str, &str)]) {
        for (name, value) in settings {
            self.settings.insert(name, (*value).to_owned());
        }
        let process = eventually(
            "the killed daemon's lock is free",
            async || match Process::start(&self.settings, &self.surroundings).await {
                Ok(process) => Some(process),
                Err(StartError::Store(StoreError::InUse)) => None,
                Err(error) => panic!("the daemon does not start: {error}"),
            },
        )
        .await;
        begin_working(self.manual_clock.as_deref());
        self.process = Some(process);
    }

    pub(crate) async fn start_again(&mut self) {
        self.start_with(&[]).await;
    }

    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.start_again().await;
    }

    pub(crate) async fn restart_with(&mut self, settings: &[(&'static str, &str)]) {
        self.stop().await;
        self.start_with(settings).await;
    }

    /// Another daemon on the same database, with settings changed, on a host with its own clock.
    pub(crate) async fn node_with(
        &self,
        changed: &[(&'static str, &str)],
        clock: &Arc<dyn Clock>,
    ) -> Node {
        let mut settings = self.settings.clone();
        settings.extend(
            changed
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned())),
        );
        let surroundings = Surroundings {
            clock: clock.clone(),
            ..self.surroundings.clone()
        };
        let started = Process::start(&settings, &surroundings).await;
        Node(started.expect("the second daemon starts"))
    }

    /// Its settings, with some changed, as a command reads them.
    pub(crate) fn sources(&self, changed: &[(&'static str, &str)]) -> Sources {
        let mut settings = self.settings.clone();
        settings.extend(
            changed
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned())),
        );
        Sources::of_pairs(settings.iter().map(|(name, value)| (*name, value)))
    }

    pub(super) fn settings(&self) -> &BTreeMap<&'static str, String> {
        &self.settings
    }

    /// Another daemon on the same database.
    pub(crate) async fn second_node(&self) -> Result<Node, StartError> {
        self.second_node_with(&[]).await
    }

    /// Another daemon on the same database, with other settings.
    pub(crate) async fn second_node_with(
        &self,
        settings: &[(&'static str, &str)],
    ) -> Result<Node, StartError> {
        let mut all = self.settings.clone();
        all.extend(
            settings
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned())),
        );
        Process::start(&all, &self.surroundings).await.map(Node)
    }

    pub(crate) fn coach(&self, id: Uuid) -> Api {
        self.api(Some(Caller::Coach(CoachId(id))))
    }

    pub(crate) fn service(&self) -> Api {
        let caller = Caller::new(Role::Service, "booking").expect("a caller");
        self.api(Some(caller))
    }

    pub(crate) fn admin(&self) -> Api {
        let caller = Caller::new(Role::Admin, "operator").expect("a caller");
        self.api(Some(caller))
    }

    pub(crate) fn nobody(&self) -> Api {
        self.api(None)
    }

    /// The booking platform, speaking to a daemon elsewhere.
    pub(super) fn service_at(&self, daemon: Url) -> Api {
        let caller = Caller::new(Role::Service, "booking").expect("a caller");
        self.api_at(daemon, Some(caller))
    }

    fn api(&self, caller: Option<Caller>) -> Api {
        self.api_at(self.url(), caller)
    }

    pub(super) fn api_at(&self, daemon: Url, caller: Option<Caller>) -> Api {
        let signer = Signer::new(&JWT_SECRET.into(), Realm::default());
        let lifetime = Duration::from_secs(100 * 24 * 3600);
        let token = caller.map(|caller| {
            let token = signer.sign(&caller, lifetime, self.now());
            token.expose_secret().to_owned()
        });
        Api {
            http: self.http.clone(),
            daemon,
            token,
        }
    }
}
