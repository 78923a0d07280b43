//! Who asked for what: the trail that operators read, and what never gets into it.

use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::{CallKind, FaultEffect, FaultRule};
use chrono::TimeDelta;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Api, COACH_EMAIL, RealDaemon, Session, Setup, TestDaemon, eventually};

const GOOGLE: ProviderKind = ProviderKind::Google;

/// The lines that a query finds, oldest first.
async fn lines(admin: &Api, query: &str) -> Vec<Value> {
    let body = admin.get(&format!("audit?{query}")).await.expect(200);
    let mut events = body["events"].as_array().expect("a list").clone();
    events.reverse();
    events
}

fn actions(lines: &[Value]) -> Vec<&str> {
    let actions = lines.iter().map(|line| line["action"].as_str());
    actions.map(Option::unwrap_or_default).collect()
}

fn told(line: &Value) -> Value {
    json!([line["action"], line["actor"], line["role"], line["details"]])
}

#[tokio::test]
async fn the_trail_tells_who_did_what_and_nothing_of_clients() {
    let daemon = Setup::default().set("SYNC_MAX_ATTEMPTS", "1").start().await;
    let coach = Uuid::new_v4();
    let (own, service, admin) = (daemon.coach(coach), daemon.service(), daemon.admin());
    let id = daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    let settings = json!({
        "include_client_details": true,
        "event_title_template": "Hush with {client_name}",
        "auto_create_events": true,
    });
    own.change(id, &settings).await;
    // The same again changes nothing.
    own.change(id, &settings).await;
    daemon.fail(FaultRule::once(FaultEffect::status(500)).at(CallKind::Create));
    let session = Session::tomorrow(coach, daemon.now());
    service.report(&session).await;
    eventually("it has failed", async || {
        (service.sync_status(id).await["failed"] == 1).then_some(())
    })
    .await;
    admin.post("queue/retry-failed", None).await.expect(202);
    service.settled(id).await;
    let sync = service.sync_now(id).await;
    service.settled(id).await;
    let path = format!("appointments/{}", session.id);
    service.delete(&path).await.expect(202);
    own.delete(&format!("connections/{id}")).await.expect(200);
    own.delete(&format!("connections/{id}")).await.expect(404);

    let all = lines(&admin, &format!("coach_id={coach}")).await;
    let coach_text = coach.to_string();
    let changed =
        json!({"changed": {"include_client_details": true, "event_title_template": null}});
    let synced = json!({"sync_id": sync["sync_id"], "queued": sync["queued"]});
    let expected = [
        json!(["connected", coach_text, "coach", {"provider": "google", "is_known_account": false}]),
        json!(["settings_changed", coach_text, "coach", changed]),
        json!(["jobs_retried", "operator", "admin", {}]),
        json!(["sync_started", "booking", "service", synced]),
        json!(["appointment_erased", "booking", "service", {}]),
        json!(["disconnected", coach_text, "coach", {}]),
    ];
    assert_eq!(all.iter().map(told).collect::<Vec<_>>(), expected);
    for line in &all {
        assert_eq!(line["coach_id"], coach_text);
        let is_of_appointment = line["action"] == "appointment_erased";
        let connection = if is_of_appointment {
            json!(null)
        } else {
            json!(id)
        };
        assert_eq!(line["connection_id"], connection, "{line}");
        let subject = if is_of_appointment {
            json!(session.id)
        } else {
            json!(null)
        };
        assert_eq!(line["subject_id"], subject, "{line}");
        assert!(line["request_id"].as_str().is_some_and(|id| id.len() == 32));
    }
    let written = Value::from(all).to_string().to_lowercase();
    for secret in ["hush", "wilhelmina", COACH_EMAIL] {
        assert!(!written.contains(secret), "{secret} in {written}");
    }
}

#[tokio::test]
async fn what_is_done_to_webhooks_has_its_lines_without_addresses_and_secrets() {
    let setup = Setup::default().set("WEBHOOK_ALLOW_PRIVATE_ADDRESSES", "true");
    let daemon = setup.start().await;
    let admin = daemon.admin();
    let body = json!({"url": "http://127.0.0.1:9/word-one", "events": ["connection.connected"]});
    let registered = admin.post("webhooks", Some(&body)).await.expect(201);
    let id = &registered["webhook"]["id"];
    let path = format!("webhooks/{}", id.as_str().expect("an id"));
    let moved = json!({"url": "http://127.0.0.1:9/word-two", "events": ["connection.recovered"]});
    admin.put(&path, &moved).await.expect(200);
    // The same again changes nothing.
    admin.put(&path, &moved).await.expect(200);
    let rotate = format!("{path}/rotate-secret");
    let rotated = admin.post(&rotate, None).await.expect(200);
    let replay = format!("{path}/replay-failed?since=2027-01-01T00:00:00Z");
    admin.post(&replay, None).await.expect(202);
    assert_eq!(admin.delete(&path).await.status, 204);

    let all = lines(&admin, "").await;
    assert_eq!(
        actions(&all),
        [
            "webhook_registered",
            "webhook_changed",
            "webhook_secret_rotated",
            "webhook_replayed",
            "webhook_deleted"
        ]
    );
    for line in &all {
        assert_eq!(&line["subject_id"], id, "{line}");
        assert_eq!(line["actor"], "operator");
    }
    let written = Value::from(all).to_string();
    for secret in [
        "word-one",
        "word-two",
        "whsec_",
        registered["secret"].as_str().expect("a secret"),
        rotated["secret"].as_str().expect("a secret"),
    ] {
        assert!(!written.contains(secret), "{secret} in {written}");
    }
}

