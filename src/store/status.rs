//! Counting: how a connection stands, and how long the queue is.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, QueryFilter};
use sea_orm::{ConnectionTrait, EntityTrait, FromQueryResult, QueryOrder, QuerySelect};

use super::entity::{connection, job, lease};
use super::jobs::status_is;
use super::patience::in_time;
use super::sql::Sql;
use super::{Job, Store, StoreError};
use crate::domain::{
    ConnectionId, ConnectionStatus, JobStatus, MappingState, ProviderKind, SyncId, Timestamp, Wait,
};

/// A full sync under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncProgress {
    pub sync_id: SyncId,
    pub total: u64,
    pub done: u64,
    pub failed: u64,
}

/// How the work of a connection stands.
#[derive(Clone, Debug)]
pub struct SyncStatus {
    pub pending: u64,
    pub processing: u64,
    pub failed: u64,
    /// Events in the calendar.
    pub synced: u64,
    pub current: Option<SyncProgress>,
    /// What the whole connection waits for, or waited for last.
    pub wait: Option<Wait>,
    /// When the stored access token ends; it is renewed as needed.
    pub access_expires_at: Option<Timestamp>,
    pub recent_jobs: Vec<Job>,
}

/// The queue of one provider.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct QueueDepth {
    pub provider: ProviderKind,
    pub status: JobStatus,
    pub jobs: i64,
}

/// Rows of one status that are counted: enough to see that it is many.
const MOST_COUNTED: i64 = 10_000;

#[derive(FromQueryResult)]
struct StatusCount {
    status: JobStatus,
    jobs: i64,
}

#[derive(FromQueryResult)]
struct OpenCount {
    connection_id: ConnectionId,
    status: JobStatus,
    jobs: i64,
}

#[derive(FromQueryResult)]
struct MappingCount {
    jobs: i64,
}

#[derive(FromQueryResult)]
struct ConnectionCount {
    provider: ProviderKind,
    status: ConnectionStatus,
    connections: i64,
}

const RECENT_JOBS: u64 = 20;

impl Store {
    pub async fn sync_status(&self, id: ConnectionId) -> Result<SyncStatus, StoreError> {
        let counts = count_by_status(
            &self.read,
            Sql::on(&self.read)
                .text("SELECT status, COUNT(*) AS jobs FROM calendar_sync_queue WHERE connection_id = ")
                .value(id)
                .text(" AND status IN ('pending', 'processing', 'failed') AND appointment_id IS NOT NULL GROUP BY status"),
        )
        .await?;
        let synced = MappingCount::find_by_statement(
            Sql::on(&self.read)
                .text("SELECT COUNT(*) AS jobs FROM calendar_event_mappings WHERE connection_id = ")
                .value(id)
                .text(" AND state = ")
                .value(MappingState::Live)
                .build(),
        )
        .one(&self.read)
        .await?
        .map_or(0, |count| unsigned(count.jobs));
        let recent_jobs = job::Entity::find()
            .filter(job::Column::ConnectionId.eq(id))
            .order_by_desc(job::Column::CreatedAt)
            .order_by_desc(job::Column::Id)
            .limit(RECENT_JOBS)
            .all(&self.read)
            .await?;
        let access_expires_at = connection::Entity::find_by_id(id)
            .select_only()
            .column(connection::Column::AccessTokenExpiresAt)
            .into_tuple::<Option<Timestamp>>()
            .one(&self.read)
            .await?
            .flatten();
        let lease = lease::Entity::find_by_id(id).one(&self.read).await?;
        let mut recent_jobs: Vec<Job> = recent_jobs.into_iter().map(Job::from).collect();
        super::jobs::put_off(&self.read, &mut recent_jobs).await?;
        Ok(SyncStatus {
            pending: of(&counts, JobStatus::Pending),
            processing: of(&counts, JobStatus::Processing),
            failed: of(&counts, JobStatus::Failed),
            synced,
            current: self.sync_progress(id).await?,
            wait: lease.as_ref().and_then(lease::Model::wait),
            access_expires_at,
            recent_jobs,
        })
    }

