//! 4: PostgreSQL restarted, cut off, replaced by an older copy, slow, locked, strict. Needs PostgreSQL.

use std::time::Duration;

use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::{FaultEffect, FaultRule};
use serde_json::json;

use super::platform::{Platform, becomes_ready, becomes_unready, is_ready};
use crate::support::{
    Cluster, Proxy, Setup, TestDaemon, TestDatabase, eventually, needs_postgres, until,
};

async fn behind_a_proxy() -> (Proxy, TestDaemon) {
    needs_postgres();
    let database = TestDatabase::create().await;
    let (proxy, url) = Proxy::of_postgres(&database.url()).await;
    let setup = Setup::default().on(database).set("DATABASE_URL", &url);
    (proxy, setup.start().await)
}

#[tokio::test]
async fn connections_that_break_in_mid_work_lose_nothing() {
    let (proxy, daemon) = behind_a_proxy().await;
    let mut platform = Platform::with_calendars(&daemon).await;
    let api = daemon.service();
    for turn in 0..30 {
        platform.try_new(&daemon, &api).await;
        if turn % 3 == 0 {
            proxy.cut();
        }
    }
    platform.report_refused(&api).await;
    platform.agrees_with(&daemon).await;
    becomes_ready(&api).await;
}

#[tokio::test]
async fn a_database_that_is_away_is_said_and_waited_for() {
    let (proxy, daemon) = behind_a_proxy().await;
    let mut platform = Platform::with_calendars(&daemon).await;
    let api = daemon.service();
    platform.report_new(&daemon).await;
    proxy.refuse();
    platform.is_refused(&daemon, &api).await;
    becomes_unready(&api).await;
    proxy.open();
    becomes_ready(&api).await;
    platform.report_refused(&api).await;
    platform.agrees_with(&daemon).await;
}

#[tokio::test]
async fn a_database_that_hangs_keeps_nobody_waiting_for_ever() {
    let (proxy, daemon) = behind_a_proxy().await;
    let mut platform = Platform::with_calendars(&daemon).await;
    let api = daemon.service();
    platform.report_new(&daemon).await;
    proxy.stall();
    platform.is_refused(&daemon, &api).await;
    becomes_unready(&api).await;
    // The server is gone without a word: what was said to it is never answered.
    proxy.lose();
    proxy.open();
    becomes_ready(&api).await;
    platform.report_refused(&api).await;
    platform.agrees_with(&daemon).await;
}

/// Each has asked for something that the server never answers, not even with the end of its patience.
#[tokio::test]
async fn whoever_changes_something_is_told_in_time_that_the_database_is_gone_in_the_middle_of_it() {
    let (proxy, daemon) = behind_a_proxy().await;
    let mut platform = Platform::with_calendars(&daemon).await;
    let api = daemon.service();
    platform.report_new(&daemon).await;
    platform.agrees_with(&daemon).await;
    let [synced, set] =
        [0, 1].map(|number| format!("connections/{}", platform.connections[number]));
    let unknown = format!("appointments/{}", uuid::Uuid::new_v4());
    let sync = format!("{synced}/sync");
    let details = json!({"include_client_details": true});
    let lock = "LOCK TABLE appointments IN ACCESS EXCLUSIVE MODE";
    let held = daemon.database.hold(lock).await;
    let gone = async {
        eventually("all three wait", async || {
            (daemon.database.waits_for_locks().await >= 3).then_some(())
        })
        .await;
        proxy.stall();
    };
    let (erased, started, changed, ()) = tokio::join!(
        api.delete(&unknown),
        api.post(&sync, None),
        api.put(&set, &details),
        gone
    );
    for reply in [erased, started, changed] {
        assert_eq!(reply.problem(503), "database_unavailable");
    }
    held.let_go().await;
}

#[tokio::test]
async fn a_slow_database_is_only_slow() {
    let (proxy, daemon) = behind_a_proxy().await;
    let mut platform = Platform::with_calendars(&daemon).await;
    proxy.slow_down(Duration::from_millis(5));
    for _ in 0..3 {
        platform.report_new(&daemon).await;
    }
    platform.agrees_with(&daemon).await;
    assert!(is_ready(&daemon.service()).await);
}

