//! Requests of confused and of curious people: secrets where none belong.

use calendar_integration::domain::ProviderKind;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::secrets::Kind;
use super::story::{FIRST, Story};
use crate::support::{Browser, RealDaemon, parameter};

const ODD: &str = "leaky-oddity-in-a-request";

pub(super) async fn send(story: &mut Story, process: &RealDaemon, coach: Uuid, connection: Uuid) {
    story.secrets.add(Kind::Credential, "an oddity", ODD);
    in_addresses(story, process, coach, connection).await;
    in_headers(story, process, coach).await;
    in_bodies(story, process, coach, connection).await;
    in_callbacks(story, process, coach).await;
}

async fn in_addresses(story: &mut Story, process: &RealDaemon, coach: Uuid, connection: Uuid) {
    let admin = process.admin(&story.daemon);
    let token = admin.token().to_owned();
    let return_to = format!("https://evil.example/{ODD}");
    for (method, path) in [
        (Method::GET, format!("connections/{ODD}")),
        (Method::GET, format!("connections/{token}")),
        (Method::GET, format!("/{ODD}/{ODD}?{ODD}={ODD}")),
        (Method::GET, format!("appointments?coach_id={ODD}")),
        (
            Method::GET,
            format!("appointments?coach_id={coach}&from={ODD}&cursor={ODD}"),
        ),
        (
            Method::GET,
            format!("appointments?coach_id={coach}&{ODD}={ODD}"),
        ),
        (Method::GET, format!("queue?status={ODD}")),
        (Method::GET, format!("queue?limit={ODD}")),
        (Method::GET, format!("queue?cursor={ODD}")),
        (Method::GET, format!("audit?action={ODD}")),
        (Method::POST, format!("queue/{ODD}/retry")),
        (
            Method::POST,
            format!("connections/{connection}/test?access_token={token}"),
        ),
        (Method::GET, format!("connect/{ODD}/{coach}")),
        (
            Method::GET,
            format!("connect/google/{coach}?return_to={return_to}"),
        ),
        (Method::GET, format!("/health/actors?status={ODD}")),
        (Method::GET, format!("/metrics?token={token}")),
        (Method::GET, format!("/dashboard?token={token}")),
        (Method::GET, format!("/dashboard/{ODD}")),
        (Method::GET, format!("/docs?token={token}")),
        (Method::PATCH, format!("appointments/{ODD}")),
        (
            Method::from_bytes(ODD.as_bytes()).expect("a method"),
            "queue".to_owned(),
        ),
    ] {
        let reply = admin.send(method, &path, None).await;
        let may_hold: &[Kind] = match () {
            () if path.contains("/test?") => &[Kind::Account],
            // What is not known is passed over: the coach's appointments are answered.
            () if path.contains(&format!("{coach}&{ODD}=")) => &[Kind::Client],
            () => &[],
        };
        story.keep(format!("GET {path}"), &reply, may_hold);
    }
}

async fn in_headers(story: &mut Story, process: &RealDaemon, coach: Uuid) {
    let admin = process.admin(&story.daemon);
    let changed = format!("{}x", admin.token());
    let path = format!("connections/{coach}");
    for token in [ODD, &changed] {
        let reply = story.api(process, token).get("queue").await;
        story.keep("a bad token", &reply, &[]);
        assert_eq!(reply.problem(401), "unauthorized");
    }
    let basic = format!("Basic {ODD}");
    let email = "leakymail-wilhelmina@example.com";
    for header in [
        ("authorization", basic.as_str()),
        ("x-request-id", email),
        ("user-agent", ODD),
        ("referer", ODD),
        ("cookie", ODD),
        ("origin", ODD),
        ("if-none-match", ODD),
        ("x-forwarded-for", ODD),
        ("traceparent", ODD),
        ("accept-language", ODD),
    ] {
        let api = match header.0 {
            "authorization" => process.nobody(&story.daemon),
            _ => admin.clone(),
        };
        let reply = api.send_with(Method::GET, &path, &[header], None).await;
        story.keep(format!("with {}", header.0), &reply, &[Kind::Account]);
    }
    let key = [("idempotency-key", "leaky-oddity-in-a-request and more")];
    let reply = admin.send_with(Method::POST, "queue/retry-failed", &key, None);
    story.keep("a bad key", &reply.await, &[]);
}

