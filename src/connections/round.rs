//! One round: claim what is due, plan it, send it, settle it.
//!
//! Two transactions and the calls between them. Every decision is `plan`'s; here they are put in
//! order. A crash between any two lines leaves rows being worked on and intents written, which the
//! next owner of the lease takes up.

use std::time::Duration;

use chrono::TimeDelta;

use super::context::WorkerContext;
use super::limiter::ConnectionBudget;
use super::outcome::{Asked, Tally, settlement};
use super::services::Service;
use super::token::{NoToken, TokenKeeper};
use crate::domain::{
    ConnectionId, ConnectionStatus, Mapping, ReauthReason, SyncFailure, Timestamp,
};
use crate::plan::{Plan, Situation, Verdict, intent, judge, plan};
use crate::provider::{Access, Budget, Change, Done};
use crate::store::{Claim, ClaimRequest, Claimed, Lease, Settled, Settlement, StoreError};

/// How often tokens that were replaced under our hands are read again before giving the round up.
const TOKEN_READS: usize = 3;

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

/// A claim that can be worked on, or how the round ends without one.
enum Opened<'a> {
    Claim(Box<Claim>, &'a Service),
    Ended(RoundEnd),
}

/// Rows to work on, planned.
struct Planned {
    claimed: Claimed,
    plan: Plan,
    /// The mapping as it is once the intent is written.
    mapping: Option<Mapping>,
    change: Option<Change>,
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
        {
            let _database = context.database.acquire().await;
            claim.commit(&taken, &intents).await?;
        }
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

    /// Makes the token ready and claims; both under the lease.
    async fn open_claim<'a>(
        &mut self,
        context: &'a WorkerContext,
    ) -> Result<Opened<'a>, StoreError> {
        for _ in 0..TOKEN_READS {
            let now = context.clock.now();
            let claim = {
                let _database = context.database.acquire().await;
                context.store.claim(self.request(context, now)).await?
            };
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

    /// Sends the changes, and once more with a fresh token those whose token was refused.
    async fn perform(
        &mut self,
        context: &WorkerContext,
        service: &Service,
        budget: &ConnectionBudget,
        changes: &[Change],
        lease: Lease,
        taken_at: Duration,
    ) -> Result<Vec<Result<Done, SyncFailure>>, StoreError> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let mut answers = self
            .send(context, service, budget, changes, taken_at)
            .await?;
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
        match self.tokens.make_ready(context, service, lease).await {
            Ok(()) => {}
            Err(NoToken::Store(error)) => return Err(error),
            Err(NoToken::Failure(failure)) => {
                for place in refused {
                    answers[place] = Err(failure.clone());
                }
                return Ok(answers);
            }
        }
        let again: Vec<Change> = refused
            .iter()
            .map(|place| changes[*place].clone())
            .collect();
        let units = again.iter().map(|change| service.api.units(change)).sum();
        let second = match budget.charge(units) {
            Ok(()) => {
                self.send(context, service, budget, &again, taken_at)
                    .await?
            }
            Err(limited) => vec![Err(limited); again.len()],
        };
        for (place, answer) in refused.into_iter().zip(second) {
            answers[place] = answer;
        }
        Ok(answers)
    }

    /// Calls the provider, but not beyond the end of the lease.
    async fn send(
        &self,
        context: &WorkerContext,
        service: &Service,
        budget: &ConnectionBudget,
        changes: &[Change],
        taken_at: Duration,
    ) -> Result<Vec<Result<Done, SyncFailure>>, StoreError> {
        let Some(token) = self.tokens.access() else {
            let failure = SyncFailure::NeedsReauth(ReauthReason::GrantRefused);
            return Ok(vec![Err(failure); changes.len()]);
        };
        let access = Access { token, budget };
        let started = context.clock.monotonic();
        let answers = tokio::select! {
            answers = service.api.perform(access, changes) => answers,
            () = lease_ends(context, taken_at) => return Err(StoreError::LeaseLost),
        };
        let took = context.clock.monotonic().saturating_sub(started);
        context
            .metrics
            .called(service.api.kind(), changes, &answers, took);
        Ok(answers)
    }

    async fn settle(
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
        let due = {
            let _database = context.database.acquire().await;
            context.store.settle(settled).await?
        };
        self.recover = false;
        Ok(due)
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
        let backoff = crate::plan::Backoff {
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

fn planned_row(claimed: &Claimed, claim: &Claim, service: &Service, now: Timestamp) -> Planned {
    let plan = plan(Situation {
        appointment: &claimed.appointment,
        mapping: claimed.mapping.as_ref(),
        connection: &claim.connection,
        flags: claimed.job.flags,
        now,
    });
    let intended = intent(
        &plan,
        claimed.mapping.as_ref(),
        claimed.appointment.id,
        &claim.connection,
    )
    .map(|mapping| Mapping {
        event_id: mapping
            .event_id
            .clone()
            .or_else(|| service.api.planned_event_id(&mapping.key())),
        ..mapping
    });
    let mapping = intended.or_else(|| claimed.mapping.clone());
    let change = change(&plan, mapping.as_ref());
    Planned {
        claimed: claimed.clone(),
        plan,
        mapping,
        change,
    }
}

/// The plan in the provider's vocabulary; `None` if nothing is to be called.
fn change(plan: &Plan, mapping: Option<&Mapping>) -> Option<Change> {
    let mapping = mapping?;
    let pushed_guest = mapping
        .pushed
        .as_ref()
        .and_then(|pushed| pushed.guest.clone());
    match plan {
        Plan::Nothing(_) => None,
        Plan::Create(content) | Plan::FinishCreate(content) => Some(Change::Create {
            key: mapping.key(),
            calendar_id: mapping.calendar_id.clone(),
            content: content.clone(),
            unsure: matches!(plan, Plan::FinishCreate(_)),
        }),
        Plan::Update(content, parts) => Some(Change::Update {
            target: mapping.event_ref(),
            content: content.clone(),
            parts: *parts,
            pushed_guest,
        }),
        Plan::Verify(content) => Some(Change::Verify {
            target: mapping.event_ref(),
            content: content.clone(),
            pushed_guest,
        }),
        Plan::Delete | Plan::MoveAway => Some(Change::Delete {
            target: mapping.event_ref(),
        }),
    }
}

/// Returns when the lease that was taken at `taken_at` ends without having been renewed.
async fn lease_ends(context: &WorkerContext, taken_at: Duration) {
    let mut end = context.leases.end(taken_at, context.lease_ttl);
    loop {
        let now = context.clock.monotonic();
        if now >= end {
            return;
        }
        context.clock.sleep(end - now).await;
        // Renewed meanwhile, with all others?
        end = context.leases.end(taken_at, context.lease_ttl);
    }
}
