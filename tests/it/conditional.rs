//! Entity tags: no change overwrites one that its author has not seen, and what is known is not sent.

use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::{FaultEffect, FaultRule};
use chrono::TimeDelta;
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Api, COACH_EMAIL, Reply, Session, Setup, TestDaemon, eventually};

const WRITERS: usize = 10;

async fn change(api: &Api, id: Uuid, tag: &str, settings: &Value) -> Reply {
    let path = format!("connections/{id}");
    api.send_with(Method::PUT, &path, &[("if-match", tag)], Some(settings))
        .await
}

fn tag_of(connection: &Value) -> String {
    connection["etag"].as_str().expect("a tag").to_owned()
}

#[tokio::test]
async fn of_changes_made_at_once_with_the_same_tag_one_wins() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let id = daemon
        .connect(ProviderKind::Google, coach, COACH_EMAIL)
        .await;
    let api = daemon.coach(coach);
    let tag = tag_of(&api.connection(coach, id).await);

    let settings: Vec<Value> = (0..WRITERS)
        .map(|n| json!({"event_title_template": format!("Title {n}")}))
        .collect();
    let replies = join_all(settings.iter().map(|new| change(&api, id, &tag, new))).await;
    let mut won = Vec::new();
    for reply in replies {
        if reply.status == 200 {
            won.push(reply);
        } else {
            assert_eq!(reply.problem(412), "precondition_failed");
        }
    }
    assert_eq!(won.len(), 1);
    let won = won.remove(0);
    let header = won.header("etag").expect("a tag").to_owned();
    let won = won.json();
    let stored = api.connection(coach, id).await;
    assert_eq!(stored["event_title_template"], won["event_title_template"]);
    assert_eq!((&tag_of(&stored), &tag_of(&won)), (&header, &header));
    assert_ne!(header, tag);

    // Whoever lost reads what is there now, and changes that.
    let again = change(&api, id, &header, &settings[0]).await.expect(200);
    assert_eq!(again["event_title_template"], "Title 0");
}

#[tokio::test]
async fn a_tag_outlives_syncs_and_refreshes_and_ends_with_a_change_of_settings() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let id = daemon
        .connect(ProviderKind::Google, coach, COACH_EMAIL)
        .await;
    let other = daemon
        .connect(ProviderKind::Outlook, coach, COACH_EMAIL)
        .await;
    let api = daemon.coach(coach);
    let before = api.connection(coach, id).await;
    let tag = tag_of(&before);

    daemon
        .service()
        .report(&Session::tomorrow(coach, daemon.now()))
        .await;
    api.sync_now(id).await;
    api.settled(id).await;
    let synced = api.connection(coach, id).await;
    assert_ne!(synced["last_sync_at"], before["last_sync_at"]);
    assert_eq!(tag_of(&synced), tag);

    let off = json!({"auto_create_events": false});
    // Of another connection that was changed as often.
    change(&api, other, "*", &off).await.expect(200);
    let changed = change(&api, id, &tag, &off).await;
    let newer = changed.header("etag").expect("a tag").to_owned();
    changed.expect(200);
    for outdated in [&tag, &tag_of(&api.connection(coach, other).await), "\"x\""] {
        let reply = change(&api, id, outdated, &json!({"auto_create_events": true})).await;
        assert_eq!(reply.problem(412), "precondition_failed", "{outdated}");
    }
    let weak = format!("W/{newer}");
    let reply = change(&api, id, &weak, &json!({"auto_create_events": true})).await;
    assert_eq!(reply.problem(412), "precondition_failed");
    assert_eq!(api.connection(coach, id).await["auto_create_events"], false);

    let on = json!({"auto_create_events": true});
    let list = format!("{tag}, {newer}");
    change(&api, id, &list, &on).await.expect(200);
    change(&api, id, "*", &off).await.expect(200);
}

#[tokio::test]
async fn what_the_client_has_is_not_sent_again() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let id = daemon
        .connect(ProviderKind::Google, coach, COACH_EMAIL)
        .await;
    let (api, service) = (daemon.coach(coach), daemon.service());
    let session = Session::tomorrow(coach, daemon.now());
    service.report(&session).await;
    api.settled(id).await;

    for path in [
        format!("connections/{coach}"),
        format!("appointments/{}", session.id),
    ] {
        let seen = api.get(&path).await;
        let tag = seen.header("etag").expect("a tag").to_owned();
        seen.expect(200);
        let opaque = tag.trim_start_matches("W/");
        for known in [
            tag.clone(),
            opaque.to_owned(),
            format!("W/{opaque}"),
            format!("\"x\", {tag}"),
            "*".to_owned(),
        ] {
            let headers = [("if-none-match", known.as_str())];
            let reply = api.send_with(Method::GET, &path, &headers, None).await;
            assert_eq!((reply.status, reply.text.as_str()), (304, ""), "{known}");
            assert_eq!(reply.header("etag"), Some(tag.as_str()));
        }

        service
            .report(&session.clone().with_status("cancelled"))
            .await;
        api.settled(id).await;
        let headers = [("if-none-match", tag.as_str())];
        let reply = api.send_with(Method::GET, &path, &headers, None).await;
        assert_ne!(reply.header("etag"), Some(tag.as_str()), "{path}");
        reply.expect(200);
        service.report(&session).await;
        api.settled(id).await;
    }
}

#[tokio::test]
async fn time_alone_changes_no_tag_while_work_is_waiting() {
    let setup = Setup::with_manual_clock().set("SYNC_RETRY_BASE", "5s");
    let daemon = setup.set("SYNC_RETRY_CAP", "1h").start().await;
    let coach = Uuid::new_v4();
    let id = daemon
        .connect(ProviderKind::Google, coach, COACH_EMAIL)
        .await;
    let (api, service) = (daemon.coach(coach), daemon.service());
    api.settled(id).await;
    daemon.fail(FaultRule::always(FaultEffect::status(503)));
    let session = Session::tomorrow(coach, daemon.now());
    service.report(&session).await;
    let path = format!("connections/{coach}");
    eventually("it waits for another attempt", async || {
        let status = service.sync_status(id).await;
        let job = session.job_in(&status);
        (job["status"] == "pending" && !job["error_code"].is_null()).then_some(())
    })
    .await;
    let seen = eventually("nothing but time goes on", async || {
        let before = api.get(&path).await;
        daemon.advance(TimeDelta::milliseconds(10));
        let seen = api.get(&path).await;
        let is_same = seen.header("etag") == before.header("etag");
        (is_same && seen.json()["connections"][0]["pending"] == 1).then_some(seen)
    })
    .await;
    let tag = seen.header("etag").expect("a tag").to_owned();
    let behind = seen.json()["connections"][0]["freshness_seconds"].as_f64();
    assert!(behind.is_some_and(|seconds| seconds > 0.0), "{behind:?}");
    assert!(tag.starts_with("W/"), "{tag}");
    let headers = [("if-none-match", tag.as_str())];
    let reply = api.send_with(Method::GET, &path, &headers, None).await;
    assert_eq!(reply.status, 304);
}
