//! What one connection's backlog costs the others, as ratios within one run.
//!
//! `cargo bench --bench fairness`, on SQLite; with `TEST_DATABASE=postgres` and a superuser's
//! `TEST_POSTGRES_URL` on PostgreSQL. A thousand quiet connections get a change each now and then.
//!
//! - **flood**: how long after a change was sent the provider receives it, without and then beside one
//!   connection with 100,000 due rows. Once with Google's own quotas, once with quotas lifted, so that
//!   the flood is worked off as fast as it goes.
//! - **blocked**: the same, and how long it takes until one change of every quiet connection has arrived
//!   when all are sent at once, on four daemons in turns. One has 100,000 due rows of connections that
//!   are rate limited or wait for their coach; one has as many of connections that were disconnected, for
//!   a large table has its price, whatever is in it. The other two have neither: their ratio is the error
//!   of the measurement.
//!
//! The first argument that is a number replaces the 100,000, the second the 1,000; `flood` or `blocked`
//! runs only that part.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

#[expect(dead_code, unused_imports, reason = "the stories use more of it")]
#[path = "../it/support/mod.rs"]
mod support;

use std::time::Duration;

use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::{FaultEffect, FaultRule, Window};
use chrono::TimeDelta;
use futures::{StreamExt, stream};
use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

use support::{Api, Session, Setup, TestDaemon, eventually};

const GOOGLE: ProviderKind = ProviderKind::Google;
/// Changes per measured phase: enough for a p99 that stands on twenty of them.
const CHANGES: usize = 2_000;
/// From one change to the next.
const PACE: Duration = Duration::from_millis(10);
const SIGN_INS_AT_ONCE: usize = 16;
/// What one batch of appointments may hold.
const BATCH: usize = 1_000;
/// How long the providers take to answer.
const PROVIDER: Duration = Duration::from_millis(30);
/// What **blocked** compares.
const DAEMONS: usize = 4;
/// Connections the blocked rows belong to, of each kind.
const BLOCKED_CONNECTIONS: usize = 50;
/// In turns, so that a slow moment of the machine meets all.
const TURNS: usize = 10;
/// Changes before a measurement, so that what was just loaded is on the disk.
const WARM_UP: usize = 500;

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    let mut sizes = arguments
        .iter()
        .filter_map(|argument| argument.parse().ok());
    let rows = sizes.next().unwrap_or(100_000);
    let quiet = sizes.next().unwrap_or(1_000);
    let only = |part: &str| arguments.iter().any(|argument| argument == part);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        if !only("blocked") {
            flood(Quotas::Usual, rows, quiet).await;
            flood(Quotas::Lifted, rows, quiet).await;
        }
        if !only("flood") {
            blocked(rows, quiet).await;
        }
    });
}

#[derive(Clone, Copy, Debug)]
enum Quotas {
    Usual,
    Lifted,
}

async fn flood(quotas: Quotas, rows: usize, quiet: usize) {
    let daemon = start(quotas).await;
    let coaches = connect_many(&daemon, quiet, "quiet").await;
    measure(&daemon, &coaches, WARM_UP).await;
    let without = measure(&daemon, &coaches, CHANGES).await;

    let flooded = Uuid::new_v4();
    let id = daemon.connect(GOOGLE, flooded, "flooded@example.com").await;
    report_rows(&daemon, &[flooded], rows).await;
    measure(&daemon, &coaches, WARM_UP).await;
    let beside = measure(&daemon, &coaches, CHANGES).await;
    let left = daemon.service().sync_status(id).await["pending"].clone();

    println!(
        "flood, quotas {quotas:?}: 1 connection with {rows} due rows beside {quiet} quiet ones"
    );
    println!("  without      {}", spread(&without));
    println!("  beside it    {}", spread(&beside));
    println!("  ratio p99    {:.2}", ratio(&beside, &without, 99));
    println!("  ratio median {:.2}", ratio(&beside, &without, 50));
    println!("  rows of the flood left when the measurement ended: {left}");
}

async fn blocked(rows: usize, quiet: usize) {
    let others = [
        Others::connect("without", quiet).await,
        Others::connect("without, again", quiet).await,
        Others::connect("beside as many at rest", quiet).await,
        Others::connect("beside them", quiet).await,
    ];
    let ended = burden(&others[2].daemon, rows).await;
    disconnect(&others[2].daemon, &ended).await;
    burden(&others[3].daemon, rows).await;
    println!("blocked: {rows} due rows of blocked connections beside {quiet} quiet ones");
    in_turns(&others, WARM_UP).await;
    compare("now and then", &others, &in_turns(&others, CHANGES).await);
    let mut bursts = [const { Vec::new() }; DAEMONS];
    for turn in 0..TURNS {
        // Each is as often the first one as the others are.
        for place in 0..DAEMONS {
            let of = (turn + place) % DAEMONS;
            bursts[of].push(burst(&others[of].daemon, &others[of].coaches).await);
        }
    }
    compare("each at once", &others, &bursts);
    for others in &others[2..] {
        let waiting = "calendar_sync_queue WHERE status = 'pending'";
        let waiting = count(&others.daemon, waiting).await;
        let all = count(&others.daemon, "calendar_sync_queue").await;
        println!(
            "  {}: {waiting} of {all} rows waiting at the end",
            others.name
        );
    }
}

