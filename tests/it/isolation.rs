//! One connection's trouble is nobody else's.

use std::time::Duration;

use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::{CallKind, FaultEffect, FaultRule};
use chrono::TimeDelta;
use serde_json::json;
use uuid::Uuid;

use crate::support::{Session, Setup, TestDaemon, eventually};

const GOOGLE: ProviderKind = ProviderKind::Google;
const OUTLOOK: ProviderKind = ProviderKind::Outlook;

/// Slow enough for a flood to last.
fn at_lifelike_speed() -> Setup {
    Setup::default().simulate(|config| config.limits.latency = Duration::from_millis(50))
}

#[tokio::test]
async fn a_hanging_a_failing_and_a_flooded_connection_delay_no_other() {
    let daemon = at_lifelike_speed().start().await;
    let service = daemon.service();
    let mut troubled = Vec::new();
    for email in ["hangs@example.com", "fails@example.com"] {
        for provider in ProviderKind::ALL {
            let coach = Uuid::new_v4();
            daemon.connect(provider, coach, email).await;
            troubled.push(coach);
        }
    }
    let flooded = Uuid::new_v4();
    let id = daemon
        .connect(OUTLOOK, flooded, "flooded@example.com")
        .await;
    daemon.fail(FaultRule::always(FaultEffect::Hang).of("hangs@example.com"));
    daemon.fail(FaultRule::always(FaultEffect::status(500)).of("fails@example.com"));
    let mut items: Vec<_> = (0..800)
        .map(|_| Session::tomorrow(flooded, daemon.now()).item())
        .collect();
    for coach in troubled {
        items.extend((0..30).map(|_| Session::tomorrow(coach, daemon.now()).item()));
    }
    let batch = json!({"appointments": items});
    service
        .post("appointments/batch", Some(&batch))
        .await
        .expect(200);

    for provider in ProviderKind::ALL {
        let coach = Uuid::new_v4();
        daemon.connect(provider, coach, "healthy@example.com").await;
        let session = Session::tomorrow(coach, daemon.now());
        service.report(&session).await;
        daemon
            .event(provider, "healthy@example.com", session.id, |_| true)
            .await;
    }
    let status = service.sync_status(id).await;
    assert_ne!(
        status["pending"], 0,
        "the flood was over too early to delay anyone"
    );
}

#[tokio::test]
async fn what_one_coach_changes_goes_before_a_backfill_of_their_own() {
    let daemon = at_lifelike_speed().start().await;
    let service = daemon.service();
    let coach = Uuid::new_v4();
    let items: Vec<_> = (0..900)
        .map(|_| Session::tomorrow(coach, daemon.now()).item())
        .collect();
    let batch = json!({"appointments": items});
    service
        .post("appointments/batch", Some(&batch))
        .await
        .expect(200);
    let id = daemon.connect(OUTLOOK, coach, "coach@example.com").await;
    let urgent = Session::tomorrow(coach, daemon.now());
    service.report(&urgent).await;
    daemon
        .event(OUTLOOK, "coach@example.com", urgent.id, |_| true)
        .await;
    let status = service.sync_status(id).await;
    assert_ne!(status["pending"], 0, "{status}");
}

#[tokio::test]
async fn no_connection_has_an_actor_when_there_is_nothing_to_say() {
    let daemon = TestDaemon::start().await;
    let actors = daemon.admin().get("/health/actors").await.expect(200);
    let text = actors.to_string();
    for part in ["queue_poller", "connections", "housekeeper"] {
        assert!(text.contains(part), "{text}");
    }
    let coach = Uuid::new_v4();
    let id = daemon.connect(GOOGLE, coach, "coach@example.com").await;
    daemon
        .service()
        .report(&Session::tomorrow(coach, daemon.now()))
        .await;
    eventually("its actor shows", async || {
        let actors = daemon.admin().get("/health/actors").await.expect(200);
        actors.to_string().contains(&id.to_string()).then_some(())
    })
    .await;
}

/// Entra says `unauthorized_client` where an organisation has disabled our application, or never let
/// it in.
fn not_let_in(email: &str) -> FaultRule {
    let refusal = FaultEffect::Status {
        status: 400,
        code: Some("unauthorized_client".to_owned()),
        retry_after: None,
    };
    FaultRule::always(refusal).at(CallKind::Refresh).of(email)
}

#[tokio::test]
async fn an_organisation_that_shuts_us_out_stops_its_own_coaches_alone() {
    let daemon = Setup::with_manual_clock().start().await;
    let service = daemon.service();
    let mut coaches = Vec::new();
    for email in ["out@example.com", "also-out@example.com", "in@example.com"] {
        let coach = Uuid::new_v4();
        let id = daemon.connect(OUTLOOK, coach, email).await;
        service.settled(id).await;
        coaches.push((coach, email, id));
    }
    let [out, also_out, within] = coaches[..] else {
        panic!("three coaches");
    };
    let shut_out = async |(coach, email, id): (Uuid, &str, Uuid)| {
        daemon.fail(not_let_in(email));
        daemon.calendars.expire_access_tokens(OUTLOOK, email);
        let session = Session::tomorrow(coach, daemon.now());
        service.report(&session).await;
        eventually("the connection waits", async || {
            let waiting = &service.sync_status(id).await["waiting"];
            (waiting["reason"] == "set_up").then_some(())
        })
        .await;
    };
    shut_out(out).await;
    assert_eq!(daemon.nobody().get("/health/ready").await.status, 200);
    // The others are carried meanwhile, with fresh tokens as well.
    daemon.calendars.expire_access_tokens(OUTLOOK, within.1);
    let first = Session::tomorrow(within.0, daemon.now());
    service.report(&first).await;
    daemon.event(OUTLOOK, within.1, first.id, |_| true).await;

    // Two are refused, and nobody let in between: it may be all of us.
    let refreshes = || {
        let calls = daemon.calendars.calls_of(OUTLOOK, out.1);
        let refreshes = calls
            .iter()
            .filter(|call| call.operation == CallKind::Refresh);
        refreshes.count()
    };
    let before = refreshes();
    eventually("the first is refused again", async || {
        daemon.advance(TimeDelta::seconds(1));
        (refreshes() > before).then_some(())
    })
    .await;
    shut_out(also_out).await;
    let ready = eventually("readiness says so", async || {
        let reply = daemon.nobody().get("/health/ready").await;
        (reply.status == 503).then(|| reply.json())
    })
    .await;
    assert!(ready.to_string().contains("client_rejected"), "{ready}");
    // Found out by the one who is let in, and not by asking the other two again and again.
    let second = Session::tomorrow(within.0, daemon.now());
    service.report(&second).await;
    let shut_at = daemon.now();
    eventually("it is carried", async || {
        daemon.advance(TimeDelta::seconds(1));
        let events = daemon.events(OUTLOOK, within.1);
        (events.len() == 2).then_some(())
    })
    .await;
    let took = daemon.now() - shut_at;
    assert!(took <= TimeDelta::seconds(90), "{took}");
    for (coach, email, id) in [out, also_out] {
        assert!(daemon.events(OUTLOOK, email).is_empty());
        let connection = service.connection(coach, id).await;
        assert_eq!(connection["status"], "active");
        assert_eq!(connection["pending"], 1);
    }
    daemon.calendars.clear_faults();
    for (_, email, _) in [out, also_out] {
        eventually("they are let in again", async || {
            daemon.advance(TimeDelta::seconds(5));
            (daemon.events(OUTLOOK, email).len() == 1).then_some(())
        })
        .await;
    }
}
