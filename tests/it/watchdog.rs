//! The watchdog: who has work and does not get on with it is noticed, and forgotten once it does.

use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::{CallKind, FaultEffect, FaultRule};
use chrono::TimeDelta;
use serde_json::Value;
use std::time::Duration;
use uuid::Uuid;

use crate::support::{COACH_EMAIL, Session, Setup, TestDaemon, eventually};

/// Whether anybody is stuck, in the words of readiness.
async fn progress(daemon: &TestDaemon) -> Value {
    let ready = daemon.nobody().get("/health/ready").await;
    let json = ready.json();
    let parts = json["parts"].as_array().expect("parts");
    let progress = parts.iter().find(|part| part["name"] == "progress");
    let progress = progress.expect("it is told").clone();
    if progress["ok"] == false {
        assert_eq!(ready.status, 503);
    }
    progress
}

/// The connection's worker, as operators see it.
async fn worker(daemon: &TestDaemon, connection: Uuid) -> Value {
    let path = format!("/health/actors?connection_id={connection}");
    let tree = daemon.admin().get(&path).await.expect(200);
    let parts = tree["children"].as_array().expect("children");
    let all = parts.iter().find(|part| part["kind"] == "connections");
    all.expect("connections")["children"][0].clone()
}

#[tokio::test]
async fn a_worker_that_hangs_is_said_to_and_forgotten_when_the_work_gets_on() {
    let daemon = Setup::with_manual_clock()
        // Longer than this story: nothing but the watchdog is to notice.
        .calls_last_at_most(Duration::from_secs(300))
        .start()
        .await;
    let coach = Uuid::new_v4();
    let id = daemon
        .connect(ProviderKind::Google, coach, COACH_EMAIL)
        .await;
    daemon.service().settled(id).await;
    assert_eq!(progress(&daemon).await["ok"], true);

    daemon.fail(FaultRule::once(FaultEffect::Hang).at(CallKind::Create));
    let session = Session::tomorrow(coach, daemon.now());
    daemon.service().report(&session).await;
    eventually("it works", async || {
        (worker(&daemon, id).await["state"] == "running").then_some(())
    })
    .await;
    // In steps, between which its lease is renewed.
    eventually("it is noticed", async || {
        daemon.advance(TimeDelta::seconds(20));
        let error = worker(&daemon, id).await["last_error"].clone();
        error.as_str()?.contains("at one thing since").then_some(())
    })
    .await;
    // One connection takes no node out of service, and whoever asks for readiness is told no id.
    let told = eventually("the watchdog looks", async || {
        let progress = progress(&daemon).await;
        (progress["ok"] == true).then_some(progress)
    })
    .await;
    let detail = told["detail"].as_str().expect("a detail");
    assert!(detail.starts_with("1 of the 1 workers"), "{detail}");
    assert!(!detail.contains(&id.to_string()), "{detail}");

    // Its lease ends, and with it the call; a moment later it is tried again.
    daemon.advance(TimeDelta::minutes(20));
    eventually("the call ends", async || {
        (worker(&daemon, id).await["state"] != "running").then_some(())
    })
    .await;
    daemon.advance(TimeDelta::seconds(2));
    daemon
        .event(ProviderKind::Google, COACH_EMAIL, session.id, |_| true)
        .await;
    daemon.service().settled(id).await;
    daemon.advance(TimeDelta::seconds(31));
    eventually("it is forgotten", async || {
        (progress(&daemon).await["detail"] == "nobody is stuck").then_some(())
    })
    .await;
    daemon.no_duplicates();
}
