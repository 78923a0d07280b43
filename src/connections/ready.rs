//! Getting ready for a round: lease, status, token; or the wait instead of one.

use std::time::Duration;

use chrono::TimeDelta;

use super::context::{Taken, WorkerContext};
use super::outcome::Tally;
use super::round::{Hands, RoundEnd};
use super::services::Service;
use super::token::{NoToken, UNREADABLE};
use crate::domain::{ConnectionStatus, QuarantineReason, SyncFailure, Timestamp, Wait, WaitReason};
use crate::plan::{Tries, Verdict, judge};
use crate::security::Unreadable;
use crate::store::{Claim, ClaimRequest, Fence, Lease, NoClaim, StoreError};

/// How often tokens that were replaced under our hands are read again before giving the round up.
const TOKEN_READS: usize = 3;
/// How long a connection whose tokens cannot be opened is left before the keys are tried again.
const UNREADABLE_PAUSE: TimeDelta = TimeDelta::minutes(5);

/// A claim that can be worked on, or how the round ends without one.
pub(super) enum Opened<'a> {
    Claim(Box<Claim>, &'a Service),
    Ended(RoundEnd),
}

impl Hands {
    /// Makes the token ready and claims; both under the lease.
    pub(super) async fn open_claim<'a>(
        &mut self,
        context: &'a WorkerContext,
    ) -> Result<Opened<'a>, StoreError> {
        for _ in 0..TOKEN_READS {
            let now = context.clock.now();
            let asked_at = context.clock.monotonic();
            let mut claim = match context.store.claim(self.request(context, now)).await? {
                Ok(claim) => claim,
                Err(why) => return Ok(Opened::Ended(self.not_claimed(why))),
            };
            self.took(context, claim.lease, asked_at);
            if claim.taken_over {
                context.metrics.taken_over();
            }
            self.provider = Some(claim.connection.provider);
            self.wait = claim.wait;
            self.breaker = claim.breaker;
            match claim.connection.status {
                ConnectionStatus::Active => {}
                ConnectionStatus::Quarantined => {
                    return reactivate(context, claim, now).await.map(Opened::Ended);
                }
                // Parked for its coach, or ended: the wake crossed with that.
                ConnectionStatus::NeedsReauth | ConnectionStatus::Disconnected => {
                    return Ok(Opened::Ended(RoundEnd::Due(None)));
                }
            }
            // Also where there is no such provider: another wait would end this one.
            if let Some(wait) = claim.wait.filter(|wait| wait.until > now) {
                return Ok(Opened::Ended(RoundEnd::Due(Some(wait.until))));
            }
            let Some(service) = context.services.get(&claim.connection.provider) else {
                return self.unconfigured(context, claim).await.map(Opened::Ended);
            };
            self.batch = service.api.max_batch();
            claim.due.truncate(claim.breaker.batch(self.batch));
            if claim.due.is_empty() && claim.due_at.is_none_or(|due_at| due_at > now) {
                // Woken for nothing: leave no trace.
                return Ok(Opened::Ended(RoundEnd::Due(claim.due_at)));
            }
            if !claim.due.is_empty()
                && let Some(wait) = service.ask(self.connection_id, now)
            {
                let until = wait.until + spread(context);
                let end = self.wait(context, claim, Wait { until, ..wait }).await?;
                return Ok(Opened::Ended(end));
            }
            let stored_version = claim.tokens.as_ref().map(|tokens| tokens.version);
            if claim.due.is_empty()
                || (stored_version.is_some() && self.tokens.is_ready(now) == stored_version)
            {
                return Ok(Opened::Claim(Box::new(claim), service));
            }
            // Without a transaction open: this may call the provider. Taking the lease must last.
            let (lease, settings_version) = (claim.lease, claim.connection.settings_version);
            claim.commit(&[], &[]).await?;
            self.holds(context);
            match self.make_token_ready(context, service).await {
                Ok(()) => {}
                Err(NoToken::Store(error)) => return Err(error),
                Err(NoToken::Unreadable(why)) => {
                    return set_aside(context, lease, &why).await.map(Opened::Ended);
                }
                Err(NoToken::Failure(failure)) => {
                    let due = self
                        .stand_back(context, service, lease, settings_version, &failure)
                        .await?;
                    return Ok(Opened::Ended(RoundEnd::Due(due)));
                }
            }
        }
        Ok(Opened::Ended(RoundEnd::Due(Some(
            context.clock.now() + TimeDelta::seconds(1),
        ))))
    }

    /// This lease was taken or kept, and is yet to be committed.
    pub(super) fn took(&mut self, context: &WorkerContext, lease: Lease, asked_at: Duration) {
        if self.lease == Some(lease) {
            self.taken = context.leases.trusted(self.taken).again(asked_at);
        } else {
            self.taken = Taken::asked_at(asked_at);
            // Whoever had it meanwhile may have left rows behind. Not known by the database alone: this
            // claim may leave no trace, and the next one find the lease already ours.
            self.recover = true;
        }
        self.lease = Some(lease);
    }

    /// Whether nothing of the account's quota is used any more.
    pub(super) fn is_rested(&self, lease: Lease) -> bool {
        match self.budget.get() {
            Some(budget) => budget.own.is_full(),
            None => lease.is_rested,
        }
    }

    /// The lease is committed: renewals see it from now on.
    pub(super) fn holds(&mut self, context: &WorkerContext) {
        self.taken = self.taken.committed(context.clock.monotonic());
    }

    fn not_claimed(&mut self, why: NoClaim) -> RoundEnd {
        self.lease = None;
        // Whoever acts meanwhile may leave rows behind.
        self.recover = true;
        match why {
            NoClaim::NotOurs => RoundEnd::NotOurs,
            NoClaim::HandedOver => RoundEnd::HandedOver,
        }
    }

    fn request(&self, context: &WorkerContext, now: Timestamp) -> ClaimRequest {
        ClaimRequest {
            connection_id: self.connection_id,
            node: context.node,
            lease_ttl: context.lease_ttl,
            limit: self.breaker.batch(self.batch),
            now,
            recover: self.recover,
        }
    }

    /// Records a failure that is no job's: the connection waits, or for its coach, and no job is charged
    /// for it. Answers when it is due next.
    pub(super) async fn stand_back(
        &mut self,
        context: &WorkerContext,
        service: &Service,
        lease: Lease,
        settings_version: i64,
        failure: &SyncFailure,
    ) -> Result<Option<Timestamp>, StoreError> {
        let now = context.clock.now();
        let mut tally = Tally::default();
        // A round begins after its end; a person's call may go out during it.
        if let Some(wait) = self.wait.filter(|wait| wait.until > now) {
            tally.wait_until(wait.until, wait.why);
        }
        tally.note(failure);
        let jitter = context.entropy.jitter();
        let no_job = Tries {
            failed: 0,
            reported_at: now,
        };
        match judge(failure, no_job, context.backoff, &self.breaker, now, jitter) {
            // How long is up to the breaker: it may be one sign-in service for everybody.
            Verdict::RetryAt(_) | Verdict::WaitOut(_) => {}
            Verdict::Wait { until, scope } => tally.limit(until, scope),
            Verdict::AwaitReauth(reason) => tally.reauth = Some(reason),
            Verdict::PauseProvider { until } => tally.pause(until, failure),
            // Not said of a token; a later look does no harm.
            Verdict::Replan { .. } | Verdict::GiveUp => {
                tally.wait_until(now + TimeDelta::minutes(1), WaitReason::Outage);
            }
        }
        self.hear(context, service, &mut tally, now);
        self.settle(context, lease, settings_version, Vec::new(), tally, now)
            .await
    }

    async fn wait(
        &mut self,
        context: &WorkerContext,
        claim: Claim,
        wait: Wait,
    ) -> Result<RoundEnd, StoreError> {
        let (lease, settings_version) = (claim.lease, claim.connection.settings_version);
        claim.commit(&[], &[]).await?;
        let mut tally = Tally::default();
        tally.wait_until(wait.until, wait.why);
        let now = context.clock.now();
        let due = self
            .settle(context, lease, settings_version, Vec::new(), tally, now)
            .await?;
        Ok(RoundEnd::Due(due))
    }

    /// The operator switched the provider off: its work waits. The daemon that knows the provider again
    /// ends the wait when it starts.
    async fn unconfigured(
        &mut self,
        context: &WorkerContext,
        claim: Claim,
    ) -> Result<RoundEnd, StoreError> {
        let until = context.clock.now() + TimeDelta::hours(1);
        let why = WaitReason::NotConfigured;
        self.wait(context, claim, Wait { until, why }).await
    }
}

