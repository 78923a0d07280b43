//! Outages of a provider, on a clock that is moved: three days lose nothing, the provider is probed
//! and not hammered, and when it is back nobody has to do anything.

use calendar_integration::domain::{ProviderKind, Timestamp};
use calendar_integration::simulator::{CallKind, FaultEffect, FaultRule};
use chrono::TimeDelta;
use serde_json::Value;
use uuid::Uuid;

use crate::support::{COACH_EMAIL, Session, Setup, TestDaemon, eventually, until};

const GOOGLE: ProviderKind = ProviderKind::Google;
const OUTLOOK: ProviderKind = ProviderKind::Outlook;

/// The most calls one connection may make in 71 hours: one in two and a half minutes, and the
/// beginning (`plan::breaker`).
const MOST_CALLS: u64 = 1_850;

async fn a_daemon_as_it_ships() -> TestDaemon {
    Setup::with_manual_clock()
        .set("SYNC_RETRY_BASE", "5s")
        .set("SYNC_RETRY_CAP", "1h")
        .start()
        .await
}

fn calls(daemon: &TestDaemon, provider: ProviderKind) -> u64 {
    let calls = daemon.calendars.calls();
    let of_provider = calls.iter().filter(|calls| calls.provider == provider);
    of_provider.map(|calls| calls.count).sum()
}

fn later(session: Session) -> Session {
    session.moved(TimeDelta::days(9))
}

/// Lets time pass until the provider was asked once more, at least `step`.
async fn until_asked(daemon: &TestDaemon, provider: ProviderKind, step: TimeDelta) {
    let asked = calls(daemon, provider);
    daemon.advance(step);
    eventually("it was asked again", async || {
        daemon.advance(step / 100);
        (calls(daemon, provider) > asked).then_some(())
    })
    .await;
}

/// As [`until_asked`], again and again for `length`.
async fn outage_goes_on(daemon: &TestDaemon, length: TimeDelta) {
    let end = daemon.now() + length;
    while daemon.now() < end {
        until_asked(daemon, GOOGLE, TimeDelta::hours(1)).await;
    }
}

/// Google is down for 71 hours in this way, while appointments move, come and go.
async fn google_is_down_for_71_hours(fault: FaultRule) {
    let mut daemon = a_daemon_as_it_ships().await;
    let coach = Uuid::new_v4();
    let id = daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    daemon.connect(OUTLOOK, coach, COACH_EMAIL).await;
    let [kept, moved, cancelled, new] =
        [(); 4].map(|()| later(Session::tomorrow(coach, daemon.now())));
    for session in [&kept, &moved, &cancelled] {
        daemon.service().report(session).await;
        for provider in ProviderKind::ALL {
            daemon
                .event(provider, COACH_EMAIL, session.id, |_| true)
                .await;
        }
    }
    daemon.service().settled(id).await;

    daemon.fail(fault);
    let before = calls(&daemon, GOOGLE);
    // The access tokens of before the outage end.
    daemon.advance(TimeDelta::hours(2));
    let moved = moved.moved(TimeDelta::hours(1));
    daemon.service().report(&moved).await;
    outage_goes_on(&daemon, TimeDelta::hours(30)).await;
    daemon.service().report(&new).await;
    outage_goes_on(&daemon, TimeDelta::hours(4)).await;
    // A restart changes nothing.
    daemon.restart().await;
    let service = daemon.service();
    service.report(&cancelled.with_status("cancelled")).await;
    outage_goes_on(&daemon, TimeDelta::hours(35)).await;

    // Outlook was not disturbed.
    eventually("Outlook shows three", async || {
        daemon.advance(TimeDelta::seconds(1));
        (daemon.events(OUTLOOK, COACH_EMAIL).len() == 3).then_some(())
    })
    .await;
    daemon
        .event(OUTLOOK, COACH_EMAIL, moved.id, |event| {
            event.starts_at == moved.starts_at
        })
        .await;
    let asked = calls(&daemon, GOOGLE) - before;
    assert!(asked <= MOST_CALLS, "{asked}");
    let status = service.sync_status(id).await;
    assert_eq!(
        (&status["failed"], &status["pending"]),
        (&0.into(), &3.into())
    );
    assert_eq!(service.connection(coach, id).await["status"], "active");

    daemon.calendars.clear_faults();
    let back_at = daemon.now();
    eventually("the calendar is as it should be", async || {
        daemon.advance(TimeDelta::seconds(5));
        let events = daemon.events(GOOGLE, COACH_EMAIL);
        let moved_id = moved.id.to_string();
        let is_moved = events.iter().any(|event| {
            event.appointment_id.as_ref() == Some(&moved_id) && event.starts_at == moved.starts_at
        });
        let wanted = [&kept, &moved, &new].map(|session| session.id.to_string());
        let all = wanted.iter().all(|id| {
            let mut ids = events
                .iter()
                .filter_map(|event| event.appointment_id.as_ref());
            ids.any(|there| there == id)
        });
        (is_moved && all && events.len() == 3).then_some(())
    })
    .await;
    let took = daemon.now() - back_at;
    assert!(took <= TimeDelta::minutes(15), "{took}");
    assert_eq!(service.settled(id).await["failed"], 0);
    daemon.no_duplicates();
}

