//! The standard scenario again and again, each time struck at another step.
//!
//! A kill `after` one side effect and a kill `before` the next leave the same behind, for only memory
//! changes between them: the n-th is killed after it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use calendar_integration::failpoint::{Moment, Place, Step};
use futures::StreamExt;
use futures::stream;
use tokio::sync::Semaphore;
use tokio::task::LocalSet;

use super::client::patiently;
use super::figures::{self, database};
use super::scenario;
use super::stage::{Plan, Stage};
use crate::support::is_postgres;

/// Of all tests together: more would only keep each other from getting on.
static PLACES: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(runs_at_once()));

/// With PostgreSQL they mostly wait for leases to end.
fn runs_at_once() -> usize {
    if is_postgres() { 16 } else { 8 }
}

/// As it ships: whoever starts after a kill looks for work at once, and needs no poll.
const SLOW: &str = "2m";
/// A commit whose success was not heard of wakes nobody: that is what the poll is for.
const QUICK: &str = "500ms";

/// Steps that the scenario does not take: they come with failed jobs, lost keys and outages, or once an
/// hour, and are a single transaction each.
const NOT_TAKEN: [Step; 5] = [
    Step::Retry,
    Step::ConnectionStatus,
    Step::EndWaits,
    Step::ForgetErased,
    Step::WebhookReplay,
];
/// Steps between nodes; [`super::between_nodes`] takes them.
pub(super) const BETWEEN_NODES: [Step; 3] = [Step::LeaseWant, Step::HandOver, Step::Census];

#[derive(Clone, Copy, Debug)]
pub(super) enum Strike {
    Kill,
    Error,
}

impl Strike {
    /// As `FAILPOINTS` says it, letting the first `passes` pass.
    pub(super) fn at(self, place: Place, passes: usize) -> String {
        let what = match self {
            Self::Kill => "kill",
            Self::Error => "error",
        };
        match passes {
            0 => format!("{place}=1*return({what})"),
            _ => format!("{place}={passes}*off->1*return({what})"),
        }
    }
}

/// A run with this interval of the slow poll; whether the failpoint struck.
async fn run(failpoints: String, poll_interval: &'static str) -> bool {
    let stage = Stage::set(Plan {
        nodes: 1,
        failpoints: Some(failpoints.clone()),
        lease_ttl: "2s",
        poll_interval,
        latency: Duration::from_millis(1),
    })
    .await;
    let desired = scenario::play(&stage).await;
    stage.was_told(&desired).await;
    let node = &stage.nodes[0];
    if failpoints.starts_with(Step::LeaseRenew.as_str()) {
        patiently("the leases are renewed", async || {
            node.was_struck().then_some(())
        })
        .await;
    }
    // The end belongs to it: there the leases are given back.
    patiently("it serves", async || node.url()).await;
    node.hold(true);
    node.terminate();
    patiently("it ends", async || (!node.is_running()).then_some(())).await;
    let duplicated = stage.duplicated();
    assert!(duplicated.is_empty(), "{duplicated:#?}");
    let misordered = desired.misordered(&stage.calendars);
    assert!(misordered.is_empty(), "{misordered:#?}");
    node.was_struck()
}

/// As a task of its own, so that a failure names the failpoint.
async fn run_named(failpoints: String, poll_interval: &'static str) -> bool {
    let _place = PLACES.acquire().await.expect("never closed");
    let end = tokio::task::spawn_local(run(failpoints.clone(), poll_interval)).await;
    end.unwrap_or_else(|_| panic!("failed with FAILPOINTS='{failpoints}'"))
}

/// What runs are tasks of.
async fn locally<T>(all: impl Future<Output = T>) -> T {
    LocalSet::new().run_until(all).await
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_every_step_it_loses_and_doubles_nothing() {
    let places = Step::ALL
        .into_iter()
        .filter(|step| !NOT_TAKEN.contains(step) && !BETWEEN_NODES.contains(step))
        .flat_map(|step| Moment::ALL.map(|moment| Place::Of(step, moment)));
    let runs = stream::iter(places)
        .map(async |place| (place, run_named(Strike::Kill.at(place, 0), SLOW).await))
        .buffer_unordered(runs_at_once())
        .collect::<Vec<_>>();
    let runs = locally(runs).await;
    for (place, struck) in &runs {
        assert!(struck, "the scenario never comes to {place}");
    }
    figures::print(
        &format!("killed at every step, on {}", database()),
        &[("kills", runs.len().to_string())],
    );
}

/// Runs with the n-th failpoints for n = 0, 1, 2, … until there is no n-th to strike; how many struck.
async fn every(nth: impl Fn(usize) -> String, poll_interval: &'static str) -> usize {
    let next = Arc::new(AtomicUsize::new(0));
    let workers = (0..runs_at_once()).map(async |_| {
        let mut struck = 0;
        while run_named(nth(next.fetch_add(1, Ordering::Relaxed)), poll_interval).await {
            struck += 1;
        }
        struck
    });
    let struck = locally(futures::future::join_all(workers)).await;
    struck.into_iter().sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_nth_side_effect_it_loses_and_doubles_nothing() {
    let place = Place::SideEffect(Moment::After);
    let kills = every(|n| Strike::Kill.at(place, n), SLOW).await;
    assert!(
        kills > 60,
        "the scenario has more than {kills} side effects"
    );
    figures::print(
        &format!("killed after each side effect, on {}", database()),
        &[("kills", kills.to_string())],
    );
}

/// The n-th does not happen, and soon afterwards one happens whose success nobody hears of.
#[tokio::test(flavor = "multi_thread")]
async fn when_the_nth_side_effect_fails_nothing_is_lost_and_nothing_happens_twice() {
    let both = |n| {
        let moments = Moment::ALL.map(|moment| Strike::Error.at(Place::SideEffect(moment), n));
        moments.join(";")
    };
    let failed = every(both, QUICK).await;
    assert!(
        failed > 60,
        "the scenario has more than {failed} side effects"
    );
    figures::print(
        &format!("each side effect failed, on {}", database()),
        &[("runs", failed.to_string())],
    );
}
