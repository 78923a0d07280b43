//! The queue as operators and coaches see it, and the replay of failed jobs.
//!
//! A connection that waits as a whole (a limit, an outage) waits in its lease row: writing a new time
//! into each of its rows, perhaps a hundred thousand, at every wait is out of the question. The column
//! `scheduled_for` is therefore a time before which the row is not tried; together with the
//! connection's `not_before` it says when it is. What is answered here is the later of the two.

use std::collections::{BTreeSet, HashMap};

use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveEnum, ColumnTrait, Condition, ConnectionTrait, EntityTrait, ExprTrait, FromQueryResult,
    QueryFilter, QueryOrder, QuerySelect, Select,
};

use super::audit::{Entry, record_for};
use super::entity::{job, lease};
use super::open::commit;
use super::patience::in_time;
use super::sql::Sql;
use super::{Store, StoreError, enqueue};
use crate::domain::{
    AppointmentId, AuditAction, Cause, ConnectionId, Flags, JobId, JobStatus, Operation, Origin,
    Timestamp,
};
use crate::failpoint::Step;

/// One row of the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub id: JobId,
    pub connection_id: ConnectionId,
    pub appointment_id: Option<AppointmentId>,
    pub operation: Operation,
    pub status: JobStatus,
    pub priority: i32,
    pub attempts: i32,
    pub max_attempts: i32,
    pub scheduled_for: Timestamp,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub created_at: Timestamp,
    pub flags: Flags,
    pub cause: Cause,
}

/// So many failed jobs are replayed in one transaction.
const RETRIED_AT_ONCE: i64 = 500;

/// A failed job.
#[derive(FromQueryResult)]
struct Failed {
    id: JobId,
    connection_id: ConnectionId,
    created_at: Timestamp,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct JobFilter {
    pub status: Option<JobStatus>,
    pub connection_id: Option<ConnectionId>,
}

/// Jobs, newest first, and where the next page starts.
#[derive(Clone, Debug)]
pub struct JobPage {
    pub jobs: Vec<Job>,
    pub next: Option<(Timestamp, JobId)>,
}

impl Store {
    pub async fn jobs(
        &self,
        filter: JobFilter,
        after: Option<(Timestamp, JobId)>,
        limit: u64,
    ) -> Result<JobPage, StoreError> {
        let query = page(filter, after, limit.saturating_add(1));
        let mut jobs: Vec<Job> = query
            .all(&self.read)
            .await?
            .into_iter()
            .map(Job::from)
            .collect();
        put_off(&self.read, &mut jobs).await?;
        let page = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = jobs.len() > page;
        jobs.truncate(page);
        let next = jobs
            .last()
            .filter(|_| more)
            .map(|job| (job.created_at, job.id));
        Ok(JobPage { jobs, next })
    }

