//! Scripts played against written answers: which calls leave, and how the change ends.

use chrono::DateTime;
use proptest::prelude::*;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::*;
use crate::domain::{AppointmentId, Client, ConnectionId, EventRef};

const SEARCH: &str = "GET calendars/cal/events?";
const TEXT: Parts = Parts {
    schedule: false,
    text: true,
    guest: false,
};

fn key() -> CreateKey {
    CreateKey {
        connection_id: ConnectionId(uuid::Uuid::from_u128(1)),
        appointment_id: AppointmentId(uuid::Uuid::from_u128(2)),
        generation: 1,
    }
}

fn content() -> EventContent {
    EventContent {
        appointment_id: key().appointment_id,
        title: "Session".into(),
        description: "Notes".into(),
        location: None,
        starts_at: DateTime::UNIX_EPOCH,
        ends_at: DateTime::UNIX_EPOCH + chrono::TimeDelta::hours(1),
        time_zone: chrono_tz::UTC,
        attendee: Some(Client {
            name: "Client".into(),
            email: "client@example.com".into(),
        }),
        shares_details: true,
    }
}

fn target(event: Option<&str>, etag: Option<&str>) -> EventRef {
    EventRef {
        key: key(),
        calendar_id: "cal".into(),
        event_id: event.map(EventId::from),
        etag: etag.map(Etag::from),
    }
}

fn create(unsure: bool) -> Change {
    Change::Create {
        key: key(),
        calendar_id: "cal".into(),
        content: content(),
        unsure,
        unseen_for_long: false,
    }
}

fn create_unseen() -> Change {
    Change::Create {
        key: key(),
        calendar_id: "cal".into(),
        content: content(),
        unsure: true,
        unseen_for_long: true,
    }
}

fn update(etag: Option<&str>, parts: Parts) -> Change {
    Change::Update {
        target: target(Some("e1"), etag),
        content: content(),
        parts,
        pushed_guest: Some(Fingerprint::of_guest("client@example.com")),
        put_back: true,
    }
}

/// Of a known version that holds this guest of ours.
fn update_over(guest: &str) -> Change {
    Change::Update {
        target: target(Some("e1"), Some("W/1")),
        content: content(),
        parts: Parts::ALL,
        pushed_guest: Some(Fingerprint::of_guest(guest)),
        put_back: true,
    }
}

fn verify(etag: &str) -> Change {
    Change::Verify {
        target: target(Some("e1"), Some(etag)),
        content: content(),
        pushed_guest: Some(Fingerprint::of_guest("client@example.com")),
        put_back: true,
    }
}

fn delete(event: Option<&str>) -> Change {
    Change::Delete {
        target: target(event, None),
    }
}

/// An event of ours as Graph shows it, with the client as its only guest.
fn event(id: &str, etag: &str) -> Value {
    json!({"id": id, "@odata.etag": etag, "createdDateTime": "2026-11-01T10:00:00Z",
        "isCancelled": false, "isOnlineMeeting": false,
        "attendees": [{"type": "required", "emailAddress": {"address": "client@example.com"}}]})
}

fn with(mut event: Value, field: &str, value: Value) -> Value {
    event[field] = value;
    event
}

fn found(events: &[Value]) -> (u16, Value) {
    (200, json!({"value": events}))
}

fn refusal(status: u16, code: &str) -> (u16, Value) {
    (status, json!({"error": {"code": code}}))
}

/// A call as the tests see it.
struct Sent {
    line: String,
    if_match: Option<String>,
    body: Value,
}

/// Plays the change against the answers; all of them must be asked for.
fn play(change: &Change, answers: &[(u16, Value)]) -> (Vec<Sent>, Result<Done, SyncFailure>) {
    let graph = GraphEndpoints {
        graph: "http://graph.test/v1.0".parse().expect("an address"),
        concurrency_per_mailbox: 4,
    };
    let mut sent = Vec::new();
    let mut answers = answers.iter();
    let mut step = ChangeScript::start(&graph, change);
    loop {
        match step {
            Step::Call(call, script) => {
                let path = call.url.path().replace("/v1.0/me/", "");
                let mark = if call.url.query().is_some() { "?" } else { "" };
                sent.push(Sent {
                    line: format!("{} {path}{mark}", call.method),
                    if_match: call.if_match.map(|v| v.to_str().expect("text").to_owned()),
                    body: call.body.unwrap_or_default(),
                });
                let (status, body) = answers.next().expect("no more calls");
                let answer = Answer {
                    status: StatusCode::from_u16(*status).expect("a status"),
                    headers: HeaderMap::new(),
                    body: body.to_string().into_bytes(),
                };
                step = script.read(&answer, DateTime::UNIX_EPOCH);
            }
            Step::End(result) => {
                assert!(answers.next().is_none(), "an answer was not asked for");
                return (sent, result);
            }
        }
    }
}

