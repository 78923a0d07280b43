//! Calls at one node for a connection that the other acts for.

use std::time::Duration;

use calendar_integration::domain::ProviderKind;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{node_id, owner, two_nodes};
use crate::support::{COACH_EMAIL, Session, Setup, eventually, until};

const GOOGLE: ProviderKind = ProviderKind::Google;

#[tokio::test]
async fn either_node_tests_and_lists_and_changes_the_calendar() {
    let Some((first, second)) = two_nodes(Setup::default()).await else {
        return;
    };
    let nodes = [first.service(), second.service(&first)];
    let ids = [
        node_id(&first.admin()).await,
        node_id(&second.admin(&first)).await,
    ];
    for provider in ProviderKind::ALL {
        let coach = Uuid::new_v4();
        let id = first.connect(provider, coach, COACH_EMAIL).await;
        nodes[0].settled(id).await;
        let path = format!("connections/{id}");
        for turn in [1, 0, 1] {
            let report = nodes[turn].post(&format!("{path}/test"), None).await;
            let report = report.expect(200);
            assert_eq!(report["ok"], true, "{report}");
            assert_eq!(owner(&first, id).await, ids[turn]);
        }
        let calendars = nodes[0].get(&format!("{path}/calendars")).await.expect(200);
        let all = calendars["calendars"].as_array().expect("a list").clone();
        let other = all.iter().find(|one| one["selected"] == false);
        let other = other.expect("a second calendar")["id"].clone();
        let changed = nodes[1].change(id, &json!({"calendar_id": other})).await;
        assert_eq!(changed["calendar_id"], other);
        let session = Session::tomorrow(coach, first.now());
        nodes[0].report(&session).await;
        first
            .event(provider, COACH_EMAIL, session.id, |event| {
                event.calendar_id == other
            })
            .await;
    }
    first.no_duplicates();
}

#[tokio::test]
async fn a_busy_owner_hands_over_between_two_rounds_and_the_work_goes_along() {
    let slow =
        Setup::default().simulate(|config| config.limits.latency = Duration::from_millis(200));
    let Some((first, second)) = two_nodes(slow).await else {
        return;
    };
    let coach = Uuid::new_v4();
    let id = first
        .connect(ProviderKind::Outlook, coach, COACH_EMAIL)
        .await;
    first.service().settled(id).await;
    let items: Vec<_> = (0..150)
        .map(|_| Session::tomorrow(coach, first.now()).item())
        .collect();
    let batch = json!({"appointments": items});
    first
        .service()
        .post("appointments/batch", Some(&batch))
        .await
        .expect(200);
    until("the first has begun", || {
        first.creates(ProviderKind::Outlook) > 0
    })
    .await;
    let path = format!("connections/{id}/test");
    let report = second.service(&first).post(&path, None).await.expect(200);
    assert_eq!(report["ok"], true, "{report}");
    let status = first.service().sync_status(id).await;
    assert_ne!(status["pending"], 0, "it was over before it was asked for");
    assert_eq!(
        owner(&first, id).await,
        node_id(&second.admin(&first)).await
    );
    until("all are there", || {
        first.events(ProviderKind::Outlook, COACH_EMAIL).len() == 150
    })
    .await;
    assert_eq!(first.creates(ProviderKind::Outlook), 150);
    first.no_duplicates();
}

#[tokio::test]
async fn a_sync_asked_for_at_one_node_is_done_by_the_other() {
    let Some((first, second)) = two_nodes(Setup::default()).await else {
        return;
    };
    let coach = Uuid::new_v4();
    let id = first.connect(GOOGLE, coach, COACH_EMAIL).await;
    first.service().settled(id).await;
    let switch = json!({"auto_create_events": false});
    second.service(&first).change(id, &switch).await;
    let session = Session::tomorrow(coach, first.now());
    first.service().report(&session).await;
    first.service().settled(id).await;
    assert!(first.events(GOOGLE, COACH_EMAIL).is_empty());
    second.service(&first).sync_now(id).await;
    first.event(GOOGLE, COACH_EMAIL, session.id, |_| true).await;
    second.service(&first).settled(id).await;
    assert_eq!(owner(&first, id).await, node_id(&first.admin()).await);
}

