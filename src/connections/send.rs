//! Sending the changes of a round: with a good token, and not beyond the end of the lease.

use super::context::WorkerContext;
use super::limiter::ConnectionBudget;
use super::round::Hands;
use super::services::Service;
use super::token::NoToken;
use crate::domain::{FailureCode, ReauthReason, SyncFailure};
use crate::provider::{Access, Budget, Change, Done};
use crate::store::StoreError;

impl Hands {
    /// Sends the changes, and once more with a fresh token those whose token was refused.
    pub(super) async fn perform(
        &mut self,
        context: &WorkerContext,
        service: &Service,
        budget: &ConnectionBudget,
        changes: &[Change],
    ) -> Result<Vec<Result<Done, SyncFailure>>, StoreError> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let mut answers = self.send(context, service, budget, changes).await?;
        let refused: Vec<usize> = answers
            .iter()
            .enumerate()
            .filter(|(_, answer)| {
                matches!(
                    answer,
                    Err(SyncFailure::NeedsReauth(ReauthReason::GrantRefused))
                )
            })
            .map(|(place, _)| place)
            .collect();
        if refused.is_empty() {
            return Ok(answers);
        }
        self.tokens.access_refused();
        if let Err(no_token) = self.make_token_ready(context, service).await {
            let failure = no_token.into_failure()?;
            for place in refused {
                answers[place] = Err(failure.clone());
            }
            return Ok(answers);
        }
        let again: Vec<Change> = refused
            .iter()
            .map(|place| changes[*place].clone())
            .collect();
        let units = again.iter().map(|change| service.api.units(change)).sum();
        let second = match budget.charge(units) {
            Ok(()) => self.send(context, service, budget, &again).await?,
            Err(limited) => vec![Err(limited); again.len()],
        };
        for (place, answer) in refused.into_iter().zip(second) {
            answers[place] = answer.map_err(still_refused);
        }
        Ok(answers)
    }

    /// Waits for a call, but not beyond the end of the lease.
    pub(super) async fn within_lease<T>(
        &self,
        context: &WorkerContext,
        call: impl Future<Output = T>,
    ) -> Result<T, StoreError> {
        context
            .leases
            .within(&*context.clock, self.taken, context.lease_ttl, call)
            .await
    }

    /// Refreshes the token where needed, if the lease lasts. A refresh that has begun is never cut
    /// off: what it brings may be the only copy of a rotated refresh token.
    pub(super) async fn make_token_ready(
        &mut self,
        context: &WorkerContext,
        service: &Service,
    ) -> Result<(), NoToken> {
        self.within_lease(context, std::future::ready(())).await?;
        self.tokens
            .make_ready(context, service, self.connection_id)
            .await
    }

    /// Calls the provider, but not beyond the end of the lease.
    async fn send(
        &self,
        context: &WorkerContext,
        service: &Service,
        budget: &ConnectionBudget,
        changes: &[Change],
    ) -> Result<Vec<Result<Done, SyncFailure>>, StoreError> {
        let Some(token) = self.tokens.access() else {
            let failure = SyncFailure::NeedsReauth(ReauthReason::GrantRefused);
            return Ok(vec![Err(failure); changes.len()]);
        };
        let access = Access { token, budget };
        let started = context.clock.monotonic();
        let in_flight = context.metrics.calling(service.api.kind());
        let calls = service.api.perform(access, changes);
        let answers = self.within_lease(context, calls).await?;
        drop(in_flight);
        self.record.exchanged();
        let took = context.clock.monotonic().saturating_sub(started);
        context
            .metrics
            .called(service.api.kind(), changes, &answers, took);
        Ok(answers)
    }
}

/// The provider just gave us this token: that it refuses it is the provider's trouble, and no reason
/// to send a coach to the sign-in page.
pub(super) fn still_refused(failure: SyncFailure) -> SyncFailure {
    match failure {
        SyncFailure::NeedsReauth(ReauthReason::GrantRefused) => SyncFailure::retryable(
            FailureCode::ServerError,
            "the provider refuses an access token that it has just issued",
        ),
        other => other,
    }
}
