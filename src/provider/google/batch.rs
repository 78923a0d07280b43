//! Google's batch format: `multipart/mixed` whose parts are whole HTTP messages. Pure.
//!
//! Parts are matched by `Content-ID` and by nothing else. An answer is hostile input: bounded in
//! parts and headers, and whatever cannot be read counts as missing.

use std::convert::Infallible;
use std::fmt::Write;

use futures::FutureExt;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::routes::GoogleEndpoints;
use crate::provider::http::Answer;
use crate::provider::script::Call;

/// Google's pages name different numbers; the lowest is safe.
pub(super) const MAX_PARTS: usize = 50;
/// JSON holds no line break inside a text, so no part can hold a line that starts like this.
const BOUNDARY: &str = "calendar-integration-batch";
const MAX_HEADERS: usize = 64;
/// RFC 2046, section 5.1.1.
const MAX_BOUNDARY_CHARS: usize = 70;

/// The batch as a body and its content type.
pub(super) fn compose(google: &GoogleEndpoints, calls: &[Call]) -> (String, Vec<u8>) {
    let mut text = String::new();
    for (index, call) in calls.iter().enumerate() {
        part(&mut text, google, index, call).expect("writing to a string cannot fail");
    }
    text.push_str("--");
    text.push_str(BOUNDARY);
    text.push_str("--\r\n");
    (
        format!("multipart/mixed; boundary={BOUNDARY}"),
        text.into_bytes(),
    )
}

fn part(
    text: &mut String,
    google: &GoogleEndpoints,
    index: usize,
    call: &Call,
) -> std::fmt::Result {
    write!(text, "--{BOUNDARY}\r\n")?;
    write!(text, "Content-Type: application/http\r\n")?;
    write!(text, "Content-ID: <change-{index}>\r\n\r\n")?;
    let path = google.inner_path(&call.url);
    write!(text, "{} {path} HTTP/1.1\r\n", call.method)?;
    if let Some(Ok(etag)) = call.if_match.as_ref().map(HeaderValue::to_str) {
        write!(text, "If-Match: {etag}\r\n")?;
    }
    match &call.body {
        Some(body) => {
            let body = body.to_string();
            write!(text, "Content-Type: application/json\r\n")?;
            write!(text, "Content-Length: {}\r\n\r\n{body}\r\n", body.len())
        }
        None => write!(text, "\r\n\r\n"),
    }
}

/// The answers to `count` calls, each in its place; `None` where the batch holds none.
pub(super) fn read(batch: Answer, count: usize) -> Vec<Option<Answer>> {
    let mut answers = Vec::new();
    answers.resize_with(count, || None);
    let Some(boundary) = boundary(&batch.headers) else {
        return answers;
    };
    let body = futures::stream::iter([Ok::<_, Infallible>(batch.body)]);
    let mut parts = multer::Multipart::new(body, boundary);
    // The body is all there: a reader that still waits has met a part without an end.
    for _ in 0..count.saturating_mul(2) {
        let Some(Ok(Some(part))) = parts.next_field().now_or_never() else {
            break;
        };
        let place = place(part.headers()).filter(|place| *place < count);
        let Some(Ok(message)) = part.bytes().now_or_never() else {
            break;
        };
        if let Some(place) = place
            && answers[place].is_none()
        {
            answers[place] = message_of(&message);
        }
    }
    answers
}

fn boundary(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let (media_type, parameters) = text.split_once(';')?;
    if !media_type.trim().eq_ignore_ascii_case("multipart/mixed") {
        return None;
    }
    let value = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("boundary")
            .then_some(value)
    })?;
    let value = value.trim().trim_matches('"');
    (1..=MAX_BOUNDARY_CHARS)
        .contains(&value.len())
        .then(|| value.to_owned())
}

/// Which call a part answers: `<response-change-7>` is the eighth.
fn place(headers: &HeaderMap) -> Option<usize> {
    let id = headers.get("content-id")?.to_str().ok()?.trim();
    let id = id.strip_prefix('<')?.strip_suffix('>')?;
    id.strip_prefix("response-change-")?.parse().ok()
}

