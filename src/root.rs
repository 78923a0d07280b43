//! The root of the actor tree: restarts its children, or fails the process rather than run half
//! alive.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};
use tokio_util::sync::CancellationToken;

use crate::connections::{ConnectionsHandle, WorkerContext};
use crate::domain::Timestamp;
use crate::housekeeper::HousekeeperHandle;
use crate::queue::PollerHandle;
use crate::webhooks::{DelivererHandle, Sender};

/// Restarts of one child within [`WINDOW`] after which the process gives up.
const TOLERATED: usize = 5;
const WINDOW: Duration = Duration::from_secs(60);

/// What the root holds together.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    pub(crate) context: Arc<WorkerContext>,
    pub(crate) poller: PollerHandle,
    pub(crate) connections: ConnectionsHandle,
    pub(crate) housekeeper: HousekeeperHandle,
    pub(crate) deliverer: DelivererHandle,
    pub(crate) sender: Sender,
    pub(crate) poll_interval: Duration,
    pub(crate) lives: Lives,
    /// Cancelled when the tree cannot be kept alive.
    pub(crate) failed: CancellationToken,
}

/// The parts of the daemon that the root starts, and starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Child {
    Poller,
    Connections,
    Housekeeper,
    Deliverer,
}

/// How the children have fared, for those who ask. Survives their crashes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lives(Arc<Mutex<HashMap<Child, Life>>>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    /// When it was started, or ended, whichever came last.
    pub(crate) since: Timestamp,
    pub(crate) restarts: u32,
    /// Why it ended the last time.
    pub(crate) last_error: Option<String>,
}

impl Lives {
    /// `None` before it is started for the first time.
    pub(crate) fn of(&self, child: Child) -> Option<Life> {
        self.lock().get(&child).cloned()
    }

    pub(crate) fn restarts(&self) -> u64 {
        self.lock()
            .values()
            .map(|life| u64::from(life.restarts))
            .sum()
    }

    fn begins(&self, child: Child, now: Timestamp) {
        let fresh = Life {
            since: now,
            restarts: 0,
            last_error: None,
        };
        self.lock().entry(child).or_insert(fresh).since = now;
    }

    fn ended(&self, child: Child, why: &str, now: Timestamp) {
        if let Some(life) = self.lock().get_mut(&child) {
            life.since = now;
            life.restarts = life.restarts.saturating_add(1);
            life.last_error = Some(why.to_owned());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Child, Life>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
pub(crate) struct State {
    children: Vec<(ActorId, Child)>,
    /// When children crashed, on the monotonic clock.
    crashes: Vec<(Child, Duration)>,
    stopping: bool,
}

#[derive(Debug)]
pub(crate) enum RootMsg {
    /// Children that end from now on are meant to.
    Stop,
}

pub(crate) async fn start(tree: Tree) -> Result<ActorRef<RootMsg>, SpawnErr> {
    let (root, _) = Actor::spawn(None, tree, ()).await?;
    Ok(root)
}

#[async_trait]
impl Actor for Tree {
    type Msg = RootMsg;
    type State = State;
    type Arguments = ();

    async fn pre_start(
        &self,
        myself: ActorRef<RootMsg>,
        (): (),
    ) -> Result<State, ActorProcessingErr> {
        let mut state = State::default();
        // The poller last: what it wakes must be there.
        for child in [
            Child::Housekeeper,
            Child::Deliverer,
            Child::Connections,
            Child::Poller,
        ] {
            let actor = self.spawn(child, myself.get_cell()).await?;
            state.children.push((actor.get_id(), child));
        }
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<RootMsg>,
        message: RootMsg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            RootMsg::Stop => {
                state.stopping = true;
                myself.stop(None);
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<RootMsg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let (actor, reason) = match event {
            SupervisionEvent::ActorFailed(actor, reason) => (actor, reason.to_string()),
            SupervisionEvent::ActorTerminated(actor, _, reason) => {
                (actor, reason.unwrap_or_else(|| "it ended".to_owned()))
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {
                return Ok(());
            }
        };
        let Some(position) = state
            .children
            .iter()
            .position(|(id, _)| *id == actor.get_id())
        else {
            return Ok(());
        };
        let (_, child) = state.children.swap_remove(position);
        if state.stopping {
            return Ok(());
        }
        tracing::error!(actor = ?child, reason, "an actor of the tree ended; it is started again");
        self.context.metrics.restarted(child.name());
        self.lives.ended(child, &reason, self.context.clock.now());
        if self.crashed_too_often(child, state) {
            self.failed.cancel();
            return Err(format!("{child:?} does not stay alive").into());
        }
        let actor = self
            .spawn(child, myself.get_cell())
            .await
            .inspect_err(|_| {
                self.failed.cancel();
            })?;
        state.children.push((actor.get_id(), child));
        Ok(())
    }
}

impl Tree {
    async fn spawn(&self, child: Child, root: ActorCell) -> Result<ActorCell, SpawnErr> {
        let actor = self.start(child, root).await?;
        self.lives.begins(child, self.context.clock.now());
        Ok(actor)
    }

    async fn start(&self, child: Child, root: ActorCell) -> Result<ActorCell, SpawnErr> {
        match child {
            Child::Housekeeper => self.housekeeper.start(self.context.clone(), root).await,
            Child::Deliverer => {
                self.deliverer
                    .start(
                        self.context.clone(),
                        self.sender.clone(),
                        self.poll_interval,
                        root,
                    )
                    .await
            }
            Child::Connections => {
                self.connections
                    .start(self.context.clone(), self.poller.clone(), root)
                    .await
            }
            Child::Poller => {
                self.poller
                    .start(
                        self.context.clone(),
                        self.connections.clone(),
                        self.poll_interval,
                        root,
                    )
                    .await
            }
        }
    }

    fn crashed_too_often(&self, child: Child, state: &mut State) -> bool {
        let now = self.context.clock.monotonic();
        state
            .crashes
            .retain(|(_, at)| now.saturating_sub(*at) < WINDOW);
        state.crashes.push((child, now));
        let of_this = state
            .crashes
            .iter()
            .filter(|(crashed, _)| *crashed == child);
        of_this.count() > TOLERATED
    }
}

impl Child {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Poller => "queue_poller",
            Self::Connections => "connections",
            Self::Housekeeper => "housekeeper",
            Self::Deliverer => "webhook_deliverer",
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_child_that_is_started_again_keeps_the_count_and_the_reason() {
        let lives = Lives::default();
        let at = |second| Timestamp::UNIX_EPOCH + TimeDelta::seconds(second);
        assert_eq!(lives.of(Child::Poller), None);
        lives.begins(Child::Poller, at(1));
        lives.begins(Child::Deliverer, at(1));
        for second in [10, 20] {
            lives.ended(Child::Poller, "a fault", at(second));
            assert_eq!(
                lives.of(Child::Poller).map(|life| life.since),
                Some(at(second))
            );
            lives.begins(Child::Poller, at(second + 1));
        }
        let expected = Life {
            since: at(21),
            restarts: 2,
            last_error: Some("a fault".to_owned()),
        };
        assert_eq!(lives.of(Child::Poller), Some(expected));
        assert_eq!(
            lives.of(Child::Deliverer).map(|life| life.restarts),
            Some(0)
        );
        assert_eq!(lives.restarts(), 2);
    }
}
