//! Scripts played against written answers: which calls leave, and how the change ends.

use chrono::DateTime;
use proptest::prelude::*;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::*;
use crate::domain::{AppointmentId, Client, ConnectionId, EventRef, FailureCode, ReauthReason};

const SCHEDULE: Parts = Parts {
    schedule: true,
    text: false,
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

fn target(etag: Option<&str>) -> EventRef {
    EventRef {
        key: key(),
        calendar_id: "cal".into(),
        event_id: Some(EventId(key().base32hex())),
        etag: etag.map(Etag::from),
    }
}

fn create() -> Change {
    create_unseen(false)
}

fn create_unseen(unseen_for_long: bool) -> Change {
    Change::Create {
        key: key(),
        calendar_id: "cal".into(),
        content: content(),
        unsure: unseen_for_long,
        unseen_for_long,
    }
}

fn update(etag: Option<&str>, parts: Parts) -> Change {
    Change::Update {
        target: target(etag),
        content: content(),
        parts,
        pushed_guest: Some(Fingerprint::of_guest("client@example.com")),
        put_back: true,
    }
}

/// Of a known version that holds this guest of ours.
fn update_over(guest: &str) -> Change {
    Change::Update {
        target: target(Some("\"1\"")),
        content: content(),
        parts: Parts::ALL,
        pushed_guest: Some(Fingerprint::of_guest(guest)),
        put_back: true,
    }
}

fn verify(etag: Option<&str>) -> Change {
    Change::Verify {
        target: target(etag),
        content: content(),
        pushed_guest: Some(Fingerprint::of_guest("client@example.com")),
        put_back: true,
    }
}

/// An event of ours as Google shows it, with the client as its only guest.
fn event(etag: &str, status: &str) -> Value {
    json!({"id": key().base32hex(), "etag": etag, "status": status,
        "attendees": [{"email": "client@example.com", "responseStatus": "accepted"}],
        "extendedProperties": {"private": {"event_key": key().hex()}}})
}

fn with_partner(mut event: Value) -> Value {
    let guests = event["attendees"].as_array_mut().expect("a list");
    guests.push(json!({"email": "partner@example.com"}));
    event
}

fn refusal(reason: &str) -> Value {
    json!({"error": {"errors": [{"reason": reason}]}})
}

/// A call as the tests see it.
struct Sent {
    line: String,
    if_match: Option<String>,
    body: Value,
}

/// Plays the change against the answers; all of them must be asked for.
fn play(change: &Change, answers: &[(u16, Value)]) -> (Vec<Sent>, Result<Done, SyncFailure>) {
    let google = GoogleEndpoints {
        api: "http://google.test".parse().expect("an address"),
        userinfo: "http://google.test/me".parse().expect("an address"),
    };
    let mut sent = Vec::new();
    let mut answers = answers.iter();
    let mut step = ChangeScript::start(&google, change);
    loop {
        match step {
            Step::Call(call, script) => {
                let path = call.url.path().replace(&key().base32hex(), "ID");
                let path = path.replace("/calendar/v3/calendars/cal/", "");
                sent.push(Sent {
                    line: format!("{} {path}", call.method),
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

fn live(etag: Option<&str>, wrote: Wrote) -> Result<Done, SyncFailure> {
    Ok(Done::Live {
        event_id: EventId(key().base32hex()),
        etag: etag.map(Etag::from),
        wrote,
    })
}

fn stale(stale: Stale) -> Result<Done, SyncFailure> {
    Err(SyncFailure::StaleTarget(stale))
}

#[test]
fn a_create_takes_one_call() {
    let (sent, result) = play(&create(), &[(200, event("\"1\"", "confirmed"))]);
    assert_eq!(lines(&sent), ["POST events"]);
    assert_eq!(result, live(Some("\"1\""), Wrote::All));
}

#[test]
fn a_create_that_landed_before_is_adopted_with_the_content_asked_for_now() {
    let (sent, result) = play(
        &create(),
        &[
            (409, refusal("duplicate")),
            (200, with_partner(event("\"1\"", "confirmed"))),
            (200, event("\"2\"", "confirmed")),
        ],
    );
    assert_eq!(
        lines(&sent),
        ["POST events", "GET events/ID", "PATCH events/ID"]
    );
    assert_eq!(sent[2].if_match.as_deref(), Some("\"1\""));
    assert_eq!(sent[2].body["summary"], "Session");
    let kept = json!([{"email": "client@example.com", "responseStatus": "accepted"}]);
    assert_eq!(sent[2].body["attendees"], kept);
    assert_eq!(result, live(Some("\"2\""), Wrote::All));
}

#[test]
fn a_create_over_a_deleted_event_puts_it_back_or_asks_for_the_next_generation() {
    let bare = json!({"id": key().base32hex(), "status": "cancelled"});
    let (sent, result) = play(
        &create(),
        &[
            (409, refusal("duplicate")),
            (200, bare.clone()),
            (200, event("\"2\"", "confirmed")),
        ],
    );
    assert_eq!(sent[2].line, "PATCH events/ID");
    assert_eq!(sent[2].body["status"], "confirmed");
    assert_eq!(
        sent[2].body["extendedProperties"]["private"]["event_key"],
        key().hex()
    );
    assert_eq!(sent[2].body["attendees"][0]["email"], "client@example.com");
    assert_eq!(result, live(Some("\"2\""), Wrote::All));

    for refused in [
        (403, refusal("forbidden")),
        (404, refusal("notFound")),
        (200, bare.clone()),
    ] {
        let answers = [(409, refusal("duplicate")), (200, bare.clone()), refused];
        assert_eq!(play(&create(), &answers).1, stale(Stale::Gone));
    }
}

#[test]
fn a_create_whose_id_is_taken_waits_for_the_event_to_show_and_not_for_ever() {
    let answers = |status, reason| [(409, refusal("duplicate")), (status, refusal(reason))];
    let (sent, result) = play(&create(), &answers(404, "notFound"));
    assert_eq!(lines(&sent), ["POST events", "GET events/ID"]);
    let failure = result.expect_err("a failure");
    assert!(matches!(failure, SyncFailure::Retryable { .. }));
    assert_eq!(failure.code(), FailureCode::Conflict);

    let (_, result) = play(&create_unseen(true), &answers(404, "notFound"));
    assert_eq!(result, stale(Stale::Gone));
    let (_, result) = play(&create(), &answers(410, "deleted"));
    assert_eq!(result, stale(Stale::Gone));
}

#[test]
fn a_restore_that_fails_in_passing_is_not_taken_for_a_refusal() {
    for (status, reason) in [
        (403, "rateLimitExceeded"),
        (401, "authError"),
        (500, "backendError"),
    ] {
        let answers = [
            (409, refusal("duplicate")),
            (200, event("\"1\"", "cancelled")),
            (status, refusal(reason)),
        ];
        let result = play(&create(), &answers).1;
        assert_ne!(result, stale(Stale::Gone), "{reason}");
        assert!(result.is_err());
    }
}

#[test]
fn an_id_taken_by_someone_else_asks_for_the_next_generation() {
    let mut foreign = event("\"1\"", "confirmed");
    foreign["extendedProperties"]["private"]["event_key"] = "another".into();
    let answers = [(409, refusal("duplicate")), (200, foreign)];
    assert_eq!(play(&create(), &answers).1, stale(Stale::Gone));
}

#[test]
fn a_conflict_between_parts_of_a_batch_is_tried_again_later() {
    let (_, result) = play(&create(), &[(409, refusal("conflict"))]);
    assert_eq!(result.expect_err("a failure").code(), FailureCode::Conflict);
}

#[test]
fn an_update_of_a_known_version_is_one_conditional_patch_of_what_changed() {
    let (sent, result) = play(
        &update(Some("\"1\""), SCHEDULE),
        &[(200, event("\"2\"", "confirmed"))],
    );
    assert_eq!(lines(&sent), ["PATCH events/ID"]);
    assert_eq!(sent[0].if_match.as_deref(), Some("\"1\""));
    assert!(sent[0].body.get("summary").is_none());
    assert_eq!(result, live(Some("\"2\""), Wrote::Only(SCHEDULE)));
}

#[test]
fn the_version_of_an_event_that_was_read_and_written_in_part_is_not_kept() {
    let read = (200, event("\"5\"", "confirmed"));
    let written = (200, event("\"6\"", "confirmed"));
    let conflict = (412, refusal("conditionNotMet"));
    for (etag, answers) in [
        (None, vec![read.clone(), written.clone()]),
        (Some("\"1\""), vec![conflict, read, written]),
    ] {
        let (_, result) = play(&update(etag, SCHEDULE), &answers);
        assert_eq!(result, live(None, Wrote::Only(SCHEDULE)));
        // Written whole, it is as we want it, whatever it was before.
        let (_, result) = play(&update(etag, Parts::ALL), &answers);
        assert_eq!(result, live(Some("\"6\""), Wrote::All));
    }
}

#[test]
fn a_guest_who_is_on_the_list_is_not_sent_again() {
    let answers = [(200, event("\"2\"", "confirmed"))];
    let (sent, result) = play(&update(Some("\"1\""), Parts::ALL), &answers);
    assert_eq!(lines(&sent), ["PATCH events/ID"]);
    assert_eq!(sent[0].body["summary"], "Session");
    assert!(sent[0].body.get("attendees").is_none());
    assert_eq!(result, live(Some("\"2\""), Wrote::All));

    let (sent, _) = play(&update_over("former@example.com"), &answers);
    assert_eq!(sent[0].body["attendees"][0]["email"], "client@example.com");
}

#[test]
fn an_update_of_nothing_makes_no_call() {
    let (sent, result) = play(&update(Some("\"1\""), Parts::NONE), &[]);
    assert!(sent.is_empty());
    assert_eq!(result, live(Some("\"1\""), Wrote::Only(Parts::NONE)));
}

#[test]
fn an_event_with_foreign_guests_is_read_first_and_keeps_them() {
    for (etag, first) in [
        (None, None),
        (Some("\"0\""), Some((412, refusal("conditionNotMet")))),
    ] {
        let mut answers: Vec<_> = first.into_iter().collect();
        answers.push((200, with_partner(event("\"5\"", "confirmed"))));
        answers.push((200, with_partner(event("\"6\"", "confirmed"))));
        let (sent, result) = play(&update(etag, Parts::ALL), &answers);
        let patch = sent.last().expect("a call");
        assert_eq!(patch.if_match.as_deref(), Some("\"5\""));
        // The list is right as it is: it is not sent, and no answer in it can be lost.
        assert!(patch.body.get("attendees").is_none());
        assert_eq!(result, live(None, Wrote::All));
    }
}

#[test]
fn a_second_conflict_gives_up_the_round() {
    let conflict = || (412, refusal("conditionNotMet"));
    let answers = [conflict(), (200, event("\"5\"", "confirmed")), conflict()];
    let (_, result) = play(&update(Some("\"1\""), SCHEDULE), &answers);
    assert_eq!(result, stale(Stale::Changed));
}

#[test]
fn an_update_of_an_event_the_coach_deleted_puts_all_of_it_back() {
    let restored = (200, event("\"6\"", "confirmed"));
    let cancelled = (200, event("\"5\"", "cancelled"));
    let stale_then_read = [
        (412, refusal("conditionNotMet")),
        cancelled.clone(),
        restored.clone(),
    ];
    let patched_in_vain = [cancelled, restored];
    for answers in [&stale_then_read[..], &patched_in_vain[..]] {
        let (sent, result) = play(&update(Some("\"1\""), SCHEDULE), answers);
        let last = sent.last().expect("a call");
        assert_eq!(last.body["status"], "confirmed");
        assert_eq!(last.body["summary"], "Session");
        assert_eq!(result, live(Some("\"6\""), Wrote::All));
    }
}

/// What the calendar lists under the key.
fn listed(events: &[Value]) -> (u16, Value) {
    (200, json!({"items": events}))
}

#[test]
fn an_update_of_an_event_that_left_no_trace_asks_for_the_next_generation() {
    for change in [
        update(Some("\"1\""), SCHEDULE),
        update(None, SCHEDULE),
        verify(None),
    ] {
        let (sent, result) = play(&change, &[(410, refusal("deleted"))]);
        assert_eq!(sent.len(), 1);
        assert_eq!(result, stale(Stale::Gone));

        let mut copy = event("\"1\"", "confirmed");
        copy["id"] = "another".into();
        for nothing in [listed(&[]), listed(&[event("\"1\"", "cancelled"), copy])] {
            let answers = [(404, refusal("notFound")), nothing];
            let (sent, result) = play(&change, &answers);
            assert_eq!(sent[1].line, "GET events");
            assert_eq!(result, stale(Stale::Gone));
        }
    }
}

#[test]
fn an_event_in_a_calendar_out_of_reach_is_not_taken_for_gone() {
    let not_found = || (404, refusal("notFound"));
    for change in [
        update(Some("\"1\""), SCHEDULE),
        update(None, SCHEDULE),
        verify(None),
    ] {
        let (_, result) = play(&change, &[not_found(), not_found()]);
        let failure = result.expect_err("a failure");
        assert!(matches!(failure, SyncFailure::Retryable { .. }));
        assert_eq!(failure.code(), FailureCode::CalendarNotFound);
    }
    let answers = [
        (412, refusal("conditionNotMet")),
        not_found(),
        (403, refusal("forbidden")),
    ];
    let (sent, result) = play(&update(Some("\"1\""), SCHEDULE), &answers);
    assert_eq!(
        lines(&sent),
        ["PATCH events/ID", "GET events/ID", "GET events"]
    );
    assert_eq!(
        result.expect_err("a failure").code(),
        FailureCode::CalendarReadOnly
    );
}

#[test]
fn an_event_that_is_listed_is_not_taken_for_gone() {
    let there = listed(&[event("\"1\"", "confirmed")]);
    for (found, code) in [
        (there, FailureCode::Conflict),
        ((200, json!({})), FailureCode::BadAnswer),
    ] {
        let answers = [(404, refusal("notFound")), found];
        let (_, result) = play(&update(Some("\"1\""), SCHEDULE), &answers);
        let failure = result.expect_err("a failure");
        assert!(matches!(failure, SyncFailure::Retryable { .. }));
        assert_eq!(failure.code(), code);
    }
}

#[test]
fn verifying_an_untouched_event_writes_nothing_and_a_touched_one_everything() {
    let (sent, result) = play(
        &verify(Some("\"1\"")),
        &[(200, event("\"1\"", "confirmed"))],
    );
    assert_eq!(lines(&sent), ["GET events/ID"]);
    assert_eq!(result, live(Some("\"1\""), Wrote::Nothing));

    for etag in [None, Some("\"1\"")] {
        let (sent, result) = play(
            &verify(etag),
            &[
                (200, event("\"2\"", "tentative")),
                (200, event("\"3\"", "tentative")),
            ],
        );
        assert_eq!(lines(&sent), ["GET events/ID", "PATCH events/ID"]);
        assert_eq!(result, live(Some("\"3\""), Wrote::All));
    }
}

#[test]
fn a_delete_is_done_whether_or_not_the_event_was_there() {
    let change = Change::Delete {
        target: target(None),
    };
    for status in [204, 404, 410] {
        let (sent, result) = play(&change, &[(status, Value::Null)]);
        assert_eq!(lines(&sent), ["DELETE events/ID"]);
        assert_eq!(result, Ok(Done::Gone));
    }
    let (_, result) = play(&change, &[(401, Value::Null)]);
    assert_eq!(
        result,
        Err(SyncFailure::NeedsReauth(ReauthReason::GrantRefused))
    );
}

#[test]
fn a_version_that_cannot_be_a_header_is_read_afresh() {
    let (sent, _) = play(
        &update(Some("\"1\"\r\nX: y"), SCHEDULE),
        &[
            (200, event("\"5\"", "confirmed")),
            (200, event("\"6\"", "confirmed")),
        ],
    );
    assert_eq!(lines(&sent), ["GET events/ID", "PATCH events/ID"]);
}

#[test]
fn a_success_that_is_not_an_event_leaves_the_outcome_open() {
    let (_, result) = play(&create(), &[(200, json!("garbage"))]);
    assert_eq!(
        result.expect_err("a failure").code(),
        FailureCode::BadAnswer
    );
}

/// More calls than any change needs, whatever is answered.
const MOST_CALLS: usize = 12;

proptest! {
    #[test]
    fn no_answers_make_a_change_panic_or_go_on_for_ever(
        change in prop::sample::select(vec![create(), create_unseen(true), Change::Delete { target: target(None) }, update(None, Parts::ALL), update(Some("\"1\""), SCHEDULE), verify(None), verify(Some("\"1\""))]),
        answers in prop::collection::vec(crate::provider::hostile::answer(), MOST_CALLS),
    ) {
        let endpoints = GoogleEndpoints {
            api: "http://google.test".parse().expect("an address"),
            userinfo: "http://google.test/me".parse().expect("an address"),
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
