use chrono::TimeDelta;
use serde_json::json;
use uuid::Uuid;

use super::tell::{News, tell};
use super::*;
use crate::domain::{
    Actor, ActorRole, Cause, DeliveryError, DeliveryStatus, NodeId, SeededEntropy,
};

fn noon() -> Timestamp {
    Timestamp::UNIX_EPOCH + TimeDelta::days(20_000)
}

fn origin() -> Origin {
    Origin {
        actor: Actor {
            subject: "ops".to_owned(),
            role: ActorRole::Admin,
        },
        cause: Cause::NONE,
    }
}

/// A webhook that was told of `subjects` at noon.
async fn told(subjects: &[u128]) -> (Store, WebhookId) {
    let store = Store::open(&"sqlite::memory:".into()).await.expect("open");
    store.migrate().await.expect("a schema");
    let id = WebhookId::generate(noon(), &SeededEntropy::from_seed(1));
    let new = NewWebhook {
        id,
        url: "https://hooks.example.com/".to_owned(),
        events: vec![WebhookEvent::ConnectionConnected],
        sealed_secret: "sealed".to_owned(),
    };
    let registered = store.register_webhook(&new, &origin(), noon()).await;
    registered.expect("stored").expect("room");
    let news: Vec<_> = subjects
        .iter()
        .map(|subject| News {
            event: WebhookEvent::ConnectionConnected,
            subject: Uuid::from_u128(*subject),
            data: json!({}),
        })
        .collect();
    assert!(tell(&store.write, &news, noon()).await.expect("told"));
    (store, id)
}

#[tokio::test]
async fn what_a_node_took_and_never_settled_is_anothers_once_its_claim_has_ended() {
    let (store, id) = told(&[1]).await;
    let [one, other] = [1, 2].map(|seed| NodeId::generate(noon(), &SeededEntropy::from_seed(seed)));
    let claim = async |node, now| {
        let claimed = store.claim_deliveries(id, node, 8, now).await;
        claimed.expect("asked")
    };
    let first = claim(one, noon()).await.due;
    assert_eq!(first.len(), 1);
    let held = noon() + TimeDelta::seconds(34);
    let nothing = claim(other, held).await;
    assert!(nothing.due.is_empty());
    let ends = nothing.next_due.expect("when the claim ends");
    assert!(ends > held && ends <= noon() + TimeDelta::seconds(40));
    assert_eq!(claim(other, ends).await.due, first);
}

#[tokio::test]
async fn what_was_due_for_days_and_never_had_its_turn_is_given_up() {
    let (store, id) = told(&[1]).await;
    let failed = async || {
        let filter = DeliveryFilter {
            webhook_id: id,
            status: Some(DeliveryStatus::Failed),
        };
        let page = store.deliveries(filter, None, 10).await;
        page.expect("a page").deliveries
    };
    let days = noon() + TimeDelta::days(3);
    store.give_up_overdue_deliveries(days).await.expect("asked");
    assert!(failed().await.is_empty());
    let over = days + TimeDelta::seconds(1);
    store.give_up_overdue_deliveries(over).await.expect("asked");
    let failed = failed().await;
    assert_eq!(failed.len(), 1);
    assert_eq!(
        failed[0].error_code.as_deref(),
        Some(DeliveryError::Overdue.as_str())
    );
}

#[tokio::test]
async fn of_a_webhook_that_is_switched_off_nothing_is_sent() {
    let (store, id) = told(&[1]).await;
    let targets = async || {
        let all = store.webhook_targets(None, noon()).await.expect("asked");
        let one = store.webhook_targets(Some(id), noon()).await;
        (all.len(), one.expect("asked").len())
    };
    assert_eq!(targets().await, (1, 1));
    let off = WebhookChanges {
        is_enabled: Some(false),
        ..WebhookChanges::default()
    };
    let changed = store.change_webhook(id, &off, &origin(), noon()).await;
    assert!(changed.expect("changed"));
    assert_eq!(targets().await, (0, 0));
}
