//! Keys exchanged under thousands of connections, some of them busy and some of them lost.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use calendar_integration::doctor::{Finding, Verdict, examine};
use calendar_integration::domain::{ConnectionId, ProviderKind, SystemEntropy};
use calendar_integration::security::{KeyRing, places};
use calendar_integration::simulator::{IssuedTokens, Window};
use chrono::TimeDelta;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{COACH_EMAIL, Session, Setup, TestDaemon, eventually, is_postgres, until};

const GOOGLE: ProviderKind = ProviderKind::Google;
const CLIENT: &str = "demo-google-client";
const SCOPES: [&str; 3] = [
    "https://www.googleapis.com/auth/calendar",
    "https://www.googleapis.com/auth/userinfo.email",
    "https://www.googleapis.com/auth/userinfo.profile",
];
const OLD_KEY: &str = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const NEW_KEY: &str = "k2:HxwdHh8AAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRo=";
const LOST_KEY: &str = "k0:GRoAAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYHxwdHh8=";

/// Connections that have appointments all the while.
const BUSY: usize = 120;
/// Connections whose key nobody has any more.
const LOST: usize = 20;
/// Inserted with one statement.
const AT_ONCE: usize = 500;

/// The rows are rotated alike on either database: on one of them all ten thousand.
fn connections() -> usize {
    if is_postgres() { 2_000 } else { 10_000 }
}

/// `keys rotate` as an operator runs it, beside the daemon.
pub(crate) async fn rotate(daemon: &TestDaemon, keys: &str) -> Output {
    let mut rotate = Command::new(env!("CARGO_BIN_EXE_calendar-integration"));
    rotate
        .args(["keys", "rotate"])
        .env_clear()
        .env("DATABASE_URL", daemon.database.url())
        .env("TOKEN_ENCRYPTION_KEYS", keys)
        .stdin(Stdio::null());
    let rotated = tokio::task::spawn_blocking(move || rotate.output()).await;
    rotated.expect("no panic").expect("it runs")
}

struct Coach {
    id: Uuid,
    connection: Uuid,
    email: String,
}

/// As this database writes a literal.
fn literal(id: Uuid) -> String {
    if is_postgres() {
        format!("'{id}'::uuid")
    } else {
        format!("x'{}'", id.simple())
    }
}

/// Connections like the first one, each of another coach and account. The first have accounts that
/// work, the last were sealed with a key that is lost.
async fn multiply(daemon: &TestDaemon, first: Uuid) -> Vec<Coach> {
    let ring = |key: &str| KeyRing::parse(&key.into()).expect("a key");
    let (old, lost) = (ring(OLD_KEY), ring(LOST_KEY));
    let mut coaches = Vec::new();
    let mut rows = Vec::new();
    let connections = connections();
    for number in 1..connections {
        let coach = Coach {
            id: Uuid::new_v4(),
            connection: Uuid::new_v4(),
            email: format!("coach{number}@example.com"),
        };
        let tokens = if number <= BUSY {
            daemon
                .calendars
                .grant(GOOGLE, &coach.email, CLIENT, &SCOPES)
        } else {
            let idle = || format!("the token of an idle coach, {number}").into();
            IssuedTokens {
                access_token: idle(),
                refresh_token: idle(),
            }
        };
        let id = ConnectionId(coach.connection);
        let keys = if number < connections - LOST {
            &old
        } else {
            &lost
        };
        let seal = |token, place| keys.seal(token, place, &SystemEntropy).into_string();
        rows.push(format!(
            "({}, {}, '{}', '{}', '{}')",
            literal(coach.connection),
            literal(coach.id),
            coach.email,
            seal(&tokens.access_token, places::access_token(id)),
            seal(&tokens.refresh_token, places::refresh_token(id)),
        ));
        coaches.push(coach);
    }
    let own = [
        "id",
        "coach_id",
        "account_id",
        "account_email",
        "calendar_id",
        "access_token",
        "refresh_token",
    ];
    let mut common = daemon.database.columns("coach_calendar_connections").await;
    common.retain(|column| !own.contains(&column.as_str()));
    let (own, common) = (own.join(", "), common.join(", "));
    for rows in rows.chunks(AT_ONCE) {
        let insert = format!(
            "INSERT INTO coach_calendar_connections ({own}, {common}) \
             SELECT column1, column2, column3, column3, column3, column4, column5, {common} \
             FROM (VALUES {}) AS fresh, coach_calendar_connections WHERE id = {}",
            rows.join(", "),
            literal(first),
        );
        daemon.database.run(&insert).await;
    }
    let leases = "INSERT INTO connection_leases (connection_id, epoch) \
         SELECT id, 0 FROM coach_calendar_connections \
         WHERE id NOT IN (SELECT connection_id FROM connection_leases)";
    daemon.database.run(leases).await;
    coaches
}

