//! Requests that are sent again under the same key.

use chrono::TimeDelta;
use futures::future::join_all;
use poem::PathPattern;
use poem::http::{Method, StatusCode};
use poem_openapi::OperationId;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Ask, BASE_PATH, Bench, appointment, coach, read};
use crate::api::idempotency::Repeated;
use crate::domain::Clock;
use crate::store::{ANSWER_KEPT, About, KEY_HELD, KeyedRequest};

const KEY: &str = "Idempotency-Key";

fn batch(id: u128) -> Value {
    let mut item = appointment(coach(1));
    item["id"] = json!(Uuid::from_u128(id));
    json!({"appointments": [item]})
}

fn report<'a>(bench: &'a Bench, key: &str, body: &Value) -> Ask<'a> {
    let ask = bench.as_platform(Method::POST, "/appointments/batch");
    ask.header(KEY, key).json(body)
}

/// What became of the one appointment of a batch.
fn outcome(answer: &Value) -> &str {
    answer["results"][0]["outcome"].as_str().expect("a word")
}

#[tokio::test]
async fn what_is_sent_again_is_answered_alike_and_does_nothing() {
    let bench = Bench::start().await;
    let id = bench.connected(coach(1), "a@example.com").await;
    let put = format!("/appointments/{}", Uuid::from_u128(7));
    let ask = bench.as_platform(Method::PUT, &put);
    ask.json(&appointment(coach(1)))
        .answers(StatusCode::CREATED)
        .await;
    let sync = format!("/connections/{id}/sync");
    let retry = format!("/queue/{}/retry", Uuid::from_u128(1));
    for (path, status, body) in [
        ("/appointments/batch", 200, Some(batch(8))),
        (sync.as_str(), 202, None),
        (&format!("/connections/{id}/test"), 200, None),
        (&retry, 404, None),
        ("/queue/retry-failed", 202, None),
    ] {
        let status = StatusCode::from_u16(status).expect("a status");
        let key = format!("{path}{status}").replace(' ', "-");
        let mut answers = Vec::new();
        for is_repeated in [false, true] {
            bench.fakes.woken();
            bench.fakes.tested();
            let ask = bench.as_operator(Method::POST, path).header(KEY, &key);
            let ask = match &body {
                Some(body) => ask.json(body),
                None => ask,
            };
            let response = ask.send().await;
            // For the log and the metrics.
            assert!(response.0.data::<PathPattern>().is_some(), "{path}");
            assert!(response.0.data::<OperationId>().is_some(), "{path}");
            let told = response.0.data::<Repeated>().is_some();
            assert_eq!(told, is_repeated, "{path}");
            let kind = response.0.content_type().map(str::to_owned);
            answers.push((kind, read(response, status).await));
        }
        assert_eq!(answers[0], answers[1], "{path}");
        assert_eq!(bench.fakes.woken(), [], "{path}");
        assert_eq!(bench.fakes.tested(), 0, "{path}");
    }
}

#[tokio::test]
async fn without_the_header_nothing_changes_and_nothing_is_stored() {
    let bench = Bench::start().await;
    for expected in ["created", "unchanged"] {
        let ask = bench.as_platform(Method::POST, "/appointments/batch");
        let answer = ask.json(&batch(1)).answers(StatusCode::OK).await;
        assert_eq!(outcome(&answer), expected);
    }
    // Nor for a method that is no POST.
    let put = format!("/appointments/{}", Uuid::from_u128(1));
    for _ in 0..2 {
        let ask = bench.as_platform(Method::PUT, &put).header(KEY, "k");
        ask.json(&appointment(coach(1)))
            .answers(StatusCode::OK)
            .await;
    }
    assert!(bench.store.all_keys().await.is_empty());
}

