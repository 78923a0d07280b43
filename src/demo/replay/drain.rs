//! Waiting until nothing is left to carry.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};

use super::Show;
use crate::demo::patience::CallError;
use crate::demo::progress::Progress;
use crate::domain::CoachId;

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often the open work is counted for the progress bar; that asks for every coach.
const COUNT_EVERY: Duration = Duration::from_secs(2);
/// Without any progress for this long, waiting is given up. Longer than any backoff of the demo
/// and than the longest window of a quota.
const STALLED_AFTER: Duration = Duration::from_secs(660);
const ASKED_AT_ONCE: usize = 8;

/// How the wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Drained {
    /// Work is left, and none was done for a long while.
    pub(super) gave_up: bool,
    /// Jobs that the daemon gave up.
    pub(super) failed: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Open {
    pending: u64,
    failed: u64,
}

/// Returns when the queue was seen quiet twice in a row, or when nothing moves any more.
pub(super) async fn until_quiet(
    show: &Show,
    coaches: &BTreeSet<CoachId>,
    label: &'static str,
) -> Result<Drained, CallError> {
    let mut open = count(show, coaches).await?;
    let most = open.pending;
    let progress = Progress::start(label, most, &show.clock);
    let mut moved = show.clock.monotonic();
    let mut counted = moved;
    let mut quiet = 0;
    let gave_up = loop {
        quiet = if show.api.is_quiet().await? {
            quiet + 1
        } else {
            0
        };
        if quiet == 2 {
            break false;
        }
        let now = show.clock.monotonic();
        if now.saturating_sub(counted) >= COUNT_EVERY {
            counted = now;
            let latest = count(show, coaches).await?;
            if latest != open {
                moved = now;
                open = latest;
            }
            progress.reach(most.saturating_sub(open.pending));
            if now.saturating_sub(moved) >= STALLED_AFTER {
                break true;
            }
        }
        show.clock.sleep(LOOK_EVERY).await;
    };
    progress.end();
    let failed = count(show, coaches).await?.failed;
    Ok(Drained { gave_up, failed })
}

async fn count(show: &Show, coaches: &BTreeSet<CoachId>) -> Result<Open, CallError> {
    stream::iter(coaches)
        .map(|coach| show.api.connections(*coach))
        .buffer_unordered(ASKED_AT_ONCE)
        .try_fold(Open::default(), async |mut open, connections| {
            for connection in connections {
                open.pending += connection.pending;
                open.failed += connection.failed;
            }
            Ok(open)
        })
        .await
}
