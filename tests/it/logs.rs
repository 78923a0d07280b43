//! What the log tells, and what it does not tell. The rules are in the module `telemetry`.

use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::{CallKind, FaultEffect, FaultRule};
use reqwest::Method;
use serde_json::Value;
use uuid::Uuid;

use crate::support::{COACH_EMAIL, RealDaemon, Session, TestDaemon, eventually, is_postgres};

fn lines<'a>(log: &'a [Value], message: &str) -> Vec<&'a Value> {
    log.iter()
        .filter(|line| line["message"] == message)
        .collect()
}

#[tokio::test]
async fn an_idle_daemon_says_nothing_however_often_it_polls_and_is_probed() {
    let mut daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    daemon
        .connect(ProviderKind::Google, coach, COACH_EMAIL)
        .await;
    daemon.stop().await;
    let quick = [("SYNC_POLL_INTERVAL", "100ms")];
    let process = RealDaemon::start(&daemon, &quick, "").await;
    let service = process.service(&daemon);
    let serving = eventually("it has begun", async || {
        let log = process.log();
        // Of several nodes, after it serves.
        let listens = || !lines(&log, "listening to other nodes").is_empty();
        (!is_postgres() || listens()).then_some(log.len())
    })
    .await;
    let admin = process.admin(&daemon);

    let mut seen = Vec::new();
    eventually("many polls", async || {
        service.get("/health/live").await.expect(200);
        service.get("/health/ready").await.expect(200);
        assert_eq!(admin.get("/metrics").await.status, 200);
        let tree = admin.get("/health/actors").await.expect(200);
        let poller = tree["children"].as_array()?.first()?.clone();
        assert_eq!(poller["kind"], "queue_poller", "{tree}");
        let polled_at = poller["last_progress_at"].as_str()?.to_owned();
        if seen.last() != Some(&polled_at) {
            seen.push(polled_at);
        }
        (seen.len() > 20).then_some(())
    })
    .await;

    let log = process.log();
    let said: Vec<_> = log[serving..]
        .iter()
        // A busy machine may be warned of. The tree was asked for.
        .filter(|line| line["level"] == "INFO" && line["route"] != "/health/actors")
        .collect();
    assert!(said.is_empty(), "{said:#?}");
    process.stop().await;
}

#[tokio::test]
async fn one_search_for_the_request_id_finds_a_change_from_the_request_to_the_calendar() {
    let mut daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let id = daemon
        .connect(ProviderKind::Google, coach, COACH_EMAIL)
        .await;
    daemon.service().settled(id).await;
    daemon.stop().await;
    let process = RealDaemon::start(&daemon, &[], "").await;
    daemon.fail(FaultRule::once(FaultEffect::status(503)).at(CallKind::Create));
    let session = Session::tomorrow(coach, daemon.now());
    let path = format!("appointments/{}", session.id);
    let named = [("x-request-id", "booking-42")];
    process
        .service(&daemon)
        .send_with(Method::PUT, &path, &named, Some(&session.body()))
        .await
        .expect(201);

    let log = eventually("it says that it arrived", async || {
        let log = process.log();
        let arrived = lines(&log, "the calendar shows the change").len();
        (arrived > 0).then_some(log)
    })
    .await;
    let mut jobs = Vec::new();
    for message in [
        "an attempt failed; it is tried again",
        "the calendar shows the change",
    ] {
        let told = lines(&log, message);
        assert_eq!(told.len(), 1, "{message}: {log:#?}");
        let line = told[0];
        assert_eq!(line["operation"], "create", "{line}");
        assert_eq!(line["request_id"], "booking-42");
        assert_eq!(line["connection.id"], id.to_string());
        assert_eq!(line["appointment.id"], session.id.to_string());
        jobs.push(line["job.id"].as_str().expect("a job").to_owned());
    }
    assert_eq!(jobs[0], jobs[1]);
    let requests = lines(&log, "request answered");
    assert!(
        requests
            .iter()
            .any(|line| line["request_id"] == "booking-42" && line["status"] == 201)
    );
    process.stop().await;
}
