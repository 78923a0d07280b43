//! What the coach and the guest did to an event is theirs: our updates leave it alone.

use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::{CoachEdit, EffectKind, GuestAnswer, LiveEvent};
use chrono::TimeDelta;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{COACH_EMAIL, Session, TestDaemon};

const FRIEND: &str = "friend@example.com";

/// What of an event's own JSON is the coach's or the guest's.
fn theirs(provider: ProviderKind, fields: &Value) -> Value {
    match provider {
        ProviderKind::Google => json!([
            fields["colorId"],
            fields["reminders"],
            fields["conferenceData"],
            fields["attendees"],
        ]),
        ProviderKind::Outlook => json!([
            fields["categories"],
            fields["reminderMinutesBeforeStart"],
            fields["onlineMeeting"],
            fields["attendees"],
        ]),
    }
}

#[tokio::test]
async fn colour_reminders_meeting_guests_and_answers_survive_every_update() {
    let daemon = TestDaemon::start().await;
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        let coach = Uuid::new_v4();
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        service
            .change(id, &json!({"include_client_details": true}))
            .await;
        let session = Session::tomorrow(coach, daemon.now());
        service.report(&session).await;
        daemon
            .event(provider, COACH_EMAIL, session.id, |_| true)
            .await;
        service.settled(id).await;
        for edit in [
            CoachEdit::SetColour {
                colour: "11".into(),
            },
            CoachEdit::SetReminders { minutes: vec![42] },
            CoachEdit::AddAttendee {
                email: FRIEND.into(),
            },
            CoachEdit::AddOnlineMeeting,
            CoachEdit::GuestAnswers {
                email: session.email.into(),
                answer: GuestAnswer::Accepted,
            },
        ] {
            daemon.edit(provider, session.id, &edit);
        }
        let before = daemon
            .event(provider, COACH_EMAIL, session.id, |_| true)
            .await;
        let kept = theirs(provider, &before.fields);
        assert!(kept.to_string().to_lowercase().contains("accepted"));
        let join_block = before.description_text.clone();

        let session = session.moved(TimeDelta::hours(4));
        service.report(&session).await;
        let after = daemon
            .event(provider, COACH_EMAIL, session.id, |event| {
                event.starts_at == session.starts_at
            })
            .await;
        assert_eq!(theirs(provider, &after.fields), kept);
        assert_eq!(after.description_text, join_block);

        let text = json!({"event_description_template": "Written anew"});
        service.change(id, &text).await;
        let after = daemon
            .event(provider, COACH_EMAIL, session.id, |event| {
                event.description_text.contains("Written anew")
            })
            .await;
        assert_eq!(theirs(provider, &after.fields), kept);
        assert!(after.has_online_meeting);

        // The client leaves the list, the coach's own guest stays.
        service
            .change(id, &json!({"include_client_details": false}))
            .await;
        let after = daemon
            .event(provider, COACH_EMAIL, session.id, |event| {
                event.attendees == [FRIEND]
            })
            .await;
        assert!(after.has_online_meeting && !after.title.contains("Wilhelmina"));
        service.sync_now(id).await;
        service.settled(id).await;
        let after = daemon
            .event(provider, COACH_EMAIL, session.id, |_| true)
            .await;
        assert_eq!(after.attendees, [FRIEND]);
        assert_eq!(daemon.calendars.total(provider, EffectKind::MeetingLost), 0);
    }
}

#[tokio::test]
async fn what_the_coach_wrote_into_our_fields_stays_until_something_of_ours_changes() {
    let daemon = TestDaemon::start().await;
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        let coach = Uuid::new_v4();
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        let session = Session::tomorrow(coach, daemon.now());
        service.report(&session).await;
        daemon
            .event(provider, COACH_EMAIL, session.id, |_| true)
            .await;
        service.settled(id).await;
        let title = "Private title".to_owned();
        daemon.edit(provider, session.id, &CoachEdit::SetTitle { title });

        // A change of the time is none of the title's business.
        let session = session.moved(TimeDelta::hours(4));
        service.report(&session).await;
        let event = daemon
            .event(provider, COACH_EMAIL, session.id, |event| {
                event.starts_at == session.starts_at
            })
            .await;
        assert_eq!(event.title, "Private title");
        service
            .change(id, &json!({"event_title_template": "Our title"}))
            .await;
        daemon
            .event(provider, COACH_EMAIL, session.id, |event| {
                event.title == "Our title"
            })
            .await;
    }
}

#[tokio::test]
async fn the_guests_answer_survives_a_catching_up_after_our_changes() {
    let daemon = TestDaemon::start().await;
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        let coach = Uuid::new_v4();
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        let details = json!({"include_client_details": true});
        service.change(id, &details).await;
        let mut session = Session::tomorrow(coach, daemon.now());
        service.report(&session).await;
        service.settled(id).await;
        for (answer, sync_first) in [
            // Our next write finds the answer in the event, and writes a part of it.
            (GuestAnswer::Accepted, false),
            // It is found in the event by one that writes all of it.
            (GuestAnswer::Declined, true),
        ] {
            let email = session.email.into();
            daemon.edit(
                provider,
                session.id,
                &CoachEdit::GuestAnswers { email, answer },
            );
            let before = daemon
                .event(provider, COACH_EMAIL, session.id, |_| true)
                .await;
            if sync_first {
                service.sync_now(id).await;
            } else {
                session = session.moved(TimeDelta::hours(2));
                service.report(&session).await;
            }
            service.settled(id).await;

            service.change(id, &json!({"is_sync_enabled": false})).await;
            session = session.moved(TimeDelta::hours(2));
            service.report(&session).await;
            service.change(id, &json!({"is_sync_enabled": true})).await;
            let after = daemon
                .event(provider, COACH_EMAIL, session.id, |event| {
                    event.starts_at == session.starts_at
                })
                .await;
            let guests = |event: &LiveEvent| event.fields["attendees"].clone();
            assert_eq!(guests(&after), guests(&before), "{answer:?}");
            service.settled(id).await;
        }
    }
}
