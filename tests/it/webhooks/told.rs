//! What is told: signed, without anything of clients, in order, after a kill, and past a slow receiver.

use std::collections::BTreeSet;

use calendar_integration::simulator::{CallKind, FaultEffect, FaultRule};
use chrono::TimeDelta;
use serde_json::json;
use uuid::Uuid;

use super::{GOOGLE, Hook, connected, is_signed, lenient, seen, taken};
use crate::support::{COACH_EMAIL, Receiver, Session, Setup, eventually, until};

#[tokio::test]
async fn each_kind_of_event_is_told_signed_and_without_anything_of_clients() {
    let receiver = Receiver::start().await;
    let setup = Setup::default().set("SYNC_MAX_ATTEMPTS", "1");
    let mut daemon = lenient(setup).start().await;
    let admin = daemon.admin();
    let hook = Hook::register(&admin, &receiver.url("/"), &[]).await;
    let coach = Uuid::new_v4();
    let id = daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    let service = daemon.service();
    let details = json!({"include_client_details": true});
    service.change(id, &details).await;
    service.settled(id).await;
    let session = Session::tomorrow(coach, daemon.now());
    service.report(&session).await;
    service.settled(id).await;
    let removed = session.clone().with_status("cancelled");
    service.report(&removed).await;
    service.settled(id).await;

    daemon.fail(FaultRule::once(FaultEffect::status(500)).at(CallKind::Create));
    let failing = Session::tomorrow(coach, daemon.now());
    service.report(&failing).await;
    eventually("it is given up", async || {
        (service.sync_status(id).await["failed"] == 1).then_some(())
    })
    .await;
    admin.post("queue/retry-failed", None).await.expect(202);
    service.settled(id).await;

    assert!(daemon.calendars.revoke(GOOGLE, COACH_EMAIL));
    let late = Session::tomorrow(coach, daemon.now());
    service.report(&late).await;
    eventually("it needs a new sign-in", async || {
        let connection = service.connection(coach, id).await;
        (connection["status"] == "needs_reauth").then_some(())
    })
    .await;
    daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    service.settled(id).await;

    // Tokens that nobody can read: those of another column.
    daemon.stop().await;
    let column = "SELECT refresh_token FROM coach_calendar_connections";
    let refresh = daemon.database.texts(column, 0).await.remove(0);
    let column = "SELECT access_token FROM coach_calendar_connections";
    let access = daemon.database.texts(column, 0).await.remove(0);
    let set = |access: &str, refresh: &str| {
        format!(
            "UPDATE coach_calendar_connections SET access_token = '{access}', \
             refresh_token = '{refresh}', token_version = token_version + 1"
        )
    };
    daemon.database.run(&set(&refresh, &access)).await;
    daemon.start_again().await;
    let service = daemon.service();
    let aside = Session::tomorrow(coach, daemon.now());
    service.report(&aside).await;
    eventually("it is set aside", async || {
        let connection = service.connection(coach, id).await;
        (connection["status"] == "quarantined").then_some(())
    })
    .await;
    daemon.database.run(&set(&access, &refresh)).await;
    service.sync_now(id).await;
    service.settled(id).await;
    let path = format!("connections/{id}");
    service.delete(&path).await.expect(200);

    let of_connection = || receiver.told_of(id);
    until("the last is told", || {
        of_connection()
            .last()
            .is_some_and(|last| last == "connection.disconnected")
    })
    .await;
    assert_eq!(
        of_connection(),
        [
            "connection.connected",
            "connection.needs_reauth",
            "connection.recovered",
            "connection.quarantined",
            "connection.recovered",
            "connection.disconnected",
        ]
    );
    assert_eq!(
        receiver.told_of(session.id)[..2],
        ["appointment.synced", "appointment.synced"]
    );
    assert_eq!(
        receiver.told_of(failing.id)[..2],
        ["appointment.sync_failed", "appointment.synced"]
    );
    let all = receiver.taken("/");
    for one in &all {
        assert!(is_signed(one, &hook.secret), "{one:?}");
        for word in ["wilhelmina", COACH_EMAIL, "Sign in", "whsec"] {
            assert!(
                !one.text.to_lowercase().contains(&word.to_lowercase()),
                "{word}"
            );
        }
        let body = one.body();
        let data = &body["data"];
        assert_eq!(data["connection_id"], json!(id));
        assert_eq!(data["coach_id"], json!(coach));
        assert_eq!(data["provider"], "google");
    }
    let data = |event: &str| {
        let found = all.iter().find(|one| one.event() == event);
        found.map(|one| one.body()["data"].clone()).expect("told")
    };
    assert_eq!(data("connection.needs_reauth")["reason"], "grant_refused");
    assert_eq!(
        data("connection.quarantined")["reason"],
        "tokens_unreadable"
    );
    assert_eq!(data("appointment.sync_failed")["reason"], "server_error");
    let shown: Vec<_> = all
        .iter()
        .filter(|one| one.subject() == session.id)
        .map(|one| one.body()["data"]["calendar_event"].clone())
        .collect();
    assert_eq!(shown[..2], [json!("present"), json!("absent")]);
}

