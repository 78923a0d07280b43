//! The supervisor of one connection: restarts its worker, and sets it aside when that does not help.
//!
//! A crash concerns this connection alone. Restart delays and the verdict of quarantine are
//! `plan::restart`'s; the quarantine is durable, so that a restart of the daemon does not lift it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};

use super::call::{LiveCall, Unreachable};
use super::context::WorkerContext;
use super::limiter::ConnectionBudget;
use super::record::{Record, WorkerState};
use super::worker::{self, WorkerArgs, WorkerMsg};
use crate::domain::{ConnectionId, QuarantineReason, Timestamp};
use crate::plan::{Restart, restart};
use crate::queue::PollerHandle;
use crate::store::Fence;

#[derive(Debug)]
pub(super) enum SupervisorMsg {
    Look,
    Call(LiveCall),
    /// The delay after a crash is over. A timer may outlive its purpose: old generations are void.
    Restart {
        generation: u64,
    },
    /// Let the worker finish its round, then end.
    Drain,
}

#[derive(Debug)]
struct Supervisor {
    connection_id: ConnectionId,
    context: Arc<WorkerContext>,
    poller: PollerHandle,
    record: Arc<Record>,
    budget: Arc<OnceLock<ConnectionBudget>>,
}

struct State {
    worker: Option<ActorRef<WorkerMsg>>,
    /// Crashes in a row without a finished round between them.
    crashes: u32,
    rounds_at_crash: u64,
    generation: u64,
    draining: bool,
}

pub(super) struct SupervisorArgs {
    pub(super) connection_id: ConnectionId,
    pub(super) context: Arc<WorkerContext>,
    pub(super) poller: PollerHandle,
    pub(super) record: Arc<Record>,
    /// Outlives the worker: a crash must not refill it.
    pub(super) budget: Arc<OnceLock<ConnectionBudget>>,
}

pub(super) async fn spawn(
    args: SupervisorArgs,
    registry: ActorCell,
) -> Result<ActorRef<SupervisorMsg>, SpawnErr> {
    let supervisor = Supervisor {
        connection_id: args.connection_id,
        context: args.context,
        poller: args.poller,
        record: args.record,
        budget: args.budget,
    };
    let (actor, _) = Actor::spawn_linked(None, supervisor, (), registry).await?;
    Ok(actor)
}

#[async_trait]
impl Actor for Supervisor {
    type Msg = SupervisorMsg;
    type State = State;
    type Arguments = ();

    async fn pre_start(
        &self,
        myself: ActorRef<SupervisorMsg>,
        (): (),
    ) -> Result<State, ActorProcessingErr> {
        let mut state = State {
            worker: None,
            crashes: 0,
            rounds_at_crash: 0,
            generation: 0,
            draining: false,
        };
        self.start_worker(&myself, &mut state).await?;
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<SupervisorMsg>,
        message: SupervisorMsg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SupervisorMsg::Look => Self::look(state),
            SupervisorMsg::Call(call) => self.call(call, state),
            SupervisorMsg::Restart { generation } => {
                if generation == state.generation && state.worker.is_none() && !state.draining {
                    self.start_worker(&myself, state).await?;
                    Self::look(state);
                }
            }
            SupervisorMsg::Drain => {
                state.draining = true;
                match &state.worker {
                    Some(worker) => worker.stop(None),
                    None => myself.stop(None),
                }
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<SupervisorMsg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(_, reason) => {
                state.worker = None;
                if state.draining {
                    myself.stop(None);
                } else {
                    self.crashed(&myself, &reason.to_string(), state).await;
                }
            }
            SupervisionEvent::ActorTerminated(..) => {
                state.worker = None;
                myself.stop(None);
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}

impl Supervisor {
    fn look(state: &State) {
        // Without a worker a restart is under way, which looks when it is there.
        if let Some(worker) = &state.worker {
            let _ = worker.cast(WorkerMsg::Look);
        }
    }

    fn call(&self, call: LiveCall, state: &State) {
        match &state.worker {
            Some(worker) => {
                // A worker that ends just now drops the reply, which its caller sees as busy.
                let _ = worker.cast(WorkerMsg::Call(call));
            }
            None => call.refuse(Unreachable::Busy),
        }
    }

    async fn start_worker(
        &self,
        myself: &ActorRef<SupervisorMsg>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let args = WorkerArgs {
            connection_id: self.connection_id,
            context: self.context.clone(),
            poller: self.poller.clone(),
            record: self.record.clone(),
            budget: self.budget.clone(),
        };
        state.worker = Some(worker::spawn(args, myself.get_cell()).await?);
        Ok(())
    }

    async fn crashed(&self, myself: &ActorRef<SupervisorMsg>, reason: &str, state: &mut State) {
        let now = self.context.clock.now();
        let rounds = self.record.rounds();
        state.crashes = if rounds > state.rounds_at_crash {
            1
        } else {
            state.crashes.saturating_add(1)
        };
        state.rounds_at_crash = rounds;
        state.generation += 1;
        // The crashed worker may have died with the hint in its mailbox.
        self.record.take_hint();
        self.record.update(|record| {
            record.restarts += 1;
            record.last_error = Some(reason.to_owned());
        });
        self.context.metrics.restarted("connection_worker");
        tracing::error!(
            connection.id = %self.connection_id,
            crashes = state.crashes,
            reason,
            "the worker of a connection crashed"
        );
        match restart(
            self.context.restart,
            state.crashes,
            self.context.entropy.jitter(),
        ) {
            Restart::After(delay) => {
                self.record.enter(WorkerState::Restarting, now);
                let generation = state.generation;
                let (clock, myself) = (self.context.clock.clone(), myself.clone());
                // Ends by itself; a stopped supervisor no longer receives what it sends.
                tokio::spawn(async move {
                    clock.sleep(delay).await;
                    let _ = myself.cast(SupervisorMsg::Restart { generation });
                });
            }
            Restart::Quarantine(cool_down) => {
                self.quarantine(cool_down, now).await;
                // From here on the row knows; a new supervisor starts when it is due, or woken.
                myself.stop(None);
            }
        }
    }

    async fn quarantine(&self, cool_down: Duration, now: Timestamp) {
        let until = now + TimeDelta::from_std(cool_down).unwrap_or(TimeDelta::MAX);
        let reason = format!(
            "Syncing this calendar failed unexpectedly several times in a row. It is tried again at {}.",
            until.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
        );
        let stored = self
            .context
            .store
            .set_connection_status(
                Fence::Node(self.connection_id, self.context.node),
                Some((QuarantineReason::Crashed, &reason)),
                Some(until),
                now,
            )
            .await;
        if let Err(error) = stored {
            tracing::warn!(connection.id = %self.connection_id, error = %error, "the quarantine is not recorded");
        }
        self.context.changed([self.connection_id.into()]);
        tracing::error!(connection.id = %self.connection_id, until = %until, "connection quarantined");
        self.poller.due(self.connection_id, until);
    }
}
