//! Calls that only look: a person waits for the answer, so they are made at once, under the lease and
//! within the limits, by the worker that also does the connection's work.
//!
//! What the provider said of its limits holds for them as for rounds: while the connection waits for one
//! nothing is called, and the person is told until when; one that a call meets, the connection's work
//! waits for, too. Other waits are no reason to refuse a person: they may be about to see whether an
//! outage is over.
//!
//! Any node takes them. One that does not hold the lease asks its owner for it, waits a few seconds,
//! and keeps it afterwards: people come back to the node that answered them.

use std::time::Duration;

use ractor::RpcReplyPort;

use super::context::WorkerContext;
use super::round::Hands;
use super::send::still_refused;
use super::services::Service;
use crate::domain::{
    Calendar, CalendarId, Connection, ConnectionStatus, FailureCode, RateScope, ReauthReason,
    SyncFailure, Timestamp, WaitReason,
};
use crate::provider::Access;
use crate::store::{Lease, StoreError};

/// How long a node waits for another to hand a lease over: beyond a usual round, and beyond a third of
/// the default `LEASE_TTL`, within which the owner notices without a message. Well within the time
/// that a request may take.
pub(super) const HANDOVER_PATIENCE: Duration = Duration::from_secs(10);
/// How often it looks meanwhile.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// A limit that ends so soon is waited for, and the person not told of it: while there is much to do,
/// our own holds the connection back for a second or two after every batch, and a moment after a restart.
const SHORT_LIMIT: Duration = Duration::from_secs(3);

/// How a connection answered to a live call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestReport {
    pub ok: bool,
    pub calendar_name: Option<String>,
    pub account_email: String,
    pub latency: Duration,
    pub problem: Option<(FailureCode, String)>,
}

/// Why a connection could not be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// Its worker is elsewhere, restarting or busy for too long: come back shortly.
    #[error("the connection is busy; try again in a few seconds")]
    Busy,
    #[error("there is no such connection")]
    NotFound,
}

pub(super) type CalendarsAnswer = Result<Result<Vec<Calendar>, SyncFailure>, Unreachable>;
pub(super) type CalendarAnswer = Result<Result<Option<Calendar>, SyncFailure>, Unreachable>;

/// What a worker can be asked. The reply carries every outcome: a caller never hangs on a bug.
#[derive(Debug)]
pub(super) enum LiveCall {
    Test(RpcReplyPort<Result<TestReport, Unreachable>>),
    Calendars(RpcReplyPort<CalendarsAnswer>),
    Calendar(CalendarId, RpcReplyPort<CalendarAnswer>),
}

impl LiveCall {
    /// Nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Test(reply) => reply.is_closed(),
            Self::Calendars(reply) => reply.is_closed(),
            Self::Calendar(_, reply) => reply.is_closed(),
        }
    }

    pub(super) fn refuse(self, why: Unreachable) {
        // Whoever asked may be gone by now.
        match self {
            Self::Test(reply) => drop(reply.send(Err(why))),
            Self::Calendars(reply) => drop(reply.send(Err(why))),
            Self::Calendar(_, reply) => drop(reply.send(Err(why))),
        }
    }
}

impl Hands {
    pub(super) async fn answer(
        &mut self,
        context: &WorkerContext,
        call: LiveCall,
    ) -> Result<(), StoreError> {
        if call.is_abandoned() {
            // Calls that piled up behind a long round cost nothing once their callers have left.
            return Ok(());
        }
        let (connection, service) = match self.prepare(context).await? {
            Ok(ready) => ready,
            Err(why) => {
                call.refuse(why);
                return Ok(());
            }
        };
        self.outwait_short_limit(context, service).await?;
        match call {
            LiveCall::Test(reply) => {
                let started = context.clock.monotonic();
                let id = connection.calendar.id.clone();
                let answer = self
                    .look(context, service, &connection, Look::One(&id))
                    .await?;
                let latency = context.clock.monotonic().saturating_sub(started);
                drop(reply.send(Ok(report(&connection, answer.map(Looked::one), latency))));
            }
            LiveCall::Calendars(reply) => {
                let answer = self.look(context, service, &connection, Look::All).await?;
                drop(reply.send(Ok(answer.map(Looked::all))));
            }
            LiveCall::Calendar(id, reply) => {
                let answer = self
                    .look(context, service, &connection, Look::One(&id))
                    .await?;
                drop(reply.send(Ok(answer.map(Looked::one))));
            }
        }
        Ok(())
    }

