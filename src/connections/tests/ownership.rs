//! Who may act, and whose word counts, when several act at once.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Stage, eventually};
use crate::connections::keep_leases;
use crate::domain::{Clock, ConnectionStatus, ManualClock, NodeId, SystemClock};
use crate::plan::Breaker;
use crate::store::{ClaimRequest, SealedTokens, Settled};

/// On one thread: whoever saw a renewal knows that its keeper sleeps again.
#[tokio::test]
async fn a_lease_is_nobody_elses_while_it_is_renewed_and_anybodys_afterwards() {
    let clock = ManualClock::starting_at(SystemClock::shared().now());
    let stage = Stage::start(|context| context.clock = clock.clone()).await;
    let (_, id) = stage.coach().await;
    let (context, ttl) = (&stage.context, stage.context.lease_ttl);
    let other = NodeId::generate(clock.now(), context.entropy.as_ref());
    let take = async |node: NodeId| {
        let taken = context.store.take_lease(id, node, ttl, clock.now()).await;
        taken.expect("the database answers").is_some()
    };
    assert!(take(context.node).await, "it is free");
    let stop = CancellationToken::new();
    let keeper = keep_leases(context.clone(), stage.poller.clone(), stop.clone());
    let keeper = tokio::spawn(keeper);
    tokio::task::yield_now().await;
    for turn in 1..=6 {
        clock.advance(ttl / 3);
        let end = clock.monotonic() + ttl;
        eventually("the leases are renewed", || async {
            context.leases.end(Duration::ZERO, ttl) == end
        })
        .await;
        assert!(!take(other).await, "turn {turn}");
    }
    stop.cancel();
    keeper.await.expect("it ends when it is told to");
    clock.advance(ttl + Duration::from_secs(1));
    assert!(take(other).await, "nobody renews it any more");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_that_ends_after_a_new_sign_in_replaces_nothing() {
    let stage = Stage::start(|_| {}).await;
    let (coach, id) = stage.coach().await;
    let (store, now) = (&stage.context.store, stage.context.clock.now());
    let tokens = async || store.tokens(id).await.expect("read").expect("tokens");
    let refreshed = SealedTokens {
        access: "from the old grant".into(),
        refresh: "from the old grant".into(),
        access_expires_at: now,
    };
    let replace = async |version: i64| {
        let replaced = store.replace_tokens(id, version, &refreshed, now).await;
        replaced.expect("the database answers")
    };
    let held = tokens().await;
    stage.sign_in(coach, id).await;
    let newer = tokens().await;
    assert!(!replace(held.version).await, "they are not the newest");
    assert_eq!(tokens().await, newer);
    assert!(replace(newer.version).await, "that one was meant");
    assert_eq!(tokens().await.sealed, refreshed);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_refused_while_its_coach_signs_in_again_parks_nobody() {
    let stage = Stage::start(|_| {}).await;
    let (coach, id) = stage.coach().await;
    let (store, now) = (&stage.context.store, stage.context.clock.now());
    let version = async || {
        let tokens = store.tokens(id).await.expect("read");
        tokens.expect("tokens").version
    };
    let park = async |refused: i64| {
        let request = ClaimRequest {
            connection_id: id,
            node: stage.context.node,
            lease_ttl: stage.context.lease_ttl,
            limit: 1,
            now,
            recover: false,
        };
        let claim = store.claim(request).await.expect("read").expect("ours");
        let (lease, settings_version) = (claim.lease, claim.connection.settings_version);
        claim.commit(&[], &[]).await.expect("committed");
        let settled = Settled {
            lease,
            settings_version,
            settlements: Vec::new(),
            wait: None,
            breaker: Breaker::default(),
            reauth: Some((refused, "Sign in again.".to_owned())),
            last_sync: None,
            max_attempts: 80,
            now,
        };
        store.settle(settled).await.expect("settled");
    };
    let refused = version().await;
    stage.sign_in(coach, id).await;
    park(refused).await;
    let status = stage.status(id).await;
    assert_eq!(status, ConnectionStatus::Active, "the new grant is fine");
    park(version().await).await;
    let status = stage.status(id).await;
    assert_eq!(status, ConnectionStatus::NeedsReauth, "that one was meant");
    stage.stop().await;
}
