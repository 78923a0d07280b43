//! Traces: one from the request through the queue to the provider, at a collector.

use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::{CallKind, FaultEffect, FaultRule};
use reqwest::Method;
use uuid::Uuid;

use crate::support::{COACH_EMAIL, Collector, Seen, Session, Setup, eventually};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
/// A secret may be a method, as far as HTTP is concerned.
const ODD_METHOD: &str = "hunter2-is-no-method";
const CALLER: &str = "b7ad6b7169203331";

fn below<'a>(spans: &'a [Seen], parent: &str) -> Vec<&'a Seen> {
    spans.iter().filter(|span| span.parent == parent).collect()
}

#[tokio::test]
async fn one_trace_leads_from_the_request_over_a_restart_to_the_providers_call() {
    let collector = Collector::start().await;
    let mut daemon = Setup::default()
        .set("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
        .start()
        .await;
    let coach = Uuid::new_v4();
    let id = daemon
        .connect(ProviderKind::Google, coach, COACH_EMAIL)
        .await;
    daemon.service().settled(id).await;
    for probe in ["/health/live", "/health/ready"] {
        daemon.nobody().get(probe).await.expect(200);
    }

    daemon.fail(FaultRule::always(FaultEffect::status(503)).at(CallKind::Create));
    let session = Session::tomorrow(coach, daemon.now());
    let path = format!("appointments/{}", session.id);
    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    daemon
        .service()
        .send_with(
            Method::PUT,
            &path,
            &[("traceparent", &traceparent), ("x-request-id", "booking-7")],
            Some(&session.body()),
        )
        .await
        .expect(201);
    let odd = Method::from_bytes(ODD_METHOD.as_bytes()).expect("a token");
    let refused = daemon.service().send_with(odd, &path, &[], None).await;
    assert_eq!(refused.status, 405);
    eventually("an attempt fails", async || {
        let status = daemon.service().sync_status(id).await;
        let attempts = session.job_in(&status)["attempts"].as_u64();
        (attempts > Some(0)).then_some(())
    })
    .await;
    daemon.stop().await;
    // What was on the way is sent before it ends.
    let first = collector.spans();
    daemon.calendars.clear_faults();
    daemon.start_again().await;
    daemon
        .event(ProviderKind::Google, COACH_EMAIL, session.id, |_| true)
        .await;
    daemon.service().settled(id).await;
    daemon.stop().await;

    let spans = collector.spans();
    let trace: Vec<Seen> = spans
        .iter()
        .filter(|span| span.trace == TRACE)
        .cloned()
        .collect();
    assert!(
        spans.iter().all(|span| !span.name.ends_with("ness")),
        "machines that only watch have no trace"
    );
    let requests = below(&trace, CALLER);
    assert_eq!(requests.len(), 1, "{trace:#?}");
    assert_eq!(requests[0].name, "put_appointment");
    assert_eq!(
        requests[0].attribute("service.name").as_deref(),
        Some("calendar-integration")
    );
    let jobs = below(&trace, &requests[0].id);
    let node = |span: &Seen| span.attribute("service.instance.id").expect("a node");
    let outcome = |span: &Seen| span.attribute("outcome").expect("an outcome");
    assert!(jobs.iter().all(|job| job.name == "job"), "{jobs:#?}");
    let before = first.iter().filter(|span| span.trace == TRACE).count();
    assert!((3..trace.len()).contains(&before), "{before}");
    let failed = jobs.iter().find(|job| outcome(job) != "completed");
    let done = jobs.iter().find(|job| outcome(job) == "completed");
    let (failed, done) = (failed.expect("one failed"), done.expect("one worked"));
    assert_ne!(node(failed), node(done));
    for (job, error) in [(failed, true), (done, false)] {
        let calls = below(&trace, &job.id);
        assert_eq!(calls.len(), 1, "{trace:#?}");
        assert_eq!(calls[0].name, "google create");
        assert_eq!(calls[0].attribute("error.type").is_some(), error);
        assert_eq!(job.attribute("request_id").as_deref(), Some("booking-7"));
        assert_eq!(
            job.attribute("appointment.id"),
            Some(session.id.to_string())
        );
    }

    let sent = String::from_utf8_lossy(&collector.bytes()).into_owned();
    assert!(
        !sent.contains(ODD_METHOD),
        "whatever a caller calls its method"
    );
    let body = session.body();
    for secret in [
        COACH_EMAIL,
        body["client"]["name"].as_str().expect("a name"),
        body["client"]["email"].as_str().expect("an address"),
        body["notes"].as_str().unwrap_or("Bring the values sheet"),
        daemon.setting("AUTH_JWT_SECRET"),
    ] {
        assert!(!sent.contains(secret), "{secret}");
    }
    assert!(sent.contains("booking-7"));
}

#[tokio::test]
async fn while_traces_are_off_no_row_names_one_and_without_a_collector_changes_arrive() {
    // Nobody listens there.
    for collector in ["", "http://127.0.0.1:9"] {
        let mut daemon = Setup::default()
            .set("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
            .start()
            .await;
        let coach = Uuid::new_v4();
        let id = daemon
            .connect(ProviderKind::Outlook, coach, COACH_EMAIL)
            .await;
        let session = Session::tomorrow(coach, daemon.now());
        daemon.service().report(&session).await;
        daemon
            .event(ProviderKind::Outlook, COACH_EMAIL, session.id, |_| true)
            .await;
        daemon.service().settled(id).await;
        let traced = "SELECT traceparent FROM calendar_sync_queue WHERE traceparent IS NOT NULL";
        let rows = daemon.database.texts(traced, 0).await;
        assert_eq!(rows.is_empty(), collector.is_empty(), "{rows:?}");
        daemon.stop().await;
    }
}
