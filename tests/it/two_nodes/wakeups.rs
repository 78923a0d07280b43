//! Work that one node takes in and another does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use calendar_integration::domain::ProviderKind;
use chrono::TimeDelta;
use futures::{StreamExt, stream};
use sea_orm::sqlx::postgres::PgListener;
use uuid::Uuid;

use super::{metric, node_id, owner, second_node, two_nodes, wakeups};
use crate::support::{
    COACH_EMAIL, DeafProxy, Session, Setup, TestDaemon, eventually, is_postgres, until,
};

#[tokio::test]
async fn what_one_node_takes_in_its_owner_carries_at_once() {
    let Some((first, second)) = two_nodes(Setup::default()).await else {
        return;
    };
    let coach = Uuid::new_v4();
    let mut connections = Vec::new();
    for provider in ProviderKind::ALL {
        let id = first.connect(provider, coach, COACH_EMAIL).await;
        first.service().settled(id).await;
        connections.push(id);
    }
    let first_id = node_id(&first.admin()).await;
    for _ in 0..3 {
        let session = Session::tomorrow(coach, first.now());
        second.service(&first).report(&session).await;
        for provider in ProviderKind::ALL {
            first
                .event(provider, COACH_EMAIL, session.id, |_| true)
                .await;
        }
    }
    for id in connections {
        assert_eq!(owner(&first, id).await, first_id, "it stayed where it was");
    }
    assert!(metric(&second.admin(&first), "calendar_node_messages_total").await >= 3.0);
    first.no_duplicates();
}

#[tokio::test]
async fn a_listening_connection_that_is_cut_comes_back_and_nothing_is_missed() {
    let Some((first, second)) = two_nodes(Setup::default()).await else {
        return;
    };
    let coach = Uuid::new_v4();
    let id = first
        .connect(ProviderKind::Google, coach, COACH_EMAIL)
        .await;
    first.service().settled(id).await;
    let before = listeners(&first).await;
    assert_eq!(before.len(), 2, "one of each node");
    let cut = "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity \
               WHERE application_name = 'calendar-integration listener' \
               AND datname = current_database()";
    first.database.texts(cut, 0).await;
    // Whether it arrives before the connection is back, or is found when it is.
    let session = Session::tomorrow(coach, first.now());
    second.service(&first).report(&session).await;
    first
        .event(ProviderKind::Google, COACH_EMAIL, session.id, |_| true)
        .await;
    eventually("both listen anew", async || {
        let now = listeners(&first).await;
        (now.len() == 2 && now.iter().all(|pid| !before.contains(pid))).then_some(())
    })
    .await;
    for node in [first.service(), second.service(&first)] {
        eventually("it says so", async || {
            (wakeups(&node).await == "listening").then_some(())
        })
        .await;
    }
    let session = Session::tomorrow(coach, first.now());
    second.service(&first).report(&session).await;
    first
        .event(ProviderKind::Google, COACH_EMAIL, session.id, |_| true)
        .await;
}

/// The server processes that the nodes listen on.
async fn listeners(daemon: &TestDaemon) -> Vec<String> {
    let query = "SELECT pid::text FROM pg_stat_activity \
                 WHERE application_name = 'calendar-integration listener' \
                 AND datname = current_database() ORDER BY pid";
    daemon.database.texts(query, 0).await
}

#[tokio::test]
async fn a_node_behind_a_pooler_says_that_it_polls_and_its_poll_suffices() {
    let first = Setup::default()
        .set("SYNC_POLL_INTERVAL", "10m")
        .start()
        .await;
    let pooler = DeafProxy::before(&first.database.url()).await;
    // A SQLite file has no pooler; there, a second daemon is refused.
    let file = first.database.url();
    let database = if is_postgres() { pooler.url() } else { &file };
    let settings = [("DATABASE_URL", database), ("SYNC_POLL_INTERVAL", "300ms")];
    let Some(second) = second_node(&first, &settings).await else {
        return;
    };
    let deaf = second.service(&first);
    let coach = Uuid::new_v4();
    let id = first
        .connect(ProviderKind::Google, coach, COACH_EMAIL)
        .await;
    first.service().settled(id).await;
    // Its wishes are heard, though it hears nothing.
    let path = format!("connections/{id}/test");
    assert_eq!(deaf.post(&path, None).await.expect(200)["ok"], true);
    assert_eq!(
        owner(&first, id).await,
        node_id(&second.admin(&first)).await
    );
    // What the other takes in for it, it finds.
    let session = Session::tomorrow(coach, first.now());
    first.service().report(&session).await;
    first
        .event(ProviderKind::Google, COACH_EMAIL, session.id, |_| true)
        .await;
    // What the other wants from it, it sees when it renews its leases.
    let report = first.service().post(&path, None).await.expect(200);
    assert_eq!(report["ok"], true);
    eventually("it says so", async || {
        wakeups(&deaf)
            .await
            .starts_with("polling only")
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_thousand_changes_for_the_other_node_are_told_in_few_messages() {
    let Some((first, second)) = two_nodes(Setup::default()).await else {
        return;
    };
    let mut sessions = Vec::new();
    for coach in 0..10 {
        let id = Uuid::new_v4();
        let email = format!("coach{coach}@example.com");
        let connection = first.connect(ProviderKind::Outlook, id, &email).await;
        first.service().settled(connection).await;
        sessions.extend((0..10).map(|_| Session::tomorrow(id, first.now())));
    }
    let told = Arc::new(AtomicUsize::new(0));
    let mut listener = PgListener::connect(&first.database.url())
        .await
        .expect("a connection");
    listener
        .listen("calendar_integration")
        .await
        .expect("heard");
    let counter = told.clone();
    let counting = tokio::spawn(async move {
        while let Ok(message) = listener.recv().await {
            if message.payload().contains("wake ") || message.payload().contains("look ") {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let service = second.service(&first);
    let started = Instant::now();
    stream::iter(1..=1_000_usize)
        .for_each_concurrent(64, async |change| {
            let session = sessions[change % sessions.len()].clone();
            let days = i64::try_from(change.div_ceil(sessions.len())).expect("few");
            service.report(&session.moved(TimeDelta::days(days))).await;
        })
        .await;
    let took = started.elapsed();
    until("every appointment has its event", || {
        first.creates(ProviderKind::Outlook) == 100
    })
    .await;
    counting.abort();
    let told = told.load(Ordering::Relaxed);
    // One every 20 ms.
    let most = took.as_millis() / Duration::from_millis(20).as_millis() + 2;
    assert!(told >= 1 && (told as u128) <= most, "{told} in {took:?}");
    assert!(told < 700, "{told} messages for 1000 changes, in {took:?}");
    first.no_duplicates();
}
