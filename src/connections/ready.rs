//! Getting ready for a round: lease, status, token; or the wait instead of one.

use chrono::TimeDelta;

use super::context::WorkerContext;
use super::outcome::Tally;
use super::round::{Hands, RoundEnd};
use super::services::Service;
use super::token::NoToken;
use crate::domain::{ConnectionStatus, SyncFailure, Timestamp};
use crate::plan::{Backoff, Verdict, judge};
use crate::store::{Claim, ClaimRequest, Lease, StoreError};

/// How often tokens that were replaced under our hands are read again before giving the round up.
const TOKEN_READS: usize = 3;

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
            let claim = context.store.claim(self.request(context, now)).await?;
            let Some(claim) = claim else {
                self.lease = None;
                return Ok(Opened::Ended(RoundEnd::NotOurs));
            };
            self.lease = Some(claim.lease);
            let Some(service) = context.services.get(&claim.connection.provider) else {
                return self.unconfigured(context, claim).await.map(Opened::Ended);
            };
            self.batch = service.api.max_batch();
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
            if let Some(until) = claim.not_before.filter(|until| *until > now) {
                return Ok(Opened::Ended(RoundEnd::Due(Some(until))));
            }
            if let Some(pause) = service.paused(now) {
                let end = self.wait(context, claim, pause.until).await?;
                return Ok(Opened::Ended(end));
            }
            if claim.due.is_empty() && claim.due_at.is_none_or(|due_at| due_at > now) {
                // Woken for nothing: leave no trace.
                return Ok(Opened::Ended(RoundEnd::Due(claim.due_at)));
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
            match self.tokens.make_ready(context, service, lease).await {
                Ok(()) => self.tokenless = 0,
                Err(NoToken::Store(error)) => return Err(error),
                Err(NoToken::Failure(failure)) => {
                    let end = self
                        .no_token(context, service, lease, settings_version, &failure)
                        .await?;
                    return Ok(Opened::Ended(end));
                }
            }
        }
        Ok(Opened::Ended(RoundEnd::Due(Some(
            context.clock.now() + TimeDelta::seconds(1),
        ))))
    }

    fn request(&self, context: &WorkerContext, now: Timestamp) -> ClaimRequest {
        ClaimRequest {
            connection_id: self.connection_id,
            node: context.node,
            lease_ttl: context.lease_ttl,
            limit: self.batch,
            now,
            recover: self.recover,
        }
    }

    /// There is no token to call with: the connection waits, and no job is charged for it.
    async fn no_token(
        &mut self,
        context: &WorkerContext,
        service: &Service,
        lease: Lease,
        settings_version: i64,
        failure: &SyncFailure,
    ) -> Result<RoundEnd, StoreError> {
        let now = context.clock.now();
        // The backoff without its end: nothing is given up here.
        let backoff = Backoff {
            max_attempts: i32::MAX,
            ..context.backoff
        };
        let verdict = judge(
            failure,
            self.tokenless,
            backoff,
            now,
            context.entropy.jitter(),
        );
        self.tokenless = self.tokenless.saturating_add(1);
        let mut tally = Tally::new(None);
        tally.note(failure);
        match verdict {
            Verdict::RetryAt(until) | Verdict::Wait { until, .. } => {
                tally.not_before = Some(until);
            }
            Verdict::AwaitReauth(reason) => tally.reauth = Some(reason),
            Verdict::PauseProvider { until } => {
                service.pause(until, failure);
                tally.not_before = Some(until);
            }
            // Not said of a token; a later look does no harm.
            Verdict::Replan(_) | Verdict::GiveUp => {
                tally.not_before = Some(now + TimeDelta::minutes(1));
            }
        }
        let due = self
            .settle(context, lease, settings_version, Vec::new(), tally, now)
            .await?;
        Ok(RoundEnd::Due(due))
    }

    async fn wait(
        &mut self,
        context: &WorkerContext,
        claim: Claim,
        until: Timestamp,
    ) -> Result<RoundEnd, StoreError> {
        let (lease, settings_version) = (claim.lease, claim.connection.settings_version);
        claim.commit(&[], &[]).await?;
        let mut tally = Tally::new(None);
        tally.not_before = Some(until);
        let now = context.clock.now();
        let due = self
            .settle(context, lease, settings_version, Vec::new(), tally, now)
            .await?;
        Ok(RoundEnd::Due(due))
    }

    /// The operator switched the provider off: its work waits.
    async fn unconfigured(
        &mut self,
        context: &WorkerContext,
        claim: Claim,
    ) -> Result<RoundEnd, StoreError> {
        let until = context.clock.now() + TimeDelta::hours(1);
        self.wait(context, claim, until).await
    }
}

/// The cool-down is over: the connection is active again, and looked at once more.
async fn reactivate(
    context: &WorkerContext,
    claim: Claim,
    now: Timestamp,
) -> Result<RoundEnd, StoreError> {
    let id = claim.connection.id;
    if claim.due_at.is_none_or(|due_at| due_at > now) {
        return Ok(RoundEnd::Due(claim.due_at));
    }
    claim.commit(&[], &[]).await?;
    context
        .store
        .set_connection_status(id, ConnectionStatus::Active, None, Some(now), now)
        .await?;
    tracing::info!(connection.id = %id, "cool-down is over; the connection is tried again");
    Ok(RoundEnd::Due(Some(now)))
}
