//! The provider did it, and its answer never came: it is done once all the same.

use std::time::Duration;

use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::{CallKind, EffectKind, FaultEffect, FaultRule};
use chrono::TimeDelta;
use serde_json::json;

use super::case::{Case, for_each, nothing_more_happens, setup};
use crate::support::{Browser, Consent, parameter, until};

/// Two ways for an answer to get lost.
const LOST: [FaultEffect; 2] = [FaultEffect::AnswerLost, FaultEffect::ResetMidBody];

#[tokio::test]
async fn a_lost_answer_to_a_create_update_or_delete_leaves_one_event_or_none() {
    let daemon = setup().start().await;
    let cases = for_each(LOST, async |provider, effect| {
        let what = format!("{effect:?}");
        let mut case = Case::connected(&daemon, provider, what).await;
        let created = case.once(&daemon, CallKind::Create, effect.clone());
        let stays = case.report_new(&daemon).await;
        let goes = case.report_new(&daemon).await;
        case.converges(&daemon).await;
        let updated = case.once(&daemon, CallKind::Update, effect.clone());
        let stays = stays.moved(TimeDelta::minutes(30));
        case.report(&daemon, &stays).await;
        case.converges(&daemon).await;
        let deleted = case.once(&daemon, CallKind::Delete, effect);
        case.report(&daemon, &goes.with_status("cancelled")).await;
        case.converges(&daemon).await;
        for rule in [created, updated, deleted] {
            case.met(&daemon, rule);
        }
        case
    })
    .await;
    nothing_more_happens(&daemon, &cases).await;
}

/// The create landed, its answer was lost, and where the event is read it does not show yet.
#[tokio::test]
async fn an_event_that_is_shown_late_is_waited_for_and_not_made_twice() {
    let daemon = setup().start().await;
    let mut case = Case::connected(&daemon, ProviderKind::Google, "shown late").await;
    let lost = case.once(&daemon, CallKind::Create, FaultEffect::AnswerLost);
    let late = FaultRule::always(FaultEffect::status(404)).at(CallKind::Get);
    let late = case.trouble(&daemon, late.times(2));
    case.report_new(&daemon).await;
    case.converges(&daemon).await;
    case.met(&daemon, lost);
    case.met(&daemon, late);
    nothing_more_happens(&daemon, &[case]).await;
}

/// As before at Outlook, where the event is searched. Its content changes before it is asked for
/// again, so that it is not simply answered a second time.
#[tokio::test]
async fn an_event_that_a_search_shows_late_or_never_does_not_stand_beside_another() {
    let daemon = setup()
        .simulate(|config| config.limits.microsoft_duplicate_names_event = true)
        .start()
        .await;
    let mut cases = Vec::new();
    // Shown at the second attempt, or never until the key is given up.
    for searches in [Some(2), None] {
        let what = format!("shown late: {searches:?}");
        let mut case = Case::connected(&daemon, ProviderKind::Outlook, what).await;
        let lost = case.once(&daemon, CallKind::Create, FaultEffect::AnswerLost);
        let down = FaultRule::always(FaultEffect::status(503)).at(CallKind::List);
        let down = case.trouble(&daemon, down);
        let empty = FaultEffect::altered([("value", json!([]))]);
        let empty = FaultRule::always(empty).at(CallKind::List);
        let late = FaultRule {
            times: searches,
            ..empty
        };
        let late = case.trouble(&daemon, late);
        let session = case.report_new(&daemon).await;
        until("it is looked for", || case.is_met(&daemon, down)).await;
        let moved = session.moved(TimeDelta::minutes(30));
        case.report(&daemon, &moved).await;
        daemon.calendars.remove_fault(down);
        case.converges(&daemon).await;
        case.met(&daemon, lost);
        case.met(&daemon, late);
        let most = if searches.is_some() { 1 } else { 2 };
        let made = daemon.calendars.effects(0, usize::MAX);
        let made = made.iter().filter(|effect| {
            effect.operation == EffectKind::Create && effect.account == case.email
        });
        assert_eq!(made.count(), most, "{}", case.what);
        cases.push(case);
    }
    nothing_more_happens(&daemon, &cases).await;
}

