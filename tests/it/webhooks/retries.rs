//! A receiver that fails: the schedule, giving up, disabling, replays, and catching up.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{GOOGLE, Hook, connected, lenient, seen, taken};
use crate::support::{COACH_EMAIL, Receiver, Setup, eventually, needs_postgres};

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
