//! The worker: the one place that acts for a connection.
//!
//! A hint makes it look for due rows; it works in rounds until nothing is due, one round per message,
//! so that a call of a person or a stop gets its turn in between. It knows nothing of restarts: an
//! error that is not a value ends it, and its supervisor decides.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr};

use super::call::{HANDOVER_PATIENCE, LiveCall};
use super::context::{Taken, WorkerContext};
use super::limiter::ConnectionBudget;
use super::record::{Record, WorkerState};
use super::round::{Hands, RoundEnd};
use super::token::TokenKeeper;
use crate::domain::{ConnectionId, ProviderKind, Timestamp, WaitReason};
use crate::plan::Breaker;
use crate::queue::PollerHandle;
use crate::store::StoreError;

/// How long a worker stays away from a database that did not answer.
const DATABASE_PAUSE: TimeDelta = TimeDelta::seconds(1);

#[derive(Debug)]
pub(super) enum WorkerMsg {
    /// There may be something due.
    Look,
    Call(LiveCall),
}

#[derive(Debug)]
pub(super) struct Worker {
    context: Arc<WorkerContext>,
    poller: PollerHandle,
    record: Arc<Record>,
}

pub(super) struct WorkerArgs {
    pub(super) connection_id: ConnectionId,
    pub(super) context: Arc<WorkerContext>,
    pub(super) poller: PollerHandle,
    pub(super) record: Arc<Record>,
    /// Kept by the supervisor across restarts.
    pub(super) budget: Arc<OnceLock<ConnectionBudget>>,
}

pub(super) async fn spawn(
    args: WorkerArgs,
    supervisor: ActorCell,
) -> Result<ActorRef<WorkerMsg>, SpawnErr> {
    let worker = Worker {
        context: args.context,
        poller: args.poller,
        record: args.record.clone(),
    };
    let hands = Hands {
        connection_id: args.connection_id,
        record: args.record,
        tokens: TokenKeeper::default(),
        budget: args.budget,
        batch: 1,
        provider: None,
        wait: None,
        lease: None,
        taken: Taken::asked_at(Duration::ZERO),
        recover: true,
        breaker: Breaker::default(),
        reopened: None,
    };
    let (actor, _) = Actor::spawn_linked(None, worker, hands, supervisor).await?;
    Ok(actor)
}

#[async_trait]
impl Actor for Worker {
    type Msg = WorkerMsg;
    type State = Hands;
    type Arguments = Hands;

    async fn pre_start(
        &self,
        _myself: ActorRef<WorkerMsg>,
        hands: Hands,
    ) -> Result<Hands, ActorProcessingErr> {
        self.record
            .enter(WorkerState::Idle, self.context.clock.now());
        Ok(hands)
    }

    async fn handle(
        &self,
        myself: ActorRef<WorkerMsg>,
        message: WorkerMsg,
        hands: &mut Hands,
    ) -> Result<(), ActorProcessingErr> {
        self.record
            .enter(WorkerState::Working, self.context.clock.now());
        match message {
            WorkerMsg::Look => self.look(&myself, hands).await?,
            WorkerMsg::Call(call) => self.call(&myself, call, hands).await?,
        }
        Ok(())
    }

    /// Not after a crash or a kill: then the lease ends by itself.
    async fn post_stop(
        &self,
        _myself: ActorRef<WorkerMsg>,
        hands: &mut Hands,
    ) -> Result<(), ActorProcessingErr> {
        if let Some(lease) = hands.lease.take() {
            let released = self
                .context
                .store
                .release_lease(lease, hands.is_rested(lease));
            if let Err(error) = released.await {
                tracing::debug!(error = %error, "a lease was not released; it ends by itself");
            }
        }
        Ok(())
    }
}