#[tokio::test]
async fn a_lost_answer_to_a_batch_of_all_kinds_changes_everything_once() {
    let daemon = setup().start().await;
    let cases = for_each(LOST, async |provider, effect| {
        let what = format!("{effect:?} of a batch");
        let mut case = Case::connected(&daemon, provider, what).await;
        let created = case.once(&daemon, CallKind::Batch, effect.clone());
        let sessions = case.sessions(&daemon, 9);
        case.report_all(&daemon, &sessions).await;
        case.converges(&daemon).await;
        let mixed = case.once(&daemon, CallKind::Batch, effect);
        let mut changed = case.sessions(&daemon, 3);
        changed.extend(
            sessions[..3]
                .iter()
                .cloned()
                .map(|session| session.moved(TimeDelta::minutes(15))),
        );
        let gone = sessions[3..6].iter().cloned();
        changed.extend(gone.map(|session| session.with_status("cancelled")));
        case.report_all(&daemon, &changed).await;
        case.converges(&daemon).await;
        case.met(&daemon, created);
        case.met(&daemon, mixed);
        case
    })
    .await;
    nothing_more_happens(&daemon, &cases).await;
}

#[tokio::test]
async fn a_lost_answer_to_a_refresh_is_asked_for_again() {
    let daemon = setup().start().await;
    let cases = for_each(LOST, async |provider, effect| {
        let what = format!("{effect:?} of a refresh");
        let mut case = Case::connected(&daemon, provider, what).await;
        case.report_new(&daemon).await;
        case.converges(&daemon).await;
        for _ in 0..2 {
            let lost = case.once(&daemon, CallKind::Refresh, effect.clone());
            daemon.calendars.expire_access_tokens(provider, &case.email);
            case.report_new(&daemon).await;
            case.converges(&daemon).await;
            case.met(&daemon, lost);
        }
        case
    })
    .await;
    nothing_more_happens(&daemon, &cases).await;
}

/// Where the old refresh token dies with its use, the new one is lost with the answer: only the
/// coach can help. Nothing that was reported meanwhile is lost with it.
#[tokio::test]
async fn a_lost_rotated_token_parks_the_connection_and_signing_in_again_catches_up() {
    let daemon = setup()
        .simulate(|config| config.limits.microsoft_strict_rotation = true)
        .start()
        .await;
    let mut cases = Vec::new();
    for effect in LOST {
        let what = format!("{effect:?} of a rotation");
        let mut case = Case::connected(&daemon, ProviderKind::Outlook, what).await;
        let sessions = case.sessions(&daemon, 4);
        case.report_all(&daemon, &sessions).await;
        case.converges(&daemon).await;
        let lost = case.once(&daemon, CallKind::Refresh, effect);
        let email = case.email.clone();
        daemon.calendars.expire_access_tokens(case.provider, &email);
        case.report_new(&daemon).await;
        let parked = case.parked(&daemon).await;
        case.met(&daemon, lost);
        assert_eq!(parked["pending"], 1, "{}", case.what);
        let changed = [
            sessions[0].clone().moved(TimeDelta::minutes(30)),
            sessions[1].clone().with_status("cancelled"),
        ];
        case.report_all(&daemon, &changed).await;
        let id = case.id;
        case.connect(&daemon).await;
        assert_eq!(case.id, id, "{}", case.what);
        case.converges(&daemon).await;
        cases.push(case);
    }
    nothing_more_happens(&daemon, &cases).await;
}

/// A code works once, so the exchange cannot be repeated: the coach is told, nothing half-made is
/// left, and connecting again works.
#[tokio::test]
async fn a_lost_answer_while_signing_in_leaves_nothing_and_the_coach_tries_again() {
    let daemon = setup()
        .calls_last_at_most(Duration::from_secs(5))
        .start()
        .await;
    let mut rows = Vec::new();
    for (call, told) in [
        (CallKind::TokenExchange, "provider_error"),
        (CallKind::Userinfo, "calendar_access_failed"),
        (CallKind::Calendars, "calendar_access_failed"),
    ] {
        rows.extend(LOST.map(|effect| (call, effect, told)));
    }
    let cases = for_each(rows, async |provider, (call, effect, told)| {
        let mut case = Case::new(provider, format!("{effect:?} of {call:?}"));
        let lost = case.once(&daemon, call, effect);
        let end = Browser::new(&daemon)
            .sign_in(provider, case.coach, &case.email, Consent::Allow)
            .await;
        case.met(&daemon, lost);
        assert_eq!(
            parameter(&end, "error").as_deref(),
            Some(told),
            "{}",
            case.what
        );
        let path = format!("connections/{}", case.coach);
        let seen = daemon.coach(case.coach).get(&path).await.expect(200);
        assert_eq!(seen["connections"], json!([]), "{}", case.what);
        // Reported before there is a connection, and there once there is one.
        case.report_new(&daemon).await;
        case.connect(&daemon).await;
        case.converges(&daemon).await;
        case
    })
    .await;
    nothing_more_happens(&daemon, &cases).await;
    let stored = "SELECT account_email FROM coach_calendar_connections";
    // Those of the table, and the two who came at the end.
    let connections = daemon.database.texts(stored, 0).await;
    assert_eq!(connections.len(), cases.len() + 2);
}
