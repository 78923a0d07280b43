//! The sync queue, for operators.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};

use super::access::Bearer;
use super::document::Tag;
use super::idempotency::{IdempotencyKey, once};
use super::problem::{Code, Problem, Refused, refusals};
use super::view::{JobPageView, JobView};
use super::{ApiState, BASE_PATH, cursor};
use crate::domain::{ConnectionId, JobId, JobStatus};
use crate::store::JobFilter;

pub(super) struct QueueApi;

/// Jobs that are tried again.
#[derive(Debug, Object)]
struct Retried {
    queued: u64,
}

#[derive(ApiResponse)]
enum RetryAnswer {
    /// They are pending again.
    #[oai(status = 202)]
    Queued(Json<Retried>),
}

refusals! {
    ToList: [InvalidCursor];
    ToRetry: [
        JobNotFound, JobNotFailed, PayloadTooLarge, IdempotencyKeyInUse, IdempotencyKeyReused, KeptAnswerUnreadable,
    ];
    ToRetryAll: [PayloadTooLarge, IdempotencyKeyInUse, IdempotencyKeyReused, KeptAnswerUnreadable];
}

#[OpenApi(prefix_path = BASE_PATH, tag = "Tag::Queue")]
impl QueueApi {
    /// Jobs, newest first.
    ///
    /// All, or those with a status or of a connection, a page at a time.
    #[oai(path = "/queue", method = "get", operation_id = "list_jobs")]
    async fn list_jobs(
        &self,
        bearer: Bearer,
        state: Data<&Arc<ApiState>>,
        status: Query<Option<JobStatus>>,
        connection_id: Query<Option<ConnectionId>>,
        /// At most so many; 50 if not given.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<u64>>,
        /// `next_cursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<JobPageView>, Refused<ToList>> {
        bearer.is_operator()?;
        let after = cursor.0.as_deref().map(cursor::read).transpose()?;
        let filter = JobFilter {
            status: status.0,
            connection_id: connection_id.0,
        };
        let page = state
            .store
            .jobs(
                filter,
                after.map(|(at, id)| (at, JobId(id))),
                limit.0.unwrap_or(cursor::DEFAULT_LIMIT),
            )
            .await?;
        Ok(Json(page.into()))
    }

    /// Try one failed job again.
    ///
    /// Its attempts are counted anew. What it does is planned when it runs, by what the appointment is
    /// then.
    #[oai(
        path = "/queue/:job_id/retry",
        method = "post",
        transform = "once",
        operation_id = "retry_job",
        request_header(
            name = "Idempotency-Key",
            ty = "IdempotencyKey",
            description = "Sent again with the same key, it is carried out once."
        )
    )]
    async fn retry_job(
        &self,
        bearer: Bearer,
        state: Data<&Arc<ApiState>>,
        job_id: Path<JobId>,
    ) -> Result<Json<JobView>, Refused<ToRetry>> {
        bearer.is_operator()?;
        let now = state.clock.now();
        let found = state
            .store
            .retry_job(job_id.0, &bearer.origin(), now)
            .await?;
        let retried = found.ok_or(Code::JobNotFound)?;
        let job = retried.map_err(|_| Problem::new(Code::JobNotFailed))?;
        state.waker.wake(&[job.connection_id]);
        Ok(Json(job.into()))
    }

    /// Try all failed jobs again, or those of one connection.
    ///
    /// As for one; the answer says how many became pending.
    #[oai(
        path = "/queue/retry-failed",
        method = "post",
        transform = "once",
        operation_id = "retry_failed_jobs",
        request_header(
            name = "Idempotency-Key",
            ty = "IdempotencyKey",
            description = "Sent again with the same key, it is carried out once."
        )
    )]
    async fn retry_failed_jobs(
        &self,
        bearer: Bearer,
        state: Data<&Arc<ApiState>>,
        connection_id: Query<Option<ConnectionId>>,
    ) -> Result<RetryAnswer, Refused<ToRetryAll>> {
        bearer.is_operator()?;
        let now = state.clock.now();
        let (queued, connections) = state
            .store
            .retry_failed(connection_id.0, &bearer.origin(), now)
            .await?;
        state.waker.wake(&connections);
        Ok(RetryAnswer::Queued(Json(Retried { queued })))
    }
}
