//! One model of everything at once: random edits, random faults, crashes, two nodes; and in the end
//! the calendars are what was asked for.
//!
//! A run is a script drawn from a seed ([`script`]), carried out against the whole daemon
//! ([`run`]) while a small model keeps what was asked for ([`desk`]), and a verdict over calendars
//! and effects ([`verdict`]). On PostgreSQL two nodes share the work and the calls; on SQLite one
//! node does everything. The script comes from the seed alone; how the daemon's work falls between
//! its steps does not, so a run that failed may need some repetitions to fail again.
//!
//! `MODEL_SEED` is the seed of the first run, the next ones count up from it; `MODEL_RUNS` is how
//! many there are, `MODEL_STEPS` how long each is. A run that fails prints its seed and its story.

mod desk;
mod run;
mod script;
mod verdict;

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use futures::stream::{self, StreamExt};
use rand::Rng;

/// Every change tries these, and one more that nobody chose.
const SEEDS: [u64; 4] = [1, 2, 3, 4];
const STEPS: usize = 70;
/// Side by side, so that one's waiting is another's working.
const AT_ONCE: usize = 5;

#[tokio::test]
async fn whatever_happens_in_between_the_calendars_end_as_asked_for() {
    let steps = setting("MODEL_STEPS").map_or(STEPS, |steps| {
        usize::try_from(steps).expect("a number of steps")
    });
    let seeds = seeds();
    let count = seeds.len();
    let failed: Vec<u64> = stream::iter(seeds)
        .map(async |seed| {
            let run = AssertUnwindSafe(run::run(seed, steps)).catch_unwind();
            run.await.err().map(|_| seed)
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(async |failed| failed)
        .collect()
        .await;
    assert!(
        failed.is_empty(),
        "{} of {count} runs failed; again with MODEL_SEED={}",
        failed.len(),
        failed[0]
    );
}

fn seeds() -> Vec<u64> {
    let any = || u64::from(rand::rng().next_u32());
    match (setting("MODEL_SEED"), setting("MODEL_RUNS")) {
        (None, None) => SEEDS.into_iter().chain([any()]).collect(),
        (Some(seed), None) => vec![seed],
        (seed, Some(runs)) => {
            let first = seed.unwrap_or_else(any);
            (first..first + runs).collect()
        }
    }
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number")),
    )
}
