//! Graph's events, ids, transactions and batches.

use std::time::Duration;

use serde_json::{Value, json};

use crate::domain::ProviderKind;
use crate::simulator::{CoachEdit, EffectKind, EventSelector, Limits, SimulatorConfig, Window};

use super::{APPOINTMENT, Bench, COACH, GUID, code, graph_event, send};

const IMMUTABLE: &str = "IdType=\"ImmutableId\"";

async fn create(bench: &Bench, body: &Value) -> (u16, Value) {
    send(
        bench
            .graph("POST", "me/events")
            .header("prefer", IMMUTABLE)
            .json(body),
    )
    .await
}

fn by_id(bench: &Bench, method: &str, event: &Value) -> reqwest::RequestBuilder {
    let id = event["id"].as_str().expect("an id");
    bench
        .graph(method, &format!("me/events/{id}"))
        .header("prefer", IMMUTABLE)
}

#[tokio::test]
async fn a_transaction_id_makes_one_event_and_refuses_another_content() {
    let bench = Bench::start().await;
    let (status, first) = create(&bench, &graph_event("t1")).await;
    assert_eq!(status, 201);
    let (status, again) = create(&bench, &graph_event("t1")).await;
    assert_eq!((status, &again["id"]), (201, &first["id"]));
    let mut other = graph_event("t1");
    other["subject"] = json!("Other");
    let (status, body) = create(&bench, &other).await;
    assert_eq!((status, code(&body)), (400, "ErrorDuplicateTransactionId"));
    let handle = bench.simulator.handle();
    assert_eq!(handle.total(ProviderKind::Outlook, EffectKind::Create), 1);
}

#[tokio::test]
async fn each_kind_of_id_names_an_event_only_to_those_who_ask_for_it() {
    let bench = Bench::start().await;
    let (_, immutable) = create(&bench, &graph_event("t1")).await;
    let (_, list) = send(bench.graph("GET", "me/events")).await;
    let plain = list["value"][0]["id"].as_str().expect("an id");
    assert_ne!(immutable["id"], plain);
    let get = bench.graph("GET", &format!("me/events/{plain}"));
    assert_eq!(send(get).await.0, 200);
    assert_eq!(
        send(by_id(&bench, "GET", &json!({"id": plain}))).await.0,
        404
    );
    assert_eq!(send(by_id(&bench, "GET", &immutable)).await.0, 200);
}

#[tokio::test]
async fn an_event_is_found_by_its_tag_with_the_value_in_any_case() {
    let bench = Bench::start().await;
    create(&bench, &graph_event("abcdef")).await;
    let find = |name: &str, value: &str| {
        bench.graph("GET", "me/events").query(&[
            (
                "$filter",
                format!(
                    "singleValueExtendedProperties/any(ep: ep/id eq 'String {GUID} Name {name}' \
                     and ep/value eq '{value}')"
                ),
            ),
            (
                "$expand",
                format!(
                    "singleValueExtendedProperties($filter=id eq 'String {GUID} Name event_key')"
                ),
            ),
        ])
    };
    let (status, found) = send(find("event_key", "ABCDEF")).await;
    assert_eq!(status, 200);
    let properties = &found["value"][0]["singleValueExtendedProperties"];
    assert_eq!(properties[0]["value"], "abcdef");
    let (_, none) = send(find("EVENT_KEY", "abcdef")).await;
    assert_eq!(none["value"], json!([]));
}

#[tokio::test]
async fn answers_are_in_utc_with_html_bodies_unless_asked_otherwise() {
    let bench = Bench::start().await;
    let (_, made) = create(&bench, &graph_event("t1")).await;
    assert_eq!(made["start"]["dateTime"], "2027-03-01T09:00:00.0000000");
    let html = made["body"]["content"].as_str().expect("a body");
    assert!(html.contains("Bring &lt;notes&gt; &amp; tea") && html.contains("<html>"));
    let preferences = format!("{IMMUTABLE}, outlook.body-content-type=\"text\"");
    let id = made["id"].as_str().expect("an id");
    let get = bench.graph("GET", &format!("me/events/{id}"));
    let (_, text) = send(get.header("prefer", preferences)).await;
    assert_eq!(text["body"]["content"], "Bring <notes> & tea");
}

