//! Who has work, and where each of them stands: what the watchdog compares from look to look.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use crate::connections::{ConnectionSnapshot, ConnectionsHandle, WorkerState};
use crate::domain::{ConnectionId, Timestamp};
use crate::housekeeper::{self, HousekeeperHandle};
use crate::queue::{PollerHandle, PollerSnapshot};
use crate::webhooks::{DelivererHandle, DelivererSnapshot};

/// Far beyond what a step takes: a call is given up after 30 seconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Who {
    Poller,
    Deliverer,
    Housekeeper,
    Worker(ConnectionId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// At one and the same thing.
    Working,
    /// Never begun.
    Starting,
    /// Something is due, and nobody looks.
    NotLooking,
}

/// Where somebody with work stands. The same again: no step was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) doing: Doing,
    /// The last step that is known by its time.
    pub(super) since: Option<Timestamp>,
    pub(super) steps: u64,
    /// How long it may stand so.
    pub(super) patience: Duration,
}

impl Who {
    pub(super) fn connection(self) -> Option<ConnectionId> {
        match self {
            Self::Poller | Self::Deliverer | Self::Housekeeper => None,
            Self::Worker(id) => Some(id),
        }
    }
}

/// What is looked at.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) poller: PollerHandle,
    pub(crate) deliverer: DelivererHandle,
    pub(crate) housekeeper: HousekeeperHandle,
    pub(crate) connections: ConnectionsHandle,
    /// The net under lost wake-ups.
    pub(crate) poll_interval: Duration,
}

impl Watched {
    pub(super) fn with_work(&self, now: Timestamp) -> HashMap<Who, Standing> {
        let between_polls = PATIENCE + self.poll_interval;
        let tidying = Standing {
            doing: Doing::NotLooking,
            since: None,
            steps: self.housekeeper.steps(),
            patience: PATIENCE + housekeeper::TURN,
        };
        let workers = self.connections.snapshots();
        let workers = workers.iter().filter_map(|seen| {
            let standing = worker(seen, now, self.poll_interval)?;
            Some((Who::Worker(seen.connection_id), standing))
        });
        let poller = polling(&self.poller.snapshot(), between_polls);
        let deliverer = delivering(&self.deliverer.snapshot(), between_polls);
        workers
            .chain(poller.map(|standing| (Who::Poller, standing)))
            .chain(deliverer.map(|standing| (Who::Deliverer, standing)))
            .chain([(Who::Housekeeper, tidying)])
            .collect()
    }
}

/// `None` while the database is away: it polls, in vain. Before its first poll it counts, too.
fn polling(seen: &PollerSnapshot, patience: Duration) -> Option<Standing> {
    looking(seen.last_error.as_deref(), seen.last_poll_at, patience)
}

fn delivering(seen: &DelivererSnapshot, patience: Duration) -> Option<Standing> {
    looking(seen.last_error.as_deref(), seen.last_look_at, patience)
}

pub(super) fn looking(
    error: Option<&str>,
    since: Option<Timestamp>,
    patience: Duration,
) -> Option<Standing> {
    error.is_none().then_some(Standing {
        doing: Doing::NotLooking,
        since,
        steps: 0,
        patience,
    })
}

pub(super) fn worker(
    seen: &ConnectionSnapshot,
    now: Timestamp,
    poll_interval: Duration,
) -> Option<Standing> {
    let (doing, since, patience) = match seen.state {
        WorkerState::Working => (Doing::Working, seen.since, PATIENCE),
        WorkerState::Starting => (Doing::Starting, seen.since, PATIENCE),
        // A worker that looks again and again without success, as while the database is away, is
        // idle since a moment ago each time.
        WorkerState::Idle => {
            let due = seen.due_at.filter(|due| *due <= now)?;
            let patience = PATIENCE + poll_interval;
            (Doing::NotLooking, due.max(seen.since), patience)
        }
        // Comes back after its delay; another node's.
        WorkerState::Restarting | WorkerState::ElsewhereOwned => return None,
    };
    Some(Standing {
        doing,
        since: Some(since),
        steps: seen.rounds + seen.exchanges,
        patience,
    })
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Poller => "the queue poller",
            Self::Deliverer => "the webhook deliverer",
            Self::Housekeeper => "the housekeeper",
            Self::Worker(_) => "a worker",
        })
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.doing {
            Doing::Working => "has been at one thing",
            Doing::Starting => "has been starting",
            Doing::NotLooking => "has not looked at what is due",
        })?;
        match self.since {
            Some(since) => write!(f, " since {since}"),
            None => f.write_str(" for minutes"),
        }
    }
}
