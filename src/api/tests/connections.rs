//! Settings, sync and the end of a connection; and who may ask for them.

use poem::http::{Method, StatusCode};
use serde_json::json;

use super::{Bench, appointment, coach};
use crate::domain::ProviderKind;

#[tokio::test]
async fn only_given_settings_change_and_mistakes_are_named() {
    let bench = Bench::start().await;
    let id = bench.connected(coach(1), "a@example.com").await;
    let path = format!("/connections/{id}");
    let put = || bench.as_coach(coach(1), Method::PUT, &path);

    let body = json!({"include_client_details": true, "event_title_template": "{client_name}"});
    let changed = put().json(&body).answers(StatusCode::OK).await;
    assert_eq!(changed["include_client_details"], true);
    assert_eq!(changed["auto_create_events"], true);
    assert_eq!(changed["event_title_template"], "{client_name}");

    let body = json!({"event_title_template": "{clientname}", "event_description_template": "{"});
    let refused = put()
        .json(&body)
        .answers(StatusCode::UNPROCESSABLE_ENTITY)
        .await;
    assert_eq!(refused["errors"][0]["pointer"], "/event_title_template");
    let detail = refused["errors"][0]["detail"].as_str().expect("a text");
    assert!(detail.contains("{clientname}"));
    assert_eq!(
        refused["errors"][1]["pointer"],
        "/event_description_template"
    );

    let body = json!({"is_sync_enabled": "no", "colour": "red"});
    let refused = put().json(&body).answers(StatusCode::BAD_REQUEST).await;
    assert_eq!(refused["code"], "invalid_body");
    assert_eq!(refused["errors"].as_array().expect("errors").len(), 2);
}

#[tokio::test]
async fn a_condition_that_is_none_is_named_and_nothing_is_changed() {
    let bench = Bench::start().await;
    let id = bench.connected(coach(1), "a@example.com").await;
    let put = format!("/connections/{id}");
    let list = format!("/connections/{}", coach(1));
    let off = json!({"is_sync_enabled": false});
    for (method, path, header) in [
        (Method::PUT, &put, "If-Match"),
        (Method::GET, &list, "If-None-Match"),
    ] {
        for text in ["3", "\"a", "", "\"a\", b"] {
            let ask = bench.as_coach(coach(1), method.clone(), path).json(&off);
            let ask = ask.header(header, text);
            let refused = ask.answers(StatusCode::BAD_REQUEST).await;
            assert_eq!(refused["code"], "invalid_parameter");
            let detail = refused["detail"].as_str().expect("a text");
            assert!(detail.contains(header), "{detail}");
        }
    }
    let list = bench.as_coach(coach(1), Method::GET, &list);
    let list = list.answers(StatusCode::OK).await;
    assert_eq!(list["connections"][0]["is_sync_enabled"], true);
}

#[tokio::test]
async fn an_outdated_change_calls_no_provider_and_tells_others_nothing() {
    let bench = Bench::start().await;
    let id = bench.connected(coach(1), "a@example.com").await;
    // A live call would be answered with 503.
    bench.fakes.be_busy(true);
    let body = json!({"calendar_id": "work"});
    let put = |id: &str| {
        let path = format!("/connections/{id}");
        let ask = bench.as_coach(coach(1), Method::PUT, &path).json(&body);
        ask.header("If-Match", "\"outdated\"")
    };
    let code = put(&id).refused(StatusCode::PRECONDITION_FAILED).await;
    assert_eq!(code, "precondition_failed");
    let unknown = uuid::Uuid::from_u128(9).to_string();
    let code = put(&unknown).refused(StatusCode::NOT_FOUND).await;
    assert_eq!(code, "connection_not_found");
}