fn message_of(message: &[u8]) -> Option<Answer> {
    let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Response::new(&mut slots);
    let httparse::Status::Complete(length) = head.parse(message).ok()? else {
        return None;
    };
    let mut headers = HeaderMap::new();
    for header in head.headers.iter() {
        if let Ok(name) = HeaderName::from_bytes(header.name.as_bytes())
            && let Ok(value) = HeaderValue::from_bytes(header.value)
        {
            headers.append(name, value);
        }
    }
    Some(Answer {
        status: StatusCode::from_u16(head.code?).ok()?,
        headers,
        body: message.get(length..)?.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use reqwest::Method;

    fn google() -> GoogleEndpoints {
        GoogleEndpoints {
            api: "http://127.0.0.1:9/google".parse().expect("an address"),
            userinfo: "http://127.0.0.1:9/userinfo".parse().expect("an address"),
        }
    }

    fn batch(content_type: &str, body: &[u8]) -> Answer {
        let mut headers = HeaderMap::new();
        let content_type = HeaderValue::from_str(content_type).expect("a header");
        headers.insert(CONTENT_TYPE, content_type);
        Answer {
            status: StatusCode::OK,
            headers,
            body: body.to_vec(),
        }
    }

    fn reply(id: &str, head: &str, body: &str) -> String {
        format!(
            "--B\r\nContent-Type: application/http\r\nContent-ID: {id}\r\n\r\nHTTP/1.1 {head}\r\n\r\n{body}\r\n"
        )
    }

    #[test]
    fn a_batch_names_each_call_by_its_path_and_carries_condition_and_body() {
        let google = google();
        let patch = Call {
            if_match: Some(HeaderValue::from_static("\"7\"")),
            ..Call::new(Method::PATCH, google.change(&"a@b".into(), &"e1".into()))
        };
        let calls = [
            patch.json(&serde_json::json!({"summary": "line\r\n--calendar-integration-batch--"})),
            Call::get(google.event(&"a@b".into(), &"e2".into())),
        ];
        let (content_type, body) = compose(&google, &calls);
        assert_eq!(
            content_type,
            "multipart/mixed; boundary=calendar-integration-batch"
        );
        let body = String::from_utf8(body).expect("text");
        let json = r#"{"summary":"line\r\n--calendar-integration-batch--"}"#;
        let expected = [
            "--calendar-integration-batch\r\n",
            "Content-Type: application/http\r\nContent-ID: <change-0>\r\n\r\n",
            "PATCH /calendar/v3/calendars/a@b/events/e1?sendUpdates=none HTTP/1.1\r\n",
            "If-Match: \"7\"\r\nContent-Type: application/json\r\nContent-Length: 52\r\n\r\n",
            json,
            "\r\n--calendar-integration-batch\r\n",
            "Content-Type: application/http\r\nContent-ID: <change-1>\r\n\r\n",
            "GET /calendar/v3/calendars/a@b/events/e2 HTTP/1.1\r\n\r\n\r\n",
            "--calendar-integration-batch--\r\n",
        ];
        assert_eq!(json.len(), 52);
        assert_eq!(body, expected.concat());
    }

    #[test]
    fn parts_find_their_calls_in_any_order_and_missing_ones_are_missing() {
        let body = [
            reply("<response-change-2>", "204 No Content", ""),
            reply(
                "<response-change-0>",
                "200 OK\r\nRetry-After: 5",
                "{\"id\":\"first\"}",
            ),
            reply("<response-change-0>", "500 Twice", ""),
            reply("<response-change-9>", "200 OK", ""),
            reply("<item-1>", "200 OK", ""),
            reply("<response-change-1>", "not a status", ""),
            "--B--\r\n".to_owned(),
        ]
        .concat();
        for content_type in [
            "multipart/mixed; boundary=B",
            "Multipart/Mixed; x=y; boundary=\"B\"",
        ] {
            let answers = read(batch(content_type, body.as_bytes()), 4);
            let first = answers[0].as_ref().expect("an answer");
            assert_eq!(first.status, StatusCode::OK);
            assert_eq!(first.body, b"{\"id\":\"first\"}");
            assert_eq!(first.headers["retry-after"], "5");
            assert!(answers[1].is_none() && answers[3].is_none());
            let third = answers[2].as_ref().expect("an answer");
            assert_eq!(third.status, StatusCode::NO_CONTENT);
        }
    }

    #[test]
    fn a_batch_cut_off_keeps_the_parts_that_came_whole() {
        let whole = reply("<response-change-0>", "200 OK", "{}");
        let body = format!("{whole}--B\r\nContent-ID: <response-change-1>\r\n\r\nHTTP/1.1 200 OK");
        let answers = read(batch("multipart/mixed; boundary=B", body.as_bytes()), 2);
        assert!(answers[0].is_some() && answers[1].is_none());
    }

    #[test]
    fn what_is_not_multipart_answers_nothing() {
        for content_type in [
            "application/json",
            "multipart/mixed",
            "multipart/mixed; boundary=",
        ] {
            let answers = read(batch(content_type, b"{}"), 3);
            assert!(answers.len() == 3 && answers.iter().all(Option::is_none));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic_or_answer_twice(
            body in prop::collection::vec(any::<u8>(), 0..400), count in 0_usize..5,
        ) {
            prop_assert_eq!(read(batch("multipart/mixed; boundary=B", &body), count).len(), count);
            message_of(&body);
        }

        #[test]
        fn no_arrangement_of_real_pieces_makes_the_reader_panic(
            pieces in prop::collection::vec(prop::sample::select(vec![
                "--B", "--", "\r\n", "\n", "\r\n\r\n", "Content-ID: <response-change-0>",
                "Content-ID: <response-change-99999999999999999999>", "Content-Type: application/http",
                "HTTP/1.1 200 OK", "HTTP/1.1 999 Odd", "HTTP/1.1 20", "Retry-After: 1", ": ", "{}",
                "Content-Disposition: form-data; name=\"", "\u{feff}", "\0", " ",
            ]), 0..60),
        ) {
            let answers = read(batch("multipart/mixed; boundary=B", pieces.concat().as_bytes()), 2);
            prop_assert_eq!(answers.len(), 2);
        }
    }
}
