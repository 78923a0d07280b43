//! Trouble that passes, and trouble that does not. Outages are in `outage`.

use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::{CallKind, FaultEffect, FaultRule};
use chrono::TimeDelta;
use serde_json::Value;
use uuid::Uuid;

use crate::support::{COACH_EMAIL, Session, Setup, TestDaemon, eventually, is_postgres};

const GOOGLE: ProviderKind = ProviderKind::Google;

fn only_job(status: &Value) -> Value {
    let jobs = status["recent_jobs"].as_array().expect("a list");
    let mut of_appointments = jobs.iter().filter(|job| !job["appointment_id"].is_null());
    let job = of_appointments.next().expect("a job").clone();
    assert!(of_appointments.next().is_none(), "{jobs:?}");
    job
}

#[tokio::test]
async fn an_error_that_passes_is_tried_again_until_it_works() {
    let daemon = TestDaemon::start().await;
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        let coach = Uuid::new_v4();
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        service.settled(id).await;
        for effect in [
            FaultEffect::status(500),
            FaultEffect::status(503),
            FaultEffect::ResetBeforeAnswer,
            FaultEffect::Html,
            FaultEffect::Empty,
            FaultEffect::TruncatedJson,
        ] {
            daemon.fail(FaultRule::once(effect).on(provider).at(CallKind::Create));
        }
        let session = Session::tomorrow(coach, daemon.now());
        service.report(&session).await;
        daemon
            .event(provider, COACH_EMAIL, session.id, |_| true)
            .await;
        let job = only_job(&service.settled(id).await);
        assert_eq!(job["status"], "completed");
        assert!(
            job["attempts"]
                .as_i64()
                .is_some_and(|attempts| attempts >= 3),
            "{job}"
        );
        assert!(job["error_code"].is_null());
        daemon.calendars.clear_faults();
    }
    daemon.no_duplicates();
}

#[tokio::test]
async fn after_the_last_attempt_a_job_has_failed_and_can_be_replayed() {
    let daemon = Setup::default().set("SYNC_MAX_ATTEMPTS", "3").start().await;
    let coach = Uuid::new_v4();
    let (service, admin) = (daemon.service(), daemon.admin());
    let id = daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    service.settled(id).await;
    daemon.fail(FaultRule::always(FaultEffect::status(500)).at(CallKind::Create));
    let sessions = [(), ()].map(|()| Session::tomorrow(coach, daemon.now()));
    for session in &sessions {
        service.report(session).await;
    }
    let failed = format!("queue?status=failed&connection_id={id}");
    let jobs = eventually("both have failed", async || {
        let jobs = admin.get(&failed).await.expect(200)["jobs"].clone();
        (jobs.as_array().map(Vec::len) == Some(2)).then_some(jobs)
    })
    .await;
    assert_eq!(jobs[0]["attempts"], 3);
    assert_eq!(jobs[0]["error_code"], "server_error");
    let connection = service.connection(coach, id).await;
    assert_eq!(connection["failed"], 2);
    assert_eq!(connection["last_sync_status"], "error");
    assert!(connection["last_sync_error"].is_string());
    let standing = service.standing(sessions[0].id, id).await;
    assert_eq!(standing["sync_status"], "failed");

    daemon.calendars.clear_faults();
    let job = jobs[0]["id"].as_str().expect("an id");
    let retry = format!("queue/{job}/retry");
    let retried = admin.post(&retry, None).await.expect(200);
    assert_eq!(retried["status"], "pending");
    let done = service.settled(id).await;
    assert_eq!((&done["synced"], &done["failed"]), (&1.into(), &1.into()));
    assert_eq!(
        admin.post(&retry, None).await.problem(409),
        "job_not_failed"
    );
    let unknown = format!("queue/{}/retry", Uuid::new_v4());
    assert_eq!(
        admin.post(&unknown, None).await.problem(404),
        "job_not_found"
    );

    let all = admin.post("queue/retry-failed", None).await.expect(202);
    assert_eq!(all["queued"], 1);
    let done = service.settled(id).await;
    assert_eq!((&done["synced"], &done["failed"]), (&2.into(), &0.into()));
    daemon.no_duplicates();
}

#[tokio::test]
async fn a_new_report_gives_failed_work_another_chance() {
    let daemon = Setup::default().set("SYNC_MAX_ATTEMPTS", "1").start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    let id = daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    service.settled(id).await;
    daemon.fail(FaultRule::once(FaultEffect::status(500)).at(CallKind::Create));
    let session = Session::tomorrow(coach, daemon.now());
    service.report(&session).await;
    eventually("it has failed", async || {
        (service.sync_status(id).await["failed"] == 1).then_some(())
    })
    .await;
    let session = session.moved(TimeDelta::hours(1));
    service.report(&session).await;
    daemon
        .event(GOOGLE, COACH_EMAIL, session.id, |event| {
            event.starts_at == session.starts_at
        })
        .await;
    assert_eq!(service.settled(id).await["failed"], 0);
}