    async fn prepare<'a>(
        &mut self,
        context: &'a WorkerContext,
    ) -> Result<Result<(Connection, &'a Service), Unreachable>, StoreError> {
        if context
            .store
            .connection(self.connection_id)
            .await?
            .is_none()
        {
            return Ok(Err(Unreachable::NotFound));
        }
        context.nodes.claim_share(context).await?;
        let lease = self.obtain_lease(context).await?;
        if lease.is_none() {
            self.lease = None;
            self.recover = true;
            return Ok(Err(Unreachable::Busy));
        }
        // As the last owner left it.
        let Some(view) = context.store.connection(self.connection_id).await? else {
            return Ok(Err(Unreachable::NotFound));
        };
        self.provider = Some(view.connection.provider);
        (self.wait, self.breaker) = context.store.wait_and_breaker(self.connection_id).await?;
        Ok(match context.services.get(&view.connection.provider) {
            Some(service) => Ok((view.connection, service)),
            None => Err(Unreachable::Busy),
        })
    }

    /// Takes or keeps the lease, or has its owner hand it over; `None` if the owner is busy for too
    /// long.
    async fn obtain_lease(&mut self, context: &WorkerContext) -> Result<Option<Lease>, StoreError> {
        let (id, node, store) = (self.connection_id, context.node, &context.store);
        let deadline = context.clock.monotonic() + HANDOVER_PATIENCE;
        let mut pause = FIRST_PAUSE;
        loop {
            let now = context.clock.now();
            let asked_at = context.clock.monotonic();
            let lease = store.take_lease(id, node, context.lease_ttl, now).await?;
            if let Some(lease) = lease {
                self.took(context, lease, asked_at);
                self.holds(context);
            }
            let left = deadline.saturating_sub(asked_at);
            if lease.is_some() || left.is_zero() || store.is_sqlite() {
                return Ok(lease);
            }
            store.want_lease(id, node, left, now).await?;
            // Its owner learns of it by the same way as of due work, and looks between two rounds.
            context.nodes.pass_on([id]);
            context.clock.sleep(pause.min(left)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Until when the provider, or our limiter on its behalf, wants no call.
    fn limited_until(&self, context: &WorkerContext, service: &Service) -> Option<Timestamp> {
        let now = context.clock.now();
        let stored = self
            .wait
            .filter(|wait| wait.why == WaitReason::Limit && wait.until > now);
        stored
            .map(|wait| wait.until)
            .max(service.limited_until(now))
    }

    async fn outwait_short_limit(
        &self,
        context: &WorkerContext,
        service: &Service,
    ) -> Result<(), StoreError> {
        // Once more if need be: a clock that follows the database's may show a little less by then.
        for _ in 0..3 {
            let until = self.limited_until(context, service);
            let Some(left) = until.and_then(|until| short(until, context)) else {
                break;
            };
            let left = left.max(Duration::from_millis(1));
            self.within_lease(context, context.clock.sleep(left))
                .await?;
        }
        Ok(())
    }

    /// Looks at the provider, unless that wants no call now.
    async fn look(
        &mut self,
        context: &WorkerContext,
        service: &Service,
        connection: &Connection,
        look: Look<'_>,
    ) -> Result<Result<Looked, SyncFailure>, StoreError> {
        if connection.status == ConnectionStatus::NeedsReauth {
            return Ok(Err(SyncFailure::NeedsReauth(ReauthReason::GrantRefused)));
        }
        if let Some(until) = self.limited_until(context, service) {
            return Ok(Err(SyncFailure::RateLimited {
                until: Some(until),
                scope: RateScope::Connection,
            }));
        }
        let mut looked = self.call(context, service, look).await?;
        if let Err(SyncFailure::RateLimited {
            until: Some(until), ..
        }) = &looked
            && let Some(left) = short(*until, context)
        {
            self.within_lease(context, context.clock.sleep(left))
                .await?;
            looked = self.call(context, service, look).await?;
        }
        if let Err(failure) = &looked {
            self.heed(context, service, connection, failure).await?;
        }
        Ok(looked)
    }

    /// A limit, and a grant that is gone for good, concern the connection's work as well: they are
    /// recorded as at the end of a round. All else is this call's alone.
    async fn heed(
        &mut self,
        context: &WorkerContext,
        service: &Service,
        connection: &Connection,
        failure: &SyncFailure,
    ) -> Result<(), StoreError> {
        let concerns_all = match failure {
            // One that is set aside does no work, and is due when that ends.
            SyncFailure::RateLimited { .. } => connection.status == ConnectionStatus::Active,
            SyncFailure::NeedsReauth(_) => true,
            SyncFailure::Retryable { .. }
            | SyncFailure::StaleTarget(_)
            | SyncFailure::Permanent { .. }
            | SyncFailure::Operator { .. } => false,
        };
        let Some(lease) = self.lease.filter(|_| concerns_all) else {
            return Ok(());
        };
        // Nothing was claimed: rows that were left behind still are.
        let recover = self.recover;
        let settings_version = connection.settings_version;
        self.stand_back(context, service, lease, settings_version, failure)
            .await?;
        self.recover = recover;
        Ok(())
    }

    /// Calls the provider; once more with a fresh token if the present one is refused.
    async fn call(
        &mut self,
        context: &WorkerContext,
        service: &Service,
        look: Look<'_>,
    ) -> Result<Result<Looked, SyncFailure>, StoreError> {
        let budget = self.budget(context, service);
        for last in [false, true] {
            if let Err(no_token) = self.make_token_ready(context, service).await {
                return no_token.into_failure().map(Err);
            }
            let Some(token) = self.tokens.access() else {
                break;
            };
            let access = Access {
                token,
                budget: &budget,
            };
            let looked = self.within_lease(context, look.at(service, access)).await?;
            match looked {
                Err(SyncFailure::NeedsReauth(ReauthReason::GrantRefused)) if !last => {
                    self.tokens.access_refused();
                }
                looked => return Ok(looked.map_err(still_refused)),
            }
        }
        Ok(Err(SyncFailure::NeedsReauth(ReauthReason::GrantRefused)))
    }
}

/// How long a limit lasts that is worth waiting for; `None` of one that is over, too.
fn short(until: Timestamp, context: &WorkerContext) -> Option<Duration> {
    let left = (until - context.clock.now()).to_std().ok()?;
    (left <= SHORT_LIMIT).then_some(left)
}

#[derive(Clone, Copy)]
enum Look<'a> {
    All,
    One(&'a CalendarId),
}

enum Looked {
    All(Vec<Calendar>),
    One(Option<Calendar>),
}

impl Look<'_> {
    async fn at(self, service: &Service, access: Access<'_>) -> Result<Looked, SyncFailure> {
        match self {
            Look::All => service.api.calendars(access).await.map(Looked::All),
            Look::One(id) => service.api.calendar(access, id).await.map(Looked::One),
        }
    }
}

impl Looked {
    fn all(self) -> Vec<Calendar> {
        match self {
            Self::All(calendars) => calendars,
            Self::One(calendar) => calendar.into_iter().collect(),
        }
    }

    fn one(self) -> Option<Calendar> {
        match self {
            Self::All(calendars) => calendars.into_iter().next(),
            Self::One(calendar) => calendar,
        }
    }
}

fn report(
    connection: &Connection,
    answer: Result<Option<Calendar>, SyncFailure>,
    latency: Duration,
) -> TestReport {
    let (calendar_name, problem) = match answer {
        Ok(Some(calendar)) => (Some(calendar.name), None),
        Ok(None) => (
            None,
            Some((
                FailureCode::CalendarNotFound,
                "The target calendar no longer exists; choose another one in the settings."
                    .to_owned(),
            )),
        ),
        Err(failure) => (None, Some((failure.code(), failure.to_string()))),
    };
    TestReport {
        ok: problem.is_none(),
        calendar_name,
        account_email: connection.account_email.clone(),
        latency,
        problem,
    }
}