    /// The full sync of a connection that is under way.
    pub async fn sync_progress(
        &self,
        id: ConnectionId,
    ) -> Result<Option<SyncProgress>, StoreError> {
        let running = Sql::on(&self.read)
            .text("SELECT * FROM calendar_sync_queue WHERE operation = 'full_sync' AND status = 'processing' AND connection_id = ")
            .value(id)
            .build();
        let Some(running) = job::Entity::find()
            .from_raw_sql(running)
            .one(&self.read)
            .await?
        else {
            return Ok(None);
        };
        let counts = count_by_status(
            &self.read,
            Sql::on(&self.read)
                .text("SELECT status, COUNT(*) AS jobs FROM calendar_sync_queue WHERE sync_id = ")
                .value(running.id)
                .text(" GROUP BY status"),
        )
        .await?;
        Ok(Some(SyncProgress {
            sync_id: SyncId(running.id.0),
            total: counts.values().sum(),
            done: of(&counts, JobStatus::Completed) + of(&counts, JobStatus::Cancelled),
            failed: of(&counts, JobStatus::Failed),
        }))
    }

    /// Open jobs by provider and status, those of which there are none included: of each status the
    /// oldest ten thousand, so that a backlog is not read to be counted. A provider that has none among
    /// so many is left out of that status: nothing is known of it then.
    pub async fn queue_depth(&self) -> Result<Vec<QueueDepth>, StoreError> {
        in_time(self.queue_depth_within(MOST_COUNTED)).await
    }

    pub(super) async fn queue_depth_within(
        &self,
        most: i64,
    ) -> Result<Vec<QueueDepth>, StoreError> {
        let mut depth = Vec::new();
        for status in [JobStatus::Pending, JobStatus::Processing, JobStatus::Failed] {
            let counted =
                QueueDepth::find_by_statement(oldest_of(&self.read, status, most).build());
            let mut counted = counted.all(&self.read).await?;
            let are_all = counted.iter().map(|row| row.jobs).sum::<i64>() < most;
            for provider in ProviderKind::ALL {
                if are_all && !counted.iter().any(|row| row.provider == provider) {
                    counted.push(QueueDepth {
                        provider,
                        status,
                        jobs: 0,
                    });
                }
            }
            depth.extend(counted);
        }
        Ok(depth)
    }

    /// Connections by provider and status. Reads them all: not to be asked every few seconds.
    pub async fn connection_counts(
        &self,
    ) -> Result<Vec<(ProviderKind, ConnectionStatus, u64)>, StoreError> {
        let statement = Sql::on(&self.read)
            .text("SELECT provider, status, COUNT(*) AS connections FROM coach_calendar_connections GROUP BY provider, status")
            .build();
        let rows = in_time(async {
            Ok(ConnectionCount::find_by_statement(statement)
                .all(&self.read)
                .await?)
        })
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.provider, row.status, unsigned(row.connections)))
            .collect())
    }
}

pub(super) fn oldest_of(db: &impl ConnectionTrait, status: JobStatus, most: i64) -> Sql {
    Sql::on(db)
        .text(
            "SELECT c.provider, q.status, COUNT(*) AS jobs FROM (\
             SELECT connection_id, status FROM calendar_sync_queue \
             WHERE appointment_id IS NOT NULL AND ",
        )
        .text(&status_is(status))
        .text(" ORDER BY created_at, id LIMIT ")
        .value(most)
        .text(
            ") q JOIN coach_calendar_connections c ON c.id = q.connection_id \
             GROUP BY c.provider, q.status",
        )
}

/// Open work per connection: (pending or being worked on, failed).
pub(super) async fn open_counts(
    db: &impl ConnectionTrait,
    ids: &[ConnectionId],
) -> Result<HashMap<ConnectionId, (u64, u64)>, StoreError> {
    let statement = Sql::on(db)
        .text("SELECT connection_id, status, COUNT(*) AS jobs FROM calendar_sync_queue WHERE status IN ('pending', 'processing', 'failed') AND appointment_id IS NOT NULL AND connection_id IN ")
        .list(ids.iter().copied())
        .text(" GROUP BY connection_id, status")
        .build();
    let mut counts: HashMap<ConnectionId, (u64, u64)> = HashMap::new();
    for row in OpenCount::find_by_statement(statement).all(db).await? {
        let entry = counts.entry(row.connection_id).or_default();
        match row.status {
            JobStatus::Pending | JobStatus::Processing => entry.0 += unsigned(row.jobs),
            JobStatus::Failed => entry.1 += unsigned(row.jobs),
            JobStatus::Completed | JobStatus::Cancelled => {}
        }
    }
    Ok(counts)
}

async fn count_by_status(
    db: &impl ConnectionTrait,
    sql: Sql,
) -> Result<HashMap<JobStatus, u64>, StoreError> {
    let rows = StatusCount::find_by_statement(sql.build()).all(db).await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.status, unsigned(row.jobs)))
        .collect())
}

fn of(counts: &HashMap<JobStatus, u64>, status: JobStatus) -> u64 {
    counts.get(&status).copied().unwrap_or(0)
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