fn lines(sent: &[Sent]) -> Vec<&str> {
    sent.iter().map(|sent| sent.line.as_str()).collect()
}

fn live(id: &str, etag: Option<&str>, wrote: Wrote) -> Result<Done, SyncFailure> {
    Ok(Done::Live {
        event_id: id.into(),
        etag: etag.map(Etag::from),
        wrote,
    })
}

fn stale(stale: Stale) -> Result<Done, SyncFailure> {
    Err(SyncFailure::StaleTarget(stale))
}

#[test]
fn a_create_takes_one_call_and_one_after_a_lost_answer_searches_first() {
    let made = (201, event("e1", "W/1"));
    let (sent, result) = play(&create(false), std::slice::from_ref(&made));
    assert_eq!(lines(&sent), ["POST calendars/cal/events"]);
    assert_eq!(result, live("e1", Some("W/1"), Wrote::All));

    let (sent, result) = play(&create(true), &[found(&[]), made]);
    assert_eq!(lines(&sent), [SEARCH, "POST calendars/cal/events"]);
    assert_eq!(result, live("e1", Some("W/1"), Wrote::All));
}

#[test]
fn a_create_that_became_an_online_meeting_must_be_read_before_it_is_written_again() {
    let meeting = with(event("e1", "W/1"), "isOnlineMeeting", true.into());
    let (_, result) = play(&create(false), &[(201, meeting)]);
    assert_eq!(result, live("e1", None, Wrote::All));
}

#[test]
fn a_create_that_landed_before_is_adopted_and_doubles_of_it_are_removed() {
    let stranger = json!([{"emailAddress": {"address": "former@example.com"}}]);
    let oldest = with(event("e2", "W/5"), "attendees", stranger);
    let oldest = with(oldest, "createdDateTime", "2026-10-01T00:00:00Z".into());
    let answers = [
        found(&[event("e3", "W/3"), oldest, event("e4", "W/4")]),
        (204, Value::Null),
        refusal(404, "ErrorItemNotFound"),
        (200, event("e2", "W/6")),
    ];
    let (sent, result) = play(&create(true), &answers);
    assert_eq!(
        lines(&sent),
        [
            SEARCH,
            "DELETE events/e4",
            "DELETE events/e3",
            "PATCH events/e2"
        ]
    );
    assert_eq!(sent[3].if_match.as_deref(), Some("W/5"));
    assert_eq!(sent[3].body["subject"], "Session");
    // Whoever our earlier attempt invited goes: the coach may have stopped sharing since.
    let guests = sent[3].body["attendees"].as_array().expect("a list");
    assert_eq!(guests.len(), 1);
    assert_eq!(guests[0]["emailAddress"]["address"], "client@example.com");
    assert_eq!(result, live("e2", Some("W/6"), Wrote::All));
}

#[test]
fn a_known_transaction_leads_to_its_event() {
    for status in [400, 409] {
        let duplicate = || refusal(status, DUPLICATE_TRANSACTION);
        let answers = [
            duplicate(),
            found(&[event("e1", "W/1")]),
            (200, event("e1", "W/2")),
        ];
        let (sent, result) = play(&create(false), &answers);
        assert_eq!(
            lines(&sent),
            ["POST calendars/cal/events", SEARCH, "PATCH events/e1"]
        );
        assert_eq!(result, live("e1", Some("W/2"), Wrote::All));
    }
}

#[test]
fn a_known_transaction_waits_for_its_event_to_show_and_not_for_ever() {
    let duplicate = || refusal(400, DUPLICATE_TRANSACTION);
    let answers = [found(&[]), duplicate(), found(&[])];
    let failure = play(&create(true), &answers).1.expect_err("a failure");
    assert!(matches!(failure, SyncFailure::Retryable { .. }));
    assert_eq!(failure.code(), FailureCode::Conflict);
    assert_eq!(play(&create_unseen(), &answers).1, stale(Stale::Gone));

    // One that was cancelled has shown itself.
    let cancelled = with(event("e1", "W/1"), "isCancelled", true.into());
    let answers = [duplicate(), found(&[cancelled]), (204, Value::Null)];
    let (sent, result) = play(&create(false), &answers);
    assert_eq!(sent[2].line, "DELETE events/e1");
    assert_eq!(result, stale(Stale::Gone));
}

