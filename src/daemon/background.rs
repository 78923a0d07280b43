//! What runs beside the actors: keeping the leases, and talking with the other nodes.

use std::sync::Arc;

use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::connections::{WorkerContext, keep_leases};
use crate::nodes;
use crate::queue::PollerHandle;
use crate::shared_time;
use crate::store::StoreError;

/// Ends with this, also where a start fails half-way.
#[derive(Debug)]
pub(super) struct Background {
    tasks: TaskTracker,
    stop: DropGuard,
}

impl Background {
    /// Takes this node's place among the others, before anything acts.
    pub(super) async fn start(
        context: &Arc<WorkerContext>,
        poller: &PollerHandle,
    ) -> Result<Self, StoreError> {
        context.nodes.census(context).await?;
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        tasks.spawn(keep_leases(context.clone(), poller.clone(), stop.clone()));
        tasks.spawn(shared_time::follow(
            context.store.clone(),
            context.clock.clone(),
            stop.clone(),
        ));
        if !context.store.is_sqlite() {
            let nodes = || context.nodes.clone();
            let (context, poller) = (|| context.clone(), || poller.clone());
            tasks.spawn(nodes::deliver(nodes(), context(), poller(), stop.clone()));
            tasks.spawn(nodes::listen(nodes(), context(), poller(), stop.clone()));
        }
        tasks.close();
        Ok(Self {
            tasks,
            stop: stop.drop_guard(),
        })
    }

    pub(super) async fn stop(self) {
        drop(self.stop);
        self.tasks.wait().await;
    }
}

/// Gives everything back that other nodes may take over, and tells them.
pub(super) async fn leave(context: &WorkerContext) -> Result<(), StoreError> {
    context.store.release_leases(Some(context.node)).await?;
    context.store.release_deliveries(Some(context.node)).await?;
    if context.store.is_sqlite() {
        return Ok(());
    }
    context.store.leave(context.node).await?;
    nodes::say_look(&context.store).await
}
