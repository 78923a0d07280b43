//! Times are exact instants, also in the hours that a clock skips or repeats.

use calendar_integration::domain::ProviderKind;
use serde_json::json;
use uuid::Uuid;

use crate::support::{COACH_EMAIL, Session, TestDaemon};

#[tokio::test]
async fn instants_are_exact_in_both_calendars_also_around_clock_changes() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    for provider in ProviderKind::ALL {
        daemon.connect(provider, coach, COACH_EMAIL).await;
    }
    let cases = [
        // Before, across and after the hour that Berlin skips.
        (
            "Europe/Berlin",
            "2027-03-28T00:30:00Z",
            "2027-03-28T01:30:00Z",
        ),
        (
            "Europe/Berlin",
            "2027-03-28T01:00:00Z",
            "2027-03-28T02:00:00Z",
        ),
        // Both passes of the hour that Berlin repeats, and from one into the other.
        (
            "Europe/Berlin",
            "2027-10-31T00:15:00Z",
            "2027-10-31T00:45:00Z",
        ),
        (
            "Europe/Berlin",
            "2027-10-31T01:15:00Z",
            "2027-10-31T01:45:00Z",
        ),
        (
            "Europe/Berlin",
            "2027-10-31T00:30:00Z",
            "2027-10-31T01:20:00Z",
        ),
        (
            "America/New_York",
            "2027-11-07T05:30:00Z",
            "2027-11-07T06:30:00Z",
        ),
        // Half an hour only, and zones far from whole hours.
        (
            "Australia/Lord_Howe",
            "2027-04-03T14:45:00Z",
            "2027-04-03T15:15:00Z",
        ),
        (
            "Asia/Kathmandu",
            "2027-05-05T18:15:00Z",
            "2027-05-05T19:15:00Z",
        ),
        (
            "Pacific/Kiritimati",
            "2027-12-31T10:00:00Z",
            "2027-12-31T11:00:00Z",
        ),
    ];
    let sessions = cases.map(|(time_zone, starts_at, ends_at)| Session {
        time_zone,
        ..Session::tomorrow(coach, daemon.now()).between(starts_at, ends_at)
    });
    let items: Vec<_> = sessions.iter().map(Session::item).collect();
    let batch = json!({"appointments": items});
    let reply = daemon
        .service()
        .post("appointments/batch", Some(&batch))
        .await;
    assert_eq!(reply.expect(200)["queued"], 2 * cases.len());
    for session in &sessions {
        for provider in ProviderKind::ALL {
            let event = daemon
                .event(provider, COACH_EMAIL, session.id, |_| true)
                .await;
            let instants = (event.starts_at, event.ends_at);
            let wanted = (session.starts_at, session.ends_at);
            assert_eq!(instants, wanted, "{provider} {}", session.time_zone);
            let zone = match provider {
                ProviderKind::Google => session.time_zone,
                ProviderKind::Outlook => "UTC",
            };
            assert_eq!(event.time_zone.as_deref(), Some(zone));
        }
    }
}
