//! Limits of the providers: kept, obeyed, and never held against anyone's work.

use calendar_integration::domain::{ProviderKind, Timestamp};
use calendar_integration::simulator::{CallKind, FaultEffect, FaultRule, Window};
use chrono::TimeDelta;
use serde_json::json;
use uuid::Uuid;

use crate::support::{
    COACH_EMAIL, Reply, Session, Setup, TestDaemon, eventually, needs_sqlite, until,
};

#[tokio::test]
async fn being_limited_costs_no_attempt_and_is_waited_out() {
    let daemon = Setup::with_manual_clock().start().await;
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        let coach = Uuid::new_v4();
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        service.settled(id).await;
        let other = Uuid::new_v4();
        daemon.connect(provider, other, "other@example.com").await;
        let limited = FaultRule::once(FaultEffect::too_many_requests("90"));
        daemon.fail(limited.on(provider).of(COACH_EMAIL).at(CallKind::Create));
        let session = Session::tomorrow(coach, daemon.now());
        service.report(&session).await;
        let job = eventually("it waits", async || {
            let status = service.sync_status(id).await;
            let job = session.job_in(&status).clone();
            let due: Timestamp = job["scheduled_for"].as_str()?.parse().ok()?;
            (job["status"] == "pending" && due > daemon.now()).then_some(job)
        })
        .await;
        let due: Timestamp = job["scheduled_for"]
            .as_str()
            .expect("a text")
            .parse()
            .expect("a time");
        assert!(due >= daemon.now() + TimeDelta::seconds(90), "{job}");
        assert_eq!(job["attempts"], 0);
        let waiting = &service.sync_status(id).await["waiting"];
        assert_eq!(waiting["reason"], "limit");
        assert_eq!(waiting["until"], job["scheduled_for"]);

        let waits =
            format!(r#"calendar_connection_waits_total{{provider="{provider}",reason="limit"}} "#);
        let metrics = daemon.admin().get("/metrics").await.text;
        let told = metrics.lines().find_map(|line| line.strip_prefix(&waits));
        assert_eq!(told, Some("1"));

        // Nobody else waits for that.
        let theirs = Session::tomorrow(other, daemon.now());
        service.report(&theirs).await;
        daemon
            .event(provider, "other@example.com", theirs.id, |_| true)
            .await;
        // And nothing more is asked for the one who does.
        let calls = daemon.event_calls(provider);
        service
            .report(&Session::tomorrow(coach, daemon.now()))
            .await;
        service.sync_now(id).await;
        daemon.advance(TimeDelta::seconds(89));
        let more = Session::tomorrow(other, daemon.now());
        service.report(&more).await;
        daemon
            .event(provider, "other@example.com", more.id, |_| true)
            .await;
        assert!(daemon.events(provider, COACH_EMAIL).is_empty());
        assert_eq!(daemon.event_calls(provider), calls + 1);

        daemon.advance(TimeDelta::seconds(5));
        until("both are there", || {
            daemon.events(provider, COACH_EMAIL).len() == 2
        })
        .await;
    }
}

/// Both providers refuse more than 30 units a minute, and 80 events are to be made with each.
async fn eighty_events_under_small_quotas() -> TestDaemon {
    let narrow = Window::new(30, std::time::Duration::from_secs(60));
    let daemon = Setup::with_manual_clock()
        // A little less than there is: on a busy machine a call arrives after its moment.
        .set("GOOGLE_LIMIT_PER_USER", "27/1m")
        .set("MICROSOFT_LIMIT_PER_MAILBOX", "27/1m")
        .simulate(|config| {
            config.limits.google_per_user = narrow;
            config.limits.microsoft_per_mailbox = narrow;
        })
        .start()
        .await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        service.settled(id).await;
    }
    // The sign-ins made calls of their own.
    daemon.advance(TimeDelta::minutes(1));
    let items: Vec<_> = (0..80)
        .map(|_| Session::tomorrow(coach, daemon.now()).item())
        .collect();
    let batch = json!({"appointments": items});
    service
        .post("appointments/batch", Some(&batch))
        .await
        .expect(200);
    daemon
}

/// Lets time pass until so many events are in both calendars.
async fn so_many_are_there(daemon: &TestDaemon, count: usize) {
    eventually(&format!("{count} are there"), async || {
        daemon.advance(TimeDelta::milliseconds(500));
        ProviderKind::ALL
            .iter()
            .all(|provider| daemon.events(*provider, COACH_EMAIL).len() >= count)
            .then_some(())
    })
    .await;
}

