//! The composition root: from settings to a running daemon, and back to quiet.
//!
//! Owns the order of starting (database → actors → HTTP last, so that "ready" is true) and of
//! stopping (HTTP → actors finish their rounds → leases given back → last requests, sign-ins under way → database). No statics: two
//! daemons in one process start and stop independently.

mod actors;
mod background;
mod health;
mod ports;
mod scrape;
mod services;
mod shared_answer;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use poem::Route;
use ractor::ActorRef;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use self::background::Background;
use self::ports::Ports;
use crate::api::{self, ApiState, BodyRoom, RequestLimits, StatusStreams};
use crate::config::Config;
use crate::connections::{ConnectionsHandle, WorkerContext};
use crate::dashboard;
use crate::domain::{Clock, Entropy, NodeId, SystemClock, SystemEntropy, WaitReason};
use crate::health::Metrics;
use crate::housekeeper::HousekeeperHandle;
use crate::nodes;
use crate::oauth::{AllowedOrigins, ConnectFlow, ReturnAddress, SignInProvider, UnderWay};
use crate::plan::Backoff;
use crate::provider::http;
use crate::queue::PollerHandle;
use crate::root::{self, Lives, RootMsg, Tree};
use crate::security::api_token::Verifier;
use crate::server;
use crate::shared_time;
use crate::store::{Store, StoreError};
use crate::traces::Traces;
use crate::watchdog::WatchdogHandle;
use crate::webhooks::{DelivererHandle, Guard, Lookup, Registrations, Sender, SystemLookup};

/// What a daemon takes from its surroundings.
#[derive(Clone, Debug)]
pub struct Surroundings {
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    /// How long one call to a provider may take, its answer included.
    pub call_timeout: Duration,
    /// Who says where the names of webhooks lead.
    pub lookup: Arc<dyn Lookup>,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            clock: SystemClock::shared(),
            entropy: Arc::new(SystemEntropy),
            call_timeout: http::CALL_TIMEOUT,
            lookup: Arc::new(SystemLookup),
        }
    }
}

