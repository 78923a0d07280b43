//! First connects, full syncs, and events that move to another calendar.

use std::time::Duration;

use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::{EffectKind, LiveEvent};
use chrono::TimeDelta;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Api, COACH_EMAIL, Session, Setup, TestDaemon, eventually, until};

#[tokio::test]
async fn a_first_connect_brings_in_what_is_confirmed_and_not_over() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    let tomorrow = Session::tomorrow(coach, daemon.now());
    let wanted: Vec<Session> = (0..60)
        .map(|hour| Session {
            id: Uuid::new_v4(),
            ..tomorrow.clone().moved(TimeDelta::hours(hour))
        })
        .collect();
    let running = Session {
        id: Uuid::new_v4(),
        starts_at: daemon.now() - TimeDelta::minutes(30),
        ends_at: daemon.now() + TimeDelta::hours(2),
        ..tomorrow.clone()
    };
    let over = Session {
        id: Uuid::new_v4(),
        ..tomorrow.clone().moved(TimeDelta::days(-9))
    };
    let other = |status| Session {
        id: Uuid::new_v4(),
        ..tomorrow.clone().with_status(status)
    };
    let unwanted = ["pending", "cancelled", "completed", "no_show"].map(other);
    let items: Vec<_> = wanted
        .iter()
        .chain([&running, &over])
        .chain(&unwanted)
        .map(Session::item)
        .collect();
    let batch = json!({"appointments": items});
    service
        .post("appointments/batch", Some(&batch))
        .await
        .expect(200);

    for provider in ProviderKind::ALL {
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        until("all are there", || {
            daemon.events(provider, COACH_EMAIL).len() == wanted.len() + 1
        })
        .await;
        let status = service.settled(id).await;
        assert_eq!(status["synced"], wanted.len() + 1);
        assert_eq!(status["last_sync_status"], "success");
        assert_eq!(daemon.creates(provider), 61);
        let standing = service.standing(over.id, id).await;
        assert_eq!(standing["sync_status"], "waiting");
    }
    daemon.no_duplicates();
}

#[tokio::test]
async fn a_full_sync_tells_its_progress_and_is_one_however_often_it_is_asked_for() {
    let slow = |config: &mut calendar_integration::simulator::SimulatorConfig| {
        config.limits.latency = Duration::from_millis(400);
    };
    let daemon = Setup::default().simulate(slow).start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    let tomorrow = Session::tomorrow(coach, daemon.now());
    let id = daemon
        .connect(ProviderKind::Outlook, coach, COACH_EMAIL)
        .await;
    service.settled(id).await;
    service
        .change(id, &json!({"auto_create_events": false}))
        .await;
    let items: Vec<_> = (0..90)
        .map(|hour| {
            let session = tomorrow.clone().moved(TimeDelta::hours(hour));
            Session {
                id: Uuid::new_v4(),
                ..session
            }
            .item()
        })
        .collect();
    let batch = json!({"appointments": items});
    service
        .post("appointments/batch", Some(&batch))
        .await
        .expect(200);
    service.settled(id).await;

    let first = service.sync_now(id).await;
    assert_eq!(first["queued"], 90);
    let second = service.sync_now(id).await;
    assert_eq!(first["sync_id"], second["sync_id"]);
    eventually("some of it is done", async || {
        let current = service.sync_status(id).await["current"].clone();
        assert_eq!(
            current["sync_id"], first["sync_id"],
            "it ended too early to be seen"
        );
        assert_eq!(current["total"], 90);
        let done = current["done"].as_u64().expect("a number");
        (done > 0 && done < 90).then_some(())
    })
    .await;
    // What is done is to be done again, and counts once.
    let again = service.sync_now(id).await;
    assert_eq!(first["sync_id"], again["sync_id"]);
    let current = service.sync_status(id).await["current"].clone();
    assert_eq!(current["total"], 90);
    let status = service.settled(id).await;
    assert_eq!(status["synced"], 90);
    let third = service.sync_now(id).await;
    assert_ne!(first["sync_id"], third["sync_id"]);
}

#[tokio::test]
async fn one_appointment_can_be_synced_alone_also_one_that_is_over() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    let over = Session::tomorrow(coach, daemon.now()).moved(TimeDelta::days(-9));
    let other = Session::tomorrow(coach, daemon.now());
    let id = daemon
        .connect(ProviderKind::Google, coach, COACH_EMAIL)
        .await;
    service
        .change(id, &json!({"auto_create_events": false}))
        .await;
    for session in [&over, &other] {
        service.report(session).await;
    }
    service.settled(id).await;
    let path = format!("connections/{id}/sync");
    let body = json!({"appointment_id": over.id});
    assert_eq!(
        service.post(&path, Some(&body)).await.expect(202)["queued"],
        1
    );
    daemon
        .event(ProviderKind::Google, COACH_EMAIL, over.id, |_| true)
        .await;
    service.settled(id).await;
    assert_eq!(daemon.creates(ProviderKind::Google), 1);
    let unknown = json!({"appointment_id": Uuid::new_v4()});
    let reply = service.post(&path, Some(&unknown)).await;
    assert_eq!(reply.problem(404), "appointment_not_found");
}

/// The target calendar, and the other one.
async fn calendars(service: &Api, id: Uuid) -> (Value, Value) {
    let path = format!("connections/{id}/calendars");
    // Its actor may just be going to rest after some days.
    let listed = eventually("the calendars are listed", async || {
        let reply = service.get(&path).await;
        (reply.status != 503).then(|| reply.expect(200))
    })
    .await;
    let calendars = listed["calendars"].as_array().expect("a list");
    // Read-only ones are not offered.
    assert_eq!(calendars.len(), 2, "{listed}");
    let one = |selected: bool| {
        let found = calendars.iter().find(|one| one["selected"] == selected);
        found.expect("one of each").clone()
    };
    (one(true), one(false))
}

