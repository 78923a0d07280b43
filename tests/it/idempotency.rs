//! Requests that are sent again under the same key: carried out once, answered alike.

use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::{CallKind, FaultEffect, FaultRule};
use chrono::TimeDelta;
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    Api, COACH_EMAIL, Reply, Session, Setup, TestDaemon, eventually, needs_postgres, until,
};

const GOOGLE: ProviderKind = ProviderKind::Google;
const AT_ONCE: usize = 20;

async fn post(api: &Api, path: &str, key: &str, body: Option<&Value>) -> Reply {
    let headers = [("idempotency-key", key)];
    api.send_with(Method::POST, path, &headers, body).await
}

/// What a repeat must have in common with the first answer.
fn answer(reply: &Reply) -> (u16, Option<&str>, &str) {
    let kind = reply.header("content-type");
    (reply.status, kind, reply.text.as_str())
}

async fn connected(daemon: &TestDaemon) -> (Uuid, Uuid) {
    let coach = Uuid::new_v4();
    let id = daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    daemon.service().settled(id).await;
    (coach, id)
}

async fn keys(daemon: &TestDaemon) -> usize {
    let query = "SELECT key_hash FROM idempotency_keys";
    daemon.database.texts(query, 0).await.len()
}

#[tokio::test]
async fn twenty_syncs_at_once_are_one_and_stay_it_when_it_has_ended() {
    let daemon = TestDaemon::start().await;
    let (coach, id) = connected(&daemon).await;
    let service = daemon.service();
    service
        .report(&Session::tomorrow(coach, daemon.now()))
        .await;
    service.settled(id).await;
    let path = format!("connections/{id}/sync");
    let api = daemon.coach(coach);
    let before = daemon.event_calls(GOOGLE);

    let sent = (0..AT_ONCE).map(|_| post(&api, &path, "sync-1", None));
    let replies = join_all(sent).await;
    for reply in &replies {
        assert_eq!(answer(reply), answer(&replies[0]));
    }
    let first = replies[0].json();
    assert_eq!((replies[0].status, &first["queued"]), (202, &json!(1)));
    service.settled(id).await;
    let after = daemon.event_calls(GOOGLE);
    assert_eq!(after - before, 1);

    // The sync has ended: anybody else's would be a new one.
    let again = post(&api, &path, "sync-1", None).await;
    assert_eq!(answer(&again), answer(&replies[0]));
    assert_eq!(daemon.event_calls(GOOGLE), after);
    let other = post(&api, &path, "sync-2", None).await.expect(202);
    assert_ne!(other["sync_id"], first["sync_id"]);
}

#[tokio::test]
async fn of_twenty_batches_at_once_all_are_told_what_the_first_one_did() {
    let daemon = TestDaemon::start().await;
    let session = Session::tomorrow(Uuid::new_v4(), daemon.now());
    let body = json!({"appointments": [session.item()]});
    let service = daemon.service();
    let sent = (0..AT_ONCE).map(|_| post(&service, "appointments/batch", "b", Some(&body)));
    let created = json!([{"id": session.id, "outcome": "created"}]);
    for reply in join_all(sent).await {
        assert_eq!(reply.expect(200)["results"], created);
    }
    assert_eq!(keys(&daemon).await, 1);

    let moved = session.clone().moved(TimeDelta::hours(1));
    let other = json!({"appointments": [moved.item()]});
    let refused = post(&service, "appointments/batch", "b", Some(&other)).await;
    assert_eq!(refused.problem(422), "idempotency_key_reused");
    let path = format!("appointments/{}", session.id);
    let stored = service.get(&path).await.expect(200);
    assert_eq!(
        stored["starts_at"].as_str().expect("a time").parse(),
        Ok(session.starts_at)
    );

    // Without a key nothing is different.
    let plain = service.post("appointments/batch", Some(&body)).await;
    assert_eq!(plain.expect(200)["results"][0]["outcome"], "unchanged");
    assert_eq!(keys(&daemon).await, 1);
}

#[tokio::test]
async fn a_live_call_is_made_once_and_the_others_wait_for_it() {
    let daemon = TestDaemon::start().await;
    let (coach, id) = connected(&daemon).await;
    let path = format!("connections/{id}/test");
    let api = daemon.coach(coach);
    let calls = || daemon.calendars.call_count(GOOGLE, CallKind::Calendars);
    // The answer drips in for a while.
    let slow = FaultEffect::Trickle {
        bytes: 64,
        every_ms: 200,
    };
    daemon.fail(FaultRule::once(slow).at(CallKind::Calendars));
    let before = calls();
    let sent = (0..AT_ONCE).map(|_| post(&api, &path, "t", None));
    let replies = join_all(sent).await;
    for reply in &replies {
        assert_eq!(answer(reply), answer(&replies[0]));
    }
    assert_eq!(replies[0].json()["ok"], true);
    assert_eq!(calls() - before, 1);
}

