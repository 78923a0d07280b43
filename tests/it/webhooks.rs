//! The platform is told what happens: signed, in order, at least once, and nowhere it must not be.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use aws_lc_rs::hmac;
use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::{CallKind, FaultEffect, FaultRule};
use calendar_integration::webhooks::Lookup;
use chrono::TimeDelta;
use data_encoding::BASE64;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    Api, COACH_EMAIL, Received, Receiver, Session, Setup, TestDaemon, eventually, is_postgres,
    needs_postgres, until,
};

const GOOGLE: ProviderKind = ProviderKind::Google;

fn lenient(setup: Setup) -> Setup {
    setup.set("WEBHOOK_ALLOW_PRIVATE_ADDRESSES", "true")
}

/// A registered webhook.
struct Hook {
    id: String,
    secret: String,
}

impl Hook {
    async fn register(admin: &Api, url: &str, events: &[&str]) -> Self {
        let mut body = json!({"url": url});
        if !events.is_empty() {
            body["events"] = json!(events);
        }
        let registered = admin.post("webhooks", Some(&body)).await.expect(201);
        let id = registered["webhook"]["id"].as_str().expect("an id");
        let secret = registered["secret"].as_str().expect("a secret");
        Self {
            id: id.to_owned(),
            secret: secret.to_owned(),
        }
    }

    fn path(&self) -> String {
        format!("webhooks/{}", self.id)
    }

    async fn read(&self, admin: &Api) -> Value {
        admin.get(&self.path()).await.expect(200)
    }

    async fn deliveries(&self, admin: &Api, query: &str) -> Vec<Value> {
        let path = format!("{}/deliveries?{query}", self.path());
        let page = admin.get(&path).await.expect(200);
        page["deliveries"].as_array().expect("a list").clone()
    }
}

/// Whether one of the signatures is made with this secret, by another implementation than the daemon's.
fn is_signed(received: &Received, secret: &str) -> bool {
    let encoded = secret.strip_prefix("whsec_").expect("a secret");
    let key = BASE64.decode(encoded.as_bytes()).expect("base64");
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let signed = format!("{}.{}.{}", received.id, received.timestamp, received.text);
    received.signatures.split(' ').any(|signature| {
        let signature = signature.strip_prefix("v1,").expect("a version");
        let signature = BASE64.decode(signature.as_bytes()).expect("base64");
        hmac::verify(&key, signed.as_bytes(), &signature).is_ok()
    })
}

fn events(received: &[Received]) -> Vec<String> {
    received.iter().map(Received::event).collect()
}

async fn taken(receiver: &Receiver, path: &str, count: usize) -> Vec<Received> {
    eventually("the events arrive", async || {
        let taken = receiver.taken(path);
        (taken.len() >= count).then_some(taken)
    })
    .await
}

async fn seen(receiver: &Receiver, path: &str, count: usize) {
    until("the attempts arrive", || receiver.seen(path).len() >= count).await;
}

