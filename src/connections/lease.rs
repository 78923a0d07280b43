//! Keeping this node's leases, and its place among the others: three times per lease time.
//!
//! One statement renews all leases; a census then says that the node is alive and tells it of the
//! others. Leases count as renewed only if both worked, so that a node stops acting before others may
//! take its leases, or its part of a provider's quota.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::context::WorkerContext;
use crate::domain::Timestamp;
use crate::queue::PollerHandle;
use crate::store::StoreError;

/// Runs until `stop`. A renewal that fails is tried again at the next turn; workers stop acting by
/// themselves when their lease would end.
pub(crate) async fn keep_leases(
    context: Arc<WorkerContext>,
    poller: PollerHandle,
    stop: CancellationToken,
) {
    loop {
        let pause = context.nodes.next_census(context.lease_ttl / 3);
        tokio::select! {
            () = context.clock.sleep(pause) => {}
            () = stop.cancelled() => return,
        }
        let asked_at = context.clock.monotonic();
        let now = context.clock.now();
        let renewal = renew(&context, &poller, now);
        // It was asked for after a third of the lease: a later answer would find hardly any of it left.
        let renewed = tokio::time::timeout(context.lease_ttl / 2, renewal).await;
        match renewed.unwrap_or_else(|_| Err(StoreError::too_late())) {
            Ok((held, answered_at)) => {
                let ttl = context.lease_ttl;
                context.leases.renewed(asked_at, answered_at, ttl);
                context.metrics.leases_held(held);
            }
            Err(error) => tracing::warn!(error = %error, "leases were not renewed"),
        }
    }
}

/// Answers how many leases this node holds, and when that was known.
async fn renew(
    context: &WorkerContext,
    poller: &PollerHandle,
    now: Timestamp,
) -> Result<(u64, Duration), StoreError> {
    let (store, node) = (&context.store, context.node);
    let held = store.renew_leases(node, context.lease_ttl, now).await?;
    let answered_at = context.clock.monotonic();
    context.nodes.census(context).await?;
    if context.nodes.inherits(context) {
        poller.poll();
    }
    if !context.nodes.is_alone() {
        // Others may be waiting without having been heard.
        poller.wake(store.wanted_from(node, now).await?);
    }
    Ok((held, answered_at))
}
