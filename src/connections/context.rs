//! What every worker of a daemon shares.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use super::services::Services;
use crate::changes::{Changes, Subject};
use crate::domain::{Clock, Entropy, NodeId};
use crate::health::Metrics;
use crate::nodes::Nodes;
use crate::plan::{Backoff, RestartPolicy};
use crate::security::KeyRing;
use crate::store::{Store, StoreError};
use crate::traces::Traces;

/// How long an idle worker lives on; and until its limiter is full again, which it takes along.
const IDLE_AFTER: Duration = Duration::from_secs(300);

/// Unless it is set.
const AUDIT_RETENTION: Duration = Duration::from_secs(365 * 24 * 3600);
/// Likewise.
const WEBHOOK_RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);

#[derive(Debug)]
pub struct WorkerContext {
    pub store: Store,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub keys: KeyRing,
    pub node: NodeId,
    pub services: Services,
    pub lease_ttl: Duration,
    pub backoff: Backoff,
    pub restart: RestartPolicy,
    /// How long a worker with nothing to do lives on at least.
    pub idle_after: Duration,
    /// How long the audit trail is kept.
    pub audit_retention: Duration,
    /// How long what was told to webhooks is kept.
    pub webhook_retention: Duration,
    pub metrics: Metrics,
    pub traces: Traces,
    pub nodes: Nodes,
    /// Who watches, on this node.
    pub changes: Changes,
    pub(super) leases: LeaseWatch,
}

impl WorkerContext {
    #[expect(
        clippy::too_many_arguments,
        reason = "the composition root names each once"
    )]
    pub fn new(
        store: Store,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        keys: KeyRing,
        node: NodeId,
        services: Services,
        lease_ttl: Duration,
        backoff: Backoff,
        metrics: Metrics,
    ) -> Self {
        let nodes = Nodes::new(store.is_sqlite(), clock.now());
        Self {
            store,
            clock,
            entropy,
            keys,
            node,
            services,
            lease_ttl,
            backoff,
            restart: RestartPolicy::default(),
            idle_after: IDLE_AFTER,
            audit_retention: AUDIT_RETENTION,
            webhook_retention: WEBHOOK_RETENTION,
            metrics,
            traces: Traces::off(),
            nodes,
            changes: Changes::default(),
            leases: LeaseWatch::default(),
        }
    }
}

impl WorkerContext {
    /// What these show may have changed: whoever watches them, here or at another node, looks.
    pub(crate) fn changed(&self, subjects: impl IntoIterator<Item = Subject> + Clone) {
        self.changes.touch(subjects.clone());
        self.nodes.changed(subjects);
    }
}

/// When a worker took its lease, on the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    /// For the last time, before the database was asked: the lease lasts from then on at least.
    asked_at: Duration,
    /// Since when it has been known to be committed, under the same epoch; `None` until then. A renewal
    /// that was asked for earlier may not have seen this lease.
    held_since: Option<Duration>,
}

impl Taken {
    pub(super) fn asked_at(asked_at: Duration) -> Self {
        Self {
            asked_at,
            held_since: None,
        }
    }

    /// The same lease was asked for again.
    pub(super) fn again(self, asked_at: Duration) -> Self {
        Self { asked_at, ..self }
    }

    /// The taking was committed.
    pub(super) fn committed(self, now: Duration) -> Self {
        Self {
            held_since: self.held_since.or(Some(now)),
            ..self
        }
    }
}

/// When this node last renewed all its leases, on the monotonic clock: a node that loses its database
/// stops acting before its leases end, whatever the wall clock does.
#[derive(Debug, Default)]
pub(super) struct LeaseWatch {
    renewals: Mutex<Renewals>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Renewals {
    last: Duration,
    /// Since when no renewal came later than the leases lasted. A node that was paused for longer
    /// may have lost leases that the next renewal does not bring back.
    unbroken_since: Duration,
}

impl LeaseWatch {
    /// The renewal was asked for and answered then; in between it waited and worked.
    pub(super) fn renewed(&self, asked_at: Duration, answered_at: Duration, ttl: Duration) {
        let mut renewals = self.lock();
        // What had ended when it was at last carried out, it left as it was.
        if answered_at > renewals.last + ttl {
            renewals.unbroken_since = asked_at;
        }
        renewals.last = renewals.last.max(asked_at);
    }

    /// What is still to be believed of it: a lease that was held before a pause may have been lost in it.
    pub(super) fn trusted(&self, taken: Taken) -> Taken {
        let unbroken_since = self.lock().unbroken_since;
        Taken {
            held_since: taken.held_since.filter(|held| *held >= unbroken_since),
            ..taken
        }
    }

    /// The end of a lease that was taken then and renewed with all others since.
    pub(super) fn end(&self, taken: Taken, ttl: Duration) -> Duration {
        let last = self.lock().last;
        let trusted = self.trusted(taken);
        let was_seen = trusted.held_since.is_some_and(|held| held <= last);
        let renewed_at = if was_seen { last } else { taken.asked_at };
        renewed_at.max(taken.asked_at) + ttl
    }

