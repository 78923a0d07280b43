//! Access that ends, is taken away, narrows, or is hard to renew.

use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::{CallKind, FaultEffect, FaultRule};
use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};

use super::case::{Case, for_each, nothing_more_happens, setup, side_by_side};
use crate::support::{Setup, TestDaemon, eventually};

fn altered(name: &str, value: Value) -> FaultEffect {
    FaultEffect::altered([(name, value)])
}

/// Reports new, changed and cancelled ones while nothing can be done about them.
async fn goes_on_reporting(daemon: &TestDaemon, case: &mut Case) {
    let new = case.sessions(daemon, 3);
    case.report_all(daemon, &new).await;
    let changed = [
        new[0].clone().moved(TimeDelta::minutes(30)),
        new[1].clone().with_status("cancelled"),
    ];
    case.report_all(daemon, &changed).await;
}

/// Parked with a reason, its work kept; signing in again revives the same connection and catches up.
async fn parks_and_catches_up(daemon: &TestDaemon, case: &mut Case, reason: &str) {
    let parked = case.parked(daemon).await;
    let told = parked["status_reason"].as_str().unwrap_or_default();
    assert!(told.contains(reason), "{}: {told}", case.what);
    let calls = case.event_calls(daemon).len();
    goes_on_reporting(daemon, case).await;
    let parked = case.connection(daemon).await;
    assert_ne!(parked["pending"], 0, "{}: its work is kept", case.what);
    assert_eq!(parked["failed"], 0, "{}: {parked}", case.what);
    assert_eq!(
        case.event_calls(daemon).len(),
        calls,
        "{}: left alone",
        case.what
    );
    let id = case.id;
    case.connect(daemon).await;
    assert_eq!(case.id, id, "{}", case.what);
    case.converges(daemon).await;
}

#[tokio::test]
async fn access_that_ends_in_flight_is_renewed_within_the_same_attempt() {
    let daemon = setup().start().await;
    let cases = for_each([1, 12], async |provider, size| {
        let what = format!("access ends before {size} at once");
        let mut case = Case::connected(&daemon, provider, what).await;
        let sessions = case.sessions(&daemon, size);
        let mut waves = vec![sessions.clone()];
        let moved = |minutes| {
            let sessions = sessions.iter().cloned();
            sessions.map(move |session| session.moved(TimeDelta::minutes(minutes)))
        };
        waves.push(moved(30).collect());
        waves.push(
            moved(30)
                .map(|session| session.with_status("cancelled"))
                .collect(),
        );
        for wave in waves {
            daemon.calendars.expire_access_tokens(provider, &case.email);
            case.report_all(&daemon, &wave).await;
            case.converges(&daemon).await;
        }
        assert_eq!(case.attempts(&daemon).await, 0, "{}", case.what);
        assert_eq!(case.count(&daemon, CallKind::Refresh), 3, "{}", case.what);
        case
    })
    .await;
    nothing_more_happens(&daemon, &cases).await;
}

/// Taken away between two changes, and in the middle of a batch.
#[tokio::test]
async fn a_revoked_grant_parks_keeps_the_work_and_signing_in_again_catches_up() {
    let daemon = setup().start().await;
    let rows = ["between changes", "while changes wait"];
    let mut cases = for_each(rows, async |provider, when| {
        let mut case = Case::connected(&daemon, provider, format!("revoked {when}")).await;
        let sessions = case.sessions(&daemon, 6);
        case.report_all(&daemon, &sessions).await;
        case.converges(&daemon).await;
        if when == "while changes wait" {
            let waits = FaultRule::always(FaultEffect::status(503)).times(2);
            case.trouble(&daemon, waits.at(CallKind::Batch));
        }
        let changed: Vec<_> = sessions
            .into_iter()
            .map(|session| session.moved(TimeDelta::minutes(10)))
            .collect();
        if when == "between changes" {
            daemon.calendars.revoke(provider, &case.email);
            case.report_all(&daemon, &changed).await;
        } else {
            case.report_all(&daemon, &changed).await;
            daemon.calendars.revoke(provider, &case.email);
        }
        case.parked(&daemon).await;
        case
    })
    .await;
    daemon.calendars.clear_faults();
    side_by_side(&mut cases, async |case| {
        parks_and_catches_up(&daemon, case, "Sign in again").await;
    })
    .await;
    nothing_more_happens(&daemon, &cases).await;
}

