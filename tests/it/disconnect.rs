//! The end of a connection, and of a coach.

use std::time::Duration;

use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::{CallKind, FaultEffect, FaultRule};
use serde_json::json;
use uuid::Uuid;

use crate::support::{
    Browser, COACH_EMAIL, Consent, Session, Setup, TestDaemon, eventually, needs_postgres,
    parameter,
};

const GOOGLE: ProviderKind = ProviderKind::Google;
const FORMER: &str = "former@example.com";

#[tokio::test]
async fn a_disconnected_calendar_keeps_its_events_and_we_keep_no_token() {
    let daemon = TestDaemon::start().await;
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

        let path = format!("connections/{id}");
        let ended = daemon.coach(coach).delete(&path).await.expect(200);
        let can_revoke = provider == GOOGLE;
        let expected =
            json!({"id": id, "status": "disconnected", "provider_access_revoked": can_revoke});
        assert_eq!(ended, expected);
        assert_eq!(daemon.calendars.revoke(provider, COACH_EMAIL), !can_revoke);
        let kept = "SELECT COALESCE(access_token, refresh_token) FROM coach_calendar_connections \
                    WHERE access_token IS NOT NULL OR refresh_token IS NOT NULL";
        assert!(daemon.database.texts(kept, 0).await.is_empty());

        let session = session.with_status("cancelled");
        service.report(&session).await;
        assert_eq!(daemon.events(provider, COACH_EMAIL).len(), 1);
        assert_eq!(
            service.delete(&path).await.problem(404),
            "connection_not_found"
        );
        let listed = service
            .get(&format!("connections/{coach}"))
            .await
            .expect(200);
        assert_eq!(listed, json!({"connections": []}));
        let again = service.post(&format!("{path}/sync"), None).await;
        assert_eq!(again.problem(404), "connection_not_found");
    }
}