#[tokio::test]
async fn what_a_provider_refuses_for_good_is_not_tried_again() {
    let daemon = TestDaemon::start().await;
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        let coach = Uuid::new_v4();
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        service.settled(id).await;
        let calls = daemon.calendars.call_count(provider, CallKind::Create);
        daemon.fail(
            FaultRule::always(FaultEffect::status(400))
                .on(provider)
                .at(CallKind::Create),
        );
        service
            .report(&Session::tomorrow(coach, daemon.now()))
            .await;
        eventually("it has failed", async || {
            (service.sync_status(id).await["failed"] == 1).then_some(())
        })
        .await;
        assert_eq!(
            daemon.calendars.call_count(provider, CallKind::Create),
            calls + 1
        );
        daemon.calendars.clear_faults();
    }
}

/// Accounts beyond one page of `retry_failed`, made beside the daemon from the one that is there, each
/// with the failed job of the one.
fn many_failed(extra: u32) -> String {
    let (id, uuid_text) = if is_postgres() {
        ("gen_random_uuid()", "n.i::text")
    } else {
        ("randomblob(16)", "n.i")
    };
    let numbers = format!(
        "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {extra}) SELECT i FROM n) n"
    );
    let kept = "coach_id, provider, account_email, calendar_id, calendar_name, calendar_is_primary, \
                status, token_version, is_sync_enabled, auto_create_events, auto_update_events, \
                include_client_details, add_client_as_attendee, event_title_template, \
                event_description_template, settings_version, last_sync_status, created_at, updated_at";
    let job = "appointment_id, operation, status, priority, attempts, max_attempts, scheduled_for, \
               completed_at, created_at, forced, verify";
    format!(
        "INSERT INTO coach_calendar_connections (id, account_id, {kept}) \
           SELECT {id}, 'copy-' || {uuid_text}, {kept} \
           FROM coach_calendar_connections CROSS JOIN {numbers}; \
         INSERT INTO connection_leases (connection_id, epoch) \
           SELECT id, 0 FROM coach_calendar_connections WHERE account_id LIKE 'copy-%'; \
         INSERT INTO calendar_sync_queue (id, connection_id, {job}) \
           SELECT {id}, copies.id, {job} FROM calendar_sync_queue \
           CROSS JOIN (SELECT id FROM coach_calendar_connections WHERE account_id LIKE 'copy-%') copies \
           WHERE calendar_sync_queue.status = 'failed'"
    )
}

#[tokio::test]
async fn failed_jobs_of_more_connections_than_one_page_are_all_replayed() {
    const EXTRA: u32 = 620;
    let daemon = Setup::default().set("SYNC_MAX_ATTEMPTS", "1").start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    let id = daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    service.settled(id).await;
    daemon.fail(FaultRule::always(FaultEffect::status(500)).at(CallKind::Create));
    service
        .report(&Session::tomorrow(coach, daemon.now()))
        .await;
    eventually("it has failed", async || {
        (service.sync_status(id).await["failed"] == 1).then_some(())
    })
    .await;
    daemon.calendars.clear_faults();
    daemon.database.run(&many_failed(EXTRA)).await;
    let admin = daemon.admin();
    let all = admin.post("queue/retry-failed", None).await.expect(202);
    assert_eq!(all["queued"], EXTRA + 1);
    let again = admin.post("queue/retry-failed", None).await.expect(202);
    assert_eq!(again["queued"], 0);
}

/// While a replay goes on, workers take up what it has made pending, and some of that fails again at once.
#[tokio::test]
async fn a_replay_takes_each_failed_job_once_whatever_fails_again_meanwhile_on_sqlite() {
    const EXTRA: u32 = 620;
    let daemon = Setup::default().set("SYNC_MAX_ATTEMPTS", "1").start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    let id = daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    service.settled(id).await;
    daemon.fail(FaultRule::always(FaultEffect::status(500)).at(CallKind::Create));
    service
        .report(&Session::tomorrow(coach, daemon.now()))
        .await;
    eventually("it has failed", async || {
        (service.sync_status(id).await["failed"] == 1).then_some(())
    })
    .await;
    let fails_again = "CREATE TRIGGER fails_again AFTER UPDATE OF status ON calendar_sync_queue \
         WHEN OLD.status = 'failed' AND NEW.status = 'pending' BEGIN \
         UPDATE calendar_sync_queue SET status = 'failed' WHERE id = NEW.id; END";
    daemon.database.run(&many_failed(EXTRA)).await;
    daemon.database.run(fails_again).await;
    let admin = daemon.admin();
    for _ in 0..2 {
        let all = admin.post("queue/retry-failed", None).await.expect(202);
        assert_eq!(all["queued"], EXTRA + 1);
    }
    // In the trail it is one deed for each connection.
    let lines = admin.get("audit?action=jobs_retried&limit=200").await;
    let of_this = format!("audit?action=jobs_retried&connection_id={id}");
    assert_eq!(
        lines.expect(200)["events"].as_array().map(Vec::len),
        Some(200)
    );
    let lines = admin.get(&of_this).await.expect(200);
    assert_eq!(lines["events"].as_array().map(Vec::len), Some(2));
}
