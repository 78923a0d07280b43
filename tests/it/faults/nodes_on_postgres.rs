//! 13: a node that is paused, cut from the database, cut from a provider. Needs PostgreSQL.

use calendar_integration::domain::{ProviderKind, SystemClock};
use calendar_integration::simulator::{CallKind, FaultEffect, FaultRule};
use chrono::TimeDelta;
use rustix::process::Signal;
use url::Url;
use uuid::Uuid;

use super::platform::{Platform, becomes_ready};
use crate::support::{
    COACH_EMAIL, Proxy, RealDaemon, Session, Setup, TestDaemon, TestDatabase, eventually,
    needs_postgres, until,
};

/// Created, and then no end of the answer for some seconds.
fn slow_answers(daemon: &TestDaemon) {
    let slow = FaultEffect::Trickle {
        bytes: 16,
        every_ms: 100,
    };
    for kind in [CallKind::Create, CallKind::Batch] {
        daemon.fail(FaultRule::always(slow.clone()).at(kind));
    }
}

async fn are_there(daemon: &TestDaemon, number: usize) {
    for provider in ProviderKind::ALL {
        until("the events are there", || {
            daemon.events(provider, COACH_EMAIL).len() == number
        })
        .await;
    }
}

#[tokio::test]
async fn what_a_paused_node_writes_after_its_lease_is_refused() {
    needs_postgres();
    let mut daemon = Setup::default()
        .set("SYNC_POLL_INTERVAL", "300ms")
        .start()
        .await;
    let mut platform = Platform::with_calendars(&daemon).await;
    daemon.stop().await;
    let paused = RealDaemon::start(&daemon, &[], "").await;
    slow_answers(&daemon);
    let session = platform.session(&daemon);
    platform.report(&paused.service(&daemon), &session).await;
    are_there(&daemon, 1).await;
    paused.signal(Signal::STOP);
    daemon.calendars.clear_faults();

    // Another one takes over, and carries a later change.
    daemon.start_again().await;
    let moved = session.moved(TimeDelta::minutes(15));
    platform.report(&daemon.service(), &moved).await;
    platform.agrees_with(&daemon).await;
    for id in &platform.connections {
        daemon.service().settled(*id).await;
    }
    let recorded = mappings(&daemon).await;

    paused.signal(Signal::CONT);
    becomes_ready(&paused.service(&daemon)).await;
    assert_eq!(mappings(&daemon).await, recorded, "it recorded nothing");
    let session = platform.session(&daemon);
    platform.report(&paused.service(&daemon), &session).await;
    platform.agrees_with(&daemon).await;
    paused.stop().await;
}

#[tokio::test]
async fn a_node_paused_while_all_others_wait_for_it_keeps_none_from_starting() {
    needs_postgres();
    let mut daemon = TestDaemon::start().await;
    daemon.stop().await;
    // In the transaction in which it says that it is alive, which nodes do one after the other.
    let stops = [("FAILPOINTS", "census.before=1*off->pause")];
    let _paused = RealDaemon::start(&daemon, &stops, "").await;
    let transactions = "SELECT pid::text FROM pg_stat_activity WHERE datname = current_database() \
         AND state = 'idle in transaction' AND state_change < clock_timestamp() - interval '0.1 s'";
    eventually("it is paused", async || {
        let paused = daemon.database.texts(transactions, 0).await;
        (!paused.is_empty()).then_some(())
    })
    .await;
    daemon.start_again().await;
    let mut platform = Platform::with_calendars(&daemon).await;
    platform.report_new(&daemon).await;
    platform.agrees_with(&daemon).await;
}

/// What is recorded of each event.
async fn mappings(daemon: &TestDaemon) -> Vec<String> {
    let query = "SELECT row_to_json(m)::text FROM calendar_event_mappings m \
                 ORDER BY connection_id, appointment_id";
    daemon.database.texts(query, 0).await
}

#[tokio::test]
async fn a_node_without_its_database_stops_acting_and_another_takes_over() {
    needs_postgres();
    let database = TestDatabase::create().await;
    let direct = database.url();
    let (proxy, url) = Proxy::of_postgres(&direct).await;
    let cut_off = Setup::default()
        .on(database)
        .set("DATABASE_URL", &url)
        .set("SYNC_POLL_INTERVAL", "300ms")
        .start()
        .await;
    let mut platform = Platform::with_calendars(&cut_off).await;
    platform.report_new(&cut_off).await;
    platform.agrees_with(&cut_off).await;
    // It has calls under way that never end when it loses the database.
    for provider in ProviderKind::ALL {
        cut_off.fail(FaultRule::once(FaultEffect::Hang).on(provider));
    }
    platform.report_new(&cut_off).await;
    until("both calls are under way", || {
        let faults = cut_off.calendars.faults();
        faults.iter().all(|fault| fault.fired == 1)
    })
    .await;
    proxy.refuse();
    let other = cut_off
        .node_with(&[("DATABASE_URL", &direct)], &SystemClock::shared())
        .await;
    let session = platform.session(&cut_off);
    platform.report(&other.service(&cut_off), &session).await;
    platform.agrees_with(&cut_off).await;
    proxy.open();
    becomes_ready(&cut_off.service()).await;
    platform.report_new(&cut_off).await;
    platform.agrees_with(&cut_off).await;
}

#[tokio::test]
async fn a_node_without_its_provider_holds_up_no_other_and_catches_up() {
    needs_postgres();
    let mut daemon = Setup::default()
        .set("SYNC_POLL_INTERVAL", "300ms")
        .start()
        .await;
    let mut platform = Platform::with_calendars(&daemon).await;
    daemon.stop().await;
    let parse = |name| Url::parse(daemon.setting(name)).expect("a URL");
    let (google, google_url) = Proxy::of_http(&parse("GOOGLE_API_URL")).await;
    let (graph, graph_url) = Proxy::of_http(&parse("MICROSOFT_GRAPH_URL")).await;
    let changed = [
        ("GOOGLE_API_URL", google_url.as_str()),
        ("MICROSOFT_GRAPH_URL", graph_url.as_str()),
    ];
    let cut_off = daemon.node_with(&changed, &SystemClock::shared()).await;
    let session = platform.session(&daemon);
    platform.report(&cut_off.service(&daemon), &session).await;
    are_there(&daemon, 1).await;
    daemon.start_again().await;
    google.refuse();
    graph.refuse();
    let session = platform.session(&daemon);
    platform.report(&cut_off.service(&daemon), &session).await;

    let email = "other@example.com";
    for provider in ProviderKind::ALL {
        let coach = Uuid::new_v4();
        let id = daemon.connect(provider, coach, email).await;
        // Whoever is first acts for a new connection. A live call brings it to the node it is made at.
        let test = format!("connections/{id}/test");
        let answer = daemon.service().post(&test, None).await.expect(200);
        assert_eq!(answer["ok"], true, "{answer}");
        let other = Session::tomorrow(coach, daemon.now());
        daemon.service().report(&other).await;
        daemon.event(provider, email, other.id, |_| true).await;
        let all = daemon.events(provider, email).len() as u64;
        platform.others_at(provider, all);
    }
    google.open();
    graph.open();
    platform.agrees_with(&daemon).await;
}
