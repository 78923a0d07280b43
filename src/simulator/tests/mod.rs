//! The rules that are easy to get wrong, over real HTTP.

mod faults;
mod google;
mod microsoft;
mod sign_in;

use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::domain::{ManualClock, ProviderKind, SystemEntropy};

use super::{Simulator, SimulatorConfig};

const COACH: &str = "coach@example.com";
const APPOINTMENT: &str = "7d1f3f80-0000-4000-8000-000000000001";

/// A simulator on a clock that stands still, and a client that follows no redirects.
struct Bench {
    simulator: Simulator,
    clock: Arc<ManualClock>,
    client: reqwest::Client,
    google: String,
    microsoft: String,
}

impl Bench {
    async fn start() -> Self {
        Self::with(SimulatorConfig::default()).await
    }

    async fn with(config: SimulatorConfig) -> Self {
        let start = DateTime::from_timestamp(1_800_000_000, 0).expect("an instant");
        let clock = ManualClock::starting_at(start);
        let simulator = Simulator::start(config, clock.clone(), Arc::new(SystemEntropy))
            .await
            .expect("the simulator starts");
        let handle = simulator.handle();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(10))
            .build()
            .expect("a client");
        let google_scopes = [
            "openid",
            "email",
            "https://www.googleapis.com/auth/calendar",
        ];
        let google = handle.grant(
            ProviderKind::Google,
            COACH,
            "demo-google-client",
            &google_scopes,
        );
        let microsoft = handle.grant(
            ProviderKind::Outlook,
            COACH,
            "demo-microsoft-client",
            &["offline_access", "User.Read", "Calendars.ReadWrite"],
        );
        Self {
            simulator,
            clock,
            client,
            google: google.access_token.expose_secret().to_owned(),
            microsoft: microsoft.access_token.expose_secret().to_owned(),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{}", self.simulator.url(), path.trim_start_matches('/'))
    }

    fn google(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().expect("a method");
        self.client
            .request(method, self.url(&format!("/google/calendar/v3/{path}")))
            .bearer_auth(&self.google)
    }

    fn graph(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().expect("a method");
        self.client
            .request(method, self.url(&format!("/microsoft/graph/v1.0/{path}")))
            .bearer_auth(&self.microsoft)
    }
}

/// An answer's status and body; a body that is not JSON is null.
async fn send(request: reqwest::RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or(Value::Null))
}

fn reason(body: &Value) -> &str {
    body["error"]["errors"][0]["reason"]
        .as_str()
        .unwrap_or_default()
}

fn code(body: &Value) -> &str {
    body["error"]["code"].as_str().unwrap_or_default()
}

fn google_event(id: &str) -> Value {
    json!({
        "id": id,
        "summary": "Session",
        "start": {"dateTime": "2027-03-01T10:00:00+01:00", "timeZone": "Europe/Berlin"},
        "end": {"dateTime": "2027-03-01T11:00:00+01:00", "timeZone": "Europe/Berlin"},
        "extendedProperties": {"private": {"appointment_id": APPOINTMENT, "event_key": id}},
    })
}

const GUID: &str = "{9c3f1f0e-5d0b-4f7a-9d58-6f1a2b7c4e10}";

fn graph_event(transaction: &str) -> Value {
    json!({
        "subject": "Session",
        "body": {"contentType": "text", "content": "Bring <notes> & tea"},
        "start": {"dateTime": "2027-03-01T09:00:00", "timeZone": "UTC"},
        "end": {"dateTime": "2027-03-01T10:00:00", "timeZone": "UTC"},
        "transactionId": transaction,
        "singleValueExtendedProperties": [
            {"id": format!("String {GUID} Name appointment_id"), "value": APPOINTMENT},
            {"id": format!("String {GUID} Name event_key"), "value": transaction},
        ],
    })
}
