//! The poller actor: hints in, wakes out.
//!
//! A hint is passed on at once. A due time of the near future waits in memory, on one timer. Every
//! `SYNC_POLL_INTERVAL` the database is asked for what is due before the next poll: the net under
//! lost hints, restarts and other nodes' connections.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr};
use tokio::task::JoinHandle;

use super::due::DueTimes;
use crate::actor_slot::ActorSlot;
use crate::connections::{ConnectionsHandle, WorkerContext};
use crate::domain::{ConnectionId, Timestamp};
use crate::hints::Hints;

/// Connections read by one poll. If there are more, the next poll follows at once.
const POLL_PAGE: u64 = 1_000;

/// When to poll again after a full page, or after a poll that failed.
const PAGE_AGAIN: Duration = Duration::from_secs(1);
/// When to poll again while another node holds a connection that is due, or waits for one: if it is
/// dead, its work is taken over within this after lease and wish end.
const LEASES_AGAIN: Duration = Duration::from_millis(500);

/// By how much a clock may be corrected without anybody minding.
const SET_BACK: TimeDelta = TimeDelta::seconds(2);

#[derive(Debug)]
enum PollerMsg {
    /// There are hints.
    Wake,
    Due(ConnectionId, Timestamp),
    /// A due time has come.
    Alarm,
    Poll,
}

/// What operators see of the poller.
#[derive(Clone, Debug, Default)]
pub struct PollerSnapshot {
    pub last_poll_at: Option<Timestamp>,
    pub last_error: Option<String>,
    pub waiting: usize,
}

/// Reaches the poller, also after it was restarted.
#[derive(Clone, Debug, Default)]
pub struct PollerHandle {
    actor: ActorSlot<PollerMsg>,
    hints: Hints,
    snapshot: Arc<Mutex<PollerSnapshot>>,
    /// A poll was asked for and has not begun: one is enough.
    poll_asked: Arc<AtomicBool>,
}

impl PollerHandle {
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) async fn start(
        &self,
        context: Arc<WorkerContext>,
        connections: ConnectionsHandle,
        poll_interval: Duration,
        root: ActorCell,
    ) -> Result<ActorCell, SpawnErr> {
        let poller = Poller {
            context,
            connections,
            poll_interval,
            hints: self.hints.clone(),
            snapshot: self.snapshot.clone(),
            poll_asked: self.poll_asked.clone(),
        };
        // One that a predecessor did not get to is made up for by the first poll.
        self.poll_asked.store(false, Ordering::Release);
        let (actor, _) = Actor::spawn_linked(None, poller, (), root).await?;
        let cell = actor.get_cell();
        self.actor.fill(actor);
        // The message about these may have gone to a predecessor; the first poll finds their rows.
        self.hints.take();
        Ok(cell)
    }

    /// Work for these was just committed.
    pub fn wake(&self, ids: Vec<ConnectionId>) {
        if self.hints.add(ids) {
            self.actor.send(PollerMsg::Wake);
        }
    }

    /// Something may be due that nobody named.
    pub fn poll(&self) {
        if !self.poll_asked.swap(true, Ordering::AcqRel) {
            self.actor.send(PollerMsg::Poll);
        }
    }

    /// This connection has something to do then.
    pub fn due(&self, id: ConnectionId, at: Timestamp) {
        self.actor.send(PollerMsg::Due(id, at));
    }

    /// Connections whose hint it has not taken yet.
    pub fn hints_waiting(&self) -> usize {
        self.hints.waiting()
    }

    pub fn snapshot(&self) -> PollerSnapshot {
        self.snapshot
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub fn is_running(&self) -> bool {
        self.actor.is_running()
    }
}

#[derive(Debug)]
struct Poller {
    context: Arc<WorkerContext>,
    connections: ConnectionsHandle,
    poll_interval: Duration,
    hints: Hints,
    snapshot: Arc<Mutex<PollerSnapshot>>,
    poll_asked: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    due: DueTimes,
    /// The timer for the next due time, and when it fires.
    alarm: Option<(Timestamp, JoinHandle<()>)>,
    polling: Option<JoinHandle<()>>,
    /// What the wall clock said when the monotonic one began, at the last poll.
    clock_origin: Option<Timestamp>,
}

impl Drop for State {
    fn drop(&mut self) {
        for timer in [
            self.alarm.take().map(|(_, timer)| timer),
            self.polling.take(),
        ]
        .into_iter()
        .flatten()
        {
            timer.abort();
        }
    }
}

#[async_trait]
impl Actor for Poller {
    type Msg = PollerMsg;
    type State = State;
    type Arguments = ();

