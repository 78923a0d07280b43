//! Connection id → its supervisor: started on demand, ended when idle and its limiter full again, drained at
//! shutdown.
//!
//! Millions of connections may exist; only those with something to do have actors.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use async_trait::async_trait;
use chrono::TimeDelta;
use ractor::{
    Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SpawnErr,
    SupervisionEvent,
};

use super::call::{LiveCall, Unreachable};
use super::context::WorkerContext;
use super::limiter::ConnectionBudget;
use super::record::{ConnectionSnapshot, Record, WorkerState};
use super::supervisor::{self, SupervisorArgs, SupervisorMsg};
use crate::domain::ConnectionId;
use crate::hints::Hints;
use crate::queue::PollerHandle;

/// Calls kept for one connection whose actors are just ending.
const MOST_CALLS_KEPT: usize = 16;

#[derive(Debug)]
pub(super) enum RegistryMsg {
    /// There are hints.
    Wake,
    Call(ConnectionId, LiveCall),
    /// End what has been idle for long.
    Sweep,
    /// End everything, letting rounds under way finish; answered when all is quiet.
    Drain(RpcReplyPort<()>),
}

/// Records of the connections that have actors, for whoever looks.
pub(super) type Records = Arc<RwLock<HashMap<ConnectionId, Arc<Record>>>>;

#[derive(Debug)]
struct Registry {
    context: Arc<WorkerContext>,
    poller: PollerHandle,
    hints: Hints,
    records: Records,
}

struct Entry {
    supervisor: ActorRef<SupervisorMsg>,
    record: Arc<Record>,
    budget: Arc<OnceLock<ConnectionBudget>>,
    /// It was told to end; a wake that comes meanwhile starts a new one afterwards.
    ending: bool,
    woken_while_ending: bool,
    /// People who asked meanwhile; they are answered by the next one.
    calls_while_ending: Vec<LiveCall>,
}

#[derive(Default)]
struct State {
    entries: HashMap<ConnectionId, Entry>,
    by_actor: HashMap<ActorId, ConnectionId>,
    draining: Option<Vec<RpcReplyPort<()>>>,
}

pub(super) async fn spawn(
    context: Arc<WorkerContext>,
    poller: PollerHandle,
    hints: Hints,
    records: Records,
    root: ActorCell,
) -> Result<ActorRef<RegistryMsg>, SpawnErr> {
    let registry = Registry {
        context,
        poller,
        hints,
        records,
    };
    let (actor, _) = Actor::spawn_linked(None, registry, (), root).await?;
    Ok(actor)
}

#[async_trait]
impl Actor for Registry {
    type Msg = RegistryMsg;
    type State = State;
    type Arguments = ();

    async fn pre_start(
        &self,
        myself: ActorRef<RegistryMsg>,
        (): (),
    ) -> Result<State, ActorProcessingErr> {
        // Those of a predecessor that crashed ended with it.
        self.records
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        self.sweep_later(&myself);
        Ok(State::default())
    }