#[tokio::test]
async fn bad_events_are_refused() {
    let bench = Bench::start().await;
    let with = |name: &str, value: Value| {
        let mut event = graph_event("t1");
        event[name] = value;
        event
    };
    let start = |local: &str, zone: &str| json!({"dateTime": local, "timeZone": zone});
    for (event, expected) in [
        (with("colour", json!("red")), "RequestBodyRead"),
        (with("id", json!("mine")), "RequestBodyRead"),
        (
            with("start", start("2027-03-01T09:00:00Z", "UTC")),
            "ErrorInvalidRequest",
        ),
        (
            with("start", start("2027-03-01T09:00:00", "Mars")),
            "TimeZoneNotSupportedException",
        ),
        (
            with("start", start("2027-03-02T09:00:00", "UTC")),
            "ErrorInvalidRequest",
        ),
        (
            with(
                "attendees",
                json!([{"emailAddress": {"address": "nobody"}}]),
            ),
            "ErrorInvalidRecipients",
        ),
        (
            with(
                "attendees",
                json!([{"emailAddress": {"address": "No Body <no@example.com>"}}]),
            ),
            "ErrorInvalidRecipients",
        ),
    ] {
        let (status, body) = create(&bench, &event).await;
        assert_eq!((status, code(&body)), (400, expected), "{event}");
    }
    assert_eq!(bench.simulator.handle().effect_count(), 0);
}

#[tokio::test]
async fn a_body_without_the_join_block_loses_the_meeting() {
    let bench = Bench::start().await;
    let (_, made) = create(&bench, &graph_event("t1")).await;
    let handle = bench.simulator.handle();
    let event = EventSelector::AppointmentId(APPOINTMENT.to_owned());
    handle
        .edit(
            ProviderKind::Outlook,
            COACH,
            &event,
            &CoachEdit::AddOnlineMeeting,
        )
        .expect("the edit is possible");
    let (_, online) = send(by_id(&bench, "GET", &made)).await;
    assert_eq!(online["isOnlineMeeting"], true);
    let kept = json!({"body": online["body"], "subject": "New"});
    let (_, kept) = send(by_id(&bench, "PATCH", &made).json(&kept)).await;
    assert!(kept["onlineMeeting"]["joinUrl"].is_string());
    let lost = json!({"body": {"contentType": "text", "content": "New"}});
    let (_, lost) = send(by_id(&bench, "PATCH", &made).json(&lost)).await;
    assert_eq!(lost["onlineMeeting"], Value::Null);
    assert_eq!(
        handle.total(ProviderKind::Outlook, EffectKind::MeetingLost),
        1
    );
}

#[tokio::test]
async fn an_event_made_all_day_takes_hours_only_when_told_that_it_has_some() {
    let bench = Bench::start().await;
    let (_, made) = create(&bench, &graph_event("t1")).await;
    let event = EventSelector::AppointmentId(APPOINTMENT.to_owned());
    bench
        .simulator
        .handle()
        .edit(ProviderKind::Outlook, COACH, &event, &CoachEdit::AllDay)
        .expect("the edit is possible");
    let (_, shown) = send(by_id(&bench, "GET", &made)).await;
    assert_eq!(shown["isAllDay"], true);
    assert_ne!(shown["start"], made["start"]);

    let mut hours = json!({"start": made["start"], "end": made["end"]});
    let (status, _) = send(by_id(&bench, "PATCH", &made).json(&hours)).await;
    assert_eq!(status, 400);
    hours["isAllDay"] = false.into();
    let (status, body) = send(by_id(&bench, "PATCH", &made).json(&hours)).await;
    assert_eq!((status, &body["start"]), (200, &made["start"]));
}

#[tokio::test]
async fn guests_are_mailed_whether_wanted_or_not() {
    let bench = Bench::start().await;
    let mut event = graph_event("t1");
    event["attendees"] = json!([{"emailAddress": {"address": "guest@example.com"}}]);
    let (_, made) = create(&bench, &event).await;
    send(by_id(&bench, "PATCH", &made).json(&json!({"isReminderOn": false}))).await;
    let handle = bench.simulator.handle();
    let mails = || handle.total(ProviderKind::Outlook, EffectKind::Mail);
    assert_eq!(mails(), 1);
    send(by_id(&bench, "PATCH", &made).json(&json!({"subject": "New"}))).await;
    assert_eq!(mails(), 2);
    assert_eq!(send(by_id(&bench, "DELETE", &made)).await.0, 204);
    assert_eq!(mails(), 3);
    let (status, body) = send(by_id(&bench, "DELETE", &made)).await;
    assert_eq!((status, code(&body)), (404, "ErrorItemNotFound"));
}