    async fn pre_start(
        &self,
        myself: ActorRef<PollerMsg>,
        (): (),
    ) -> Result<State, ActorProcessingErr> {
        // What is due now may have been due for long: a daemon has just started.
        myself.cast(PollerMsg::Poll)?;
        Ok(State::default())
    }

    async fn handle(
        &self,
        myself: ActorRef<PollerMsg>,
        message: PollerMsg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            PollerMsg::Wake => self.connections.wake(self.hints.take()),
            PollerMsg::Due(id, at) => {
                state.due.insert(id, at);
                self.set_alarm(&myself, state);
            }
            PollerMsg::Alarm => {
                state.alarm = None;
                let due = state.due.take_due(self.context.clock.now());
                if !due.is_empty() {
                    self.connections.wake(due);
                }
                self.set_alarm(&myself, state);
            }
            PollerMsg::Poll => {
                self.poll_asked.store(false, Ordering::Release);
                self.poll(&myself, state).await;
            }
        }
        self.note(|snapshot| snapshot.waiting = state.due.len());
        Ok(())
    }
}

impl Poller {
    async fn poll(&self, myself: &ActorRef<PollerMsg>, state: &mut State) {
        let context = &self.context;
        let now = context.clock.now();
        let interval = TimeDelta::from_std(self.poll_interval).unwrap_or(TimeDelta::MAX);
        // A little beyond the next poll, so that no due time falls between two of them.
        let before = now + interval + interval / 4;
        let mut next = self.poll_interval;
        self.mind_the_clock(now, state).await;
        let look = context.store.due(context.node, before, now, POLL_PAGE);
        match look.await {
            Ok(due) => {
                if due.elsewhere {
                    next = LEASES_AGAIN.min(next);
                }
                let found = due.connections;
                let full = found.len() as u64 == POLL_PAGE;
                let due_now: Vec<ConnectionId> = found
                    .iter()
                    .filter(|due| due.due_at <= now)
                    .map(|due| due.connection_id)
                    .collect();
                if full {
                    // More are due than one page holds: come back once these had a moment.
                    next = PAGE_AGAIN.min(next);
                }
                for due in found.iter().filter(|due| due.due_at > now) {
                    state.due.insert(due.connection_id, due.due_at);
                }
                if !due_now.is_empty() {
                    self.connections.wake(due_now);
                }
                self.note(|snapshot| {
                    snapshot.last_poll_at = Some(now);
                    snapshot.last_error = None;
                });
            }
            Err(error) => {
                tracing::warn!(error = %error, "the queue could not be polled");
                next = PAGE_AGAIN.min(next);
                self.note(|snapshot| snapshot.last_error = Some(error.to_string()));
            }
        }
        self.set_alarm(myself, state);
        let (clock, myself) = (context.clock.clone(), myself.clone());
        if let Some(earlier) = state.polling.take() {
            earlier.abort();
        }
        state.polling = Some(tokio::spawn(async move {
            clock.sleep(next).await;
            let _ = myself.cast(PollerMsg::Poll);
        }));
    }

    /// If the clock was set back since the last poll, what was due soon would be due that much later.
    async fn mind_the_clock(&self, now: Timestamp, state: &mut State) {
        let origin = now - self.context.clock.monotonic();
        let back = state.clock_origin.map(|before| before - origin);
        if let Some(by) = back.filter(|by| *by > SET_BACK) {
            tracing::warn!(seconds = by.num_seconds(), "the clock was set back");
            let store = &self.context.store;
            if let Err(error) = store.clock_was_set_back(by, now).await {
                tracing::warn!(error = %error, "due times were not set back with the clock");
                // Seen again at the next poll.
                return;
            }
            for service in self.context.services.values() {
                service.clock_was_set_back(by);
            }
        }
        state.clock_origin = Some(origin);
    }

    fn set_alarm(&self, myself: &ActorRef<PollerMsg>, state: &mut State) {
        let Some(at) = state.due.next() else { return };
        match &state.alarm {
            Some((set_for, _)) if *set_for <= at => return,
            Some((_, timer)) => timer.abort(),
            None => {}
        }
        let (clock, myself) = (self.context.clock.clone(), myself.clone());
        let timer = tokio::spawn(async move {
            clock.sleep_until(at).await;
            let _ = myself.cast(PollerMsg::Alarm);
        });
        state.alarm = Some((at, timer));
    }

    fn note(&self, change: impl FnOnce(&mut PollerSnapshot)) {
        change(&mut self.snapshot.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
