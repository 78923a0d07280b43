//! Client details leave only while they are switched on, and what left is taken back.

use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::{
    CallKind, CoachEdit, EffectKind, FaultEffect, FaultRule, LiveEvent,
};
use chrono::TimeDelta;
use serde_json::json;
use uuid::Uuid;

use crate::support::{
    Api, COACH_EMAIL, Session, Setup, TestDaemon, eventually, needs_postgres, until,
};

fn with_details(coach: Uuid, daemon: &TestDaemon) -> Session {
    Session {
        notes: Some("afraid of spiders"),
        location: Some("Room 4"),
        ..Session::tomorrow(coach, daemon.now())
    }
}

/// Anywhere in the event, fields that nobody looks at included.
fn names_client(event: &LiveEvent) -> bool {
    let all = format!("{event:?} {}", event.fields).to_lowercase();
    ["wilhelmina", "spiders"]
        .iter()
        .any(|detail| all.contains(detail))
}

async fn share(service: &Api, connection: Uuid, on: bool) {
    service
        .change(connection, &json!({"include_client_details": on}))
        .await;
}

#[tokio::test]
async fn nothing_of_the_client_leaves_by_default() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        let templates = json!({
            "event_title_template": "Session {client_name}",
            "event_description_template": "{client_email} {notes} {duration_minutes} min",
        });
        service.change(id, &templates).await;
        let session = with_details(coach, &daemon);
        service.report(&session).await;
        let event = daemon
            .event(provider, COACH_EMAIL, session.id, |_| true)
            .await;
        assert!(!names_client(&event), "{event:?}");
        assert_eq!(event.title, "Session");
        assert!(event.description_text.contains("60 min"));
        assert_eq!(event.location, "Room 4");
        assert!(event.attendees.is_empty());
    }
}

#[tokio::test]
async fn details_come_with_the_switch_and_go_with_it_whatever_the_other_switches_say() {
    let daemon = Setup::with_manual_clock().start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        share(&service, id, true).await;
        let past = with_details(coach, &daemon);
        let future = with_details(coach, &daemon).moved(TimeDelta::days(9));
        for session in [&past, &future] {
            service.report(session).await;
            let event = daemon
                .event(provider, COACH_EMAIL, session.id, |_| true)
                .await;
            assert_eq!(event.title, "ACT Coaching Session - Wilhelmina Client");
            assert!(event.description_text.contains("afraid of spiders"));
            assert_eq!(event.attendees, ["wilhelmina@example.com"]);
        }
        daemon.advance(TimeDelta::days(3));
        service.report(&past.clone().with_status("completed")).await;
        service.settled(id).await;
        let others_off = json!({
            "is_sync_enabled": false,
            "auto_create_events": false,
            "auto_update_events": false,
        });
        service.change(id, &others_off).await;
        share(&service, id, false).await;
        for session in [&past, &future] {
            let event = daemon
                .event(provider, COACH_EMAIL, session.id, |event| {
                    !names_client(event)
                })
                .await;
            assert_eq!(event.title, "ACT Coaching Session");
            assert_eq!(event.starts_at, session.starts_at);
        }
        service
            .delete(&format!("connections/{id}"))
            .await
            .expect(200);
        for session in [past, future] {
            service
                .delete(&format!("appointments/{}", session.id))
                .await
                .expect(202);
        }
    }
}

#[tokio::test]
async fn a_client_who_changes_leaves_the_guest_list() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        share(&service, id, true).await;
        let session = with_details(coach, &daemon);
        service.report(&session).await;
        daemon
            .event(provider, COACH_EMAIL, session.id, |event| {
                event.attendees == ["wilhelmina@example.com"]
            })
            .await;
        let session = Session {
            client: "Bea Client",
            email: "bea@example.com",
            notes: None,
            ..session
        };
        service.report(&session).await;
        daemon
            .event(provider, COACH_EMAIL, session.id, |event| {
                event.attendees == ["bea@example.com"] && !names_client(event)
            })
            .await;
        let no_guest = json!({"add_client_as_attendee": false});
        service.change(id, &no_guest).await;
        daemon
            .event(provider, COACH_EMAIL, session.id, |event| {
                event.attendees.is_empty() && event.title.contains("Bea")
            })
            .await;
    }
}