#[tokio::test]
async fn each_kind_of_event_is_told_signed_and_without_anything_of_clients() {
    let receiver = Receiver::start().await;
    let setup = Setup::default().set("SYNC_MAX_ATTEMPTS", "1");
    let mut daemon = lenient(setup).start().await;
    let admin = daemon.admin();
    let hook = Hook::register(&admin, &receiver.url("/"), &[]).await;
    let coach = Uuid::new_v4();
    let id = daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    let service = daemon.service();
    let details = json!({"include_client_details": true});
    service.change(id, &details).await;
    service.settled(id).await;
    let session = Session::tomorrow(coach, daemon.now());
    service.report(&session).await;
    service.settled(id).await;
    let removed = session.clone().with_status("cancelled");
    service.report(&removed).await;
    service.settled(id).await;

    daemon.fail(FaultRule::once(FaultEffect::status(500)).at(CallKind::Create));
    let failing = Session::tomorrow(coach, daemon.now());
    service.report(&failing).await;
    eventually("it is given up", async || {
        (service.sync_status(id).await["failed"] == 1).then_some(())
    })
    .await;
    admin.post("queue/retry-failed", None).await.expect(202);
    service.settled(id).await;

    assert!(daemon.calendars.revoke(GOOGLE, COACH_EMAIL));
    let late = Session::tomorrow(coach, daemon.now());
    service.report(&late).await;
    eventually("it needs a new sign-in", async || {
        let connection = service.connection(coach, id).await;
        (connection["status"] == "needs_reauth").then_some(())
    })
    .await;
    daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    service.settled(id).await;

    // Tokens that nobody can read: those of another column.
    daemon.stop().await;
    let column = "SELECT refresh_token FROM coach_calendar_connections";
    let refresh = daemon.database.texts(column, 0).await.remove(0);
    let column = "SELECT access_token FROM coach_calendar_connections";
    let access = daemon.database.texts(column, 0).await.remove(0);
    let set = |access: &str, refresh: &str| {
        format!(
            "UPDATE coach_calendar_connections SET access_token = '{access}', \
             refresh_token = '{refresh}', token_version = token_version + 1"
        )
    };
    daemon.database.run(&set(&refresh, &access)).await;
    daemon.start_again().await;
    let service = daemon.service();
    let aside = Session::tomorrow(coach, daemon.now());
    service.report(&aside).await;
    eventually("it is set aside", async || {
        let connection = service.connection(coach, id).await;
        (connection["status"] == "quarantined").then_some(())
    })
    .await;
    daemon.database.run(&set(&access, &refresh)).await;
    service.sync_now(id).await;
    service.settled(id).await;
    let path = format!("connections/{id}");
    service.delete(&path).await.expect(200);

    let of_connection = || receiver.told_of(id);
    until("the last is told", || {
        of_connection()
            .last()
            .is_some_and(|last| last == "connection.disconnected")
    })
    .await;
    assert_eq!(
        of_connection(),
        [
            "connection.connected",
            "connection.needs_reauth",
            "connection.recovered",
            "connection.quarantined",
            "connection.recovered",
            "connection.disconnected",
        ]
    );
    assert_eq!(
        receiver.told_of(session.id)[..2],
        ["appointment.synced", "appointment.synced"]
    );
    assert_eq!(
        receiver.told_of(failing.id)[..2],
        ["appointment.sync_failed", "appointment.synced"]
    );
    let all = receiver.taken("/");
    for one in &all {
        assert!(is_signed(one, &hook.secret), "{one:?}");
        for word in ["wilhelmina", COACH_EMAIL, "Sign in", "whsec"] {
            assert!(
                !one.text.to_lowercase().contains(&word.to_lowercase()),
                "{word}"
            );
        }
        let body = one.body();
        let data = &body["data"];
        assert_eq!(data["connection_id"], json!(id));
        assert_eq!(data["coach_id"], json!(coach));
        assert_eq!(data["provider"], "google");
    }
    let data = |event: &str| {
        let found = all.iter().find(|one| one.event() == event);
        found.map(|one| one.body()["data"].clone()).expect("told")
    };
    assert_eq!(data("connection.needs_reauth")["reason"], "grant_refused");
    assert_eq!(
        data("connection.quarantined")["reason"],
        "tokens_unreadable"
    );
    assert_eq!(data("appointment.sync_failed")["reason"], "server_error");
    let shown: Vec<_> = all
        .iter()
        .filter(|one| one.subject() == session.id)
        .map(|one| one.body()["data"]["calendar_event"].clone())
        .collect();
    assert_eq!(shown[..2], [json!("present"), json!("absent")]);
}

#[tokio::test]
async fn only_what_is_wanted_is_written_down_and_nothing_for_nobody() {
    let receiver = Receiver::start().await;
    let daemon = lenient(Setup::default()).start().await;
    let (admin, service) = (daemon.admin(), daemon.service());
    let coach = Uuid::new_v4();
    let id = daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    let count = "SELECT 'row' FROM webhook_deliveries";
    assert!(daemon.database.texts(count, 0).await.is_empty());
    let wanted = ["connection.disconnected"];
    let hook = Hook::register(&admin, &receiver.url("/one"), &wanted).await;
    let off = Hook::register(&admin, &receiver.url("/off"), &[]).await;
    let disabled = json!({"is_enabled": false});
    let changed = admin.put(&off.path(), &disabled).await.expect(200);
    assert_eq!(changed["disabled_reason"], "requested");
    service
        .report(&Session::tomorrow(coach, daemon.now()))
        .await;
    service.settled(id).await;
    service
        .delete(&format!("connections/{id}"))
        .await
        .expect(200);
    taken(&receiver, "/one", 1).await;
    assert_eq!(daemon.database.texts(count, 0).await.len(), 1);
    assert_eq!(hook.read(&admin).await["events"], json!(wanted));
    assert!(receiver.seen("/off").is_empty());

    assert_eq!(admin.delete(&hook.path()).await.status, 204);
    assert_eq!(
        admin.get(&hook.path()).await.problem(404),
        "webhook_not_found"
    );
    assert!(daemon.database.texts(count, 0).await.is_empty());
    let audit = admin.get("audit?limit=3").await.expect(200);
    assert_eq!(audit["events"][0]["action"], "webhook_deleted");
    assert_eq!(audit["events"][0]["subject_id"], json!(hook.id));
}

#[tokio::test]
async fn what_happens_to_one_appointment_arrives_in_its_order_and_holds_up_no_other() {
    let receiver = Receiver::start().await;
    let daemon = lenient(Setup::with_manual_clock()).start().await;
    let (admin, service) = (daemon.admin(), daemon.service());
    let coach = Uuid::new_v4();
    let id = daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    service.settled(id).await;
    let wanted = ["appointment.synced"];
    let hook = Hook::register(&admin, &receiver.url("/"), &wanted).await;
    let refused = Session::tomorrow(coach, daemon.now());
    receiver.answer_only("/", &refused.id.to_string(), 503);
    for hours in 0..3 {
        service
            .report(&refused.clone().moved(TimeDelta::hours(hours)))
            .await;
        service.settled(id).await;
        daemon.advance(TimeDelta::seconds(1));
    }
    let other = Session::tomorrow(coach, daemon.now());
    service.report(&other).await;
    taken(&receiver, "/", 1).await;
    assert_eq!(receiver.told_of(other.id).len(), 1);
    let attempts: BTreeSet<String> = receiver
        .seen("/")
        .iter()
        .filter(|one| one.subject() == refused.id)
        .map(|one| one.id.clone())
        .collect();
    assert_eq!(attempts.len(), 1, "those behind it wait");
    eventually("only those are pending", async || {
        (hook.read(&admin).await["pending"] == 3).then_some(())
    })
    .await;
    receiver.recover("/");
    eventually("all are told", async || {
        daemon.advance(TimeDelta::seconds(5));
        (receiver.told_of(refused.id).len() == 3).then_some(())
    })
    .await;
    assert!(receiver.order_was_kept(&daemon.database).await);
    eventually("nothing is left", async || {
        (hook.read(&admin).await["pending"] == 0).then_some(())
    })
    .await;
}