#[tokio::test]
async fn a_lock_that_another_session_holds_is_waited_for_and_then_the_caller_told() {
    needs_postgres();
    let daemon = TestDaemon::start().await;
    let mut platform = Platform::with_calendars(&daemon).await;
    let api = daemon.service();
    platform.report_new(&daemon).await;
    platform.agrees_with(&daemon).await;
    let lock = "LOCK TABLE appointments, calendar_sync_queue IN ACCESS EXCLUSIVE MODE";
    let held = daemon.database.hold(lock).await;
    platform.is_refused(&daemon, &api).await;
    // Nobody stays behind in the queue for the lock.
    eventually("no session waits for the lock", async || {
        (daemon.database.waits_for_locks().await == 0).then_some(())
    })
    .await;
    held.let_go().await;
    platform.report_refused(&api).await;
    platform.agrees_with(&daemon).await;
}

#[tokio::test]
async fn transactions_that_cannot_be_serialized_are_tried_again() {
    needs_postgres();
    let database = TestDatabase::create().await;
    let strict = "ALTER DATABASE {} SET default_transaction_isolation = 'serializable'";
    database.run(&strict.replace("{}", database.name())).await;
    let daemon = Setup::default().on(database).start().await;
    let mut platform = Platform::with_calendars(&daemon).await;
    let api = daemon.service();
    for _ in 0..25 {
        platform.try_new(&daemon, &api).await;
    }
    platform.report_refused(&api).await;
    platform.agrees_with(&daemon).await;
}

#[tokio::test]
async fn a_database_that_is_restarted_is_found_again() {
    needs_postgres();
    let cluster = Cluster::start();
    let daemon = Setup::default().on(cluster.database().await).start().await;
    let mut platform = Platform::with_calendars(&daemon).await;
    let api = daemon.service();
    for crash in [false, true] {
        platform.report_new(&daemon).await;
        if crash {
            cluster.crash();
        } else {
            cluster.stop();
        }
        platform.is_refused(&daemon, &api).await;
        becomes_unready(&api).await;
        cluster.start_again();
        becomes_ready(&api).await;
        platform.report_refused(&api).await;
        platform.agrees_with(&daemon).await;
    }
    drop(daemon);
}

#[tokio::test]
async fn after_a_failover_to_an_older_copy_events_are_adopted_and_not_doubled() {
    needs_postgres();
    let cluster = Cluster::start();
    let mut daemon = Setup::default()
        .on(cluster.database().await)
        .set("SYNC_POLL_INTERVAL", "500ms")
        .start()
        .await;
    let mut platform = Platform::with_calendars(&daemon).await;
    platform.report_new(&daemon).await;
    platform.agrees_with(&daemon).await;
    // In the copy these two are acknowledged, and not yet in any calendar.
    daemon.fail(FaultRule::always(FaultEffect::status(503)));
    platform.report_new(&daemon).await;
    let moved_later = platform.report_new(&daemon).await;
    daemon.stop().await;
    cluster.stop();
    cluster.keep_copy();
    cluster.start_again();
    daemon.calendars.clear_faults();
    daemon.start_again().await;
    platform.agrees_with(&daemon).await;
    for id in platform.connections.clone() {
        daemon.service().settled(id).await;
    }

    let calls = ProviderKind::ALL.map(|provider| daemon.event_calls(provider));
    // The daemon runs on while the server is exchanged for the copy.
    cluster.stop();
    cluster.fall_back_to_copy();
    cluster.start_again();
    let api = daemon.service();
    becomes_ready(&api).await;
    let moved = moved_later.moved(chrono::TimeDelta::minutes(30));
    eventually("reports are taken in again", async || {
        let path = format!("appointments/{}", moved.id);
        let reply = api.put(&path, &moved.body()).await;
        (reply.status == 200).then_some(())
    })
    .await;
    platform.report(&api, &moved).await;
    platform.agrees_with(&daemon).await;
    for (provider, before) in ProviderKind::ALL.into_iter().zip(calls) {
        until("what the copy holds as undone was looked at", || {
            daemon.event_calls(provider) > before
        })
        .await;
    }
    for id in platform.connections.clone() {
        daemon.service().settled(id).await;
    }
    platform.agrees_with(&daemon).await;
    drop(daemon);
}
