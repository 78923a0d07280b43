//! What became of a job, told to people: one log line, with the request that asked for it.

use super::traced::Traced;
use crate::store::{Job, JobEnd};

/// Told once the round is recorded, for only then is it true.
pub(super) struct Account {
    job: Job,
    end: JobEnd,
    sent: bool,
    traced: Traced,
}

impl Account {
    pub(super) fn new(job: Job, end: JobEnd, sent: bool, traced: Traced) -> Self {
        Self {
            job,
            end,
            sent,
            traced,
        }
    }

    pub(super) fn tell(self) {
        /// A line with what finds everything else about the job.
        macro_rules! tell {
            ($level:ident, $job:expr, $($rest:tt)*) => {
                tracing::$level!(
                    job.id = %$job.id,
                    connection.id = %$job.connection_id,
                    appointment.id = $job.appointment_id.map(tracing::field::display),
                    request_id = $job.cause.request_id.as_deref(),
                    trace_id = $job.cause.trace_id(),
                    operation = $job.operation.as_str(),
                    attempts = $job.attempts,
                    $($rest)*
                )
            };
        }
        let job = &self.job;
        match &self.end {
            JobEnd::Completed if self.sent => tell!(info, job, "the calendar shows the change"),
            // A full sync has thousands of these.
            JobEnd::Completed => tell!(debug, job, "there was nothing to change"),
            JobEnd::Again {
                counted: true,
                error: Some((code, error)),
                ..
            } => {
                tell!(
                    info,
                    job,
                    code = code.as_str(),
                    error,
                    "an attempt failed; it is tried again"
                );
            }
            // Nobody's fault: a limit, an outage of the provider, a move between calendars.
            JobEnd::Again { error, .. } => {
                let code = error.as_ref().map(|(code, _)| code.as_str());
                tell!(debug, job, code, "put off");
            }
            JobEnd::Failed {
                error: (code, error),
            } => {
                tell!(
                    warn,
                    job,
                    code = code.as_str(),
                    error,
                    "job failed for good; it can be replayed"
                );
            }
        }
        self.traced.settled(&self.end);
    }
}
