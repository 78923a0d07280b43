//! Who may do what: every operation of the OpenAPI document, every role, one's own and another's.

use calendar_integration::domain::ProviderKind;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Api, Reply, Session, TestDaemon};

/// What each caller gets: nobody, the coach it belongs to, another coach, the platform, an operator.
type Answers = [u16; 5];

/// A connection or an appointment: another coach's looks like none.
const OWN: Answers = [401, 200, 404, 200, 200];
/// A coach is named: a coach may name no other.
const NAMED: Answers = [401, 200, 403, 200, 200];
const PLATFORM: Answers = [401, 403, 403, 200, 200];
const OPERATOR: Answers = [401, 403, 403, 403, 200];
const OPEN: Answers = [200; 5];

/// Those who may get this instead of 200.
fn granted(answers: Answers, success: u16) -> Answers {
    answers.map(|status| if status == 200 { success } else { status })
}

/// A coach with a connected calendar, an appointment in it, and the job that brought it there.
struct World {
    coach: Uuid,
    connection: Uuid,
    session: Session,
    job: String,
}

impl World {
    async fn make(daemon: &TestDaemon) -> Self {
        let coach = Uuid::new_v4();
        let email = format!("{coach}@example.com");
        let connection = daemon.connect(ProviderKind::Google, coach, &email).await;
        let session = Session::tomorrow(coach, daemon.now());
        daemon.service().report(&session).await;
        let status = daemon.service().settled(connection).await;
        let job = session.job_in(&status)["id"].as_str();
        Self {
            coach,
            connection,
            job: job.expect("a job").to_owned(),
            session,
        }
    }
}

/// How one operation is asked, and what everybody gets.
struct Case {
    /// The value of the one variable part of the path, if it has one.
    id: String,
    query: String,
    body: Option<Value>,
    answers: Answers,
}

/// An operation of the document must be here: who may call it is decided, never left to chance.
fn case(operation: &str, world: &World) -> Option<Case> {
    let case = |id: &dyn ToString, answers| Case {
        id: id.to_string(),
        query: String::new(),
        body: None,
        answers,
    };
    let sent = |id: &dyn ToString, body, answers| Case {
        body: Some(body),
        ..case(id, answers)
    };
    let (coach, connection) = (&world.coach, &world.connection);
    let appointment = &world.session.id;
    Some(match operation {
        "get_liveness" | "get_readiness" => case(&"", OPEN),
        "finish_sign_in" => case(&"", granted(OPEN, 303)),
        "get_actors" | "get_metrics" | "list_jobs" | "list_audit_events" => case(&"", OPERATOR),
        // It did not fail: refused, but only after it was asked who asks.
        "retry_job" => case(&world.job, granted(OPERATOR, 409)),
        "retry_failed_jobs" => case(&"", granted(OPERATOR, 202)),
        "start_sign_in" | "list_connections" => case(coach, NAMED),
        "update_connection" => sent(connection, json!({"auto_create_events": true}), OWN),
        "sync_now" => case(connection, granted(OWN, 202)),
        "test_connection" | "get_sync_status" | "list_calendars" | "disconnect" => {
            case(connection, OWN)
        }
        "get_appointment" => case(appointment, OWN),
        "list_appointments" => Case {
            query: format!("?coach_id={coach}"),
            ..case(&"", NAMED)
        },
        "put_appointment" => sent(appointment, world.session.body(), PLATFORM),
        "put_appointments" => {
            let batch = json!({"appointments": [world.session.item()]});
            sent(&"", batch, PLATFORM)
        }
        "erase_appointment" => case(appointment, granted(PLATFORM, 202)),
        "forget_coach" => case(coach, granted(PLATFORM, 202)),
        _ => return None,
    })
}

/// What cannot be done twice: everybody tries on something of their own.
fn ends_something(operation: &str) -> bool {
    matches!(
        operation,
        "disconnect" | "erase_appointment" | "forget_coach"
    )
}

/// Method, path and id of every operation there is.
async fn operations(daemon: &TestDaemon) -> Vec<(Method, String, String)> {
    let document = daemon.nobody().get("/openapi.json").await.expect(200);
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("operations") {
            let method = method.to_uppercase().parse().expect("a method");
            let id = operation["operationId"].as_str().expect("an id");
            operations.push((method, path.clone(), id.to_owned()));
        }
    }
    operations
}

async fn ask(caller: &Api, method: &Method, path: &str, case: &Case, id: &str) -> Reply {
    let names = ["{id}", "{coach_id}", "{job_id}"];
    let path = names
        .iter()
        .fold(path.to_owned(), |path, name| path.replace(name, id));
    let path = path.replace("{provider}", "google");
    assert!(!path.contains('{'), "{path}");
    let path = format!("{path}{}", case.query);
    caller.send(method.clone(), &path, case.body.as_ref()).await
}

#[tokio::test]
async fn every_operation_is_open_to_those_who_may_and_to_nobody_else() {
    let daemon = TestDaemon::start().await;
    let common = World::make(&daemon).await;
    let stranger = Uuid::new_v4();
    for (method, path, operation) in operations(&daemon).await {
        for caller in 0..5 {
            let fresh = match ends_something(&operation) {
                true => Some(World::make(&daemon).await),
                false => None,
            };
            let world = fresh.as_ref().unwrap_or(&common);
            let callers = [
                daemon.nobody(),
                daemon.coach(world.coach),
                daemon.coach(stranger),
                daemon.service(),
                daemon.admin(),
            ];
            let case = case(&operation, world)
                .unwrap_or_else(|| panic!("who may call {operation}, {method} {path}?"));
            let reply = ask(&callers[caller], &method, &path, &case, &case.id).await;
            let expected = case.answers[caller];
            assert_eq!(
                reply.status, expected,
                "{operation} by caller {caller}: {}",
                reply.text
            );
            if expected == 401 {
                let challenge = reply.header("www-authenticate").unwrap_or_default();
                assert!(challenge.starts_with("Bearer"), "{operation}: {challenge}");
            }
            if expected == 404 {
                let unknown = Uuid::new_v4().to_string();
                let none = ask(&callers[caller], &method, &path, &case, &unknown).await;
                assert_eq!(told(&reply), told(&none), "{operation}");
            }
        }
    }
    // Those who may not have ended nothing.
    let own = daemon.coach(common.coach);
    assert_eq!(
        own.connection(common.coach, common.connection).await["status"],
        "active"
    );
}

/// All of a problem but the id of its request.
fn told(reply: &Reply) -> Value {
    let mut problem = reply.json();
    problem["request_id"] = Value::Null;
    problem
}

#[tokio::test]
async fn what_those_who_may_not_tried_to_end_is_still_there() {
    let daemon = TestDaemon::start().await;
    let world = World::make(&daemon).await;
    let stranger = daemon.coach(Uuid::new_v4());
    for (path, status) in [
        (format!("connections/{}", world.connection), 404),
        (format!("appointments/{}", world.session.id), 403),
        (format!("coaches/{}", world.coach), 403),
    ] {
        assert_eq!(stranger.delete(&path).await.status, status, "{path}");
        assert_eq!(daemon.nobody().delete(&path).await.status, 401, "{path}");
    }
    let own = daemon.coach(world.coach);
    let standing = own.standing(world.session.id, world.connection).await;
    assert_eq!(standing["sync_status"], "synced");
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
