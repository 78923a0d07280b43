//! A row of the sync queue.

use poem_openapi::Object;

use crate::api::{UtcTime, cursor};
use crate::domain::{AppointmentId, ConnectionId, JobId, JobStatus, Operation};
use crate::store::{Job, JobPage};

/// One piece of work: this appointment may differ from the calendar of this connection.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Job")]
pub(in crate::api) struct JobView {
    id: JobId,
    connection_id: ConnectionId,
    /// Absent for a full sync.
    #[oai(nullable)]
    appointment_id: Option<AppointmentId>,
    /// What it was queued for; what is done is decided when it runs.
    operation: Operation,
    status: JobStatus,
    /// Higher first.
    priority: i32,
    /// Failed attempts since it was last queued.
    attempts: i32,
    max_attempts: i32,
    /// No attempt before then, be it the job or its whole connection that waits.
    scheduled_for: UtcTime,
    #[oai(nullable)]
    started_at: Option<UtcTime>,
    #[oai(nullable)]
    completed_at: Option<UtcTime>,
    #[oai(nullable)]
    error_code: Option<String>,
    #[oai(nullable)]
    error_message: Option<String>,
    created_at: UtcTime,
}

impl From<Job> for JobView {
    fn from(job: Job) -> Self {
        Self {
            id: job.id,
            connection_id: job.connection_id,
            appointment_id: job.appointment_id,
            operation: job.operation,
            status: job.status,
            priority: job.priority,
            attempts: job.attempts,
            max_attempts: job.max_attempts,
            scheduled_for: job.scheduled_for.into(),
            started_at: job.started_at.map(UtcTime),
            completed_at: job.completed_at.map(UtcTime),
            error_code: job.error_code,
            error_message: job.error_message,
            created_at: job.created_at.into(),
        }
    }
}

/// Jobs, newest first.
#[derive(Debug, Object)]
#[oai(rename = "JobPage")]
pub(in crate::api) struct JobPageView {
    jobs: Vec<JobView>,
    /// Leads to the next page; absent on the last one.
    #[oai(skip_serializing_if_is_none)]
    next_cursor: Option<String>,
}

impl From<JobPage> for JobPageView {
    fn from(page: JobPage) -> Self {
        Self {
            jobs: page.jobs.into_iter().map(JobView::from).collect(),
            next_cursor: page.next.map(|(at, id)| cursor::write(at, id.0)),
        }
    }
}
