//! Who may do what: every operation of the OpenAPI document, every role, one's own and another's.

use calendar_integration::domain::ProviderKind;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Api, Reply, Session, Setup, TestDaemon};

/// What each caller gets: nobody, the coach it belongs to, another coach, the platform, an operator.
type Answers = [u16; 5];

/// A connection or an appointment: another coach's looks like none.
const OWN: Answers = [401, 200, 404, 200, 200];
/// A coach is named: a coach may name no other.
const NAMED: Answers = [401, 200, 403, 200, 200];
const PLATFORM: Answers = [401, 403, 403, 200, 200];
const OPERATOR: Answers = [401, 403, 403, 403, 200];
const OPEN: Answers = [200; 5];

/// Where nobody listens.
const NOWHERE: &str = "http://127.0.0.1:9/";

async fn daemon() -> TestDaemon {
    let setup = Setup::default().set("WEBHOOK_ALLOW_PRIVATE_ADDRESSES", "true");
    setup.start().await
}

/// Those who may get this instead of 200.
fn granted(answers: Answers, success: u16) -> Answers {
    answers.map(|status| if status == 200 { success } else { status })
}

/// A coach with a connected calendar, an appointment in it, and the job that brought it there; and a
/// webhook that was told of it, or would have been if anybody were there.
struct World {
    webhook: String,
    delivery: String,
    coach: Uuid,
    connection: Uuid,
    session: Session,
    job: String,
}

impl World {
    async fn make(daemon: &TestDaemon) -> Self {
        let nowhere = format!("{NOWHERE}{}", Uuid::new_v4());
        let nowhere = json!({"url": nowhere, "events": ["connection.connected"]});
        let admin = daemon.admin();
        let registered = admin.post("webhooks", Some(&nowhere)).await.expect(201);
        let webhook = registered["webhook"]["id"].as_str().expect("an id");
        let coach = Uuid::new_v4();
        let email = format!("{coach}@example.com");
        let connection = daemon.connect(ProviderKind::Google, coach, &email).await;
        let session = Session::tomorrow(coach, daemon.now());
        daemon.service().report(&session).await;
        let status = daemon.service().settled(connection).await;
        let job = session.job_in(&status)["id"].as_str();
        let deliveries = admin.get(&format!("webhooks/{webhook}/deliveries")).await;
        let deliveries = deliveries.expect(200);
        let delivery = deliveries["deliveries"][0]["id"].as_str();
        Self {
            webhook: webhook.to_owned(),
            delivery: delivery.expect("a delivery").to_owned(),
            coach,
            connection,
            job: job.expect("a job").to_owned(),
            session,
        }
    }
}

/// How one operation is asked, and what everybody gets.
struct Case {
    /// The value of the first variable part of the path, if it has one, and of the second.
    id: String,
    second: String,
    query: String,
    body: Option<Value>,
    answers: Answers,
}

