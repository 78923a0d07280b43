//! Pages that watch: what changes is told at once, once, and to those alone who may know.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::Window;
use chrono::TimeDelta;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Api, COACH_EMAIL, Session, Setup, StatusEvent, TestDaemon, eventually};

const GOOGLE: ProviderKind = ProviderKind::Google;

/// A coach with a connected calendar in which nothing is left to do.
async fn connected(daemon: &TestDaemon) -> (Api, Uuid, Uuid) {
    let coach = Uuid::new_v4();
    let id = daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    daemon.service().settled(id).await;
    (daemon.coach(coach), coach, id)
}

fn events_of(id: Uuid) -> String {
    format!("connections/{id}/events")
}

/// Appointments whose jobs an event tells of; a full sync has none.
fn told(event: &StatusEvent) -> Vec<Uuid> {
    let jobs = event.data["jobs"].as_array().into_iter().flatten();
    jobs.filter_map(|job| job["appointment_id"].as_str()?.parse().ok())
        .collect()
}

#[tokio::test]
async fn a_change_of_an_appointment_appears_on_the_page() {
    let daemon = TestDaemon::start().await;
    let (api, coach, id) = connected(&daemon).await;
    let mut page = api.watch_connection(id).await;
    assert_eq!(page.header("content-type"), "text/event-stream");
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(page.header("x-accel-buffering"), "no");
    let first = page.expect("connection").await;
    assert_eq!(first["id"], id.to_string());
    assert!(page.retry.is_some_and(|retry| retry >= 1_000));

    let session = Session::tomorrow(coach, daemon.now());
    daemon.service().report(&session).await;
    let jobs = page.find(|event| event.event == "jobs").await;
    assert_eq!(jobs.data["connection_id"], id.to_string());
    assert_eq!(told(&jobs), [session.id]);
    assert_eq!(jobs.data["jobs"][0]["status"], "completed");
    daemon
        .service()
        .report(&session.clone().with_status("cancelled"))
        .await;
    let jobs = page.find(|event| event.event == "jobs").await;
    assert_eq!(told(&jobs), [session.id]);

    // What is shown in the end is what everybody is shown.
    daemon.service().report(&session).await;
    api.settled(id).await;
    let mut shown = api.connection(coach, id).await;
    let mut seen = page
        .find(|event| {
            event.event == "connection" && event.data["last_sync_at"] == shown["last_sync_at"]
        })
        .await
        .data;
    for moment in ["freshness_seconds", "updated_at"] {
        shown[moment] = Value::Null;
        seen[moment] = Value::Null;
    }
    assert_eq!(seen, shown);
}

#[tokio::test]
async fn a_page_of_the_coach_sees_settings_and_which_connections_come_and_go() {
    let daemon = TestDaemon::start().await;
    let (api, coach, id) = connected(&daemon).await;
    let mut page = api.watch(&format!("coaches/{coach}/events"), None).await;
    assert_eq!(page.expect("connection").await["id"], id.to_string());

    let changed = api.change(id, &json!({"auto_create_events": false})).await;
    let seen = page.expect("connection").await;
    assert_eq!(seen["auto_create_events"], false);
    assert_eq!(seen["etag"], changed["etag"]);

    let email = "second@example.com";
    let second = daemon.connect(ProviderKind::Outlook, coach, email).await;
    let seen = page
        .find(|event| event.event == "connection" && event.data["id"] == second.to_string())
        .await;
    assert_eq!(seen.data["account_email"], email);

    let mut alone = api.watch_connection(second).await;
    alone.expect("connection").await;
    api.delete(&format!("connections/{second}")).await;
    let gone = page.find(|event| event.event == "disconnected").await;
    assert_eq!(gone.data["connection_id"], second.to_string());
    alone.find(|event| event.event == "disconnected").await;
    assert_eq!(alone.expect("end").await["reason"], "disconnected");
    assert_eq!(alone.next().await, None);

    // The others are told of as before; and a coach who is forgotten leaves nothing.
    api.change(id, &json!({"auto_create_events": true})).await;
    let seen = page.expect("connection").await;
    assert_eq!(seen["auto_create_events"], true);
    daemon.service().delete(&format!("coaches/{coach}")).await;
    let gone = page.find(|event| event.event == "disconnected").await;
    assert_eq!(gone.data["connection_id"], id.to_string());
}

