//! The watchdog: notices who has work and does not get on with it.
//!
//! Every call, transaction and wait of ours is bounded, so an actor that stays at one thing for minutes
//! is a fault of ours or of the machine. Getting on is any step: a round, an answer of the provider's within
//! one, a poll, a piece of tidying. Waiting for a limit, an outage or a retry is no fault: what waits is
//! due later. Nor is a database that does not answer: that is said elsewhere.
//!
//! Looks every [`TURN`], and counts for how long it has found somebody with work at exactly the same
//! point, on the monotonic clock alone. Time in which it did not look itself counts for little: a
//! machine that slept, or a wall clock that was set, makes nobody stuck.
//!
//! Whoever is stuck is named in the log, once, and in `/health/actors`. Readiness fails, and a service
//! manager with a watchdog starts the process anew, only if that could help: when an actor is stuck on
//! which all connections depend, when most of the workers that have work are, and more than one, or when
//! the watchdog itself does not look. One connection alone takes no node out of service.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::connections::{ConnectionSnapshot, ConnectionsHandle, WorkerState};
use crate::domain::{Clock, ConnectionId, Timestamp};
use crate::housekeeper::{self, HousekeeperHandle};
use crate::queue::{PollerHandle, PollerSnapshot};
use crate::webhooks::{DelivererHandle, DelivererSnapshot};

/// How often it looks.
const TURN: Duration = Duration::from_secs(30);
/// Far beyond what a step takes: a call is given up after 30 seconds.
const PATIENCE: Duration = Duration::from_secs(300);
/// The most that counts between two looks.
const MOST_BETWEEN_LOOKS: Duration = Duration::from_secs(60);
/// It looks every [`TURN`]: after this long it does not look at all.
const STALE: Duration = Duration::from_secs(90);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Who {
    Poller,
    Deliverer,
    Housekeeper,
    Worker(ConnectionId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// At one and the same thing.
    Working,
    /// Never begun.
    Starting,
    /// Something is due, and nobody looks.
    NotLooking,
}

/// Where somebody with work stands. The same again: no step was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Standing {
    doing: Doing,
    /// The last step that is known by its time.
    since: Option<Timestamp>,
    steps: u64,
    /// How long it may stand so.
    patience: Duration,
}

/// Somebody with work, and for how long it has stood where it stands.
#[derive(Clone, Copy, Debug)]
struct Seen {
    standing: Standing,
    unchanged: Duration,
}