/// An operation of the document must be here: who may call it is decided, never left to chance.
fn case(operation: &str, world: &World) -> Option<Case> {
    let case = |id: &dyn ToString, answers| Case {
        id: id.to_string(),
        second: String::new(),
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
        "list_webhooks" => case(&"", OPERATOR),
        "register_webhook" => {
            // Each address has one.
            let another = format!("{NOWHERE}{}", Uuid::new_v4());
            sent(&"", json!({"url": another}), granted(OPERATOR, 201))
        }
        "get_webhook" | "rotate_webhook_secret" | "list_webhook_deliveries" => {
            case(&world.webhook, OPERATOR)
        }
        "update_webhook" => {
            let events = json!({"events": ["connection.connected", "appointment.synced"]});
            sent(&world.webhook, events, OPERATOR)
        }
        "delete_webhook" => case(&world.webhook, granted(OPERATOR, 204)),
        // It is pending: refused, but only after it was asked who asks.
        "replay_webhook_delivery" => Case {
            second: world.delivery.clone(),
            ..case(&world.webhook, granted(OPERATOR, 409))
        },
        "replay_failed_webhook_deliveries" => Case {
            query: "?since=2027-01-01T00:00:00Z".to_owned(),
            ..case(&world.webhook, granted(OPERATOR, 202))
        },
        "start_sign_in" | "list_connections" | "watch_coach" => case(coach, NAMED),
        "update_connection" => sent(connection, json!({"auto_create_events": true}), OWN),
        "sync_now" => case(connection, granted(OWN, 202)),
        "preview_settings" => sent(connection, json!({"event_title_template": "New"}), OWN),
        "test_connection" | "get_sync_status" | "list_calendars" | "watch_connection"
        | "disconnect" => case(connection, OWN),
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
        "disconnect" | "erase_appointment" | "forget_coach" | "delete_webhook"
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
    let names = ["{id}", "{coach_id}", "{job_id}", "{webhook_id}"];
    let path = names
        .iter()
        .fold(path.to_owned(), |path, name| path.replace(name, id));
    let path = path.replace("{provider}", "google");
    let path = path.replace("{delivery_id}", &case.second);
    assert!(!path.contains('{'), "{path}");
    let path = format!("{path}{}", case.query);
    caller.send(method.clone(), &path, case.body.as_ref()).await
}

#[tokio::test]
async fn every_operation_is_open_to_those_who_may_and_to_nobody_else() {
    let daemon = daemon().await;
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

/// Ids that lie elsewhere than in the path: in a body, in a page's cursor, under a key.
#[tokio::test]
async fn ids_in_bodies_cursors_and_keys_open_nothing_of_anothers() {
    let daemon = daemon().await;
    let (one, other) = (World::make(&daemon).await, World::make(&daemon).await);
    let (own, theirs) = (daemon.coach(one.coach), daemon.coach(other.coach));
    let sync = format!("connections/{}/sync", one.connection);
    for caller in [&own, &daemon.service(), &daemon.admin()] {
        let unknown = json!({"appointment_id": Uuid::new_v4()});
        let unknown = caller.post(&sync, Some(&unknown)).await;
        let foreign = json!({"appointment_id": other.session.id});
        let foreign = caller.post(&sync, Some(&foreign)).await;
        assert_eq!(told(&foreign), told(&unknown));
        assert_eq!(foreign.problem(404), "appointment_not_found");
    }
    let mine = json!({"appointment_id": one.session.id});
    own.post(&sync, Some(&mine)).await.expect(202);

    // A page's cursor says where, not whose.
    for world in [&one, &other] {
        let more = Session::tomorrow(world.coach, daemon.now());
        daemon.service().report(&more).await;
    }
    let list = |coach: Uuid, more: &str| format!("appointments?coach_id={coach}&limit=1{more}");
    let page = theirs.get(&list(other.coach, "")).await.expect(200);
    let cursor = page["next_cursor"].as_str().expect("more than one");
    let more = format!("&cursor={cursor}");
    let page = own.get(&list(one.coach, &more)).await;
    assert!(
        !page.text.contains(&other.coach.to_string()),
        "{}",
        page.text
    );
    let refused = own.get(&list(other.coach, &more)).await;
    assert_eq!(refused.problem(403), "forbidden");

    // A key is its caller's: under the same one another hears nothing of the answer.
    let key = [("idempotency-key", "the-same")];
    let sent = own.send_with(Method::POST, &sync, &key, None).await;
    sent.expect(202);
    let stolen = theirs.send_with(Method::POST, &sync, &key, None).await;
    assert_eq!(stolen.problem(404), "connection_not_found");

    // What a coach may not report, a body with the coach's own id does not allow either.
    let own_one = Session::tomorrow(one.coach, daemon.now());
    let path = format!("appointments/{}", own_one.id);
    assert_eq!(
        own.put(&path, &own_one.body()).await.problem(403),
        "forbidden"
    );
    let batch = json!({"appointments": [own_one.item()]});
    let refused = own.post("appointments/batch", Some(&batch)).await;
    assert_eq!(refused.problem(403), "forbidden");
}

#[tokio::test]
async fn an_appointment_that_changes_hands_is_its_new_coachs_alone() {
    let daemon = daemon().await;
    let (before, after) = (World::make(&daemon).await, World::make(&daemon).await);
    let session = Session {
        coach: after.coach,
        ..before.session.clone()
    };
    daemon.service().report(&session).await;
    let path = format!("appointments/{}", session.id);
    let gone = daemon.coach(before.coach).get(&path).await;
    assert_eq!(gone.problem(404), "appointment_not_found");
    let list = format!("appointments?coach_id={}", before.coach);
    let list = daemon.coach(before.coach).get(&list).await.expect(200);
    assert_eq!(list["appointments"], json!([]));
    let seen = daemon.coach(after.coach).get(&path).await;
    assert!(
        !seen.text.contains(&before.connection.to_string()),
        "{}",
        seen.text
    );
    let standings = seen.expect(200)["connections"].clone();
    assert_eq!(standings[0]["connection_id"], json!(after.connection));
    assert_eq!(standings.as_array().map(Vec::len), Some(1));
}

/// All of a problem but the id of its request.
fn told(reply: &Reply) -> Value {
    let mut problem = reply.json();
    problem["request_id"] = Value::Null;
    problem
}

#[tokio::test]
async fn what_those_who_may_not_tried_to_end_is_still_there() {
    let daemon = daemon().await;
    let world = World::make(&daemon).await;
    let stranger = daemon.coach(Uuid::new_v4());
    let own = daemon.coach(world.coach);
    let connection = async || own.connection(world.coach, world.connection).await;
    let before = connection().await;
    let path = format!("connections/{}", world.connection);
    let theirs = json!({"event_title_template": "Mine now", "include_client_details": true});
    assert_eq!(stranger.put(&path, &theirs).await.status, 404);
    assert_eq!(daemon.nobody().put(&path, &theirs).await.status, 401);
    let after = connection().await;
    for field in ["etag", "event_title_template", "include_client_details"] {
        assert_eq!(before[field], after[field], "{field}");
    }
    assert!(before["etag"].is_string());
    for (path, status) in [
        (format!("connections/{}", world.connection), 404),
        (format!("appointments/{}", world.session.id), 403),
        (format!("coaches/{}", world.coach), 403),
    ] {
        assert_eq!(stranger.delete(&path).await.status, status, "{path}");
        assert_eq!(daemon.nobody().delete(&path).await.status, 401, "{path}");
    }
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
