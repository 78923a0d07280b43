//! Graph's batch format: JSON, answers in any order. Pure.
//!
//! Graph runs independent items side by side and refuses what is over its limit per mailbox; more
//! items than that must form one straight chain, in which an item that fails holds back all that
//! follow it with status 424.

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::routes::GraphEndpoints;
use crate::provider::http::Answer;
use crate::provider::script::Call;

/// The most items Graph takes.
pub(super) const MAX_ITEMS: usize = 20;
/// On every request and every batch item: ids that survive a move, and times in UTC.
pub(super) const PREFER: &str = "IdType=\"ImmutableId\", outlook.timezone=\"UTC\"";

/// How the items of a batch run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    SideBySide,
    OneByOne,
}

#[derive(Serialize)]
pub(super) struct Batch<'a> {
    requests: Vec<Item<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    id: String,
    method: &'a str,
    url: &'a str,
    headers: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    depends_on: Option<[String; 1]>,
}

pub(super) fn compose<'a>(graph: &GraphEndpoints, calls: &[&'a Call], order: Order) -> Batch<'a> {
    let item = |(index, call): (usize, &&'a Call)| {
        let mut headers = Map::new();
        headers.insert("Prefer".to_owned(), json!(PREFER));
        if let Some(Ok(etag)) = call.if_match.as_ref().map(HeaderValue::to_str) {
            headers.insert("If-Match".to_owned(), json!(etag));
        }
        if call.body.is_some() {
            headers.insert("Content-Type".to_owned(), json!("application/json"));
        }
        let before = index.checked_sub(1).filter(|_| order == Order::OneByOne);
        Item {
            id: index.to_string(),
            method: call.method.as_str(),
            url: graph.inner_path(&call.url),
            headers,
            body: call.body.as_ref(),
            depends_on: before.map(|before| [before.to_string()]),
        }
    };
    Batch {
        requests: calls.iter().enumerate().map(item).collect(),
    }
}

#[derive(Deserialize)]
struct BatchAnswer {
    responses: Vec<Value>,
}

#[derive(Deserialize)]
struct ItemAnswer {
    id: String,
    status: u16,
    #[serde(default)]
    headers: Option<Map<String, Value>>,
    #[serde(default)]
    body: Option<Value>,
}

/// The answers to `count` items, each in its place; `None` where the batch holds none.
pub(super) fn read(batch: &Answer, count: usize) -> Vec<Option<Answer>> {
    let mut answers = Vec::new();
    answers.resize_with(count, || None);
    let Ok(BatchAnswer { responses }) = serde_json::from_slice(&batch.body) else {
        return answers;
    };
    for response in responses {
        if let Ok(item) = serde_json::from_value::<ItemAnswer>(response)
            && let Some(place) = item.id.parse::<usize>().ok()
            && let Some(slot @ None) = answers.get_mut(place)
        {
            *slot = answer_of(item);
        }
    }
    answers
}

fn answer_of(item: ItemAnswer) -> Option<Answer> {
    let mut headers = HeaderMap::new();
    for (name, value) in item.headers.unwrap_or_default() {
        // Numbers are seen where a header's text is meant.
        let value = match value {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => continue,
        };
        if let Ok(name) = HeaderName::from_bytes(name.as_bytes())
            && let Ok(value) = HeaderValue::from_str(&value)
        {
            headers.append(name, value);
        }
    }
    Some(Answer {
        status: StatusCode::from_u16(item.status).ok()?,
        headers,
        body: item
            .body
            .map(|body| body.to_string().into_bytes())
            .unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use reqwest::Method;

    fn graph() -> GraphEndpoints {
        GraphEndpoints {
            graph: "http://127.0.0.1:9/graph/v1.0".parse().expect("an address"),
            concurrency_per_mailbox: 4,
        }
    }

    fn answer(body: &[u8]) -> Answer {
        Answer {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: body.to_vec(),
        }
    }

    #[test]
    fn items_carry_their_own_headers_and_a_chain_names_what_came_before() {
        let graph = graph();
        let patch = Call {
            if_match: Some(HeaderValue::from_static("W/\"7\"")),
            ..Call::new(Method::PATCH, graph.event(&"e/1".into()))
        };
        let patch = patch.json(&json!({"subject": "x"}));
        let delete = Call::new(Method::DELETE, graph.event(&"e2".into()));
        let calls = [&patch, &delete];
        let mut expected = json!({"requests": [
            {"id": "0", "method": "PATCH", "url": "/me/events/e%2F1",
             "headers": {"Prefer": PREFER, "If-Match": "W/\"7\"", "Content-Type": "application/json"},
             "body": {"subject": "x"}},
            {"id": "1", "method": "DELETE", "url": "/me/events/e2", "headers": {"Prefer": PREFER}},
        ]});
        let sent = serde_json::to_value(compose(&graph, &calls, Order::SideBySide));
        assert_eq!(sent.expect("JSON"), expected);
        expected["requests"][1]["dependsOn"] = json!(["0"]);
        let sent = serde_json::to_value(compose(&graph, &calls, Order::OneByOne));
        assert_eq!(sent.expect("JSON"), expected);
    }

    #[test]
    fn items_find_their_calls_in_any_order_and_odd_ones_are_missing() {
        let body = json!({"responses": [
            {"id": "2", "status": 429, "headers": {"Retry-After": 7, "X": {}}, "body": {"error": {}}},
            {"id": "0", "status": 204},
            {"id": "0", "status": 500},
            {"id": "1", "status": 70000},
            {"id": "9", "status": 200},
            {"id": "-1", "status": 200},
            {"status": 200},
            "garbage",
        ]});
        let answers = read(&answer(body.to_string().as_bytes()), 4);
        let first = answers[0].as_ref().expect("an answer");
        assert_eq!((first.status.as_u16(), first.body.len()), (204, 0));
        let third = answers[2].as_ref().expect("an answer");
        assert_eq!(third.headers["retry-after"], "7");
        assert_eq!(third.body, b"{\"error\":{}}");
        assert!(answers[1].is_none() && answers[3].is_none());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(
            body in prop::collection::vec(any::<u8>(), 0..300), count in 0_usize..5,
        ) {
            prop_assert_eq!(read(&answer(&body), count).len(), count);
        }

        #[test]
        fn no_item_makes_the_reader_panic(
            id in ".{0,4}", status in any::<u16>(), name in ".{0,8}", value in ".{0,8}",
        ) {
            let body = json!({"responses": [
                {"id": id, "status": status, "headers": {name: value}, "body": "text"}]});
            prop_assert_eq!(read(&answer(body.to_string().as_bytes()), 2).len(), 2);
        }
    }
}
