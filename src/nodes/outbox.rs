//! What is to be told to other nodes: gathered, bounded, sent at a pace.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::message::{self, Note};
use super::{Nodes, lock};
use crate::changes::Subject;
use crate::connections::WorkerContext;
use crate::domain::{ConnectionId, ProviderKind, Timestamp};
use crate::queue::PollerHandle;
use crate::store::{Store, StoreError};

/// At most one message per node in this time. Real time: it spares the database, and decides nothing.
pub(super) const PACE: Duration = Duration::from_millis(20);
/// Before what could not be sent is tried again. Real time, as above.
const AFTER_TROUBLE: Duration = Duration::from_secs(1);
/// Hints kept; more of them than the database would be asked about in one go.
const MOST: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    wake: HashSet<ConnectionId>,
    /// There were more.
    overflowed: bool,
    limits: BTreeMap<ProviderKind, Timestamp>,
    census: bool,
    changed: HashSet<Subject>,
    /// There were more.
    changed_overflowed: bool,
    /// Not to be told: this node itself has something to find.
    look_here: bool,
}

impl Outbox {
    pub(super) fn wake(&mut self, ids: impl IntoIterator<Item = ConnectionId>) {
        for id in ids {
            if self.wake.len() >= MOST && !self.wake.contains(&id) {
                self.overflowed = true;
                return;
            }
            self.wake.insert(id);
        }
    }

    pub(super) fn changed(&mut self, subjects: impl IntoIterator<Item = Subject>) {
        for subject in subjects {
            if self.changed.len() >= MOST && !self.changed.contains(&subject) {
                self.changed_overflowed = true;
                return;
            }
            self.changed.insert(subject);
        }
    }

    pub(super) fn limit(&mut self, provider: ProviderKind, until: Timestamp) {
        let known = self.limits.entry(provider).or_insert(until);
        *known = until.max(*known);
    }

    pub(super) fn census(&mut self) {
        self.census = true;
    }

    pub(super) fn look_here(&mut self) {
        self.look_here = true;
    }
}

/// Sends what is put into the outbox, until `stop`. The first at once, what follows together.
pub(crate) async fn deliver(
    nodes: Nodes,
    context: Arc<WorkerContext>,
    poller: PollerHandle,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = nodes.0.filled.notified() => {}
            () = stop.cancelled() => return,
        }
        let letters = std::mem::take(&mut *lock(&nodes.0.outbox));
        let pause = match send(&context, &poller, &letters).await {
            Ok(()) => PACE,
            Err(error) => {
                tracing::debug!(error = %error, "other nodes were not told");
                // Whoever acts for them: what is not ours to do finds that out by itself.
                poller.wake(letters.wake.into_iter().collect());
                // The limits are written nowhere else; the others are more than could be named here.
                let mut outbox = lock(&nodes.0.outbox);
                outbox.overflowed |= letters.overflowed;
                outbox.census |= letters.census;
                // Named or not, they are told with what comes next.
                outbox.changed_overflowed |=
                    letters.changed_overflowed || !letters.changed.is_empty();
                for (provider, until) in letters.limits {
                    outbox.limit(provider, until);
                }
                nodes.0.filled.notify_one();
                AFTER_TROUBLE
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Tells all nodes at once to look into the database and at each other.
pub(crate) async fn say_look(store: &Store) -> Result<(), StoreError> {
    if store.is_sqlite() {
        return Ok(());
    }
    let notes = [Note::Look(None), Note::Census];
    store.notify(&message::encode(&notes)).await
}

async fn send(
    context: &WorkerContext,
    poller: &PollerHandle,
    letters: &Outbox,
) -> Result<(), StoreError> {
    if letters.look_here {
        poller.poll();
        context.store.look_at_webhooks();
    }
    let mut notes = Vec::new();
    let now = context.clock.now();
    for (provider, until) in &letters.limits {
        let lasts = (*until - now).to_std().unwrap_or_default();
        context.store.limit_provider(*provider, lasts).await?;
    }
    if letters.census || !letters.limits.is_empty() {
        notes.push(Note::Census);
    }
    if letters.overflowed {
        poller.poll();
        notes.push(Note::Look(None));
    } else {
        notes.extend(route(context, poller, &letters.wake).await?);
    }
    if letters.changed_overflowed {
        notes.push(Note::Changed(context.node, Vec::new()));
    } else if !letters.changed.is_empty() {
        let ids = letters.changed.iter().map(|subject| subject.0);
        notes.push(Note::Changed(context.node, ids.collect()));
    }
    if notes.is_empty() {
        return Ok(());
    }
    context.store.notify(&message::encode(&notes)).await?;
    context.metrics.notified();
    Ok(())
}

/// Wakes here what is ours or nobody's; what to tell the owners of the rest.
async fn route(
    context: &WorkerContext,
    poller: &PollerHandle,
    ids: &HashSet<ConnectionId>,
) -> Result<Vec<Note>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<ConnectionId> = ids.iter().copied().collect();
    let now = context.clock.now();
    let owners = context.store.owners(&ids, context.node, now).await?;
    let mut ours = Vec::new();
    let mut owned = Vec::new();
    for (id, owner) in owners {
        match owner {
            Some(owner) => owned.push((owner, id)),
            None => ours.push(id),
        }
    }
    poller.wake(ours);
    Ok(message::wakes(owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn the_outbox_is_bounded_and_knows_when_it_overflowed() {
        let ids = |range: std::ops::Range<u128>| range.map(|id| ConnectionId(Uuid::from_u128(id)));
        let most = MOST as u128;
        let mut outbox = Outbox::default();
        outbox.wake(ids(0..most));
        outbox.wake(ids(0..most));
        assert!(!outbox.overflowed, "what is in there already needs no room");
        outbox.wake(ids(0..most + 1));
        assert!(outbox.overflowed);
        assert_eq!(outbox.wake.len(), MOST);
    }
}