    async fn handle(
        &self,
        myself: ActorRef<RegistryMsg>,
        message: RegistryMsg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            RegistryMsg::Wake => {
                for id in self.hints.take() {
                    self.wake(&myself, id, state).await;
                }
            }
            RegistryMsg::Call(id, call) => self.call(&myself, id, call, state).await,
            RegistryMsg::Sweep => {
                self.sweep(state);
                self.sweep_later(&myself);
            }
            RegistryMsg::Drain(reply) => {
                state.draining.get_or_insert_default().push(reply);
                for entry in state.entries.values_mut() {
                    end(entry);
                }
                answer_if_quiet(state);
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<RegistryMsg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(actor, ..) => {
                self.ended(&myself, actor.get_id(), state).await;
            }
            SupervisionEvent::ActorFailed(actor, reason) => {
                tracing::error!(reason = %reason, "the supervisor of a connection crashed");
                self.context.metrics.restarted("connection_supervisor");
                self.ended(&myself, actor.get_id(), state).await;
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}

impl Registry {
    async fn wake(&self, myself: &ActorRef<RegistryMsg>, id: ConnectionId, state: &mut State) {
        let Some(entry) = self.entry(myself, id, state).await else {
            return;
        };
        if entry.ending {
            entry.woken_while_ending = true;
        } else if entry.record.first_hint() {
            let _ = entry.supervisor.cast(SupervisorMsg::Look);
        }
    }

    async fn call(
        &self,
        myself: &ActorRef<RegistryMsg>,
        id: ConnectionId,
        call: LiveCall,
        state: &mut State,
    ) {
        match self.entry(myself, id, state).await {
            Some(entry) if !entry.ending => {
                let _ = entry.supervisor.cast(SupervisorMsg::Call(call));
            }
            Some(entry) if entry.calls_while_ending.len() < MOST_CALLS_KEPT => {
                entry.calls_while_ending.push(call);
            }
            Some(_) | None => call.refuse(Unreachable::Busy),
        }
    }

    async fn entry<'a>(
        &self,
        myself: &ActorRef<RegistryMsg>,
        id: ConnectionId,
        state: &'a mut State,
    ) -> Option<&'a mut Entry> {
        if state.draining.is_some() {
            return None;
        }
        if !state.entries.contains_key(&id) {
            let record = Record::new(id, self.context.clock.now());
            let budget: Arc<OnceLock<ConnectionBudget>> = Arc::default();
            let args = SupervisorArgs {
                connection_id: id,
                context: self.context.clone(),
                poller: self.poller.clone(),
                record: record.clone(),
                budget: budget.clone(),
            };
            match supervisor::spawn(args, myself.get_cell()).await {
                Ok(supervisor) => {
                    self.remember(id, Some(record.clone()));
                    state.by_actor.insert(supervisor.get_id(), id);
                    let entry = Entry {
                        supervisor,
                        record,
                        budget,
                        ending: false,
                        woken_while_ending: false,
                        calls_while_ending: Vec::new(),
                    };
                    state.entries.insert(id, entry);
                }
                Err(error) => {
                    // The database did not answer, most likely. The rows are there; look again.
                    tracing::warn!(connection.id = %id, error = %error, "a connection did not start");
                    let at = self.context.clock.now() + TimeDelta::seconds(1);
                    self.poller.due(id, at);
                    return None;
                }
            }
        }
        state.entries.get_mut(&id)
    }

    fn sweep(&self, state: &mut State) {
        let now = self.context.clock.now();
        let idle_after = TimeDelta::from_std(self.context.idle_after).unwrap_or(TimeDelta::MAX);
        for entry in state.entries.values_mut() {
            // A worker that stops drops the hint in its mailbox. Read first: a hint that is taken
            // after this shows in the state.
            let awaited = entry.record.is_hinted();
            let seen = entry.record.snapshot();
            let restful = match seen.state {
                WorkerState::Idle | WorkerState::ElsewhereOwned => true,
                WorkerState::Starting | WorkerState::Working | WorkerState::Restarting => false,
            };
            let is_idle = restful && !awaited && now - seen.since > idle_after;
            // Its successor begins with a full limiter, if it has rested. It stays no longer than the
            // limiter takes to refill.
            let is_full = || entry.budget.get().is_none_or(|budget| budget.own.is_full());
            if is_idle && !entry.ending && is_full() {
                end(entry);
            }
        }
    }

    fn sweep_later(&self, myself: &ActorRef<RegistryMsg>) {
        let (clock, myself) = (self.context.clock.clone(), myself.clone());
        let after = self.context.idle_after / 2;
        tokio::spawn(async move {
            clock.sleep(after).await;
            let _ = myself.cast(RegistryMsg::Sweep);
        });
    }

    async fn ended(&self, myself: &ActorRef<RegistryMsg>, actor: ActorId, state: &mut State) {
        let Some(id) = state.by_actor.remove(&actor) else {
            return;
        };
        self.remember(id, None);
        let Some(entry) = state.entries.remove(&id) else {
            return;
        };
        if state.draining.is_some() {
            answer_if_quiet(state);
            return;
        }
        for call in entry.calls_while_ending {
            self.call(myself, id, call, state).await;
        }
        if entry.woken_while_ending {
            self.wake(myself, id, state).await;
        } else if !entry.ending {
            // It crashed: not at once again, for it may crash again.
            let at = self.context.clock.now() + TimeDelta::seconds(1);
            self.poller.due(id, at);
        }
    }

    fn remember(&self, id: ConnectionId, record: Option<Arc<Record>>) {
        let mut records = self.records.write().unwrap_or_else(PoisonError::into_inner);
        match record {
            Some(record) => records.insert(id, record),
            None => records.remove(&id),
        };
    }
}

fn end(entry: &mut Entry) {
    entry.ending = true;
    let _ = entry.supervisor.cast(SupervisorMsg::Drain);
}

fn answer_if_quiet(state: &mut State) {
    if state.entries.is_empty() {
        for reply in state
            .draining
            .iter_mut()
            .flat_map(|replies| replies.drain(..))
        {
            let _ = reply.send(());
        }
    }
}

pub(super) fn holds(records: &Records, id: ConnectionId) -> bool {
    records
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&id)
        .is_some_and(|record| record.snapshot().lease_epoch.is_some())
}

/// What all records say now.
pub(super) fn snapshots(records: &Records) -> Vec<ConnectionSnapshot> {
    records
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .values()
        .map(|record| record.snapshot())
        .collect()
}

/// How many records are in each state.
pub(super) fn worker_states(records: &Records) -> Vec<(WorkerState, u64)> {
    let states: Vec<WorkerState> = records
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .values()
        .map(|record| record.state())
        .collect();
    WorkerState::ALL
        .map(|state| {
            let such = states.iter().filter(|seen| **seen == state);
            (state, such.map(|_| 1).sum())
        })
        .to_vec()
}
