//! What became of a job, told to people: one log line, with the request that asked for it.

use crate::domain::FailureCode;
use crate::store::{Job, JobEnd};

/// Told once the round is recorded, for only then is it true.
pub(super) struct Account {
    job: Job,
    told: Told,
}

enum Told {
    /// The calendar shows it now.
    Arrived,
    /// There was nothing to change: a full sync has thousands of these.
    Nothing,
    /// Tried again, and an attempt is counted.
    Failed((FailureCode, String)),
    /// Nobody's fault: a limit, an outage of the provider, a move between calendars.
    PutOff(Option<FailureCode>),
    GivenUp((FailureCode, String)),
}

impl Account {
    pub(super) fn new(job: Job, sent: bool, end: &JobEnd) -> Self {
        let told = match end {
            JobEnd::Completed if sent => Told::Arrived,
            JobEnd::Completed => Told::Nothing,
            JobEnd::Again {
                counted: true,
                error: Some(error),
                ..
            } => Told::Failed(error.clone()),
            JobEnd::Again { error, .. } => Told::PutOff(error.as_ref().map(|(code, _)| *code)),
            JobEnd::Failed { error } => Told::GivenUp(error.clone()),
        };
        Self { job, told }
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
                    operation = ?$job.operation,
                    attempts = $job.attempts,
                    $($rest)*
                )
            };
        }
        let job = &self.job;
        match &self.told {
            Told::Arrived => tell!(info, job, "the calendar shows the change"),
            Told::Nothing => tell!(debug, job, "there was nothing to change"),
            Told::Failed((code, error)) => {
                tell!(
                    info,
                    job,
                    code = code.as_str(),
                    error,
                    "an attempt failed; it is tried again"
                );
            }
            Told::PutOff(code) => {
                let code = code.map(FailureCode::as_str);
                tell!(debug, job, code, "put off");
            }
            Told::GivenUp((code, error)) => {
                tell!(
                    warn,
                    job,
                    code = code.as_str(),
                    error,
                    "job failed for good; it can be replayed"
                );
            }
        }
    }
}