/// A webhook that wants what happens to connections, and a coach who has one.
async fn connected(daemon: &TestDaemon, receiver: &Receiver, path: &str) -> (Hook, Uuid, Uuid) {
    let admin = daemon.admin();
    let wanted = ["connection.connected", "connection.disconnected"];
    let hook = Hook::register(&admin, &receiver.url(path), &wanted).await;
    let coach = Uuid::new_v4();
    let email = format!("{coach}@example.com");
    let id = daemon.connect(GOOGLE, coach, &email).await;
    (hook, coach, id)
}

#[tokio::test]
async fn a_delivery_is_tried_on_the_schedule_given_up_after_a_day_and_can_be_replayed() {
    let receiver = Receiver::start().await;
    let daemon = lenient(Setup::with_manual_clock()).start().await;
    let admin = daemon.admin();
    receiver.answer("/", 500);
    let start = daemon.now();
    let (hook, _, _) = connected(&daemon, &receiver, "/").await;
    seen(&receiver, "/", 1).await;
    let pauses = [5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 10 * 3600];
    for (nth, pause) in pauses.into_iter().enumerate() {
        let tried = i64::try_from(nth).expect("few") + 1;
        let delivery = eventually("the attempt is recorded", async || {
            let found = hook.deliveries(&admin, "").await.remove(0);
            (found["attempts"] == tried).then_some(found)
        })
        .await;
        assert_eq!(delivery["status"], "pending");
        assert_eq!(delivery["response_status"], 500);
        assert_eq!(delivery["error_code"], "refused");
        // Not a moment before seven eighths of the pause, and at its end at the latest.
        daemon.advance(TimeDelta::milliseconds(pause * 875 - 1));
        assert_eq!(receiver.seen("/").len(), nth + 1);
        daemon.advance(TimeDelta::milliseconds(pause * 125 + 1));
        seen(&receiver, "/", nth + 2).await;
    }
    let given_up = eventually("it is given up", async || {
        let found = hook.deliveries(&admin, "status=failed").await;
        found.into_iter().next()
    })
    .await;
    let ids: BTreeSet<_> = receiver
        .seen("/")
        .iter()
        .map(|one| one.id.clone())
        .collect();
    assert_eq!(
        ids,
        BTreeSet::from([given_up["id"].as_str().expect("an id").to_owned()])
    );
    assert!(hook.read(&admin).await["failing_since"].is_string());

    receiver.recover("/");
    // What happened before then is not meant.
    let later = daemon.now().format("%Y-%m-%dT%H:%M:%SZ");
    let path = format!("{}/replay-failed?since={later}", hook.path());
    let replayed = admin.post(&path, None).await.expect(202);
    assert_eq!(replayed["queued"], 0);
    let since = start.format("%Y-%m-%dT%H:%M:%SZ");
    let path = format!("{}/replay-failed?since={since}", hook.path());
    let replayed = admin.post(&path, None).await.expect(202);
    assert_eq!(replayed["queued"], 1);
    let arrived = taken(&receiver, "/", 1).await;
    assert!(ids.contains(&arrived[0].id), "the same delivery");
    let path = format!("{}/deliveries/{}/replay", hook.path(), arrived[0].id);
    eventually("it is recorded as delivered", async || {
        let found = hook.deliveries(&admin, "status=delivered").await;
        (found.len() == 1).then_some(())
    })
    .await;
    let again = admin.post(&path, None).await.expect(202);
    assert_eq!(again["status"], "pending");
    assert_eq!(again["attempts"], 0, "counted anew");
    taken(&receiver, "/", 2).await;
    assert!(hook.read(&admin).await["failing_since"].is_null());
    let other = Hook::register(&admin, &receiver.url("/other"), &[]).await;
    for (hook, id) in [
        (&hook, Uuid::new_v4().to_string()),
        (&other, arrived[0].id.clone()),
    ] {
        let unknown = format!("{}/deliveries/{id}/replay", hook.path());
        let refused = admin.post(&unknown, None).await;
        assert_eq!(refused.problem(404), "delivery_not_found");
    }
    let metrics = admin.get("/metrics").await.text;
    for (series, least) in [
        (r#"calendar_webhook_attempts_total{outcome="retried"} "#, 7),
        (r#"calendar_webhook_attempts_total{outcome="given_up"} "#, 1),
        (
            r#"calendar_webhook_attempts_total{outcome="delivered"} "#,
            1,
        ),
        ("calendar_webhook_latency_seconds_count ", 9),
    ] {
        let told = metrics.lines().find_map(|line| line.strip_prefix(series));
        let told: Option<u32> = told.and_then(|told| told.parse().ok());
        assert!(told >= Some(least), "{series}{told:?}");
    }
}

#[tokio::test]
async fn a_webhook_that_fails_for_days_is_disabled_and_enabled_again_is_told_what_it_missed() {
    let receiver = Receiver::start().await;
    let daemon = lenient(Setup::with_manual_clock()).start().await;
    let admin = daemon.admin();
    receiver.answer("/", 500);
    let start = daemon.now();
    let (hook, _, first) = connected(&daemon, &receiver, "/").await;
    eventually("it fails", async || {
        hook.read(&admin).await["failing_since"]
            .as_str()
            .map(|_| ())
    })
    .await;
    daemon.advance(TimeDelta::days(5));
    // Two events wait; the older one is tried often enough.
    let service = daemon.service();
    service
        .delete(&format!("connections/{first}"))
        .await
        .expect(200);
    let disabled = eventually("it is disabled", async || {
        daemon.advance(TimeDelta::minutes(10));
        let found = hook.read(&admin).await;
        (found["is_enabled"] == false && found["pending"] == 0).then_some(found)
    })
    .await;
    assert_eq!(disabled["disabled_reason"], "failing");
    let text = admin.get("/metrics").await.text;
    assert!(
        text.contains("calendar_webhooks{state=\"disabled\"} "),
        "{text}"
    );
    let since = start.format("%Y-%m-%dT%H:%M:%SZ");
    let replay = format!("{}/replay-failed?since={since}", hook.path());
    let refused = admin.post(&replay, None).await;
    assert_eq!(refused.problem(409), "webhook_disabled");

    receiver.recover("/");
    let enabled = json!({"is_enabled": true});
    let changed = admin.put(&hook.path(), &enabled).await.expect(200);
    assert!(changed["disabled_at"].is_null() && changed["failing_since"].is_null());
    let replayed = admin.post(&replay, None).await.expect(202);
    assert_eq!(replayed["queued"], 2);
    taken(&receiver, "/", 2).await;
    let told = receiver.told_of(first);
    assert_eq!(told, ["connection.connected", "connection.disconnected"]);
}

#[tokio::test]
async fn who_answers_410_is_told_nothing_more() {
    let receiver = Receiver::start().await;
    let daemon = lenient(Setup::default()).start().await;
    let admin = daemon.admin();
    receiver.answer("/", 410);
    let (hook, coach, _) = connected(&daemon, &receiver, "/").await;
    let disabled = eventually("it is disabled", async || {
        let found = hook.read(&admin).await;
        (found["is_enabled"] == false).then_some(found)
    })
    .await;
    assert_eq!(disabled["disabled_reason"], "gone");
    let failed = hook.deliveries(&admin, "status=failed").await;
    assert_eq!(failed[0]["error_code"], "gone");
    daemon.connect(GOOGLE, coach, "another@example.com").await;
    assert_eq!(hook.deliveries(&admin, "").await.len(), 1);
    assert_eq!(receiver.seen("/").len(), 1);
}

#[tokio::test]
async fn what_was_committed_before_a_kill_is_told_after_it() {
    let receiver = Receiver::start().await;
    let mut daemon = lenient(Setup::with_manual_clock()).start().await;
    let coach = Uuid::new_v4();
    receiver.hang("/");
    let (hook, _, id) = connected(&daemon, &receiver, "/").await;
    // Under way, and not answered.
    seen(&receiver, "/", 1).await;
    // Committed, and behind the other.
    daemon
        .service()
        .delete(&format!("connections/{id}"))
        .await
        .expect(200);
    // Committed, and perhaps not even looked at.
    let other = daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    daemon.kill();
    receiver.recover("/");
    daemon.start_again().await;
    let admin = daemon.admin();
    eventually("all is told", async || {
        // Of a node that died the others know only when its claim ends.
        daemon.advance(TimeDelta::seconds(10));
        let is_done = hook.read(&admin).await["pending"] == 0;
        is_done.then_some(())
    })
    .await;
    let told = receiver.told_of(id);
    assert_eq!(told, ["connection.connected", "connection.disconnected"]);
    assert_eq!(receiver.told_of(other), ["connection.connected"]);
    assert!(receiver.order_was_kept(&daemon.database).await);
    let ids: BTreeSet<_> = receiver
        .seen("/")
        .iter()
        .map(|one| one.id.clone())
        .collect();
    assert_eq!(ids.len(), 3, "what is told again keeps its id");
}

#[tokio::test]
async fn a_webhook_that_does_not_answer_holds_up_no_other() {
    let receiver = Receiver::start().await;
    let daemon = lenient(Setup::default()).start().await;
    let (admin, service) = (daemon.admin(), daemon.service());
    let coach = Uuid::new_v4();
    let id = daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    receiver.hang("/dead");
    for path in ["/dead", "/"] {
        Hook::register(&admin, &receiver.url(path), &["appointment.synced"]).await;
    }
    for _ in 0..30 {
        service
            .report(&Session::tomorrow(coach, daemon.now()))
            .await;
    }
    service.settled(id).await;
    taken(&receiver, "/", 30).await;
    assert_eq!(receiver.seen("/dead").len(), 8, "no more calls than places");
}

/// Leads to a public address first, and to this machine from when it is told to.
#[derive(Debug, Default)]
struct Rebinding(AtomicBool);

#[async_trait]
impl Lookup for Rebinding {
    async fn lookup(&self, host: &str) -> std::io::Result<Vec<IpAddr>> {
        let here = self.0.load(Ordering::Acquire) || host.starts_with("inside.");
        let address = if here { "127.0.0.1" } else { "93.184.216.34" };
        Ok(vec![address.parse().expect("an address")])
    }
}

#[tokio::test]
async fn nothing_leads_to_private_addresses_not_even_a_name_that_changes_its_mind() {
    let receiver = Receiver::start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let names = Arc::new(Rebinding::default());
    let daemon = Setup::default().lookup(names.clone()).start().await;
    let admin = daemon.admin();
    for url in [
        receiver.url("/"),
        format!("https://127.0.0.1:{}/", receiver.port()),
        "https://10.0.0.7/hook".to_owned(),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "https://[::1]/".to_owned(),
        "https://[::ffff:192.168.0.1]/".to_owned(),
        "https://2130706433/".to_owned(),
        "https://inside.example.com/".to_owned(),
        "http://hooks.example.com/".to_owned(),
        "https://user:word@hooks.example.com/".to_owned(),
        "ftp://hooks.example.com/".to_owned(),
        "hooks".to_owned(),
    ] {
        let body = json!({"url": url});
        let refused = admin.post("webhooks", Some(&body)).await;
        let problem = refused.json();
        assert_eq!(problem["errors"][0]["pointer"], "/url", "{url}: {problem}");
        assert_eq!(refused.problem(422), "invalid_webhook");
    }
    let url = format!("https://hooks.example.com:{port}/");
    let hook = Hook::register(&admin, &url, &[]).await;
    // Nor is it led there afterwards.
    for elsewhere in ["https://10.0.0.7/hook", "https://inside.example.com/"] {
        let body = json!({"url": elsewhere});
        let refused = admin.put(&hook.path(), &body).await;
        assert_eq!(refused.problem(422), "invalid_webhook", "{elsewhere}");
    }
    assert_eq!(hook.read(&admin).await["url"], json!(url));
    names.0.store(true, Ordering::Release);
    daemon.connect(GOOGLE, Uuid::new_v4(), COACH_EMAIL).await;
    let refused = eventually("the attempt is refused", async || {
        let found = hook.deliveries(&admin, "").await.remove(0);
        (found["attempts"] != 0).then_some(found)
    })
    .await;
    assert_eq!(refused["error_code"], "address_not_allowed");
    assert!(refused["response_status"].is_null());
    let connected = tokio::time::timeout(std::time::Duration::ZERO, listener.accept()).await;
    assert!(connected.is_err(), "nobody has connected");
    assert!(receiver.seen("/").is_empty());
}

#[tokio::test]
async fn an_address_that_is_allowed_no_longer_is_not_sent_to() {
    let receiver = Receiver::start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let mut daemon = lenient(Setup::default()).start().await;
    let admin = daemon.admin();
    let mut hooks = Vec::new();
    for url in [receiver.url("/"), format!("https://127.0.0.1:{port}/")] {
        hooks.push(Hook::register(&admin, &url, &["connection.connected"]).await);
    }
    daemon
        .restart_with(&[("WEBHOOK_ALLOW_PRIVATE_ADDRESSES", "false")])
        .await;
    let admin = daemon.admin();
    daemon.connect(GOOGLE, Uuid::new_v4(), COACH_EMAIL).await;
    for hook in hooks {
        let refused = eventually("the attempt is refused", async || {
            let found = hook.deliveries(&admin, "").await.remove(0);
            (found["attempts"] != 0).then_some(found)
        })
        .await;
        assert_eq!(refused["error_code"], "address_not_allowed", "{refused}");
    }
    let connected = tokio::time::timeout(std::time::Duration::ZERO, listener.accept()).await;
    assert!(connected.is_err(), "nobody has connected");
    assert!(receiver.seen("/").is_empty());
}

#[tokio::test]
async fn for_a_day_both_secrets_sign_and_then_the_new_one_alone() {
    let receiver = Receiver::start().await;
    let daemon = lenient(Setup::with_manual_clock()).start().await;
    let admin = daemon.admin();
    let hook = Hook::register(&admin, &receiver.url("/"), &["connection.connected"]).await;
    let path = format!("{}/rotate-secret", hook.path());
    let rotated = admin.post(&path, None).await.expect(200);
    let new = rotated["secret"].as_str().expect("a secret");
    let signed_by = async |nth: usize| {
        let email = format!("coach-{nth}@example.com");
        daemon.connect(GOOGLE, Uuid::new_v4(), &email).await;
        let arrived = taken(&receiver, "/", nth).await.remove(nth - 1);
        (is_signed(&arrived, &hook.secret), is_signed(&arrived, new))
    };
    daemon.advance(TimeDelta::hours(24) - TimeDelta::minutes(1));
    assert_eq!(signed_by(1).await, (true, true));
    daemon.advance(TimeDelta::minutes(1));
    assert_eq!(signed_by(2).await, (false, true));
}

#[tokio::test]
async fn switched_off_it_is_owed_nothing_and_what_it_missed_can_be_replayed() {
    let receiver = Receiver::start().await;
    let daemon = lenient(Setup::with_manual_clock()).start().await;
    let admin = daemon.admin();
    receiver.answer("/", 500);
    let start = daemon.now();
    let (hook, _, id) = connected(&daemon, &receiver, "/").await;
    seen(&receiver, "/", 1).await;
    let off = json!({"is_enabled": false});
    let changed = admin.put(&hook.path(), &off).await.expect(200);
    assert_eq!(changed["pending"], 0, "{changed}");
    eventually("it is given up", async || {
        let failed = hook.deliveries(&admin, "status=failed").await;
        (failed.len() == 1).then_some(())
    })
    .await;
    receiver.recover("/");
    daemon.advance(TimeDelta::minutes(10));
    let on = json!({"is_enabled": true});
    admin.put(&hook.path(), &on).await.expect(200);
    assert_eq!(hook.read(&admin).await["pending"], 0);
    assert!(receiver.taken("/").is_empty(), "not by itself");
    let since = start.format("%Y-%m-%dT%H:%M:%SZ");
    let path = format!("{}/replay-failed?since={since}", hook.path());
    let replayed = admin.post(&path, None).await.expect(202);
    assert_eq!(replayed["queued"], 1);
    taken(&receiver, "/", 1).await;
    assert_eq!(receiver.told_of(id), ["connection.connected"]);
}

#[tokio::test]
async fn there_are_so_many_webhooks_and_no_more() {
    let daemon = lenient(Setup::default()).start().await;
    let admin = daemon.admin();
    let register = async |number: usize| {
        let url = format!("http://127.0.0.1:9/{number}");
        let body = json!({"url": url, "events": ["connection.connected"]});
        admin.post("webhooks", Some(&body)).await
    };
    for number in 0..32 {
        register(number).await.expect(201);
    }
    let refused = register(32).await;
    assert_eq!(refused.problem(409), "too_many_webhooks");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let receiver = Receiver::start().await;
    let daemon = lenient(Setup::default()).start().await;
    let admin = daemon.admin();
    receiver.redirect("/", &receiver.url("/elsewhere"));
    let (hook, _, _) = connected(&daemon, &receiver, "/").await;
    let refused = eventually("the attempt failed", async || {
        let found = hook.deliveries(&admin, "").await.remove(0);
        (found["attempts"] != 0).then_some(found)
    })
    .await;
    assert_eq!(refused["error_code"], "redirected");
    assert_eq!(refused["response_status"], 307);
    assert!(receiver.seen("/elsewhere").is_empty());
}

#[tokio::test]
async fn a_secret_is_shown_once_changed_without_a_gap_and_stored_sealed() {
    let receiver = Receiver::start().await;
    let mut daemon = lenient(Setup::default()).start().await;
    let admin = daemon.admin();
    let body = json!({"url": receiver.url("/"), "events": ["connection.connected"]});
    let key = [("idempotency-key", "register-once")];
    let post = async |path: &str, body: Option<&Value>| {
        let method = reqwest::Method::POST;
        admin.send_with(method, path, &key, body).await
    };
    let registered = post("webhooks", Some(&body)).await.expect(201);
    let again = post("webhooks", Some(&body)).await.expect(201);
    assert_eq!(registered, again, "carried out once, and answered alike");
    let old = registered["secret"].as_str().expect("a secret").to_owned();
    let id = registered["webhook"]["id"].as_str().expect("an id");
    let listed = admin.get("webhooks").await;
    assert!(!listed.text.contains("whsec_") && listed.json()["webhooks"][1].is_null());

    let path = format!("webhooks/{id}/rotate-secret");
    let rotated = admin.post(&path, None).await.expect(200);
    let new = rotated["secret"].as_str().expect("a secret").to_owned();
    assert_ne!(old, new);
    assert!(rotated["previous_secret_until"].is_string());
    daemon.connect(GOOGLE, Uuid::new_v4(), COACH_EMAIL).await;
    let arrived = taken(&receiver, "/", 1).await.remove(0);
    assert!(is_signed(&arrived, &old) && is_signed(&arrived, &new));

    let everywhere = "SELECT secret FROM webhooks UNION ALL SELECT previous_secret FROM webhooks \
         UNION ALL SELECT body FROM idempotency_keys WHERE body IS NOT NULL \
         UNION ALL SELECT details FROM audit_events UNION ALL SELECT payload FROM webhook_deliveries";
    let stored = daemon.database.texts(everywhere, 0).await;
    assert!(
        stored[..3].iter().all(|text| text.starts_with("v1.k1.")),
        "{stored:?}"
    );
    daemon.stop().await;
    let mut bytes = stored.concat().into_bytes();
    if !is_postgres() {
        let file = daemon.setting("DATABASE_URL");
        let file = file.trim_start_matches("sqlite://");
        let file = file.split('?').next().expect("a path");
        bytes.extend(std::fs::read(file).expect("a file"));
    }
    for secret in [&old, &new] {
        let plain = secret.trim_start_matches("whsec_").as_bytes();
        let is_there = bytes.windows(plain.len()).any(|part| part == plain);
        assert!(!is_there, "a secret in plain text");
    }
}

#[tokio::test]
async fn what_is_asked_for_again_makes_no_second_webhook_and_loses_no_secret() {
    let receiver = Receiver::start().await;
    let daemon = lenient(Setup::with_manual_clock()).start().await;
    let admin = daemon.admin();
    let hook = Hook::register(&admin, &receiver.url("/"), &["connection.connected"]).await;
    let other = Hook::register(&admin, &receiver.url("/other"), &[]).await;

    // As after an answer that was lost, without an Idempotency-Key; and many at once.
    let body = json!({"url": receiver.url("/")});
    let again = (0..8).map(|_| admin.post("webhooks", Some(&body)));
    for refused in futures::future::join_all(again).await {
        let refused = refused.expect(409);
        assert_eq!(refused["code"], "webhook_exists");
        let detail = refused["detail"].as_str().expect("a detail");
        assert!(detail.contains(&hook.id), "{detail}");
    }
    let fresh = json!({"url": receiver.url("/fresh")});
    let at_once = (0..8).map(|_| admin.post("webhooks", Some(&fresh)));
    let at_once = futures::future::join_all(at_once).await;
    let made = at_once.iter().filter(|reply| reply.status == 201).count();
    assert_eq!(made, 1);
    let moved = admin.put(&other.path(), &body).await.expect(409);
    assert_eq!(moved["code"], "webhook_exists");
    // To its own address is no change.
    admin.put(&hook.path(), &body).await.expect(200);

    let path = format!("{}/rotate-secret", hook.path());
    let rotate = async || {
        let rotated = admin.post(&path, None).await.expect(200);
        rotated["secret"].as_str().expect("a secret").to_owned()
    };
    let lost = rotate().await;
    daemon.advance(TimeDelta::hours(1));
    let new = rotate().await;
    daemon.connect(GOOGLE, Uuid::new_v4(), COACH_EMAIL).await;
    let arrived = taken(&receiver, "/", 1).await.remove(0);
    assert!(
        is_signed(&arrived, &hook.secret),
        "the receiver knows no other"
    );
    assert!(is_signed(&arrived, &new));
    assert!(!is_signed(&arrived, &lost));

    // A day later it is the turn of the one that signs now.
    daemon.advance(TimeDelta::hours(25));
    let newest = rotate().await;
    daemon
        .connect(GOOGLE, Uuid::new_v4(), "two@example.com")
        .await;
    let arrived = taken(&receiver, "/", 2).await.remove(1);
    assert!(is_signed(&arrived, &new) && is_signed(&arrived, &newest));
    assert!(!is_signed(&arrived, &hook.secret));
}

#[tokio::test]
async fn deliveries_are_listed_page_by_page() {
    let receiver = Receiver::start().await;
    let daemon = lenient(Setup::default()).start().await;
    let admin = daemon.admin();
    let hook = Hook::register(&admin, &receiver.url("/"), &["connection.connected"]).await;
    for nth in 0..5 {
        let email = format!("coach-{nth}@example.com");
        daemon.connect(GOOGLE, Uuid::new_v4(), &email).await;
    }
    taken(&receiver, "/", 5).await;
    let whole = hook.deliveries(&admin, "").await;
    assert_eq!(whole.len(), 5);
    assert_eq!(whole[0]["payload"]["type"], "connection.connected");
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("{}/deliveries?limit=2{cursor}", hook.path());
        let page = admin.get(&path).await.expect(200);
        pages.extend(page["deliveries"].as_array().expect("a list").clone());
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    let ids = |list: &[Value]| -> Vec<Value> { list.iter().map(|one| one["id"].clone()).collect() };
    assert_eq!(ids(&pages), ids(&whole));
    let path = format!("{}/deliveries?cursor=x", hook.path());
    assert_eq!(admin.get(&path).await.problem(400), "invalid_cursor");
    assert_eq!(events(&receiver.taken("/")), ["connection.connected"; 5]);
}

#[tokio::test]
async fn what_was_told_is_kept_for_as_long_as_set() {
    let receiver = Receiver::start().await;
    let setup = Setup::with_manual_clock().set("WEBHOOK_RETENTION", "48h");
    let daemon = lenient(setup).start().await;
    let admin = daemon.admin();
    let (hook, _, _) = connected(&daemon, &receiver, "/").await;
    eventually("it is delivered", async || {
        let found = hook.deliveries(&admin, "status=delivered").await;
        (found.len() == 1).then_some(())
    })
    .await;
    daemon.advance(TimeDelta::hours(47));
    assert_eq!(hook.deliveries(&admin, "").await.len(), 1);
    daemon.advance(TimeDelta::hours(2));
    eventually("it is gone", async || {
        daemon.advance(TimeDelta::minutes(1));
        hook.deliveries(&admin, "").await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn two_nodes_tell_each_thing_once_on_postgres() {
    needs_postgres();
    let receiver = Receiver::start().await;
    let daemon = lenient(Setup::default()).start().await;
    let second = daemon.second_node().await.expect("a second node");
    let admin = second.admin(&daemon);
    Hook::register(&admin, &receiver.url("/"), &["appointment.synced"]).await;
    let mut connections = Vec::new();
    for nth in 0..4 {
        let coach = Uuid::new_v4();
        let email = format!("coach-{nth}@example.com");
        connections.push((coach, daemon.connect(GOOGLE, coach, &email).await));
    }
    let services = [daemon.service(), second.service(&daemon)];
    for turn in 0..40 {
        let (coach, _) = connections[turn % connections.len()];
        let session = Session::tomorrow(coach, daemon.now());
        services[turn % 2].report(&session).await;
    }
    taken(&receiver, "/", 40).await;
    eventually("nothing is pending", async || {
        let listed = admin.get("webhooks").await.expect(200);
        (listed["webhooks"][0]["pending"] == 0).then_some(())
    })
    .await;
    let seen = receiver.seen("/");
    let ids: BTreeSet<_> = seen.iter().map(|one| one.id.clone()).collect();
    assert_eq!((seen.len(), ids.len()), (40, 40));
}

#[tokio::test]
async fn what_was_pending_while_the_daemon_was_away_for_days_is_told_when_it_is_back() {
    let receiver = Receiver::start().await;
    let setup = Setup::with_manual_clock().set("WEBHOOK_RETENTION", "24h");
    let mut daemon = lenient(setup).start().await;
    let admin = daemon.admin();
    let (hook, coach, _) = connected(&daemon, &receiver, "/").await;
    eventually("the first is told", async || {
        let found = hook.deliveries(&admin, "status=delivered").await;
        (found.len() == 1).then_some(())
    })
    .await;
    receiver.hang("/");
    daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    seen(&receiver, "/", 2).await;
    daemon.kill();
    daemon.advance(TimeDelta::days(4));
    daemon.start_again().await;
    let admin = daemon.admin();
    // Once that is done, the housekeeper has looked at what is pending, too.
    let left = eventually("what was told is not kept longer", async || {
        let found = hook.deliveries(&admin, "").await;
        (found.len() == 1).then_some(found)
    })
    .await;
    assert_eq!(left[0]["status"], "pending");
    receiver.recover("/");
    eventually("it is told", async || {
        daemon.advance(TimeDelta::seconds(5));
        (hook.read(&admin).await["pending"] == 0).then_some(())
    })
    .await;
    assert_eq!(
        hook.deliveries(&admin, "status=failed").await,
        [] as [Value; 0]
    );
}

#[tokio::test]
async fn after_an_outage_the_first_that_is_taken_brings_the_rest_at_once() {
    let receiver = Receiver::start().await;
    let daemon = lenient(Setup::with_manual_clock()).start().await;
    let admin = daemon.admin();
    receiver.answer("/", 503);
    let (hook, coach, first) = connected(&daemon, &receiver, "/").await;
    for (nth, pause) in [5, 5 * 60, 30 * 60, 0].into_iter().enumerate() {
        eventually("the attempt is recorded", async || {
            let found = hook.deliveries(&admin, "").await.remove(0);
            (found["attempts"] == nth + 1).then_some(())
        })
        .await;
        daemon.advance(TimeDelta::seconds(pause));
    }
    receiver.recover("/");
    let second = daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    taken(&receiver, "/", 2).await;
    assert_eq!(receiver.told_of(second), ["connection.connected"]);
    assert_eq!(receiver.told_of(first), ["connection.connected"]);
}

#[tokio::test]
async fn a_webhook_is_disabled_though_what_it_is_owed_cannot_be_given_up_yet_on_postgres() {
    needs_postgres();
    let receiver = Receiver::start().await;
    let daemon = lenient(Setup::with_manual_clock()).start().await;
    let admin = daemon.admin();
    receiver.answer("/", 503);
    let (hook, _, _) = connected(&daemon, &receiver, "/").await;
    eventually("the attempt is recorded", async || {
        let found = hook.deliveries(&admin, "").await.remove(0);
        (found["attempts"] == 1).then_some(())
    })
    .await;
    let held = daemon
        .database
        .hold("UPDATE webhook_deliveries SET attempts = attempts")
        .await;
    let off = json!({"is_enabled": false});
    let path = hook.path();
    let (_, ()) = tokio::join!(admin.put(&path, &off), async {
        eventually("it is disabled", async || {
            (hook.read(&admin).await["is_enabled"] == false).then_some(())
        })
        .await;
        held.let_go().await;
    });
    eventually("the rest is given up", async || {
        daemon.advance(TimeDelta::minutes(10));
        (hook.read(&admin).await["pending"] == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn no_more_webhooks_are_registered_at_once_than_there_may_be_on_postgres() {
    needs_postgres();
    let receiver = Receiver::start().await;
    let daemon = lenient(Setup::default()).start().await;
    let admin = daemon.admin();
    let posts = (0..40).map(async |number| {
        let body = json!({"url": receiver.url(&format!("/{number}"))});
        admin.post("webhooks", Some(&body)).await
    });
    let replies = futures::future::join_all(posts).await;
    let registered = replies.iter().filter(|reply| reply.status == 201).count();
    let listed = admin.get("webhooks").await.expect(200);
    let listed = listed["webhooks"].as_array().expect("a list").len();
    assert_eq!((registered, listed), (32, 32));
}
