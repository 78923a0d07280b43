//! The watchdog: notices who has work and does not get on with it.
//!
//! Every call, transaction and wait of ours is bounded, so an actor that stays at one thing for minutes
//! is a fault of ours or of the machine. It is said in readiness, and in the log once when it begins and
//! once when it is over; under a service manager with a watchdog the process is then ended and started
//! anew, which loses nothing. Waiting for a limit, an outage or a retry is no fault: what waits is due
//! later. Nor is a database that does not answer: that is said elsewhere.
//!
//! Somebody counts as stuck only if two looks in a row found exactly the same: a machine that slept, or a
//! clock that was set, looks like that once.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use crate::connections::{ConnectionSnapshot, ConnectionsHandle, WorkerState};
use crate::domain::{Clock, ConnectionId, Timestamp};
use crate::queue::{PollerHandle, PollerSnapshot};

/// How often it looks.
const TURN: Duration = Duration::from_secs(30);
/// Far beyond what a round takes: a call is given up after 30 seconds, and a change is a few calls.
const PATIENCE: TimeDelta = TimeDelta::minutes(5);
/// How many of those that are stuck are named.
const NAMED: usize = 5;

/// An actor that should have got on by now, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Suspect {
    who: Who,
    doing: Doing,
    since: Timestamp,
    /// Rounds so far: one more, and it got on.
    rounds: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Who {
    Poller,
    Worker(ConnectionId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Doing {
    /// At one and the same thing.
    Working,
    /// Never begun.
    Starting,
    /// Something was due, and nobody looked.
    NotLooking,
}

impl fmt::Display for Suspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.who {
            Who::Poller => f.write_str("the queue poller")?,
            Who::Worker(id) => write!(f, "the worker of connection {id}")?,
        }
        let since = self.since;
        match self.doing {
            Doing::Working => write!(f, " has been at one thing since {since}"),
            Doing::Starting => write!(f, " has been starting since {since}"),
            Doing::NotLooking => write!(f, " has not looked at what was due since {since}"),
        }
    }
}

/// Who should have got on by now. `poll_interval` is the net under lost wake-ups.
fn suspects(
    now: Timestamp,
    poll_interval: TimeDelta,
    poller: &PollerSnapshot,
    workers: &[ConnectionSnapshot],
) -> HashSet<Suspect> {
    let overdue = now - PATIENCE - poll_interval;
    let polled_late = poller
        .last_poll_at
        .filter(|at| *at < overdue && poller.last_error.is_none())
        .map(|since| Suspect {
            who: Who::Poller,
            doing: Doing::NotLooking,
            since,
            rounds: 0,
        });
    let workers = workers.iter().filter_map(|seen| {
        let (doing, since, latest) = match seen.state {
            WorkerState::Working => (Doing::Working, seen.since, now - PATIENCE),
            WorkerState::Starting => (Doing::Starting, seen.since, now - PATIENCE),
            // A worker that looks again and again without success, as while the database is away, is
            // idle since a moment ago.
            WorkerState::Idle => (Doing::NotLooking, seen.due_at?.max(seen.since), overdue),
            // Comes back after its delay; another node's.
            WorkerState::Restarting | WorkerState::ElsewhereOwned => return None,
        };
        (since < latest).then_some(Suspect {
            who: Who::Worker(seen.connection_id),
            doing,
            since,
            rounds: seen.rounds,
        })
    });
    polled_late.into_iter().chain(workers).collect()
}

/// What was found; shared with those who ask for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct WatchdogHandle(Arc<Mutex<Found>>);

#[derive(Debug, Default)]
struct Found {
    /// By the last look alone.
    suspects: HashSet<Suspect>,
    /// By two in a row.
    stuck: HashSet<Suspect>,
    /// On the monotonic clock.
    looked_at: Duration,
}

impl WatchdogHandle {
    /// Those that are stuck, in words; `None` if nobody is.
    pub(crate) fn trouble(&self) -> Option<String> {
        let found = self.lock();
        let mut named: Vec<String> = found.stuck.iter().map(ToString::to_string).collect();
        named.sort_unstable();
        let more = named.len().saturating_sub(NAMED);
        named.truncate(NAMED);
        let named = (!named.is_empty()).then(|| named.join("; "))?;
        Some(match more {
            0 => named,
            more => format!("{named}; and {more} more"),
        })
    }

    /// Whether it has looked lately, and nobody is stuck.
    pub(crate) fn is_content(&self, clock: &dyn Clock) -> bool {
        let found = self.lock();
        let age = clock.monotonic().saturating_sub(found.looked_at);
        found.stuck.is_empty() && age < TURN * 3
    }

