//! 404, 409, 410 and 412 in answer to every operation.

use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::{CallKind, CoachEdit, FaultEffect, FaultRule};
use chrono::TimeDelta;

use super::case::{Case, for_each, nothing_more_happens, setup, side_by_side, wait_out};
use crate::support::{Setup, TestDaemon};

/// What is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Create,
    Update,
    Delete,
    /// Reading an event to put right what is not as it should be.
    Look,
}

impl Deed {
    const ALL: [Self; 4] = [Self::Create, Self::Update, Self::Delete, Self::Look];

    fn call(self, provider: ProviderKind) -> CallKind {
        match (self, provider) {
            (Self::Create, _) => CallKind::Create,
            (Self::Update, _) => CallKind::Update,
            (Self::Delete, _) => CallKind::Delete,
            (Self::Look, ProviderKind::Google) => CallKind::Get,
            // Events are looked for by our mark, never read by their id.
            (Self::Look, ProviderKind::Outlook) => CallKind::List,
        }
    }
}

fn effect(status: u16, code: Option<&'static str>) -> FaultEffect {
    FaultEffect::Status {
        status,
        code: code.map(str::to_owned),
        retry_after: None,
    }
}

/// One refusal of one deed. Not found and gone are true: the coach removed the event.
async fn refused(
    daemon: &TestDaemon,
    provider: ProviderKind,
    deed: Deed,
    (status, code): (u16, Option<&'static str>),
) -> Case {
    let what = format!("{deed:?} answered {status} {}", code.unwrap_or_default());
    let mut case = Case::connected(daemon, provider, what).await;
    let stays = case.report_new(daemon).await;
    case.converges(daemon).await;
    let is_gone = matches!(status, 404 | 410) && deed != Deed::Create;
    if is_gone {
        case.edit(daemon, stays.id, &CoachEdit::Delete);
    }
    let met = case.once(daemon, deed.call(provider), effect(status, code));
    match deed {
        Deed::Create => {
            case.report_new(daemon).await;
        }
        Deed::Update => {
            let moved = stays.moved(TimeDelta::minutes(30));
            case.report(daemon, &moved).await;
        }
        Deed::Delete => case.report(daemon, &stays.with_status("cancelled")).await,
        Deed::Look => {
            daemon.service().sync_now(case.id).await;
        }
    }
    case.converges(daemon).await;
    case.met(daemon, met);
    case
}

#[tokio::test]
async fn every_deed_outlives_not_found_conflict_gone_and_changed() {
    let daemon = setup().start().await;
    let mut rows = Vec::new();
    for deed in Deed::ALL {
        rows.extend([404, 409, 410, 412].map(|status| (deed, (status, None))));
    }
    let cases = for_each(rows, async |provider, (deed, answer)| {
        refused(&daemon, provider, deed, answer).await
    })
    .await;
    nothing_more_happens(&daemon, &cases).await;
}

/// The codes that tell one conflict from another.
#[tokio::test]
async fn conflicts_of_every_name_end_in_one_event() {
    let daemon = setup().start().await;
    let rows = [
        (ProviderKind::Google, Deed::Create, (409, Some("conflict"))),
        (ProviderKind::Google, Deed::Update, (409, Some("conflict"))),
        (
            ProviderKind::Outlook,
            Deed::Create,
            (409, Some("ErrorDuplicateTransactionId")),
        ),
        (
            ProviderKind::Outlook,
            Deed::Create,
            (400, Some("ErrorDuplicateTransactionId")),
        ),
        (
            ProviderKind::Outlook,
            Deed::Update,
            (409, Some("ErrorIrresolvableConflict")),
        ),
        (
            ProviderKind::Outlook,
            Deed::Delete,
            (412, Some("ErrorIrresolvableConflict")),
        ),
    ];
    let told = rows.map(|(provider, deed, answer)| refused(&daemon, provider, deed, answer));
    let cases = futures::future::join_all(told).await;
    nothing_more_happens(&daemon, &cases).await;
}

/// Deleted by the coach, one and all, and then changed, cancelled, or looked at by a sync.
#[tokio::test]
async fn events_that_come_and_go_under_our_hands_end_as_they_should() {
    let daemon = setup().start().await;
    let cases = for_each([()], async |provider, ()| {
        let mut case = Case::connected(&daemon, provider, "the coach deletes and we write").await;
        let sessions = case.sessions(&daemon, 6);
        case.report_all(&daemon, &sessions).await;
        case.converges(&daemon).await;
        for session in &sessions {
            case.edit(&daemon, session.id, &CoachEdit::Delete);
        }
        // Changed, cancelled, and left alone: the last come back with a sync.
        let mut changed = sessions[..2].to_vec();
        changed = changed
            .into_iter()
            .map(|session| session.moved(TimeDelta::minutes(45)))
            .collect();
        let gone = sessions[2..4].iter().cloned();
        changed.extend(gone.map(|session| session.with_status("cancelled")));
        case.report_all(&daemon, &changed).await;
        case.quiet(&daemon).await;
        daemon.service().sync_now(case.id).await;
        case.converges(&daemon).await;
        case
    })
    .await;
    nothing_more_happens(&daemon, &cases).await;
}

/// Removed by the coach while its change failed more often than a stale event is looked at again at
/// once. Google does not let this one be put back, so both need the next generation.
#[tokio::test]
async fn an_event_that_went_while_its_change_failed_again_and_again_comes_back() {
    let daemon = setup()
        .simulate(|config| config.limits.google_refuses_undelete = true)
        .start()
        .await;
    let cases = for_each([()], async |provider, ()| {
        let mut case = Case::connected(&daemon, provider, "gone behind a failing change").await;
        let session = case.report_new(&daemon).await;
        case.converges(&daemon).await;
        let rule = FaultRule::always(FaultEffect::status(503)).at(CallKind::Update);
        let failing = case.trouble(&daemon, rule.times(5));
        case.edit(&daemon, session.id, &CoachEdit::Delete);
        let moved = session.moved(TimeDelta::minutes(30));
        case.report(&daemon, &moved).await;
        case.converges(&daemon).await;
        case.met(&daemon, failing);
        case
    })
    .await;
    nothing_more_happens(&daemon, &cases).await;
}

/// The owner takes the calendar out of the account's reach, and gives it back: whatever was asked for
/// meanwhile, the event in it is not made a second time.
#[tokio::test]
async fn a_calendar_out_of_reach_is_waited_for_and_its_events_are_not_made_again() {
    let daemon = Setup::with_manual_clock().start().await;
    let mut cases = for_each([1, 30], async |provider, sessions| {
        let what = format!("{sessions} events in a calendar out of reach");
        let mut case = Case::connected(&daemon, provider, what).await;
        let sessions = case.sessions(&daemon, sessions);
        case.report_all(&daemon, &sessions).await;
        case
    })
    .await;
    wait_out(&daemon).await;
    let created: Vec<usize> = cases
        .iter()
        .map(|case| case.count(&daemon, CallKind::Create))
        .collect();
    side_by_side(&mut cases, async |case| {
        // As far as the account can tell, nothing is there.
        for call in [
            CallKind::Create,
            CallKind::Get,
            CallKind::List,
            CallKind::Update,
        ] {
            case.trouble(
                &daemon,
                FaultRule::always(FaultEffect::status(404)).at(call),
            );
        }
        let changed: Vec<_> = case
            .reports()
            .iter()
            .step_by(3)
            .map(|session| session.clone().moved(TimeDelta::minutes(30)))
            .collect();
        case.report_all(&daemon, &changed).await;
        daemon.service().sync_now(case.id).await;
    })
    .await;
    for case in &cases {
        case.waits_because_of(&daemon, "calendar_not_found").await;
    }
    daemon.calendars.clear_faults();
    wait_out(&daemon).await;
    for (case, created) in cases.iter().zip(created) {
        case.converges(&daemon).await;
        let again = case.count(&daemon, CallKind::Create) - created;
        assert_eq!(again, 0, "{}", case.what);
    }
    nothing_more_happens(&daemon, &cases).await;
}
