//! A coach with one calendar, among many in one daemon, and what the calendar must hold in the end.

use std::time::Duration;

use calendar_integration::demo::{Holding, Sharing, audit};
use calendar_integration::domain::{AppointmentId, CoachId, ProviderKind, Timestamp};
use calendar_integration::simulator::{
    CallKind, CoachEdit, Duplicate, EventSelector, FaultEffect, FaultRule, SeenCall,
};
use chrono::TimeDelta;
use futures::future::join_all;
use futures::stream::{self, StreamExt};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Session, Setup, TestDaemon, eventually, eventually_every};

/// Between two looks at a case: there are dozens of them, and a look is a request.
const PAUSE: Duration = Duration::from_millis(80);

/// So many stories at once, half of them at each provider: from five connections in trouble on, the
/// daemon sees an outage of the provider, and holds all of them back.
pub(super) const AT_ONCE: usize = 8;

/// A daemon that nobody kills: a busy machine costs it no lease, and so no attempt.
pub(super) fn setup() -> Setup {
    Setup::default().set("LEASE_TTL", "1m")
}

/// One row of a table: its own coach, account and connection, so that rows run side by side.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// For messages.
    pub(super) what: String,
    pub(super) provider: ProviderKind,
    pub(super) email: String,
    pub(super) coach: Uuid,
    /// Of the connection.
    pub(super) id: Uuid,
    reports: Vec<Session>,
}

impl Case {
    /// A coach who has not connected yet.
    pub(super) fn new(provider: ProviderKind, what: impl Into<String>) -> Self {
        let coach = Uuid::new_v4();
        Self {
            what: format!("{provider}, {}", what.into()),
            provider,
            email: format!("{}@example.com", coach.simple()),
            coach,
            id: Uuid::nil(),
            reports: Vec::new(),
        }
    }

    pub(super) async fn connected(
        daemon: &TestDaemon,
        provider: ProviderKind,
        what: impl Into<String>,
    ) -> Self {
        let mut case = Self::new(provider, what);
        case.connect(daemon).await;
        case
    }

    /// Signs in, for the first time or again.
    pub(super) async fn connect(&mut self, daemon: &TestDaemon) {
        self.id = daemon.connect(self.provider, self.coach, &self.email).await;
        self.quiet(daemon).await;
    }

    /// The same coach's other calendar: it must hold what was reported so far, too.
    pub(super) async fn other_calendar(&self, daemon: &TestDaemon, provider: ProviderKind) -> Self {
        let mut other = Self {
            provider,
            what: format!("{provider}, beside {}", self.what),
            ..self.clone()
        };
        other.connect(daemon).await;
        other
    }

    /// Takes over what was reported through the coach's other calendar.
    pub(super) fn hears(&mut self, other: &Self) {
        self.reports.clone_from(&other.reports);
    }

    /// An hour in some days that no other session of this case has.
    pub(super) fn session(&self, daemon: &TestDaemon) -> Session {
        let taken = i64::try_from(self.reports.len()).expect("few");
        Session::tomorrow(self.coach, daemon.now()).moved(TimeDelta::hours(96 + 2 * taken))
    }

    pub(super) async fn report(&mut self, daemon: &TestDaemon, session: &Session) {
        daemon.service().report(session).await;
        self.reports.push(session.clone());
    }

    /// Reports a new session.
    pub(super) async fn report_new(&mut self, daemon: &TestDaemon) -> Session {
        let session = self.session(daemon);
        self.report(daemon, &session).await;
        session
    }

    /// Reports all at once, so that they are due at once.
    pub(super) async fn report_all(&mut self, daemon: &TestDaemon, sessions: &[Session]) {
        let items: Vec<Value> = sessions.iter().map(Session::item).collect();
        let body = json!({"appointments": items});
        daemon
            .service()
            .post("appointments/batch", Some(&body))
            .await
            .expect(200);
        self.reports.extend_from_slice(sessions);
    }

    /// All that was reported, oldest first.
    pub(super) fn reports(&self) -> &[Session] {
        &self.reports
    }

    pub(super) fn sessions(&mut self, daemon: &TestDaemon, count: i64) -> Vec<Session> {
        let first = self.session(daemon);
        (0..count)
            .map(|place| Session {
                id: Uuid::new_v4(),
                ..first.clone().moved(TimeDelta::hours(2 * place))
            })
            .collect()
    }

    /// Trouble for this account alone; the id of the rule.
    pub(super) fn trouble(&self, daemon: &TestDaemon, rule: FaultRule) -> u64 {
        daemon.fail(rule.on(self.provider).of(&self.email))
    }

