//! What a coach may write into templates, and what becomes of it in the calendar.

use calendar_integration::domain::ProviderKind;
use serde_json::json;
use uuid::Uuid;

use crate::support::{COACH_EMAIL, Session, TestDaemon};

#[tokio::test]
async fn an_unknown_placeholder_is_refused_by_name_and_nothing_changes() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let api = daemon.coach(coach);
    let id = daemon
        .connect(ProviderKind::Google, coach, COACH_EMAIL)
        .await;
    let path = format!("connections/{id}");
    for (field, template, named) in [
        ("event_title_template", "For {client_nmae}", "client_nmae"),
        ("event_description_template", "{password}", "password"),
    ] {
        let body = json!({field: template, "auto_create_events": false});
        let reply = api.put(&path, &body).await;
        assert!(reply.text.contains(named), "{}", reply.text);
        let problem = reply.expect(422);
        assert_eq!(problem["code"], "invalid_settings");
        assert_eq!(problem["errors"][0]["pointer"], format!("/{field}"));
    }
    let unclosed = json!({"event_title_template": "For {client_name"});
    assert_eq!(
        api.put(&path, &unclosed).await.problem(422),
        "invalid_settings"
    );
    let connection = api.connection(coach, id).await;
    assert_eq!(connection["auto_create_events"], true);
    assert_eq!(connection["event_title_template"], "ACT Coaching Session");
}

#[tokio::test]
async fn markup_stays_text_in_both_calendars() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    let written = "<b>bold</b> & <script>alert('1')</script>\nsecond \"line\" &amp; &lt;";
    for provider in ProviderKind::ALL {
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        let settings = json!({
            "include_client_details": true,
            "event_title_template": "<i>{client_name}</i>",
            "event_description_template": written,
        });
        service.change(id, &settings).await;
        let session = Session {
            client: "Zoë <img src=x>",
            notes: Some("a < b > c & d"),
            ..Session::tomorrow(coach, daemon.now())
        };
        service.report(&session).await;
        let event = daemon
            .event(provider, COACH_EMAIL, session.id, |_| true)
            .await;
        assert_eq!(event.title, "<i>Zoë <img src=x></i>");
        let expected = format!("{written}\n\na < b > c & d");
        assert_eq!(event.description_text.trim(), expected, "{provider}");
        assert!(
            !event.description.contains("<script"),
            "{}",
            event.description
        );
    }
}

#[tokio::test]
async fn every_placeholder_is_filled() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    let id = daemon
        .connect(ProviderKind::Google, coach, COACH_EMAIL)
        .await;
    let settings = json!({
        "include_client_details": true,
        "event_title_template": "{client_name} {duration_minutes} {time_zone}",
        "event_description_template": "{client_email}|{notes}|{starts_at}|{ends_at}|{meeting_url}|{location}|{appointment_id}",
    });
    service.change(id, &settings).await;
    let session = Session {
        notes: Some("bring tea"),
        location: Some("Room 4"),
        meeting_url: Some("https://meet.example.com/7"),
        ..Session::tomorrow(coach, daemon.now())
    }
    .between("2027-07-01T08:00:00Z", "2027-07-01T08:50:00Z");
    service.report(&session).await;
    let event = daemon
        .event(ProviderKind::Google, COACH_EMAIL, session.id, |_| true)
        .await;
    assert_eq!(event.title, "Wilhelmina Client 50 Europe/Berlin");
    let expected = format!(
        "wilhelmina@example.com|bring tea|2027-07-01T10:00:00+02:00|2027-07-01T10:50:00+02:00|\
         https://meet.example.com/7|Room 4|{}",
        session.id
    );
    assert_eq!(event.description_text, expected);
}