#[test]
fn an_event_that_graph_names_as_made_is_kept_or_removed_but_never_left_beside_another() {
    let named = || {
        let error = json!({"code": DUPLICATE_TRANSACTION, "@event.existingEventId": "e2"});
        (400, json!({"error": error}))
    };
    let both = found(&[event("e1", "W/1"), event("e2", "W/1")]);
    let answers = [named(), both, (204, Value::Null), (200, event("e2", "W/2"))];
    let (sent, result) = play(&create(false), &answers);
    assert_eq!(sent[2].line, "DELETE events/e1");
    assert_eq!(result, live("e2", Some("W/2"), Wrote::All));

    let answers = [found(&[]), named(), found(&[]), (204, Value::Null)];
    let (sent, result) = play(&create_unseen(), &answers);
    assert_eq!(sent[3].line, "DELETE events/e2");
    assert_eq!(result, stale(Stale::Gone));
}

#[test]
fn an_update_of_a_known_version_is_one_conditional_patch_of_what_changed() {
    let (sent, result) = play(&update(Some("W/1"), TEXT), &[(200, event("e1", "W/2"))]);
    assert_eq!(lines(&sent), ["PATCH events/e1"]);
    assert_eq!(sent[0].if_match.as_deref(), Some("W/1"));
    let body = json!({"contentType": "text", "content": "Notes"});
    assert_eq!(sent[0].body, json!({"subject": "Session", "body": body}));
    assert_eq!(result, live("e1", Some("W/2"), Wrote::Only(TEXT)));

    let (sent, result) = play(&update(Some("W/1"), Parts::NONE), &[]);
    assert!(sent.is_empty());
    assert_eq!(result, live("e1", Some("W/1"), Wrote::Only(Parts::NONE)));
}

#[test]
fn a_conflict_is_looked_into_once() {
    for conflict in [
        refusal(412, "ErrorIrresolvableConflict"),
        refusal(409, "ConcurrentItemSave"),
    ] {
        let read = found(&[event("e1", "W/5")]);
        let answers = [conflict.clone(), read.clone(), (200, event("e1", "W/6"))];
        let (sent, result) = play(&update(Some("W/1"), TEXT), &answers);
        assert_eq!(lines(&sent), ["PATCH events/e1", SEARCH, "PATCH events/e1"]);
        assert_eq!(sent[2].if_match.as_deref(), Some("W/5"));
        // The coach may have written into the parts that were left alone.
        assert_eq!(result, live("e1", None, Wrote::Only(TEXT)));

        let answers = [conflict.clone(), read, conflict];
        assert_eq!(
            play(&update(Some("W/1"), TEXT), &answers).1,
            stale(Stale::Changed)
        );
    }
}

#[test]
fn the_version_of_an_event_that_was_read_and_written_in_part_is_not_kept() {
    let read = found(&[event("e1", "W/5")]);
    let written = (200, event("e1", "W/6"));
    let conflict = refusal(412, "ErrorIrresolvableConflict");
    for (etag, answers) in [
        (None, vec![read.clone(), written.clone()]),
        (Some("W/1"), vec![conflict, read, written]),
    ] {
        let (_, result) = play(&update(etag, TEXT), &answers);
        assert_eq!(result, live("e1", None, Wrote::Only(TEXT)));
        // Written whole, it is as we want it, whatever it was before.
        let (_, result) = play(&update(etag, Parts::ALL), &answers);
        assert_eq!(result, live("e1", Some("W/6"), Wrote::All));
    }
}

#[test]
fn a_guest_who_is_on_the_list_is_not_sent_again() {
    let answers = [(200, event("e1", "W/2"))];
    let (sent, result) = play(&update(Some("W/1"), Parts::ALL), &answers);
    assert_eq!(lines(&sent), ["PATCH events/e1"]);
    assert_eq!(sent[0].body["subject"], "Session");
    assert!(sent[0].body.get("attendees").is_none());
    assert_eq!(result, live("e1", Some("W/2"), Wrote::All));

    let (sent, _) = play(&update_over("former@example.com"), &answers);
    let guests = &sent[0].body["attendees"];
    assert_eq!(guests[0]["emailAddress"]["address"], "client@example.com");
}

