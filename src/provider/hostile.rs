//! Answers as no provider should give them, for the tests of everything that reads answers.
//!
//! They are made of the words that the providers do use, in places where they do not belong: that gets
//! further into a reader than noise does.

use proptest::prelude::*;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use serde_json::{Map, Value, json};

use super::http::Answer;

const NAMES: &[&str] = &[
    "id",
    "etag",
    "@odata.etag",
    "@odata.nextLink",
    "nextPageToken",
    "status",
    "items",
    "value",
    "attendees",
    "email",
    "responseStatus",
    "self",
    "organizer",
    "emailAddress",
    "address",
    "type",
    "error",
    "errors",
    "reason",
    "code",
    "message",
    "details",
    "metadata",
    "quota_limit",
    "innerError",
    "@event.existingEventId",
    "extendedProperties",
    "private",
    "event_key",
    "appointment_id",
    "isCancelled",
    "isOnlineMeeting",
    "onlineMeeting",
    "joinUrl",
    "body",
    "content",
    "contentType",
    "createdDateTime",
    "start",
    "end",
    "dateTime",
    "timeZone",
    "responses",
    "headers",
    "Retry-After",
];
const WORDS: &[&str] = &[
    "",
    "confirmed",
    "cancelled",
    "accepted",
    "client@example.com",
    "CLIENT@example.com",
    "@",
    "\"1\"",
    "*",
    "W/\"x\"",
    "rateLimitExceeded",
    "userRateLimitExceeded",
    "dailyLimitExceeded",
    "quotaExceeded",
    "duplicate",
    "conditionNotMet",
    "forbidden",
    "insufficientPermissions",
    "ErrorItemNotFound",
    "ErrorDuplicateTransactionId",
    "ApplicationThrottled",
    "defaultPerMinutePerProject",
    "http://graph.test/v1.0/me/events?page=2",
    "http://evil.test/",
    "2026-11-01T10:00:00Z",
    "9999999-99-99T99:99:99Z",
    "html",
    "<html>",
    "\r\nX: y",
    "\0",
    "💥",
];

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => prop::sample::select(WORDS).prop_map(Value::from),
        1 => any::<String>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(6, 60, 6, |inner| {
        let name = prop::sample::select(NAMES).prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..8)
                .prop_map(|fields| Value::from(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => json().prop_map(|value| value.to_string().into_bytes()),
        // In the place where an error's code is looked for.
        3 => prop::sample::select(WORDS).prop_map(|word| {
            json!({"error": {"code": word, "errors": [{"reason": word}]}}).to_string().into_bytes()
        }),
        1 => json().prop_map(|value| {
            let text = value.to_string().into_bytes();
            text[..text.len() / 2].to_vec()
        }),
        1 => prop::collection::vec(any::<u8>(), 0..60),
        // Deeper than a reader may follow on its stack.
        1 => (1_usize..20_000).prop_map(|depth| "[".repeat(depth).into_bytes()),
    ]
}

/// Any status, any body, and perhaps a wait that is none.
pub(super) fn answer() -> impl Strategy<Value = Answer> {
    let status = prop_oneof![
        6 => prop::sample::select(&[
            200_u16, 201, 204, 400, 401, 403, 404, 409, 410, 412, 424, 429, 500, 503,
        ][..]),
        1 => 100_u16..1000,
    ];
    let wait = prop::option::of("[0-9A-Za-z:., -]{0,30}");
    (status, wait, body()).prop_map(|(status, wait, body)| {
        let mut headers = HeaderMap::new();
        if let Some(wait) = wait.and_then(|wait| HeaderValue::from_str(&wait).ok()) {
            headers.insert(RETRY_AFTER, wait);
        }
        Answer {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::OK),
            headers,
            body,
        }
    })
}
