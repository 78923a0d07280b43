//! What runs beside the actors: keeping the leases, and talking with the other nodes.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::ports::Ports;
use crate::connections::{WorkerContext, keep_leases};
use crate::nodes;
use crate::queue::PollerHandle;
use crate::shared_time;
use crate::store::StoreError;
use crate::watchdog;

/// Ends with this, also where a start fails half-way.
#[derive(Debug)]
pub(super) struct Background {
    tasks: TaskTracker,
    stop: DropGuard,
    stopped: CancellationToken,
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
            stopped: stop.clone(),
            stop: stop.drop_guard(),
        })
    }

    /// Watches the actors, once there are any.
    pub(super) fn watch(&self, ports: &Ports, poll_interval: Duration) {
        self.tasks.spawn(watchdog::watch(
            ports.watchdog.clone(),
            ports.context.clock.clone(),
            ports.poller.clone(),
            ports.connections.clone(),
            poll_interval,
            self.stopped.clone(),
        ));
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