#[tokio::test]
async fn a_provider_that_answers_503_for_71_hours_loses_nothing_and_needs_nobody() {
    google_is_down_for_71_hours(FaultRule::always(FaultEffect::status(503)).on(GOOGLE)).await;
}

#[tokio::test]
async fn a_provider_that_cannot_be_reached_for_71_hours_loses_nothing_and_needs_nobody() {
    google_is_down_for_71_hours(FaultRule::always(FaultEffect::ResetBeforeAnswer).on(GOOGLE)).await;
}

#[tokio::test]
async fn a_sign_in_service_that_is_down_for_71_hours_loses_nothing_and_needs_nobody() {
    let fault = FaultRule::always(FaultEffect::status(503)).on(GOOGLE);
    google_is_down_for_71_hours(fault.at(CallKind::Refresh)).await;
}

#[tokio::test]
async fn work_that_always_fails_is_given_up_after_about_three_days() {
    let daemon = a_daemon_as_it_ships().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    let id = daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    service.settled(id).await;
    daemon.fail(FaultRule::always(FaultEffect::status(500)).at(CallKind::Create));
    let start = daemon.now();
    let session = later(Session::tomorrow(coach, start));
    service.report(&session).await;
    // Time goes to when the next attempt is due, and little of it passes until that is over, so that
    // a slow machine does not make the delays longer.
    let mut status = service.sync_status(id).await;
    while status["failed"] == 0 {
        let before = session.job_in(&status)["scheduled_for"].clone();
        status = eventually("the next attempt has failed", async || {
            let status = service.sync_status(id).await;
            let job = session.job_in(&status);
            if job["scheduled_for"] != before || status["failed"] == 1 {
                return Some(status);
            }
            let due_at = job["scheduled_for"].as_str().expect("a time");
            let wait = due_at.parse::<Timestamp>().expect("a time") - daemon.now();
            daemon.advance(wait.max(TimeDelta::seconds(1)));
            None
        })
        .await;
    }
    let failed_after = daemon.now() - start;
    let about_three_days = TimeDelta::hours(72)..TimeDelta::hours(80);
    assert!(about_three_days.contains(&failed_after), "{failed_after}");
}

/// Coaches with one Google account each.
async fn accounts(daemon: &TestDaemon, count: usize) -> Vec<(Uuid, String)> {
    let mut accounts = Vec::new();
    for number in 0..count {
        let (coach, email) = (Uuid::new_v4(), format!("coach-{number}@example.com"));
        let id = daemon.connect(GOOGLE, coach, &email).await;
        daemon.service().settled(id).await;
        accounts.push((coach, email));
    }
    accounts
}

async fn google_part(daemon: &TestDaemon) -> Value {
    // Whoever moves the clock by hours is stuck in the eyes of the watchdog.
    let ready = daemon.nobody().get("/health/ready").await.json();
    let parts = ready["parts"].as_array().expect("parts").clone();
    let mut parts = parts.into_iter();
    let part = parts.find(|part| part["name"] == "provider_google");
    part.expect("Google is a part")
}

#[tokio::test]
async fn a_provider_that_fails_everybody_is_probed_by_one_and_its_return_is_no_stampede() {
    const ACCOUNTS: usize = 14;
    let daemon = a_daemon_as_it_ships().await;
    let accounts = accounts(&daemon, ACCOUNTS).await;
    let down = FaultRule::always(FaultEffect::status(503)).on(GOOGLE);
    daemon.fail(down);
    let service = daemon.service();
    for (coach, _) in &accounts {
        let session = later(Session::tomorrow(*coach, daemon.now()));
        service.report(&session).await;
    }
    let part = eventually("the gate is shut", async || {
        daemon.advance(TimeDelta::seconds(1));
        let part = google_part(&daemon).await;
        let detail = part["detail"].as_str()?.to_owned();
        detail.contains("outage").then_some(part)
    })
    .await;
    // This daemon is well.
    assert_eq!(part["ok"], true);

    // Probes are a minute apart at last.
    for _ in 0..10 {
        until_asked(&daemon, GOOGLE, TimeDelta::seconds(66)).await;
    }
    let before = calls(&daemon, GOOGLE);
    for _ in 0..30 {
        until_asked(&daemon, GOOGLE, TimeDelta::seconds(66)).await;
    }
    let probes = calls(&daemon, GOOGLE) - before;
    assert!((30..=32).contains(&probes), "{probes} calls in 33 minutes");

    daemon.calendars.clear_faults();
    let events = || -> usize {
        let of = |(_, email): &(Uuid, String)| daemon.events(GOOGLE, email).len();
        accounts.iter().map(of).sum()
    };
    let back_at = daemon.now();
    until_asked(&daemon, GOOGLE, TimeDelta::seconds(66)).await;
    eventually("some are back at once", async || {
        (events() >= 3).then_some(())
    })
    .await;
    // The probe, and the first ten.
    assert!(events() <= 11, "{}", events());
    eventually("all are back", async || {
        daemon.advance(TimeDelta::seconds(2));
        (events() == ACCOUNTS).then_some(())
    })
    .await;
    let took = daemon.now() - back_at;
    assert!(took <= TimeDelta::minutes(10), "{took}");
    assert_eq!(google_part(&daemon).await["detail"], "configured");
    let failed = daemon.admin().get("queue?status=failed").await.expect(200);
    assert_eq!(failed["jobs"], serde_json::json!([]));
    daemon.no_duplicates();
}

