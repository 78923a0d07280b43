//! What runs beside the actors: keeping the leases, and talking with the other nodes.
//!
//! None of it ends by itself. Should one do so all the same, or panic, the daemon ends with it, and whoever
//! started it starts it anew: half of it would go on without anybody noticing what is missing.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::ports::Ports;
use crate::connections::{WorkerContext, keep_leases};
use crate::nodes;
use crate::queue::PollerHandle;
use crate::shared_time;
use crate::store::StoreError;
use crate::watchdog::{self, Watched};

/// Ends with this, also where a start fails half-way.
#[derive(Debug)]
pub(super) struct Background {
    tasks: TaskTracker,
    stop: DropGuard,
    stopped: CancellationToken,
    failed: CancellationToken,
}

/// Told when a task ends, also by a panic.
struct Vital {
    what: &'static str,
    stop: CancellationToken,
    failed: CancellationToken,
}

impl Drop for Vital {
    fn drop(&mut self) {
        if !self.stop.is_cancelled() {
            tracing::error!(
                task = self.what,
                "a task ended that nobody stopped; the daemon ends"
            );
            self.failed.cancel();
        }
    }
}

/// `task`, which ends after `stop` is cancelled; if it ends before, `failed` is.
pub(super) async fn vital<T>(
    what: &'static str,
    stop: CancellationToken,
    failed: CancellationToken,
    task: impl Future<Output = T>,
) -> T {
    let _vital = Vital { what, stop, failed };
    task.await
}

impl Background {
    /// Takes this node's place among the others, before anything acts.
    pub(super) async fn start(
        context: &Arc<WorkerContext>,
        poller: &PollerHandle,
        failed: CancellationToken,
    ) -> Result<Self, StoreError> {
        context.nodes.census(context).await?;
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let told = |what| (what, stop.clone(), failed.clone());
        let spawn = |(what, stop, failed), task: BoxFuture<'static, ()>| {
            tasks.spawn(vital(what, stop, failed, task));
        };
        let keep = keep_leases(context.clone(), poller.clone(), stop.clone());
        spawn(told("keeping leases"), keep.boxed());
        let (store, clock) = (context.store.clone(), context.clock.clone());
        let follow = shared_time::follow(store, clock, stop.clone());
        spawn(told("following the database's time"), follow.boxed());
        if !context.store.is_sqlite() {
            let nodes = || context.nodes.clone();
            let (context, poller) = (|| context.clone(), || poller.clone());
            let deliver = nodes::deliver(nodes(), context(), poller(), stop.clone());
            spawn(told("telling other nodes"), deliver.boxed());
            let listen = nodes::listen(nodes(), context(), poller(), stop.clone());
            spawn(told("listening to other nodes"), listen.boxed());
        }
        tasks.close();
        Ok(Self {
            tasks,
            stopped: stop.clone(),
            stop: stop.drop_guard(),
            failed,
        })
    }

    /// Watches the actors, once there are any.
    pub(super) fn watch(&self, ports: &Ports, poll_interval: Duration) {
        let watched = Watched {
            poller: ports.poller.clone(),
            deliverer: ports.deliverer.clone(),
            housekeeper: ports.housekeeper.clone(),
            connections: ports.connections.clone(),
            poll_interval,
        };
        let (watchdog, clock) = (ports.watchdog.clone(), ports.context.clock.clone());
        let watch = watchdog::watch(watchdog, clock, watched, self.stopped.clone());
        let (stop, failed) = (self.stopped.clone(), self.failed.clone());
        self.tasks.spawn(vital("the watchdog", stop, failed, watch));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_by_itself_ends_the_daemon_and_one_that_was_stopped_does_not() {
        type Begin = fn() -> BoxFuture<'static, ()>;
        let panics: Begin = || async { panic!("a fault of ours") }.boxed();
        let ends: Begin = || async {}.boxed();
        for (task, is_stopped, has_failed) in [
            (panics, false, true),
            (ends, false, true),
            (ends, true, false),
        ] {
            let (stop, failed) = (CancellationToken::new(), CancellationToken::new());
            if is_stopped {
                stop.cancel();
            }
            let task = vital("a task", stop, failed.clone(), task());
            let _ = tokio::spawn(task).await;
            assert_eq!(failed.is_cancelled(), has_failed);
        }
    }
}
