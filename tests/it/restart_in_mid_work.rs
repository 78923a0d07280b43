//! Crashes, lost answers, restarts and several nodes: one event, and nothing acknowledged is lost.

use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::{CallKind, FaultEffect, FaultRule};
use chrono::TimeDelta;
use serde_json::json;
use uuid::Uuid;

use crate::support::{COACH_EMAIL, Session, Setup, TestDaemon, eventually, is_postgres, until};

#[tokio::test]
async fn a_create_whose_answer_is_lost_makes_one_event() {
    let daemon = TestDaemon::start().await;
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        let coach = Uuid::new_v4();
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        service.settled(id).await;
        for (effect, kind) in [
            (FaultEffect::AnswerLost, CallKind::Create),
            (FaultEffect::ResetMidBody, CallKind::Create),
            (FaultEffect::AnswerLost, CallKind::Batch),
            (FaultEffect::HalfBatch { missing: true }, CallKind::Batch),
        ] {
            daemon.fail(FaultRule::once(effect).on(provider).at(kind));
            let sessions: Vec<Session> = (0..4)
                .map(|_| Session::tomorrow(coach, daemon.now()))
                .collect();
            let items: Vec<_> = sessions.iter().map(Session::item).collect();
            let batch = json!({"appointments": items});
            service
                .post("appointments/batch", Some(&batch))
                .await
                .expect(200);
            for session in &sessions {
                daemon
                    .event(provider, COACH_EMAIL, session.id, |_| true)
                    .await;
            }
            service.settled(id).await;
            daemon.no_duplicates();
            daemon.calendars.clear_faults();
        }
    }
}

#[tokio::test]
async fn a_change_taken_back_while_its_answer_is_lost_is_taken_back_in_the_calendar() {
    let daemon = Setup::with_manual_clock().start().await;
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        let coach = Uuid::new_v4();
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        let session = Session::tomorrow(coach, daemon.now());
        service.report(&session).await;
        daemon
            .event(provider, COACH_EMAIL, session.id, |_| true)
            .await;
        service.settled(id).await;

        let lost = FaultRule::once(FaultEffect::AnswerLost).on(provider);
        daemon.fail(lost.at(CallKind::Update));
        let moved = session.clone().moved(TimeDelta::hours(3));
        service.report(&moved).await;
        failed_once(&daemon, id).await;
        service.report(&session).await;
        daemon.advance(TimeDelta::hours(1));
        daemon
            .event(provider, COACH_EMAIL, session.id, |event| {
                event.starts_at == session.starts_at
            })
            .await;
        service.settled(id).await;

        let lost = FaultRule::once(FaultEffect::AnswerLost).on(provider);
        daemon.fail(lost.at(CallKind::Delete));
        service
            .report(&session.clone().with_status("cancelled"))
            .await;
        failed_once(&daemon, id).await;
        assert!(daemon.events(provider, COACH_EMAIL).is_empty());
        service.report(&session).await;
        daemon.advance(TimeDelta::hours(1));
        daemon
            .event(provider, COACH_EMAIL, session.id, |_| true)
            .await;
    }
    daemon.no_duplicates();
}

