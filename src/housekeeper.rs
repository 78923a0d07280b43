//! The housekeeper actor: what is kept only for a while is let go, a little at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr};

use crate::actor_slot::ActorSlot;
use crate::connections::WorkerContext;
use crate::domain::{Timestamp, WebhookId};
use crate::store::StoreError;

pub(crate) const TURN: Duration = Duration::from_secs(600);
/// A sign-in that ended stays long enough to be told apart from one that never was.
const SIGN_INS_KEPT: TimeDelta = TimeDelta::hours(1);
/// Ended jobs are the history that coaches and operators look back on.
const JOBS_KEPT: TimeDelta = TimeDelta::days(30);
/// What one webhook may be owed, however long it, or this daemon, was away; the oldest beyond is given up.
const MOST_PENDING: i64 = 100_000;

#[derive(Debug)]
pub(crate) enum HousekeeperMsg {
    Tidy,
}

#[derive(Debug)]
struct Housekeeper {
    context: Arc<WorkerContext>,
    steps: Arc<AtomicU64>,
}

/// Tells whether the housekeeper runs, also after it was restarted.
#[derive(Clone, Debug, Default)]
pub(crate) struct HousekeeperHandle {
    actor: ActorSlot<HousekeeperMsg>,
    /// What it has got done so far, piece by piece.
    steps: Arc<AtomicU64>,
}

impl HousekeeperHandle {
    pub(crate) async fn start(
        &self,
        context: Arc<WorkerContext>,
        root: ActorCell,
    ) -> Result<ActorCell, SpawnErr> {
        let steps = self.steps.clone();
        let housekeeper = Housekeeper { context, steps };
        let (actor, _) = Actor::spawn_linked(None, housekeeper, (), root).await?;
        let cell = actor.get_cell();
        self.actor.fill(actor);
        Ok(cell)
    }

    pub(crate) fn is_running(&self) -> bool {
        self.actor.is_running()
    }

    /// One more than before, and it got on.
    pub(crate) fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Actor for Housekeeper {
    type Msg = HousekeeperMsg;
    type State = ();
    type Arguments = ();

    async fn pre_start(
        &self,
        myself: ActorRef<HousekeeperMsg>,
        (): (),
    ) -> Result<(), ActorProcessingErr> {
        myself.cast(HousekeeperMsg::Tidy)?;
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<HousekeeperMsg>,
        message: HousekeeperMsg,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        match message {
            HousekeeperMsg::Tidy => {
                self.tidy().await;
                self.got_on();
                let clock = self.context.clock.clone();
                // Ends with its sleep at the latest; a stopped housekeeper receives nothing.
                tokio::spawn(async move {
                    clock.sleep(TURN).await;
                    let _ = myself.cast(HousekeeperMsg::Tidy);
                });
            }
        }
        Ok(())
    }
}

impl Housekeeper {
    fn got_on(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// A piece that fails is put off to the next time, and the others are not.
    async fn tidy(&self) {
        let now = self.context.clock.now();
        let store = &self.context.store;
        let sign_ins = self.done(store.forget_sign_ins(now - SIGN_INS_KEPT).await);
        let appointments = self.done(store.forget_erased().await);
        if !store.is_sqlite() {
            self.done(store.forget_nodes().await);
        }
        let keys = self.done(self.forget_keys(now).await);
        let jobs = self.done(self.forget_ended_jobs(now - JOBS_KEPT).await);
        let audit_events = self.done(self.forget_audit_events().await);
        self.done(self.give_up_disabled(now).await);
        self.done(self.give_up_beyond(now).await);
        let deliveries = self.done(self.forget_deliveries().await);
        self.done(store.cut_off_log().await);
        if sign_ins + appointments + keys + jobs + audit_events + deliveries > 0 {
            tracing::debug!(
                sign_ins,
                appointments,
                keys,
                jobs,
                audit_events,
                deliveries,
                "housekeeping done"
            );
        }
    }

    /// What a piece of tidying came to; nothing if it is put off.
    fn done<T: Default>(&self, piece: Result<T, StoreError>) -> T {
        self.got_on();
        piece.unwrap_or_else(|error| {
            tracing::warn!(error = %error, "housekeeping put off");
            T::default()
        })
    }

    async fn forget_keys(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        loop {
            let some = self.context.store.forget_keys(now).await?;
            self.got_on();
            forgotten += some;
            if some == 0 {
                return Ok(forgotten);
            }
        }
    }

    async fn forget_ended_jobs(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        loop {
            let some = self.context.store.forget_ended_jobs(before).await?;
            self.got_on();
            forgotten += some;
            if some == 0 {
                return Ok(forgotten);
            }
        }
    }

    async fn forget_audit_events(&self) -> Result<u64, StoreError> {
        let Some(before) = self.before(self.context.audit_retention) else {
            return Ok(0);
        };
        let mut forgotten = 0;
        loop {
            let some = self.context.store.forget_audit_events(before).await?;
            self.got_on();
            forgotten += some;
            if some == 0 {
                return Ok(forgotten);
            }
        }
    }

    async fn give_up_disabled(&self, now: Timestamp) -> Result<(), StoreError> {
        let store = &self.context.store;
        for id in store.webhook_ids(false).await? {
            self.done(store.give_up_disabled(id, now).await);
        }
        Ok(())
    }

    async fn give_up_beyond(&self, now: Timestamp) -> Result<(), StoreError> {
        for id in self.context.store.webhook_ids(true).await? {
            self.done(self.give_up_beyond_at(id, now).await);
        }
        Ok(())
    }

    async fn give_up_beyond_at(&self, id: WebhookId, now: Timestamp) -> Result<(), StoreError> {
        let store = &self.context.store;
        let mut count = 0;
        let done = loop {
            match store.give_up_beyond(id, MOST_PENDING, now).await {
                Ok((some, is_more)) => {
                    self.got_on();
                    count += some;
                    if !is_more {
                        break Ok(());
                    }
                }
                Err(error) => break Err(error),
            }
        };
        // Those before an error as well.
        if count > 0 {
            self.context.metrics.given_up(count);
            tracing::error!(webhook.id = %id, count, "deliveries were given up: the webhook takes less than there is to tell; they can be replayed");
        }
        done
    }

    async fn forget_deliveries(&self) -> Result<u64, StoreError> {
        let store = &self.context.store;
        let Some(before) = self.before(self.context.webhook_retention) else {
            return Ok(0);
        };
        let mut forgotten = 0;
        loop {
            let some = store.forget_deliveries(before).await?;
            self.got_on();
            forgotten += some;
            if some == 0 {
                return Ok(forgotten);
            }
        }
    }

    /// What is older than this is not kept.
    fn before(&self, kept: Duration) -> Option<Timestamp> {
        let kept = TimeDelta::from_std(kept).unwrap_or(TimeDelta::MAX);
        self.context.clock.now().checked_sub_signed(kept)
    }
}