/// The keys do not open the stored tokens: set aside, and tried again, for the operator may put the
/// key back at any time.
async fn set_aside(
    context: &WorkerContext,
    lease: Lease,
    why: &Unreadable,
) -> Result<RoundEnd, StoreError> {
    tracing::error!(connection.id = %lease.connection_id, error = %why, "stored tokens cannot be opened");
    let now = context.clock.now();
    let until = now + UNREADABLE_PAUSE;
    context
        .store
        .set_connection_status(
            Fence::Lease(lease),
            Some((QuarantineReason::TokensUnreadable, UNREADABLE)),
            Some(until),
            now,
        )
        .await?;
    context.changed([lease.connection_id.into()]);
    Ok(RoundEnd::Due(Some(until)))
}

/// Up to a second, so that not everyone who waited comes at the same moment.
fn spread(context: &WorkerContext) -> TimeDelta {
    let most = Duration::from_secs(1);
    TimeDelta::from_std(context.entropy.jitter().spread(most)).unwrap_or_default()
}

/// The cool-down is over: the connection is active again, and looked at once more.
async fn reactivate(
    context: &WorkerContext,
    claim: Claim,
    now: Timestamp,
) -> Result<RoundEnd, StoreError> {
    let lease = claim.lease;
    if claim.due_at.is_none_or(|due_at| due_at > now) {
        return Ok(RoundEnd::Due(claim.due_at));
    }
    claim.commit(&[], &[]).await?;
    context
        .store
        .set_connection_status(Fence::Lease(lease), None, Some(now), now)
        .await?;
    context.changed([lease.connection_id.into()]);
    tracing::info!(connection.id = %lease.connection_id, "cool-down is over; the connection is tried again");
    Ok(RoundEnd::Due(Some(now)))
}