/// The clock stands still, so the next attempt waits.
async fn failed_once(daemon: &TestDaemon, connection: Uuid) {
    eventually("the attempt failed", async || {
        let status = daemon.service().sync_status(connection).await;
        let mut jobs = status["recent_jobs"].as_array()?.iter();
        jobs.any(|job| job["status"] == "pending" && job["attempts"] == 1)
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn killed_between_a_call_and_its_record_it_finds_its_events_again() {
    for provider in ProviderKind::ALL {
        let mut daemon = TestDaemon::start().await;
        let coach = Uuid::new_v4();
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        daemon.service().settled(id).await;
        // Carried out, and then no end of the answer.
        let slow = FaultEffect::Trickle {
            bytes: 1,
            every_ms: 5_000,
        };
        daemon.fail(FaultRule::always(slow).on(provider).at(CallKind::Batch));
        let sessions: Vec<Session> = (0..5)
            .map(|_| Session::tomorrow(coach, daemon.now()))
            .collect();
        let items: Vec<_> = sessions.iter().map(Session::item).collect();
        let batch = json!({"appointments": items});
        daemon
            .service()
            .post("appointments/batch", Some(&batch))
            .await
            .expect(200);
        until("some events are there", || {
            !daemon.events(provider, COACH_EMAIL).is_empty()
        })
        .await;
        daemon.kill();
        daemon.calendars.clear_faults();
        daemon.start_again().await;
        // Changed before the daemon has looked at what it left behind, or after: all the same.
        let moved = sessions[0].clone().moved(TimeDelta::hours(1));
        daemon.service().report(&moved).await;
        daemon
            .service()
            .report(&sessions[1].clone().with_status("cancelled"))
            .await;
        until("the calendar is as it should be", || {
            let events = daemon.events(provider, COACH_EMAIL);
            let is_moved = events
                .iter()
                .any(|event| event.starts_at == moved.starts_at);
            events.len() == 4 && is_moved
        })
        .await;
        let status = daemon.service().settled(id).await;
        assert_eq!(
            (&status["synced"], &status["failed"]),
            (&4.into(), &0.into())
        );
        daemon.no_duplicates();
    }
}

#[tokio::test]
async fn a_backlog_survives_restarts_and_kills() {
    let mut daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    for provider in ProviderKind::ALL {
        daemon.connect(provider, coach, COACH_EMAIL).await;
    }
    let items: Vec<_> = (0..120)
        .map(|_| Session::tomorrow(coach, daemon.now()).item())
        .collect();
    let batch = json!({"appointments": items});
    daemon
        .service()
        .post("appointments/batch", Some(&batch))
        .await
        .expect(200);
    daemon.kill();
    daemon.start_again().await;
    daemon.restart().await;
    for provider in ProviderKind::ALL {
        until("all are there", || {
            daemon.events(provider, COACH_EMAIL).len() == 120
        })
        .await;
        assert_eq!(daemon.creates(provider), 120);
    }
    daemon.no_duplicates();
}

#[tokio::test]
async fn what_was_acknowledged_while_the_provider_was_down_is_carried_after_a_restart() {
    let mut daemon = Setup::default()
        .set("SYNC_RETRY_BASE", "1s")
        .set("SYNC_RETRY_CAP", "1s")
        .start()
        .await;
    let coach = Uuid::new_v4();
    let provider = ProviderKind::Google;
    daemon.connect(provider, coach, COACH_EMAIL).await;
    daemon.fail(FaultRule::always(FaultEffect::status(503)));
    let session = Session::tomorrow(coach, daemon.now());
    daemon.service().report(&session).await;
    daemon.restart().await;
    daemon.calendars.clear_faults();
    daemon
        .event(provider, COACH_EMAIL, session.id, |_| true)
        .await;
}

#[tokio::test]
async fn two_nodes_share_one_database_or_the_second_is_refused() {
    // What one node takes in for a connection of the other is found by the other's poll.
    let daemon = Setup::default()
        .set("SYNC_POLL_INTERVAL", "500ms")
        .start()
        .await;
    let coach = Uuid::new_v4();
    for provider in ProviderKind::ALL {
        daemon.connect(provider, coach, COACH_EMAIL).await;
    }
    let Ok(second) = daemon.second_node().await else {
        assert!(!is_postgres(), "PostgreSQL is there for several nodes");
        return;
    };
    assert!(is_postgres(), "a SQLite file is for one daemon");
    let services = [daemon.service(), second.service(&daemon)];
    let sessions: Vec<Session> = (0..40)
        .map(|_| Session::tomorrow(coach, daemon.now()))
        .collect();
    // Every appointment is reported to both, in turn.
    for (turn, session) in sessions.iter().enumerate() {
        services[turn % 2].report(session).await;
        let moved = session.clone().moved(TimeDelta::hours(1));
        services[(turn + 1) % 2].report(&moved).await;
    }
    for provider in ProviderKind::ALL {
        until("all are there, at their last time", || {
            let events = daemon.events(provider, COACH_EMAIL);
            let wanted = sessions[0].starts_at + TimeDelta::hours(1);
            events.len() == 40 && events.iter().all(|event| event.starts_at == wanted)
        })
        .await;
        assert_eq!(daemon.creates(provider), 40);
    }
    daemon.no_duplicates();
    // The one that is left takes over what the killed one held.
    drop(second);
    let session = Session::tomorrow(coach, daemon.now());
    daemon.service().report(&session).await;
    for provider in ProviderKind::ALL {
        daemon
            .event(provider, COACH_EMAIL, session.id, |_| true)
            .await;
    }
}