    fn looked(&self, suspects: HashSet<Suspect>, at: Duration) {
        let mut found = self.lock();
        let stuck: HashSet<Suspect> = suspects.intersection(&found.suspects).cloned().collect();
        for fresh in stuck.difference(&found.stuck) {
            tracing::error!(
                connection.id = fresh.connection().map(tracing::field::display),
                "{fresh}; under a service manager with a watchdog this daemon is started anew"
            );
        }
        for over in found.stuck.difference(&stuck) {
            tracing::info!(
                connection.id = over.connection().map(tracing::field::display),
                "what was stuck got on"
            );
        }
        *found = Found {
            suspects,
            stuck,
            looked_at: at,
        };
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Suspect {
    fn connection(&self) -> Option<ConnectionId> {
        match self.who {
            Who::Poller => None,
            Who::Worker(id) => Some(id),
        }
    }
}

/// Looks again and again, until `stop`.
pub(crate) async fn watch(
    watchdog: WatchdogHandle,
    clock: Arc<dyn Clock>,
    poller: PollerHandle,
    connections: ConnectionsHandle,
    poll_interval: Duration,
    stop: CancellationToken,
) {
    let poll_interval = TimeDelta::from_std(poll_interval).unwrap_or(TimeDelta::hours(1));
    loop {
        let now = clock.now();
        let found = suspects(
            now,
            poll_interval,
            &poller.snapshot(),
            &connections.snapshots(),
        );
        watchdog.looked(found, clock.monotonic());
        tokio::select! {
            () = clock.sleep(TURN) => {}
            () = stop.cancelled() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ManualClock;
    use uuid::Uuid;

    const POLL: TimeDelta = TimeDelta::minutes(2);

    fn at(minute: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::minutes(minute)
    }

    fn worker(state: WorkerState, since: i64, due_at: Option<i64>) -> ConnectionSnapshot {
        ConnectionSnapshot {
            connection_id: ConnectionId(Uuid::nil()),
            provider: None,
            state,
            since: at(since),
            restarts: 0,
            rounds: 1,
            last_progress_at: None,
            last_error: None,
            not_before: None,
            due_at: due_at.map(at),
            lease_epoch: None,
        }
    }

    fn doing(now: i64, poller: &PollerSnapshot, seen: ConnectionSnapshot) -> Vec<Doing> {
        let found = suspects(at(now), POLL, poller, &[seen]);
        found.into_iter().map(|suspect| suspect.doing).collect()
    }

    #[test]
    fn who_has_work_and_stays_where_it_is_is_suspected_and_who_waits_is_not() {
        use Doing::{NotLooking, Starting, Working};
        let poller = PollerSnapshot::default();
        for (state, since, due_at, now, expected) in [
            (WorkerState::Working, 0, None, 5, vec![]),
            (WorkerState::Working, 0, None, 6, vec![Working]),
            (WorkerState::Starting, 0, None, 6, vec![Starting]),
            (WorkerState::Idle, 0, None, 600, vec![]),
            // A limit, an outage, a retry: due later.
            (WorkerState::Idle, 0, Some(600), 599, vec![]),
            // The poll is the net, and may come as late as that.
            (WorkerState::Idle, 0, Some(10), 17, vec![]),
            (WorkerState::Idle, 0, Some(10), 18, vec![NotLooking]),
            // It looks, and the database does not answer.
            (WorkerState::Idle, 17, Some(10), 18, vec![]),
            (WorkerState::Restarting, 0, Some(0), 600, vec![]),
            (WorkerState::ElsewhereOwned, 0, Some(0), 600, vec![]),
        ] {
            let seen = worker(state, since, due_at);
            assert_eq!(doing(now, &poller, seen), expected, "{state:?} {now}");
        }
    }

    #[test]
    fn a_poller_that_does_not_poll_is_suspected_unless_the_database_is_away() {
        let idle = || worker(WorkerState::Idle, 0, None);
        let poller = |error: Option<&str>| PollerSnapshot {
            last_poll_at: Some(at(0)),
            last_error: error.map(str::to_owned),
            waiting: 0,
        };
        assert_eq!(doing(7, &poller(None), idle()), []);
        assert_eq!(doing(8, &poller(None), idle()), [Doing::NotLooking]);
        assert_eq!(doing(8, &poller(Some("away")), idle()), []);
    }

    #[test]
    fn two_looks_that_find_the_same_are_trouble_and_one_step_ends_it() {
        let clock = ManualClock::starting_at(at(0));
        let watchdog = WatchdogHandle::default();
        let look = |minute: i64, rounds: u64| {
            let seen = ConnectionSnapshot {
                rounds,
                ..worker(WorkerState::Working, 0, None)
            };
            let found = suspects(at(minute), POLL, &PollerSnapshot::default(), &[seen]);
            watchdog.looked(found, clock.monotonic());
            watchdog.trouble()
        };
        assert_eq!(look(1, 1), None);
        // The machine slept for an hour.
        assert_eq!(look(60, 1), None);
        assert!(watchdog.is_content(&*clock));
        let trouble = look(61, 1).expect("trouble");
        assert!(trouble.contains("at one thing since"), "{trouble}");
        assert!(!watchdog.is_content(&*clock));
        assert_eq!(look(62, 2), None);
        assert!(watchdog.is_content(&*clock));
        clock.advance(Duration::from_secs(90));
        assert!(!watchdog.is_content(&*clock), "it has not looked for long");
    }
}