#[test]
fn an_online_meeting_is_read_and_keeps_its_join_block() {
    let rule = "_".repeat(80);
    let block = format!("{rule} https://teams.example/j {rule}");
    let meeting = with(event("e1", "W/5"), "isOnlineMeeting", true.into());
    let meeting = with(
        meeting,
        "onlineMeeting",
        json!({"joinUrl": "https://teams.example/j"}),
    );
    let shown = with(
        meeting.clone(),
        "body",
        json!({"contentType": "html", "content": format!("<p>Old</p>{block}")}),
    );
    let (sent, result) = play(
        &update(None, TEXT),
        &[found(std::slice::from_ref(&shown)), (200, shown.clone())],
    );
    assert_eq!(lines(&sent), [SEARCH, "PATCH events/e1"]);
    assert_eq!(
        sent[1].body["body"],
        json!({"contentType": "html", "content": format!("Notes<br>\n{block}")})
    );
    assert_eq!(result, live("e1", None, Wrote::Only(TEXT)));

    // Should Graph ignore the condition, the block is lost, but a way into the meeting is not.
    let overwritten = with(meeting, "body", json!({"content": "<html>Notes</html>"}));
    let (sent, result) = play(
        &update(Some("W/1"), Parts::ALL),
        &[(200, overwritten), (200, shown)],
    );
    assert_eq!(lines(&sent), ["PATCH events/e1", "PATCH events/e1"]);
    let text = sent[1].body["body"]["content"].as_str().expect("text");
    assert!(text.contains("<a href=\"https://teams.example/j\">"));
    assert!(sent[1].body.get("start").is_none());
    assert_eq!(result, live("e1", None, Wrote::All));
}

#[test]
fn an_event_that_left_its_calendar_is_removed_before_the_next_generation() {
    for leftover in [(204, Value::Null), refusal(404, "ErrorItemNotFound")] {
        let (sent, result) = play(&verify("W/1"), &[found(&[]), leftover]);
        assert_eq!(lines(&sent), [SEARCH, "DELETE events/e1"]);
        assert_eq!(result, stale(Stale::Gone));
    }
    let cancelled = with(event("e1", "W/1"), "isCancelled", true.into());
    let (sent, result) = play(&verify("W/1"), &[found(&[cancelled]), (204, Value::Null)]);
    assert_eq!(lines(&sent), [SEARCH, "DELETE events/e1"]);
    assert_eq!(result, stale(Stale::Gone));
}

#[test]
fn an_update_of_an_event_that_left_no_trace_asks_for_the_next_generation() {
    let not_found = || refusal(404, "ErrorItemNotFound");
    for status in [404, 410] {
        let answers = [
            refusal(status, "ErrorItemNotFound"),
            found(&[]),
            not_found(),
        ];
        let (sent, result) = play(&update(Some("W/1"), TEXT), &answers);
        assert_eq!(
            lines(&sent),
            ["PATCH events/e1", SEARCH, "DELETE events/e1"]
        );
        assert_eq!(result, stale(Stale::Gone));
    }
    let (sent, result) = play(&update(None, TEXT), &[found(&[]), not_found()]);
    assert_eq!(lines(&sent), [SEARCH, "DELETE events/e1"]);
    assert_eq!(result, stale(Stale::Gone));
    let (_, result) = play(
        &update(None, TEXT),
        &[refusal(404, "MailboxNotEnabledForRESTAPI")],
    );
    assert_eq!(
        result.expect_err("a failure").code(),
        FailureCode::NoCalendarService
    );
}

#[test]
fn an_event_in_a_calendar_out_of_reach_is_not_taken_for_gone() {
    let not_found = || refusal(404, "ErrorItemNotFound");
    for (change, answers) in [
        (update(Some("W/1"), TEXT), vec![not_found(), not_found()]),
        (update(None, TEXT), vec![not_found()]),
        (update(None, TEXT), vec![refusal(410, "")]),
        (verify("W/1"), vec![not_found()]),
        (create(true), vec![not_found()]),
    ] {
        let (sent, result) = play(&change, &answers);
        assert!(sent.iter().all(|sent| !sent.line.starts_with("DELETE")));
        let failure = result.expect_err("a failure");
        assert!(matches!(failure, SyncFailure::Retryable { .. }));
        assert_eq!(failure.code(), FailureCode::CalendarNotFound);
    }
}

