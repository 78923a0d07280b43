//! The deliverer actor: looks for what is due, has it sent, and looks again.
//!
//! Each webhook has places of its own for calls under way, so that one that does not answer holds up no
//! other. A hint says "look"; a due time of the near future waits on one timer; the slow poll finds what
//! lost hints and other nodes left behind. Rows are claimed before a call and settled after it; what the
//! actor knows it can lose.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use super::attempt::deliver;
use super::sender::Sender;
use crate::actor_slot::ActorSlot;
use crate::connections::WorkerContext;
use crate::domain::{Timestamp, WebhookId};
use crate::store::StoreError;

/// Calls under way at one webhook at once.
const PLACES: usize = 8;
/// When to look again after the database was in trouble.
const AFTER_TROUBLE: Duration = Duration::from_secs(1);

#[derive(Debug)]
enum DelivererMsg {
    /// Something may be due, at whichever webhook.
    Look,
    /// The slow poll.
    Poll,
    /// A call has ended, and its place is free.
    Ended(WebhookId),
    /// Take nothing more; say when what is under way has ended.
    Drain(oneshot::Sender<()>),
}

/// What operators see of the deliverer.
#[derive(Clone, Debug, Default)]
pub struct DelivererSnapshot {
    pub last_look_at: Option<Timestamp>,
    pub last_error: Option<String>,
    pub in_flight: usize,
}

/// Reaches the deliverer, also after it was restarted.
#[derive(Clone, Debug, Default)]
pub struct DelivererHandle {
    actor: ActorSlot<DelivererMsg>,
    snapshot: Arc<Mutex<DelivererSnapshot>>,
    /// A look was asked for and has not begun: one is enough.
    look_asked: Arc<AtomicBool>,
}

impl DelivererHandle {
    pub(crate) async fn start(
        &self,
        context: Arc<WorkerContext>,
        sender: Sender,
        poll_interval: Duration,
        root: ActorCell,
    ) -> Result<ActorCell, SpawnErr> {
        let deliverer = Deliverer {
            context,
            sender,
            poll_interval,
            handle: self.clone(),
        };
        let (actor, _) = Actor::spawn_linked(None, deliverer, (), root).await?;
        let cell = actor.get_cell();
        self.begin(actor);
        Ok(cell)
    }

    /// A look that was asked of the actor before this one, or of none, is asked of this one.
    fn begin(&self, actor: ActorRef<DelivererMsg>) {
        self.actor.fill(actor);
        self.look_asked.store(false, Ordering::Release);
        self.look();
    }

    /// Something may be due.
    pub fn look(&self) {
        if !self.look_asked.swap(true, Ordering::AcqRel) {
            self.actor.send(DelivererMsg::Look);
        }
    }

    /// Takes nothing more, and waits for what is under way.
    pub async fn drain(&self, patience: Duration) {
        let (say, ended) = oneshot::channel();
        self.actor.send(DelivererMsg::Drain(say));
        // Cut off, it is sent again, under the same id.
        let _ = tokio::time::timeout(patience, ended).await;
    }

    pub fn is_running(&self) -> bool {
        self.actor.is_running()
    }

    pub fn snapshot(&self) -> DelivererSnapshot {
        self.lock().clone()
    }