    /// Waits for `call`, but acts no longer than the lease lasts that was taken then.
    ///
    /// The clock is read before each step of the call, so that a process that was stopped for longer
    /// than its lease does not go on for one step more when it is resumed: timers may fire only after
    /// that. What has left already is settled by the next owner, and our settle is refused.
    pub(super) async fn within<T>(
        &self,
        clock: &dyn Clock,
        taken: Taken,
        ttl: Duration,
        call: impl Future<Output = T>,
    ) -> Result<T, StoreError> {
        let mut over = pin!(self.over(clock, taken, ttl));
        let mut call = pin!(call);
        poll_fn(|task| {
            if clock.monotonic() >= self.end(taken, ttl) || over.as_mut().poll(task).is_ready() {
                return Poll::Ready(Err(StoreError::LeaseLost));
            }
            call.as_mut().poll(task).map(Ok)
        })
        .await
    }

    /// Returns when the lease that was taken then ends without having been renewed.
    async fn over(&self, clock: &dyn Clock, taken: Taken, ttl: Duration) {
        let mut end = self.end(taken, ttl);
        loop {
            let now = clock.monotonic();
            if now >= end {
                return;
            }
            clock.sleep(end - now).await;
            // Renewed meanwhile, with all others?
            end = self.end(taken, ttl);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Renewals> {
        self.renewals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ManualClock;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Asked for and committed in the same moment.
    fn taken(second: u64) -> Taken {
        let at = Duration::from_secs(second);
        Taken::asked_at(at).committed(at)
    }

    #[tokio::test]
    async fn a_call_takes_no_step_after_a_pause_that_was_longer_than_the_lease() {
        let clock = ManualClock::starting_at(chrono::DateTime::UNIX_EPOCH);
        let ttl = Duration::from_secs(15);
        let watch = LeaseWatch::default();
        let steps = AtomicU32::new(0);
        let call = async {
            // Ends also if nobody stops it, so that this test then fails rather than goes on.
            for _ in 0..3 {
                steps.fetch_add(1, Ordering::Relaxed);
                // Stopped here, and resumed much later.
                clock.advance(Duration::from_secs(16));
                tokio::task::yield_now().await;
            }
        };
        let ended: Result<(), _> = watch.within(&*clock, taken(0), ttl, call).await;
        assert!(matches!(ended, Err(StoreError::LeaseLost)));
        assert_eq!(steps.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_lease_from_before_a_pause_is_not_believed_renewed() {
        let ttl = Duration::from_secs(15);
        let second = Duration::from_secs;
        let watch = LeaseWatch::default();
        watch.renewed(second(5), second(5), ttl);
        assert_eq!(watch.end(taken(2), ttl), second(20));
        watch.renewed(second(60), second(60), ttl);
        assert_eq!(watch.end(taken(2), ttl), second(17));
        assert_eq!(watch.end(taken(61), ttl), second(76));
    }

    #[test]
    fn a_renewal_that_was_asked_for_in_time_and_came_too_late_renewed_nothing() {
        let ttl = Duration::from_secs(15);
        let second = Duration::from_secs;
        let watch = LeaseWatch::default();
        watch.renewed(second(0), second(0), ttl);
        watch.renewed(second(14), second(16), ttl);
        assert_eq!(watch.end(taken(0), ttl), second(15));
        assert_eq!(watch.end(taken(15), ttl), second(30));
    }

    #[test]
    fn a_renewal_while_the_lease_was_being_taken_did_not_see_it() {
        let ttl = Duration::from_secs(15);
        let second = Duration::from_secs;
        let watch = LeaseWatch::default();
        let asked = Taken::asked_at(second(1));
        let held = asked.committed(second(4));
        watch.renewed(second(3), second(3), ttl);
        assert_eq!(watch.end(asked, ttl), second(16));
        assert_eq!(watch.end(held, ttl), second(16));
        watch.renewed(second(5), second(5), ttl);
        assert_eq!(watch.end(asked, ttl), second(16));
        assert_eq!(watch.end(held, ttl), second(20));
    }

    #[test]
    fn a_lease_that_is_held_stays_renewed_while_a_slow_database_is_asked_for_it_again() {
        let ttl = Duration::from_secs(15);
        let second = Duration::from_secs;
        let watch = LeaseWatch::default();
        watch.renewed(second(20), second(20), ttl);
        let held = watch.trusted(taken(1)).again(second(10));
        assert_eq!(watch.end(held, ttl), second(25));
        watch.renewed(second(30), second(30), ttl);
        let held = taken(21).again(second(22));
        assert_eq!(watch.end(held, ttl), second(45));
        // But not over a pause in which it may have been lost.
        watch.renewed(second(60), second(60), ttl);
        let held = watch.trusted(held).again(second(61));
        assert_eq!(watch.end(held, ttl), second(76));
        watch.renewed(second(65), second(65), ttl);
        assert_eq!(watch.end(held, ttl), second(76));
        assert_eq!(watch.end(held.committed(second(62)), ttl), second(80));
    }
}