    /// Makes one failed job pending again and its connection due. `None` if there is no such job; the
    /// status it has if it is not failed.
    pub async fn retry_job(
        &self,
        id: JobId,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<Option<Result<Job, JobStatus>>, StoreError> {
        in_time(async {
        let tx = self.begin().await?;
        let Some(found) = job::Entity::find_by_id(id).one(&tx).await? else {
            return Ok(None);
        };
        enqueue::lock_leases(&tx, &[found.connection_id]).await?;
        let statement = Sql::on(&tx)
            .text("UPDATE calendar_sync_queue SET status = 'pending', attempts = 0, started_at = NULL, completed_at = NULL, scheduled_for = ")
            .value(now)
            .text(" WHERE status = 'failed' AND id = ")
            .value(id)
            .text(" RETURNING *")
            .build();
        let revived = job::Entity::find().from_raw_sql(statement).one(&tx).await?;
        let Some(revived) = revived else {
            return Ok(Some(Err(found.status)));
        };
        enqueue::wake(&tx, &[revived.connection_id], now).await?;
        let entry = Entry {
            subject_id: Some(id.0),
            ..Entry::of(origin, AuditAction::JobsRetried)
        };
        record_for(&tx, &[revived.connection_id], &entry, now).await?;
        commit(tx, Step::Retry).await?;
        Ok(Some(Ok(revived.into())))
        })
        .await
    }

    /// Makes every failed job pending again, some at a time and each once: one that fails anew meanwhile
    /// stays failed. Answers how many, and of which connections.
    pub async fn retry_failed(
        &self,
        connection_id: Option<ConnectionId>,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<(u64, Vec<ConnectionId>), StoreError> {
        let mut revived = 0;
        let mut woken = BTreeSet::new();
        let mut last = None;
        loop {
            let sql = failed_after(&self.read, connection_id, last.as_ref());
            let some = in_time(self.failed(sql)).await?;
            let Some(newest) = some.last() else {
                return Ok((revived, woken.into_iter().collect()));
            };
            let newest = (newest.created_at, newest.id);
            revived += in_time(self.retry_some(&some, &mut woken, origin, now)).await?;
            last = Some(newest);
        }
    }

    async fn failed(&self, sql: Sql) -> Result<Vec<Failed>, StoreError> {
        let found = Failed::find_by_statement(sql.build());
        Ok(found.all(&self.read).await?)
    }

    /// One transaction of it: those among `some` that are still failed. `woken` are connections that were
    /// replayed before: the trail has its line of them.
    async fn retry_some(
        &self,
        some: &[Failed],
        woken: &mut BTreeSet<ConnectionId>,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let connections: BTreeSet<_> = some.iter().map(|job| job.connection_id).collect();
        let new: Vec<_> = connections.difference(woken).copied().collect();
        let connections = Vec::from_iter(connections);
        let tx = self.begin().await?;
        enqueue::lock_leases(&tx, &connections).await?;
        let revived = Sql::on(&tx)
            .text("UPDATE calendar_sync_queue SET status = 'pending', attempts = 0, started_at = NULL, completed_at = NULL, scheduled_for = ")
            .value(now)
            .text(" WHERE status = 'failed' AND id IN ")
            .list(some.iter().map(|job| job.id))
            .execute(&tx)
            .await?;
        enqueue::wake(&tx, &connections, now).await?;
        let entry = Entry::of(origin, AuditAction::JobsRetried);
        record_for(&tx, &new, &entry, now).await?;
        commit(tx, Step::Retry).await?;
        woken.extend(connections);
        Ok(revived)
    }
}

/// Failed jobs in the order in which they were made, behind the last one of before. A job keeps its place
/// there however often it fails, whatever the clocks say of when it did.
pub(super) fn failed_after(
    db: &impl ConnectionTrait,
    connection_id: Option<ConnectionId>,
    last: Option<&(Timestamp, JobId)>,
) -> Sql {
    let mut sql = Sql::on(db).text(
        "SELECT id, connection_id, created_at FROM calendar_sync_queue WHERE status = 'failed'",
    );
    if let Some(id) = connection_id {
        sql = sql.text(" AND connection_id = ").value(id);
    }
    if let Some((created_at, id)) = last {
        sql = sql.text(" AND (created_at, id) > (").value(*created_at);
        sql = sql.text(", ").value(*id).text(")");
    }
    sql.text(" ORDER BY created_at, id LIMIT ")
        .value(RETRIED_AT_ONCE)
}

/// Up to `limit` jobs that fit, newest first.
pub(super) fn page(
    filter: JobFilter,
    after: Option<(Timestamp, JobId)>,
    limit: u64,
) -> Select<job::Entity> {
    let mut query = job::Entity::find()
        .order_by_desc(job::Column::CreatedAt)
        .order_by_desc(job::Column::Id)
        .limit(limit);
    if let Some(status) = filter.status {
        query = query.filter(Expr::cust(status_is(status)));
    }
    if let Some(connection_id) = filter.connection_id {
        query = query.filter(job::Column::ConnectionId.eq(connection_id));
    }
    if let Some((created_at, id)) = after {
        query = query.filter(
            Condition::any()
                .add(job::Column::CreatedAt.lt(created_at))
                .add(
                    job::Column::CreatedAt
                        .eq(created_at)
                        .and(job::Column::Id.lt(id)),
                ),
        );
    }
    query
}

/// Spelled out, so that a database sees which index over one status alone fits.
pub(super) fn status_is(status: JobStatus) -> String {
    format!("status = '{}'", status.to_value())
}

/// A pending job is tried no earlier than its connection may call.
pub(super) async fn put_off(db: &impl ConnectionTrait, jobs: &mut [Job]) -> Result<(), StoreError> {
    let pending = |job: &Job| job.status == JobStatus::Pending;
    let connections: BTreeSet<_> = jobs
        .iter()
        .filter(|job| pending(job))
        .map(|job| job.connection_id)
        .collect();
    if connections.is_empty() {
        return Ok(());
    }
    let waiting: HashMap<ConnectionId, Timestamp> = lease::Entity::find()
        .filter(lease::Column::ConnectionId.is_in(connections))
        .filter(lease::Column::NotBefore.is_not_null())
        .all(db)
        .await?
        .into_iter()
        .filter_map(|row| Some((row.connection_id, row.not_before?)))
        .collect();
    for job in jobs.iter_mut().filter(|job| pending(job)) {
        if let Some(until) = waiting.get(&job.connection_id) {
            job.scheduled_for = std::cmp::max(job.scheduled_for, *until);
        }
    }
    Ok(())
}
