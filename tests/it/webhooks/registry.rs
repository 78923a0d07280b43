//! How many webhooks there may be, what is listed and kept of them, and two nodes that share them.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{GOOGLE, Hook, connected, lenient, seen, taken};
use crate::support::{Received, Receiver, Session, Setup, eventually, needs_postgres};

#[tokio::test]
async fn switched_off_it_is_owed_nothing_and_what_it_missed_can_be_replayed() {
    let receiver = Receiver::start().await;
    let daemon = lenient(Setup::with_manual_clock()).start().await;
    let admin = daemon.admin();
    receiver.answer("/", 500);
    let start = daemon.now();
    let (hook, _, id) = connected(&daemon, &receiver, "/").await;
    seen(&receiver, "/", 1).await;
    let off = json!({"is_enabled": false});
    let changed = admin.put(&hook.path(), &off).await.expect(200);
    assert_eq!(changed["pending"], 0, "{changed}");
    eventually("it is given up", async || {
        let failed = hook.deliveries(&admin, "status=failed").await;
        (failed.len() == 1).then_some(())
    })
    .await;
    receiver.recover("/");
    daemon.advance(TimeDelta::minutes(10));
    let on = json!({"is_enabled": true});
    admin.put(&hook.path(), &on).await.expect(200);
    assert_eq!(hook.read(&admin).await["pending"], 0);
    assert!(receiver.taken("/").is_empty(), "not by itself");
    let since = start.format("%Y-%m-%dT%H:%M:%SZ");
    let path = format!("{}/replay-failed?since={since}", hook.path());
    let replayed = admin.post(&path, None).await.expect(202);
    assert_eq!(replayed["queued"], 1);
    taken(&receiver, "/", 1).await;
    assert_eq!(receiver.told_of(id), ["connection.connected"]);
}

#[tokio::test]
async fn there_are_so_many_webhooks_and_no_more() {
    let daemon = lenient(Setup::default()).start().await;
    let admin = daemon.admin();
    let register = async |number: usize| {
        let url = format!("http://127.0.0.1:9/{number}");
        let body = json!({"url": url, "events": ["connection.connected"]});
        admin.post("webhooks", Some(&body)).await
    };
    for number in 0..32 {
        register(number).await.expect(201);
    }
    let refused = register(32).await;
    assert_eq!(refused.problem(409), "too_many_webhooks");
}

#[tokio::test]
async fn deliveries_are_listed_page_by_page() {
    let receiver = Receiver::start().await;
    let daemon = lenient(Setup::default()).start().await;
    let admin = daemon.admin();
    let hook = Hook::register(&admin, &receiver.url("/"), &["connection.connected"]).await;
    for nth in 0..5 {
        let email = format!("coach-{nth}@example.com");
        daemon.connect(GOOGLE, Uuid::new_v4(), &email).await;
    }
    taken(&receiver, "/", 5).await;
    let whole = hook.deliveries(&admin, "").await;
    assert_eq!(whole.len(), 5);
    assert_eq!(whole[0]["payload"]["type"], "connection.connected");
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("{}/deliveries?limit=2{cursor}", hook.path());
        let page = admin.get(&path).await.expect(200);
        pages.extend(page["deliveries"].as_array().expect("a list").clone());
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    let ids = |list: &[Value]| -> Vec<Value> { list.iter().map(|one| one["id"].clone()).collect() };
    assert_eq!(ids(&pages), ids(&whole));
    let path = format!("{}/deliveries?cursor=x", hook.path());
    assert_eq!(admin.get(&path).await.problem(400), "invalid_cursor");
    let told = receiver.taken("/");
    let events: Vec<String> = told.iter().map(Received::event).collect();
    assert_eq!(events, ["connection.connected"; 5]);
}

#[tokio::test]
async fn what_was_told_is_kept_for_as_long_as_set() {
    let receiver = Receiver::start().await;
    let setup = Setup::with_manual_clock().set("WEBHOOK_RETENTION", "48h");
    let daemon = lenient(setup).start().await;
    let admin = daemon.admin();
    let (hook, _, _) = connected(&daemon, &receiver, "/").await;
    eventually("it is delivered", async || {
        let found = hook.deliveries(&admin, "status=delivered").await;
        (found.len() == 1).then_some(())
    })
    .await;
    daemon.advance(TimeDelta::hours(47));
    assert_eq!(hook.deliveries(&admin, "").await.len(), 1);
    daemon.advance(TimeDelta::hours(2));
    eventually("it is gone", async || {
        daemon.advance(TimeDelta::minutes(1));
        hook.deliveries(&admin, "").await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn two_nodes_tell_each_thing_once_on_postgres() {
    needs_postgres();
    let receiver = Receiver::start().await;
    let daemon = lenient(Setup::default()).start().await;
    let second = daemon.second_node().await.expect("a second node");
    let admin = second.admin(&daemon);
    Hook::register(&admin, &receiver.url("/"), &["appointment.synced"]).await;
    let mut connections = Vec::new();
    for nth in 0..4 {
        let coach = Uuid::new_v4();
        let email = format!("coach-{nth}@example.com");
        connections.push((coach, daemon.connect(GOOGLE, coach, &email).await));
    }
    let services = [daemon.service(), second.service(&daemon)];
    for turn in 0..40 {
        let (coach, _) = connections[turn % connections.len()];
        let session = Session::tomorrow(coach, daemon.now());
        services[turn % 2].report(&session).await;
    }
    taken(&receiver, "/", 40).await;
    eventually("nothing is pending", async || {
        let listed = admin.get("webhooks").await.expect(200);
        (listed["webhooks"][0]["pending"] == 0).then_some(())
    })
    .await;
    let seen = receiver.seen("/");
    let ids: BTreeSet<_> = seen.iter().map(|one| one.id.clone()).collect();
    assert_eq!((seen.len(), ids.len()), (40, 40));
}

#[tokio::test]
async fn no_more_webhooks_are_registered_at_once_than_there_may_be_on_postgres() {
    needs_postgres();
    let receiver = Receiver::start().await;
    let daemon = lenient(Setup::default()).start().await;
    let admin = daemon.admin();
    let posts = (0..40).map(async |number| {
        let body = json!({"url": receiver.url(&format!("/{number}"))});
        admin.post("webhooks", Some(&body)).await
    });
    let replies = futures::future::join_all(posts).await;
    let registered = replies.iter().filter(|reply| reply.status == 201).count();
    let listed = admin.get("webhooks").await.expect(200);
    let listed = listed["webhooks"].as_array().expect("a list").len();
    assert_eq!((registered, listed), (32, 32));
}
