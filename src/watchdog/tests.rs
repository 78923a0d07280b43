use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use uuid::Uuid;

use super::standing::{Doing, PATIENCE, Standing, Who, looking, worker};
use super::{STALE, TURN, WatchdogHandle};
use crate::connections::{ConnectionSnapshot, WorkerState};
use crate::domain::{Clock as _, ConnectionId, ManualClock, Timestamp};

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
