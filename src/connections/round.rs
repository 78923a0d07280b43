//! One round: claim what is due, plan it, send it, settle it.
//!
//! Two transactions and the calls between them. Every decision is `plan`'s; here they are put in
//! order. A crash between any two lines leaves rows being worked on and intents written, which the
//! next owner of the lease takes up.

use std::sync::{Arc, OnceLock};

use super::account::Account;
use super::context::{Taken, WorkerContext};
use super::limiter::ConnectionBudget;
use super::outcome::{Asked, Tally, settlement};
use super::planned::{Planned, planned_row};
use super::ready::Opened;
use super::record::Record;
use super::services::Service;
use super::token::TokenKeeper;
use super::traced::Traced;
use crate::domain::{
    ConnectionId, FailureCode, Mapping, ProviderKind, SyncFailure, Timestamp, Wait, WaitReason,
};
use crate::failpoint::{self, Step};
use crate::health;
use crate::plan::{Breaker, Heard};
use crate::provider::{Budget, Change, Done};
use crate::store::{Claim, Lease, Settled, Settlement, StoreError};

/// What a round leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RoundEnd {
    /// Another node acts for the connection, or it is no more.
    NotOurs,
    /// Given up for the node that waited for it.
    HandedOver,
    /// Nothing more to do until then; `None`: until woken.
    Due(Option<Timestamp>),
}

/// What one worker keeps from round to round.
pub(super) struct Hands {
    pub(super) connection_id: ConnectionId,
    pub(super) record: Arc<Record>,
    pub(super) tokens: TokenKeeper,
    /// Shared with the supervisor: a crash must not refill it.
    pub(super) budget: Arc<OnceLock<ConnectionBudget>>,
    /// The most rows a round takes: what the provider takes at once. A breaker makes it fewer.
    pub(super) batch: usize,
    pub(super) provider: Option<ProviderKind>,
    /// As stored.
    pub(super) wait: Option<Wait>,
    pub(super) lease: Option<Lease>,
    /// When the lease was last taken or kept.
    pub(super) taken: Taken,
    /// Whether rows may be left that were taken and never settled.
    pub(super) recover: bool,
    /// As stored.
    pub(super) breaker: Breaker,
    /// This round showed that the provider is open again, for all.
    pub(super) reopened: Option<ProviderKind>,
}

impl Hands {
    pub(super) async fn round(&mut self, context: &WorkerContext) -> Result<RoundEnd, StoreError> {
        context.nodes.claim_share(context).await?;
        let (claim, service) = match self.open_claim(context).await? {
            Opened::Claim(claim, service) => (*claim, service),
            Opened::Ended(end) => return Ok(end),
        };
        let lease = claim.lease;
        let settings_version = claim.connection.settings_version;
        let provider = claim.connection.provider;
        let target = claim.connection.calendar.id.clone();
        let budget = self.budget(context, service);
        failpoint::before(Step::Limiter)?;
        let (planned, refused) = self.admit(context, &claim, service, &budget);
        failpoint::after(Step::Limiter)?;
        let intents: Vec<Mapping> = planned
            .iter()
            .filter(|row| row.mapping != row.claimed.mapping)
            .filter_map(|row| row.mapping.clone())
            .collect();
        let taken: Vec<_> = planned.iter().map(|row| row.claimed.job.id).collect();
        // Until the settle, rows may be left behind by whatever happens here.
        self.recover = true;
        claim.commit(&taken, &intents).await?;
        self.holds(context);
        for row in &planned {
            context
                .metrics
                .started(provider, &row.claimed.job, context.clock.now());
        }

        let traced: Vec<Traced> = planned
            .iter()
            .map(|row| Traced::begin(context, provider, row))
            .collect();
        let calls: Vec<Change> = planned
            .iter()
            .filter_map(|row| row.change.clone())
            .collect();
        let mut answers = self
            .perform(context, service, &budget, &calls)
            .await?
            .into_iter();

        let now = context.clock.now();
        let sent_some = !calls.is_empty();
        let mut tally = Tally::new(refused.as_ref(), sent_some, now, context.entropy.jitter());
        let mut ends = Vec::with_capacity(planned.len());
        let mut accounts = Vec::with_capacity(planned.len());
        let settlements: Vec<Settlement> = planned
            .into_iter()
            .zip(traced)
            .map(|(row, mut traced)| {
                let job = row.claimed.job.clone();
                let sent = row.change.is_some();
                let answer = row
                    .change
                    .is_some()
                    .then(|| answers.next().unwrap_or_else(unanswered));
                if let Some(answer) = &answer {
                    traced.called(answer);
                }
                let asked = Asked {
                    claimed: row.claimed,
                    plan: row.plan,
                    mapping: row.mapping,
                    wanted_in: row.wanted_in,
                };
                let settlement = settlement(
                    asked,
                    answer,
                    &target,
                    context,
                    &self.breaker,
                    now,
                    &mut tally,
                );
                ends.push(health::Settled::new(&job, sent, &settlement.end));
                let end = settlement.end.clone();
                accounts.push(Account::new(job, end, sent, traced));
                settlement
            })
            .collect();
        self.hear(context, service, &mut tally, now);
        let due = self
            .settle(context, lease, settings_version, settlements, tally, now)
            .await?;
        for end in ends {
            context.metrics.settled(provider, end, now);
        }
        for account in accounts {
            account.tell();
        }
        Ok(RoundEnd::Due(due))
    }

