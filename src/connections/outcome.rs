//! From an answer to what is recorded of it.

use std::time::Duration;

use chrono::TimeDelta;

use super::context::WorkerContext;
use super::services::Service;
use crate::domain::{
    CalendarEvent, CalendarId, ConnectionId, EventContent, FailureCode, Flags, Jitter, LastSync,
    Mapping, Parts, RateScope, ReauthReason, Stale, SyncFailure, Timestamp, Wait, WaitReason,
};
use crate::plan::{Breaker, Heard, Plan, Tries, Verdict, gone, judge, live};
use crate::provider::{Done, Wrote};
use crate::store::{Claimed, JobEnd, Settlement};

/// How long a connection that our own limits stopped in its work stays away at least.
const OWN_LIMIT_PAUSE: Duration = Duration::from_secs(1);
/// How much longer than all others a connection waits that met a refusal of our set-up: it would be the
/// first to try again each time, and if it is refused alone, nobody would find out.
const BEHIND_OTHERS: TimeDelta = TimeDelta::seconds(10);

/// A row that was planned, and perhaps sent.
pub(super) struct Asked {
    pub(super) claimed: Claimed,
    pub(super) plan: Plan,
    /// As written before the call.
    pub(super) mapping: Option<Mapping>,
    /// The calendar that is to hold an event, if one is.
    pub(super) wanted_in: Option<CalendarId>,
}

/// What a round says about its connection and provider.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// The connection must not call before.
    pub(super) wait: Option<Wait>,
    pub(super) reauth: Option<ReauthReason>,
    pause: Option<(Timestamp, SyncFailure)>,
    /// The provider limits everybody until then.
    closed_until: Option<Timestamp>,
    succeeded: bool,
    /// Something was refused for a reason that makes sense.
    refused: bool,
    /// Something failed that may work later: in a way that speaks of an outage, or in another.
    outage: bool,
    trouble: bool,
    /// The provider limited us, and did not say for how long.
    limited: bool,
    error: Option<String>,
}

impl Tally {
    /// `refused` is what our own limits said to the rest of the due rows, `sent_some` whether any went out
    /// before. They refill drop by drop: the connection comes back for a batch rather than for a drop, and
    /// not with all others. Only if its own limiter was empty from the start, as after a restart, it comes
    /// for the first drop: there may be no more to do.
    pub(super) fn new(
        refused: Option<&SyncFailure>,
        sent_some: bool,
        now: Timestamp,
        jitter: Jitter,
    ) -> Self {
        let mut tally = Self::default();
        if let Some(SyncFailure::RateLimited { until, scope }) = refused {
            let batch = now + OWN_LIMIT_PAUSE + jitter.spread(OWN_LIMIT_PAUSE);
            let until = match (until, scope) {
                (Some(drop), RateScope::Connection) if !sent_some => *drop,
                (until, _) => until.map_or(batch, |until| until.max(batch)),
            };
            tally.wait_until(until, WaitReason::Limit);
        }
        tally
    }

    pub(super) fn heard(&self) -> Heard {
        if self.succeeded || self.refused {
            Heard::Sense
        } else if self.trouble {
            Heard::Trouble
        } else if self.outage {
            Heard::Outage
        } else if self.limited {
            Heard::Limit
        } else {
            Heard::Nothing
        }
    }

    /// Remembers a failure that the coach should see. Being limited is none.
    pub(super) fn note(&mut self, failure: &SyncFailure) {
        match failure {
            SyncFailure::RateLimited { until, .. } => self.limited |= until.is_none(),
            SyncFailure::StaleTarget(_) => self.refused = true,
            SyncFailure::Operator { .. } => {
                let told = "The calendar service does not accept this installation for now; \
                            its operator has been told. Nothing is lost.";
                self.error.get_or_insert_with(|| told.to_owned());
            }
            SyncFailure::Retryable { code, .. } => {
                if code.is_outage() {
                    self.outage = true;
                } else {
                    self.trouble = true;
                }
                self.error.get_or_insert_with(|| failure.to_string());
            }
            SyncFailure::NeedsReauth(_) | SyncFailure::Permanent { .. } => {
                self.refused = true;
                self.error.get_or_insert_with(|| failure.to_string());
            }
        }
    }

    pub(super) fn last_sync(&self) -> Option<(LastSync, Option<String>)> {
        match &self.error {
            Some(error) => Some((LastSync::Error, Some(error.clone()))),
            None if self.succeeded => Some((LastSync::Success, None)),
            None => None,
        }
    }