#[tokio::test]
async fn a_calendar_is_taken_only_if_the_account_has_it() {
    let bench = Bench::start().await;
    let id = bench.connected(coach(1), "a@example.com").await;
    let path = format!("/connections/{id}");
    let put = |calendar: &str| {
        let body = json!({"calendar_id": calendar});
        bench.as_coach(coach(1), Method::PUT, &path).json(&body)
    };
    let refused = put("work").answers(StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(refused["errors"][0]["pointer"], "/calendar_id");
    bench.fakes.offer("work");
    assert_eq!(
        put("work").answers(StatusCode::OK).await["calendar_id"],
        "work"
    );

    let list = bench.as_coach(coach(1), Method::GET, &format!("{path}/calendars"));
    let list = list.answers(StatusCode::OK).await;
    assert_eq!(list["calendars"][0]["selected"], true);

    bench.fakes.be_busy(true);
    let ask = bench.as_coach(coach(1), Method::POST, &format!("{path}/test"));
    let response = ask.send().await;
    response.assert_header_exist("retry-after");
    response.assert_status(StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn anothers_connection_looks_like_none() {
    let bench = Bench::start().await;
    let id = bench.connected(coach(1), "a@example.com").await;
    let unknown = uuid::Uuid::from_u128(9);
    for path in ["", "/sync", "/sync-status", "/calendars", "/test"] {
        let method = match path {
            "" => Method::DELETE,
            "/sync" | "/test" => Method::POST,
            _ => Method::GET,
        };
        let mut bodies = Vec::new();
        for id in [id.as_str(), &unknown.to_string()] {
            let ask = bench.as_coach(
                coach(2),
                method.clone(),
                &format!("/connections/{id}{path}"),
            );
            let ask = ask.header("x-request-id", "same");
            bodies.push(ask.answers(StatusCode::NOT_FOUND).await);
        }
        assert_eq!(bodies[0], bodies[1], "{path}");
        assert_eq!(bodies[0]["code"], "connection_not_found");
    }
    let ask = bench.as_coach(coach(2), Method::GET, &format!("/connections/{}", coach(1)));
    assert_eq!(ask.refused(StatusCode::FORBIDDEN).await, "forbidden");
}

#[tokio::test]
async fn sync_now_starts_at_once_and_again_is_the_same_sync() {
    let bench = Bench::start().await;
    let id = bench.connected(coach(1), "a@example.com").await;
    let put = format!("/appointments/{}", uuid::Uuid::from_u128(7));
    let report = bench
        .as_platform(Method::PUT, &put)
        .json(&appointment(coach(1)));
    report.answers(StatusCode::CREATED).await;
    bench.fakes.woken();

    let path = format!("/connections/{id}/sync");
    let first = bench.as_coach(coach(1), Method::POST, &path);
    let first = first.answers(StatusCode::ACCEPTED).await;
    assert_eq!(first["queued"], 1);
    assert_eq!(bench.fakes.woken().len(), 1);
    let again = bench
        .as_coach(coach(1), Method::POST, &path)
        .json(&json!({}));
    let again = again.answers(StatusCode::ACCEPTED).await;
    assert_eq!(first["sync_id"], again["sync_id"]);

    let status = bench.as_coach(coach(1), Method::GET, &format!("{path}-status"));
    let status = status.answers(StatusCode::OK).await;
    assert_eq!(status["pending"], 1);
    assert_eq!(status["current"]["total"], 1);

    let one = json!({"appointment_id": uuid::Uuid::from_u128(8)});
    let ask = bench.as_coach(coach(1), Method::POST, &path).json(&one);
    assert_eq!(
        ask.refused(StatusCode::NOT_FOUND).await,
        "appointment_not_found"
    );

    let off = bench.as_coach(coach(1), Method::PUT, &format!("/connections/{id}"));
    off.json(&json!({"is_sync_enabled": false}))
        .answers(StatusCode::OK)
        .await;
    let ask = bench.as_coach(coach(1), Method::POST, &path);
    assert_eq!(ask.refused(StatusCode::CONFLICT).await, "sync_disabled");
}

#[tokio::test]
async fn the_last_connection_of_an_account_takes_its_grant_along() {
    let bench = Bench::start().await;
    let first = bench.connected(coach(1), "shared@example.com").await;
    let second = bench.connected(coach(2), "shared@example.com").await;
    for (coach_number, id, revoked) in [(1, first, false), (2, second, true)] {
        let path = format!("/connections/{id}");
        let ended = bench.as_coach(coach(coach_number), Method::DELETE, &path);
        let ended = ended.answers(StatusCode::OK).await;
        assert_eq!(ended["status"], "disconnected");
        assert_eq!(ended["provider_access_revoked"], revoked);
        let again = bench.as_coach(coach(coach_number), Method::DELETE, &path);
        again.answers(StatusCode::NOT_FOUND).await;
    }
    let handle = bench.simulator.handle();
    assert!(!handle.revoke(ProviderKind::Google, "shared@example.com"));
}

#[tokio::test]
async fn a_coach_who_leaves_is_forgotten() {
    let bench = Bench::start().await;
    bench.connected(coach(1), "a@example.com").await;
    let put = format!("/appointments/{}", uuid::Uuid::from_u128(7));
    let report = bench
        .as_platform(Method::PUT, &put)
        .json(&appointment(coach(1)));
    report.answers(StatusCode::CREATED).await;

    let path = format!("/coaches/{}", coach(1));
    let ask = bench.as_coach(coach(1), Method::DELETE, &path);
    assert_eq!(ask.refused(StatusCode::FORBIDDEN).await, "forbidden");
    let forgotten = bench.as_platform(Method::DELETE, &path);
    let forgotten = forgotten.answers(StatusCode::ACCEPTED).await;
    assert_eq!(forgotten["disconnected"], 1);
    let ask = bench.as_platform(Method::GET, &put);
    assert_eq!(
        ask.refused(StatusCode::NOT_FOUND).await,
        "appointment_not_found"
    );
    let known = bench.store.all_connections_of(coach(1)).await;
    assert!(known.expect("a list").is_empty());
}

#[tokio::test]
async fn whoever_asks_for_the_sync_that_runs_starts_none_and_leaves_no_line() {
    let bench = Bench::start().await;
    let id = bench.connected(coach(1), "a@example.com").await;
    let put = format!("/appointments/{}", uuid::Uuid::from_u128(7));
    let report = bench.as_platform(Method::PUT, &put);
    let report = report.json(&appointment(coach(1)));
    report.answers(StatusCode::CREATED).await;
    let sync = format!("/connections/{id}/sync");
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..5 {
        let ask = bench.as_coach(coach(1), Method::POST, &sync);
        let answer = ask.answers(StatusCode::ACCEPTED).await;
        ids.insert(answer["sync_id"].to_string());
    }
    assert_eq!(ids.len(), 1);
    let ask = bench.as_operator(Method::GET, "/audit?action=sync_started");
    let lines = ask.answers(StatusCode::OK).await;
    assert_eq!(lines["events"].as_array().expect("a list").len(), 1);
}
