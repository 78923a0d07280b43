//! Batches that come back short, long, twice, mixed up, or not at all.

use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::{BatchForm, CallKind, FaultEffect, FaultRule};
use chrono::TimeDelta;

use super::case::{Case, for_each, nothing_more_happens, setup};
use crate::support::{Session, TestDaemon};

/// Twelve at once; then some of them moved, some cancelled, and some new ones, at once again.
fn second_wave(daemon: &TestDaemon, case: &mut Case, sessions: &[Session]) -> Vec<Session> {
    let mut changed = case.sessions(daemon, 4);
    let moved = sessions[..4].iter().cloned();
    changed.extend(moved.map(|session| session.moved(TimeDelta::minutes(20))));
    let gone = sessions[4..8].iter().cloned();
    changed.extend(gone.map(|session| session.with_status("cancelled")));
    changed
}

async fn two_waves(daemon: &TestDaemon, case: &mut Case, trouble: impl Fn(&Case) -> Vec<u64>) {
    let sessions = case.sessions(daemon, 12);
    let met = trouble(case);
    case.report_all(daemon, &sessions).await;
    case.converges(daemon).await;
    for rule in met {
        case.met(daemon, rule);
    }
    let met = trouble(case);
    let changed = second_wave(daemon, case, &sessions);
    case.report_all(daemon, &changed).await;
    case.converges(daemon).await;
    for rule in met {
        case.met(daemon, rule);
    }
}

#[tokio::test]
async fn parts_that_are_missing_extra_twice_or_in_any_order_are_settled_one_by_one() {
    let daemon = setup().start().await;
    let form = |form| FaultEffect::BatchAnswer { form };
    let rows = [
        form(BatchForm::Missing),
        form(BatchForm::Duplicate),
        form(BatchForm::Extra),
        form(BatchForm::Reordered),
        FaultEffect::HalfBatch { missing: false },
        FaultEffect::HalfBatch { missing: true },
    ];
    let cases = for_each(rows, async |provider, effect| {
        let mut case = Case::connected(&daemon, provider, format!("{effect:?}")).await;
        two_waves(&daemon, &mut case, |case| {
            vec![case.once(&daemon, CallKind::Batch, effect.clone())]
        })
        .await;
        case
    })
    .await;
    for case in &cases {
        let harmless = ["Duplicate", "Extra", "Reordered"];
        if harmless.iter().any(|form| case.what.contains(form)) {
            assert_eq!(case.attempts(&daemon).await, 0, "{}", case.what);
            assert_eq!(case.count(&daemon, CallKind::Create), 16, "{}", case.what);
        }
    }
    nothing_more_happens(&daemon, &cases).await;
}

/// Every part its own status. At Graph the items of a large batch form a chain, in which the first
/// failure holds back all that follow: those are answered 424 and sent after it.
#[tokio::test]
async fn parts_of_mixed_statuses_each_get_what_theirs_calls_for() {
    let daemon = setup().start().await;
    let cases = for_each([()], async |provider, ()| {
        let mut case = Case::connected(&daemon, provider, "mixed statuses").await;
        let lost = [FaultEffect::AnswerLost, FaultEffect::Html];
        let statuses = [500, 503, 409, 412].map(FaultEffect::status);
        let mixed: Vec<FaultEffect> = lost.into_iter().chain(statuses).collect();
        two_waves(&daemon, &mut case, |case| {
            let at_create = mixed.iter().map(|effect| (CallKind::Create, effect));
            let mut met: Vec<u64> = at_create
                .map(|(call, effect)| case.once(&daemon, call, effect.clone()))
                .collect();
            if case.count(&daemon, CallKind::Create) > 0 {
                for call in [CallKind::Update, CallKind::Delete] {
                    for status in [409, 412, 503] {
                        met.push(case.once(&daemon, call, FaultEffect::status(status)));
                    }
                }
            }
            met
        })
        .await;
        case
    })
    .await;
    nothing_more_happens(&daemon, &cases).await;
}

/// One part that fails delays none of the others: they are there before it is tried again.
#[tokio::test]
async fn a_failing_part_costs_the_others_no_attempt() {
    let daemon = setup().start().await;
    let cases = for_each([500, 409, 404], async |provider, status| {
        let mut case = Case::connected(&daemon, provider, format!("one part {status}")).await;
        let sessions = case.sessions(&daemon, 15);
        let failing = sessions[3].id.to_string();
        let rule = FaultRule::once(FaultEffect::status(status)).at(CallKind::Create);
        let met = case.trouble(&daemon, rule.containing(failing.as_str()));
        case.report_all(&daemon, &sessions).await;
        case.converges(&daemon).await;
        case.met(&daemon, met);
        for job in case.jobs(&daemon).await {
            let is_failing = job["appointment_id"] == failing;
            let attempts = job["attempts"].as_i64().expect("a number");
            // A taken id is looked at in the same round and costs an attempt only after that.
            assert!(is_failing || attempts == 0, "{}: {job}", case.what);
        }
        case
    })
    .await;
    nothing_more_happens(&daemon, &cases).await;
}

#[tokio::test]
async fn a_whole_batch_refused_is_sent_again_and_blames_no_part() {
    let daemon = setup().start().await;
    let limited = FaultEffect::too_many_requests("1");
    let rows = [
        (FaultEffect::status(401), 0),
        (limited, 0),
        (FaultEffect::status(400), 12),
        (FaultEffect::status(413), 12),
        (FaultEffect::status(404), 12),
        (FaultEffect::status(500), 12),
    ];
    let cases = for_each(rows, async |provider, (effect, attempts)| {
        let what = format!("a whole batch {effect:?}");
        let mut case = Case::connected(&daemon, provider, what).await;
        let met = case.once(&daemon, CallKind::Batch, effect.clone());
        let sessions = case.sessions(&daemon, 12);
        case.report_all(&daemon, &sessions).await;
        case.converges(&daemon).await;
        case.met(&daemon, met);
        assert_eq!(case.attempts(&daemon).await, attempts, "{}", case.what);
        let refreshes = usize::from(effect == FaultEffect::status(401));
        assert_eq!(
            case.count(&daemon, CallKind::Refresh),
            refreshes,
            "{}",
            case.what
        );
        assert_eq!(case.count(&daemon, CallKind::Create), 12, "{}", case.what);
        case
    })
    .await;
    nothing_more_happens(&daemon, &cases).await;
}

/// The chain of a batch at Graph breaks at its first failure, time and again.
#[tokio::test]
async fn a_chain_that_breaks_again_and_again_is_worked_off_in_waves() {
    let daemon = setup().start().await;
    let mut case = Case::connected(&daemon, ProviderKind::Outlook, "a chain").await;
    let broken = FaultRule::always(FaultEffect::status(500)).at(CallKind::Create);
    let met = case.trouble(&daemon, broken.times(6));
    let sessions = case.sessions(&daemon, 20);
    case.report_all(&daemon, &sessions).await;
    case.converges(&daemon).await;
    case.met(&daemon, met);
    assert_eq!(
        case.attempts(&daemon).await,
        6,
        "one for each that was broken"
    );
    nothing_more_happens(&daemon, &[case]).await;
}