    pub(super) fn once(&self, daemon: &TestDaemon, at: CallKind, effect: FaultEffect) -> u64 {
        self.trouble(daemon, FaultRule::once(effect).at(at))
    }

    /// The trouble was met: without this a story may tell nothing.
    pub(super) fn met(&self, daemon: &TestDaemon, rule: u64) {
        let rules = daemon.calendars.faults();
        let rule = rules.iter().find(|status| status.id == rule);
        let fired = rule.map_or(0, |status| status.fired);
        assert!(
            fired > 0,
            "{}: the trouble was never met: {rule:?}",
            self.what
        );
    }

    pub(super) fn is_met(&self, daemon: &TestDaemon, rule: u64) -> bool {
        let rules = daemon.calendars.faults();
        rules
            .iter()
            .any(|status| status.id == rule && status.fired > 0)
    }

    /// What the coach does to an event in the calendar's own pages.
    pub(super) fn edit(&self, daemon: &TestDaemon, appointment: Uuid, edit: &CoachEdit) {
        let event = EventSelector::AppointmentId(appointment.to_string());
        daemon
            .calendars
            .edit(self.provider, &self.email, &event, edit)
            .unwrap_or_else(|error| panic!("{}: {error}", self.what));
    }

    pub(super) fn calls(&self, daemon: &TestDaemon) -> Vec<SeenCall> {
        daemon.calendars.calls_of(self.provider, &self.email)
    }

    /// Calls about events.
    pub(super) fn event_calls(&self, daemon: &TestDaemon) -> Vec<SeenCall> {
        use CallKind::{Batch, Create, Delete, Get, List, Update};
        let mut calls = self.calls(daemon);
        calls.retain(|call| {
            matches!(
                call.operation,
                Create | Update | Delete | Get | List | Batch
            )
        });
        calls
    }

    pub(super) fn count(&self, daemon: &TestDaemon, operation: CallKind) -> usize {
        let calls = self.calls(daemon);
        calls
            .iter()
            .filter(|call| call.operation == operation)
            .count()
    }

    pub(super) async fn connection(&self, daemon: &TestDaemon) -> Value {
        daemon.service().connection(self.coach, self.id).await
    }

    /// Waits until the connection waits for its coach; what is shown of it then.
    pub(super) async fn parked(&self, daemon: &TestDaemon) -> Value {
        eventually_every(PAUSE, &format!("{}: it is parked", self.what), async || {
            let connection = self.connection(daemon).await;
            (connection["status"] == "needs_reauth").then_some(connection)
        })
        .await
    }

    /// All jobs of the connection, as operators see them.
    pub(super) async fn jobs(&self, daemon: &TestDaemon) -> Vec<Value> {
        let path = format!("queue?connection_id={}&limit=200", self.id);
        let page = daemon.admin().get(&path).await.expect(200);
        page["jobs"].as_array().expect("a list").clone()
    }

    /// Failed attempts of all jobs together.
    pub(super) async fn attempts(&self, daemon: &TestDaemon) -> i64 {
        let jobs = self.jobs(daemon).await;
        jobs.iter().filter_map(|job| job["attempts"].as_i64()).sum()
    }

    /// Waits until every job that is left was told this, and lets time pass: who is in trouble asks ever
    /// more rarely.
    pub(super) async fn waits_because_of(&self, daemon: &TestDaemon, code: &str) {
        let what = format!("{}: all wait because of {code}", self.what);
        eventually_every(PAUSE, &what, async || {
            let mut jobs = self.jobs(daemon).await;
            jobs.retain(|job| job["operation"] != "full_sync" && job["completed_at"].is_null());
            let told = jobs.iter().all(|job| job["error_code"] == code);
            if told && !jobs.is_empty() {
                return Some(());
            }
            daemon.advance(TimeDelta::seconds(1));
            None
        })
        .await;
    }

    /// Waits until nothing is queued or under way.
    pub(super) async fn quiet(&self, daemon: &TestDaemon) -> Value {
        eventually_every(
            PAUSE,
            &format!("{}: nothing is left to do", self.what),
            async || self.is_quiet(daemon).await,
        )
        .await
    }

    pub(super) async fn is_quiet(&self, daemon: &TestDaemon) -> Option<Value> {
        let status = daemon.service().sync_status(self.id).await;
        let none_left = status["pending"] == 0 && status["processing"] == 0;
        (none_left && status["current"].is_null()).then_some(status)
    }

