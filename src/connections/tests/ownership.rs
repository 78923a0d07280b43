//! Who may act, and whose word counts, when several act at once.

use std::time::Duration;

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use super::{Stage, eventually};
use crate::connections::context::Taken;
use crate::connections::keep_leases;
use crate::domain::{
    Clock, ConnectionId, ConnectionStatus, ManualClock, NodeId, ReauthReason, SystemClock,
    Timestamp, Wait, WaitReason,
};
use crate::plan::Breaker;
use crate::store::{ClaimRequest, Lease, SealedTokens, Settled};

fn request(stage: &Stage, connection_id: ConnectionId, node: NodeId) -> ClaimRequest {
    ClaimRequest {
        connection_id,
        node,
        lease_ttl: stage.context.lease_ttl,
        limit: 1,
        now: stage.context.clock.now(),
        recover: false,
    }
}

/// A round in which nothing happened.
fn nothing(lease: Lease, settings_version: i64, now: Timestamp) -> Settled {
    Settled {
        lease,
        settings_version,
        settlements: Vec::new(),
        wait: None,
        breaker: Breaker::default(),
        reauth: None,
        last_sync: None,
        max_attempts: 80,
        now,
    }
}

/// On one thread: whoever saw a renewal knows that its keeper sleeps again.
#[tokio::test]
async fn a_lease_is_nobody_elses_while_it_is_renewed_and_anybodys_afterwards() {
    let clock = ManualClock::starting_at(SystemClock::shared().now());
    let stage = Stage::start(|context| context.clock = clock.clone()).await;
    let (_, id) = stage.coach().await;
    let (context, ttl) = (&stage.context, stage.context.lease_ttl);
    let taken = Taken::asked_at(Duration::ZERO).committed(Duration::ZERO);
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
            context.leases.end(taken, ttl) == end
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
        let request = request(&stage, id, stage.context.node);
        let claim = store.claim(request).await.expect("read").expect("ours");
        let (lease, settings_version) = (claim.lease, claim.connection.settings_version);
        claim.commit(&[], &[]).await.expect("committed");
        let settled = Settled {
            reauth: Some((refused, ReauthReason::GrantRefused)),
            ..nothing(lease, settings_version, now)
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

/// The lease changes hands twice while this node looks the other way: once to another node that takes
/// a row and dies, once back, by a call.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_node_left_is_taken_up_although_a_call_got_the_lease_first() {
    let stage = Stage::start(|_| {}).await;
    let (coach, id) = stage.coach().await;
    let (store, clock) = (&stage.context.store, &stage.context.clock);
    let mine = stage.report(coach, false).await;
    eventually("this node has worked", || async {
        stage.calendars.holds(mine)
    })
    .await;
    eventually("and settled", || async {
        let due = store
            .due(stage.context.node, clock.now(), clock.now(), 1)
            .await;
        due.expect("read").connections.is_empty()
    })
    .await;

    let other = NodeId::generate(clock.now(), stage.context.entropy.as_ref());
    store.release_leases(None).await.expect("released");
    let left = stage.report_unheard(coach).await;
    let claim = store.claim(request(&stage, id, other)).await;
    let claim = claim.expect("read").expect("the other's");
    let (lease, settings_version) = (claim.lease, claim.connection.settings_version);
    let taken: Vec<_> = claim.due.iter().map(|due| due.job.id).collect();
    claim.commit(&taken, &[]).await.expect("taken");
    let until = clock.now() + TimeDelta::seconds(3);
    let wait = Some(Wait {
        until,
        why: WaitReason::Limit,
    });
    let settled = Settled {
        wait,
        ..nothing(lease, settings_version, clock.now())
    };
    store.settle(settled).await.expect("settled");
    store.release_leases(None).await.expect("as if it had died");

    // There is a wait, so this leaves no trace.
    stage.connections.wake(vec![id]);
    let tested = stage.connections.test(id).await;
    assert!(tested.is_ok(), "{tested:?}");
    eventually("what was left is in the calendar", || async {
        stage.poller.wake(vec![id]);
        stage.calendars.holds(left)
    })
    .await;
    stage.stop().await;
}