#[tokio::test]
async fn a_caller_who_hangs_up_leaves_no_grant_behind() {
    let slowly = Duration::from_millis(500);
    let setup = Setup::default().simulate(|config| config.limits.latency = slowly);
    let daemon = setup.start().await;
    let coach = Uuid::new_v4();
    let id = daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    let service = daemon.service();
    service.settled(id).await;
    let ending = tokio::spawn(async move { service.delete(&format!("connections/{id}")).await });
    eventually("our copy is gone", async || {
        let kept = "SELECT account_id FROM coach_calendar_connections \
                    WHERE refresh_token IS NOT NULL";
        daemon
            .database
            .texts(kept, 0)
            .await
            .is_empty()
            .then_some(())
    })
    .await;
    ending.abort();
    eventually("Google has the grant back", async || {
        let revoked = daemon.calendars.call_count(GOOGLE, CallKind::Revoke);
        (revoked == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_grant_that_another_connection_lives_on_is_not_revoked() {
    let daemon = TestDaemon::start().await;
    let (first, second) = (Uuid::new_v4(), Uuid::new_v4());
    let service = daemon.service();
    let ended = daemon.connect(GOOGLE, first, COACH_EMAIL).await;
    let left = daemon.connect(GOOGLE, second, COACH_EMAIL).await;
    let body = service
        .delete(&format!("connections/{ended}"))
        .await
        .expect(200);
    assert_eq!(body["provider_access_revoked"], false);
    let session = Session::tomorrow(second, daemon.now());
    service.report(&session).await;
    daemon
        .event(GOOGLE, COACH_EMAIL, session.id, |_| true)
        .await;
    let body = service
        .delete(&format!("connections/{left}"))
        .await
        .expect(200);
    assert_eq!(body["provider_access_revoked"], true);
}

#[tokio::test]
async fn a_coach_who_leaves_is_forgotten_and_the_events_stay() {
    let daemon = TestDaemon::start().await;
    let (leaver, stayer) = (Uuid::new_v4(), Uuid::new_v4());
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        daemon.connect(provider, leaver, COACH_EMAIL).await;
    }
    daemon.connect(GOOGLE, stayer, "stayer@example.com").await;
    let session = Session::tomorrow(leaver, daemon.now());
    let other = Session::tomorrow(stayer, daemon.now());
    for session in [&session, &other] {
        service.report(session).await;
    }
    for provider in ProviderKind::ALL {
        daemon
            .event(provider, COACH_EMAIL, session.id, |_| true)
            .await;
    }
    service
        .delete(&format!("coaches/{leaver}"))
        .await
        .expect(202);
    let left = [
        ("SELECT account_email FROM coach_calendar_connections", 1),
        ("SELECT client_name FROM appointments", 1),
        ("SELECT state FROM calendar_event_mappings", 1),
    ];
    for (rows, count) in left {
        eventually("only the other coach is known", async || {
            (daemon.database.texts(rows, 0).await.len() == count).then_some(())
        })
        .await;
    }
    let gone = service.get(&format!("appointments/{}", session.id)).await;
    assert_eq!(gone.problem(404), "appointment_not_found");
    for provider in ProviderKind::ALL {
        assert_eq!(daemon.events(provider, COACH_EMAIL).len(), 1);
    }
    daemon
        .event(GOOGLE, "stayer@example.com", other.id, |_| true)
        .await;
    service
        .get(&format!("appointments/{}", other.id))
        .await
        .expect(200);
}

/// What the coach took over was still to be removed from the former coach's calendar.
#[tokio::test]
async fn a_coach_who_leaves_leaves_no_event_behind_in_a_former_coachs_calendar() {
    let daemon = TestDaemon::start().await;
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        let (former, leaver) = (Uuid::new_v4(), Uuid::new_v4());
        let id = daemon.connect(provider, former, FORMER).await;
        daemon.connect(provider, leaver, COACH_EMAIL).await;
        let own = Session::tomorrow(leaver, daemon.now());
        let given = Session::tomorrow(former, daemon.now());
        for (session, email) in [(&own, COACH_EMAIL), (&given, FORMER)] {
            service.report(session).await;
            daemon.event(provider, email, session.id, |_| true).await;
        }
        service.settled(id).await;

        let away = FaultRule::always(FaultEffect::status(503)).of(FORMER);
        let away = daemon.fail(away.on(provider));
        let given = Session {
            coach: leaver,
            ..given
        };
        service.report(&given).await;
        daemon
            .event(provider, COACH_EMAIL, given.id, |_| true)
            .await;
        let path = format!("coaches/{leaver}");
        service.delete(&path).await.expect(202);
        for session in [&own, &given] {
            let path = format!("appointments/{}", session.id);
            let gone = service.get(&path).await;
            assert_eq!(gone.problem(404), "appointment_not_found");
        }
        let left = "SELECT client_name || client_email FROM appointments";
        let left = daemon.database.texts(left, 0).await;
        assert_eq!(left, [""], "one, and nothing of its client");
        assert_eq!(daemon.events(provider, FORMER).len(), 1);

        daemon.calendars.remove_fault(away);
        daemon.no_events(provider, FORMER).await;
        eventually("nothing is known of it any more", async || {
            let left = "SELECT status FROM appointments";
            daemon
                .database
                .texts(left, 0)
                .await
                .is_empty()
                .then_some(())
        })
        .await;
        assert_eq!(daemon.events(provider, COACH_EMAIL).len(), 2);
        service
            .delete(&format!("connections/{id}"))
            .await
            .expect(200);
    }
}

#[tokio::test]
async fn a_sign_in_whose_coach_leaves_meanwhile_connects_nothing_and_leaves_no_grant() {
    let slowly = Duration::from_millis(1500);
    let setup = Setup::default().simulate(|config| config.limits.latency = slowly);
    let daemon = setup.start().await;
    let coach = Uuid::new_v4();
    let mut browser = Browser::new(&daemon);
    let page = browser.begin(GOOGLE, coach, "").await;
    let callback = browser.decide(page, COACH_EMAIL, Consent::Allow).await;
    let leaves = async {
        eventually("the sign-in is under way", async || {
            let used = "SELECT state_hash FROM sign_ins WHERE state_hash LIKE 'used %'";
            (daemon.database.texts(used, 0).await.len() == 1).then_some(())
        })
        .await;
        let path = format!("coaches/{coach}");
        let gone = daemon.service().delete(&path).await.expect(202);
        assert_eq!(gone["disconnected"], 0, "it was still under way");
    };
    let (end, ()) = futures::join!(browser.come_back(&callback), leaves);
    assert_eq!(parameter(&end, "error").as_deref(), Some("invalid_state"));
    let revoked = daemon.calendars.call_count(GOOGLE, CallKind::Revoke);
    assert_eq!(revoked, 1, "Google has the grant back");
    for left in ["coach_calendar_connections", "sign_ins"] {
        let left = format!("SELECT provider FROM {left}");
        assert!(daemon.database.texts(&left, 0).await.is_empty());
    }
}

#[tokio::test]
async fn a_calendar_connected_while_its_coach_leaves_is_ended_like_the_others_on_postgres() {
    needs_postgres();
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let mut browser = Browser::new(&daemon);
    let page = browser.begin(GOOGLE, coach, "").await;
    let callback = browser.decide(page, COACH_EMAIL, Consent::Allow).await;
    let (high, low) = coach.as_u64_pair();
    let lock = format!(
        "SELECT pg_advisory_xact_lock({})",
        (high ^ low).cast_signed()
    );
    let busy = daemon.database.hold(&lock).await;
    let waiting = async |count: usize| {
        eventually("they wait for the coach", async || {
            (daemon.database.waits_for_locks().await >= count).then_some(())
        })
        .await;
    };
    // First the sign-in, then who leaves: it has seen no connection.
    let leaves = async {
        waiting(1).await;
        let path = format!("coaches/{coach}");
        daemon.service().delete(&path).await.expect(202)
    };
    let goes_on = async {
        waiting(2).await;
        busy.let_go().await;
    };
    let (end, gone, ()) = futures::join!(browser.come_back(&callback), leaves, goes_on);
    assert_eq!(parameter(&end, "success").as_deref(), Some("connected"));
    assert_eq!(gone["disconnected"], 1);
    assert_eq!(daemon.calendars.call_count(GOOGLE, CallKind::Revoke), 1);
    let left = "SELECT provider FROM coach_calendar_connections";
    assert!(daemon.database.texts(left, 0).await.is_empty());
}

#[tokio::test]
async fn of_two_coaches_who_end_one_account_at_once_the_last_gives_the_grant_back_on_postgres() {
    needs_postgres();
    let daemon = TestDaemon::start().await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let id = daemon.connect(GOOGLE, Uuid::new_v4(), COACH_EMAIL).await;
        daemon.service().settled(id).await;
        ids.push(id);
    }
    // Neither gets further than to the line it leaves.
    let lock = "LOCK TABLE audit_events IN SHARE MODE";
    let busy = daemon.database.hold(lock).await;
    let end = async |id: Uuid| {
        let path = format!("connections/{id}");
        let ended = daemon.service().delete(&path).await.expect(200);
        ended["provider_access_revoked"] == true
    };
    let goes_on = async {
        eventually("both are under way", async || {
            (daemon.database.waits_for_locks().await >= 2).then_some(())
        })
        .await;
        busy.let_go().await;
    };
    let (one, other, ()) = futures::join!(end(ids[0]), end(ids[1]), goes_on);
    assert!(one != other, "one of them gave it back: {one} {other}");
    assert_eq!(daemon.calendars.call_count(GOOGLE, CallKind::Revoke), 1);
}
