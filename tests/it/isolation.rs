//! One connection's trouble is nobody else's.

use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::{FaultEffect, FaultRule};
use serde_json::json;
use uuid::Uuid;

use crate::support::{Session, TestDaemon, eventually};

const GOOGLE: ProviderKind = ProviderKind::Google;
const OUTLOOK: ProviderKind = ProviderKind::Outlook;

#[tokio::test]
async fn a_hanging_a_failing_and_a_flooded_connection_delay_no_other() {
    let daemon = TestDaemon::start().await;
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
    let mut items: Vec<_> = (0..400)
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
    let daemon = TestDaemon::start().await;
    let service = daemon.service();
    let coach = Uuid::new_v4();
    let items: Vec<_> = (0..400)
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
