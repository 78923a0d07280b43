//! What settings would do, seen before they are saved.

use calendar_integration::domain::ProviderKind;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Api, COACH_EMAIL, Session, TestDaemon};

async fn preview(api: &Api, connection: Uuid, settings: &Value) -> Value {
    let path = format!("connections/{connection}/preview");
    api.post(&path, Some(settings)).await.expect(200)
}

fn session(coach: Uuid, daemon: &TestDaemon) -> Session {
    Session {
        notes: Some("bring tea"),
        location: Some("Room 4"),
        ..Session::tomorrow(coach, daemon.now())
    }
}

#[tokio::test]
async fn what_is_previewed_is_what_then_appears() {
    let daemon = TestDaemon::start().await;
    for provider in ProviderKind::ALL {
        let coach = Uuid::new_v4();
        let api = daemon.coach(coach);
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        let session = session(coach, &daemon);
        daemon.service().report(&session).await;
        daemon.service().settled(id).await;
        let before = daemon
            .event(provider, COACH_EMAIL, session.id, |_| true)
            .await;

        let settings = json!({
            "include_client_details": true,
            "event_title_template": "Zoë \u{1f642} {duration_minutes}".repeat(20),
            "event_description_template": "{client_email} <b>",
        });
        let shown = preview(&api, id, &settings).await;
        assert_eq!(shown["rewritten_events"], 1);
        assert_eq!(shown["details_off"]["attendees"], json!([]));
        assert_eq!(
            shown["details_on"]["guest_note"].is_string(),
            provider == ProviderKind::Outlook
        );
        // Looking changed nothing.
        assert_eq!(daemon.events(provider, COACH_EMAIL), [before]);
        assert_eq!(
            api.connection(coach, id).await["include_client_details"],
            false
        );

        api.change(id, &settings).await;
        daemon.service().settled(id).await;
        let event = daemon
            .event(provider, COACH_EMAIL, session.id, |_| true)
            .await;
        let named = format!("connections/{id}/preview?appointment_id={}", session.id);
        let saved = api.post(&named, Some(&json!({}))).await.expect(200);
        assert_eq!(saved["rewritten_events"], 0);
        for shown in [shown, saved] {
            let expected = &shown["details_on"];
            assert_eq!(event.title, expected["title"]);
            assert_eq!(event.description_text.trim(), expected["description"]);
            assert_eq!(event.location, expected["location"]);
            assert_eq!(expected["attendees"][0]["email"], session.email);
            let starts_at = expected["starts_at"].as_str().expect("a time");
            let starts_at = chrono::DateTime::parse_from_rfc3339(starts_at).expect("RFC 3339");
            assert_eq!(starts_at, session.starts_at);
        }
        api.delete(&format!("connections/{id}")).await.expect(200);
    }
}

#[tokio::test]
async fn without_an_appointment_an_example_is_shown_and_said_to_be_one() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let api = daemon.coach(coach);
    let id = daemon
        .connect(ProviderKind::Google, coach, COACH_EMAIL)
        .await;
    let shown = preview(&api, id, &json!({"event_title_template": "{client_name}"})).await;
    assert_eq!(shown["is_example"], true);
    assert!(shown["appointment_id"].is_null());
    assert_eq!(shown["details_on"]["title"], "John Doe");
    assert_eq!(shown["details_off"]["title"], "");

    let off = preview(&api, id, &json!({"is_sync_enabled": false})).await;
    let why = off["not_written_because"].as_str().expect("a reason");
    assert!(why.contains("switched off"), "{why}");
}

#[tokio::test]
async fn mistakes_are_named_as_when_saving_and_others_see_nothing() {
    let daemon = TestDaemon::start().await;
    let (coach, other) = (Uuid::new_v4(), Uuid::new_v4());
    let api = daemon.coach(coach);
    let id = daemon
        .connect(ProviderKind::Google, coach, COACH_EMAIL)
        .await;
    let path = format!("connections/{id}/preview");
    for (body, pointer) in [
        (
            json!({"event_title_template": "{client_nmae}"}),
            "/event_title_template",
        ),
        (json!({"calendar_id": "nowhere"}), "/calendar_id"),
    ] {
        let refused = api.post(&path, Some(&body)).await.expect(422);
        assert_eq!(refused["code"], "invalid_settings");
        assert_eq!(refused["errors"][0]["pointer"], pointer);
    }
    let theirs = Session::tomorrow(other, daemon.now());
    daemon.service().report(&theirs).await;
    let named = format!("{path}?appointment_id={}", theirs.id);
    let refused = api.post(&named, Some(&json!({}))).await;
    assert_eq!(refused.problem(404), "appointment_not_found");
    let refused = daemon.coach(other).post(&path, Some(&json!({}))).await;
    assert_eq!(refused.problem(404), "connection_not_found");
}

/// What is previewed is kept nowhere, also not under a key.
#[tokio::test]
async fn what_was_erased_is_previewed_no_more() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let id = daemon
        .connect(ProviderKind::Google, coach, COACH_EMAIL)
        .await;
    let session = Session::tomorrow(coach, daemon.now());
    daemon.service().report(&session).await;
    let api = daemon.coach(coach);
    let path = format!("connections/{id}/preview?appointment_id={}", session.id);
    let ask = async || {
        let key = [("idempotency-key", "the same")];
        api.send_with(Method::POST, &path, &key, Some(&json!({})))
            .await
    };
    ask().await.expect(200);
    let erased = daemon
        .service()
        .delete(&format!("appointments/{}", session.id))
        .await;
    assert!(erased.status < 300, "{}", erased.text);
    assert_eq!(ask().await.problem(404), "appointment_not_found");
}
