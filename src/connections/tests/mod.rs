//! The actor tree with a calendar service that breaks on purpose: what a crash costs, and whom.

mod ownership;
mod storms;

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::*;
use crate::config::Quota;
use crate::domain::{
    Actor, ActorRole, Appointment, AppointmentId, AppointmentStatus, Calendar, CalendarId, Cause,
    Client, Clock, CoachId, ConnectionId, ConnectionStatus, CreateKey, Entropy, EventId, NodeId,
    Origin, ProviderKind, SyncFailure, SyncId, SystemClock, SystemEntropy,
};
use crate::health::{DatabaseReadings, Metrics, Readings};
use crate::housekeeper::HousekeeperHandle;
use crate::oauth::{OAuthClient, OAuthEndpoints};
use crate::plan::{Backoff, RestartPolicy};
use crate::provider::{Access, Account, CalendarProvider, Change, Done, Wrote, http};
use crate::queue::PollerHandle;
use crate::root::{self, RootMsg, Tree};
use crate::security::{KeyRing, places};
use crate::store::{NewConnection, SealedTokens, SignIn, Store};
use crate::webhooks::{DelivererHandle, Guard, Sender, SystemLookup};

/// A calendar in memory that panics over some appointments.
#[derive(Debug, Default)]
struct Brittle {
    events: Mutex<HashSet<AppointmentId>>,
    poison: Mutex<HashSet<AppointmentId>>,
    panics: AtomicU64,
    /// Calls wait while this is held for writing.
    gate: tokio::sync::RwLock<()>,
    /// Calls that came as far as the gate.
    calls: AtomicU64,
}

impl Brittle {
    fn holds(&self, id: AppointmentId) -> bool {
        lock(&self.events).contains(&id)
    }
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl CalendarProvider for Brittle {
    fn kind(&self) -> ProviderKind {
        ProviderKind::Google
    }

    fn max_batch(&self) -> usize {
        50
    }

    fn units(&self, _: &Change) -> u32 {
        1
    }

    fn planned_event_id(&self, key: &CreateKey) -> Option<EventId> {
        Some(EventId(key.base32hex()))
    }

    async fn perform(&self, _: Access<'_>, changes: &[Change]) -> Vec<Result<Done, SyncFailure>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        drop(self.gate.read().await);
        changes
            .iter()
            .map(|change| {
                let Change::Create { key, .. } = change else {
                    return Ok(Done::Gone);
                };
                let is_poison = lock(&self.poison).contains(&key.appointment_id);
                if is_poison {
                    self.panics.fetch_add(1, Ordering::Relaxed);
                    panic!("a bug in a provider client");
                }
                lock(&self.events).insert(key.appointment_id);
                Ok(Done::Live {
                    event_id: EventId(key.base32hex()),
                    etag: None,
                    wrote: Wrote::All,
                })
            })
            .collect()
    }

    async fn account(&self, _: Access<'_>) -> Result<Account, SyncFailure> {
        Ok(Account {
            id: "account".into(),
            email: "coach@example.com".into(),
        })
    }

    async fn calendars(&self, _: Access<'_>) -> Result<Vec<Calendar>, SyncFailure> {
        Ok(vec![calendar()])
    }

    async fn calendar(
        &self,
        _: Access<'_>,
        _: &CalendarId,
    ) -> Result<Option<Calendar>, SyncFailure> {
        Ok(Some(calendar()))
    }
}

fn calendar() -> Calendar {
    Calendar {
        id: CalendarId("primary".into()),
        name: "Calendar".into(),
        time_zone: None,
        primary: true,
    }
}

/// The actor tree on a database of its own.
struct Stage {
    context: Arc<WorkerContext>,
    calendars: Arc<Brittle>,
    connections: ConnectionsHandle,
    poller: PollerHandle,
    deliverer: DelivererHandle,
    root: ractor::ActorRef<RootMsg>,
    /// Cancelled if the tree was given up.
    failed: CancellationToken,
    _directory: tempfile::TempDir,
}

impl Stage {
    async fn start(change: impl FnOnce(&mut WorkerContext)) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("test.db");
        let url = format!("sqlite://{}?mode=rwc", path.display()).into();
        let store = Store::open(&url).await.expect("a database");
        store.migrate().await.expect("a schema");
        let clock = SystemClock::shared();
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let keys = KeyRing::parse(
            &crate::security::generate_key_line("test", entropy.as_ref()).expect("a key"),
        )
        .expect("a key ring");
        let calendars = Arc::new(Brittle::default());
        let mut context = WorkerContext::new(
            store,
            clock.clone(),
            entropy.clone(),
            keys,
            NodeId::generate(clock.now(), entropy.as_ref()),
            [(
                ProviderKind::Google,
                service(calendars.clone(), "600/1m", &clock),
            )]
            .into(),
            Duration::from_secs(15),
            Backoff {
                base: Duration::from_millis(10),
                cap: Duration::from_millis(100),
                max_attempts: 80,
            },
            Metrics::new(Duration::from_secs(60)),
        );
        change(&mut context);
        let context = Arc::new(context);
        let (connections, poller) = (ConnectionsHandle::new(), PollerHandle::new());
        let deliverer = DelivererHandle::default();
        let failed = CancellationToken::new();
        let root = root::start(Tree {
            context: context.clone(),
            poller: poller.clone(),
            connections: connections.clone(),
            housekeeper: HousekeeperHandle::default(),
            deliverer: deliverer.clone(),
            sender: Sender::new(Guard::new(false, Arc::new(SystemLookup))).expect("a client"),
            poll_interval: Duration::from_secs(60),
            lives: root::Lives::default(),
            failed: failed.clone(),
        })
        .await
        .expect("a tree");
        Self {
            context,
            calendars,
            connections,
            poller,
            deliverer,
            root,
            failed,
            _directory: directory,
        }
    }

