//! Taking a connection's due work, in the one transaction that also records what is about to happen.
//!
//! The claim holds the lease row from its first statement to its end. Between [`Store::claim`] and
//! [`Claim::commit`] the caller plans and asks its limiters, neither of which waits; what it does not
//! take stays pending. Nothing is sent before the commit.

use std::collections::HashMap;
use std::time::Duration;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, Statement,
};

use tokio::sync::OwnedSemaphorePermit;

use super::entity::{appointment, connection, job, lease, mapping};
use super::open::commit;
use super::patience::in_time;
use super::sql::Sql;
use super::{Job, Lease, Store, StoreError, handover, leases, tokens};
use crate::domain::{
    Appointment, AppointmentId, Connection, ConnectionId, JobId, Mapping, NodeId, Priority,
    Timestamp, Wait,
};
use crate::failpoint::Step;
use crate::plan::Breaker;

/// What a worker asks for.
#[derive(Clone, Copy, Debug)]
pub struct ClaimRequest {
    pub connection_id: ConnectionId,
    pub node: NodeId,
    pub lease_ttl: Duration,
    pub limit: usize,
    pub now: Timestamp,
    /// Whether rows may be left that an earlier round of this connection never settled: at the first
    /// round of a worker, and after a failed settle.
    pub recover: bool,
}

/// An open claim: what is due, read under the lease.
#[derive(Debug)]
pub struct Claim {
    tx: DatabaseTransaction,
    pub lease: Lease,
    /// From a node that fell silent.
    pub taken_over: bool,
    pub connection: Connection,
    pub tokens: Option<tokens::StoredTokens>,
    pub due: Vec<Claimed>,
    pub wait: Option<Wait>,
    pub breaker: Breaker,
    /// When the connection was due, before this claim.
    pub due_at: Option<Timestamp>,
    now: Timestamp,
    /// After the transaction, which must end first.
    _turn: Option<OwnedSemaphorePermit>,
}

/// Why nothing was claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoClaim {
    /// Another node acts for the connection, or it is no more.
    NotOurs,
    /// It was ours, and is now kept for the node that waited for it.
    HandedOver,
}

/// One due row, with what planning needs.
#[derive(Clone, Debug)]
pub struct Claimed {
    pub job: Job,
    pub appointment: Appointment,
    pub mapping: Option<Mapping>,
}

impl Store {
    /// Takes or keeps the lease and reads what is due. A lease that another node waits for is given
    /// up instead: between two rounds nothing is under way.
    pub async fn claim(&self, request: ClaimRequest) -> Result<Result<Claim, NoClaim>, StoreError> {
        in_time(self.open_claim(request)).await
    }

    async fn open_claim(
        &self,
        request: ClaimRequest,
    ) -> Result<Result<Claim, NoClaim>, StoreError> {
        let ClaimRequest {
            connection_id,
            node,
            lease_ttl,
            limit,
            now,
            recover: recover_asked,
        } = request;
        let turn = self.round().await;
        let tx = self.begin().await?;
        // Without its lock: good for who it was, not for what it has to wait for.
        let before = lease::Entity::find_by_id(connection_id).one(&tx).await?;
        let is_wanted = before
            .as_ref()
            .is_some_and(|lease| lease.wanted_by.is_some());
        if is_wanted && handover::hand_over(&tx, connection_id, node, now).await? {
            commit(tx, Step::HandOver).await?;
            return Ok(Err(NoClaim::HandedOver));
        }
        let Some(taken) = leases::acquire(&tx, connection_id, node, lease_ttl, now).await? else {
            return Ok(Err(NoClaim::NotOurs));
        };
        let lease = Lease::of(node, &taken);
        let Some(row) = connection::Entity::find_by_id(connection_id)
            .one(&tx)
            .await?
        else {
            return Ok(Err(NoClaim::NotOurs));
        };
        let new_owner = before
            .as_ref()
            .is_none_or(|before| before.epoch != lease.epoch);
        if recover_asked || new_owner {
            recover(&tx, connection_id).await?;
        }
        let tokens = tokens::of_row(&row);
        let due = due_rows(&tx, connection_id, limit, now).await?;
        let last_owner = before.as_ref().and_then(|before| before.node);
        Ok(Ok(Claim {
            lease,
            taken_over: last_owner.is_some_and(|last| last != node),
            connection: row.try_into()?,
            tokens,
            due: with_context(&tx, connection_id, due).await?,
            wait: taken.wait(),
            breaker: taken.breaker(),
            due_at: taken.due_at,
            now,
            tx,
            _turn: turn,
        }))
    }
}

