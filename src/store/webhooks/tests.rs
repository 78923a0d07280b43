//! What is recorded of attempts and what is given up, on a database of each test's own.

use chrono::TimeDelta;
use secrecy::SecretString;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::domain::{Actor, ActorRole, Cause, DeliveryError, DeliveryStatus, NodeId};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;
const ID: WebhookId = WebhookId(Uuid::from_u128(7));
const NODE: NodeId = NodeId(Uuid::from_u128(1));
const URL: &str = "https://hooks.example.com/secret-path";

fn origin() -> Origin {
    Origin {
        actor: Actor {
            subject: "ops".to_owned(),
            role: ActorRole::Admin,
        },
        cause: Cause::NONE,
    }
}

fn new_webhook(id: WebhookId) -> NewWebhook {
    NewWebhook {
        id,
        url: URL.to_owned(),
        events: vec![WebhookEvent::ConnectionConnected],
        sealed_secret: "sealed".to_owned(),
    }
}

/// With one webhook, which is to be told of so many subjects.
async fn store_with(pending: u128) -> Store {
    let url = SecretString::from("sqlite::memory:");
    let store = Store::open(&url).await.expect("open");
    store.migrate().await.expect("migrate");
    let registered = store
        .register_webhook(&new_webhook(ID), &origin(), NOW)
        .await;
    registered.expect("stored").expect("registered");
    let news: Vec<News> = (0..pending)
        .map(|nth| News {
            event: WebhookEvent::ConnectionConnected,
            subject: Uuid::from_u128(nth),
            data: json!({}),
        })
        .collect();
    tell(&store.write, &news, NOW).await.expect("told");
    store
}

async fn claim(store: &Store, now: Timestamp) -> DueDelivery {
    let claimed = store.claim_deliveries(ID, NODE, 1, now).await;
    claimed.expect("claimed").due.remove(0)
}

fn refused(due: &DueDelivery, now: Timestamp) -> EndedDelivery<'static> {
    EndedDelivery {
        webhook_id: ID,
        url: URL,
        position: due.position,
        node: NODE,
        claimed_until: due.claimed_until,
        response_status: Some(500),
        error: Some(DeliveryError::Refused),
        now,
    }
}

async fn settle(
    store: &Store,
    ended: EndedDelivery<'static>,
    judge: impl FnOnce(Standing) -> DeliveryEnd + Send,
) -> Option<SettledDelivery> {
    let settled = store.settle_delivery(&ended, judge).await;
    settled.expect("settled")
}

async fn change(store: &Store, changes: &WebhookChanges, now: Timestamp) {
    let changed = store.change_webhook(ID, changes, &origin(), now).await;
    changed.expect("asked").expect("changed");
}

async fn shown(store: &Store) -> WebhookView {
    store.webhook(ID).await.expect("read").expect("there")
}

/// Oldest first: status and error.
async fn stored(store: &Store) -> Vec<(DeliveryStatus, Option<String>)> {
    let filter = DeliveryFilter {
        webhook_id: ID,
        status: None,
    };
    let page = store.deliveries(filter, None, 10_000).await.expect("read");
    let ended = |one: Delivery| (one.status, one.error_code);
    page.deliveries.into_iter().map(ended).collect()
}

#[tokio::test]
async fn what_is_said_under_a_claim_that_ended_changes_nothing_unless_it_was_taken() {
    let store = store_with(2).await;
    let first = claim(&store, NOW).await;
    let later = NOW + TimeDelta::minutes(2);
    let claimed = store.claim_deliveries(ID, NODE, 2, later).await;
    let again = claimed.expect("claimed").due;
    let again = again
        .into_iter()
        .find(|one| one.position == first.position)
        .expect("claimed again");
    for end in [
        DeliveryEnd::Again(later + TimeDelta::hours(1)),
        DeliveryEnd::GivenUp,
        DeliveryEnd::Disabled(DisabledReason::Gone),
    ] {
        let settled = settle(&store, refused(&first, later), |_| end);
        assert_eq!(settled.await, None, "{end:?}");
        let webhook = shown(&store).await.webhook;
        assert_eq!((webhook.disabled, webhook.failing_since), (None, None));
        assert_eq!(shown(&store).await.pending, 2);
    }
    let taken = EndedDelivery {
        error: None,
        ..refused(&first, later)
    };
    let settled = settle(&store, taken, |_| DeliveryEnd::Delivered);
    assert!(settled.await.is_some());
    let settled = settle(&store, refused(&again, later), |_| DeliveryEnd::GivenUp);
    assert_eq!(settled.await, None);
    assert_eq!(shown(&store).await.pending, 1);
}