/// Every busy coach's appointment, an hour later each time it is reported.
struct Appointments {
    sessions: Vec<Session>,
    emails: Vec<String>,
}

impl Appointments {
    fn of(coaches: &[Coach], daemon: &TestDaemon) -> Self {
        let session = |coach: &Coach| Session::tomorrow(coach.id, daemon.now());
        Self {
            sessions: coaches.iter().map(session).collect(),
            emails: coaches.iter().map(|coach| coach.email.clone()).collect(),
        }
    }

    async fn move_all(&mut self, daemon: &TestDaemon) {
        for session in &mut self.sessions {
            *session = session.clone().moved(TimeDelta::minutes(1));
        }
        let items: Vec<Value> = self.sessions.iter().map(Session::item).collect();
        let batch = json!({ "appointments": items });
        let service = daemon.service();
        service
            .post("appointments/batch", Some(&batch))
            .await
            .expect(200);
    }

    async fn are_all_there(&self, daemon: &TestDaemon) {
        for (session, email) in self.sessions.iter().zip(&self.emails) {
            until("the event is where it was moved to", || {
                let events = daemon.events(GOOGLE, email);
                assert!(events.len() <= 1, "{events:?}");
                events
                    .iter()
                    .any(|event| event.starts_at == session.starts_at)
            })
            .await;
        }
    }
}

/// The two numbers that a rotation tells.
fn told(output: &Output) -> [usize; 2] {
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers = text.split([' ', '\n']).filter_map(|word| word.parse().ok());
    let numbers: Vec<usize> = numbers.take(2).collect();
    let told = numbers.try_into();
    told.unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test]
async fn kept_answers_get_another_key_too_and_one_that_nobody_reads_is_no_second_request() {
    let mut daemon = Setup::default()
        .set("TOKEN_ENCRYPTION_KEYS", OLD_KEY)
        .set("WEBHOOK_ALLOW_PRIVATE_ADDRESSES", "true")
        .start()
        .await;
    let body = json!({"url": "http://127.0.0.1:9/hook"});
    let register = async |daemon: &TestDaemon| {
        let key = [("idempotency-key", "register-once")];
        let admin = daemon.admin();
        let method = reqwest::Method::POST;
        admin.send_with(method, "webhooks", &key, Some(&body)).await
    };
    let first = register(&daemon).await;
    assert_eq!(first.status, 201);

    // Taken out too early.
    daemon
        .restart_with(&[("TOKEN_ENCRYPTION_KEYS", NEW_KEY)])
        .await;
    for _ in 0..2 {
        let refused = register(&daemon).await;
        assert_eq!(refused.status, 503, "{}", refused.text);
        assert!(refused.header("retry-after").is_some());
        assert_eq!(refused.json()["code"], "kept_answer_unreadable");
    }
    let findings = examine(&daemon.sources(&[])).await;
    for subject in ["webhook secrets", "kept answers"] {
        let found = findings.iter().find(|finding| finding.subject == subject);
        let found = found.expect("it is looked at");
        assert_eq!(found.verdict, Verdict::Bad, "{found:?}");
        assert!(found.detail.starts_with("1 "), "{found:?}");
    }

    let both = format!("{NEW_KEY},{OLD_KEY}");
    daemon
        .restart_with(&[("TOKEN_ENCRYPTION_KEYS", &both)])
        .await;
    let rotated = rotate(&daemon, &both).await;
    let text = String::from_utf8_lossy(&rotated.stdout);
    assert!(rotated.status.success(), "{text}");
    assert!(
        text.contains("1 kept answers were encrypted anew"),
        "{text}"
    );
    let bodies = "SELECT body FROM idempotency_keys WHERE body IS NOT NULL";
    let bodies = daemon.database.texts(bodies, 0).await;
    assert!(bodies.iter().all(|body| body.starts_with("v1.k2.")));
    daemon
        .restart_with(&[("TOKEN_ENCRYPTION_KEYS", NEW_KEY)])
        .await;
    let again = register(&daemon).await;
    assert_eq!((again.status, again.text), (201, first.text));
    let findings = examine(&daemon.sources(&[])).await;
    let is_bad = |finding: &&Finding| finding.verdict == Verdict::Bad;
    assert_eq!(findings.iter().find(is_bad), None);
}

