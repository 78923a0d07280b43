//! Access that expires, is replaced, is taken away, and was never ours to begin with.

use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::{CallKind, FaultEffect, FaultRule};
use chrono::TimeDelta;
use serde_json::json;
use uuid::Uuid;

use crate::support::{COACH_EMAIL, Session, Setup, TestDaemon, eventually};

const GOOGLE: ProviderKind = ProviderKind::Google;

#[tokio::test]
async fn tokens_are_refreshed_ahead_of_their_end_also_when_they_rotate() {
    let daemon = Setup::with_manual_clock()
        .simulate(|config| config.limits.microsoft_strict_rotation = true)
        .start()
        .await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        daemon.connect(provider, coach, COACH_EMAIL).await;
    }
    let mut session = Session::tomorrow(coach, daemon.now()).moved(TimeDelta::days(3));
    for round in 1..=3_u64 {
        daemon.advance(TimeDelta::minutes(59));
        session = session.moved(TimeDelta::hours(1));
        service.report(&session).await;
        for provider in ProviderKind::ALL {
            daemon
                .event(provider, COACH_EMAIL, session.id, |event| {
                    event.starts_at == session.starts_at
                })
                .await;
            let refreshes = daemon.calendars.call_count(provider, CallKind::Refresh);
            assert_eq!(refreshes, round, "{provider}");
        }
    }
    let metrics = daemon.admin().get("/metrics").await.text;
    for provider in ProviderKind::ALL {
        let line =
            format!(r#"calendar_token_refreshes_total{{provider="{provider}",outcome="ok"}} 3"#);
        assert!(metrics.lines().any(|told| told == line), "{line}");
    }
    let calls = daemon.calendars.calls();
    assert!(calls.iter().all(|calls| calls.status != 401), "{calls:?}");
}

#[tokio::test]
async fn a_token_refused_before_its_time_is_replaced_without_anyone_noticing() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        let first = Session::tomorrow(coach, daemon.now());
        service.report(&first).await;
        daemon
            .event(provider, COACH_EMAIL, first.id, |_| true)
            .await;
        service.settled(id).await;
        daemon.calendars.expire_access_tokens(provider, COACH_EMAIL);
        let second = Session::tomorrow(coach, daemon.now());
        service.report(&second).await;
        daemon
            .event(provider, COACH_EMAIL, second.id, |_| true)
            .await;
        let status = service.settled(id).await;
        assert_eq!(status["last_sync_status"], "success");
        assert_eq!(daemon.calendars.call_count(provider, CallKind::Refresh), 1);
    }
}

#[tokio::test]
async fn a_revoked_grant_parks_the_connection_and_signing_in_again_catches_up() {
    let daemon = TestDaemon::start().await;
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        let coach = Uuid::new_v4();
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        let shown = Session::tomorrow(coach, daemon.now());
        service.report(&shown).await;
        daemon
            .event(provider, COACH_EMAIL, shown.id, |_| true)
            .await;
        service.settled(id).await;

        assert!(daemon.calendars.revoke(provider, COACH_EMAIL));
        let new = Session::tomorrow(coach, daemon.now());
        service.report(&new).await;
        let parked = eventually("the connection is parked", async || {
            let connection = service.connection(coach, id).await;
            (connection["status"] == "needs_reauth").then_some(connection)
        })
        .await;
        let reason = parked["status_reason"].as_str().expect("a reason");
        assert!(reason.contains("Sign in again"), "{reason}");
        assert_eq!(parked["pending"], 1);
        let moved = shown.moved(TimeDelta::hours(2));
        service.report(&moved).await;
        let standing = service.standing(new.id, id).await;
        assert_eq!(standing["sync_status"], "waiting");
        let refused = service.post(&format!("connections/{id}/sync"), None).await;
        assert_eq!(refused.problem(409), "needs_reauth");

        assert_eq!(daemon.connect(provider, coach, COACH_EMAIL).await, id);
        daemon.event(provider, COACH_EMAIL, new.id, |_| true).await;
        daemon
            .event(provider, COACH_EMAIL, moved.id, |event| {
                event.starts_at == moved.starts_at
            })
            .await;
        let status = service.settled(id).await;
        assert_eq!(status["failed"], 0);
        let connection = service.connection(coach, id).await;
        assert_eq!(connection["status"], "active");
        assert!(connection["status_reason"].is_null());
    }
    daemon.no_duplicates();
}