#[tokio::test]
async fn the_trail_is_filtered_and_read_page_by_page() {
    let daemon = Setup::with_manual_clock().start().await;
    let (coach, other) = (Uuid::new_v4(), Uuid::new_v4());
    let (service, admin) = (daemon.service(), daemon.admin());
    let id = daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    daemon.connect(GOOGLE, other, "other@example.com").await;
    for minute in 0..3 {
        daemon.advance(TimeDelta::minutes(1));
        let settings = json!({"auto_create_events": minute % 2 == 1});
        service.change(id, &settings).await;
    }
    let start = daemon.now() - TimeDelta::minutes(3);
    let at = |minutes| {
        let at = start + TimeDelta::minutes(minutes);
        at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
    };
    let count = async |query: String| lines(&admin, &query).await.len();
    assert_eq!(count(String::new()).await, 5);
    assert_eq!(count(format!("coach_id={coach}")).await, 4);
    assert_eq!(count(format!("coach_id={other}")).await, 1);
    assert_eq!(count(format!("connection_id={id}")).await, 4);
    assert_eq!(count("action=settings_changed".into()).await, 3);
    assert_eq!(count("action=connected".into()).await, 2);
    assert_eq!(count(format!("from={}", at(2))).await, 2);
    assert_eq!(count(format!("from={}&to={}", at(1), at(3))).await, 2);
    let both = format!("coach_id={other}&action=settings_changed");
    assert_eq!(count(both).await, 0);

    let whole = admin.get("audit").await.expect(200)["events"].clone();
    assert!(admin.get("audit").await.json().get("next_cursor").is_none());
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = admin
            .get(&format!("audit?limit=2{cursor}"))
            .await
            .expect(200);
        let events = page["events"].as_array().expect("a list").clone();
        assert!((1..=2).contains(&events.len()));
        pages.extend(events);
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(Value::from(pages), whole);
    for (query, code) in [
        ("action=unknown", "invalid_parameter"),
        ("from=yesterday", "invalid_parameter"),
        ("limit=201", "invalid_parameter"),
        ("cursor=x", "invalid_cursor"),
    ] {
        let reply = admin.get(&format!("audit?{query}")).await;
        assert_eq!(reply.problem(400), code, "{query}");
    }
}

#[tokio::test]
async fn of_a_coach_who_is_forgotten_only_ids_stay() {
    let daemon = TestDaemon::start().await;
    let (coach, other) = (Uuid::new_v4(), Uuid::new_v4());
    let (service, admin) = (daemon.service(), daemon.admin());
    for (coach, email) in [(coach, COACH_EMAIL), (other, "other@example.com")] {
        let id = daemon.connect(GOOGLE, coach, email).await;
        service.change(id, &json!({"is_sync_enabled": false})).await;
    }
    service
        .delete(&format!("coaches/{coach}"))
        .await
        .expect(202);
    let left = lines(&admin, &format!("coach_id={coach}")).await;
    let expected = [
        "connected",
        "settings_changed",
        "disconnected",
        "coach_forgotten",
    ];
    assert_eq!(actions(&left), expected);
    let (forgotten, before) = left.split_last().expect("lines");
    for line in before {
        assert_eq!(
            (&line["details"], &line["request_id"]),
            (&json!({}), &json!(null))
        );
    }
    assert!(forgotten["request_id"].is_string());
    let kept = lines(&admin, &format!("coach_id={other}")).await;
    assert_eq!(kept[1]["details"]["changed"]["is_sync_enabled"], false);
    assert!(kept[1]["request_id"].is_string());
}

#[tokio::test]
async fn lines_are_kept_for_as_long_as_set() {
    let setup = Setup::with_manual_clock().set("AUDIT_RETENTION", "48h");
    let daemon = setup.start().await;
    let coach = Uuid::new_v4();
    let (service, admin) = (daemon.service(), daemon.admin());
    let id = daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    daemon.advance(TimeDelta::hours(47));
    service.change(id, &json!({"is_sync_enabled": false})).await;
    assert_eq!(lines(&admin, "").await.len(), 2);
    daemon.advance(TimeDelta::hours(2));
    eventually("the older line is gone", async || {
        // The housekeeper may be between two turns.
        daemon.advance(TimeDelta::minutes(1));
        let left = lines(&admin, "").await;
        (actions(&left) == ["settings_changed"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_change_and_its_line_are_durable_together_or_not_at_all() {
    let mut daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let id = daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    daemon.service().settled(id).await;
    daemon.stop().await;
    let off = json!({"auto_create_events": false});
    let count = "SELECT 'line' FROM audit_events WHERE action = 'settings_changed'";
    for (failpoint, lines) in [("settings.before", 0), ("settings.after", 1)] {
        let failpoints = format!("{failpoint}=1*return(error)");
        let process = RealDaemon::start(&daemon, &[("FAILPOINTS", &failpoints)], "").await;
        let service = process.service(&daemon);
        let path = format!("connections/{id}");
        service.put(&path, &off).await.expect(503);
        let connection = service.connection(coach, id).await;
        assert_eq!(connection["auto_create_events"], lines == 0, "{failpoint}");
        assert_eq!(daemon.database.texts(count, 0).await.len(), lines);
        process.stop().await;
    }
}