impl Claim {
    /// Commits: these rows are being worked on, and these intents are durable.
    pub async fn commit(self, taken: &[JobId], intents: &[Mapping]) -> Result<(), StoreError> {
        in_time(async {
            if !taken.is_empty() {
                take(&self.tx, taken, self.now).execute(&self.tx).await?;
            }
            save_mappings(&self.tx, intents, self.now).await?;
            commit(self.tx, Step::Claim).await
        })
        .await
    }
}

pub(super) fn take(db: &impl ConnectionTrait, jobs: &[JobId], now: Timestamp) -> Sql {
    Sql::on(db)
        .text("UPDATE calendar_sync_queue SET status = 'processing', started_at = ")
        .value(now)
        .text(" WHERE ")
        .plain_column("status")
        .text(" = 'pending' AND id IN ")
        .list(jobs.iter().copied())
}

/// Rows that a worker took and never settled become pending again. Where a successor was queued
/// meanwhile, the successor inherits what the row was for.
async fn recover(db: &impl ConnectionTrait, connection_id: ConnectionId) -> Result<(), StoreError> {
    let left = Sql::on(db)
        .text(
            "SELECT 1 FROM calendar_sync_queue WHERE status = 'processing' \
             AND appointment_id IS NOT NULL AND connection_id = ",
        )
        .value(connection_id)
        .text(" LIMIT 1")
        .build();
    if db.query_one_raw(left).await?.is_none() {
        return Ok(());
    }
    inherit(db, connection_id).execute(db).await?;
    // A folded row leaves its sync to the successor, so that progress counts the work once.
    fold(db, connection_id).execute(db).await?;
    Sql::on(db)
        .text(
            "UPDATE calendar_sync_queue SET status = 'pending', started_at = NULL \
             WHERE status = 'processing' AND appointment_id IS NOT NULL AND connection_id = ",
        )
        .value(connection_id)
        .execute(db)
        .await?;
    Ok(())
}

/// Their successors take over what rows that were never settled were for.
pub(super) fn inherit(db: &impl ConnectionTrait, connection_id: ConnectionId) -> Sql {
    Sql::on(db)
        .text(
            "UPDATE calendar_sync_queue SET \
               forced = (calendar_sync_queue.forced OR left_over.forced), \
               verify = (calendar_sync_queue.verify OR left_over.verify), \
               sync_id = COALESCE(calendar_sync_queue.sync_id, left_over.sync_id), \
               priority = CASE WHEN left_over.priority > calendar_sync_queue.priority \
                 THEN left_over.priority ELSE calendar_sync_queue.priority END \
             FROM calendar_sync_queue left_over \
             WHERE left_over.status = 'processing' \
               AND left_over.appointment_id = calendar_sync_queue.appointment_id AND ",
        )
        // Few rows are left over, and many may be pending: the former are to lead to the latter.
        .plain_column("calendar_sync_queue.connection_id")
        .text(" = left_over.connection_id AND ")
        .plain_column("calendar_sync_queue.status")
        .text(" IN ('pending', 'failed') AND left_over.connection_id = ")
        .value(connection_id)
}

/// Rows that were never settled and have a successor go.
pub(super) fn fold(db: &impl ConnectionTrait, connection_id: ConnectionId) -> Sql {
    Sql::on(db)
        .text(
            "DELETE FROM calendar_sync_queue WHERE status = 'processing' AND EXISTS \
             (SELECT 1 FROM calendar_sync_queue open \
               WHERE open.appointment_id = calendar_sync_queue.appointment_id AND ",
        )
        .plain_column("open.connection_id")
        .text(" = calendar_sync_queue.connection_id AND ")
        .plain_column("open.status")
        .text(" IN ('pending', 'failed')) AND connection_id = ")
        .value(connection_id)
}

