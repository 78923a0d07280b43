//! Requests as nobody should send them: whatever arrives, the answer is one of ours, and soon.

use std::time::Duration;

use poem::http::{Method, StatusCode};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Map, Value, json};

use super::{BASE_PATH, Bench, coach};

const CASES: u32 = 300;
/// An answer that takes longer would be a hang.
const SOON: Duration = Duration::from_secs(5);

/// Runs `check` on many values, all against one control plane.
fn try_many<S: Strategy>(
    strategy: &S,
    check: &impl AsyncFn(&Bench, S::Value) -> Result<(), TestCaseError>,
) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let bench = runtime.block_on(Bench::start());
    let config = Config {
        // No file to replay from: the failing case is printed, small as it then is.
        failure_persistence: None,
        ..Config::with_cases(CASES)
    };
    let ended = TestRunner::new(config).run(strategy, |value| {
        runtime.block_on(async {
            tokio::time::timeout(SOON, check(&bench, value))
                .await
                .unwrap_or_else(|_| Err(TestCaseError::fail("no answer")))
        })
    });
    if let Err(error) = ended {
        panic!("{error}");
    }
}

fn query() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "code",
        "state",
        "error",
        "error_description",
        "scope",
        "return_to",
        "",
        "code[]",
        "%63ode",
    ]);
    let value = prop_oneof![
        "[ -~]{0,20}",
        any::<String>()
            .prop_map(|text| url::form_urlencoded::byte_serialize(text.as_bytes()).collect()),
        prop::sample::select(vec![
            "access_denied",
            "%00",
            "%ff%fe",
            "%",
            "%zz",
            "+",
            "&&",
            "==",
            "A".repeat(128).leak(),
            "A".repeat(5_000).leak(),
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec((name, value), 0..6).prop_map(|pairs| {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("&")
    })
}

fn cookie() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,60}",
        "calendar_sign_in=[ -~]{0,60}",
        "[A-Za-z0-9_-]{43}".prop_map(|value| format!("x=1; calendar_sign_in={value}")),
    ]
}

#[test]
fn the_callback_sends_every_browser_back_whatever_it_brings() {
    try_many(&(query(), cookie()), &async |bench, (query, cookie)| {
        // What no browser can put into an address does not get as far as us.
        let address = format!("{BASE_PATH}/callback?{query}");
        prop_assume!(address.parse::<poem::http::Uri>().is_ok());
        let request = bench.client.get(address).header("Cookie", &cookie);
        let response = request.send().await;
        prop_assert_eq!(response.0.status(), StatusCode::SEE_OTHER);
        let back = response.0.header("location").unwrap_or_default();
        prop_assert!(
            back.starts_with("http://localhost:3001/dashboard?"),
            "{}",
            back
        );
        prop_assert!(back.contains("error="), "{}", back);
        Ok(())
    });
}

fn appointment() -> Value {
    json!({
        "coach_id": coach(1), "status": "confirmed", "time_zone": "Europe/Berlin",
        "starts_at": "2026-12-01T09:00:00Z", "ends_at": "2026-12-01T10:00:00Z",
        "client": {"name": "Anna", "email": "anna@example.com"}, "notes": "n", "location": "l",
        "meeting_url": "https://meet.example.com/1", "revision": 3,
    })
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::sample::select(vec![
            "confirmed",
            "9999-12-31T23:59:59Z",
            "-262143-01-01T00:00:00Z",
            "2026-12-01T09:00:60Z",
            "2026-12-01T09:00:00+23:59",
            "UTC",
            "Europe/Berlin",
            "javascript:alert(1)",
            "{client_name}",
            "{",
            "a@b",
            "\u{0}",
            "\u{202e}",
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-z_]{0,8}", inner), 0..4)
                .prop_map(|fields| Value::from(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// A right appointment of which one or two fields are not.
fn nearly_right() -> impl Strategy<Value = Value> {
    let names: Vec<String> = appointment()
        .as_object()
        .expect("an object")
        .keys()
        .cloned()
        .chain(["surprise".to_owned()])
        .collect();
    prop::collection::vec((prop::sample::select(names), any_json()), 1..3).prop_map(|changes| {
        let mut body = appointment();
        for (name, value) in changes {
            body[name] = value;
        }
        body
    })
}

/// An answer of ours: a success, or a problem that says what is wrong.
async fn answers(
    bench: &Bench,
    method: Method,
    path: &str,
    body: Vec<u8>,
) -> Result<(), TestCaseError> {
    let ask = bench.as_operator(method, path);
    let response = ask
        .0
        .content_type("application/json")
        .body(body)
        .send()
        .await;
    let status = response.0.status();
    prop_assert!(!status.is_server_error(), "{status}");
    if !status.is_success() {
        prop_assert_eq!(response.0.content_type(), Some("application/problem+json"));
    }
    Ok(())
}

#[test]
fn no_body_is_answered_with_a_failure_of_ours() {
    let id = "0191d3a0-0000-7000-8000-000000000001";
    let routes = prop::sample::select(vec![
        (Method::PUT, format!("/appointments/{id}")),
        (Method::POST, "/appointments/batch".to_owned()),
        (Method::PUT, format!("/connections/{id}")),
        (Method::POST, format!("/connections/{id}/sync")),
        (Method::POST, format!("/connections/{id}/preview")),
    ]);
    let body = prop_oneof![
        4 => nearly_right().prop_map(|body| body.to_string().into_bytes()),
        2 => nearly_right().prop_map(|mut item| {
            item["id"] = json!("0191d3a0-0000-7000-8000-000000000002");
            json!({"appointments": [item]}).to_string().into_bytes()
        }),
        2 => any_json().prop_map(|body| body.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..80),
        1 => (1_usize..20_000).prop_map(|depth| "[".repeat(depth).into_bytes()),
    ];
    try_many(&(routes, body), &async |bench, ((method, path), body)| {
        answers(bench, method, &path, body).await
    });
}
