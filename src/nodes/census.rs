//! Who else is alive, and what follows from it: this node's part of the quotas, work to take over,
//! providers that refuse everybody.

use std::time::Duration;

use chrono::TimeDelta;

use super::outbox::Outbox;
use super::{Nodes, Standing, lock};
use crate::connections::{Tokens, WorkerContext};
use crate::domain::NodeId;
use crate::plan;
use crate::store::StoreError;

/// How soon a node that has less than its part asks again, when it needs it.
const ASK_AGAIN: Duration = Duration::from_millis(250);
/// How long work waits for the first part of a node that has joined.
const ARRIVAL: Duration = Duration::from_secs(1);
/// How long after the death of a node is due its leases are looked for.
const AFTER_DEATH: Duration = Duration::from_millis(20);

impl Nodes {
    /// Says that this node is alive, and looks at the others.
    pub(crate) async fn census(&self, context: &WorkerContext) -> Result<(), StoreError> {
        if self.0.single {
            return Ok(());
        }
        let _turn = self.0.turn.lock().await;
        self.take_census(context).await
    }

    /// Before work: makes sure that the part of the quotas is still this node's, asks for the rest of it
    /// while it has less than an equal part, and waits a moment while it has none: it has just joined.
    pub(crate) async fn claim_share(&self, context: &WorkerContext) -> Result<(), StoreError> {
        if self.0.single {
            return Ok(());
        }
        if self.should_ask(context) {
            let _turn = self.0.turn.lock().await;
            if self.should_ask(context) {
                self.take_census(context).await?;
            }
        }
        let arrived = self.0.share_arrived.notified();
        if self.standing().share <= 0.0 {
            // Real time, as for a message. Without a part the limiter says when to come back.
            let _ = tokio::time::timeout(ARRIVAL, arrived).await;
        }
        Ok(())
    }

    fn should_ask(&self, context: &WorkerContext) -> bool {
        let standing = self.standing();
        let Some(asked_at) = standing.asked_at else {
            return true;
        };
        let age = context.clock.monotonic().saturating_sub(asked_at);
        let is_short = standing.share < plan::equal_part(standing.others.len()) - 1e-6;
        age >= context.lease_ttl || (is_short && age >= ASK_AGAIN)
    }

    async fn take_census(&self, context: &WorkerContext) -> Result<(), StoreError> {
        let before = self.standing();
        let asked_at = context.clock.monotonic();
        let census = context.store.census(context.node).await?;
        let (others, parts): (Vec<NodeId>, Vec<f64>) = census.others.iter().copied().unzip();
        let share = plan::share(&parts);
        let next_death = census.next_death;
        let is_stale = before
            .asked_at
            .is_none_or(|before| asked_at.saturating_sub(before) >= context.lease_ttl);
        let tokens = if is_stale && !others.is_empty() {
            // Others used the quota until now, or took this node's part of it for a dead one's.
            Tokens::None
        } else {
            // Perhaps alone after a long silence as before it. If another node came and went meanwhile,
            // what it used is not known: the provider refuses the rest, and we obey.
            Tokens::Kept
        };
        if share < before.share {
            // Before anybody can take what this node leaves.
            self.use_share(context, share, tokens);
        }
        let now = context.clock.now();
        for (provider, lasts) in &census.limited {
            if let Some(service) = context.services.get(provider) {
                service.limit(now + TimeDelta::from_std(*lasts).unwrap_or(TimeDelta::MAX));
            }
        }
        let (ttl, started_at) = (context.lease_ttl, self.0.started_at);
        census.commit(share, ttl, started_at).await?;
        self.use_share(context, share, tokens);
        context.metrics.nodes(others.len() + 1);
        let has_joined = before.asked_at.is_none() && !others.is_empty();
        let one_is_gone = before.others.iter().any(|known| !others.contains(known));
        *lock(&self.0.standing) = Standing {
            others,
            share,
            asked_at: Some(asked_at),
            next_death,
            last_death: if one_is_gone {
                Some(asked_at)
            } else {
                before.last_death
            },
        };
        if has_joined || share < before.share {
            // Others have less to use, or more.
            self.put(Outbox::census);
        }
        if one_is_gone {
            self.put(Outbox::look_here);
        }
        self.0.share_arrived.notify_waiters();
        Ok(())
    }

    fn use_share(&self, context: &WorkerContext, share: f64, tokens: Tokens) {
        lock(&self.0.standing).share = share;
        for service in context.services.values() {
            service.use_share(share, tokens);
        }
    }

    /// Whether a node ended so lately that its last leases may last yet: one that was taken after its
    /// last census ends a little later than the node.
    pub(crate) fn inherits(&self, context: &WorkerContext) -> bool {
        let since = |death| context.clock.monotonic().saturating_sub(death);
        let last_death = self.standing().last_death;
        last_death.is_some_and(|death| since(death) <= context.lease_ttl)
    }

    /// When to look at the others again: at the usual time, or when the next of them would be dead.
    pub(crate) fn next_census(&self, usual: Duration) -> Duration {
        match self.standing().next_death {
            Some(death) => usual.min(death + AFTER_DEATH),
            None => usual,
        }
    }
}