fn nobody_was_refused(daemon: &TestDaemon) {
    let calls = daemon.calendars.calls();
    let refused = calls.iter().find(|calls| matches!(calls.status, 403 | 429));
    assert!(refused.is_none(), "{refused:?}");
}

#[tokio::test]
async fn our_own_limiter_keeps_us_below_what_the_providers_allow() {
    let daemon = eighty_events_under_small_quotas().await;
    so_many_are_there(&daemon, 80).await;
    nobody_was_refused(&daemon);
}

/// What a daemon used that was killed counts in the window as well. Not on PostgreSQL: there the dead one's
/// lease ends by the server's clock, long after it ends by this one.
#[tokio::test]
async fn killed_again_and_again_we_stay_below_what_the_providers_allow_on_sqlite() {
    needs_sqlite();
    let mut daemon = eighty_events_under_small_quotas().await;
    for count in [5, 10, 20, 30, 55] {
        so_many_are_there(&daemon, count).await;
        daemon.kill();
        daemon.start_again().await;
    }
    so_many_are_there(&daemon, 80).await;
    nobody_was_refused(&daemon);
}

#[tokio::test]
async fn what_the_project_may_use_is_shared_by_all_its_accounts() {
    let narrow = Window::new(60, std::time::Duration::from_secs(60));
    let daemon = Setup::with_manual_clock()
        // A little less than there is: on a busy machine a call arrives after its moment.
        .set("GOOGLE_LIMIT_PER_PROJECT", "54/1m")
        .simulate(|config| config.limits.google_per_project = narrow)
        .start()
        .await;
    let service = daemon.service();
    let mut accounts = Vec::new();
    for email in ["one@example.com", "two@example.com"] {
        let coach = Uuid::new_v4();
        let id = daemon.connect(ProviderKind::Google, coach, email).await;
        service.settled(id).await;
        accounts.push((coach, email));
    }
    // The sign-ins made calls of their own.
    daemon.advance(TimeDelta::minutes(1));
    let items: Vec<_> = accounts
        .iter()
        .flat_map(|(coach, _)| (0..50).map(|_| Session::tomorrow(*coach, daemon.now()).item()))
        .collect();
    let batch = json!({"appointments": items});
    service
        .post("appointments/batch", Some(&batch))
        .await
        .expect(200);
    eventually("all are there", async || {
        // Slowly: a call that is late by then would meet the next minute's.
        daemon.advance(TimeDelta::milliseconds(200));
        accounts
            .iter()
            .all(|(_, email)| daemon.events(ProviderKind::Google, email).len() == 50)
            .then_some(())
    })
    .await;
    nobody_was_refused(&daemon);
}

fn calls(daemon: &TestDaemon) -> u64 {
    daemon
        .calendars
        .calls()
        .iter()
        .map(|calls| calls.count)
        .sum()
}

/// In seconds.
fn retry_after(reply: &Reply) -> u64 {
    let told = reply
        .header("retry-after")
        .and_then(|wait| wait.parse().ok());
    told.expect("a wait in seconds")
}

/// Every way to have a connection call its provider is refused until the limit ends, and calls nobody.
async fn nobody_asks(daemon: &TestDaemon, id: Uuid, left: std::ops::RangeInclusive<u64>) {
    let service = daemon.service();
    let before = calls(daemon);
    let path = format!("connections/{id}");
    let tested = service.post(&format!("{path}/test"), None).await;
    let tested = tested.expect(200);
    assert_eq!(tested["ok"], false);
    assert_eq!(tested["problem"]["code"], "rate_limited", "{tested}");
    let elsewhere = json!({"calendar_id": "elsewhere"});
    let replies = [
        service.get(&format!("{path}/calendars")).await,
        service.put(&path, &elsewhere).await,
        service
            .post(&format!("{path}/preview"), Some(&elsewhere))
            .await,
    ];
    for reply in replies {
        let wait = retry_after(&reply);
        assert!(left.contains(&wait), "{wait}: {}", reply.text);
        assert_eq!(reply.problem(503), "provider_rate_limited");
    }
    assert_eq!(calls(daemon), before, "nobody was called");
}

