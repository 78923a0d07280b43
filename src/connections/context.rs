//! What every worker of a daemon shares.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::services::Services;
use crate::domain::{Clock, Entropy, NodeId};
use crate::health::Metrics;
use crate::plan::{Backoff, RestartPolicy};
use crate::security::KeyRing;
use crate::store::Store;

/// How long an idle worker lives on: longer than its limiter takes to refill, which it takes along.
const IDLE_AFTER: Duration = Duration::from_secs(300);

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
    /// How long a worker with nothing to do lives on.
    pub idle_after: Duration,
    pub metrics: Metrics,
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
            metrics,
            leases: LeaseWatch::default(),
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
    pub(super) fn renewed(&self, asked_at: Duration, ttl: Duration) {
        let mut renewals = self.lock();
        if asked_at > renewals.last + ttl {
            renewals.unbroken_since = asked_at;
        }
        renewals.last = renewals.last.max(asked_at);
    }

    /// The end of a lease that was taken at `taken_at` and renewed with all others since.
    pub(super) fn end(&self, taken_at: Duration, ttl: Duration) -> Duration {
        let renewals = *self.lock();
        if taken_at >= renewals.unbroken_since {
            taken_at.max(renewals.last) + ttl
        } else {
            taken_at + ttl
        }
    }

    fn lock(&self) -> MutexGuard<'_, Renewals> {
        self.renewals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_from_before_a_pause_is_not_believed_renewed() {
        let ttl = Duration::from_secs(15);
        let second = Duration::from_secs;
        let watch = LeaseWatch::default();
        watch.renewed(second(5), ttl);
        assert_eq!(watch.end(second(2), ttl), second(20));
        watch.renewed(second(60), ttl);
        assert_eq!(watch.end(second(2), ttl), second(17));
        assert_eq!(watch.end(second(61), ttl), second(76));
    }
}