    /// A coach with one connected calendar.
    async fn coach(&self) -> (CoachId, ConnectionId) {
        let (now, entropy) = (self.context.clock.now(), self.context.entropy.as_ref());
        let coach_id = CoachId::generate(now, entropy);
        let id = ConnectionId::generate(now, entropy);
        self.sign_in(coach_id, id).await;
        (coach_id, id)
    }

    /// The coach signs in, for the first time or again.
    async fn sign_in(&self, coach_id: CoachId, id: ConnectionId) {
        let (now, entropy) = (self.context.clock.now(), self.context.entropy.as_ref());
        let seal = |place| {
            let keys = &self.context.keys;
            keys.seal(&"a token".into(), place, entropy).into_string()
        };
        let tokens = SealedTokens {
            access: seal(places::access_token(id)),
            refresh: seal(places::refresh_token(id)),
            access_expires_at: now + TimeDelta::hours(1),
        };
        let actor = Actor {
            subject: "tests".into(),
            role: ActorRole::Service,
        };
        let sync_id = SyncId::generate(now, entropy);
        let sign_in = SignIn {
            state_hash: sync_id.to_string(),
            id: sync_id.0,
            provider: ProviderKind::Google,
            coach_id,
            browser_hash: String::new(),
            sealed_verifier: String::new(),
            return_to: String::new(),
            asked_by: Some(actor.clone()),
            expires_at: now + TimeDelta::minutes(10),
        };
        let new = NewConnection {
            origin: Origin {
                actor,
                cause: Cause::NONE,
            },
            fresh_id: id,
            fresh_sync_id: sync_id,
            state_hash: sign_in.state_hash.clone(),
            coach_id,
            provider: ProviderKind::Google,
            account_id: coach_id.to_string(),
            account_email: "coach@example.com".into(),
            primary_calendar: calendar(),
            max_attempts: 80,
            now,
        };
        let store = &self.context.store;
        store.begin_sign_in(&sign_in, now).await.expect("begun");
        let taken = store.take_sign_in(&sign_in.state_hash).await;
        assert!(taken.expect("an answer").is_some());
        let stored = store.connect(id, &new, &tokens).await;
        assert_eq!(stored.expect("stored"), Ok(id));
    }

    async fn report(&self, coach_id: CoachId, poison: bool) -> AppointmentId {
        let id = self.fresh_appointment();
        if poison {
            lock(&self.calendars.poison).insert(id);
        }
        let connections = self.take_in(coach_id, id).await;
        self.poller.wake(connections);
        id
    }

    /// Taken in by a node that nobody hears.
    async fn report_unheard(&self, coach_id: CoachId) -> AppointmentId {
        let id = self.fresh_appointment();
        self.take_in(coach_id, id).await;
        id
    }

    fn fresh_appointment(&self) -> AppointmentId {
        AppointmentId::generate(self.context.clock.now(), self.context.entropy.as_ref())
    }

    async fn take_in(&self, coach_id: CoachId, id: AppointmentId) -> Vec<ConnectionId> {
        let now = self.context.clock.now();
        let appointment = Appointment {
            id,
            coach_id,
            status: AppointmentStatus::Confirmed,
            starts_at: now + TimeDelta::days(1),
            ends_at: now + TimeDelta::days(1) + TimeDelta::hours(1),
            time_zone: chrono_tz::UTC,
            client: Client {
                name: "Client".into(),
                email: "client@example.com".into(),
            },
            notes: None,
            location: None,
            meeting_url: None,
            revision: None,
            erased: false,
        };
        let intake = self
            .context
            .store
            .report(&[appointment], 80, &Cause::NONE, now)
            .await;
        intake.expect("taken in").connections
    }

    async fn status(&self, id: ConnectionId) -> ConnectionStatus {
        let view = self.context.store.connection(id).await.expect("read");
        view.expect("a connection").connection.status
    }

    async fn stop(self) {
        self.connections.drain(Duration::from_secs(5)).await;
        let _ = self.root.cast(RootMsg::Stop);
    }
}

fn service(
    calendars: Arc<dyn CalendarProvider>,
    account_quota: &str,
    clock: &Arc<dyn Clock>,
) -> Service {
    let nowhere = Url::parse("http://127.0.0.1:9").expect("a URL");
    let oauth = OAuthClient::google(
        http::client().expect("a client"),
        "client".into(),
        &"secret".into(),
        nowhere.clone(),
        OAuthEndpoints {
            authorize: nowhere.clone(),
            token: nowhere,
            revoke: None,
        },
    );
    let quota = Quota::parse(account_quota).expect("a quota");
    Service::new(calendars, oauth, quota, None, clock)
}