    fn note(&self, change: impl FnOnce(&mut DelivererSnapshot)) {
        change(&mut self.lock());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, DelivererSnapshot> {
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Deliverer {
    context: Arc<WorkerContext>,
    sender: Sender,
    poll_interval: Duration,
    handle: DelivererHandle,
}

struct State {
    /// Ends with the actor, and with it what is under way.
    calls: JoinSet<()>,
    in_flight: HashMap<WebhookId, usize>,
    /// The timer for the next due time, and when it fires.
    alarm: Option<(Timestamp, JoinHandle<()>)>,
    polling: Option<JoinHandle<()>>,
    listening: Option<JoinHandle<()>>,
    /// Once it takes nothing more: whoever waits for the last call to end.
    draining: Option<Vec<oneshot::Sender<()>>>,
}

impl Drop for State {
    fn drop(&mut self) {
        let alarm = self.alarm.take().map(|(_, timer)| timer);
        let timers = [alarm, self.polling.take(), self.listening.take()];
        for timer in timers.into_iter().flatten() {
            timer.abort();
        }
    }
}

#[async_trait]
impl Actor for Deliverer {
    type Msg = DelivererMsg;
    type State = State;
    type Arguments = ();

    async fn pre_start(
        &self,
        myself: ActorRef<DelivererMsg>,
        (): (),
    ) -> Result<State, ActorProcessingErr> {
        // What is due now may have been due for long: a daemon has just started.
        myself.cast(DelivererMsg::Poll)?;
        let (store, handle) = (self.context.store.clone(), self.handle.clone());
        let listening = tokio::spawn(async move {
            loop {
                store.webhook_news().await;
                handle.look();
            }
        });
        Ok(State {
            calls: JoinSet::new(),
            in_flight: HashMap::new(),
            alarm: None,
            polling: None,
            listening: Some(listening),
            draining: None,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<DelivererMsg>,
        message: DelivererMsg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            DelivererMsg::Look => {
                self.handle.look_asked.store(false, Ordering::Release);
                self.look(None, &myself, state).await;
            }
            DelivererMsg::Poll => {
                self.look(None, &myself, state).await;
                let next = self.poll_interval;
                state.polling = Some(self.later(next, &myself, DelivererMsg::Poll));
            }
            DelivererMsg::Ended(id) => {
                while state.calls.try_join_next().is_some() {}
                if let Some(count) = state.in_flight.get_mut(&id) {
                    *count = count.saturating_sub(1);
                }
                state.in_flight.retain(|_, count| *count > 0);
                self.look(Some(id), &myself, state).await;
            }
            DelivererMsg::Drain(say) => state.draining.get_or_insert_default().push(say),
        }
        if state.in_flight.is_empty() {
            for say in state
                .draining
                .iter_mut()
                .flat_map(|waiting| waiting.drain(..))
            {
                // Whoever asked may have lost patience.
                let _ = say.send(());
            }
        }
        let in_flight = state.in_flight.values().sum();
        self.handle.note(|snapshot| snapshot.in_flight = in_flight);
        Ok(())
    }
}

impl Deliverer {
    /// At all webhooks, or at one.
    async fn look(
        &self,
        at: Option<WebhookId>,
        myself: &ActorRef<DelivererMsg>,
        state: &mut State,
    ) {
        if state.draining.is_some() {
            return;
        }
        match self.send_due(at, myself, state).await {
            Ok(()) => {
                let now = self.context.clock.now();
                self.handle.note(|snapshot| {
                    snapshot.last_look_at = Some(now);
                    snapshot.last_error = None;
                });
            }
            Err(error) => {
                tracing::warn!(error = %error, "webhooks were not looked after");
                self.handle
                    .note(|snapshot| snapshot.last_error = Some(error.to_string()));
                let now = self.context.clock.now();
                let soon = chrono::TimeDelta::from_std(AFTER_TROUBLE).unwrap_or_default();
                self.set_alarm(now + soon, state);
            }
        }
    }

    async fn send_due(
        &self,
        at: Option<WebhookId>,
        myself: &ActorRef<DelivererMsg>,
        state: &mut State,
    ) -> Result<(), StoreError> {
        let (store, node) = (&self.context.store, self.context.node);
        let targets = store.webhook_targets(at, self.context.clock.now());
        for target in targets.await? {
            // Each claim counts from when it is made.
            let now = self.context.clock.now();
            let id = target.id;
            let under_way = state.in_flight.get(&id).copied().unwrap_or(0);
            let free = PLACES.saturating_sub(under_way);
            let claimed = store.claim_deliveries(id, node, free, now).await?;
            if let Some(next) = claimed.next_due {
                self.set_alarm(next, state);
            }
            let target = Arc::new(target);
            for due in claimed.due {
                *state.in_flight.entry(id).or_default() += 1;
                let ended = EndedCall(id, myself.clone());
                let (context, sender) = (self.context.clone(), self.sender.clone());
                let target = target.clone();
                state.calls.spawn(async move {
                    deliver(&context, &sender, &target, due).await;
                    drop(ended);
                });
            }
        }
        Ok(())
    }

    fn set_alarm(&self, at: Timestamp, state: &mut State) {
        match &state.alarm {
            Some((set_for, timer)) if *set_for <= at && !timer.is_finished() => return,
            Some((_, timer)) => timer.abort(),
            None => {}
        }
        let (clock, handle) = (self.context.clock.clone(), self.handle.clone());
        let timer = tokio::spawn(async move {
            clock.sleep_until(at).await;
            handle.look();
        });
        state.alarm = Some((at, timer));
    }

    fn later(
        &self,
        wait: Duration,
        myself: &ActorRef<DelivererMsg>,
        message: DelivererMsg,
    ) -> JoinHandle<()> {
        let (clock, myself) = (self.context.clock.clone(), myself.clone());
        tokio::spawn(async move {
            clock.sleep(wait).await;
            let _ = myself.cast(message);
        })
    }
}

/// Gives the place back however the call ends.
struct EndedCall(WebhookId, ActorRef<DelivererMsg>);

impl Drop for EndedCall {
    fn drop(&mut self) {
        // The actor may be gone, and its places with it.
        let _ = self.1.cast(DelivererMsg::Ended(self.0));
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    /// Says when it is asked to look.
    struct Probe;

    #[async_trait]
    impl Actor for Probe {
        type Msg = DelivererMsg;
        type State = mpsc::UnboundedSender<()>;
        type Arguments = mpsc::UnboundedSender<()>;

        async fn pre_start(
            &self,
            _: ActorRef<DelivererMsg>,
            said: Self::Arguments,
        ) -> Result<Self::State, ActorProcessingErr> {
            Ok(said)
        }

        async fn handle(
            &self,
            _: ActorRef<DelivererMsg>,
            message: DelivererMsg,
            said: &mut Self::State,
        ) -> Result<(), ActorProcessingErr> {
            if matches!(message, DelivererMsg::Look) {
                said.send(())?;
            }
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_look_that_was_asked_of_nobody_is_asked_of_the_next() {
        let handle = DelivererHandle::default();
        handle.look();
        let (say, mut said) = mpsc::unbounded_channel();
        let (probe, _) = Actor::spawn(None, Probe, say).await.expect("it starts");
        handle.begin(probe.clone());
        let asked = tokio::time::timeout(Duration::from_secs(30), said.recv()).await;
        probe.stop(None);
        assert_eq!(asked, Ok(Some(())));
    }
}
