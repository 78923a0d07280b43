//! The spans of a round's rows: the job from its claim to its settling, and in it what was asked of the
//! provider. Many rows share one call; each has it in its own trace.

use super::context::WorkerContext;
use super::planned::Planned;
use crate::domain::{ProviderKind, SyncFailure};
use crate::provider::Done;
use crate::store::JobEnd;
use crate::traces::{Part, Span};

/// Of one row. Ends with the round, whatever becomes of that.
pub(super) struct Traced {
    job: Span,
    /// `None`: nothing has to be called, or it has been.
    call: Option<Span>,
}

impl Traced {
    pub(super) fn begin(context: &WorkerContext, provider: ProviderKind, row: &Planned) -> Self {
        let queued = &row.claimed.job;
        let traces = &context.traces;
        if !traces.are_on() {
            return Self {
                job: Span::none(),
                call: None,
            };
        }
        let parent = queued.cause.traceparent.as_deref();
        let mut job = traces.begin(Part::Job, "job", parent);
        job.set("job.id", queued.id.to_string());
        job.set("connection.id", queued.connection_id.to_string());
        job.set("appointment.id", row.claimed.appointment.id.to_string());
        job.set("provider", provider.as_str());
        job.set("attempts", i64::from(queued.attempts));
        if let Some(request_id) = &queued.cause.request_id {
            job.set("request_id", request_id.clone());
        }
        let call = row.change.as_ref().map(|change| {
            let name = format!("{provider} {}", change.operation());
            let mut call = traces.begin(Part::Call, name, job.traceparent().as_deref());
            call.set("provider", provider.as_str());
            call.set("operation", change.operation());
            call
        });
        Self { job, call }
    }

    /// The provider has answered.
    pub(super) fn called(&mut self, answer: &Result<Done, SyncFailure>) {
        if let (Some(mut call), Err(failure)) = (self.call.take(), answer) {
            call.fail(failure.code().as_str());
        }
    }

    /// With the words of `calendar_jobs_total`.
    pub(super) fn settled(mut self, end: &JobEnd) {
        let outcome = match end {
            JobEnd::Completed => "completed",
            JobEnd::Again { counted: true, .. } => "retried",
            JobEnd::Again { counted: false, .. } => "put_off",
            JobEnd::Failed { error: (code, _) } => {
                self.job.fail(code.as_str());
                "failed"
            }
        };
        self.job.set("outcome", outcome);
    }
}
