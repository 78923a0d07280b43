//! Broken, late, endless and senseless answers, to calendar calls, refreshes and sign-ins.
//!
//! That memory and time of a single call are bounded is shown beside `provider::http`.

use std::time::Duration;

use calendar_integration::simulator::{CallKind, FaultEffect, FaultRule};
use chrono::TimeDelta;
use serde_json::json;

use super::case::{Case, for_each, nothing_more_happens, setup};
use crate::support::{Browser, Consent, TestDaemon, parameter};

/// Long enough for every sound answer, short enough to wait for.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);

async fn daemon() -> TestDaemon {
    let setup = setup().calls_last_at_most(CALL_TIMEOUT);
    setup.start().await
}

/// Everything that can come instead of an answer, and how often in a row it does.
fn troubles() -> Vec<(FaultEffect, u32)> {
    let trickle = FaultEffect::Trickle {
        bytes: 1,
        every_ms: 400,
    };
    vec![
        // The slow ones first, so that all of them are waited for at once.
        (FaultEffect::Hang, 1),
        (trickle, 1),
        (FaultEffect::status(502), 3),
        (FaultEffect::ResetBeforeAnswer, 2),
        (FaultEffect::ResetMidBody, 1),
        (FaultEffect::Redirect, 1),
        (FaultEffect::Html, 1),
        (FaultEffect::Empty, 1),
        (FaultEffect::TruncatedJson, 1),
        (FaultEffect::WrongTypes, 1),
        (FaultEffect::HugeBody { megabytes: 100 }, 1),
        (FaultEffect::GzipBomb { megabytes: 100 }, 1),
    ]
}

#[tokio::test]
async fn whatever_comes_instead_of_an_answer_about_events_the_calendar_ends_right() {
    let daemon = daemon().await;
    let cases = for_each(troubles(), async |provider, (effect, times)| {
        let mut case = Case::connected(&daemon, provider, format!("{effect:?}")).await;
        let trouble = |case: &Case, call| {
            let rule = FaultRule::always(effect.clone()).times(times).at(call);
            case.trouble(&daemon, rule)
        };
        let create = trouble(&case, CallKind::Create);
        let stays = case.report_new(&daemon).await;
        case.converges(&daemon).await;
        let goes = case.report_new(&daemon).await;
        case.converges(&daemon).await;
        let update = trouble(&case, CallKind::Update);
        let stays = stays.moved(TimeDelta::minutes(30));
        let delete = trouble(&case, CallKind::Delete);
        let changed = [stays, goes.with_status("cancelled")];
        case.report_all(&daemon, &changed).await;
        case.converges(&daemon).await;
        for rule in [create, update, delete] {
            case.met(&daemon, rule);
        }
        case
    })
    .await;
    nothing_more_happens(&daemon, &cases).await;
}

#[tokio::test]
async fn whatever_comes_instead_of_a_batch_answer_the_calendar_ends_right() {
    let daemon = daemon().await;
    let cases = for_each(troubles(), async |provider, (effect, times)| {
        let mut case = Case::connected(&daemon, provider, format!("{effect:?} of a batch")).await;
        let rule = FaultRule::always(effect.clone()).times(times.min(2));
        let met = case.trouble(&daemon, rule.at(CallKind::Batch));
        let sessions = case.sessions(&daemon, 6);
        case.report_all(&daemon, &sessions).await;
        case.converges(&daemon).await;
        case.met(&daemon, met);
        case
    })
    .await;
    nothing_more_happens(&daemon, &cases).await;
}

#[tokio::test]
async fn whatever_comes_instead_of_a_token_nobody_has_to_sign_in_again() {
    let daemon = daemon().await;
    let cases = for_each(troubles(), async |provider, (effect, times)| {
        let mut case = Case::connected(&daemon, provider, format!("{effect:?} of a refresh")).await;
        let rule = FaultRule::always(effect).times(times).at(CallKind::Refresh);
        let met = case.trouble(&daemon, rule);
        daemon.calendars.expire_access_tokens(provider, &case.email);
        case.report_new(&daemon).await;
        case.converges(&daemon).await;
        case.met(&daemon, met);
        case
    })
    .await;
    nothing_more_happens(&daemon, &cases).await;
}

#[tokio::test]
async fn whatever_comes_while_signing_in_the_coach_is_sent_back_and_can_try_again() {
    let daemon = daemon().await;
    let mut rows = Vec::new();
    for call in [
        CallKind::TokenExchange,
        CallKind::Userinfo,
        CallKind::Calendars,
    ] {
        rows.extend(troubles().into_iter().map(|(effect, _)| (call, effect)));
    }
    let cases = for_each(rows, async |provider, (call, effect)| {
        let mut case = Case::new(provider, format!("{effect:?} of {call:?}"));
        let met = case.once(&daemon, call, effect);
        let end = Browser::new(&daemon)
            .sign_in(provider, case.coach, &case.email, Consent::Allow)
            .await;
        case.met(&daemon, met);
        let told = parameter(&end, "error").unwrap_or_default();
        let fitting = ["provider_error", "calendar_access_failed"];
        assert!(fitting.contains(&told.as_str()), "{}: {end}", case.what);
        let path = format!("connections/{}", case.coach);
        let seen = daemon.coach(case.coach).get(&path).await.expect(200);
        assert_eq!(seen["connections"], json!([]), "{}", case.what);
        case.connect(&daemon).await;
        case
    })
    .await;
    nothing_more_happens(&daemon, &cases).await;
}

/// A token goes where the settings say and nowhere else.
#[tokio::test]
async fn no_redirect_is_followed() {
    let daemon = daemon().await;
    let calls = [CallKind::Create, CallKind::Refresh];
    let cases = for_each(calls, async |provider, call| {
        let mut case = Case::connected(&daemon, provider, format!("{call:?} sent on")).await;
        daemon.calendars.expire_access_tokens(provider, &case.email);
        let before = case.calls(&daemon).len();
        let sent_on = case.once(&daemon, call, FaultEffect::Redirect);
        case.report_new(&daemon).await;
        case.converges(&daemon).await;
        case.met(&daemon, sent_on);
        let since = case.calls(&daemon).split_off(before);
        let met = since.iter().position(|seen| seen.status == 307);
        let after = &since[met.expect("it was met") + 1..];
        // Followed, the same call would come again at once and count no attempt.
        let attempts = case.attempts(&daemon).await;
        let waited = call == CallKind::Refresh || attempts == 1;
        assert!(waited && !after.is_empty(), "{}: {since:?}", case.what);
        case
    })
    .await;
    nothing_more_happens(&daemon, &cases).await;
}