#[tokio::test]
async fn taking_details_out_while_sync_is_off_puts_no_deleted_event_back() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        share(&service, id, true).await;
        let [kept, deleted] = [(); 2].map(|()| with_details(coach, &daemon));
        for session in [&kept, &deleted] {
            service.report(session).await;
            daemon
                .event(provider, COACH_EMAIL, session.id, |_| true)
                .await;
        }
        service.settled(id).await;
        service.change(id, &json!({"is_sync_enabled": false})).await;
        daemon.edit(provider, deleted.id, &CoachEdit::Delete);
        share(&service, id, false).await;
        daemon
            .event(provider, COACH_EMAIL, kept.id, |event| !names_client(event))
            .await;
        service.settled(id).await;
        let events = daemon.events(provider, COACH_EMAIL);
        assert_eq!(events.len(), 1, "{events:?}");
        for session in [kept, deleted] {
            service
                .delete(&format!("appointments/{}", session.id))
                .await
                .expect(202);
        }
    }
}

#[tokio::test]
async fn an_erasure_that_two_calendars_settle_at_once_is_complete() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        service.settled(id).await;
    }
    let sessions: Vec<_> = (0..15).map(|_| with_details(coach, &daemon)).collect();
    for session in &sessions {
        service.report(session).await;
    }
    let held = |provider| daemon.events(provider, COACH_EMAIL).len();
    until("both hold all", || {
        ProviderKind::ALL
            .iter()
            .all(|provider| held(*provider) == sessions.len())
    })
    .await;
    for session in &sessions {
        let path = format!("appointments/{}", session.id);
        service.delete(&path).await.expect(202);
    }
    eventually("nothing is left of any of them", async || {
        let left = "SELECT status FROM appointments";
        let left = daemon.database.texts(left, 0).await;
        (left.is_empty()
            && ProviderKind::ALL
                .iter()
                .all(|provider| held(*provider) == 0))
        .then_some(())
    })
    .await;
}

/// Who reports an appointment locks it and then the leases of its calendars; who removes it from one of
/// them must not wait for it with the lease in hand.
#[tokio::test]
async fn an_erasure_waits_for_a_report_of_its_appointment_without_its_lease_on_postgres() {
    needs_postgres();
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    let provider = ProviderKind::Google;
    let id = daemon.connect(provider, coach, COACH_EMAIL).await;
    let session = with_details(coach, &daemon);
    service.report(&session).await;
    service.settled(id).await;
    let away = FaultRule::always(FaultEffect::status(503)).at(CallKind::Delete);
    let away = daemon.fail(away);
    let path = format!("appointments/{}", session.id);
    service.delete(&path).await.expect(202);

    let report = "SELECT id FROM appointments FOR NO KEY UPDATE";
    let report = daemon.database.hold(report).await;
    eventually("a round of the erasure waits to be recorded", async || {
        (daemon.database.waits_for_locks().await > 0).then_some(())
    })
    .await;
    let leases = "SET lock_timeout = '2s'; SELECT epoch FROM connection_leases FOR UPDATE";
    daemon.database.run(leases).await;
    report.let_go().await;

    daemon.calendars.remove_fault(away);
    daemon.no_events(provider, COACH_EMAIL).await;
    eventually("it is forgotten", async || {
        let left = "SELECT status FROM appointments";
        daemon
            .database
            .texts(left, 0)
            .await
            .is_empty()
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn google_mails_no_guest() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    let id = daemon
        .connect(ProviderKind::Google, coach, COACH_EMAIL)
        .await;
    share(&service, id, true).await;
    let session = with_details(coach, &daemon);
    service.report(&session).await;
    service.settled(id).await;
    let session = session.moved(TimeDelta::hours(1));
    service.report(&session).await;
    service.settled(id).await;
    service.report(&session.with_status("cancelled")).await;
    service.settled(id).await;
    daemon.no_events(ProviderKind::Google, COACH_EMAIL).await;
    assert_eq!(
        daemon
            .calendars
            .total(ProviderKind::Google, EffectKind::Mail),
        0
    );
}