#[tokio::test]
async fn a_poison_account_never_closes_the_provider_for_others() {
    let daemon = a_daemon_as_it_ships().await;
    let accounts = accounts(&daemon, 2).await;
    let [(poisoned, email), (healthy, other)] = accounts.as_slice() else {
        panic!("two accounts");
    };
    daemon.fail(FaultRule::always(FaultEffect::status(503)).of(email));
    let service = daemon.service();
    for _ in 0..5 {
        let session = later(Session::tomorrow(*poisoned, daemon.now()));
        service.report(&session).await;
    }
    for _ in 0..20 {
        until_asked(&daemon, GOOGLE, TimeDelta::minutes(6)).await;
        assert_eq!(google_part(&daemon).await["detail"], "configured");
    }
    let session = later(Session::tomorrow(*healthy, daemon.now()));
    service.report(&session).await;
    daemon.event(GOOGLE, other, session.id, |_| true).await;
}

#[tokio::test]
async fn a_set_up_that_stays_wrong_is_refused_once_a_minute_and_not_once_per_connection() {
    const ACCOUNTS: usize = 6;
    let mut daemon = a_daemon_as_it_ships().await;
    let accounts = accounts(&daemon, ACCOUNTS).await;
    daemon.stop().await;
    let wrong = ("GOOGLE_CLIENT_SECRET", "not-the-secret");
    daemon.start_with(&[wrong]).await;
    daemon.advance(TimeDelta::hours(2));
    for (coach, _) in &accounts {
        let session = later(Session::tomorrow(*coach, daemon.now()));
        daemon.service().report(&session).await;
    }
    let refreshes = || daemon.calendars.call_count(GOOGLE, CallKind::Refresh);
    eventually("readiness says so", async || {
        let reply = daemon.nobody().get("/health/ready").await;
        (reply.status == 503).then_some(())
    })
    .await;
    daemon.advance(TimeDelta::seconds(70));
    let before = refreshes();
    const MINUTES: u64 = 10;
    for _ in 0..MINUTES {
        until_asked(&daemon, GOOGLE, TimeDelta::seconds(70)).await;
    }
    let asked = refreshes() - before;
    assert!((MINUTES..=MINUTES + 2).contains(&asked), "{asked}");
}

#[tokio::test]
async fn work_that_waited_for_its_provider_to_be_configured_does_not_wait_on() {
    let mut daemon = a_daemon_as_it_ships().await;
    let coach = Uuid::new_v4();
    let id = daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    daemon.service().settled(id).await;
    daemon.stop().await;
    let unset = [("GOOGLE_CLIENT_ID", ""), ("GOOGLE_CLIENT_SECRET", "")];
    daemon.start_with(&unset).await;
    let session = later(Session::tomorrow(coach, daemon.now()));
    let service = daemon.service();
    service.report(&session).await;
    let scheduled = eventually("the connection waits", async || {
        let path = format!("queue?status=pending&connection_id={id}");
        let jobs = daemon.admin().get(&path).await.expect(200);
        let scheduled = jobs["jobs"][0]["scheduled_for"].as_str()?.to_owned();
        let at: Timestamp = scheduled.parse().ok()?;
        (at > daemon.now()).then_some(scheduled)
    })
    .await;
    // Whoever asks for the job is told of the connection's wait.
    let status = service.sync_status(id).await;
    assert_eq!(session.job_in(&status)["scheduled_for"], scheduled.as_str());

    daemon.stop().await;
    let set = [
        ("GOOGLE_CLIENT_ID", "demo-google-client"),
        ("GOOGLE_CLIENT_SECRET", "demo-google-secret"),
    ];
    daemon.start_with(&set).await;
    // Its limiter begins empty; beyond that it waits for nothing.
    let end = daemon.now() + TimeDelta::seconds(2);
    until("the event is there", || {
        if daemon.now() < end {
            daemon.advance(TimeDelta::milliseconds(50));
        }
        daemon.events(GOOGLE, COACH_EMAIL).len() == 1
    })
    .await;
}
