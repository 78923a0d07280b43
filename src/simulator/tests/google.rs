//! Google's events, quotas and batches.

use std::time::Duration;

use serde_json::{Value, json};

use crate::domain::ProviderKind;
use crate::simulator::{
    CoachEdit, EffectKind, EventSelector, GuestAnswer, Limits, SimulatorConfig, Window,
};

use super::{APPOINTMENT, Bench, COACH, google_event, reason, send};

const EVENTS: &str = "calendars/primary/events";

#[tokio::test]
async fn an_id_stays_taken_after_its_event_was_deleted() {
    let bench = Bench::start().await;
    let insert = || bench.google("POST", EVENTS).json(&google_event("abc123"));
    assert_eq!(send(insert()).await.0, 200);
    let (status, body) = send(insert()).await;
    assert_eq!((status, reason(&body)), (409, "duplicate"));
    let one = format!("{EVENTS}/abc123");
    assert_eq!(send(bench.google("DELETE", &one)).await.0, 204);
    let (status, body) = send(bench.google("DELETE", &one)).await;
    assert_eq!((status, reason(&body)), (410, "deleted"));
    assert_eq!(send(insert()).await.0, 409);
    let (status, body) = send(bench.google("GET", &one)).await;
    assert_eq!((status, &body["status"]), (200, &json!("cancelled")));
    let (_, list) = send(bench.google("GET", EVENTS)).await;
    assert_eq!(list["items"], json!([]));
}

#[tokio::test]
async fn a_cancelled_event_comes_back_only_when_told_so() {
    let bench = Bench::start().await;
    send(bench.google("POST", EVENTS).json(&google_event("abc123"))).await;
    let one = format!("{EVENTS}/abc123");
    send(bench.google("DELETE", &one)).await;
    let patch = |body: Value| send(bench.google("PATCH", &one).json(&body));
    let (_, body) = patch(json!({"summary": "Quiet"})).await;
    assert_eq!(body["status"], "cancelled");
    let (_, body) = patch(json!({"status": "confirmed"})).await;
    assert_eq!(body["status"], "confirmed");
    let handle = bench.simulator.handle();
    assert_eq!(handle.total(ProviderKind::Google, EffectKind::Restore), 1);
    assert_eq!(handle.total(ProviderKind::Google, EffectKind::Update), 0);
}

#[tokio::test]
async fn undeleting_can_be_refused() {
    let limits = Limits {
        google_refuses_undelete: true,
        ..Limits::default()
    };
    let bench = Bench::with(SimulatorConfig {
        limits,
        ..SimulatorConfig::default()
    })
    .await;
    send(bench.google("POST", EVENTS).json(&google_event("abc123"))).await;
    let one = format!("{EVENTS}/abc123");
    send(bench.google("DELETE", &one)).await;
    let patch = bench
        .google("PATCH", &one)
        .json(&json!({"status": "confirmed"}));
    let (status, body) = send(patch).await;
    assert_eq!((status, reason(&body)), (403, "forbidden"));
}

#[tokio::test]
async fn bad_inserts_are_refused() {
    let bench = Bench::start().await;
    let with = |name: &str, value: Value| {
        let mut event = google_event("abc123");
        event[name] = value;
        event
    };
    let time = |text: &str| json!({"dateTime": text});
    for (event, expected) in [
        (with("iCalUID", json!("x@y")), "invalid"),
        (with("id", json!("with-hyphen")), "invalid"),
        (with("id", json!("wxyz0")), "invalid"),
        (with("colour", json!("11")), "badRequest"),
        (with("end", time("2027-03-01T09:00:00Z")), "timeRangeEmpty"),
        (with("start", time("2027-03-01T09:00:00")), "required"),
        (with("start", Value::Null), "required"),
        (
            with(
                "start",
                json!({"dateTime": "2027-03-01T09:00:00Z", "timeZone": "Mars"}),
            ),
            "invalid",
        ),
        (with("attendees", json!([{"email": "nobody"}])), "invalid"),
        (
            with("attendees", json!([{"email": "No Body <no@example.com>"}])),
            "invalid",
        ),
    ] {
        let (status, body) = send(bench.google("POST", EVENTS).json(&event)).await;
        assert_eq!((status, reason(&body)), (400, expected), "{event}");
    }
    let odd = format!("{EVENTS}?sendupdates=none");
    let (status, _) = send(bench.google("POST", &odd).json(&google_event("abc123"))).await;
    assert_eq!(status, 400);
    assert_eq!(bench.simulator.handle().effect_count(), 0);
}