async fn in_bodies(story: &mut Story, process: &RealDaemon, coach: Uuid, connection: Uuid) {
    let service = process.service(&story.daemon);
    let good = FIRST.session(coach, story.daemon.now());
    let with = |field: &str, value: Value| {
        let mut body = good.body();
        *body.pointer_mut(field).expect("a field") = value;
        body
    };
    let path = format!("appointments/{}", good.id);
    let settings = format!("connections/{connection}");
    for body in [
        with("/client/email", json!(format!("{ODD} at example.com"))),
        with("/client/name", json!({ "first": ODD })),
        with("/client", json!(ODD)),
        with("/time_zone", json!(ODD)),
        with("/starts_at", json!(ODD)),
        with("/status", json!(ODD)),
        with("/coach_id", json!(ODD)),
        with("/meeting_url", json!(format!("javascript:{ODD}"))),
        with("/notes", json!(format!("{ODD}\u{0}"))),
        with("/notes", json!(ODD.repeat(1_000))),
        with("/revision", json!(ODD)),
        json!(ODD),
        json!([ODD]),
    ] {
        let reply = service.put(&path, &body).await;
        story.keep("a bad appointment", &reply, &[]);
        assert!((400..500).contains(&reply.status), "{}", reply.text);
        let batch = json!({"appointments": [body]});
        let key = [("idempotency-key", "of a bad batch")];
        let reply = service.send_with(Method::POST, "appointments/batch", &key, Some(&batch));
        story.keep("a bad batch", &reply.await, &[]);
        let key = [("idempotency-key", "of-a-bad-batch")];
        let reply = service.send_with(Method::POST, "appointments/batch", &key, Some(&batch));
        story.keep("a bad batch with a key", &reply.await, &[]);
    }
    for body in [
        json!({ "calendar_id": ODD }),
        json!({ "is_sync_enabled": ODD }),
        json!({ "event_title_template": format!("{ODD} {{") }),
    ] {
        let reply = service.put(&settings, &body).await;
        story.keep("bad settings", &reply, &[]);
        assert!((400..503).contains(&reply.status), "{}", reply.text);
    }
    for (kind, text) in [
        ("application/json", format!("{{\"notes\": \"{ODD}\"")),
        ("application/json", ODD.to_owned()),
        ("text/plain", format!("{{\"notes\": \"{ODD}\"}}")),
        (ODD, "{}".to_owned()),
    ] {
        let reply = service.send_text(Method::PUT, &path, kind, text).await;
        story.keep("a body that is no JSON", &reply, &[]);
        assert!((400..500).contains(&reply.status), "{}", reply.text);
    }
}

async fn in_callbacks(story: &mut Story, process: &RealDaemon, coach: Uuid) {
    let ours = "http://localhost:3001/api/calendar-integration/callback";
    for query in [
        format!("code={ODD}&state={ODD}"),
        format!("error={ODD}&error_description={ODD}&state=STATE"),
        format!("code={ODD}&state=STATE"),
        format!("code={ODD}&state=STATE&iss=https://{ODD}"),
        format!("code={ODD}&{ODD}=1"),
    ] {
        let mut browser = Browser::at(&story.daemon, process.url().clone());
        let page = browser.begin(ProviderKind::Google, coach, "").await;
        let state = parameter(&page, "state").expect("a state");
        let query = query.replace("STATE", &state);
        let callback = format!("{ours}?{query}").parse().expect("an address");
        let end = browser.come_back(&callback).await;
        story.secrets.add(Kind::Credential, "a state", &state);
        story.answer("where an odd callback ends", end.to_string());
    }
}