    /// Waits until the work is done; then the calendar is exactly as it should be, and stays so.
    pub(super) async fn converges(&self, daemon: &TestDaemon) {
        let status = self.quiet(daemon).await;
        assert_eq!(status["failed"], 0, "{}: {status}", self.what);
        self.is_exact(daemon);
        let connection = self.connection(daemon).await;
        assert_eq!(connection["status"], "active", "{}", self.what);
    }

    /// The whole calendar against everything that was reported.
    pub(super) fn is_exact(&self, daemon: &TestDaemon) {
        self.is_exact_but_for(daemon, &[]);
    }

    /// As [`is_exact`](Self::is_exact), as if these had never been reported.
    pub(super) fn is_exact_but_for(&self, daemon: &TestDaemon, unwanted: &[Uuid]) {
        let accounts = daemon.calendars.accounts();
        let account = accounts
            .iter()
            .find(|account| account.provider == self.provider && account.email == self.email);
        let calendars = account.expect("an account").calendars.iter();
        let primary = calendars.clone().find(|calendar| calendar.primary);
        let holding = Holding {
            provider: self.provider,
            account: self.email.clone(),
            coach: CoachId(self.coach),
            calendar_id: primary.expect("a calendar").id.clone(),
            events: daemon.events(self.provider, &self.email),
        };
        let wanted = self
            .reports
            .iter()
            .filter(|told| !unwanted.contains(&told.id));
        let reports = wanted.map(|told| (AppointmentId(told.id), told.body()));
        let differences = audit(&holding, Sharing::Nothing, reports).expect("reports");
        let told: Vec<String> = differences.iter().map(ToString::to_string).collect();
        assert!(told.is_empty(), "{}: {told:#?}", self.what);
    }
}

/// The earliest moment to come at which one of the jobs is tried again.
pub(super) fn next_due(jobs: &[Value], now: Timestamp) -> Option<Timestamp> {
    jobs.iter()
        .filter(|job| job["status"] == "pending")
        .filter_map(|job| job["scheduled_for"].as_str()?.parse().ok())
        .filter(|due| *due > now)
        .min()
}

/// Lets time pass from due moment to due moment until nobody has anything left to do.
pub(super) async fn wait_out(daemon: &TestDaemon) {
    let admin = daemon.admin();
    eventually("all waits are over", async || {
        let page = admin.get("queue?limit=200").await.expect(200);
        assert_eq!(page["next_cursor"], json!(null), "all jobs are in sight");
        let jobs = page["jobs"].as_array().expect("a list");
        let open = |job: &Value| job["status"] == "pending" || job["status"] == "processing";
        if !jobs.iter().any(open) {
            return Some(());
        }
        // What is held back with its connection has no moment of its own.
        let due = next_due(jobs, daemon.now()).map(|due| due - daemon.now());
        daemon.advance(due.unwrap_or(TimeDelta::seconds(1)));
        None
    })
    .await;
}

/// When all is quiet: nothing was created twice under one key, nothing is there twice, and while
/// another coach's session comes and goes nobody calls for any of these.
pub(super) async fn nothing_more_happens(daemon: &TestDaemon, cases: &[Case]) {
    assert!(!cases.is_empty());
    let calls = |case: &Case| case.calls(daemon).len();
    let before: Vec<usize> = cases.iter().map(calls).collect();
    daemon.calendars.clear_faults();
    for provider in ProviderKind::ALL {
        let mut other = Case::connected(daemon, provider, "somebody else").await;
        let session = other.report_new(daemon).await;
        other.converges(daemon).await;
        other
            .report(daemon, &session.with_status("cancelled"))
            .await;
        other.converges(daemon).await;
    }
    for (case, before) in cases.iter().zip(before) {
        let since = case.calls(daemon).split_off(before);
        assert!(
            since.is_empty(),
            "{}: called when all was done: {since:?}",
            case.what
        );
    }
    let twice: Vec<Duplicate> = daemon.calendars.duplicates();
    assert!(twice.is_empty(), "{twice:?}");
}

/// Tells the story for every row and both providers, several side by side.
pub(super) async fn for_each<R: Clone>(
    rows: impl IntoIterator<Item = R>,
    story: impl AsyncFn(ProviderKind, R) -> Case,
) -> Vec<Case> {
    let rows = rows.into_iter();
    let pairs = rows.flat_map(|row| ProviderKind::ALL.map(|provider| (provider, row.clone())));
    stream::iter(pairs.map(|(provider, row)| story(provider, row)))
        .buffered(AT_ONCE)
        .collect()
        .await
}

/// Goes on with stories that have begun, side by side.
pub(super) async fn side_by_side(cases: &mut [Case], story: impl AsyncFn(&mut Case)) {
    join_all(cases.iter_mut().map(|case| story(case))).await;
}