    /// Tells the provider's gate; answers whether it opened.
    pub(super) fn apply_to(&self, service: &Service, who: ConnectionId, now: Timestamp) -> bool {
        if let Some(until) = self.closed_until {
            service.limit(until);
        }
        let Some((until, failure)) = &self.pause else {
            return service.heard(who, self.heard(), now);
        };
        let provider = service.api.kind();
        let code = failure.code().as_str();
        if service.refused(who, failure, *until, now) {
            tracing::error!(
                %provider,
                code,
                error = %failure,
                "the provider refuses our set-up; it is paused until the operator mends it"
            );
        } else {
            tracing::warn!(
                %provider,
                connection.id = %who,
                code,
                error = %failure,
                "the provider refuses our set-up for this connection; it waits, and others go on"
            );
        }
        false
    }

    /// Until when the provider limits everybody, if it does.
    pub(super) fn closed_until(&self) -> Option<Timestamp> {
        self.closed_until
    }

    pub(super) fn wait_until(&mut self, until: Timestamp, why: WaitReason) {
        let wait = Wait { until, why };
        self.wait = Some(self.wait.map_or(wait, |before| before.and(wait)));
    }

    /// The provider limits the connection, or everybody.
    pub(super) fn limit(&mut self, until: Timestamp, scope: RateScope) {
        self.wait_until(until, WaitReason::Limit);
        if scope == RateScope::Provider {
            self.closed_until = self.closed_until.max(Some(until));
        }
    }

    /// The provider does not accept our set-up.
    pub(super) fn pause(&mut self, until: Timestamp, failure: &SyncFailure) {
        self.wait_until(until + BEHIND_OTHERS, WaitReason::SetUp);
        self.pause = Some((until, failure.clone()));
    }
}

/// What becomes of one row. `answer` is absent if nothing had to be called; `target` is the calendar
/// that the connection writes to.
pub(super) fn settlement(
    asked: Asked,
    answer: Option<Result<Done, SyncFailure>>,
    target: &CalendarId,
    context: &WorkerContext,
    breaker: &Breaker,
    now: Timestamp,
    tally: &mut Tally,
) -> Settlement {
    let Asked {
        claimed,
        plan,
        mapping,
        wanted_in,
    } = asked;
    let wanted_in = wanted_in.as_ref();
    let was_told = claimed.job.error_code.is_some();
    let was_asked = answer.is_some();
    let before = mapping.clone();
    let (mapping, end) = match (answer, mapping) {
        (Some(Ok(done)), Some(before)) => {
            tally.succeeded = true;
            let after = recorded(&plan, &before, done, wanted_in, now);
            (Some(after), succeeded(&plan, claimed.job.scheduled_for))
        }
        (Some(Err(failure)), before) => {
            let failure = unless_left(failure, before.as_ref(), target);
            tally.note(&failure);
            let tries = Tries {
                failed: claimed.job.attempts,
                reported_at: claimed.job.created_at,
            };
            let verdict = judge(
                &failure,
                tries,
                context.backoff,
                breaker,
                now,
                context.entropy.jitter(),
            );
            let gone = |before: &Mapping| gone(before, wanted_in, now);
            failed(&failure, verdict, before.as_ref(), gone, now, tally)
        }
        // Nothing to call, and nothing to remember.
        (None, _) | (Some(Ok(_)), None) => (None, JobEnd::Completed),
    };
    // Where nothing was done, nothing is told, unless it ends what was told to have failed.
    let shown = mapping.as_ref().or(before.as_ref());
    let shows = (was_asked || was_told).then(|| shows(shown));
    Settlement {
        job_id: claimed.job.id,
        appointment_id: claimed.appointment.id,
        mapping,
        end,
        shows,
        erased: claimed.appointment.erased,
    }
}

/// A calendar that is not found is waited for, but not one that the coach has left: nobody may ever
/// bring it back, so its events count as gone with it, as they do when they are moved away.
fn unless_left(
    failure: SyncFailure,
    mapping: Option<&Mapping>,
    target: &CalendarId,
) -> SyncFailure {
    let is_left = mapping.is_some_and(|mapping| mapping.calendar_id != *target);
    if is_left && failure.code() == FailureCode::CalendarNotFound {
        SyncFailure::StaleTarget(Stale::Gone)
    } else {
        failure
    }
}