/// Calendars are no longer among what is granted: said by the token endpoint in a refusal or in
/// what it grants, or by the calendar itself.
#[tokio::test]
async fn a_narrowed_grant_parks_and_says_that_calendars_are_missing() {
    let daemon = setup().start().await;
    let status = |status, code: &str| FaultEffect::Status {
        status,
        code: Some(code.to_owned()),
        retry_after: None,
    };
    let sign_in_only = || altered("scope", json!("openid email profile"));
    let google = ProviderKind::Google;
    let outlook = ProviderKind::Outlook;
    let rows = [
        (google, CallKind::Refresh, status(400, "invalid_scope")),
        (google, CallKind::Refresh, sign_in_only()),
        (
            google,
            CallKind::Create,
            status(403, "insufficientPermissions"),
        ),
        (
            google,
            CallKind::Batch,
            status(403, "insufficientPermissions"),
        ),
        (outlook, CallKind::Refresh, status(400, "consent_required")),
        (outlook, CallKind::Refresh, sign_in_only()),
        (
            outlook,
            CallKind::Create,
            status(403, "Authorization_RequestDenied"),
        ),
        (
            outlook,
            CallKind::Batch,
            status(403, "Authorization_RequestDenied"),
        ),
    ];
    let parked = rows.map(async |(provider, call, effect)| {
        let mut case = Case::connected(&daemon, provider, format!("{call:?} {effect:?}")).await;
        case.report_new(&daemon).await;
        case.converges(&daemon).await;
        let narrowed = case.trouble(&daemon, FaultRule::always(effect).at(call));
        if call == CallKind::Refresh {
            daemon.calendars.expire_access_tokens(provider, &case.email);
        }
        let sessions = case.sessions(&daemon, if call == CallKind::Batch { 5 } else { 1 });
        case.report_all(&daemon, &sessions).await;
        case.parked(&daemon).await;
        case.met(&daemon, narrowed);
        case
    });
    let mut cases = join_all(parked).await;
    daemon.calendars.clear_faults();
    side_by_side(&mut cases, async |case| {
        parks_and_catches_up(&daemon, case, "does not include calendars").await;
    })
    .await;
    nothing_more_happens(&daemon, &cases).await;
}

/// Ahead of its end a token is renewed; while that fails, the present one does.
#[tokio::test]
async fn work_goes_on_while_the_token_endpoint_is_down_and_the_access_is_good() {
    let daemon = Setup::with_manual_clock().start().await;
    let down = [
        FaultEffect::status(503),
        FaultEffect::status(429),
        FaultEffect::ResetBeforeAnswer,
        FaultEffect::Html,
        FaultEffect::status(404),
    ];
    let mut cases = for_each(down, async |provider, effect| {
        let what = format!("the token endpoint answers {effect:?}");
        let mut case = Case::connected(&daemon, provider, what).await;
        case.report_new(&daemon).await;
        case.converges(&daemon).await;
        case.trouble(&daemon, FaultRule::always(effect).at(CallKind::Refresh));
        case
    })
    .await;
    daemon.advance(TimeDelta::minutes(56));
    side_by_side(&mut cases, async |case| {
        let refreshes = case.count(&daemon, CallKind::Refresh);
        let session = case.report_new(&daemon).await;
        case.converges(&daemon).await;
        let moved = session.moved(TimeDelta::minutes(15));
        case.report(&daemon, &moved).await;
        case.converges(&daemon).await;
        assert_eq!(case.attempts(&daemon).await, 0, "{}", case.what);
        // Asked once, and then left alone for a while.
        let asked = case.count(&daemon, CallKind::Refresh) - refreshes;
        assert_eq!(asked, 1, "{}", case.what);
    })
    .await;
    // The access ends with the endpoint still down: the work waits, and nobody is parked.
    daemon.advance(TimeDelta::minutes(10));
    side_by_side(&mut cases, async |case| {
        case.report_new(&daemon).await;
    })
    .await;
    eventually("all asked for a token once more", async || {
        daemon.advance(TimeDelta::seconds(1));
        let asked = |case: &Case| case.count(&daemon, CallKind::Refresh) >= 2;
        cases.iter().all(asked).then_some(())
    })
    .await;
    for case in &cases {
        let connection = case.connection(&daemon).await;
        assert_eq!(connection["status"], "active", "{}", case.what);
        assert_eq!(connection["pending"], 1, "{}", case.what);
    }
    daemon.calendars.clear_faults();
    eventually("all work is done", async || {
        daemon.advance(TimeDelta::seconds(5));
        let quiet = join_all(cases.iter().map(|case| case.is_quiet(&daemon))).await;
        quiet.iter().all(Option::is_some).then_some(())
    })
    .await;
    for case in &cases {
        case.converges(&daemon).await;
        assert_eq!(case.attempts(&daemon).await, 0, "{}", case.what);
    }
    nothing_more_happens(&daemon, &cases).await;
}