/// Waits for a state; the only place here that lets time pass.
async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(10), wait).await;
    assert!(waited.is_ok(), "not within 10 s: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_panics_each_time_is_set_aside_and_comes_back_by_itself() {
    let stage = Stage::start(|context| {
        context.restart = RestartPolicy {
            base: Duration::from_millis(1),
            cap: Duration::from_millis(5),
            tolerated: 3,
            cool_down: Duration::from_millis(600),
        };
    })
    .await;
    let (broken_coach, broken) = stage.coach().await;
    let (other_coach, other) = stage.coach().await;
    let poison = stage.report(broken_coach, true).await;
    eventually("the broken connection is set aside", || async {
        stage.status(broken).await == ConnectionStatus::Quarantined
    })
    .await;
    let view = stage.context.store.connection(broken).await;
    let view = view.expect("read").expect("there");
    assert!(
        view.connection.status_reason.is_some(),
        "a reason for people"
    );
    assert_eq!(view.pending, 1, "its work is kept");

    let fine = stage.report(other_coach, false).await;
    eventually("the other connection works on", || async {
        stage.calendars.holds(fine)
    })
    .await;
    assert_eq!(stage.status(other).await, ConnectionStatus::Active);

    lock(&stage.calendars.poison).clear();
    eventually("the cool-down ends and the event appears", || async {
        stage.calendars.holds(poison)
    })
    .await;
    eventually("the connection is active again", || async {
        stage.status(broken).await == ConnectionStatus::Active
    })
    .await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_is_followed_by_a_restart_that_takes_up_the_work() {
    let stage = Stage::start(|context| {
        context.restart.base = Duration::from_millis(20);
        context.restart.cap = Duration::from_millis(20);
        context.restart.tolerated = u32::MAX;
    })
    .await;
    let (coach, id) = stage.coach().await;
    let appointment = stage.report(coach, true).await;
    eventually("it crashed at least twice", || async {
        let seen = stage.connections.snapshots();
        seen.iter()
            .any(|seen| seen.connection_id == id && seen.restarts >= 2)
    })
    .await;
    let readings = Readings {
        now: stage.context.clock.now(),
        database: DatabaseReadings::default(),
        parts: Vec::new(),
        workers: Vec::new(),
        hints: Vec::new(),
        due_times: 0,
        status_streams: 0,
        webhook_calls: 0,
    };
    let told = stage.context.metrics.encode(&readings).expect("text");
    let restarts = r#"calendar_actor_restarts_total{actor="connection_worker"} "#;
    let restarts = told.lines().find_map(|line| line.strip_prefix(restarts));
    let restarts: Option<u32> = restarts.and_then(|count| count.parse().ok());
    assert!(restarts >= Some(2), "{restarts:?}");
    lock(&stage.calendars.poison).clear();
    eventually("the event is there", || async {
        stage.calendars.holds(appointment)
    })
    .await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_ends_gives_its_lease_back_and_starts_again_on_demand() {
    let stage = Stage::start(|context| context.idle_after = Duration::from_millis(40)).await;
    let (coach, id) = stage.coach().await;
    let first = stage.report(coach, false).await;
    eventually("the first event is there", || async {
        stage.calendars.holds(first)
    })
    .await;
    eventually("nothing runs for the connection any more", || async {
        stage.connections.snapshots().is_empty()
    })
    .await;
    let lease = stage.context.store.lease_of(id).await.expect("read");
    assert_eq!(lease.expect("a lease row").0, None, "the lease is free");
    let second = stage.report(coach, false).await;
    eventually("the second event is there", || async {
        stage.calendars.holds(second)
    })
    .await;
    stage.stop().await;
}

/// A worker that ends takes its limiter along, and the next one begins with a full one.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_stays_until_its_limiter_is_full_again() {
    let stage = Stage::start(|context| {
        context.idle_after = Duration::from_millis(40);
        let google = &context.services[&ProviderKind::Google];
        // One in a hundred seconds.
        let narrow = service(google.api.clone(), "1080/24h", &context.clock);
        context.services = [(ProviderKind::Google, narrow)].into();
    })
    .await;
    let (coach, working) = stage.coach().await;
    let (_, resting) = stage.coach().await;
    let event = stage.report(coach, false).await;
    eventually("the event is there", || async {
        stage.calendars.holds(event)
    })
    .await;
    let runs = |id| {
        let mut running = stage.connections.snapshots().into_iter();
        running.any(|seen| seen.connection_id == id)
    };
    // Seen to be swept, one that has used nothing.
    for _ in 0..3 {
        stage.connections.wake([resting]);
        eventually("it runs", || async { runs(resting) }).await;
        eventually("it has ended", || async { !runs(resting) }).await;
    }
    assert!(runs(working), "its limiter is not full");
    stage.stop().await;
}