#[tokio::test]
async fn a_limit_holds_for_those_who_press_a_button_as_well() {
    let daemon = Setup::with_manual_clock().start().await;
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        let coach = Uuid::new_v4();
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        service.settled(id).await;
        let limited = FaultRule::once(FaultEffect::too_many_requests("240"));
        daemon.fail(limited.on(provider).at(CallKind::Create));
        let session = Session::tomorrow(coach, daemon.now());
        service.report(&session).await;
        eventually("it waits", async || {
            let waiting = &service.sync_status(id).await["waiting"];
            (waiting["reason"] == "limit").then_some(())
        })
        .await;
        // Nor is a token fetched.
        daemon.calendars.expire_access_tokens(provider, COACH_EMAIL);
        nobody_asks(&daemon, id, 240..=241).await;
        daemon.advance(TimeDelta::seconds(180));
        nobody_asks(&daemon, id, 60..=61).await;
        daemon.advance(TimeDelta::seconds(62));
        let path = format!("connections/{id}/calendars");
        service.get(&path).await.expect(200);
        daemon
            .event(provider, COACH_EMAIL, session.id, |_| true)
            .await;
    }
}

#[tokio::test]
async fn a_limit_of_the_project_holds_for_those_who_press_a_button_as_well() {
    let daemon = Setup::with_manual_clock().start().await;
    let service = daemon.service();
    let (coach, other) = (Uuid::new_v4(), Uuid::new_v4());
    let google = ProviderKind::Google;
    let id = daemon.connect(google, coach, COACH_EMAIL).await;
    let theirs = daemon.connect(google, other, "other@example.com").await;
    for id in [id, theirs] {
        service.settled(id).await;
    }
    let over = FaultEffect::Status {
        status: 403,
        code: Some("dailyLimitExceeded".to_owned()),
        retry_after: Some("600".to_owned()),
    };
    daemon.fail(
        FaultRule::once(over)
            .of(COACH_EMAIL)
            .at(CallKind::Calendars),
    );
    // Whoever meets it is told, and it holds for everybody's work and calls.
    let path = format!("connections/{id}/calendars");
    let reply = service.get(&path).await;
    let wait = retry_after(&reply);
    assert_eq!(reply.problem(503), "provider_rate_limited");
    assert!(wait >= 600, "{wait}");
    nobody_asks(&daemon, theirs, 600..=wait + 1).await;
}

#[tokio::test]
async fn a_limit_told_to_a_person_holds_for_the_work_as_well() {
    let daemon = Setup::with_manual_clock().start().await;
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        let coach = Uuid::new_v4();
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        service.settled(id).await;
        let limited = FaultRule::once(FaultEffect::too_many_requests("120"));
        daemon.fail(limited.on(provider).at(CallKind::Calendars));
        let reply = service.get(&format!("connections/{id}/calendars")).await;
        assert_eq!(retry_after(&reply), 120);
        assert_eq!(reply.problem(503), "provider_rate_limited");
        let waiting = &service.sync_status(id).await["waiting"];
        assert_eq!(waiting["reason"], "limit");
        nobody_asks(&daemon, id, 120..=121).await;

        let session = Session::tomorrow(coach, daemon.now());
        service.report(&session).await;
        service.sync_now(id).await;
        // Somebody else's change is carried after all that was to be done for this one.
        let (other, email) = (Uuid::new_v4(), "other@example.com");
        let theirs = Session::tomorrow(other, daemon.now());
        daemon.connect(provider, other, email).await;
        service.report(&theirs).await;
        daemon.event(provider, email, theirs.id, |_| true).await;
        daemon.advance(TimeDelta::seconds(119));
        let moved = theirs.moved(TimeDelta::hours(1));
        service.report(&moved).await;
        daemon
            .event(provider, email, moved.id, |event| {
                event.starts_at == moved.starts_at
            })
            .await;
        assert!(daemon.events(provider, COACH_EMAIL).is_empty());
        daemon.advance(TimeDelta::seconds(3));
        daemon
            .event(provider, COACH_EMAIL, session.id, |_| true)
            .await;
        let status = service.settled(id).await;
        assert_eq!(session.job_in(&status)["attempts"], 0);
    }
}