#[test]
fn an_event_that_a_search_finds_is_not_taken_for_gone() {
    let not_found = || refusal(404, "ErrorItemNotFound");
    let read = found(&[event("e1", "W/5")]);
    let answers = [not_found(), read.clone(), (200, event("e1", "W/6"))];
    let (_, result) = play(&update(Some("W/1"), TEXT), &answers);
    assert_eq!(result, live("e1", None, Wrote::Only(TEXT)));

    let answers = [not_found(), read, not_found()];
    let (_, result) = play(&update(Some("W/1"), TEXT), &answers);
    assert_eq!(result, stale(Stale::Changed));
}

#[test]
fn verifying_an_untouched_event_writes_nothing_and_a_touched_one_everything() {
    let (sent, result) = play(&verify("W/1"), &[found(&[event("e1", "W/1")])]);
    assert_eq!(lines(&sent), [SEARCH]);
    assert_eq!(result, live("e1", Some("W/1"), Wrote::Nothing));

    let answers = [found(&[event("e1", "W/2")]), (200, event("e1", "W/3"))];
    let (sent, result) = play(&verify("W/1"), &answers);
    assert_eq!(lines(&sent), [SEARCH, "PATCH events/e1"]);
    // The guest list is right: sending it could mail people.
    assert!(sent[1].body.get("attendees").is_none());
    assert_eq!(result, live("e1", Some("W/3"), Wrote::All));
}

#[test]
fn a_delete_without_an_id_finds_and_removes_all_that_carry_the_key() {
    let (sent, result) = play(&delete(Some("e1")), &[(204, Value::Null)]);
    assert_eq!(lines(&sent), ["DELETE events/e1"]);
    assert_eq!(result, Ok(Done::Gone));

    let answers = [
        found(&[event("e1", "W/1"), event("e2", "W/1")]),
        (204, Value::Null),
        (204, Value::Null),
    ];
    let (sent, result) = play(&delete(None), &answers);
    assert_eq!(
        lines(&sent),
        [SEARCH, "DELETE events/e2", "DELETE events/e1"]
    );
    assert_eq!(result, Ok(Done::Gone));

    for nothing in [found(&[]), refusal(404, "ErrorItemNotFound")] {
        assert_eq!(play(&delete(None), &[nothing]).1, Ok(Done::Gone));
    }
    let (_, result) = play(&delete(Some("e1")), &[(503, Value::Null)]);
    assert_eq!(
        result.expect_err("a failure").code(),
        FailureCode::ServerError
    );
}

#[test]
fn a_search_is_followed_to_its_end_and_never_elsewhere() {
    let page = |link: &str| (200, json!({"value": [], "@odata.nextLink": link}));
    let next = || page("http://graph.test/v1.0/me/calendars/cal/events?$skip=1");
    let answers = [next(), found(&[event("e1", "W/1")])];
    let (sent, result) = play(&verify("W/1"), &answers);
    assert_eq!(lines(&sent), [SEARCH, SEARCH]);
    assert_eq!(result, live("e1", Some("W/1"), Wrote::Nothing));

    for endless in [
        vec![page("http://evil.test/v1.0/me")],
        vec![next(); MAX_SEARCH_PAGES],
    ] {
        let (_, result) = play(&verify("W/1"), &endless);
        assert_eq!(
            result.expect_err("a failure").code(),
            FailureCode::BadAnswer
        );
    }
}

/// More calls than any change needs, whatever is answered.
const MOST_CALLS: usize = 12;

proptest! {
    #[test]
    fn no_answers_make_a_change_panic_or_go_on_for_ever(
        change in prop::sample::select(vec![create(false), create(true), create_unseen(), update(None, Parts::ALL), update(Some("*"), TEXT), verify("*"), delete(Some("e1")), delete(None)]),
        answers in prop::collection::vec(crate::provider::hostile::answer(), MOST_CALLS),
    ) {
        let endpoints = GraphEndpoints {
            graph: "http://graph.test/v1.0".parse().expect("an address"),
            concurrency_per_mailbox: 4,
        };
        let mut step = ChangeScript::start(&endpoints, &change);
        for answer in &answers {
            match step {
                Step::Call(call, script) => {
                    prop_assert!(call.url.host_str().is_some_and(|host| host.ends_with(".test")));
                    prop_assert_ne!(call.url.host_str(), Some("evil.test"));
                    step = script.read(answer, DateTime::UNIX_EPOCH);
                }
                Step::End(_) => return Ok(()),
            }
        }
        prop_assert!(matches!(step, Step::End(_)), "it goes on for ever");
    }
}