#[tokio::test]
async fn a_page_follows_a_full_sync_to_its_end() {
    let daemon = Setup::default()
        .set("GOOGLE_LIMIT_PER_USER", "60/6s")
        .start()
        .await;
    let (api, coach, id) = connected(&daemon).await;
    api.change(id, &json!({"auto_create_events": false})).await;
    let total = 40;
    let items: Vec<_> = (0..total)
        .map(|_| Session::tomorrow(coach, daemon.now()).item())
        .collect();
    let batch = json!({"appointments": items});
    let reply = daemon
        .service()
        .post("appointments/batch", Some(&batch))
        .await;
    reply.expect(200);
    let mut page = api.watch_connection(id).await;
    let started = api.sync_now(id).await;
    let mut done = Vec::new();
    let mut is_told = false;
    loop {
        let event = page.next().await.expect("the stream is open");
        let jobs = event.data["jobs"].as_array().into_iter().flatten();
        for job in jobs.filter(|job| job["operation"] == "full_sync") {
            assert_eq!(job["id"], started["sync_id"]);
            assert_eq!(job["status"], "completed");
            is_told = true;
        }
        if event.event != "progress" {
            continue;
        }
        let current = &event.data["current"];
        if current.is_null() {
            break;
        }
        assert_eq!(current["sync_id"], started["sync_id"]);
        assert_eq!(current["total"], total);
        done.push(current["done"].as_u64().expect("a number"));
    }
    // Its own row ended in the transaction that ended its last part.
    if !is_told {
        let jobs = page.expect("jobs").await;
        let sync = jobs["jobs"].as_array().into_iter().flatten();
        let mut sync = sync.filter(|job| job["operation"] == "full_sync");
        assert!(sync.any(|job| job["id"] == started["sync_id"]));
    }
    assert!(done.len() >= 2 && done.is_sorted(), "{done:?}");
    assert!(done[0] < total, "{done:?}");
}

#[tokio::test]
async fn a_page_that_comes_back_is_told_what_it_missed_and_nothing_twice() {
    let daemon = TestDaemon::start().await;
    let (api, coach, id) = connected(&daemon).await;
    let path = events_of(id);
    let mut page = api.watch(&path, None).await;
    page.expect("connection").await;
    let seen = page.last_id.clone();
    drop(page);

    let missed: Vec<Session> = (0..3)
        .map(|_| Session::tomorrow(coach, daemon.now()))
        .collect();
    for session in &missed {
        daemon.service().report(session).await;
        api.settled(id).await;
    }
    api.change(id, &json!({"event_title_template": "Session"}))
        .await;
    api.settled(id).await;

    // From each event it could have seen last, the same things follow.
    let mut page = api.watch(&path, Some(&seen)).await;
    let connection = page.next().await.expect("an event");
    assert_eq!(connection.event, "connection");
    assert_eq!(connection.data["event_title_template"], "Session");
    let jobs = page.next().await.expect("an event");
    let mut sessions: Vec<Uuid> = missed.iter().map(|session| session.id).collect();
    assert_eq!(told(&jobs)[..3], sessions);
    drop(page);
    let mut page = api.watch(&path, Some(&connection.id)).await;
    assert_eq!(page.next().await.as_ref(), Some(&jobs));
    drop(page);

    // Who has seen all is told only what comes.
    let mut page = api.watch(&path, Some(&jobs.id)).await;
    let later = Session::tomorrow(coach, daemon.now());
    daemon.service().report(&later).await;
    let next = page.find(|event| event.event == "jobs").await;
    assert_eq!(told(&next), [later.id]);
    drop(page);

    // Nor does anything come twice, or not at all, to one who leaves after every event.
    sessions.clear();
    let mut times: HashMap<Uuid, u32> = HashMap::new();
    let mut last = next.id;
    for turn in 0..20 {
        let session = Session::tomorrow(coach, daemon.now());
        daemon.service().report(&session).await;
        sessions.push(session.id);
        if turn % 3 == 0 {
            let mut page = api.watch(&path, Some(&last)).await;
            let event = page.next().await.expect("an event");
            for id in told(&event) {
                *times.entry(id).or_default() += 1;
            }
            last = event.id;
        }
    }
    let mut page = api.watch(&path, Some(&last)).await;
    while times.len() < sessions.len() {
        for id in told(&page.next().await.expect("an event")) {
            *times.entry(id).or_default() += 1;
        }
    }
    assert!(times.values().all(|times| *times == 1), "{times:?}");
    assert!(sessions.iter().all(|id| times.contains_key(id)));
}