#[tokio::test]
async fn a_stale_change_key_is_an_irresolvable_conflict() {
    let bench = Bench::start().await;
    let (_, made) = create(&bench, &graph_event("t1")).await;
    let etag = made["@odata.etag"].as_str().expect("an etag");
    let patch = || {
        let request = by_id(&bench, "PATCH", &made).header("if-match", etag);
        request.json(&json!({"subject": "New"}))
    };
    assert_eq!(send(patch()).await.0, 200);
    let (status, body) = send(patch()).await;
    assert_eq!((status, code(&body)), (412, "ErrorIrresolvableConflict"));
}

fn item(id: &str, transaction: &str, after: Option<&str>) -> Value {
    let mut item = json!({
        "id": id,
        "method": "POST",
        "url": "/me/events",
        "headers": {"Content-Type": "application/json", "Prefer": IMMUTABLE},
        "body": graph_event(transaction),
    });
    if let Some(after) = after {
        item["dependsOn"] = json!([after]);
    }
    item
}

async fn batch(bench: &Bench, items: &[Value]) -> (u16, Vec<(String, u64)>) {
    let request = bench
        .graph("POST", "$batch")
        .json(&json!({"requests": items}));
    let (status, body) = send(request).await;
    let mut answers: Vec<(String, u64)> = body["responses"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|answer| {
            let id = answer["id"].as_str().expect("an id").to_owned();
            (id, answer["status"].as_u64().expect("a status"))
        })
        .collect();
    answers.sort();
    (status, answers)
}

#[tokio::test]
async fn the_fifth_independent_item_is_throttled_and_a_chain_is_not() {
    let bench = Bench::start().await;
    let ids = ["1", "2", "3", "4", "5"];
    let items: Vec<Value> = ids.iter().map(|id| item(id, id, None)).collect();
    let (status, answers) = batch(&bench, &items).await;
    assert_eq!(status, 200);
    let throttled = answers.iter().filter(|(_, status)| *status == 429).count();
    assert_eq!(throttled, 1);
    let chain: Vec<Value> = ids
        .iter()
        .enumerate()
        .map(|(place, id)| item(id, &format!("c{id}"), place.checked_sub(1).map(|p| ids[p])))
        .collect();
    let (_, answers) = batch(&bench, &chain).await;
    assert!(
        answers.iter().all(|(_, status)| *status == 201),
        "{answers:?}"
    );
}

#[tokio::test]
async fn a_broken_chain_fails_what_depends_on_it_and_mixed_graphs_are_refused() {
    let bench = Bench::start().await;
    let mut broken = item("1", "t1", None);
    broken["body"]["start"] = Value::Null;
    let (_, answers) = batch(&bench, &[broken, item("2", "t2", Some("1"))]).await;
    assert_eq!(answers, [("1".to_owned(), 400), ("2".to_owned(), 424)]);
    let mixed = [
        item("1", "a", None),
        item("2", "b", None),
        item("3", "c", Some("1")),
    ];
    assert_eq!(batch(&bench, &mixed).await.0, 400);
    let same = [item("a", "d", None), item("A", "e", None)];
    assert_eq!(batch(&bench, &same).await.0, 400);
}

#[tokio::test]
async fn a_flooded_mailbox_answers_429_with_a_fractional_wait() {
    let limits = Limits {
        microsoft_per_mailbox: Window::new(1, Duration::from_secs(600)),
        ..Limits::default()
    };
    let bench = Bench::with(SimulatorConfig {
        limits,
        ..SimulatorConfig::default()
    })
    .await;
    assert_eq!(send(bench.graph("GET", "me/events")).await.0, 200);
    let answer = bench
        .graph("GET", "me/events")
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.headers()["retry-after"], "600.000");
}

#[tokio::test]
async fn calls_beyond_four_at_once_are_throttled() {
    let limits = Limits {
        latency: Duration::from_millis(300),
        ..Limits::default()
    };
    let bench = Bench::with(SimulatorConfig {
        limits,
        ..SimulatorConfig::default()
    })
    .await;
    let calls = (0..6).map(|_| send(bench.graph("GET", "me/calendars")));
    let answers = futures::future::join_all(calls).await;
    let throttled = answers.iter().filter(|(status, _)| *status == 429).count();
    assert_eq!(throttled, 2);
}
