//! An appointment's way into the calendar, through it, and out of it again.

use calendar_integration::domain::ProviderKind;
use chrono::TimeDelta;
use uuid::Uuid;

use calendar_integration::simulator::{CallKind, CoachEdit, FaultEffect, FaultRule};

use crate::support::{COACH_EMAIL, Session, TestDaemon, eventually, until};

#[tokio::test]
async fn a_confirmed_appointment_appears_in_both_calendars_moves_and_goes() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        daemon.connect(provider, coach, COACH_EMAIL).await;
    }
    let mut session = Session::tomorrow(coach, daemon.now());
    session.meeting_url = Some("https://meet.example.com/1");
    assert_eq!(service.report(&session).await, "created");
    for provider in ProviderKind::ALL {
        let event = daemon
            .event(provider, COACH_EMAIL, session.id, |_| true)
            .await;
        assert_eq!(event.title, "ACT Coaching Session");
        assert_eq!(event.location, "https://meet.example.com/1");
        assert_eq!(
            (event.starts_at, event.ends_at),
            (session.starts_at, session.ends_at)
        );
        assert!(event.attendees.is_empty());
    }

    let session = session.moved(TimeDelta::days(2));
    assert_eq!(service.report(&session).await, "updated");
    for provider in ProviderKind::ALL {
        daemon
            .event(provider, COACH_EMAIL, session.id, |event| {
                event.starts_at == session.starts_at && event.ends_at == session.ends_at
            })
            .await;
    }

    service.report(&session.with_status("cancelled")).await;
    for provider in ProviderKind::ALL {
        daemon.no_events(provider, COACH_EMAIL).await;
        assert_eq!(daemon.creates(provider), 1);
    }
    daemon.no_duplicates();
}

#[tokio::test]
async fn a_pending_appointment_has_no_event_until_it_is_confirmed() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let google = daemon
        .connect(ProviderKind::Google, coach, COACH_EMAIL)
        .await;
    let session = Session::tomorrow(coach, daemon.now()).with_status("pending");
    daemon.service().report(&session).await;
    daemon.service().settled(google).await;
    assert_eq!(daemon.creates(ProviderKind::Google), 0);
    let standing = daemon.service().standing(session.id, google).await;
    assert_eq!(standing["sync_status"], "not_wanted");

    let session = session.with_status("scheduled");
    daemon.service().report(&session).await;
    daemon
        .event(ProviderKind::Google, COACH_EMAIL, session.id, |_| true)
        .await;
    daemon
        .service()
        .report(&session.with_status("pending"))
        .await;
    daemon.no_events(ProviderKind::Google, COACH_EMAIL).await;
}

#[tokio::test]
async fn an_appointment_that_took_place_leaves_its_event_and_makes_none() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    let outlook = daemon
        .connect(ProviderKind::Outlook, coach, COACH_EMAIL)
        .await;
    let shown = Session::tomorrow(coach, daemon.now());
    service.report(&shown).await;
    daemon
        .event(ProviderKind::Outlook, COACH_EMAIL, shown.id, |_| true)
        .await;
    for status in ["completed", "no_show"] {
        service.report(&shown.clone().with_status(status)).await;
        let unseen = Session::tomorrow(coach, daemon.now()).with_status(status);
        service.report(&unseen).await;
        service.settled(outlook).await;
    }
    let events = daemon.events(ProviderKind::Outlook, COACH_EMAIL);
    assert_eq!(events.len(), 1);
    assert_eq!(daemon.creates(ProviderKind::Outlook), 1);
}

#[tokio::test]
async fn cancelled_before_its_first_sync_it_is_never_created() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    let session = Session::tomorrow(coach, daemon.now());
    service.report(&session).await;
    service.report(&session.with_status("cancelled")).await;
    let google = daemon
        .connect(ProviderKind::Google, coach, COACH_EMAIL)
        .await;
    service.settled(google).await;
    assert_eq!(daemon.creates(ProviderKind::Google), 0);
}