#[tokio::test]
async fn an_address_begins_without_a_past_and_is_not_judged_by_what_another_answered() {
    let store = store_with(2).await;
    let first = claim(&store, NOW).await;
    let later = NOW + TimeDelta::hours(2);
    let settled = settle(&store, refused(&first, NOW), |at| {
        assert!(at.is_current && at.failing_since.is_none());
        DeliveryEnd::Again(later)
    });
    assert!(settled.await.is_some());
    assert_eq!(shown(&store).await.webhook.failing_since, Some(NOW));
    let second = claim(&store, NOW).await;
    let changes = WebhookChanges {
        url: Some("https://hooks.example.com/new".to_owned()),
        ..WebhookChanges::default()
    };
    let changed_at = NOW + TimeDelta::seconds(1);
    change(&store, &changes, changed_at).await;
    assert_eq!(shown(&store).await.webhook.failing_since, None);
    let hurried = claim(&store, changed_at).await;
    assert_eq!(hurried.position, first.position, "it is tried at once");
    let settled = settle(&store, refused(&second, changed_at), |at| {
        assert!(!at.is_current);
        DeliveryEnd::Again(changed_at)
    });
    assert!(settled.await.is_some());
    assert_eq!(shown(&store).await.webhook.failing_since, None);
}

#[tokio::test]
async fn a_success_says_since_when_nothing_was_taken_and_the_rest_can_be_hurried() {
    let store = store_with(3).await;
    let put_off = NOW + TimeDelta::hours(10);
    for _ in 0..2 {
        let due = claim(&store, NOW).await;
        let settled = settle(&store, refused(&due, NOW), |_| DeliveryEnd::Again(put_off));
        assert_eq!(settled.await.expect("it").recovered_from, None);
    }
    let later = NOW + TimeDelta::hours(1);
    let due = claim(&store, later).await;
    let taken = EndedDelivery {
        error: None,
        ..refused(&due, later)
    };
    let settled = settle(&store, taken, |_| DeliveryEnd::Delivered);
    let recovered_from = settled.await.expect("it").recovered_from;
    assert_eq!(recovered_from, Some(NOW));
    let claimed = store.claim_deliveries(ID, NODE, 8, later).await;
    assert!(claimed.expect("claimed").due.is_empty());
    store.hurry_deliveries(ID, later).await.expect("hurried");
    let claimed = store.claim_deliveries(ID, NODE, 8, later).await;
    assert_eq!(claimed.expect("claimed").due.len(), 2);
}

#[tokio::test]
async fn what_fails_while_a_backlog_is_hurried_is_not_hurried_again() {
    let store = store_with(1_500).await;
    let later = NOW + TimeDelta::hours(1);
    Sql::on(&store.write)
        .text("UPDATE webhook_deliveries SET due_at = ")
        .value(NOW + TimeDelta::hours(10))
        .execute(&store.write)
        .await
        .expect("put off");
    let first = store.hurry_some(ID, 0, later).await.expect("hurried");
    assert_eq!(first.len(), 1_000);
    let due = claim(&store, later).await;
    let soon = later + TimeDelta::seconds(5);
    let settled = settle(&store, refused(&due, later), |_| DeliveryEnd::Again(soon));
    assert!(settled.await.is_some());
    let last = first.into_iter().max().expect("some");
    let rest = store.hurry_some(ID, last, later).await.expect("hurried");
    assert_eq!(rest.len(), 500);
    let claimed = store.claim_deliveries(ID, NODE, 2_000, later).await;
    let claimed = claimed.expect("claimed");
    assert_eq!(claimed.due.len(), 1_499);
    assert_eq!(claimed.next_due, Some(soon), "it stays put off");
    store.hurry_deliveries(ID, later).await.expect("hurried");
    let failed = claim(&store, later).await;
    assert_eq!(failed.position, due.position, "until it is asked for anew");
}

#[tokio::test]
async fn an_address_that_is_given_again_hurries_what_an_interrupted_request_left() {
    let store = store_with(1).await;
    let due = claim(&store, NOW).await;
    let put_off = NOW + TimeDelta::hours(10);
    let settled = settle(&store, refused(&due, NOW), |_| DeliveryEnd::Again(put_off));
    assert!(settled.await.is_some());
    let changes = WebhookChanges {
        url: Some(URL.to_owned()),
        ..WebhookChanges::default()
    };
    let later = NOW + TimeDelta::minutes(5);
    change(&store, &changes, later).await;
    let webhook = shown(&store).await.webhook;
    assert_eq!(webhook.updated_at, NOW, "nothing was changed");
    assert_eq!(claim(&store, later).await.position, due.position);
}

#[tokio::test]
async fn a_webhook_keeps_its_address_though_an_older_one_has_the_same() {
    let store = store_with(0).await;
    let id = WebhookId(Uuid::from_u128(8));
    let new = NewWebhook {
        url: "https://hooks.example.com/other".to_owned(),
        ..new_webhook(id)
    };
    let later = NOW + TimeDelta::seconds(1);
    let registered = store.register_webhook(&new, &origin(), later).await;
    registered.expect("stored").expect("registered");
    let same = WebhookChanges {
        url: Some(URL.to_owned()),
        ..WebhookChanges::default()
    };
    let refused = store.change_webhook(id, &same, &origin(), later).await;
    assert_eq!(refused.expect("asked"), Err(WebhookRefusal::Exists(ID)));
    Sql::on(&store.write)
        .text("UPDATE webhooks SET url = ")
        .value(URL)
        .execute(&store.write)
        .await
        .expect("as if both were older than the rule");
    let changed = store.change_webhook(id, &same, &origin(), later).await;
    assert_eq!(changed.expect("asked"), Ok(()));
}

