//! Reports of appointments, pages of them, and the answer to "why is this not in my calendar?".

use poem::http::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Bench, appointment, coach};

fn path(n: u128) -> String {
    format!("/appointments/{}", Uuid::from_u128(n))
}

#[tokio::test]
async fn a_report_creates_then_changes_then_is_stale() {
    let bench = Bench::start().await;
    bench.connected(coach(1), "a@example.com").await;
    let put = |body: Value| bench.as_platform(Method::PUT, &path(7)).json(&body);
    let mut body = appointment(coach(1));
    body["revision"] = json!(2);
    let created = put(body.clone()).answers(StatusCode::CREATED).await;
    assert_eq!(
        (&created["outcome"], &created["queued"]),
        (&json!("created"), &json!(1))
    );
    let same = put(body.clone()).answers(StatusCode::OK).await;
    assert_eq!(
        (&same["outcome"], &same["queued"]),
        (&json!("unchanged"), &json!(0))
    );
    body["revision"] = json!(1);
    assert_eq!(put(body).answers(StatusCode::OK).await["outcome"], "stale");
}

#[tokio::test]
async fn impossible_appointments_are_refused_field_by_field() {
    let bench = Bench::start().await;
    let mut bad = appointment(coach(1));
    bad["time_zone"] = json!("Europe/Atlantis");
    bad["ends_at"] = bad["starts_at"].clone();
    bad["client"]["email"] = json!("nobody");
    let ask = bench.as_platform(Method::PUT, &path(7)).json(&bad);
    let refused = ask.answers(StatusCode::UNPROCESSABLE_ENTITY).await;
    let pointers = refused["errors"].as_array().expect("errors").iter();
    let pointers: Vec<_> = pointers.map(|error| error["pointer"].clone()).collect();
    assert_eq!(pointers, ["/ends_at", "/client/email", "/time_zone"]);

    // All or nothing.
    let item = |n: u128, mut body: Value| {
        body["id"] = json!(Uuid::from_u128(n));
        body
    };
    let batch = json!({"appointments": [item(1, appointment(coach(1))), item(2, bad)]});
    let ask = bench
        .as_platform(Method::POST, "/appointments/batch")
        .json(&batch);
    let refused = ask.answers(StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(refused["errors"][0]["pointer"], "/appointments/1/ends_at");
    bench
        .as_platform(Method::GET, &path(1))
        .answers(StatusCode::NOT_FOUND)
        .await;

    let empty = json!({"appointments": []});
    let ask = bench
        .as_platform(Method::POST, "/appointments/batch")
        .json(&empty);
    assert_eq!(ask.refused(StatusCode::BAD_REQUEST).await, "invalid_body");
}

#[tokio::test]
async fn a_coach_sees_own_appointments_and_why_they_stand_as_they_do() {
    let bench = Bench::start().await;
    let id = bench.connected(coach(1), "a@example.com").await;
    let report = bench
        .as_platform(Method::PUT, &path(7))
        .json(&appointment(coach(1)));
    report.answers(StatusCode::CREATED).await;

    let found = bench.as_coach(coach(1), Method::GET, &path(7));
    let found = found.answers(StatusCode::OK).await;
    assert_eq!(found["status"], "confirmed");
    assert_eq!(found["starts_at"], "2026-11-02T09:00:00Z");
    let standing = &found["connections"][0];
    assert_eq!(standing["connection_id"], id.as_str());
    assert_eq!(standing["sync_status"], "pending");
    assert_eq!(standing["reason"], "It is queued and due now.");
    assert_eq!(standing["external_event_id"], Value::Null);

    let other = bench.as_coach(coach(2), Method::GET, &path(7));
    assert_eq!(
        other.refused(StatusCode::NOT_FOUND).await,
        "appointment_not_found"
    );
    let report = bench
        .as_coach(coach(1), Method::PUT, &path(7))
        .json(&appointment(coach(1)));
    assert_eq!(report.refused(StatusCode::FORBIDDEN).await, "forbidden");

    let erased = bench.as_platform(Method::DELETE, &path(7));
    erased.answers(StatusCode::ACCEPTED).await;
    let again = bench.as_platform(Method::DELETE, &path(7));
    again.answers(StatusCode::NOT_FOUND).await;
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_overlap() {
    let bench = Bench::start().await;
    let items: Vec<_> = (1..=5_u128)
        .map(|n| {
            let mut item = appointment(coach(1));
            item["id"] = json!(Uuid::from_u128(n));
            item
        })
        .collect();
    let batch = bench.as_platform(Method::POST, "/appointments/batch");
    let batch = batch.json(&json!({"appointments": items}));
    let results = batch.answers(StatusCode::OK).await;
    assert_eq!(results["results"].as_array().expect("results").len(), 5);

    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let list = format!("/appointments?coach_id={}&limit=2{cursor}", coach(1));
        let page = bench.as_coach(coach(1), Method::GET, &list);
        let page = page.answers(StatusCode::OK).await;
        let ids = page["appointments"].as_array().expect("a page").iter();
        seen.extend(ids.map(|item| item["id"].clone()));
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    let expected: Vec<_> = (1..=5_u128).map(|n| json!(Uuid::from_u128(n))).collect();
    assert_eq!(seen, expected);

    for (query, code) in [
        ("limit=0", "invalid_parameter"),
        ("limit=201", "invalid_parameter"),
        ("from=yesterday", "invalid_parameter"),
        ("cursor=made-up", "invalid_cursor"),
    ] {
        let list = format!("/appointments?coach_id={}&{query}", coach(1));
        let ask = bench.as_coach(coach(1), Method::GET, &list);
        assert_eq!(ask.refused(StatusCode::BAD_REQUEST).await, code, "{query}");
    }
}

#[tokio::test]
async fn the_queue_is_for_operators() {
    let bench = Bench::start().await;
    bench.connected(coach(1), "a@example.com").await;
    let report = bench
        .as_platform(Method::PUT, &path(7))
        .json(&appointment(coach(1)));
    report.answers(StatusCode::CREATED).await;
    let ask = bench.as_platform(Method::GET, "/queue");
    assert_eq!(ask.refused(StatusCode::FORBIDDEN).await, "forbidden");

    let list = bench.as_operator(Method::GET, "/queue?status=pending");
    let list = list.answers(StatusCode::OK).await;
    let job = &list["jobs"][0];
    assert_eq!(job["operation"], "create");
    let retry = format!("/queue/{}/retry", job["id"].as_str().expect("an id"));
    let ask = bench.as_operator(Method::POST, &retry);
    assert_eq!(ask.refused(StatusCode::CONFLICT).await, "job_not_failed");
    let all = bench.as_operator(Method::POST, "/queue/retry-failed");
    assert_eq!(all.answers(StatusCode::ACCEPTED).await["queued"], 0);
}
