//! Who may do what: every operation, every role, one's own and another's.

use calendar_integration::domain::ProviderKind;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Api, COACH_EMAIL, Session, TestDaemon};

/// What each caller gets: nobody, the coach it belongs to, another coach, the platform, an operator.
type Answers = [u16; 5];

const OWN: Answers = [401, 200, 404, 200, 200];
const NAMED: Answers = [401, 200, 403, 200, 200];
const PLATFORM: Answers = [401, 403, 403, 200, 200];
const OPERATOR: Answers = [401, 403, 403, 403, 200];
const OPEN: Answers = [200; 5];

#[tokio::test]
async fn every_operation_is_open_to_those_who_may_and_to_nobody_else() {
    let daemon = TestDaemon::start().await;
    let (coach, stranger) = (Uuid::new_v4(), Uuid::new_v4());
    let id = daemon
        .connect(ProviderKind::Google, coach, COACH_EMAIL)
        .await;
    let session = Session::tomorrow(coach, daemon.now());
    daemon.service().report(&session).await;
    daemon.service().settled(id).await;
    let callers = [
        daemon.nobody(),
        daemon.coach(coach),
        daemon.coach(stranger),
        daemon.service(),
        daemon.admin(),
    ];
    let appointment = format!("appointments/{}", session.id);
    let body = session.body();
    let batch = json!({"appointments": [session.item()]});
    let settings = json!({"auto_create_events": true});
    let with_success = |answers: Answers, success: u16| {
        answers.map(|status| if status == 200 { success } else { status })
    };
    let unknown = Uuid::new_v4();
    let table: Vec<(Method, String, Option<&Value>, Answers)> = vec![
        (Method::GET, "/health/live".into(), None, OPEN),
        (Method::GET, "/health/ready".into(), None, OPEN),
        (Method::GET, "/openapi.json".into(), None, OPEN),
        (Method::GET, "/health/actors".into(), None, OPERATOR),
        (Method::GET, "/metrics".into(), None, OPERATOR),
        (Method::GET, format!("connect/google/{coach}"), None, NAMED),
        (Method::GET, format!("connections/{coach}"), None, NAMED),
        (
            Method::PUT,
            format!("connections/{id}"),
            Some(&settings),
            OWN,
        ),
        (
            Method::POST,
            format!("connections/{id}/sync"),
            None,
            with_success(OWN, 202),
        ),
        (Method::POST, format!("connections/{id}/test"), None, OWN),
        (
            Method::GET,
            format!("connections/{id}/sync-status"),
            None,
            OWN,
        ),
        (
            Method::GET,
            format!("connections/{id}/calendars"),
            None,
            OWN,
        ),
        (
            Method::GET,
            format!("connections/{unknown}/calendars"),
            None,
            [401, 404, 404, 404, 404],
        ),
        (Method::PUT, appointment.clone(), Some(&body), PLATFORM),
        (
            Method::POST,
            "appointments/batch".into(),
            Some(&batch),
            PLATFORM,
        ),
        (Method::GET, appointment.clone(), None, OWN),
        (
            Method::GET,
            format!("appointments?coach_id={coach}"),
            None,
            NAMED,
        ),
        (Method::GET, "queue".into(), None, OPERATOR),
        (
            Method::POST,
            format!("queue/{unknown}/retry"),
            None,
            with_success(OPERATOR, 404),
        ),
        (
            Method::POST,
            "queue/retry-failed".into(),
            None,
            with_success(OPERATOR, 202),
        ),
    ];
    for (method, path, body, answers) in table {
        for (caller, expected) in callers.iter().zip(answers) {
            let reply = caller.send(method.clone(), &path, body).await;
            assert_eq!(reply.status, expected, "{method} {path}: {}", reply.text);
            if expected == 401 {
                assert!(
                    reply
                        .header("www-authenticate")
                        .is_some_and(|how| how.starts_with("Bearer"))
                );
            }
        }
    }
}

/// What ends something is asked for by everybody who may not before it is by one who may.
#[tokio::test]
async fn only_those_who_may_can_end_things() {
    let daemon = TestDaemon::start().await;
    let (coach, stranger) = (Uuid::new_v4(), Uuid::new_v4());
    let id = daemon
        .connect(ProviderKind::Google, coach, COACH_EMAIL)
        .await;
    let session = Session::tomorrow(coach, daemon.now());
    daemon.service().report(&session).await;
    let (own, other) = (daemon.coach(coach), daemon.coach(stranger));
    let (nobody, service) = (daemon.nobody(), daemon.service());
    let deletes: [(String, Vec<(&Api, u16)>); 3] = [
        (
            format!("connections/{id}"),
            vec![(&nobody, 401), (&other, 404), (&own, 200)],
        ),
        (
            format!("appointments/{}", session.id),
            vec![(&nobody, 401), (&other, 403), (&own, 403), (&service, 202)],
        ),
        (
            format!("coaches/{coach}"),
            vec![(&nobody, 401), (&other, 403), (&own, 403), (&service, 202)],
        ),
    ];
    for (path, callers) in deletes {
        for (caller, expected) in callers {
            let reply = caller.delete(&path).await;
            assert_eq!(reply.status, expected, "{path}: {}", reply.text);
        }
    }
}

#[tokio::test]
async fn a_token_that_is_not_ours_opens_nothing() {
    let daemon = TestDaemon::start().await;
    for token in [
        "",
        "no.token",
        // alg none, role admin.
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiIsInJvbGUiOiJhZG1pbiIsImV4cCI6OTk5OTk5OTk5OX0.",
        // Signed with another secret.
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhIiwicm9sZSI6ImFkbWluIiwiZXhwIjo5OTk5OTk5OTk5fQ.3J0oZ6p7iZ2Yh0m0o8b9j0Zr4mH7Xb8o6q1b3d5e7f9",
    ] {
        let api = daemon.nobody().with_token(token);
        assert_eq!(api.get("queue").await.problem(401), "unauthorized");
    }
}