#[tokio::test]
async fn a_webhook_is_owed_no_more_than_so_much_however_long_it_lay_there() {
    let store = store_with(2_300).await;
    let later = NOW + TimeDelta::days(30);
    let within = store.give_up_beyond(ID, 2_300, later).await;
    let none = (0, false);
    assert_eq!(within.expect("counted"), none, "age alone is no reason");
    assert_eq!(shown(&store).await.pending, 2_300);
    let node = async || {
        let mut given_up = 0;
        loop {
            let beyond = store.give_up_beyond(ID, 100, later).await;
            let (some, is_more) = beyond.expect("given up");
            given_up += some;
            if !is_more {
                return given_up;
            }
        }
    };
    let (one, other) = tokio::join!(node(), node());
    assert_eq!(one + other, 2_200, "the excess is given up once");
    assert_eq!(shown(&store).await.pending, 100);
    let newest = claim(&store, later).await;
    assert!(newest.position > 2_200, "the oldest are given up");
    let overdue = (DeliveryStatus::Failed, Some("overdue".to_owned()));
    let given_up = stored(&store).await;
    assert_eq!(
        given_up.iter().filter(|one| **one == overdue).count(),
        2_200
    );
}

#[tokio::test]
async fn what_is_left_at_a_disabled_webhook_is_given_up_and_counted_nowhere() {
    let store = store_with(1_500).await;
    let off = WebhookChanges {
        is_enabled: Some(false),
        ..WebhookChanges::default()
    };
    change(&store, &off, NOW).await;
    assert_eq!(shown(&store).await.pending, 0);
    let revive = async || {
        Sql::on(&store.write)
            .text("UPDATE webhook_deliveries SET status = 'pending', completed_at = NULL")
            .execute(&store.write)
            .await
            .expect("as if they had been committed meanwhile");
    };
    revive().await;
    let readings = store.webhook_readings().await.expect("read");
    assert_eq!((readings.pending, readings.oldest_pending), (0, None));
    let disabled = store.webhook_ids(false).await.expect("read");
    assert_eq!(disabled, [ID]);
    let given_up = store.give_up_disabled(ID, NOW).await.expect("given up");
    assert_eq!(given_up, 1_500);
    revive().await;
    let on = WebhookChanges {
        is_enabled: Some(true),
        ..WebhookChanges::default()
    };
    change(&store, &on, NOW).await;
    assert_eq!(shown(&store).await.pending, 0);
    let disabled = store.webhook_ids(false).await.expect("read");
    assert!(disabled.is_empty());
    let given_up = store.give_up_disabled(ID, NOW).await.expect("none");
    assert_eq!(given_up, 0);
}

#[test]
fn no_address_is_in_what_is_written_for_debugging() {
    let target = WebhookTarget {
        id: ID,
        url: URL.to_owned(),
        secret: "sealed".to_owned(),
        previous_secret: None,
    };
    let changes = WebhookChanges {
        url: Some(URL.to_owned()),
        ..WebhookChanges::default()
    };
    let text = format!("{target:?} {:?} {changes:?}", new_webhook(ID));
    assert!(
        text.contains("WebhookChanges") && !text.contains("secret-path"),
        "{text}"
    );
}

#[tokio::test]
async fn what_a_node_took_and_never_settled_is_anothers_once_its_claim_has_ended() {
    let store = store_with(1).await;
    let first = claim(&store, NOW).await;
    let other = NodeId(Uuid::from_u128(2));
    let held = first.claimed_until - TimeDelta::milliseconds(1);
    let nothing = store.claim_deliveries(ID, other, 8, held).await;
    let nothing = nothing.expect("asked");
    assert!(nothing.due.is_empty());
    assert_eq!(nothing.next_due, Some(first.claimed_until));
    let taken = store.claim_deliveries(ID, other, 8, first.claimed_until);
    let taken = taken.await.expect("asked").due;
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].position, first.position);
}

#[tokio::test]
async fn of_a_webhook_that_is_switched_off_nothing_is_sent() {
    let store = store_with(1).await;
    let targets = async || {
        let all = store.webhook_targets(None, NOW).await.expect("asked");
        let one = store.webhook_targets(Some(ID), NOW).await;
        (all.len(), one.expect("asked").len())
    };
    assert_eq!(targets().await, (1, 1));
    let off = WebhookChanges {
        is_enabled: Some(false),
        ..WebhookChanges::default()
    };
    change(&store, &off, NOW).await;
    assert_eq!(targets().await, (0, 0));
}