/// Their rows are cancelled, and stay where they are.
async fn disconnect(daemon: &TestDaemon, coaches: &[Uuid]) {
    let service = daemon.service();
    for coach in coaches {
        let listed = service.get(&format!("connections/{coach}")).await;
        let listed = listed.expect(200);
        let id = listed["connections"][0]["id"].as_str().expect("an id");
        let path = format!("connections/{id}");
        service.delete(&path).await.expect(200);
    }
}

/// A daemon and its quiet connections.
struct Others {
    name: &'static str,
    daemon: TestDaemon,
    coaches: Vec<Uuid>,
}

impl Others {
    async fn connect(name: &'static str, quiet: usize) -> Self {
        let daemon = start(Quotas::Lifted).await;
        let coaches = connect_many(&daemon, quiet, "quiet").await;
        Self {
            name,
            daemon,
            coaches,
        }
    }
}

/// A change here, a change there: whatever the machine does meanwhile meets all alike.
async fn in_turns(others: &[Others; DAEMONS], changes: usize) -> [Vec<Duration>; DAEMONS] {
    let mut senders = others
        .each_ref()
        .map(|of| Changes::of(&of.daemon, &of.coaches));
    let mut pace = tokio::time::interval(PACE);
    for turn in 0..changes {
        for place in 0..senders.len() {
            pace.tick().await;
            senders[(turn + place) % others.len()].send_one();
        }
    }
    let mut waits = [const { Vec::new() }; DAEMONS];
    for (sender, waits) in senders.into_iter().zip(&mut waits) {
        *waits = sender.waits().await;
    }
    waits
}

/// Against the first. The ratio of the second, which has no more to carry than the first, is the error of
/// the measurement.
fn compare(what: &str, others: &[Others; DAEMONS], waits: &[Vec<Duration>; DAEMONS]) {
    for (of, its) in others.iter().zip(waits) {
        println!("  {what}, {:<22} {}", of.name, spread(its));
    }
    for (of, its) in others.iter().zip(waits).skip(1) {
        let ratios = [50, 90, 99].map(|percent| ratio(its, &waits[0], percent));
        let [median, p90, p99] = ratios;
        println!(
            "  ratio, {:<22} median {median:.3}, p90 {p90:.3}, p99 {p99:.3}",
            of.name
        );
    }
}

/// How long until one change of every coach has arrived, all of them sent at once.
async fn burst(daemon: &TestDaemon, coaches: &[Uuid]) -> Duration {
    let sessions: Vec<_> = coaches
        .iter()
        .map(|coach| Session::tomorrow(*coach, daemon.now()))
        .collect();
    let started = daemon.surroundings.clock.monotonic();
    report(daemon, &sessions).await;
    let mut last = started;
    for session in sessions {
        last = last.max(receipt(daemon, &session.id.to_string()).await);
    }
    eventually("the last ones are settled", async || {
        let working = "calendar_sync_queue WHERE status = 'processing'";
        (count(daemon, working).await == "0").then_some(())
    })
    .await;
    last.saturating_sub(started)
}

/// Half of the rows belong to connections that are limited for a day, half to ones whose grant was
/// revoked. Answers their coaches.
async fn burden(daemon: &TestDaemon, rows: usize) -> Vec<Uuid> {
    let limited = connect_many(daemon, BLOCKED_CONNECTIONS, "limited").await;
    let revoked = connect_many(daemon, BLOCKED_CONNECTIONS, "revoked").await;
    for number in 0..BLOCKED_CONNECTIONS {
        let a_day = FaultEffect::too_many_requests("86400");
        daemon.fail(FaultRule::always(a_day).of(&email("limited", number)));
        daemon.calendars.revoke(GOOGLE, &email("revoked", number));
        daemon
            .calendars
            .expire_access_tokens(GOOGLE, &email("revoked", number));
    }
    report_rows(daemon, &limited, rows / 2).await;
    report_rows(daemon, &revoked, rows / 2).await;
    eventually("the blocked connections have noticed", async || {
        let parked = "coach_calendar_connections WHERE status = 'needs_reauth'";
        let waiting = "connection_leases WHERE not_before IS NOT NULL";
        let all = BLOCKED_CONNECTIONS.to_string();
        (count(daemon, parked).await == all && count(daemon, waiting).await == all).then_some(())
    })
    .await;
    [limited, revoked].concat()
}