#[tokio::test]
async fn only_what_is_wanted_is_written_down_and_nothing_for_nobody() {
    let receiver = Receiver::start().await;
    let daemon = lenient(Setup::default()).start().await;
    let (admin, service) = (daemon.admin(), daemon.service());
    let coach = Uuid::new_v4();
    let id = daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    let count = "SELECT 'row' FROM webhook_deliveries";
    assert!(daemon.database.texts(count, 0).await.is_empty());
    let wanted = ["connection.disconnected"];
    let hook = Hook::register(&admin, &receiver.url("/one"), &wanted).await;
    let off = Hook::register(&admin, &receiver.url("/off"), &[]).await;
    let disabled = json!({"is_enabled": false});
    let changed = admin.put(&off.path(), &disabled).await.expect(200);
    assert_eq!(changed["disabled_reason"], "requested");
    service
        .report(&Session::tomorrow(coach, daemon.now()))
        .await;
    service.settled(id).await;
    service
        .delete(&format!("connections/{id}"))
        .await
        .expect(200);
    taken(&receiver, "/one", 1).await;
    assert_eq!(daemon.database.texts(count, 0).await.len(), 1);
    assert_eq!(hook.read(&admin).await["events"], json!(wanted));
    assert!(receiver.seen("/off").is_empty());

    assert_eq!(admin.delete(&hook.path()).await.status, 204);
    assert_eq!(
        admin.get(&hook.path()).await.problem(404),
        "webhook_not_found"
    );
    assert!(daemon.database.texts(count, 0).await.is_empty());
    let audit = admin.get("audit?limit=3").await.expect(200);
    assert_eq!(audit["events"][0]["action"], "webhook_deleted");
    assert_eq!(audit["events"][0]["subject_id"], json!(hook.id));
}

#[tokio::test]
async fn what_happens_to_one_appointment_arrives_in_its_order_and_holds_up_no_other() {
    let receiver = Receiver::start().await;
    let daemon = lenient(Setup::with_manual_clock()).start().await;
    let (admin, service) = (daemon.admin(), daemon.service());
    let coach = Uuid::new_v4();
    let id = daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    service.settled(id).await;
    let wanted = ["appointment.synced"];
    let hook = Hook::register(&admin, &receiver.url("/"), &wanted).await;
    let refused = Session::tomorrow(coach, daemon.now());
    receiver.answer_only("/", &refused.id.to_string(), 503);
    for hours in 0..3 {
        service
            .report(&refused.clone().moved(TimeDelta::hours(hours)))
            .await;
        service.settled(id).await;
        daemon.advance(TimeDelta::seconds(1));
    }
    let other = Session::tomorrow(coach, daemon.now());
    service.report(&other).await;
    taken(&receiver, "/", 1).await;
    assert_eq!(receiver.told_of(other.id).len(), 1);
    let attempts: BTreeSet<String> = receiver
        .seen("/")
        .iter()
        .filter(|one| one.subject() == refused.id)
        .map(|one| one.id.clone())
        .collect();
    assert_eq!(attempts.len(), 1, "those behind it wait");
    eventually("only those are pending", async || {
        (hook.read(&admin).await["pending"] == 3).then_some(())
    })
    .await;
    receiver.recover("/");
    eventually("all are told", async || {
        daemon.advance(TimeDelta::seconds(5));
        (receiver.told_of(refused.id).len() == 3).then_some(())
    })
    .await;
    assert!(receiver.order_was_kept(&daemon.database).await);
    eventually("nothing is left", async || {
        (hook.read(&admin).await["pending"] == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_was_committed_before_a_kill_is_told_after_it() {
    let receiver = Receiver::start().await;
    let mut daemon = lenient(Setup::with_manual_clock()).start().await;
    let coach = Uuid::new_v4();
    receiver.hang("/");
    let (hook, _, id) = connected(&daemon, &receiver, "/").await;
    // Under way, and not answered.
    seen(&receiver, "/", 1).await;
    // Committed, and behind the other.
    daemon
        .service()
        .delete(&format!("connections/{id}"))
        .await
        .expect(200);
    // Committed, and perhaps not even looked at.
    let other = daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    daemon.kill();
    receiver.recover("/");
    daemon.start_again().await;
    let admin = daemon.admin();
    eventually("all is told", async || {
        // Of a node that died the others know only when its claim ends.
        daemon.advance(TimeDelta::seconds(10));
        let is_done = hook.read(&admin).await["pending"] == 0;
        is_done.then_some(())
    })
    .await;
    let told = receiver.told_of(id);
    assert_eq!(told, ["connection.connected", "connection.disconnected"]);
    assert_eq!(receiver.told_of(other), ["connection.connected"]);
    assert!(receiver.order_was_kept(&daemon.database).await);
    let ids: BTreeSet<_> = receiver
        .seen("/")
        .iter()
        .map(|one| one.id.clone())
        .collect();
    assert_eq!(ids.len(), 3, "what is told again keeps its id");
}

#[tokio::test]
async fn a_webhook_that_does_not_answer_holds_up_no_other() {
    let receiver = Receiver::start().await;
    let daemon = lenient(Setup::default()).start().await;
    let (admin, service) = (daemon.admin(), daemon.service());
    let coach = Uuid::new_v4();
    let id = daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    receiver.hang("/dead");
    for path in ["/dead", "/"] {
        Hook::register(&admin, &receiver.url(path), &["appointment.synced"]).await;
    }
    for _ in 0..30 {
        service
            .report(&Session::tomorrow(coach, daemon.now()))
            .await;
    }
    service.settled(id).await;
    taken(&receiver, "/", 30).await;
    assert_eq!(receiver.seen("/dead").len(), 8, "no more calls than places");
}