#[tokio::test]
async fn another_target_calendar_takes_the_events_that_are_not_over() {
    let daemon = Setup::with_manual_clock().start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        let over = Session::tomorrow(coach, daemon.now());
        let ahead = over.clone().moved(TimeDelta::days(30));
        let ahead = Session {
            id: Uuid::new_v4(),
            ..ahead
        };
        for session in [&over, &ahead] {
            service.report(session).await;
            daemon
                .event(provider, COACH_EMAIL, session.id, |_| true)
                .await;
        }
        daemon.advance(TimeDelta::days(3));

        let (old, new) = calendars(&service, id).await;
        assert_eq!(old["primary"], true);

        let change = json!({"calendar_id": new["id"], "auto_create_events": false});
        let changed = service.change(id, &change).await;
        assert_eq!(changed["calendar_name"], new["name"]);
        daemon
            .event(provider, COACH_EMAIL, ahead.id, |event| {
                event.calendar_id == new["id"]
            })
            .await;
        service.settled(id).await;
        let left = daemon.event(provider, COACH_EMAIL, over.id, |_| true).await;
        assert_eq!(left.calendar_id, old["id"]);
        service
            .delete(&format!("connections/{id}"))
            .await
            .expect(200);
    }
    daemon.no_duplicates();
}

/// A batch at a time: whoever looks meanwhile finds most of them, in the one or the other.
#[tokio::test]
async fn events_that_move_are_not_all_taken_out_before_the_first_is_put_in_again() {
    const EVENTS: i64 = 120;
    const BATCH: i64 = 50;
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    let tomorrow = Session::tomorrow(coach, daemon.now());
    let items: Vec<_> = (0..EVENTS)
        .map(|hour| {
            let session = tomorrow.clone().moved(TimeDelta::hours(hour));
            let id = Uuid::new_v4();
            Session { id, ..session }.item()
        })
        .collect();
    let batch = json!({"appointments": items});
    service
        .post("appointments/batch", Some(&batch))
        .await
        .expect(200);
    for provider in ProviderKind::ALL {
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        service.settled(id).await;
        let before = daemon.calendars.effect_count();
        let path = format!("connections/{id}/calendars");
        let listed = service.get(&path).await.expect(200);
        let mut calendars = listed["calendars"].as_array().expect("a list").iter();
        let new = calendars.find(|one| one["selected"] == false);
        let change = json!({"calendar_id": new.expect("another calendar")["id"]});
        service.change(id, &change).await;
        service.settled(id).await;
        let effects = daemon.calendars.effects(before, usize::MAX);
        let shown = effects.iter().scan(EVENTS, |shown, effect| {
            *shown += match effect.operation {
                EffectKind::Create => 1,
                EffectKind::Delete => -1,
                _ => 0,
            };
            Some(*shown)
        });
        let fewest = shown.min().expect("effects");
        assert!(fewest >= EVENTS - BATCH, "{provider}: {fewest}");
        assert_eq!(daemon.events(provider, COACH_EMAIL).len(), 120);
    }
    daemon.no_duplicates();
}

/// What is over stays in the calendar it is in. If that one is deleted later, nothing waits for it.
#[tokio::test]
async fn a_calendar_that_was_left_and_deleted_holds_up_nothing() {
    let daemon = Setup::with_manual_clock().start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        let (kept, left) = calendars(&service, id).await;
        service
            .change(id, &json!({"calendar_id": left["id"]}))
            .await;
        let over = Session::tomorrow(coach, daemon.now());
        service.report(&over).await;
        let is_in = |calendar: Value| move |event: &LiveEvent| calendar["id"] == event.calendar_id;
        let there = is_in(left.clone());
        daemon.event(provider, COACH_EMAIL, over.id, there).await;
        service.settled(id).await;
        daemon.advance(TimeDelta::days(3));
        calendars(&service, id).await;
        service
            .change(id, &json!({"calendar_id": kept["id"]}))
            .await;
        service.settled(id).await;
        let there = is_in(left.clone());
        daemon.event(provider, COACH_EMAIL, over.id, there).await;

        let left = left["id"].as_str().expect("an id");
        daemon
            .calendars
            .delete_calendar(provider, COACH_EMAIL, left)
            .expect("it can be deleted");
        service.sync_now(id).await;
        let there = is_in(kept);
        daemon.event(provider, COACH_EMAIL, over.id, there).await;
        let status = service.settled(id).await;
        assert_eq!(status["failed"], 0, "{status}");
        service
            .delete(&format!("connections/{id}"))
            .await
            .expect(200);
    }
}

#[tokio::test]
async fn a_calendar_that_cannot_be_written_to_is_no_target() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        let read_only = daemon
            .calendars
            .accounts()
            .into_iter()
            .filter(|account| account.provider == provider)
            .flat_map(|account| account.calendars)
            .find(|calendar| !calendar.writable)
            .expect("a read-only calendar");
        for target in [read_only.id.as_str(), "no-such-calendar"] {
            let path = format!("connections/{id}");
            let reply = service.put(&path, &json!({"calendar_id": target})).await;
            let problem = reply.expect(422);
            assert_eq!(problem["code"], "invalid_settings", "{provider} {target}");
            assert_eq!(problem["errors"][0]["pointer"], "/calendar_id");
        }
    }
}