#[tokio::test]
async fn an_answer_outlives_the_process_that_gave_it() {
    let mut daemon = TestDaemon::start().await;
    let (coach, id) = connected(&daemon).await;
    let path = format!("connections/{id}/sync");
    let first = post(&daemon.coach(coach), &path, "k", None).await;
    assert_eq!(first.status, 202);
    daemon.service().settled(id).await;
    daemon.restart().await;
    let again = post(&daemon.coach(coach), &path, "k", None).await;
    assert_eq!(answer(&again), answer(&first));
    daemon.kill();
    daemon.start_again().await;
    let again = post(&daemon.coach(coach), &path, "k", None).await;
    assert_eq!(answer(&again), answer(&first));
}

#[tokio::test]
async fn a_process_killed_in_the_middle_blocks_its_key_for_seconds_only() {
    let mut daemon = TestDaemon::start().await;
    let (coach, id) = connected(&daemon).await;
    let path = format!("connections/{id}/test");
    let rule = FaultRule::once(FaultEffect::Hang).at(CallKind::Calendars);
    daemon.fail(rule);
    let before = daemon.calendars.call_count(GOOGLE, CallKind::Calendars);
    let sent = daemon.coach(coach);
    let asked = path.clone();
    let lost = tokio::spawn(async move { sent.try_post_with_key(&asked, "k").await });
    until("the call is under way", || {
        daemon.calendars.call_count(GOOGLE, CallKind::Calendars) > before
    })
    .await;
    daemon.kill();
    assert_eq!(lost.await.expect("no panic"), None);
    daemon.start_again().await;
    assert_eq!(keys(&daemon).await, 1);
    // Not for the day that an answer is kept: the client waits for the dead process's turn to end, and for its lease.
    let api = daemon.coach(coach);
    let report = eventually("it is carried out", async || {
        let reply = post(&api, &path, "k", None).await;
        (reply.status == 200).then(|| reply.json())
    })
    .await;
    assert_eq!(report["ok"], true);
}

#[tokio::test]
async fn what_was_answered_at_one_node_is_answered_alike_at_another_on_postgres() {
    needs_postgres();
    let daemon = TestDaemon::start().await;
    let (coach, id) = connected(&daemon).await;
    let second = daemon.second_node().await.expect("it starts");
    let (here, there) = (daemon.service(), second.service(&daemon));
    let path = format!("connections/{id}/sync");
    let first = post(&here, &path, "k", None).await;
    assert_eq!(first.status, 202);
    here.settled(id).await;
    let again = post(&there, &path, "k", None).await;
    assert_eq!(answer(&again), answer(&first));

    // And of those that both are sent at once, one is carried out.
    let session = Session::tomorrow(coach, daemon.now());
    let body = json!({"appointments": [session.item()]});
    let sent = (0..AT_ONCE).map(|n| {
        let node = if n % 2 == 0 { &here } else { &there };
        post(node, "appointments/batch", "b", Some(&body))
    });
    for reply in join_all(sent).await {
        assert_eq!(reply.expect(200)["results"][0]["outcome"], "created");
    }
}

#[tokio::test]
async fn after_a_day_the_housekeeper_forgets_answers() {
    let daemon = Setup::with_manual_clock().start().await;
    let session = Session::tomorrow(Uuid::new_v4(), daemon.now());
    let body = json!({"appointments": [session.item()]});
    let service = daemon.service();
    let report = async |key: &str| {
        let reply = post(&service, "appointments/batch", key, Some(&body)).await;
        reply.expect(200)["results"][0]["outcome"].clone()
    };
    assert_eq!(report("old").await, "created");
    daemon.advance(TimeDelta::hours(23));
    assert_eq!(report("new").await, "unchanged");
    assert_eq!(report("old").await, "created");
    daemon.advance(TimeDelta::hours(2));
    eventually("the older one is forgotten", async || {
        // The housekeeper may be between two turns.
        daemon.advance(TimeDelta::minutes(1));
        (keys(&daemon).await == 1).then_some(())
    })
    .await;
    assert_eq!(report("new").await, "unchanged");
    assert_eq!(report("old").await, "unchanged");
}
