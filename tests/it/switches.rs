//! The coach's switches: what they hold back, and what carries it all the same.

use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::{CallKind, FaultEffect, FaultRule};
use chrono::TimeDelta;
use serde_json::json;
use uuid::Uuid;

use crate::support::{COACH_EMAIL, Session, Setup, TestDaemon, eventually, until};

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

/// Of two events one has left the old calendar when a limit stops the move; then its work is dropped.
#[tokio::test]
async fn an_event_on_its_way_to_another_calendar_arrives_whatever_is_switched_off_meanwhile() {
    let daemon = Setup::with_manual_clock().start().await;
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        for disconnects in [false, true] {
            let coach = Uuid::new_v4();
            let email = &format!("{coach}@example.com");
            let id = daemon.connect(provider, coach, email).await;
            let sessions = [(); 2].map(|()| Session::tomorrow(coach, daemon.now()));
            for session in &sessions {
                service.report(session).await;
                daemon.event(provider, email, session.id, |_| true).await;
            }
            service.settled(id).await;
            let limited = FaultRule::once(FaultEffect::too_many_requests("90")).skip(1);
            daemon.fail(limited.on(provider).of(email).at(CallKind::Delete));
            let path = format!("connections/{id}/calendars");
            let listed = service.get(&path).await.expect(200);
            let mut calendars = listed["calendars"].as_array().expect("a list").iter();
            let new = calendars.find(|one| one["selected"] == false);
            let new = new.expect("another calendar")["id"].clone();
            let change = json!({"calendar_id": new, "auto_create_events": false});
            service.change(id, &change).await;
            eventually("the move is stopped half way", async || {
                let status = service.sync_status(id).await;
                (status["waiting"]["reason"] == "limit").then_some(())
            })
            .await;
            assert_eq!(daemon.events(provider, email).len(), 1);

            if disconnects {
                let path = format!("connections/{id}");
                service.delete(&path).await.expect(200);
                daemon.advance(TimeDelta::seconds(95));
                daemon.connect(provider, coach, email).await;
            } else {
                service.change(id, &json!({"is_sync_enabled": false})).await;
                daemon.advance(TimeDelta::seconds(95));
                service.settled(id).await;
                service.change(id, &json!({"is_sync_enabled": true})).await;
            }
            until("both are in the new calendar", || {
                // After a new sign-in the limiter begins empty.
                daemon.advance(TimeDelta::milliseconds(100));
                let events = daemon.events(provider, email);
                let in_new = events.iter().filter(|event| event.calendar_id == new);
                in_new.count() == 2
            })
            .await;
        }
    }
    daemon.no_duplicates();
}
