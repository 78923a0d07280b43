//! The booking platform: reports everything, each appointment's changes in their order.

use futures::{StreamExt, TryStreamExt, stream};

use super::Show;
use crate::demo::api::Outcome;
use crate::demo::changes::Change;
use crate::demo::patience::CallError;
use crate::demo::progress::Progress;

/// Reports under way at once.
const LANES: usize = 32;

/// What the daemon said to the reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcomes {
    pub(super) created: usize,
    pub(super) updated: usize,
    pub(super) unchanged: usize,
    pub(super) stale: usize,
}

impl Outcomes {
    fn count(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Created => &mut self.created,
            Outcome::Updated => &mut self.updated,
            Outcome::Unchanged => &mut self.unchanged,
            Outcome::Stale => &mut self.stale,
        } += 1;
    }

    fn all(&self) -> usize {
        self.created + self.updated + self.unchanged + self.stale
    }
}

/// Reports all changes as fast as they are taken. An appointment always goes through the same
/// lane, and a lane reports one change after the other: that keeps each appointment's order.
pub(super) async fn all(show: &Show, changes: &[Change]) -> Result<Outcomes, CallError> {
    let mut lanes: Vec<Vec<&Change>> = vec![Vec::new(); LANES];
    for change in changes {
        lanes[lane_of(change)].push(change);
    }
    let total = u64::try_from(changes.len()).unwrap_or(u64::MAX);
    let progress = Progress::start("reporting changes", total, &show.clock);
    let mut reports = stream::select_all(lanes.into_iter().map(|lane| {
        let lane = stream::iter(lane);
        Box::pin(lane.then(|change| show.api.report(change.id, &change.body)))
    }));
    let mut outcomes = Outcomes::default();
    while let Some(outcome) = reports.try_next().await? {
        outcomes.count(outcome);
        progress.reach(u64::try_from(outcomes.all()).unwrap_or(u64::MAX));
    }
    progress.end();
    Ok(outcomes)
}

fn lane_of(change: &Change) -> usize {
    let lanes = u128::try_from(LANES).unwrap_or(1);
    usize::try_from(change.id.0.as_u128() % lanes).unwrap_or(0)
}
