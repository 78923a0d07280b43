//! One round: claim what is due, plan it, send it, settle it.
//!
//! Two transactions and the calls between them. Every decision is `plan`'s; here they are put in
//! order. A crash between any two lines leaves rows being worked on and intents written, which the
//! next owner of the lease takes up.

use super::context::WorkerContext;
use super::limiter::ConnectionBudget;
use super::outcome::{Asked, Tally, settlement};
use super::planned::{Planned, planned_row};
use super::ready::Opened;
use super::services::Service;
use super::token::TokenKeeper;
use crate::domain::{ConnectionId, ConnectionStatus, Mapping, SyncFailure, Timestamp};
use crate::provider::{Budget, Change};
use crate::store::{Claim, Lease, Settled, Settlement, StoreError};

/// What a round leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RoundEnd {
    /// Another node acts for the connection, or it is no more.
    NotOurs,
    /// Nothing more to do until then; `None`: until woken.
    Due(Option<Timestamp>),
}

/// What one worker keeps from round to round.
pub(super) struct Hands {
    pub(super) connection_id: ConnectionId,
    pub(super) tokens: TokenKeeper,
    pub(super) budget: Option<ConnectionBudget>,
    /// The most rows a round takes: what the provider takes at once.
    pub(super) batch: usize,
    pub(super) lease: Option<Lease>,
    /// Whether rows may be left that were taken and never settled.
    pub(super) recover: bool,
    /// Rounds in a row that could not even get a token, for the backoff between them.
    pub(super) tokenless: i32,
}

impl Hands {
    pub(super) async fn round(&mut self, context: &WorkerContext) -> Result<RoundEnd, StoreError> {
        let taken_at = context.clock.monotonic();
        let (claim, service) = match self.open_claim(context).await? {
            Opened::Claim(claim, service) => (*claim, service),
            Opened::Ended(end) => return Ok(end),
        };
        let lease = claim.lease;
        let settings_version = claim.connection.settings_version;
        let provider = claim.connection.provider;
        let budget = self.budget(context, service);
        let (planned, refused) = self.admit(context, &claim, service, &budget);
        let intents: Vec<Mapping> = planned
            .iter()
            .filter(|row| row.mapping != row.claimed.mapping)
            .filter_map(|row| row.mapping.clone())
            .collect();
        let taken: Vec<_> = planned.iter().map(|row| row.claimed.job.id).collect();
        // Until the settle, rows may be left behind by whatever happens here.
        self.recover = true;
        claim.commit(&taken, &intents).await?;
        for row in &planned {
            context
                .metrics
                .started(provider, &row.claimed.job, context.clock.now());
        }

        let calls: Vec<Change> = planned
            .iter()
            .filter_map(|row| row.change.clone())
            .collect();
        let mut answers = self
            .perform(context, service, &budget, &calls, lease, taken_at)
            .await?
            .into_iter();

        let now = context.clock.now();
        let mut tally = Tally::new(refused.as_ref());
        let settlements: Vec<Settlement> = planned
            .into_iter()
            .map(|row| {
                let answer = row.change.is_some().then(|| answers.next()).flatten();
                let asked = Asked {
                    claimed: row.claimed,
                    plan: row.plan,
                    mapping: row.mapping,
                };
                settlement(asked, answer, context, now, &mut tally)
            })
            .collect();
        for settlement in &settlements {
            context.metrics.settled(provider, &settlement.end);
        }
        tally.apply_to(service);
        let due = self
            .settle(context, lease, settings_version, settlements, tally, now)
            .await?;
        Ok(RoundEnd::Due(due))
    }

    pub(super) fn budget(
        &mut self,
        context: &WorkerContext,
        service: &Service,
    ) -> ConnectionBudget {
        self.budget
            .get_or_insert_with(|| service.budget(&context.clock))
            .clone()
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
        let settled = Settled {
            lease,
            settings_version,
            settlements,
            not_before: tally.not_before,
            status: tally
                .reauth
                .map(|reason| (ConnectionStatus::NeedsReauth, reason.as_str().to_owned())),
            last_sync: tally.last_sync(),
            max_attempts: context.backoff.max_attempts,
            now,
        };
        let due = context.store.settle(settled).await?;
        self.recover = false;
        Ok(due)
    }
}