async fn count(daemon: &TestDaemon, rows: &str) -> String {
    let query = format!("SELECT CAST(COUNT(*) AS TEXT) FROM {rows}");
    daemon.database.texts(&query, 0).await.join("")
}

async fn start(quotas: Quotas) -> TestDaemon {
    let setup = Setup::default().simulate(|config| config.limits.latency = PROVIDER);
    match quotas {
        Quotas::Usual => setup.start().await,
        Quotas::Lifted => lifted(setup).start().await,
    }
}

fn lifted(setup: Setup) -> Setup {
    let plenty = "100000000/1m";
    setup
        .simulate(|config| {
            let plenty = Window::new(100_000_000, Duration::from_secs(60));
            config.limits.google_per_user = plenty;
            config.limits.google_per_project = plenty;
        })
        .set("GOOGLE_LIMIT_PER_USER", plenty)
        .set("GOOGLE_LIMIT_PER_PROJECT", plenty)
}

fn email(kind: &str, number: usize) -> String {
    format!("{kind}-{number}@example.com")
}

async fn connect_many(daemon: &TestDaemon, count: usize, kind: &str) -> Vec<Uuid> {
    let connections = (0..count).map(|number| async move {
        let coach = Uuid::new_v4();
        daemon.connect(GOOGLE, coach, &email(kind, number)).await;
        coach
    });
    // In this order, with which the e-mail addresses count.
    stream::iter(connections)
        .buffered(SIGN_INS_AT_ONCE)
        .collect()
        .await
}

async fn report_rows(daemon: &TestDaemon, coaches: &[Uuid], rows: usize) {
    let sessions: Vec<_> = (0..rows)
        .map(|number| {
            let hours = TimeDelta::hours(i64::try_from(number % 8_000).unwrap_or(0));
            Session::tomorrow(coaches[number % coaches.len()], daemon.now()).moved(hours)
        })
        .collect();
    report(daemon, &sessions).await;
}

async fn report(daemon: &TestDaemon, sessions: &[Session]) {
    let service = daemon.service();
    for batch in sessions.chunks(BATCH) {
        let items: Vec<_> = batch.iter().map(Session::item).collect();
        let body = json!({ "appointments": items });
        service
            .post("appointments/batch", Some(&body))
            .await
            .expect(200);
    }
}

/// How long after sending each change the provider received it.
async fn measure(daemon: &TestDaemon, coaches: &[Uuid], changes: usize) -> Vec<Duration> {
    let mut sender = Changes::of(daemon, coaches);
    let mut pace = tokio::time::interval(PACE);
    for _ in 0..changes {
        pace.tick().await;
        sender.send_one();
    }
    sender.waits().await
}

/// Changes on their way to a provider, of one coach after the other.
struct Changes<'a> {
    daemon: &'a TestDaemon,
    coaches: &'a [Uuid],
    service: Api,
    sent: Vec<(String, Duration)>,
    answers: JoinSet<()>,
}

impl<'a> Changes<'a> {
    fn of(daemon: &'a TestDaemon, coaches: &'a [Uuid]) -> Self {
        Self {
            daemon,
            coaches,
            service: daemon.service(),
            sent: Vec::new(),
            answers: JoinSet::new(),
        }
    }

    fn send_one(&mut self) {
        let coach = self.coaches[self.sent.len() % self.coaches.len()];
        let session = Session::tomorrow(coach, self.daemon.now());
        let now = self.daemon.surroundings.clock.monotonic();
        self.sent.push((session.id.to_string(), now));
        let service = self.service.clone();
        self.answers.spawn(async move {
            service.report(&session).await;
        });
    }

    /// How long after sending each the provider received it.
    async fn waits(mut self) -> Vec<Duration> {
        while let Some(answer) = self.answers.join_next().await {
            answer.expect("the change is taken");
        }
        let mut waits = Vec::with_capacity(self.sent.len());
        for (id, sent) in self.sent {
            waits.push(receipt(self.daemon, &id).await.saturating_sub(sent));
        }
        waits
    }
}

/// When the provider received the first call about this appointment. It carries its own time, so
/// looking for it now and then blurs nothing.
async fn receipt(daemon: &TestDaemon, id: &str) -> Duration {
    eventually("the change reaches the provider", async || {
        daemon.calendars.first_receipt(id)
    })
    .await
}

fn at(waits: &[Duration], percent: usize) -> Duration {
    let mut sorted = waits.to_vec();
    sorted.sort_unstable();
    sorted[(sorted.len() * percent).div_ceil(100) - 1]
}

fn ratio(beside: &[Duration], without: &[Duration], percent: usize) -> f64 {
    at(beside, percent).as_secs_f64() / at(without, percent).as_secs_f64()
}

fn spread(waits: &[Duration]) -> String {
    let ms = |percent| at(waits, percent).as_secs_f64() * 1e3;
    format!(
        "median {:.2} ms, p90 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
        ms(50),
        ms(90),
        ms(99),
        ms(100)
    )
}
