//! The coach's switches: what they hold back, and what carries it all the same.

use calendar_integration::domain::ProviderKind;
use chrono::TimeDelta;
use serde_json::json;
use uuid::Uuid;

use crate::support::{COACH_EMAIL, Session, TestDaemon};

const GOOGLE: ProviderKind = ProviderKind::Google;

#[tokio::test]
async fn without_automatic_creation_only_sync_now_adds_appointments() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    let id = daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    service
        .change(id, &json!({"auto_create_events": false}))
        .await;
    let session = Session::tomorrow(coach, daemon.now());
    service.report(&session).await;
    service.settled(id).await;
    assert_eq!(daemon.creates(GOOGLE), 0);
    let standing = service.standing(session.id, id).await;
    assert_eq!(standing["sync_status"], "switched_off");
    assert!(
        standing["reason"]
            .as_str()
            .is_some_and(|why| why.contains("Sync now"))
    );

    service.sync_now(id).await;
    daemon
        .event(GOOGLE, COACH_EMAIL, session.id, |_| true)
        .await;
    // Once it is there, changes are another switch's business.
    let session = session.moved(TimeDelta::hours(1));
    service.report(&session).await;
    daemon
        .event(GOOGLE, COACH_EMAIL, session.id, |event| {
            event.starts_at == session.starts_at
        })
        .await;
}

#[tokio::test]
async fn without_automatic_updates_changes_and_cancellations_wait_for_sync_now() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    let id = daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    let moved = Session::tomorrow(coach, daemon.now());
    let cancelled = Session::tomorrow(coach, daemon.now());
    for session in [&moved, &cancelled] {
        service.report(session).await;
        daemon
            .event(GOOGLE, COACH_EMAIL, session.id, |_| true)
            .await;
    }
    service
        .change(id, &json!({"auto_update_events": false}))
        .await;
    let before = moved.starts_at;
    let moved = moved.moved(TimeDelta::hours(5));
    service.report(&moved).await;
    service.report(&cancelled.with_status("cancelled")).await;
    service.settled(id).await;
    let events = daemon.events(GOOGLE, COACH_EMAIL);
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| event.starts_at == before));
    // New appointments are added all the same.
    let new = Session::tomorrow(coach, daemon.now());
    service.report(&new).await;
    daemon.event(GOOGLE, COACH_EMAIL, new.id, |_| true).await;

    service.sync_now(id).await;
    daemon
        .event(GOOGLE, COACH_EMAIL, moved.id, |event| {
            event.starts_at == moved.starts_at
        })
        .await;
    service.settled(id).await;
    assert_eq!(daemon.events(GOOGLE, COACH_EMAIL).len(), 2);
}

#[tokio::test]
async fn with_sync_off_nothing_happens_and_turning_it_on_catches_up() {
    let daemon = TestDaemon::start().await;
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        let coach = Uuid::new_v4();
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        let moved = Session::tomorrow(coach, daemon.now());
        let cancelled = Session::tomorrow(coach, daemon.now());
        for session in [&moved, &cancelled] {
            service.report(session).await;
            daemon
                .event(provider, COACH_EMAIL, session.id, |_| true)
                .await;
        }
        service.settled(id).await;
        service.change(id, &json!({"is_sync_enabled": false})).await;
        let calls = daemon.event_calls(provider);
        let moved = moved.moved(TimeDelta::hours(5));
        let new = Session::tomorrow(coach, daemon.now());
        let cancelled = cancelled.with_status("cancelled");
        for session in [&moved, &cancelled, &new] {
            service.report(session).await;
        }
        service.settled(id).await;
        assert_eq!(daemon.event_calls(provider), calls);
        let refused = service.post(&format!("connections/{id}/sync"), None).await;
        assert_eq!(refused.problem(409), "sync_disabled");
        let standing = service.standing(new.id, id).await;
        assert_eq!(standing["sync_status"], "switched_off");

        service.change(id, &json!({"is_sync_enabled": true})).await;
        daemon
            .event(provider, COACH_EMAIL, moved.id, |event| {
                event.starts_at == moved.starts_at
            })
            .await;
        daemon.event(provider, COACH_EMAIL, new.id, |_| true).await;
        service.settled(id).await;
        assert_eq!(daemon.events(provider, COACH_EMAIL).len(), 2);
    }
}