/// Nothing is to be done for the connection: the one who asks is the first to hear of it.
#[tokio::test]
async fn a_revoked_grant_that_a_person_meets_parks_the_connection_at_once() {
    let daemon = TestDaemon::start().await;
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        let coach = Uuid::new_v4();
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        service.settled(id).await;
        assert!(daemon.calendars.revoke(provider, COACH_EMAIL));
        let path = format!("connections/{id}/calendars");
        let reply = service.get(&path).await;
        assert_eq!(reply.problem(409), "needs_reauth");
        let connection = service.connection(coach, id).await;
        assert_eq!(connection["status"], "needs_reauth", "{connection}");
        let reason = connection["status_reason"].as_str().expect("a reason");
        assert!(reason.contains("Sign in again"), "{reason}");

        assert_eq!(daemon.connect(provider, coach, COACH_EMAIL).await, id);
        service.get(&path).await.expect(200);
        let connection = service.connection(coach, id).await;
        assert_eq!(connection["status"], "active", "{connection}");
    }
}

#[tokio::test]
async fn trouble_while_refreshing_parks_nobody() {
    let daemon = Setup::with_manual_clock()
        .set("SYNC_RETRY_BASE", "5s")
        .set("SYNC_RETRY_CAP", "10s")
        .start()
        .await;
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        let coach = Uuid::new_v4();
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        service.settled(id).await;
        let broken = FaultRule::always(FaultEffect::status(503)).on(provider);
        daemon.fail(broken.at(CallKind::Refresh));
        daemon.advance(TimeDelta::hours(2));
        let session = Session::tomorrow(coach, daemon.now());
        service.report(&session).await;
        eventually("a refresh was tried", async || {
            (daemon.calendars.call_count(provider, CallKind::Refresh) > 0).then_some(())
        })
        .await;
        let connection = service.connection(coach, id).await;
        assert_eq!(connection["status"], "active");
        daemon.calendars.clear_faults();
        eventually("it works again by itself", async || {
            daemon.advance(TimeDelta::seconds(5));
            let events = daemon.events(provider, COACH_EMAIL);
            (events.len() == 1).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_wrong_client_secret_pauses_the_provider_and_blames_no_coach() {
    let mut daemon = Setup::with_manual_clock().start().await;
    let (coach, other) = (Uuid::new_v4(), Uuid::new_v4());
    let id = daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    daemon
        .connect(ProviderKind::Outlook, other, "other@example.com")
        .await;
    daemon.service().settled(id).await;
    daemon.stop().await;
    daemon
        .start_with(&[("GOOGLE_CLIENT_SECRET", "not-the-secret")])
        .await;
    daemon.advance(TimeDelta::hours(2));
    let service = daemon.service();
    let session = Session::tomorrow(coach, daemon.now());
    service.report(&session).await;
    let ready = eventually("readiness says so", async || {
        let reply = daemon.nobody().get("/health/ready").await;
        (reply.status == 503).then(|| reply.json())
    })
    .await;
    assert!(ready.to_string().contains("client_rejected"), "{ready}");
    let connection = service.connection(coach, id).await;
    assert_eq!(connection["status"], "active");
    assert_eq!(connection["pending"], 1);
    let theirs = Session::tomorrow(other, daemon.now());
    service.report(&theirs).await;
    daemon
        .event(
            ProviderKind::Outlook,
            "other@example.com",
            theirs.id,
            |_| true,
        )
        .await;

    daemon.stop().await;
    daemon
        .start_with(&[("GOOGLE_CLIENT_SECRET", "demo-google-secret")])
        .await;
    daemon.advance(TimeDelta::minutes(5));
    daemon
        .event(GOOGLE, COACH_EMAIL, session.id, |_| true)
        .await;
    let service = daemon.service();
    let status = service.settled(id).await;
    assert_eq!(session.job_in(&status)["attempts"], json!(0));
    assert_eq!(daemon.nobody().get("/health/ready").await.status, 200);
}