#[tokio::test]
async fn a_patch_keeps_what_it_does_not_name() {
    let bench = Bench::start().await;
    send(bench.google("POST", EVENTS).json(&google_event("abc123"))).await;
    let handle = bench.simulator.handle();
    let event = EventSelector::AppointmentId(APPOINTMENT.to_owned());
    for edit in [
        CoachEdit::SetColour {
            colour: "11".into(),
        },
        CoachEdit::AddAttendee {
            email: "friend@example.com".into(),
        },
        CoachEdit::GuestAnswers {
            email: "friend@example.com".into(),
            answer: GuestAnswer::Accepted,
        },
        CoachEdit::AddOnlineMeeting,
    ] {
        handle
            .edit(ProviderKind::Google, COACH, &event, &edit)
            .expect("the edit is possible");
    }
    let patch = json!({
        "summary": "Renamed",
        "extendedProperties": {"private": {"event_key": null, "x".repeat(45): "dropped"}},
    });
    let one = format!("{EVENTS}/abc123");
    let (status, body) = send(bench.google("PATCH", &one).json(&patch)).await;
    assert_eq!(status, 200);
    assert_eq!(body["summary"], "Renamed");
    assert_eq!(body["colorId"], "11");
    assert_eq!(body["attendees"][0]["responseStatus"], "accepted");
    assert!(body["hangoutLink"].is_string());
    assert_eq!(
        body["extendedProperties"]["private"],
        json!({"appointment_id": APPOINTMENT})
    );
}

#[tokio::test]
async fn an_event_made_all_day_takes_hours_only_in_place_of_its_day() {
    let bench = Bench::start().await;
    let (_, made) = send(bench.google("POST", EVENTS).json(&google_event("abc123"))).await;
    let event = EventSelector::AppointmentId(APPOINTMENT.to_owned());
    bench
        .simulator
        .handle()
        .edit(ProviderKind::Google, COACH, &event, &CoachEdit::AllDay)
        .expect("the edit is possible");
    let one = format!("{EVENTS}/abc123");
    let (_, shown) = send(bench.google("GET", &one)).await;
    let day = |name: &str| shown[name]["date"].as_str().unwrap_or_default().to_owned();
    assert!(day("start") < day("end"), "{shown}");
    assert_eq!(shown["start"].get("dateTime"), None);

    let hours = json!({"start": made["start"], "end": made["end"]});
    let (status, body) = send(bench.google("PATCH", &one).json(&hours)).await;
    assert_eq!((status, reason(&body)), (400, "invalid"));
    let mut hours = hours;
    for name in ["start", "end"] {
        hours[name]["date"] = Value::Null;
    }
    let (status, body) = send(bench.google("PATCH", &one).json(&hours)).await;
    assert_eq!((status, &body["start"]), (200, &made["start"]));
}

#[tokio::test]
async fn a_stale_etag_fails_the_precondition() {
    let bench = Bench::start().await;
    let insert = bench.google("POST", EVENTS).json(&google_event("abc123"));
    let (_, made) = send(insert).await;
    let etag = made["etag"].as_str().expect("an etag").to_owned();
    assert!(etag.starts_with('"'));
    let patch = || {
        bench
            .google("PATCH", &format!("{EVENTS}/abc123"))
            .header("if-match", &etag)
            .json(&json!({"summary": "New"}))
    };
    assert_eq!(send(patch()).await.0, 200);
    let (status, body) = send(patch()).await;
    assert_eq!((status, reason(&body)), (412, "conditionNotMet"));
}