impl Worker {
    async fn look(
        &self,
        myself: &ActorRef<WorkerMsg>,
        hands: &mut Hands,
    ) -> Result<(), StoreError> {
        self.record.take_hint();
        let end = match hands.round(&self.context).await {
            Ok(end) => end,
            Err(error) => return self.database_trouble(error, hands),
        };
        if let Some(provider) = hands.reopened.take() {
            self.reopened(provider).await;
        }
        let now = self.context.clock.now();
        match end {
            RoundEnd::NotOurs => {
                self.leave(hands, now);
                // Whoever it was that sent the hint meant the one who acts.
                self.context.nodes.pass_on([hands.connection_id]);
            }
            RoundEnd::HandedOver => {
                self.leave(hands, now);
                // What is due goes with it, unless the node that wanted it is gone by then.
                let lapsed = TimeDelta::from_std(HANDOVER_PATIENCE).unwrap_or(TimeDelta::MAX);
                self.poller.due(hands.connection_id, now + lapsed);
            }
            RoundEnd::Due(due) => {
                self.record.round_ended(now);
                self.note_due(due, hands);
                self.record.enter(WorkerState::Idle, now);
                match due {
                    Some(at) if at <= now => self.look_again(myself),
                    Some(at) => self.poller.due(hands.connection_id, at),
                    None => {}
                }
            }
        }
        Ok(())
    }

    /// The provider works again: whoever waits for that looks, a few at a time.
    async fn reopened(&self, provider: ProviderKind) {
        tracing::info!(provider = %provider, "the provider works again");
        let now = self.context.clock.now();
        for why in [WaitReason::Outage, WaitReason::SetUp] {
            match self.context.store.end_waits(provider, why, now).await {
                Ok(woken) => {
                    for due in woken {
                        self.poller.due(due.connection_id, due.due_at);
                    }
                }
                // They end by themselves, some minutes later.
                Err(error) => {
                    tracing::warn!(provider = %provider, error = %error, "waits were not ended");
                }
            }
        }
    }

    fn look_again(&self, myself: &ActorRef<WorkerMsg>) {
        if self.record.first_hint() {
            // An error means that the worker is stopping: the rows wait for the next one.
            let _ = myself.cast(WorkerMsg::Look);
        }
    }

    async fn call(
        &self,
        myself: &ActorRef<WorkerMsg>,
        call: LiveCall,
        hands: &mut Hands,
    ) -> Result<(), StoreError> {
        let answered = hands.answer(&self.context, call).await;
        let state = match hands.lease {
            Some(_) => WorkerState::Idle,
            None => WorkerState::ElsewhereOwned,
        };
        self.record.enter(state, self.context.clock.now());
        self.record
            .update(|record| record.lease_epoch = hands.lease.map(|lease| lease.epoch));
        if hands.lease.is_some() {
            // Work came with the lease, another node has been waiting for it during the call, or the
            // call has shown that the connection must wait.
            self.look_again(myself);
        }
        match answered {
            Ok(()) => Ok(()),
            Err(error) => self.database_trouble(error, hands),
        }
    }

    /// The database's passing trouble is no reason to crash; a bug or an inconsistency is.
    fn database_trouble(&self, error: StoreError, hands: &mut Hands) -> Result<(), StoreError> {
        let now = self.context.clock.now();
        self.record
            .update(|record| record.last_error = Some(error.to_string()));
        hands.recover = true;
        match &error {
            StoreError::LeaseLost => {
                tracing::info!(connection.id = %hands.connection_id, "the lease was lost; what this round did is left to its new owner");
                hands.lease = None;
                self.leave(hands, now);
                self.poller.due(hands.connection_id, now + DATABASE_PAUSE);
                Ok(())
            }
            _ if error.is_transient() => {
                tracing::warn!(connection.id = %hands.connection_id, error = %error, "round put off");
                self.record.enter(WorkerState::Idle, now);
                self.poller.due(hands.connection_id, now + DATABASE_PAUSE);
                Ok(())
            }
            _ => Err(error),
        }
    }

    fn leave(&self, hands: &Hands, now: Timestamp) {
        self.record.enter(WorkerState::ElsewhereOwned, now);
        self.record.update(|record| {
            record.lease_epoch = hands.lease.map(|lease| lease.epoch);
            record.due_at = None;
        });
    }

    fn note_due(&self, due: Option<Timestamp>, hands: &Hands) {
        self.record.update(|record| {
            record.provider = hands.provider;
            record.not_before = hands.wait.map(|wait| wait.until);
            record.due_at = due;
            record.lease_epoch = hands.lease.map(|lease| lease.epoch);
            record.last_error = None;
        });
    }
}
