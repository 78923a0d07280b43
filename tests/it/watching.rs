//! What operators watch: metrics that Prometheus takes as they are, and a dashboard and alert rules
//! that ask for nothing a daemon does not tell.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use calendar_integration::domain::ProviderKind;
use calendar_integration::health::observability::{ALERTS, DASHBOARD};
use calendar_integration::simulator::{CallKind, FaultEffect, FaultRule};
use chrono::TimeDelta;
use serde_json::Value;
use uuid::Uuid;

use crate::support::{Api, COACH_EMAIL, Session, Setup, TestDaemon, eventually, needs_postgres};

const GOOGLE: ProviderKind = ProviderKind::Google;

/// Runs Prometheus' own checker; its complaints are the test's.
fn promtool(arguments: &[&str], input: &str) {
    let mut child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is there: tests/run installs it, or `apt-get install prometheus`");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/health")
        .join(name)
}

async fn scrape(node: &Api) -> String {
    let reply = node.get("/metrics").await;
    let kind = reply.header("content-type").map(str::to_owned);
    assert_eq!(
        kind.as_deref(),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.text
}

/// What one series says; `None` if it is not told.
fn value(text: &str, series: &str) -> Option<f64> {
    text.lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

/// A daemon that has carried one change, and tried another twice.
async fn busy_daemon() -> TestDaemon {
    let daemon = Setup::default().start().await;
    let coach = Uuid::new_v4();
    let id = daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    let service = daemon.service();
    service.settled(id).await;
    let unavailable = FaultRule::once(FaultEffect::status(503));
    daemon.fail(unavailable.on(GOOGLE).at(CallKind::Create));
    for _ in 0..2 {
        service
            .report(&Session::tomorrow(coach, daemon.now()))
            .await;
    }
    service.settled(id).await;
    daemon
}

#[tokio::test]
async fn promtool_finds_nothing_to_say_about_the_metrics_of_a_busy_daemon() {
    let daemon = busy_daemon().await;
    let text = scrape(&daemon.admin()).await;
    promtool(&["check", "metrics"], &text);
    for (series, least) in [
        (
            r#"calendar_jobs_total{provider="google",outcome="completed"}"#,
            2.0,
        ),
        (
            r#"calendar_jobs_total{provider="google",outcome="retried"}"#,
            1.0,
        ),
        (
            r#"calendar_job_retries_total{provider="google",reason="server_error"}"#,
            1.0,
        ),
        (
            r#"calendar_provider_changes_total{provider="google",operation="create",outcome="ok"}"#,
            2.0,
        ),
        (
            r#"calendar_provider_latency_seconds_count{provider="google"}"#,
            2.0,
        ),
        (
            r#"calendar_job_start_latency_seconds_count{provider="google"}"#,
            2.0,
        ),
        (r#"calendar_changes_settled_total{provider="google"}"#, 2.0),
        (
            r#"calendar_changes_within_objective_total{provider="google"}"#,
            2.0,
        ),
        (
            r#"calendar_change_delay_seconds_count{provider="google"}"#,
            2.0,
        ),
        (
            r#"calendar_connections{provider="google",status="active"}"#,
            1.0,
        ),
        (r#"calendar_ready_part{part="database"}"#, 1.0),
        (r#"calendar_workers{state="idle"}"#, 1.0),
        (
            r#"calendar_http_requests_total{method="PUT",route="/api/calendar-integration/appointments/{id}",status="2xx"}"#,
            2.0,
        ),
        (
            r#"calendar_http_request_duration_seconds_count{method="PUT",route="/api/calendar-integration/appointments/{id}"}"#,
            2.0,
        ),
    ] {
        let told = value(&text, series);
        assert!(
            told.is_some_and(|told| told >= least),
            "{series}: {told:?}\n{text}"
        );
    }
    assert_eq!(
        value(
            &text,
            r#"calendar_provider_rounds_in_flight{provider="google"}"#
        ),
        Some(0.0)
    );
}

#[tokio::test]
async fn no_request_makes_a_label_of_its_own() {
    let daemon = TestDaemon::start().await;
    let admin = daemon.admin();
    for _ in 0..3 {
        let stray = Uuid::new_v4();
        admin.get(&format!("/{stray}")).await;
        admin.get(&format!("appointments/{stray}")).await;
        let method = reqwest::Method::from_bytes(format!("X{}", stray.simple()).as_bytes());
        admin.send(method.expect("a method"), "queue", None).await;
    }
    let text = scrape(&admin).await;
    let requests: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("calendar_http_requests_total{"))
        .collect();
    assert!(!requests.is_empty() && requests.len() <= 4, "{requests:?}");
}

#[tokio::test]
async fn what_the_database_answers_is_told_without_what_it_does_not_on_postgres() {
    needs_postgres();
    let daemon = TestDaemon::start().await;
    let admin = daemon.admin();
    let lock = "LOCK TABLE connection_leases IN ACCESS EXCLUSIVE MODE";
    let held = daemon.database.hold(lock).await;
    let text = scrape(&admin).await;
    held.let_go().await;
    let open = r#"calendar_queue_jobs{provider="google",status="pending"}"#;
    assert_eq!(value(&text, open), Some(0.0), "{text}");
    let active = r#"calendar_connections{provider="google",status="active"}"#;
    assert_eq!(value(&text, active), Some(0.0), "{text}");
    let behind = r#"calendar_freshness_seconds{provider="google"}"#;
    assert_eq!(value(&text, behind), None, "{text}");
}

/// The metrics that an expression or a text of expressions names.
fn named(text: &str) -> BTreeSet<String> {
    text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'))
        .filter(|word| word.starts_with("calendar_"))
        .map(str::to_owned)
        .collect()
}

/// Every text in a document, without the names of its fields.
fn texts(document: &Value, found: &mut String) {
    match document {
        Value::String(text) => {
            found.push_str(text);
            found.push('\n');
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[tokio::test]
async fn dashboard_and_alerts_name_only_what_a_running_daemon_tells() {
    let daemon = TestDaemon::start().await;
    // The first answer is measured when it has been given.
    scrape(&daemon.admin()).await;
    let text = scrape(&daemon.admin()).await;
    let told: BTreeSet<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let mut shown = String::new();
    texts(&dashboard, &mut shown);
    for (what, names) in [("dashboard", named(&shown)), ("alerts", named(ALERTS))] {
        assert!(names.len() >= 5, "{what}: {names:?}");
        let missing: Vec<_> = names
            .iter()
            .filter(|name| !told.contains(name.as_str()))
            .collect();
        assert!(missing.is_empty(), "{what}: {missing:?}");
    }
}

#[tokio::test]
async fn promtool_takes_the_alert_rules_and_they_are_raised_when_they_should_be() {
    let rules = file("alerts.yml");
    let tests = file("alerts_test.yml");
    promtool(&["check", "rules", &rules.to_string_lossy()], "");
    promtool(&["test", "rules", &tests.to_string_lossy()], "");
    let cases = std::fs::read_to_string(&tests).expect("a file");
    let alerts = ALERTS
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    for alert in alerts {
        let raised = format!("alertname: {alert}\n        exp_alerts:\n          - exp_labels:\n");
        assert!(
            cases.contains(&raised),
            "{alert} is never raised by alerts_test.yml"
        );
    }
    let rules = ALERTS.matches("- alert:").count();
    for part in ["summary:", "description:", "action:", "severity:"] {
        let found = ALERTS.matches(&format!("{part} ")).count();
        assert!(found >= rules, "{part} {found} of {rules}");
    }
}

#[tokio::test]
async fn a_calendar_is_as_far_behind_as_its_oldest_change_and_then_current_again() {
    let daemon = Setup::with_manual_clock()
        .set("SYNC_RETRY_BASE", "1h")
        .set("SYNC_RETRY_CAP", "1h")
        .start()
        .await;
    let coach = Uuid::new_v4();
    let id = daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    let service = daemon.service();
    service.settled(id).await;
    let fresh = async || {
        let connection = service.connection(coach, id).await;
        connection["freshness_seconds"].as_f64().expect("a number")
    };
    assert_eq!(fresh().await, 0.0);

    let unavailable = FaultRule::once(FaultEffect::status(503));
    daemon.fail(unavailable.on(GOOGLE).at(CallKind::Create));
    let session = Session::tomorrow(coach, daemon.now());
    service.report(&session).await;
    eventually("the first attempt has failed", async || {
        let status = service.sync_status(id).await;
        (session.job_in(&status)["attempts"] == 1).then_some(())
    })
    .await;
    daemon.advance(TimeDelta::minutes(10));
    assert!((600.0..605.0).contains(&fresh().await));
    let text = scrape(&daemon.admin()).await;
    let series = r#"calendar_freshness_seconds{provider="google"}"#;
    let told = value(&text, series).expect(series);
    assert!((600.0..605.0).contains(&told), "{told}");
    // It waits for its turn: nothing is overdue.
    let overdue = r#"calendar_queue_oldest_due_age_seconds{provider="google"}"#;
    assert_eq!(value(&text, overdue), Some(0.0));

    daemon.advance(TimeDelta::hours(1));
    service.settled(id).await;
    assert_eq!(fresh().await, 0.0);
    let text = scrape(&daemon.admin()).await;
    assert_eq!(value(&text, series), Some(0.0));
    // It was given late: settled, and beyond the objective.
    let count = |name: &str| value(&text, &format!(r#"{name}{{provider="google"}}"#));
    let settled = count("calendar_changes_settled_total").expect("told");
    let met = count("calendar_changes_within_objective_total").expect("told");
    assert_eq!(settled - met, 1.0, "{settled} {met}");
}
