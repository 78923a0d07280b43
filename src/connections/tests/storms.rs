//! Storms: of crashes everywhere at once, and of hints.

use super::*;

const STORM: usize = 40;
const TOLERATED: u32 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_all_crash_at_once_are_set_aside_and_the_rest_works_on() {
    let stage = Stage::start(|context| {
        context.restart = RestartPolicy {
            base: Duration::from_millis(5),
            cap: Duration::from_millis(20),
            tolerated: TOLERATED,
            cool_down: Duration::from_secs(3_600),
        };
    })
    .await;
    let mut storm = Vec::new();
    for _ in 0..STORM {
        storm.push(stage.coach().await);
    }
    let (calm_coach, calm) = stage.coach().await;
    for (coach, _) in &storm {
        stage.report(*coach, true).await;
    }
    let fine = stage.report(calm_coach, false).await;
    eventually("the calm one works on", || async {
        stage.calendars.holds(fine)
    })
    .await;
    for (_, id) in &storm {
        eventually("all of the storm are set aside", || async {
            stage.status(*id).await == ConnectionStatus::Quarantined
        })
        .await;
    }
    // The first crash, those tolerated, and no more until the cool-down ends.
    let panics = stage.calendars.panics.load(Ordering::Relaxed);
    assert_eq!(panics, STORM as u64 * u64::from(TOLERATED + 1));
    assert_eq!(stage.status(calm).await, ConnectionStatus::Active);
    assert!(!stage.failed.is_cancelled(), "the tree stands");
    assert!(stage.connections.is_running() && stage.poller.is_running());

    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_hints_is_one_more_look() {
    let stage = Stage::start(|_| {}).await;
    let (coach, id) = stage.coach().await;
    let closed = stage.calendars.gate.write().await;
    let session = stage.report(coach, false).await;
    eventually("the worker is in the middle of a call", || async {
        stage.calendars.calls.load(Ordering::Relaxed) == 1
    })
    .await;
    let rounds = || {
        let seen = stage.connections.snapshots();
        let seen = seen.iter().find(|seen| seen.connection_id == id);
        seen.map_or(0, |seen| seen.rounds)
    };
    let before = rounds();
    for _ in 0..100_000 {
        stage.poller.wake(vec![id]);
        stage.connections.wake([id]);
    }
    drop(closed);
    eventually("the event is there", || async {
        stage.calendars.holds(session)
    })
    .await;
    // Whatever else is in the mailbox comes before this one's look.
    let last = stage.report(coach, false).await;
    eventually("the next event is there", || async {
        stage.calendars.holds(last)
    })
    .await;
    let after = rounds() - before;
    assert!(after <= 6, "{after} rounds");
    stage.stop().await;
}

/// While a daemon stops, its last rounds still write down what webhooks are to be told.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_drained_its_webhooks_looks_after_none_again() {
    let stage = Stage::start(|_| {}).await;
    let looked_at = || stage.deliverer.snapshot().last_look_at;
    eventually("it has looked", || async { looked_at().is_some() }).await;
    let patience = Duration::from_secs(30);
    stage.deliverer.drain(patience).await;
    let last = looked_at();
    stage.deliverer.look();
    // Answered after the look, for messages keep their order.
    stage.deliverer.drain(patience).await;
    assert_eq!(looked_at(), last);
    stage.stop().await;
}
