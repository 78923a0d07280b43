//! Keeping this node's leases: one statement renews them all, three times per lease time.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::context::WorkerContext;
use crate::store::StoreError;

/// Runs until `stop`. A renewal that fails is tried again at the next turn; workers stop acting by
/// themselves when their lease would end.
pub(crate) async fn keep_leases(context: Arc<WorkerContext>, stop: CancellationToken) {
    let pause = context.lease_ttl / 3;
    loop {
        tokio::select! {
            () = context.clock.sleep(pause) => {}
            () = stop.cancelled() => return,
        }
        let asked_at = context.clock.monotonic();
        let now = context.clock.now();
        let renewal = context
            .store
            .renew_leases(context.node, context.lease_ttl, now);
        // In time for the next turn, whatever becomes of this one.
        let renewed = tokio::time::timeout(pause, renewal).await;
        match renewed.unwrap_or_else(|_| Err(StoreError::too_late())) {
            Ok(held) => {
                context.leases.renewed(asked_at, context.lease_ttl);
                context.metrics.leases_held(held);
            }
            Err(error) => tracing::warn!(error = %error, "leases were not renewed"),
        }
    }
}