#[tokio::test]
async fn a_burst_is_told_in_few_events_and_each_job_once() {
    const CHANGES: usize = 1_000;
    let daemon = Setup::default()
        .set("GOOGLE_LIMIT_PER_USER", "1000000/1m")
        .simulate(|config| {
            let plenty = Window::new(1_000_000, Duration::from_secs(60));
            config.limits.google_per_user = plenty;
        })
        .start()
        .await;
    let (api, coach, id) = connected(&daemon).await;
    let mut page = api.watch_connection(id).await;
    let items: Vec<_> = (0..CHANGES)
        .map(|_| Session::tomorrow(coach, daemon.now()).item())
        .collect();
    let batch = json!({"appointments": items});
    let started = Instant::now();
    let reply = daemon
        .service()
        .post("appointments/batch", Some(&batch))
        .await;
    reply.expect(200);
    let mut times: HashMap<Uuid, u32> = HashMap::new();
    let mut events = 0;
    while times.len() < CHANGES {
        let event = page.next().await.expect("the stream is open");
        events += 1;
        for id in told(&event) {
            *times.entry(id).or_default() += 1;
        }
    }
    assert!(times.values().all(|times| *times == 1));
    // Two looks a second, with a state and up to a hundred jobs each, and what was left over.
    let most = started.elapsed().as_secs() * 4 + 2 * CHANGES as u64 / 100 + 4;
    assert!(events <= most, "{events} events, {most} at most");
}

#[tokio::test]
async fn what_ends_after_the_clock_was_set_back_is_told_all_the_same() {
    let daemon = Setup::with_manual_clock().start().await;
    let (api, coach, id) = connected(&daemon).await;
    let mut page = api.watch_connection(id).await;
    let session = Session::tomorrow(coach, daemon.now());
    daemon.service().report(&session).await;
    page.find(|event| told(event) == [session.id]).await;
    daemon.set_clock(TimeDelta::hours(-3));
    let moved = session.moved(TimeDelta::days(1));
    daemon.service().report(&moved).await;
    page.find(|event| told(event) == [moved.id]).await;
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let daemon = Setup::with_manual_clock().start().await;
    let (api, _, id) = connected(&daemon).await;
    let mut page = api.watch_connection(id).await;
    page.expect("connection").await;
    daemon.advance(TimeDelta::days(100) - TimeDelta::seconds(1));
    api.change(id, &json!({"auto_create_events": false})).await;
    page.find(|event| event.data["auto_create_events"] == false)
        .await;
    daemon.advance(TimeDelta::seconds(1));
    let end = page.find(|event| event.event == "end").await;
    assert_eq!(end.data["reason"], "token_expired");
    assert_eq!(end.id, "", "what was seen stays seen");
    assert_eq!(page.next().await, None);
    // Believed for as long as clocks may differ, and then no more.
    let last = page.last_id.clone();
    let mut page = api.watch(&events_of(id), Some(&last)).await;
    daemon.advance(TimeDelta::seconds(60));
    let end = page.find(|event| event.event == "end").await;
    assert_eq!(end.data["reason"], "token_expired");
    let reply = api.get(&events_of(id)).await;
    assert_eq!(reply.problem(401), "unauthorized");
}