#[tokio::test]
async fn read_only_calendars_refuse_writes() {
    let bench = Bench::start().await;
    let path = "calendars/en.german%23holiday%40group.v.calendar.google.com/events";
    let (status, _) = send(bench.google("POST", path).json(&google_event("abc123"))).await;
    assert_eq!(status, 403);
    let (_, list) = send(bench.google("GET", "users/me/calendarList?minAccessRole=writer")).await;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn quota_units_run_out_and_come_back() {
    let limits = Limits {
        google_per_user: Window::new(4, Duration::from_secs(60)),
        ..Limits::default()
    };
    let bench = Bench::with(SimulatorConfig {
        limits,
        ..SimulatorConfig::default()
    })
    .await;
    assert_eq!(
        send(bench.google("POST", EVENTS).json(&google_event("abc123")))
            .await
            .0,
        200
    );
    let patch = || {
        bench
            .google("PATCH", &format!("{EVENTS}/abc123"))
            .json(&json!({}))
    };
    assert_eq!(send(patch()).await.0, 200, "a patch costs three");
    let (status, body) = send(bench.google("GET", EVENTS)).await;
    assert!(matches!(
        (status, reason(&body)),
        (429, "rateLimitExceeded") | (403, "userRateLimitExceeded")
    ));
    bench.clock.advance(Duration::from_secs(60));
    assert_eq!(send(bench.google("GET", EVENTS)).await.0, 200);
}

#[tokio::test]
async fn an_event_is_found_by_its_private_property_and_pages_follow() {
    let limits = Limits {
        page_cap: Some(1),
        ..Limits::default()
    };
    let bench = Bench::with(SimulatorConfig {
        limits,
        ..SimulatorConfig::default()
    })
    .await;
    for id in ["aaaaa", "bbbbb"] {
        send(bench.google("POST", EVENTS).json(&google_event(id))).await;
    }
    let find = format!("{EVENTS}?privateExtendedProperty=appointment_id%3D{APPOINTMENT}");
    let (_, first) = send(bench.google("GET", &find)).await;
    assert_eq!(first["items"][0]["id"], "aaaaa");
    let token = first["nextPageToken"].as_str().expect("another page");
    let (_, second) = send(bench.google("GET", &format!("{find}&pageToken={token}"))).await;
    assert_eq!(second["items"][0]["id"], "bbbbb");
    assert_eq!(second["nextPageToken"], Value::Null);
    assert_eq!(bench.simulator.handle().duplicates().len(), 1);
}

#[tokio::test]
async fn a_batch_answers_each_part_in_its_place() {
    let bench = Bench::start().await;
    let part = |id: &str, request: &str, body: &str| {
        format!(
            "--b\r\nContent-Type: application/http\r\nContent-ID: <{id}>\r\n\r\n\
             {request}\r\nContent-Type: application/json\r\n\r\n{body}\r\n"
        )
    };
    let path = "/calendar/v3/calendars/primary/events";
    let body = format!(
        "{}{}{}--b--\r\n",
        part(
            "one",
            &format!("POST {path}"),
            &google_event("abc123").to_string()
        ),
        part("two", &format!("GET {path}/missing"), ""),
        part(
            "three",
            &format!("POST {path}"),
            &google_event("abc124").to_string()
        ),
    );
    let answer = bench
        .client
        .post(bench.url("/google/batch/calendar/v3"))
        .bearer_auth(&bench.google)
        .header("content-type", "multipart/mixed; boundary=b")
        .body(body)
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200);
    let text = answer.text().await.expect("a body");
    let place = |needle: &str| {
        text.find(needle)
            .unwrap_or_else(|| panic!("{needle} in {text}"))
    };
    assert!(place("<response-one>") < place("<response-two>"));
    assert!(place("<response-two>") < place("HTTP/1.1 404"));
    assert!(place("HTTP/1.1 404") < place("<response-three>"));
    assert_eq!(bench.simulator.handle().effect_count(), 2);
}
