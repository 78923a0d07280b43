//! The secrets: sealed, shown once, changed without a gap.

use chrono::TimeDelta;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{GOOGLE, Hook, is_signed, lenient, taken};
use crate::support::{COACH_EMAIL, Receiver, Setup, is_postgres};

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
