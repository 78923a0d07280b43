//! What the API asks of the running daemon, answered by its actors.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::actors;
use super::health;
use super::scrape::{self, ScrapeCache};
use super::shared_answer::SharedAnswer;
use crate::api::StatusStreams;
use crate::api::ports::{
    ActorQuery, ActorTree, Health, LiveConnections, Readiness, ReadyPart, TestReport, Unreachable,
    Waker,
};
use crate::changes::Subject;
use crate::connections::{self, ConnectionsHandle, WorkerContext};
use crate::domain::{Calendar, CalendarId, CoachId, ConnectionId, SyncFailure, Timestamp};
use crate::housekeeper::HousekeeperHandle;
use crate::queue::PollerHandle;
use crate::root::Lives;
use crate::watchdog::WatchdogHandle;
use crate::webhooks::DelivererHandle;

/// The running parts, as the API sees them.
#[derive(Clone, Debug)]
pub(super) struct Ports {
    pub(super) context: Arc<WorkerContext>,
    pub(super) poller: PollerHandle,
    pub(super) connections: ConnectionsHandle,
    pub(super) housekeeper: HousekeeperHandle,
    pub(super) deliverer: DelivererHandle,
    pub(super) started_at: Timestamp,
    pub(super) scrape: Arc<ScrapeCache>,
    pub(super) streams: StatusStreams,
    /// Whether the database answers.
    pub(super) ping: Arc<SharedAnswer<ReadyPart>>,
    pub(super) watchdog: WatchdogHandle,
    pub(super) lives: Lives,
}

impl Waker for Ports {
    fn wake(&self, connections: &[ConnectionId]) {
        let nodes = &self.context.nodes;
        // Should another node hold one after all, the worker here finds out, and passes it on.
        let (here, perhaps_elsewhere): (Vec<_>, Vec<_>) = connections
            .iter()
            .partition(|id| nodes.is_alone() || self.connections.holds(**id));
        self.poller.wake(here);
        nodes.pass_on(perhaps_elsewhere);
        // After the work, which is not to wait for the next message because of this.
        let changed = connections.iter().map(|id| Subject::from(*id));
        self.context.changed(changed);
    }

    fn coach_changed(&self, coach_id: CoachId) {
        self.context.changed([coach_id.into()]);
    }
}

#[async_trait]
impl LiveConnections for Ports {
    async fn test(&self, id: ConnectionId) -> Result<TestReport, Unreachable> {
        let report = self.connections.test(id).await.map_err(unreachable)?;
        Ok(TestReport {
            ok: report.ok,
            calendar_name: report.calendar_name,
            account_email: report.account_email,
            latency: report.latency,
            problem: report.problem,
        })
    }

    async fn calendars(
        &self,
        id: ConnectionId,
    ) -> Result<Result<Vec<Calendar>, SyncFailure>, Unreachable> {
        self.connections.calendars(id).await.map_err(unreachable)
    }

    async fn calendar(
        &self,
        id: ConnectionId,
        calendar: CalendarId,
    ) -> Result<Result<Option<Calendar>, SyncFailure>, Unreachable> {
        self.connections
            .calendar(id, calendar)
            .await
            .map_err(unreachable)
    }
}

fn unreachable(why: connections::Unreachable) -> Unreachable {
    match why {
        connections::Unreachable::Busy => Unreachable::Busy,
        connections::Unreachable::NotFound => Unreachable::NotFound,
    }
}

#[async_trait]
impl Health for Ports {
    async fn ready(&self) -> Readiness {
        health::ready(self).await
    }

    async fn actors(&self, query: ActorQuery) -> ActorTree {
        actors::actors(self, query).await
    }

    async fn metrics(&self) -> String {
        scrape::metrics(self).await
    }

    fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        let metrics = &self.context.metrics;
        metrics.answered(method, route, status, took);
    }
}
