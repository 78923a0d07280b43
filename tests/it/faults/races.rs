//! Changes that come many at a time, in the wrong order, or while an answer is on its way.

use std::time::Duration;

use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::{CallKind, FaultEffect};
use chrono::TimeDelta;
use futures::future::join_all;
use futures::stream::{self, StreamExt};

use super::case::{Case, for_each, nothing_more_happens, setup};
use crate::support::{Session, until};

#[tokio::test]
async fn the_same_change_a_hundred_times_at_once_is_one_change() {
    let daemon = setup().start().await;
    let mut case = Case::connected(&daemon, ProviderKind::Google, "a hundred reports").await;
    let mut beside = case.other_calendar(&daemon, ProviderKind::Outlook).await;
    let first = case.session(&daemon);
    let moved = first.clone().moved(TimeDelta::minutes(30));
    let gone = moved.clone().with_status("cancelled");
    for (session, expected) in [(first, "created"), (moved, "updated"), (gone, "updated")] {
        let service = daemon.service();
        let reports = (0..100).map(|_| service.report(&session));
        let mut outcomes = join_all(reports).await;
        case.report(&daemon, &session).await;
        beside.hears(&case);
        case.converges(&daemon).await;
        beside.converges(&daemon).await;
        outcomes.retain(|outcome| outcome != "unchanged");
        assert_eq!(outcomes, [expected]);
    }
    for case in [&case, &beside] {
        for call in [CallKind::Create, CallKind::Update, CallKind::Delete] {
            assert_eq!(case.count(&daemon, call), 1, "{}: {call:?}", case.what);
        }
    }
    nothing_more_happens(&daemon, &[case, beside]).await;
}

/// A cancellation that arrives before what it cancels, and one that meets a create on its way.
#[tokio::test]
async fn a_cancellation_that_overtakes_leaves_no_event() {
    let daemon = setup().start().await;
    let cases = for_each([()], async |provider, ()| {
        let mut case = Case::connected(&daemon, provider, "a cancellation overtakes").await;
        let service = daemon.service();
        let confirmed = Session {
            revision: Some(1),
            ..case.session(&daemon)
        };
        let cancelled = Session {
            revision: Some(2),
            ..confirmed.clone().with_status("cancelled")
        };
        case.report(&daemon, &cancelled).await;
        assert_eq!(service.report(&confirmed).await, "stale", "{}", case.what);
        case.converges(&daemon).await;
        assert_eq!(case.event_calls(&daemon).len(), 0, "{}", case.what);

        // The event is made, and its answer takes its time.
        let slow = FaultEffect::Trickle {
            bytes: 200,
            every_ms: 150,
        };
        let lost = FaultEffect::AnswerLost;
        for effect in [slow, lost] {
            let met = case.once(&daemon, CallKind::Create, effect.clone());
            let session = case.report_new(&daemon).await;
            let appointment = session.id.to_string();
            until(&format!("{}: it is made, {effect:?}", case.what), || {
                let ours = Some(appointment.as_str());
                let effects = daemon.calendars.effects(0, usize::MAX);
                effects
                    .iter()
                    .any(|done| done.appointment_id.as_deref() == ours)
            })
            .await;
            case.report(&daemon, &session.with_status("cancelled"))
                .await;
            case.converges(&daemon).await;
            case.met(&daemon, met);
        }
        assert!(daemon.events(provider, &case.email).is_empty());
        case
    })
    .await;
    nothing_more_happens(&daemon, &cases).await;
}

/// Erased while its event is being made: gone from the calendar, and then forgotten.
#[tokio::test]
async fn an_erasure_that_meets_a_create_on_its_way_leaves_no_event() {
    let daemon = setup().start().await;
    let cases = for_each([()], async |provider, ()| {
        let case = Case::connected(&daemon, provider, "erased while made").await;
        let slow = FaultEffect::Trickle {
            bytes: 200,
            every_ms: 150,
        };
        let met = case.once(&daemon, CallKind::Create, slow);
        let session = case.session(&daemon);
        daemon.service().report(&session).await;
        until("the event is made", || {
            daemon.events(provider, &case.email).len() == 1
        })
        .await;
        let path = format!("appointments/{}", session.id);
        daemon.service().delete(&path).await.expect(202);
        until(&format!("{}: it is gone", case.what), || {
            daemon.events(provider, &case.email).is_empty()
        })
        .await;
        case.converges(&daemon).await;
        case.met(&daemon, met);
        let forgotten = daemon.service().get(&path).await;
        assert_eq!(forgotten.status, 404, "{}", case.what);
        case
    })
    .await;
    nothing_more_happens(&daemon, &cases).await;
}

#[tokio::test]
async fn a_thousand_edits_of_one_appointment_end_in_its_last_state_with_few_calls() {
    const EDITS: i64 = 1000;
    let daemon = setup()
        // As long as a real call takes.
        .simulate(|config| config.limits.latency = Duration::from_millis(100))
        .start()
        .await;
    let mut case = Case::connected(&daemon, ProviderKind::Google, "a thousand edits").await;
    let mut beside = case.other_calendar(&daemon, ProviderKind::Outlook).await;
    let session = case.session(&daemon);
    let edit = |revision: i64| Session {
        revision: Some(revision),
        ..session.clone().moved(TimeDelta::minutes(revision % 600))
    };
    let service = daemon.service();
    let reports = (1..EDITS).map(|revision| {
        let service = service.clone();
        let edit = edit(revision);
        async move { service.report(&edit).await }
    });
    stream::iter(reports)
        .buffer_unordered(32)
        .collect::<Vec<_>>()
        .await;
    case.report(&daemon, &edit(EDITS)).await;
    beside.hears(&case);
    for case in [&case, &beside] {
        case.converges(&daemon).await;
        assert_eq!(case.count(&daemon, CallKind::Create), 1, "{}", case.what);
        let calls = case.event_calls(&daemon).len();
        assert!(calls < 200, "{}: {calls} calls", case.what);
    }
    nothing_more_happens(&daemon, &[case, beside]).await;
}