#[tokio::test]
async fn disconnecting_at_one_node_ends_the_round_of_the_other() {
    let slow =
        Setup::default().simulate(|config| config.limits.latency = Duration::from_millis(700));
    let Some((first, second)) = two_nodes(slow).await else {
        return;
    };
    let coach = Uuid::new_v4();
    let id = first.connect(GOOGLE, coach, COACH_EMAIL).await;
    first.service().settled(id).await;
    let session = Session::tomorrow(coach, first.now());
    first.service().report(&session).await;
    let of = |what: &str| {
        format!(
            "SELECT status FROM calendar_sync_queue WHERE appointment_id = '{}' {what}",
            session.id
        )
    };
    eventually("the first is at it", async || {
        let taken = first
            .database
            .texts(&of("AND status = 'processing'"), 0)
            .await;
        (!taken.is_empty()).then_some(())
    })
    .await;
    let path = format!("connections/{id}");
    let ended = second.service(&first).delete(&path).await.expect(200);
    assert_eq!(ended["provider_access_revoked"], true);
    assert!(
        !first.calendars.revoke(GOOGLE, COACH_EMAIL),
        "it was revoked already"
    );
    // The round under way ends, and leaves nothing behind.
    eventually("the first acts no more", async || {
        let actors = first.admin().get("/health/actors").await.expect(200);
        let worker = find(&actors, &|actor| {
            actor["connection_id"] == id.to_string() && actor["kind"] == "connection_worker"
        });
        worker
            .is_none_or(|worker| worker["state"] != "running")
            .then_some(())
    })
    .await;
    assert_eq!(first.database.texts(&of(""), 0).await, ["cancelled"]);
    let pushed = "SELECT state FROM calendar_event_mappings WHERE last_synced_at IS NOT NULL";
    assert!(first.database.texts(pushed, 0).await.is_empty());
    let status = "SELECT status FROM coach_calendar_connections \
                  WHERE access_token IS NULL AND refresh_token IS NULL";
    assert_eq!(first.database.texts(status, 0).await, ["disconnected"]);
}

#[tokio::test]
async fn health_names_the_owner_of_what_is_elsewhere() {
    let Some((first, second)) = two_nodes(Setup::default()).await else {
        return;
    };
    let coach = Uuid::new_v4();
    let id = first.connect(GOOGLE, coach, COACH_EMAIL).await;
    first.service().settled(id).await;
    let path = format!("connections/{id}/test");
    second.service(&first).post(&path, None).await.expect(200);
    let second_id = node_id(&second.admin(&first)).await;
    let tree = eventually("the first knows who has it", async || {
        let tree = first.admin().get("/health/actors").await.expect(200);
        find(&tree, &|actor| {
            actor["connection_id"] == id.to_string() && actor["owner"] == second_id
        })
        .map(|_| tree.clone())
    })
    .await;
    let other = find(&tree, &|actor| actor["kind"] == "other_node");
    assert_eq!(other.expect("the other node")["id"], second_id);
    let own = second.admin(&first).get("/health/actors").await.expect(200);
    let mine = find(&own, &|actor| actor["connection_id"] == id.to_string());
    assert!(mine.expect("its actor")["owner"].is_null());
}

/// The first actor that is as wanted.
fn find<'a>(actor: &'a Value, is_wanted: &dyn Fn(&Value) -> bool) -> Option<&'a Value> {
    if is_wanted(actor) {
        return Some(actor);
    }
    let children = actor["children"].as_array()?;
    children.iter().find_map(|child| find(child, is_wanted))
}
