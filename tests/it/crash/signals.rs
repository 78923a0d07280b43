//! SIGTERM with work in flight, and a second signal.

use std::time::Duration;

use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::{CallKind, FaultEffect, FaultRule};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::patiently;
use super::desired::{Desired, Link};
use super::stage::{Plan, Stage};
use crate::support::{COACH_EMAIL, Session, eventually};

/// A node with a backlog of both providers; the first calls are under way.
async fn busy(latency: Duration, fault: Option<FaultEffect>) -> (Stage, Desired) {
    let stage = Stage::set(Plan {
        nodes: 1,
        failpoints: None,
        // Longer than a busy machine keeps a renewal waiting.
        lease_ttl: "5s",
        poll_interval: "2m",
        latency,
    })
    .await;
    let coach = Uuid::new_v4();
    let mut desired = Desired::default();
    for provider in ProviderKind::ALL {
        desired.links.push(Link {
            id: stage.client.connect(provider, coach, COACH_EMAIL).await,
            coach,
            provider,
            email: COACH_EMAIL.to_owned(),
            shows_details: false,
            is_active: true,
        });
    }
    stage.converges(&desired).await;
    if let Some(effect) = fault {
        let rule = FaultRule::always(effect).at(CallKind::Batch);
        stage.calendars.add_fault(rule).expect("room for a rule");
    }
    let sessions: Vec<Session> = (0..120)
        .map(|_| Session::tomorrow(coach, stage.clock.now()))
        .collect();
    let items: Vec<Value> = sessions.iter().map(Session::item).collect();
    let body = json!({"appointments": items});
    let path = "appointments/batch";
    stage
        .client
        .ask(Method::POST, path, Some(&body), &[200])
        .await;
    for session in sessions {
        desired.acknowledge(session);
    }
    let taken = "SELECT status FROM calendar_sync_queue WHERE status = 'processing' LIMIT 1";
    patiently("work is under way", async || {
        let rows = stage.database.texts(taken, 0).await;
        (!rows.is_empty()).then_some(())
    })
    .await;
    (stage, desired)
}

/// Starts it again, without faults, and waits for what should be.
async fn carries_on(stage: &Stage, desired: &Desired) {
    stage.calendars.clear_faults();
    stage.nodes[0].hold(false);
    stage.converges(desired).await;
    let duplicated = stage.duplicated();
    assert!(duplicated.is_empty(), "{duplicated:#?}");
    let misordered = desired.misordered(&stage.calendars);
    assert!(misordered.is_empty(), "{misordered:#?}");
}

async fn ends(stage: &Stage) -> Option<i32> {
    let node = &stage.nodes[0];
    patiently("it ends", async || (!node.is_running()).then_some(())).await;
    node.exits().last().expect("it ended").code()
}

#[tokio::test(flavor = "multi_thread")]
async fn at_sigterm_it_finishes_what_is_under_way_gives_its_leases_back_and_ends_well() {
    let (stage, desired) = busy(Duration::from_millis(300), None).await;
    stage.nodes[0].hold(true);
    stage.nodes[0].terminate();
    assert_eq!(ends(&stage).await, Some(0));
    for (what, table) in [
        ("status = 'processing'", "calendar_sync_queue"),
        ("node IS NOT NULL", "connection_leases"),
    ] {
        let query = format!("SELECT '{table}' FROM {table} WHERE {what}");
        assert!(stage.database.texts(&query, 0).await.is_empty(), "{what}");
    }
    carries_on(&stage, &desired).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once_and_nothing_is_lost() {
    // No answer ever comes: the drain would last until its deadline.
    let (stage, desired) = busy(Duration::ZERO, Some(FaultEffect::Hang)).await;
    let node = &stage.nodes[0];
    node.hold(true);
    node.terminate();
    patiently("it is stopping", async || {
        node.log()
            .contains("a second signal ends at once")
            .then_some(())
    })
    .await;
    assert!(node.is_running());
    node.terminate();
    assert_eq!(ends(&stage).await, Some(1));
    assert!(node.log().contains("ended at once"));
    carries_on(&stage, &desired).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_off_at_the_deadline_keeps_its_lease_and_nothing_is_lost() {
    let (stage, desired) = busy(Duration::ZERO, Some(FaultEffect::Hang)).await;
    let node = &stage.nodes[0];
    let working = "SELECT 'works' FROM calendar_sync_queue WHERE status = 'processing' \
                   GROUP BY connection_id";
    eventually("every connection is at it", async || {
        let working = stage.database.texts(working, 0).await.len();
        (working == ProviderKind::ALL.len()).then_some(())
    })
    .await;
    node.hold(true);
    node.terminate();
    ends(&stage).await;
    assert!(node.log().contains("not every connection finished"));
    let held = "SELECT 'held' FROM connection_leases WHERE node IS NOT NULL";
    let held = stage.database.texts(held, 0).await.len();
    assert_eq!(held, ProviderKind::ALL.len());
    carries_on(&stage, &desired).await;
}