/// Our own limiter holds a connection back after every batch. Those waits are short, and nobody is
/// told of them.
#[tokio::test]
async fn a_long_backfill_keeps_nobody_from_listing_the_calendars() {
    let daemon = Setup::default()
        .set("GOOGLE_LIMIT_PER_USER", "60/3s")
        .start()
        .await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    let items: Vec<_> = (0..200)
        .map(|_| Session::tomorrow(coach, daemon.now()).item())
        .collect();
    let batch = json!({"appointments": items});
    service
        .post("appointments/batch", Some(&batch))
        .await
        .expect(200);
    let id = daemon
        .connect(ProviderKind::Google, coach, COACH_EMAIL)
        .await;
    let path = format!("connections/{id}/calendars");
    for _ in 0..3 {
        eventually("it waits for our own limiter", async || {
            let waiting = &service.sync_status(id).await["waiting"];
            (waiting["reason"] == "limit").then_some(())
        })
        .await;
        service.get(&path).await.expect(200);
    }
    let status = service.sync_status(id).await;
    assert_ne!(status["pending"], 0, "it was over too early");
}

/// The limit is the account's: another sign-in, or the end of the connection, does not lift it.
#[tokio::test]
async fn a_limit_outlasts_a_new_sign_in_and_a_disconnect() {
    let daemon = Setup::with_manual_clock().start().await;
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        let coach = Uuid::new_v4();
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        service.settled(id).await;
        let limited = FaultRule::once(FaultEffect::too_many_requests("90"));
        daemon.fail(limited.on(provider).of(COACH_EMAIL).at(CallKind::Create));
        let session = Session::tomorrow(coach, daemon.now());
        service.report(&session).await;
        let waiting = eventually("it waits", async || {
            let waiting = service.sync_status(id).await["waiting"].clone();
            (waiting["reason"] == "limit").then_some(waiting)
        })
        .await;
        let calls = daemon.event_calls(provider);

        daemon.connect(provider, coach, COACH_EMAIL).await;
        assert_eq!(service.sync_status(id).await["waiting"], waiting);
        let path = format!("connections/{id}");
        service.delete(&path).await.expect(200);
        daemon.connect(provider, coach, COACH_EMAIL).await;
        assert_eq!(service.sync_status(id).await["waiting"], waiting);
        service.sync_now(id).await;
        daemon.advance(TimeDelta::seconds(80));
        assert_eq!(service.sync_status(id).await["waiting"], waiting);
        assert_eq!(daemon.event_calls(provider), calls);

        daemon.advance(TimeDelta::seconds(20));
        until("it is there", || {
            // Its limiter begins empty, and is only asked now.
            daemon.advance(TimeDelta::milliseconds(100));
            daemon.events(provider, COACH_EMAIL).len() == 1
        })
        .await;
    }
}

#[tokio::test]
async fn a_limit_outlasts_a_provider_that_is_not_configured_for_a_while() {
    let mut daemon = Setup::with_manual_clock().start().await;
    let provider = ProviderKind::Google;
    let (coach, other) = (Uuid::new_v4(), Uuid::new_v4());
    let id = daemon.connect(provider, coach, COACH_EMAIL).await;
    let beside = daemon.connect(provider, other, "other@example.com").await;
    let service = daemon.service();
    service.settled(id).await;
    let limited = FaultRule::once(FaultEffect::too_many_requests("90"));
    daemon.fail(limited.of(COACH_EMAIL).at(CallKind::Create));
    let session = Session::tomorrow(coach, daemon.now());
    service.report(&session).await;
    let waiting = eventually("it waits", async || {
        let waiting = service.sync_status(id).await["waiting"].clone();
        (waiting["reason"] == "limit").then_some(waiting)
    })
    .await;

    let unset = [("GOOGLE_CLIENT_ID", ""), ("GOOGLE_CLIENT_SECRET", "")];
    daemon.restart_with(&unset).await;
    let service = daemon.service();
    service.sync_now(id).await;
    let theirs = Session::tomorrow(other, daemon.now());
    service.report(&theirs).await;
    eventually("others wait for the provider", async || {
        let status = service.sync_status(beside).await;
        (status["waiting"]["reason"] == "not_configured").then_some(())
    })
    .await;
    assert_eq!(service.sync_status(id).await["waiting"], waiting);
    daemon
        .restart_with(&[
            ("GOOGLE_CLIENT_ID", "demo-google-client"),
            ("GOOGLE_CLIENT_SECRET", "demo-google-secret"),
        ])
        .await;
    let service = daemon.service();
    assert_eq!(service.sync_status(id).await["waiting"], waiting);
    assert!(daemon.events(provider, COACH_EMAIL).is_empty());
    daemon.advance(TimeDelta::seconds(100));
    until("it is there", || {
        // Its limiter begins empty, and is only asked now.
        daemon.advance(TimeDelta::milliseconds(100));
        daemon.events(provider, COACH_EMAIL).len() == 1
    })
    .await;
}