#[tokio::test]
async fn an_appointment_given_to_another_coach_changes_calendars() {
    let daemon = TestDaemon::start().await;
    let (first, second) = (Uuid::new_v4(), Uuid::new_v4());
    daemon
        .connect(ProviderKind::Google, first, "first@example.com")
        .await;
    daemon
        .connect(ProviderKind::Outlook, second, "second@example.com")
        .await;
    let mut session = Session::tomorrow(first, daemon.now());
    daemon.service().report(&session).await;
    daemon
        .event(
            ProviderKind::Google,
            "first@example.com",
            session.id,
            |_| true,
        )
        .await;

    session.coach = second;
    daemon.service().report(&session).await;
    daemon
        .event(
            ProviderKind::Outlook,
            "second@example.com",
            session.id,
            |_| true,
        )
        .await;
    daemon
        .no_events(ProviderKind::Google, "first@example.com")
        .await;
    let seen = daemon
        .coach(first)
        .get(&format!("appointments/{}", session.id))
        .await;
    assert_eq!(seen.problem(404), "appointment_not_found");
}

#[tokio::test]
async fn an_erased_appointment_leaves_every_calendar_and_is_forgotten() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    let mut connections = Vec::new();
    for provider in ProviderKind::ALL {
        connections.push(daemon.connect(provider, coach, COACH_EMAIL).await);
    }
    let session = Session::tomorrow(coach, daemon.now());
    service.report(&session).await;
    for provider in ProviderKind::ALL {
        daemon
            .event(provider, COACH_EMAIL, session.id, |_| true)
            .await;
    }
    // Erasing is no change that a switch may hold back.
    for id in connections {
        service
            .change(id, &serde_json::json!({"is_sync_enabled": false}))
            .await;
    }
    let path = format!("appointments/{}", session.id);
    service.delete(&path).await.expect(202);
    for provider in ProviderKind::ALL {
        daemon.no_events(provider, COACH_EMAIL).await;
    }
    eventually("the appointment is forgotten", async || {
        (service.get(&path).await.status == 404).then_some(())
    })
    .await;
    assert_eq!(
        service.delete(&path).await.problem(404),
        "appointment_not_found"
    );
}

#[tokio::test]
async fn an_event_the_coach_deleted_comes_back_with_the_next_change() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        daemon.connect(provider, coach, COACH_EMAIL).await;
    }
    let session = Session::tomorrow(coach, daemon.now());
    service.report(&session).await;
    for provider in ProviderKind::ALL {
        daemon
            .event(provider, COACH_EMAIL, session.id, |_| true)
            .await;
        daemon.edit(provider, session.id, &CoachEdit::Delete);
    }
    let session = session.moved(TimeDelta::hours(3));
    service.report(&session).await;
    for provider in ProviderKind::ALL {
        daemon
            .event(provider, COACH_EMAIL, session.id, |event| {
                event.starts_at == session.starts_at
            })
            .await;
    }
    daemon.no_duplicates();
}

/// The attempts that failed before were not about the event.
#[tokio::test]
async fn an_event_the_coach_deleted_comes_back_also_after_trouble() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        let session = Session::tomorrow(coach, daemon.now());
        service.report(&session).await;
        daemon
            .event(provider, COACH_EMAIL, session.id, |_| true)
            .await;
        service.settled(id).await;
        daemon.edit(provider, session.id, &CoachEdit::Delete);
        let trouble = FaultRule::always(FaultEffect::status(503)).times(4);
        daemon.fail(trouble.on(provider).at(CallKind::Update));
        let session = session.moved(TimeDelta::hours(3));
        service.report(&session).await;
        daemon
            .event(provider, COACH_EMAIL, session.id, |event| {
                event.starts_at == session.starts_at
            })
            .await;
        service
            .delete(&format!("connections/{id}"))
            .await
            .expect(200);
    }
    daemon.no_duplicates();
}

#[tokio::test]
async fn an_event_the_coach_deleted_comes_back_with_sync_now() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        let connection = daemon.connect(provider, coach, COACH_EMAIL).await;
        let session = Session::tomorrow(coach, daemon.now());
        service.report(&session).await;
        daemon
            .event(provider, COACH_EMAIL, session.id, |_| true)
            .await;
        service.settled(connection).await;
        daemon.edit(provider, session.id, &CoachEdit::Delete);
        service.sync_now(connection).await;
        daemon
            .event(provider, COACH_EMAIL, session.id, |_| true)
            .await;
        service.report(&session.with_status("cancelled")).await;
        until("it goes again", || {
            daemon.events(provider, COACH_EMAIL).is_empty()
        })
        .await;
    }
    daemon.no_duplicates();
}