    /// Tells the breakers, the connection's own and the provider's, how the round went, and the other
    /// nodes what concerns them. While nothing
    /// succeeds, the connection waits between its rounds, however many rows are due: a provider in
    /// trouble is probed, not hammered.
    pub(super) fn hear(
        &mut self,
        context: &WorkerContext,
        service: &Service,
        tally: &mut Tally,
        now: Timestamp,
    ) {
        let heard = tally.heard();
        match heard {
            Heard::Trouble | Heard::Outage => {
                let jitter = context.entropy.jitter();
                let hold = self.breaker.hold(context.backoff, now, jitter);
                tally.wait_until(now + hold, WaitReason::Outage);
            }
            Heard::Sense | Heard::Limit | Heard::Nothing => {}
        }
        self.breaker = self.breaker.after(heard, now);
        if let Some(until) = tally.closed_until() {
            context.nodes.limited(service.api.kind(), until);
        }
        if tally.apply_to(service, self.connection_id, now) {
            self.reopened = Some(service.api.kind());
        }
    }

    pub(super) fn budget(&self, context: &WorkerContext, service: &Service) -> ConnectionBudget {
        let budget = self.budget.get_or_init(|| service.budget(&context.clock));
        if let Some(lease) = self.lease {
            budget.own.under(lease);
        }
        budget.clone()
    }

    /// Plans the due rows, as many as fit one batch and the limits. Rows that need no call cost
    /// nothing; the first row that the limits refuse ends the round's intake.
    fn admit(
        &self,
        context: &WorkerContext,
        claim: &Claim,
        service: &Service,
        budget: &ConnectionBudget,
    ) -> (Vec<Planned>, Option<SyncFailure>) {
        let now = context.clock.now();
        let mut planned = Vec::with_capacity(claim.due.len());
        let mut calls = 0;
        for claimed in &claim.due {
            let row = planned_row(claimed, claim, service, now);
            if let Some(change) = &row.change {
                if calls == service.api.max_batch() {
                    break;
                }
                if let Err(refused) = budget.charge(service.api.units(change)) {
                    return (planned, Some(refused));
                }
                calls += 1;
            }
            planned.push(row);
        }
        (planned, None)
    }

    pub(super) async fn settle(
        &mut self,
        context: &WorkerContext,
        lease: Lease,
        settings_version: i64,
        settlements: Vec<Settlement>,
        tally: Tally,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let (wait, reauth) = (tally.wait, tally.reauth);
        let settled = Settled {
            lease,
            settings_version,
            settlements,
            wait,
            breaker: self.breaker,
            reauth: reauth.map(|reason| (self.tokens.seen_version(), reason)),
            last_sync: tally.last_sync(),
            max_attempts: context.backoff.max_attempts,
            now,
        };
        let due = context.store.settle(settled).await?;
        context.changed([self.connection_id.into()]);
        if let Some(reason) = reauth {
            tracing::warn!(
                connection.id = %self.connection_id,
                reason = reason.as_str(),
                "the coach has to sign in again; until then the work is kept"
            );
        }
        self.recover = false;
        self.wait = wait;
        if let (Some(provider), Some(wait)) = (self.provider, wait) {
            context.metrics.waited(provider, wait.why);
        }
        Ok(due)
    }
}

/// A provider client that answers fewer changes than it was given has a bug; nothing is lost by it.
fn unanswered() -> Result<Done, SyncFailure> {
    Err(SyncFailure::retryable(
        FailureCode::BadAnswer,
        "the change was not answered",
    ))
}