#[tokio::test]
async fn nobody_watches_what_is_not_theirs() {
    let daemon = TestDaemon::start().await;
    let (own, coach, id) = connected(&daemon).await;
    let stranger = daemon.coach(Uuid::new_v4());
    let of_coach = format!("coaches/{coach}/events");
    let refused = stranger.get(&events_of(id)).await;
    assert_eq!(refused.problem(404), "connection_not_found");
    assert_eq!(stranger.get(&of_coach).await.problem(403), "forbidden");
    for path in [events_of(id), of_coach] {
        assert_eq!(
            daemon.nobody().get(&path).await.problem(401),
            "unauthorized"
        );
        let headers = [("last-event-id", "not an id")];
        let reply = own
            .send_with(reqwest::Method::GET, &path, &headers, None)
            .await;
        assert_eq!(reply.problem(400), "invalid_parameter");
    }
    // A place in another's stream opens nothing: what is not watched is passed over.
    let other = Uuid::new_v4();
    let theirs = daemon.connect(GOOGLE, other, "other@example.com").await;
    let mut page = daemon.coach(other).watch_connection(theirs).await;
    page.expect("connection").await;
    let mut page = own.watch(&events_of(id), Some(&page.last_id)).await;
    assert_eq!(page.expect("connection").await["id"], id.to_string());
}

#[tokio::test]
async fn a_daemon_that_stops_ends_its_streams_at_once() {
    let mut daemon = Setup::default()
        .set("SHUTDOWN_DEADLINE", "2m")
        .start()
        .await;
    let (api, _, id) = connected(&daemon).await;
    let mut page = api.watch_connection(id).await;
    page.expect("connection").await;
    let began = Instant::now();
    daemon.stop().await;
    assert!(began.elapsed() < Duration::from_secs(60));
    assert_eq!(page.expect("end").await["reason"], "server_stops");
    assert_eq!(page.next().await, None);
    daemon.start_again().await;
}

#[tokio::test]
async fn a_caller_opens_no_more_streams_than_its_share() {
    let daemon = TestDaemon::start().await;
    let (api, _, id) = connected(&daemon).await;
    let mut pages = Vec::new();
    for _ in 0..10 {
        pages.push(api.watch_connection(id).await);
    }
    let open = async || {
        let metrics = daemon.admin().get("/metrics").await.text;
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix("calendar_status_streams "));
        line.expect("the gauge").to_owned()
    };
    assert_eq!(open().await, "10");
    let refused = api.get(&events_of(id)).await;
    assert!(refused.header("retry-after").is_some());
    assert_eq!(refused.problem(429), "too_many_streams");
    // Others have their own.
    drop(daemon.service().watch_connection(id).await);
    drop(pages);
    eventually("they are closed", async || {
        (open().await == "0").then_some(())
    })
    .await;
    api.watch_connection(id).await.expect("connection").await;
}

#[tokio::test]
async fn what_a_connection_did_before_the_page_first_saw_it_is_told() {
    let daemon = TestDaemon::start().await;
    let (api, coach, _) = connected(&daemon).await;
    let session = Session::tomorrow(coach, daemon.now());
    daemon.service().report(&session).await;
    let path = format!("coaches/{coach}/events");
    let mut page = api.watch(&path, None).await;
    page.expect("connection").await;
    let seen = page.last_id.clone();
    drop(page);

    let email = "second@example.com";
    let second = daemon.connect(ProviderKind::Outlook, coach, email).await;
    daemon.service().settled(second).await;
    let mut page = api.watch(&path, Some(&seen)).await;
    let is_of_second = |event: &StatusEvent| {
        event.event == "jobs" && event.data["connection_id"] == second.to_string()
    };
    let jobs = page.find(is_of_second).await;
    assert!(told(&jobs).contains(&session.id));

    // Once: neither when the page comes back, nor when the connection does.
    drop(page);
    api.delete(&format!("connections/{second}")).await;
    let mut page = api.watch(&path, Some(&jobs.id)).await;
    let gone = page.find(|event| event.event == "disconnected").await;
    drop(page);
    let again = daemon.connect(ProviderKind::Outlook, coach, email).await;
    daemon.service().settled(again).await;
    let later = Session::tomorrow(coach, daemon.now());
    daemon.service().report(&later).await;
    let known: Vec<_> = jobs.data["jobs"].as_array().expect("jobs").clone();
    let mut page = api.watch(&path, Some(&gone.id)).await;
    let mut of_later = 0;
    while of_later < 2 {
        let event = page.find(|event| event.event == "jobs").await;
        let jobs = event.data["jobs"].as_array().expect("jobs");
        assert!(
            !jobs
                .iter()
                .any(|job| known.iter().any(|one| one["id"] == job["id"]))
        );
        of_later += told(&event).iter().filter(|id| **id == later.id).count();
    }
}
