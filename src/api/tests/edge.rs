//! What holds for every request: ids, problems, headers, limits, permissions of pages.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures::poll;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use poem::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{BASE_PATH, Bench, SECRET, coach, read};
use crate::domain::Clock;

#[tokio::test]
async fn every_failure_is_a_problem_with_the_request_id() {
    let bench = Bench::start().await;
    let list = format!("/connections/{}", coach(1));
    for (method, path, status, code) in [
        (Method::GET, "/nowhere", 404, "not_found"),
        (Method::PATCH, list.as_str(), 405, "method_not_allowed"),
        (
            Method::GET,
            "/connections/not-a-uuid",
            400,
            "invalid_parameter",
        ),
        (Method::GET, "/appointments", 400, "invalid_parameter"),
    ] {
        let response = bench
            .as_operator(method, path)
            .header("x-request-id", "trace-1")
            .send()
            .await;
        response.assert_content_type("application/problem+json");
        response.assert_header("x-request-id", "trace-1");
        response.assert_header("x-content-type-options", "nosniff");
        let status = StatusCode::from_u16(status).expect("a status");
        let body = read(response, status).await;
        assert_eq!(body["code"], code, "{path}");
        assert_eq!(body["request_id"], "trace-1");
        assert_eq!(body["type"], "about:blank");
    }
}

#[tokio::test]
async fn a_method_that_an_address_does_not_know_is_answered_with_those_it_knows() {
    let bench = Bench::start().await;
    let document: Value = serde_json::from_str(crate::api::document()).expect("JSON");
    let paths = document["paths"].as_object().expect("paths");
    let mut cases: Vec<_> = ["/docs", "/openapi.json", "/openapi.yaml"]
        .map(|page| (page.to_owned(), "GET, HEAD".to_owned()))
        .into();
    for (path, operations) in paths {
        let methods = operations.as_object().expect("operations").keys();
        let methods: Vec<_> = methods.map(|name| name.to_ascii_uppercase()).collect();
        let methods = methods.join(", ").replace("GET", "GET, HEAD");
        cases.push((path.replace(['{', '}'], ""), methods));
    }
    for (path, methods) in cases {
        let response = bench.client.patch(&path).send().await;
        response.assert_status(StatusCode::METHOD_NOT_ALLOWED);
        response.assert_header("allow", &methods);
    }
}

