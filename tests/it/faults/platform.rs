//! The booking platform in times of trouble: it reports, tries again later what was refused, and
//! remembers what was acknowledged. In the end the calendars show that, and nothing else.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use calendar_integration::domain::{ProviderKind, Timestamp};
use chrono::TimeDelta;
use uuid::Uuid;

use crate::support::{Api, COACH_EMAIL, Reply, Session, TestDaemon, eventually};

/// The longest that the daemon may let anybody wait for an answer.
const LONGEST_ANSWER: Duration = Duration::from_secs(15);
/// The longest that a calendar may take to catch up once the trouble is over.
const LONGEST_CATCH_UP: Duration = Duration::from_secs(25);

pub(super) struct Platform {
    pub(super) coach: Uuid,
    pub(super) connections: Vec<Uuid>,
    acknowledged: BTreeMap<Uuid, Session>,
    refused: Vec<Session>,
    /// Events of other coaches.
    others: BTreeMap<ProviderKind, u64>,
}

impl Platform {
    /// With one coach who has a calendar at each provider.
    pub(super) async fn with_calendars(daemon: &TestDaemon) -> Self {
        let coach = Uuid::new_v4();
        let mut connections = Vec::new();
        for provider in ProviderKind::ALL {
            connections.push(daemon.connect(provider, coach, COACH_EMAIL).await);
        }
        Self {
            coach,
            connections,
            acknowledged: BTreeMap::new(),
            refused: Vec::new(),
            others: BTreeMap::new(),
        }
    }

    /// So many events at the provider are not this platform's.
    pub(super) fn others_at(&mut self, provider: ProviderKind, events: u64) {
        self.others.insert(provider, events);
    }

    /// A new session at an hour of its own.
    pub(super) fn session(&self, daemon: &TestDaemon) -> Session {
        let taken = self.acknowledged.len() + self.refused.len();
        let hours = i64::try_from(2 * taken).expect("few");
        Session::tomorrow(self.coach, daemon.now()).moved(TimeDelta::hours(48 + hours))
    }

    pub(super) async fn report_new(&mut self, daemon: &TestDaemon) -> Session {
        let session = self.session(daemon);
        self.report(&daemon.service(), &session).await;
        session
    }

    pub(super) async fn report(&mut self, api: &Api, session: &Session) {
        api.report(session).await;
        self.acknowledged.insert(session.id, session.clone());
    }

    pub(super) async fn report_again_and_again(&mut self, api: &Api, session: &Session) {
        api.report_again_and_again(session).await;
        self.acknowledged.insert(session.id, session.clone());
    }

    /// Reports a new session; whether it was acknowledged. It may be refused in one way only.
    pub(super) async fn try_new(&mut self, daemon: &TestDaemon, api: &Api) -> bool {
        let session = self.session(daemon);
        let reply = attempt(api, &session).await;
        let is_taken = (200..300).contains(&reply.status);
        if is_taken {
            self.acknowledged.insert(session.id, session);
        } else {
            assert!(reply.header("retry-after").is_some(), "{}", reply.text);
            assert_eq!(reply.problem(503), "database_unavailable");
            self.refused.push(session);
        }
        is_taken
    }

    pub(super) async fn is_refused(&mut self, daemon: &TestDaemon, api: &Api) {
        assert!(!self.try_new(daemon, api).await, "it should be refused");
    }

    /// As soon as reports are taken in again, what was refused is reported once more.
    pub(super) async fn report_refused(&mut self, api: &Api) {
        for session in std::mem::take(&mut self.refused) {
            eventually("reports are taken in again", async || {
                let reply = attempt(api, &session).await;
                (200..300).contains(&reply.status).then_some(())
            })
            .await;
            self.acknowledged.insert(session.id, session);
        }
    }

    /// Everything that was ever reported is in each calendar, once, and nothing else is.
    pub(super) async fn agrees_with(&self, daemon: &TestDaemon) {
        assert!(self.refused.is_empty(), "these are still to be reported");
        let wanted: BTreeMap<String, Timestamp> = self
            .acknowledged
            .values()
            .map(|session| (session.id.to_string(), session.starts_at))
            .collect();
        for provider in ProviderKind::ALL {
            let mut shown = BTreeMap::new();
            let agreed = eventually("the calendar shows what was acknowledged", async || {
                let events = daemon.events(provider, COACH_EMAIL);
                let number = events.len();
                shown = events
                    .into_iter()
                    .filter_map(|event| Some((event.appointment_id?, event.starts_at)))
                    .collect();
                (shown == wanted && number == wanted.len()).then_some(())
            });
            let agreed = tokio::time::timeout(LONGEST_CATCH_UP, agreed).await;
            assert!(
                agreed.is_ok(),
                "{provider} shows {shown:?}, wanted {wanted:?}"
            );
            let creates = daemon.creates(provider);
            let others = self.others.get(&provider).copied().unwrap_or_default();
            assert_eq!(
                creates - others,
                wanted.len() as u64,
                "creates at {provider}"
            );
        }
        daemon.no_duplicates();
    }
}

async fn attempt(api: &Api, session: &Session) -> Reply {
    let began = Instant::now();
    let path = format!("appointments/{}", session.id);
    let reply = api.put(&path, &session.body()).await;
    assert!(began.elapsed() < LONGEST_ANSWER, "{:?}", began.elapsed());
    reply
}

/// The process lives all along; whether it is ready.
pub(super) async fn is_ready(api: &Api) -> bool {
    api.get("/health/live").await.expect(200);
    let reply = api.get("/health/ready").await;
    match reply.status {
        200 => true,
        503 => {
            assert!(reply.header("retry-after").is_some());
            false
        }
        other => panic!("{other}: {}", reply.text),
    }
}

/// At once, but for the second that one look at the database is good for.
pub(super) async fn becomes_unready(api: &Api) {
    eventually("it is not ready", async || {
        (!is_ready(api).await).then_some(())
    })
    .await;
}

pub(super) async fn becomes_ready(api: &Api) {
    eventually("it is ready again", async || {
        is_ready(api).await.then_some(())
    })
    .await;
}