#[expect(clippy::print_stderr, reason = "figures for whoever runs it alone")]
#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_connections_get_another_key_while_their_work_goes_on() {
    let plenty = "1000000/1m";
    let mut daemon = Setup::default()
        .set("TOKEN_ENCRYPTION_KEYS", OLD_KEY)
        .set("GOOGLE_LIMIT_PER_PROJECT", plenty)
        .set("GOOGLE_LIMIT_PER_USER", plenty)
        .set("LEASE_TTL", "15s")
        .simulate(|config| {
            let plenty = Window::new(1_000_000, Duration::from_secs(60));
            config.limits.google_per_project = plenty;
            config.limits.google_per_user = plenty;
        })
        .start()
        .await;
    let first = daemon.connect(GOOGLE, Uuid::new_v4(), COACH_EMAIL).await;
    daemon.service().settled(first).await;
    daemon.stop().await;
    let coaches = multiply(&daemon, first).await;
    let (busy, lost) = (&coaches[..BUSY], &coaches[coaches.len() - LOST..]);

    let both = format!("{NEW_KEY},{OLD_KEY}");
    daemon.start_with(&[("TOKEN_ENCRYPTION_KEYS", &both)]).await;
    let mut appointments = Appointments::of(busy, &daemon);
    appointments.move_all(&daemon).await;
    let began = Instant::now();
    let mut rounds = 0;
    let rotated = {
        let mut rotation = std::pin::pin!(rotate(&daemon, &both));
        loop {
            // New tokens are stored while others are encrypted anew.
            for coach in &busy[rounds % 10 * 10..][..10] {
                daemon.calendars.expire_access_tokens(GOOGLE, &coach.email);
            }
            let work = async {
                appointments.move_all(&daemon).await;
                appointments.are_all_there(&daemon).await;
            };
            tokio::pin!(work);
            rounds += 1;
            tokio::select! {
                biased;
                rotated = &mut rotation => {
                    work.await;
                    break rotated;
                }
                () = &mut work => {}
            }
        }
    };
    eprintln!(
        "{} connections got another key in {:.1?}, beside {rounds} rounds of {BUSY} changes",
        connections(),
        began.elapsed()
    );
    let [anew, already] = told(&rotated);
    assert_eq!(anew + already, connections() - LOST);
    assert!(already <= 2 * BUSY, "only refreshed ones: {already}");
    assert_eq!(rotated.status.code(), Some(1), "some could not be read");
    let text = String::from_utf8_lossy(&rotated.stdout);
    for coach in lost {
        assert!(text.contains(&coach.connection.to_string()), "{text}");
    }
    assert_eq!(
        told(&rotate(&daemon, &both).await),
        [0, connections() - LOST]
    );
    let others = "SELECT refresh_token FROM coach_calendar_connections \
                  WHERE refresh_token NOT LIKE 'v1.k2.%' OR access_token NOT LIKE 'v1.k2.%'";
    let others = daemon.database.texts(others, 0).await;
    assert_eq!(others.len(), LOST);

    // The old key is not needed any more, and the lost one hurts nobody else.
    daemon
        .restart_with(&[("TOKEN_ENCRYPTION_KEYS", NEW_KEY)])
        .await;
    let service = daemon.service();
    for coach in lost {
        service
            .report(&Session::tomorrow(coach.id, daemon.now()))
            .await;
    }
    appointments.move_all(&daemon).await;
    appointments.are_all_there(&daemon).await;
    for coach in lost {
        let reason = eventually("it is set aside", async || {
            let connection = service.connection(coach.id, coach.connection).await;
            let reason = connection["status_reason"].as_str().map(str::to_owned);
            reason.filter(|_| connection["status"] == "quarantined" && connection["pending"] == 1)
        })
        .await;
        assert!(reason.contains("encryption keys"), "{reason}");
    }
    let set_aside = "SELECT status FROM coach_calendar_connections WHERE status <> 'active'";
    assert_eq!(daemon.database.texts(set_aside, 0).await.len(), LOST);
    let failed = "SELECT status FROM calendar_sync_queue WHERE status = 'failed'";
    assert!(daemon.database.texts(failed, 0).await.is_empty());
    daemon.nobody().get("/health/ready").await.expect(200);
    let lines = daemon
        .admin()
        .get("audit?action=key_rotation_started")
        .await;
    let lines = lines.expect(200)["events"].clone();
    assert_eq!(lines.as_array().map(Vec::len), Some(2), "{lines}");
    assert_eq!(lines[0]["role"], "command_line");
    daemon.no_duplicates();
}