#[tokio::test]
async fn nobody_gets_in_without_a_believable_token() {
    let bench = Bench::start().await;
    let path = format!("{BASE_PATH}/connections/{}", coach(1));
    let response = bench.client.get(&path).send().await;
    response.assert_header("www-authenticate", "Bearer");
    assert_eq!(
        read(response, StatusCode::UNAUTHORIZED).await["code"],
        "unauthorized"
    );
    let response = bench
        .client
        .get(&path)
        .header("Authorization", "Bearer x.y.z");
    let response = response.send().await;
    let challenge = response.0.header("www-authenticate").expect("a challenge");
    assert!(challenge.contains("invalid_token"));
    response.assert_status(StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_panic_is_an_answer_that_tells_nothing() {
    let bench = Bench::start().await;
    let token = bench.token(crate::security::api_token::Role::Admin, "ops");
    let response = bench.client.get("/metrics");
    let response = response.header("Authorization", format!("Bearer {token}"));
    let body = read(response.send().await, StatusCode::INTERNAL_SERVER_ERROR).await;
    assert_eq!(body["code"], "internal");
    assert!(!body.to_string().contains("secret"));
}

#[tokio::test]
async fn bodies_are_bounded_and_must_be_json() {
    let bench = Bench::start().await;
    let path = format!("{BASE_PATH}/appointments/{}", uuid::Uuid::from_u128(1));
    let token = bench.token(crate::security::api_token::Role::Service, "booking");
    for (content_type, body, status, code) in [
        (
            "application/json",
            "x".repeat(256 * 1024 + 1),
            413,
            "payload_too_large",
        ),
        ("application/json", "{".to_owned(), 400, "invalid_body"),
        ("text/plain", "{}".to_owned(), 415, "unsupported_media_type"),
    ] {
        let response = bench
            .client
            .put(&path)
            .header("Authorization", format!("Bearer {token}"))
            .content_type(content_type)
            .body(body)
            .send()
            .await;
        let status = StatusCode::from_u16(status).expect("a status");
        assert_eq!(read(response, status).await["code"], code);
    }
}

/// Of each kind of body: what is too large for its operation is not read, whatever another may take.
#[tokio::test]
async fn an_operation_reads_no_more_than_its_own_body_can_need() {
    let bench = Bench::start().await;
    let id = bench.connected(coach(1), "a@example.com").await;
    let connection = format!("/connections/{id}");
    for (method, path, most) in [
        (Method::PUT, connection.clone(), 64 * 1024),
        (Method::POST, format!("{connection}/preview"), 64 * 1024),
        (Method::POST, format!("{connection}/sync"), 4 * 1024),
        (Method::POST, "/webhooks".to_owned(), 32 * 1024),
        (Method::POST, "/appointments/batch".to_owned(), 8 << 20),
    ] {
        for (bytes, status, code) in [
            (most, 400, "invalid_body"),
            (most + 1, 413, "payload_too_large"),
        ] {
            for key in [None, Some("k")] {
                let ask = bench.as_operator(method.clone(), &path);
                let ask = match key {
                    Some(key) => ask.header("Idempotency-Key", key),
                    None => ask,
                };
                let request = ask.0.content_type("application/json");
                let response = request.body(" ".repeat(bytes)).send().await;
                let status = StatusCode::from_u16(status).expect("a status");
                assert_eq!(read(response, status).await["code"], code, "{path}");
            }
        }
    }
    // Where there is no body, one is read only to tell two requests under one key apart.
    for path in [format!("{connection}/test"), "/queue/retry-failed".into()] {
        let ask = bench.as_operator(Method::POST, &path);
        let request = ask.header("Idempotency-Key", "k").0;
        let response = request.body(" ".repeat(4 * 1024 + 1)).send().await;
        let refused = read(response, StatusCode::PAYLOAD_TOO_LARGE).await;
        assert_eq!(refused["code"], "payload_too_large", "{path}");
    }
}

/// The longest that each field may have, each character written in as many bytes as JSON allows.
#[tokio::test]
async fn whatever_the_fields_may_hold_fits_into_the_body() {
    let bench = Bench::start().await;
    let id = bench.connected(coach(1), "a@example.com").await;
    let long = |count: usize| "\\ud83d\\ude00".repeat(count);
    let mut body = super::appointment(coach(1));
    for (pointer, count) in [
        ("/client/name", 200),
        ("/notes", 8_000),
        ("/location", 1_000),
    ] {
        let name = pointer.trim_start_matches('/');
        let place = match body.pointer_mut(pointer) {
            Some(place) => place,
            None => &mut body[name],
        };
        *place = json!(format!("<{count}>"));
    }
    let mut text = body.to_string();
    for count in [200, 8_000, 1_000] {
        text = text.replace(&format!("<{count}>"), &long(count));
    }
    let path = format!("/appointments/{}", uuid::Uuid::from_u128(1));
    let ask = bench.as_platform(Method::PUT, &path).0;
    let reported = ask.content_type("application/json").body(text).send().await;
    reported.assert_status(StatusCode::CREATED);

    let (template, calendar) = (long(2_000), long(1_024));
    let text = format!(
        "{{\"event_title_template\": \"{template}\", \"event_description_template\": \
         \"{template}\", \"calendar_id\": \"{calendar}\"}}"
    );
    let ask = bench.as_coach(coach(1), Method::PUT, &format!("/connections/{id}"));
    let request = ask.0.content_type("application/json").body(text);
    let status = request.send().await.0.status();
    assert_ne!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(!status.is_server_error(), "{status}");
}

#[tokio::test]
async fn where_there_is_no_room_a_body_is_asked_to_come_back() {
    let bench = Bench::start().await;
    let report = |key: &str| {
        let mut item = super::appointment(coach(1));
        item["id"] = json!(uuid::Uuid::from_u128(1));
        let ask = bench.as_platform(Method::POST, "/appointments/batch");
        let ask = ask.header("Idempotency-Key", key);
        ask.json(&json!({"appointments": [item]})).send()
    };
    // What was read gave its room back: filling it up takes all of it, again and again.
    for key in ["a", "b"] {
        let filled = bench.bodies.fill_up();
        let response = report(key).await;
        response.assert_header("retry-after", "1");
        let refused = read(response, StatusCode::TOO_MANY_REQUESTS).await;
        assert_eq!(refused["code"], "too_many_requests");
        drop(filled);
        report(key).await.assert_status_is_ok();
    }
}

#[tokio::test]
async fn listed_pages_may_call_and_others_are_given_no_permission() {
    let bench = Bench::start().await;
    for (origin, is_allowed) in [
        ("https://app.example.com", true),
        ("http://localhost:3001", true),
        ("https://evil.test", false),
        ("null", false),
    ] {
        let preflight = bench
            .client
            .request(Method::OPTIONS, format!("{BASE_PATH}/queue"))
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "GET")
            .send()
            .await;
        preflight.assert_status(StatusCode::NO_CONTENT);
        preflight.assert_header("vary", "Origin");
        let live = bench.client.get("/health/live").header("Origin", origin);
        let live = live.send().await;
        live.assert_status_is_ok();
        for response in [preflight, live] {
            let given = response.0.header("access-control-allow-origin");
            assert_eq!(given, is_allowed.then_some(origin), "{origin}");
        }
    }
}

#[tokio::test]
async fn documents_and_readiness_need_no_token() {
    let bench = Bench::start().await;
    let document = bench.client.get("/openapi.json").send().await;
    assert_eq!(read(document, StatusCode::OK).await["openapi"], "3.0.0");
    let yaml = bench.client.get("/openapi.yaml").send().await;
    yaml.assert_header("content-type", "application/yaml");
    let yaml = yaml.0.into_body().into_string().await.expect("text");
    let yaml: Value = serde_yaml::from_str(&yaml).expect("YAML");
    let json: Value = serde_json::from_str(crate::api::document()).expect("JSON");
    assert_eq!(yaml, json);
    let page = bench.client.get("/docs").send().await;
    page.assert_status_is_ok();
    let policy = page.0.header("content-security-policy").expect("a policy");
    assert!(policy.contains("script-src 'sha256-"));
    let ready = bench.client.get("/health/ready").send().await;
    ready.assert_header_exist("retry-after");
    let body = read(ready, StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(body["parts"][0]["name"], "database");
}

#[tokio::test]
async fn an_answer_to_a_guessed_token_comes_late_and_to_a_good_one_at_once() {
    let bench = Bench::start().await;
    let path = format!("/connections/{}", coach(1));
    let guess = || bench.request(Method::GET, &path, "no.such.token");
    for _ in 0..10 {
        assert_eq!(
            guess().refused(StatusCode::UNAUTHORIZED).await,
            "unauthorized"
        );
    }
    for milliseconds in [100, 200] {
        let mut late = pin!(guess().refused(StatusCode::UNAUTHORIZED));
        assert!(poll!(&mut late).is_pending());
        let own = bench.as_coach(coach(1), Method::GET, &path);
        own.answers(StatusCode::OK).await;
        let a_moment = Duration::from_millis(1);
        bench
            .clock
            .advance(Duration::from_millis(milliseconds) - a_moment);
        assert!(poll!(&mut late).is_pending());
        bench.clock.advance(a_moment);
        assert_eq!(late.await, "unauthorized");
    }
}

#[tokio::test]
async fn a_token_that_was_signed_rightly_is_no_guess_and_hears_at_once_what_is_wrong() {
    let bench = Bench::start().await;
    let exp = bench.clock.now().timestamp() + 3_600;
    let claims = json!({"sub": "ops", "role": "gardener", "exp": exp});
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key);
    let token = token.expect("a token");
    for _ in 0..30 {
        let ask = bench.request(Method::GET, "/queue", &token);
        let told = pin!(ask.refused(StatusCode::UNAUTHORIZED));
        assert_eq!(poll!(told), Poll::Ready("unauthorized".to_owned()));
    }
}
