//! One appointment that always fails among good ones.
//!
//! A connection whose worker panics each time is shown beside the actors, with a provider client
//! that can be made to panic.

use calendar_integration::simulator::{CallKind, FaultEffect, FaultRule};

use super::case::{Case, for_each, nothing_more_happens, setup};
use crate::support::until;

/// Refused for good: it fails with a reason, the good ones are there, and nobody is asked again.
#[tokio::test]
async fn an_appointment_that_is_always_refused_fails_alone_and_says_why() {
    let daemon = setup().start().await;
    let cases = for_each([400, 413], async |provider, status| {
        let what = format!("one of twelve is always answered {status}");
        let mut case = Case::connected(&daemon, provider, what).await;
        let sessions = case.sessions(&daemon, 12);
        let poison = sessions[4].id;
        let rule = FaultRule::always(FaultEffect::status(status)).at(CallKind::Create);
        let met = case.trouble(&daemon, rule.containing(poison.to_string()));
        case.report_all(&daemon, &sessions).await;
        let status = case.quiet(&daemon).await;
        assert_eq!(status["failed"], 1, "{}: {status}", case.what);
        case.met(&daemon, met);
        case.is_exact_but_for(&daemon, &[poison]);

        let standing = daemon.service().standing(poison, case.id).await;
        assert_eq!(standing["sync_status"], "failed", "{}", case.what);
        assert!(standing["error"].is_string(), "{}: {standing}", case.what);
        for job in case.jobs(&daemon).await {
            let is_poison = job["appointment_id"] == poison.to_string();
            let expected = if is_poison { "failed" } else { "completed" };
            assert_eq!(job["status"], expected, "{}: {job}", case.what);
            assert!(is_poison || job["attempts"] == 0, "{}: {job}", case.what);
        }
        // Each was sent once.
        assert_eq!(case.count(&daemon, CallKind::Create), 12, "{}", case.what);

        // What comes later is not held up by it, and does not send it again.
        case.report_new(&daemon).await;
        case.quiet(&daemon).await;
        case.is_exact_but_for(&daemon, &[poison]);
        assert_eq!(case.count(&daemon, CallKind::Create), 13, "{}", case.what);
        case
    })
    .await;
    nothing_more_happens(&daemon, &cases).await;
}

/// Always in trouble that may pass: tried again and again, beside good ones that go through.
#[tokio::test]
async fn an_appointment_that_is_always_in_trouble_delays_and_repeats_no_other() {
    let daemon = setup().start().await;
    let cases = for_each([500, 409], async |provider, status| {
        let what = format!("one of twelve is always answered {status}");
        let mut case = Case::connected(&daemon, provider, what).await;
        let sessions = case.sessions(&daemon, 12);
        let poison = sessions[4].id;
        let effect = FaultEffect::Status {
            status,
            code: (status == 409).then(|| "conflict".to_owned()),
            retry_after: None,
        };
        let rule = FaultRule::always(effect).at(CallKind::Create);
        let rule = case.trouble(&daemon, rule.containing(poison.to_string()));
        case.report_all(&daemon, &sessions).await;
        until(&format!("{}: the good ones are there", case.what), || {
            daemon.events(provider, &case.email).len() == 11
        })
        .await;
        case.is_exact_but_for(&daemon, &[poison]);
        // While it goes on failing, new ones come through.
        for so_far in 12..16 {
            case.report_new(&daemon).await;
            until(&format!("{}: the next one is there", case.what), || {
                daemon.events(provider, &case.email).len() == so_far
            })
            .await;
        }
        case.is_exact_but_for(&daemon, &[poison]);
        for job in case.jobs(&daemon).await {
            let is_poison = job["appointment_id"] == poison.to_string();
            assert!(is_poison || job["attempts"] == 0, "{}: {job}", case.what);
        }
        let connection = case.connection(&daemon).await;
        assert_eq!(connection["status"], "active", "{}", case.what);
        case.met(&daemon, rule);
        daemon.calendars.remove_fault(rule);
        case.converges(&daemon).await;
        case
    })
    .await;
    nothing_more_happens(&daemon, &cases).await;
}