/// Our own credentials are refused: the operator's business, and no reason to stop at once.
#[tokio::test]
async fn work_goes_on_on_good_access_while_our_own_credentials_are_refused() {
    let daemon = Setup::with_manual_clock().start().await;
    let mut cases = for_each([()], async |provider, ()| {
        let case = Case::connected(&daemon, provider, "our secret is wrong").await;
        let refused = FaultRule::always(FaultEffect::status(401));
        case.trouble(&daemon, refused.at(CallKind::Refresh));
        case
    })
    .await;
    daemon.advance(TimeDelta::minutes(56));
    side_by_side(&mut cases, async |case| {
        case.report_new(&daemon).await;
        case.converges(&daemon).await;
        assert_eq!(case.attempts(&daemon).await, 0, "{}", case.what);
        assert_eq!(case.count(&daemon, CallKind::Refresh), 1, "{}", case.what);
    })
    .await;
    nothing_more_happens(&daemon, &cases).await;
}

/// What a provider says of a token's life is believed within bounds: no storm of refreshes where it
/// says too little, and no token used for ever where it says too much.
#[tokio::test]
async fn an_odd_lifetime_neither_storms_the_token_endpoint_nor_stops_the_work() {
    let daemon = Setup::with_manual_clock().start().await;
    let odd = [
        json!(null),
        json!(-3600),
        json!(30),
        json!(u64::MAX),
        json!("soon"),
    ];
    let mut cases = for_each(odd, async |provider, lifetime| {
        let what = format!("expires_in {lifetime}");
        let mut case = Case::connected(&daemon, provider, what).await;
        let rule = FaultRule::always(altered("expires_in", lifetime));
        case.trouble(&daemon, rule.at(CallKind::Refresh));
        case.report_new(&daemon).await;
        case.converges(&daemon).await;
        case
    })
    .await;
    daemon.advance(TimeDelta::hours(2));
    side_by_side(&mut cases, async |case| {
        for _ in 0..3 {
            case.report_new(&daemon).await;
            case.converges(&daemon).await;
        }
        assert_eq!(case.count(&daemon, CallKind::Refresh), 1, "{}", case.what);
    })
    .await;
    // Two days on, whatever was said of a longer life.
    daemon.advance(TimeDelta::hours(48));
    side_by_side(&mut cases, async |case| {
        case.report_new(&daemon).await;
        case.converges(&daemon).await;
        assert_eq!(case.count(&daemon, CallKind::Refresh), 2, "{}", case.what);
        assert_eq!(case.attempts(&daemon).await, 0, "{}", case.what);
    })
    .await;
    nothing_more_happens(&daemon, &cases).await;
}

#[tokio::test]
async fn a_refresh_that_names_no_new_token_leaves_the_old_one_in_force() {
    let daemon = setup().start().await;
    let rows = [json!(null), json!("")];
    let cases = for_each(rows, async |provider, token| {
        let what = format!("refresh_token {token}");
        let mut case = Case::connected(&daemon, provider, what).await;
        let rule = FaultRule::always(altered("refresh_token", token)).times(2);
        let met = case.trouble(&daemon, rule.at(CallKind::Refresh));
        for _ in 0..4 {
            daemon.calendars.expire_access_tokens(provider, &case.email);
            case.report_new(&daemon).await;
            case.converges(&daemon).await;
        }
        case.met(&daemon, met);
        assert_eq!(case.count(&daemon, CallKind::Refresh), 4, "{}", case.what);
        assert_eq!(case.attempts(&daemon).await, 0, "{}", case.what);
        case
    })
    .await;
    nothing_more_happens(&daemon, &cases).await;
}