/// Why a daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the HTTP client cannot be set up")]
    HttpClient(#[from] reqwest::Error),
    #[error("traces cannot be sent: {0}")]
    Traces(#[from] opentelemetry_otlp::ExporterBuildError),
    #[error("the actor tree did not start: {0}")]
    Actors(#[from] ractor::SpawnErr),
    #[error("BIND_ADDRESS {address} cannot be listened on: {source}")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
}

/// A running daemon.
#[derive(Debug)]
pub struct Daemon {
    ports: Ports,
    root: ActorRef<RootMsg>,
    server: JoinHandle<()>,
    stop_server: CancellationToken,
    background: Background,
    /// Sign-ins and ends of grants, whoever waits for them.
    under_way: UnderWay,
    failed: CancellationToken,
    address: SocketAddr,
    deadline: Duration,
}

impl Daemon {
    /// Migrates the database, starts the actors, then HTTP.
    ///
    /// # Errors
    /// Says which setting, or what around the daemon, is in the way; nothing is left running.
    pub async fn start(config: Config, surroundings: Surroundings) -> Result<Self, StartError> {
        Self::start_with(config, surroundings, dashboard::routes()).await
    }

    /// With these pages beside the API.
    pub(crate) async fn start_with(
        config: Config,
        surroundings: Surroundings,
        pages: Route,
    ) -> Result<Self, StartError> {
        let Surroundings {
            clock,
            entropy,
            call_timeout,
            lookup,
        } = surroundings;
        let store = Store::open(&config.database.url).await?;
        store.migrate().await?;
        shared_time::follow_once(&store, clock.as_ref()).await?;
        if store.is_sqlite() {
            // The only daemon on this file: whoever held leases is dead.
            store.release_leases(None).await?;
            store.release_deliveries(None).await?;
        }
        // Before anything acts, so that a taken port does not end work that has begun.
        let listener = listen(config.http.bind_address).await?;
        let address = listener.local_addr().unwrap_or(config.http.bind_address);
        let http = http::client_within(call_timeout)?;
        let guard = Guard::new(config.webhooks.allow_private_addresses, lookup);
        let sender = Sender::new(guard.clone())?;
        let mut context = worker_context(&config, store, &http, &clock, &entropy);
        if let Some(collector) = &config.telemetry.collector {
            let (http, clock, entropy) = (http.clone(), clock.clone(), entropy.clone());
            context.traces = Traces::start(collector, http, context.node, clock, entropy)?;
        }
        let context = Arc::new(context);
        for provider in context.services.keys().copied() {
            // Who waited for this provider to be configured.
            let (why, now) = (WaitReason::NotConfigured, clock.now());
            context.store.end_waits(provider, why, now).await?;
        }

        let poller = PollerHandle::new();
        let failed = CancellationToken::new();
        let background = Background::start(&context, &poller, failed.clone()).await?;
        let stop_server = CancellationToken::new();
        let limits = server::Limits::of_this_process();
        let ports = Ports {
            poller,
            connections: ConnectionsHandle::new(),
            housekeeper: HousekeeperHandle::default(),
            deliverer: DelivererHandle::default(),
            started_at: clock.now(),
            scrape: Arc::default(),
            // The other half of the connections is for those who ask and go.
            streams: StatusStreams::new(limits.connections / 2, stop_server.clone()),
            ping: Arc::default(),
            watchdog: WatchdogHandle::beginning_at(clock.monotonic()),
            lives: Lives::default(),
            context,
        };
        let root = root::start(Tree {
            context: ports.context.clone(),
            poller: ports.poller.clone(),
            connections: ports.connections.clone(),
            housekeeper: ports.housekeeper.clone(),
            deliverer: ports.deliverer.clone(),
            sender,
            poll_interval: config.sync.poll_interval,
            lives: ports.lives.clone(),
            failed: failed.clone(),
        })
        .await?;

        background.watch(&ports, config.sync.poll_interval);

        let deadline = config.shutdown_deadline;
        let state = api_state(config, &ports, http, guard);
        let under_way = state.flow.under_way.clone();
        let service = api::service(state, pages);
        let serve = server::serve(listener, service, limits, stop_server.clone(), deadline);
        let (stop, failing) = (stop_server.clone(), failed.clone());
        let server = tokio::spawn(background::vital("serving HTTP", stop, failing, serve));
        Ok(Self {
            ports,
            root,
            server,
            stop_server,
            background,
            under_way,
            failed,
            address,
            deadline,
        })
    }

    /// Where HTTP listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where HTTP listens, as an address for clients on this machine.
    pub fn url(&self) -> Url {
        Url::parse(&format!("http://{}", self.address)).expect("a socket address makes a URL")
    }

    /// Whether nobody is stuck, as far as the watchdog has seen lately.
    pub fn is_getting_on(&self) -> bool {
        self.ports.watchdog.is_content(&*self.ports.context.clock)
    }

    /// Resolves if the actor tree, or what runs beside it, cannot be kept alive.
    pub async fn failed(&self) {
        self.failed.cancelled().await;
    }

    /// Stops: no new requests, rounds under way finish, leases are given back, the database closes.
    /// What is not done by the deadline is cut off, which loses nothing: from then on nothing is waited
    /// for, not even the database.
    pub async fn shutdown(self) {
        let context = self.ports.context.clone();
        let ends = context.clock.monotonic() + self.deadline;
        let left = || ends.saturating_sub(context.clock.monotonic());
        self.stop_server.cancel();
        let is_quiet = self.ports.connections.drain(left()).await;
        self.ports.deliverer.drain(left()).await;
        let _ = self.root.cast(RootMsg::Stop);
        within(
            left(),
            "what runs beside the actors",
            self.background.stop(),
        )
        .await;
        // What was cut off may still arrive at the provider: no other node acts there before its lease
        // has ended.
        if is_quiet {
            let left_behind =
                within(left(), "giving leases back", background::leave(&context)).await;
            if let Some(Err(error)) = left_behind {
                tracing::warn!(error = %error, "leases were not given back; they end by themselves");
            }
        }
        let mut server = self.server;
        if within(left(), "requests under way", &mut server)
            .await
            .is_none()
        {
            server.abort();
        }
        // Who began them may have hung up.
        within(left(), "sign-ins under way", self.under_way.wait()).await;
        // The last requests may have brought work.
        let told = within(
            left(),
            "telling other nodes",
            nodes::say_look(&context.store),
        )
        .await;
        if let Some(Err(error)) = told {
            tracing::debug!(error = %error, "other nodes were not told");
        }
        context.traces.flush(left()).await;
        let store = context.store.clone();
        within(left(), "closing the database", store.close()).await;
        tracing::info!("stopped");
    }
}

/// `None`, and a word about it, if it takes longer than is left.
async fn within<T>(left: Duration, what: &str, work: impl Future<Output = T>) -> Option<T> {
    let done = tokio::time::timeout(left, work).await.ok();
    if done.is_none() {
        tracing::warn!(what, "cut off at SHUTDOWN_DEADLINE");
    }
    done
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Listen { address, source })
}

fn worker_context(
    config: &Config,
    store: Store,
    http: &reqwest::Client,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> WorkerContext {
    let mut context = WorkerContext::new(
        store,
        clock.clone(),
        entropy.clone(),
        config.keys.clone(),
        NodeId::generate(clock.now(), entropy.as_ref()),
        services::services(config, http, clock),
        config.lease_ttl,
        Backoff {
            base: config.sync.retry_base,
            cap: config.sync.retry_cap,
            max_attempts: i32::try_from(config.sync.max_attempts).unwrap_or(i32::MAX),
        },
        Metrics::new(config.sync.freshness_objective),
    );
    context.audit_retention = config.audit_retention;
    context.webhook_retention = config.webhooks.retention;
    context
}

fn api_state(config: Config, ports: &Ports, http: reqwest::Client, guard: Guard) -> ApiState {
    let context = &ports.context;
    let webhooks = Registrations {
        store: context.store.clone(),
        keys: config.keys.clone(),
        guard,
        clock: context.clock.clone(),
        entropy: context.entropy.clone(),
    };
    let origins = AllowedOrigins::of_origins(config.http.allowed_origins());
    let frontend = ReturnAddress::parse(config.http.frontend_url.as_str(), &origins)
        .expect("the frontend's own origin is allowed");
    let flow = ConnectFlow {
        store: context.store.clone(),
        keys: config.keys,
        providers: context
            .services
            .iter()
            .map(|(kind, service)| {
                let provider = SignInProvider {
                    oauth: service.oauth.clone(),
                    calendars: service.api.clone(),
                };
                (*kind, provider)
            })
            .collect(),
        origins,
        frontend,
        clock: context.clock.clone(),
        entropy: context.entropy.clone(),
        max_attempts: context.backoff.max_attempts,
        under_way: UnderWay::default(),
    };
    let verifier = Verifier::new(
        config.auth.trust,
        config.auth.realm,
        http,
        context.clock.clone(),
    );
    ApiState {
        store: context.store.clone(),
        verifier: Arc::new(verifier),
        limits: RequestLimits::new(config.requests, context.clock.clone()),
        bodies: BodyRoom::default(),
        flow: Arc::new(flow),
        webhooks,
        waker: Arc::new(ports.clone()),
        live: Arc::new(ports.clone()),
        health: Arc::new(ports.clone()),
        traces: context.traces.clone(),
        clock: context.clock.clone(),
        entropy: context.entropy.clone(),
        changes: context.changes.clone(),
        streams: ports.streams.clone(),
        web: config.http,
        max_attempts: context.backoff.max_attempts,
    }
}
