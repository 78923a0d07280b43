//! Tokens good and bad: against a shared secret, and against an issuer that publishes keys.

mod issuer;
mod secret;

use std::sync::Arc;

use chrono::DateTime;
use serde_json::{Value, json};

use crate::domain::ManualClock;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NOW: i64 = 1_700_000_000;
const COACH: &str = "67e55044-10b1-426f-9247-bb680e5fe0c8";

fn clock() -> Arc<ManualClock> {
    ManualClock::starting_at(DateTime::from_timestamp(NOW, 0).expect("a time"))
}

fn http() -> reqwest::Client {
    reqwest::Client::builder().build().expect("a client")
}
/// Claims that are good, with `changes`; a null takes a claim away.
fn claims(changes: &Value) -> Value {
    let mut claims = json!({ "sub": COACH, "role": "coach", "exp": NOW + 600 });
    for (name, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => claims.as_object_mut().expect("an object").remove(name),
            _ => claims
                .as_object_mut()
                .expect("an object")
                .insert(name.clone(), value.clone()),
        };
    }
    claims
}
