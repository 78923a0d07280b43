//! The typed handle to all connections: nobody outside builds a message.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use ractor::{ActorCell, ActorRef, SpawnErr, call_t};

use super::call::{LiveCall, TestReport, Unreachable};
use super::context::WorkerContext;
use super::record::{ConnectionSnapshot, WorkerState};
use super::registry::{self, Records, RegistryMsg};
use crate::actor_slot::ActorSlot;
use crate::domain::{Calendar, CalendarId, ConnectionId, SyncFailure};
use crate::hints::Hints;
use crate::queue::PollerHandle;

/// How long a person waits for a live call, its queueing behind a round included.
const CALL_WAIT_MILLIS: u64 = 25_000;

/// Reaches the connections actor, also after it was restarted.
#[derive(Clone, Debug, Default)]
pub struct ConnectionsHandle {
    registry: ActorSlot<RegistryMsg>,
    hints: Hints,
    records: Records,
}

impl ConnectionsHandle {
    pub fn new() -> Self {
        Self {
            registry: ActorSlot::default(),
            hints: Hints::default(),
            records: Arc::new(RwLock::new(HashMap::new())),
        }
    }

    /// Starts the actor as a child of `root`; the handle reaches the new one from then on.
    pub(crate) async fn start(
        &self,
        context: Arc<WorkerContext>,
        poller: PollerHandle,
        root: ActorCell,
    ) -> Result<ActorCell, SpawnErr> {
        let (hints, records) = (self.hints.clone(), self.records.clone());
        let actor = registry::spawn(context, poller, hints, records, root).await?;
        let cell = actor.get_cell();
        self.registry.fill(actor);
        // The message about these may have gone to a predecessor; the next poll finds their rows.
        self.hints.take();
        Ok(cell)
    }

    /// There may be something due for these. A hint: it may be lost, and may come twice.
    pub fn wake(&self, ids: impl IntoIterator<Item = ConnectionId>) {
        if self.hints.add(ids) {
            self.registry.send(RegistryMsg::Wake);
        }
    }

    /// Calls the provider as a test.
    ///
    /// # Errors
    /// [`Unreachable`] if the connection could not be asked; what the provider answered is in the
    /// report.
    pub async fn test(&self, id: ConnectionId) -> Result<TestReport, Unreachable> {
        let registry = self.reach()?;
        call_t!(
            registry,
            |reply| RegistryMsg::Call(id, LiveCall::Test(reply)),
            CALL_WAIT_MILLIS
        )
        .unwrap_or(Err(Unreachable::Busy))
    }

    /// Calendars of the account that can be written to.
    ///
    /// # Errors
    /// [`Unreachable`] if the connection could not be asked.
    pub async fn calendars(
        &self,
        id: ConnectionId,
    ) -> Result<Result<Vec<Calendar>, SyncFailure>, Unreachable> {
        let registry = self.reach()?;
        call_t!(
            registry,
            |reply| RegistryMsg::Call(id, LiveCall::Calendars(reply)),
            CALL_WAIT_MILLIS
        )
        .unwrap_or(Err(Unreachable::Busy))
    }

    /// One calendar of the account.
    ///
    /// # Errors
    /// [`Unreachable`] if the connection could not be asked.
    pub async fn calendar(
        &self,
        id: ConnectionId,
        calendar: CalendarId,
    ) -> Result<Result<Option<Calendar>, SyncFailure>, Unreachable> {
        let registry = self.reach()?;
        call_t!(
            registry,
            |reply| RegistryMsg::Call(id, LiveCall::Calendar(calendar, reply)),
            CALL_WAIT_MILLIS
        )
        .unwrap_or(Err(Unreachable::Busy))
    }

    /// Lets rounds under way finish and ends all workers; returns when all is quiet or time is up,
    /// and answers whether all was quiet.
    pub async fn drain(&self, deadline: Duration) -> bool {
        let Some(registry) = self.registry.get() else {
            return true;
        };
        let millis = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        let is_done = call_t!(registry, RegistryMsg::Drain, millis).is_ok();
        if !is_done {
            tracing::warn!(
                "not every connection finished its round in time; its lease ends by itself"
            );
        }
        is_done
    }

    /// Whether a worker here holds the connection's lease, as far as is known without asking.
    pub fn holds(&self, id: ConnectionId) -> bool {
        registry::holds(&self.records, id)
    }

    /// The connections that have actors now.
    pub fn snapshots(&self) -> Vec<ConnectionSnapshot> {
        registry::snapshots(&self.records)
    }

    /// How many workers are in each state.
    pub fn worker_states(&self) -> Vec<(WorkerState, u64)> {
        registry::worker_states(&self.records)
    }

    /// Connections whose hint was not taken yet.
    pub fn hints_waiting(&self) -> usize {
        self.hints.waiting()
    }

    pub fn is_running(&self) -> bool {
        self.registry.is_running()
    }

    fn reach(&self) -> Result<ActorRef<RegistryMsg>, Unreachable> {
        self.registry.get().ok_or(Unreachable::Busy)
    }
}