impl Seen {
    fn is_stuck(&self) -> bool {
        self.unchanged >= self.standing.patience
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
    fn with_work(&self, now: Timestamp) -> HashMap<Who, Standing> {
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

fn looking(error: Option<&str>, since: Option<Timestamp>, patience: Duration) -> Option<Standing> {
    error.is_none().then_some(Standing {
        doing: Doing::NotLooking,
        since,
        steps: 0,
        patience,
    })
}

fn worker(seen: &ConnectionSnapshot, now: Timestamp, poll_interval: Duration) -> Option<Standing> {
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

/// What was found; shared with those who ask for it.
#[derive(Clone, Debug)]
pub(crate) struct WatchdogHandle(Arc<Mutex<Found>>);

#[derive(Debug)]
struct Found {
    with_work: HashMap<Who, Seen>,
    /// On the monotonic clock.
    looked_at: Duration,
}

impl Found {
    fn stuck(&self) -> impl Iterator<Item = (&Who, &Seen)> {
        self.with_work.iter().filter(|(_, seen)| seen.is_stuck())
    }

    /// Workers that are stuck, and all that have work.
    fn workers(&self) -> (usize, usize) {
        let is_worker = |who: &Who| matches!(who, Who::Worker(_));
        let stuck = self.stuck().filter(|(who, _)| is_worker(who)).count();
        (
            stuck,
            self.with_work.keys().filter(|who| is_worker(who)).count(),
        )
    }
}

impl WatchdogHandle {
    pub(crate) fn beginning_at(monotonic: Duration) -> Self {
        Self(Arc::new(Mutex::new(Found {
            with_work: HashMap::new(),
            looked_at: monotonic,
        })))
    }

    /// What a new start might mend, in words without any id; `None` if all goes on.
    pub(crate) fn trouble(&self, clock: &dyn Clock) -> Option<String> {
        let found = self.lock();
        let silent = clock.monotonic().saturating_sub(found.looked_at);
        if silent >= STALE {
            let seconds = silent.as_secs();
            return Some(format!("the watchdog has not looked for {seconds} s"));
        }
        let of_all = found
            .stuck()
            .filter(|(who, _)| !matches!(who, Who::Worker(_)));
        let mut words: Vec<String> = of_all
            .map(|(who, seen)| format!("{who} {}", seen.standing))
            .collect();
        words.sort_unstable();
        let (stuck, all) = found.workers();
        if stuck > 1 && stuck * 2 > all {
            words.push(format!(
                "{stuck} of the {all} workers with work do not get on; /health/actors names them"
            ));
        }
        (!words.is_empty()).then(|| words.join("; "))
    }

    /// What is to be said where there is no trouble.
    pub(crate) fn detail(&self) -> String {
        match self.lock().workers() {
            (0, _) => "nobody is stuck".to_owned(),
            (stuck, all) => format!(
                "{stuck} of the {all} workers with work do not get on; /health/actors names them"
            ),
        }
    }

    /// Whether the connection's worker is stuck, and at what.
    pub(crate) fn trouble_of(&self, connection: ConnectionId) -> Option<String> {
        let found = self.lock();
        let seen = found.with_work.get(&Who::Worker(connection));
        let stuck = seen.filter(|seen| seen.is_stuck())?;
        Some(format!("stuck: it {}", stuck.standing))
    }

    /// Whether it has looked lately, and nothing is in trouble that a new start might mend.
    pub(crate) fn is_content(&self, clock: &dyn Clock) -> bool {
        self.trouble(clock).is_none()
    }

    fn looked(&self, with_work: HashMap<Who, Standing>, at: Duration) {
        let mut found = self.lock();
        let passed = at.saturating_sub(found.looked_at).min(MOST_BETWEEN_LOOKS);
        let mut before = std::mem::take(&mut found.with_work);
        found.looked_at = at;
        for (who, standing) in with_work {
            let earlier = before.get(&who).copied();
            let same = earlier.filter(|seen| seen.standing == standing);
            let unchanged = same.map_or(Duration::ZERO, |seen| seen.unchanged + passed);
            let seen = Seen {
                standing,
                unchanged,
            };
            if same.is_some() {
                before.remove(&who);
            }
            if seen.is_stuck() && !same.is_some_and(|seen| seen.is_stuck()) {
                let connection = who.connection();
                tracing::error!(
                    connection.id = connection.map(tracing::field::display),
                    "{who} {standing}"
                );
            }
            found.with_work.insert(who, seen);
        }
        for (who, _) in before.iter().filter(|(_, seen)| seen.is_stuck()) {
            let connection = who.connection();
            tracing::info!(
                connection.id = connection.map(tracing::field::display),
                "{who} was stuck, and got on"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Who {
    fn connection(self) -> Option<ConnectionId> {
        match self {
            Self::Poller | Self::Deliverer | Self::Housekeeper => None,
            Self::Worker(id) => Some(id),
        }
    }
}

/// Looks again and again, until `stop`.
pub(crate) async fn watch(
    watchdog: WatchdogHandle,
    clock: Arc<dyn Clock>,
    watched: Watched,
    stop: CancellationToken,
) {
    loop {
        watchdog.looked(watched.with_work(clock.now()), clock.monotonic());
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
    use chrono::TimeDelta;
    use uuid::Uuid;

    const POLL: Duration = Duration::from_secs(120);

    fn at(minute: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::minutes(minute)
    }

    fn seen(state: WorkerState, since: i64, due_at: Option<i64>) -> ConnectionSnapshot {
        ConnectionSnapshot {
            connection_id: ConnectionId(Uuid::nil()),
            provider: None,
            state,
            since: at(since),
            restarts: 0,
            rounds: 1,
            exchanges: 0,
            last_progress_at: None,
            last_error: None,
            not_before: None,
            due_at: due_at.map(at),
            lease_epoch: None,
        }
    }

    fn id(number: u128) -> ConnectionId {
        ConnectionId(Uuid::from_u128(number))
    }

    /// A watchdog that is shown what it is to find, every half minute.
    struct Story {
        clock: Arc<ManualClock>,
        watchdog: WatchdogHandle,
    }

    impl Story {
        fn begin() -> Self {
            let clock = ManualClock::starting_at(at(0));
            let watchdog = WatchdogHandle::beginning_at(clock.monotonic());
            Self { clock, watchdog }
        }

        fn look(&self, found: &[(Who, Option<Standing>)]) {
            let found = found.iter().copied();
            let with_work = found.filter_map(|(who, standing)| Some((who, standing?)));
            self.watchdog
                .looked(with_work.collect(), self.clock.monotonic());
        }

        fn look_for(&self, minutes: u64, found: &[(Who, Option<Standing>)]) {
            for _ in 0..minutes * 2 {
                self.clock.advance(TURN);
                self.look(found);
            }
        }

        fn trouble(&self) -> Option<String> {
            self.watchdog.trouble(&*self.clock)
        }
    }

    #[test]
    fn who_has_work_is_watched_and_who_waits_is_not() {
        use Doing::{NotLooking, Starting, Working};
        for (state, due_at, expected) in [
            (WorkerState::Working, None, Some(Working)),
            (WorkerState::Starting, None, Some(Starting)),
            (WorkerState::Idle, None, None),
            // A limit, an outage, a retry: due later.
            (WorkerState::Idle, Some(600), None),
            (WorkerState::Idle, Some(10), Some(NotLooking)),
            (WorkerState::Restarting, Some(0), None),
            (WorkerState::ElsewhereOwned, Some(0), None),
        ] {
            let standing = worker(&seen(state, 0, due_at), at(20), POLL);
            assert_eq!(
                standing.map(|standing| standing.doing),
                expected,
                "{state:?}"
            );
        }
        assert_eq!(
            looking(Some("the database is away"), Some(at(0)), POLL),
            None
        );
    }

    #[test]
    fn one_worker_that_is_stuck_is_named_and_takes_no_node_out_of_service() {
        let story = Story::begin();
        let standing = worker(&seen(WorkerState::Working, 0, None), at(0), POLL);
        let found = [(Who::Worker(id(1)), standing)];
        story.look(&found);
        story.look_for(4, &found);
        assert_eq!(story.watchdog.trouble_of(id(1)), None);
        story.look_for(1, &found);
        let named = story.watchdog.trouble_of(id(1)).expect("it is named");
        assert!(named.contains("at one thing since"), "{named}");
        assert_eq!(story.trouble(), None);
        assert!(story.watchdog.detail().starts_with("1 of the 1 workers"));
        assert!(story.watchdog.is_content(&*story.clock));

        // Two of three are most of them. No id is told to those who ask for readiness.
        let idle = worker(&seen(WorkerState::Working, 3, None), at(0), POLL);
        let two = [found[0], (Who::Worker(id(2)), standing)];
        story.look_for(6, &two);
        let three = [two[0], two[1], (Who::Worker(id(3)), idle)];
        story.look_for(1, &three);
        let trouble = story.trouble().expect("trouble");
        assert!(trouble.starts_with("2 of the 3 workers"), "{trouble}");
        assert!(!trouble.contains(&id(1).to_string()), "{trouble}");
        assert!(!story.watchdog.is_content(&*story.clock));
    }

    #[test]
    fn a_worker_whose_calls_are_answered_gets_on_however_long_its_round_is() {
        let story = Story::begin();
        for exchanges in 0..60 {
            let seen = ConnectionSnapshot {
                exchanges,
                ..seen(WorkerState::Working, 0, None)
            };
            let standing = worker(&seen, at(0), POLL);
            story.look_for(1, &[(Who::Worker(id(1)), standing)]);
            assert_eq!(story.watchdog.trouble_of(id(1)), None);
        }
    }

    #[test]
    fn a_poller_that_hangs_in_its_first_poll_or_a_later_one_is_trouble_until_it_polls() {
        for since in [None, Some(at(0))] {
            let story = Story::begin();
            let patience = PATIENCE + POLL;
            let found = [(Who::Poller, looking(None, since, patience))];
            story.look(&found);
            story.look_for(6, &found);
            assert_eq!(story.trouble(), None);
            story.look_for(1, &found);
            let trouble = story.trouble().expect("trouble");
            assert!(trouble.starts_with("the queue poller"), "{trouble}");
            story.look(&[(Who::Poller, looking(None, Some(at(8)), patience))]);
            assert_eq!(story.trouble(), None);
        }
    }

    #[test]
    fn a_machine_that_slept_or_a_clock_that_was_set_makes_nobody_stuck() {
        let story = Story::begin();
        let standing = worker(&seen(WorkerState::Idle, 0, Some(1)), at(600), POLL);
        let found = [
            (Who::Worker(id(1)), standing),
            (Who::Worker(id(2)), standing),
            (Who::Poller, looking(None, Some(at(0)), PATIENCE + POLL)),
        ];
        story.look(&found);
        for _ in 0..3 {
            story.clock.advance(Duration::from_secs(3600));
            story.look(&found);
            assert_eq!(story.trouble(), None);
            assert_eq!(story.watchdog.trouble_of(id(1)), None);
        }
    }

    #[test]
    fn a_watchdog_that_does_not_look_is_trouble_itself() {
        let story = Story::begin();
        story.look(&[]);
        story.clock.advance(STALE);
        let trouble = story.trouble().expect("trouble");
        assert!(trouble.contains("not looked for 90 s"), "{trouble}");
        story.look(&[]);
        assert_eq!(story.trouble(), None);
    }
}