/// Whether the calendar holds an event for the appointment.
fn shows(mapping: Option<&Mapping>) -> CalendarEvent {
    if mapping.is_some_and(Mapping::may_be_there) {
        CalendarEvent::Present
    } else {
        CalendarEvent::Absent
    }
}

fn recorded(
    plan: &Plan,
    before: &Mapping,
    done: Done,
    wanted_in: Option<&CalendarId>,
    now: Timestamp,
) -> Mapping {
    match (done, content(plan)) {
        (
            Done::Live {
                event_id,
                etag,
                wrote,
            },
            Some(content),
        ) => {
            let parts = match wrote {
                Wrote::All => Parts::ALL,
                Wrote::Only(parts) => parts,
                Wrote::Nothing => Parts::NONE,
            };
            live(before, content, parts, event_id, etag, now)
        }
        // A deletion has no other good end than that the event is gone.
        (Done::Gone, _) | (Done::Live { .. }, None) => gone(before, wanted_in, now),
    }
}

fn succeeded(plan: &Plan, scheduled_for: Timestamp) -> JobEnd {
    match plan {
        Plan::MoveAway => JobEnd::Again {
            // Before all that were queued with it: an event is moved whole before the next ones, and
            // not taken out of the old calendar long before it is in the new one.
            at: scheduled_for - TimeDelta::microseconds(1),
            counted: false,
            flags: Flags::CHANGE,
            error: None,
        },
        Plan::Nothing(_)
        | Plan::Create(_)
        | Plan::FinishCreate(_)
        | Plan::Update(..)
        | Plan::Verify(_)
        | Plan::Delete => JobEnd::Completed,
    }
}

fn failed(
    failure: &SyncFailure,
    verdict: Verdict,
    before: Option<&Mapping>,
    gone: impl Fn(&Mapping) -> Mapping,
    now: Timestamp,
    tally: &mut Tally,
) -> (Option<Mapping>, JobEnd) {
    let error = (failure.code(), failure.to_string());
    let waiting = |at, error: Option<(FailureCode, String)>| JobEnd::Again {
        at,
        counted: false,
        flags: Flags::CHANGE,
        error,
    };
    match verdict {
        Verdict::RetryAt(at) => {
            let end = JobEnd::Again {
                at,
                counted: true,
                flags: Flags::CHANGE,
                error: Some(error),
            };
            (None, end)
        }
        Verdict::WaitOut(at) => (None, waiting(at, Some(error))),
        Verdict::Wait { until, scope } => {
            tally.limit(until, scope);
            (None, waiting(until, Some(error)))
        }
        Verdict::AwaitReauth(reason) => {
            tally.reauth = Some(reason);
            (None, waiting(now, Some(error)))
        }
        Verdict::PauseProvider { until } => {
            tally.pause(until, failure);
            (None, waiting(until, Some(error)))
        }
        Verdict::Replan { stale, at } => {
            let mapping = match stale {
                Stale::Gone => before.map(gone),
                // Read first, next time.
                Stale::Changed => before.map(|before| Mapping {
                    etag: None,
                    ..before.clone()
                }),
            };
            let end = JobEnd::Again {
                at,
                counted: true,
                flags: Flags::CHANGE,
                error: Some(error),
            };
            (mapping, end)
        }
        Verdict::GiveUp => (None, JobEnd::Failed { error }),
    }
}

fn content(plan: &Plan) -> Option<&EventContent> {
    match plan {
        Plan::Create(content)
        | Plan::FinishCreate(content)
        | Plan::Update(content, _)
        | Plan::Verify(content) => Some(content),
        Plan::Nothing(_) | Plan::Delete | Plan::MoveAway => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_finds_its_limiter_empty_comes_for_the_first_drop_and_who_emptied_it_for_a_batch() {
        let now = Timestamp::UNIX_EPOCH;
        let drop = now + TimeDelta::milliseconds(125);
        let batch = now + TimeDelta::milliseconds(1500);
        for (scope, sent_some, expected) in [
            (RateScope::Connection, false, drop),
            (RateScope::Connection, true, batch),
            // A thousand others wait for the same drops.
            (RateScope::Share, false, batch),
        ] {
            let until = Some(drop);
            let refused = SyncFailure::RateLimited { until, scope };
            let tally = Tally::new(Some(&refused), sent_some, now, Jitter(0));
            let wait = tally.wait.expect("a wait");
            assert_eq!((wait.until, wait.why), (expected, WaitReason::Limit));
        }
    }
}