#[tokio::test]
async fn another_body_path_or_query_under_the_same_key_is_refused() {
    let bench = Bench::start().await;
    report(&bench, "k", &batch(1)).answers(StatusCode::OK).await;
    let retry = |path: &str| {
        let ask = bench.as_platform(Method::POST, path).header(KEY, "k");
        ask.json(&batch(1))
    };
    for ask in [
        report(&bench, "k", &batch(2)),
        retry("/queue/retry-failed"),
        retry("/appointments/batch?x=1"),
    ] {
        let code = ask.refused(StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(code, "idempotency_key_reused");
    }
    let unknown = format!("/appointments/{}", Uuid::from_u128(2));
    let ask = bench.as_platform(Method::GET, &unknown);
    ask.refused(StatusCode::NOT_FOUND).await;
    let answer = report(&bench, "k", &batch(1)).answers(StatusCode::OK).await;
    assert_eq!(outcome(&answer), "created");
}

#[tokio::test]
async fn a_key_is_its_callers_own() {
    let bench = Bench::start().await;
    let answer = report(&bench, "k", &batch(1)).answers(StatusCode::OK).await;
    assert_eq!(outcome(&answer), "created");
    // Another role of the same name, and another name of the same role.
    use crate::security::api_token::Role;
    for (role, subject) in [(Role::Admin, "booking"), (Role::Service, "other")] {
        let token = bench.token(role, subject);
        let ask = bench.request(Method::POST, "/appointments/batch", &token);
        let answer = ask.header(KEY, "k").json(&batch(1));
        assert_eq!(outcome(&answer.answers(StatusCode::OK).await), "unchanged");
    }
    let nobody = bench.client.post(format!("{BASE_PATH}/appointments/batch"));
    let nobody = nobody.header(KEY, "k").body_json(&batch(1)).send().await;
    let refused = read(nobody, StatusCode::UNAUTHORIZED).await;
    assert_eq!(refused["code"], "unauthorized");
    assert_eq!(bench.store.all_keys().await.len(), 3);
}

#[tokio::test]
async fn a_key_that_is_none_is_named() {
    let bench = Bench::start().await;
    for key in ["", "a b", &"k".repeat(256)] {
        let refused = report(&bench, key, &batch(1));
        let refused = refused.answers(StatusCode::BAD_REQUEST).await;
        assert_eq!(refused["code"], "invalid_parameter");
        let detail = refused["detail"].as_str().expect("a text");
        assert!(detail.contains(KEY), "{detail}");
    }
    let longest = "k".repeat(255);
    report(&bench, &longest, &batch(1))
        .answers(StatusCode::OK)
        .await;
}

/// A moment passes: no sooner than what was on its way to the database has arrived, for that has one
/// writer and this writes, too, though nothing.
async fn moment(bench: &Bench, milliseconds: u64) {
    let nobody = KeyedRequest {
        key_hash: String::new(),
        about: About::Nobody,
        request_hash: String::new(),
        holder: Uuid::nil(),
    };
    let written = bench.store.let_key_go(&nobody).await;
    written.expect("written");
    let passed = std::time::Duration::from_millis(milliseconds);
    bench.clock.advance(passed);
}

/// So that those who wait look again.
async fn time_passes(bench: &Bench) {
    loop {
        moment(bench, 1).await;
    }
}

#[tokio::test]
async fn twenty_at_once_are_carried_out_once() {
    let bench = Bench::start().await;
    let answers = join_all((0..20).map(async |_| {
        let ask = report(&bench, "k", &batch(1));
        ask.answers(StatusCode::OK).await
    }));
    // Those who wait look again when time has passed.
    let answers = tokio::select! {
        answers = answers => answers,
        () = time_passes(&bench) => unreachable!("it has no end"),
    };
    for answer in &answers {
        assert_eq!(outcome(answer), "created");
    }
    assert_eq!(bench.store.all_keys().await.len(), 1);
}

#[tokio::test]
async fn an_answer_that_asks_to_come_back_is_not_kept() {
    let bench = Bench::start().await;
    let id = bench.connected(coach(1), "a@example.com").await;
    let path = format!("/connections/{id}/test");
    let ask = || bench.as_operator(Method::POST, &path).header(KEY, "k");
    bench.fakes.be_busy(true);
    let refused = ask().send().await;
    refused.assert_header_exist("retry-after");
    refused.assert_status(StatusCode::SERVICE_UNAVAILABLE);
    assert!(bench.store.all_keys().await.is_empty());
    bench.fakes.be_busy(false);
    let report = ask().answers(StatusCode::OK).await;
    assert_eq!(report["ok"], true);
}

#[tokio::test]
async fn an_answer_is_kept_for_a_day() {
    let bench = Bench::start().await;
    report(&bench, "k", &batch(1)).answers(StatusCode::OK).await;
    let a_moment = TimeDelta::seconds(1);
    for (passed, expected) in [(ANSWER_KEPT - a_moment, "created"), (a_moment, "unchanged")] {
        bench.clock.advance(passed.to_std().expect("forward"));
        let answer = report(&bench, "k", &batch(1)).answers(StatusCode::OK).await;
        assert_eq!(outcome(&answer), expected);
    }
}

/// The key of that report, in the name of a process elsewhere.
async fn held_elsewhere(bench: &Bench) -> KeyedRequest {
    report(bench, "k", &batch(1)).answers(StatusCode::OK).await;
    let row = bench.store.all_keys().await.remove(0);
    let elsewhere = KeyedRequest {
        key_hash: row.key_hash,
        about: About::Nobody,
        request_hash: row.request_hash,
        holder: Uuid::from_u128(1),
    };
    let day = ANSWER_KEPT.to_std().expect("forward");
    bench.clock.advance(day);
    let taken = bench.store.hold_key(&elsewhere, bench.clock.now()).await;
    assert!(taken.expect("asked"));
    elsewhere
}

#[tokio::test]
async fn a_request_that_waited_too_long_is_told_when_to_come_back() {
    let bench = Bench::start().await;
    let elsewhere = held_elsewhere(&bench).await;
    let working = async {
        loop {
            let now = bench.clock.now();
            let held = bench.store.hold_key_longer(&elsewhere, now).await;
            held.expect("held");
            bench.clock.advance(std::time::Duration::from_millis(100));
        }
    };
    let began = bench.clock.now();
    let response = tokio::select! {
        response = report(&bench, "k", &batch(1)).send() => response,
        () = working => unreachable!("it has no end"),
    };
    assert!(bench.clock.now() - began >= TimeDelta::seconds(25));
    response.assert_header("retry-after", "1");
    let refused = read(response, StatusCode::CONFLICT).await;
    assert_eq!(refused["code"], "idempotency_key_in_use");
}

#[tokio::test]
async fn a_request_that_takes_longer_than_a_hold_is_not_carried_out_twice() {
    let bench = Bench::start().await;
    let id = bench.connected(coach(1), "a@example.com").await;
    let path = format!("/connections/{id}/test");
    let ask = || {
        let ask = bench.as_operator(Method::POST, &path).header(KEY, "k");
        ask.answers(StatusCode::OK)
    };
    bench.fakes.be_slow(true);
    let passing = async {
        // Longer than two holds, and not nearly as long as the other one waits.
        for _ in 0..120 {
            moment(&bench, 100).await;
        }
        bench.fakes.be_slow(false);
        time_passes(&bench).await;
    };
    let (one, other) = tokio::select! {
        answers = futures::future::join(ask(), ask()) => answers,
        () = passing => unreachable!("it has no end"),
    };
    assert_eq!(one, other);
    assert_eq!(bench.fakes.tested(), 1);
}

#[tokio::test]
async fn a_process_that_died_blocks_its_key_for_seconds() {
    let bench = Bench::start().await;
    held_elsewhere(&bench).await;
    bench.clock.advance(KEY_HELD.to_std().expect("forward"));
    let answer = report(&bench, "k", &batch(1)).answers(StatusCode::OK).await;
    assert_eq!(outcome(&answer), "unchanged");
}

#[tokio::test]
async fn of_a_request_only_hashes_are_stored() {
    let bench = Bench::start().await;
    report(&bench, "a-key-to-remember", &batch(1))
        .answers(StatusCode::OK)
        .await;
    let row = bench.store.all_keys().await.remove(0);
    let stored = [
        row.key_hash,
        row.request_hash,
        row.headers.expect("kept"),
        row.body.expect("kept"),
    ];
    for secret in ["a-key-to-remember", "Zoë", "zoe@example.com", "booking"] {
        assert!(!stored.iter().any(|text| text.contains(secret)), "{secret}");
    }
}

/// Every POST of the document, also one that is added later. A preview changes nothing, and its answer holds
/// client details: it is not kept.
#[tokio::test]
async fn every_post_looks_at_its_key() {
    let bench = Bench::start().await;
    let document: Value = serde_json::from_str(crate::api::document()).expect("JSON");
    let mut looked = 0;
    for (path, operations) in document["paths"].as_object().expect("paths") {
        let Some(path) = path.strip_prefix(BASE_PATH) else {
            continue;
        };
        if operations.get("post").is_none() || path.ends_with("/preview") {
            continue;
        }
        let parts = path.split('/').map(|part| {
            if part.starts_with('{') {
                Uuid::nil().to_string()
            } else {
                part.to_owned()
            }
        });
        let path = parts.collect::<Vec<_>>().join("/");
        let ask = bench.as_operator(Method::POST, &path).header(KEY, "a b");
        let refused = ask.answers(StatusCode::BAD_REQUEST).await;
        assert!(refused.to_string().contains(KEY), "{path}");
        looked += 1;
    }
    assert!(looked >= 5);
}

#[tokio::test]
async fn what_was_refused_before_anything_was_done_is_kept_nowhere() {
    let bench = Bench::start().await;
    let id = bench.connected(coach(1), "a@example.com").await;
    let off = bench.as_operator(Method::PUT, &format!("/connections/{id}"));
    off.json(&json!({"is_sync_enabled": false}))
        .answers(StatusCode::OK)
        .await;
    let sync = format!("/connections/{id}/sync");
    for (path, status, body) in [
        ("/nowhere", 404, None),
        ("/queue", 405, None),
        ("/connections/x/sync", 400, None),
        (sync.as_str(), 400, Some(json!({"surprise": 1}))),
        ("/appointments/batch", 403, Some(batch(1))),
        (sync.as_str(), 409, None),
    ] {
        let ask = bench.as_coach(coach(1), Method::POST, path);
        let ask = ask.header(KEY, "k");
        let ask = match &body {
            Some(body) => ask.json(body),
            None => ask,
        };
        let status = StatusCode::from_u16(status).expect("a status");
        ask.refused(status).await;
        assert!(bench.store.all_keys().await.is_empty(), "{path}");
    }
}

#[tokio::test]
async fn a_coach_has_so_many_keys_and_no_more() {
    let bench = Bench::start().await;
    let id = bench.connected(coach(1), "a@example.com").await;
    for n in 0..1_000_u128 {
        let used = KeyedRequest {
            key_hash: n.to_string(),
            about: About::Coach(coach(1)),
            request_hash: String::new(),
            holder: Uuid::from_u128(n),
        };
        let held = bench.store.hold_key(&used, bench.clock.now()).await;
        assert!(held.expect("asked"));
    }
    let path = format!("/connections/{id}/sync");
    let sync = |key: &str| {
        let ask = bench.as_coach(coach(1), Method::POST, &path);
        ask.header(KEY, key)
    };
    let response = sync("one-more").send().await;
    response.assert_header("retry-after", "3600");
    let refused = read(response, StatusCode::TOO_MANY_REQUESTS).await;
    assert_eq!(refused["code"], "too_many_requests");
    assert!(refused["detail"].as_str().expect("a text").contains(KEY));
    // The platform goes on, and so does the coach when they have ended.
    let ask = bench.as_platform(Method::POST, &path).header(KEY, "k");
    ask.answers(StatusCode::ACCEPTED).await;
    let held = KEY_HELD.to_std().expect("forward");
    bench.clock.advance(held);
    sync("one-more").answers(StatusCode::ACCEPTED).await;
}

#[tokio::test]
async fn of_a_coach_who_is_forgotten_no_answer_is_kept() {
    let bench = Bench::start().await;
    let id = bench.connected(coach(1), "coach@example.com").await;
    let other = bench.connected(coach(2), "other@example.com").await;
    let test = |id: &str| format!("/connections/{id}/test");
    let asks = [
        bench.as_coach(coach(1), Method::POST, &test(&id)),
        bench.as_operator(Method::POST, &test(&id)),
        bench.as_operator(Method::POST, &test(&other)),
    ];
    for (n, ask) in asks.into_iter().enumerate() {
        let key = n.to_string();
        ask.header(KEY, &key).answers(StatusCode::OK).await;
    }
    assert_eq!(bench.store.all_keys().await.len(), 3);
    let path = format!("/coaches/{}", coach(1));
    let forget = bench.as_platform(Method::DELETE, &path);
    forget.answers(StatusCode::ACCEPTED).await;
    let left = bench.store.all_keys().await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].coach_id, Some(coach(2)));
    let again = bench.as_operator(Method::POST, &test(&id)).header(KEY, "1");
    assert_eq!(
        again.refused(StatusCode::NOT_FOUND).await,
        "connection_not_found"
    );
}