async fn due_rows(
    db: &impl ConnectionTrait,
    connection_id: ConnectionId,
    limit: usize,
    now: Timestamp,
) -> Result<Vec<Job>, StoreError> {
    let mut due = Vec::new();
    // Class by class, so that the index yields the earliest of each without sorting.
    for priority in Priority::HIGHEST_FIRST {
        let left = limit.saturating_sub(due.len());
        if left == 0 {
            break;
        }
        let rows = job::Entity::find()
            .from_raw_sql(due_of_class(db, connection_id, priority, left, now))
            .all(db)
            .await?;
        due.extend(rows.into_iter().map(Job::from));
    }
    Ok(due)
}

pub(super) fn due_of_class(
    db: &impl ConnectionTrait,
    connection_id: ConnectionId,
    priority: Priority,
    limit: usize,
    now: Timestamp,
) -> Statement {
    Sql::on(db)
        .text("SELECT * FROM calendar_sync_queue WHERE status = 'pending' AND connection_id = ")
        .value(connection_id)
        .text(" AND priority = ")
        .value(priority.as_i32())
        .text(" AND scheduled_for <= ")
        .value(now)
        .text(" ORDER BY scheduled_for LIMIT ")
        .value(i64::try_from(limit).unwrap_or(i64::MAX))
        .build()
}

async fn with_context(
    db: &impl ConnectionTrait,
    connection_id: ConnectionId,
    jobs: Vec<Job>,
) -> Result<Vec<Claimed>, StoreError> {
    let ids: Vec<AppointmentId> = jobs.iter().filter_map(|job| job.appointment_id).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut appointments = HashMap::with_capacity(ids.len());
    for row in appointment::Entity::find()
        .filter(appointment::Column::Id.is_in(ids.iter().copied()))
        .all(db)
        .await?
    {
        appointments.insert(row.id, Appointment::try_from(row)?);
    }
    let mut mappings: HashMap<AppointmentId, Mapping> = mapping::Entity::find()
        .from_raw_sql(mappings_of(db, connection_id, &ids).build())
        .all(db)
        .await?
        .into_iter()
        .map(|row| (row.appointment_id, row.into()))
        .collect();
    Ok(jobs
        .into_iter()
        .filter_map(|job| {
            let id = job.appointment_id?;
            Some(Claimed {
                // The foreign key keeps the appointment there as long as the job is.
                appointment: appointments.get(&id)?.clone(),
                mapping: mappings.remove(&id),
                job,
            })
        })
        .collect())
}

pub(super) fn mappings_of(
    db: &impl ConnectionTrait,
    connection_id: ConnectionId,
    appointments: &[AppointmentId],
) -> Sql {
    Sql::on(db)
        .text("SELECT * FROM calendar_event_mappings WHERE appointment_id IN ")
        .list(appointments.iter().copied())
        .text(" AND ")
        .plain_column("connection_id")
        .text(" = ")
        .value(connection_id)
}

pub(super) async fn save_mappings(
    db: &impl ConnectionTrait,
    mappings: &[Mapping],
    now: Timestamp,
) -> Result<(), StoreError> {
    if mappings.is_empty() {
        return Ok(());
    }
    let columns = [
        mapping::Column::State,
        mapping::Column::Generation,
        mapping::Column::CalendarId,
        mapping::Column::ExternalEventId,
        mapping::Column::Etag,
        mapping::Column::PushedSchedule,
        mapping::Column::PushedText,
        mapping::Column::PushedGuest,
        mapping::Column::SharesDetails,
        mapping::Column::EndsAt,
        mapping::Column::LastSyncedAt,
        mapping::Column::UpdatedAt,
    ];
    let rows = mappings
        .iter()
        .map(|mapping| mapping::ActiveModel::of(mapping, now));
    mapping::Entity::insert_many(rows)
        .on_conflict(
            sea_orm::sea_query::OnConflict::columns([
                mapping::Column::ConnectionId,
                mapping::Column::AppointmentId,
            ])
            .update_columns(columns)
            .to_owned(),
        )
        .exec_without_returning(db)
        .await?;
    Ok(())
}
