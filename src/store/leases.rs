//! Who acts for a connection, and which connections have something due.
//!
//! One row per connection, so that choosing work costs the same whether a connection has one due row
//! or a hundred thousand. `epoch` grows at each change of owner and fences every settle. Lease times
//! are the database's own on PostgreSQL, where nodes' clocks may differ, and the injected clock's on
//! SQLite, where there is one process.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, TryGetable};

use super::entity::lease;
use super::handover::not_kept_for_another;
use super::patience::in_time;
use super::sql::Sql;
use super::{Store, StoreError};
use crate::domain::{ConnectionId, NodeId, Priority, Timestamp, Wait};
use crate::failpoint::{self, Step};
use crate::plan::Breaker;

/// The right of one node to act for one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub connection_id: ConnectionId,
    pub node: NodeId,
    pub epoch: i64,
    /// Nothing of the account's quota was used when it was taken. Otherwise nobody knows: its last owner
    /// died, or had to let go in the middle of its work.
    pub is_rested: bool,
}

/// A connection with something to do at `due_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromQueryResult)]
pub struct DueConnection {
    pub connection_id: ConnectionId,
    pub due_at: Timestamp,
}

/// What one look at the leases finds.
#[derive(Clone, Debug)]
pub struct Due {
    /// Connections that this node may act for, earliest first.
    pub connections: Vec<DueConnection>,
    /// Another node holds the lease of a connection that is due now, or has one kept for it: it may be
    /// dead, and then the work is free as soon as lease and wish have ended.
    pub elsewhere: bool,
}

impl Store {
    /// What is due before `before`, as far as it concerns this node.
    pub async fn due(
        &self,
        node: NodeId,
        before: Timestamp,
        now: Timestamp,
        limit: u64,
    ) -> Result<Due, StoreError> {
        // In this order: a lease that ends between the two is seen by both. The other way round
        // neither would see it, and nobody look again before the next poll.
        let elsewhere = self.due_elsewhere(node, now).await?;
        let connections = self.due_connections(node, before, now, limit).await?;
        Ok(Due {
            connections,
            elsewhere,
        })
    }

    async fn due_connections(
        &self,
        node: NodeId,
        before: Timestamp,
        now: Timestamp,
        limit: u64,
    ) -> Result<Vec<DueConnection>, StoreError> {
        in_time(async {
            let sql = Sql::on(&self.read)
                .text("SELECT connection_id, due_at FROM connection_leases WHERE due_at <= ")
                .value(before)
                .text(" AND (node IS NULL OR node = ")
                .value(node)
                .text(" OR expires_at < ");
            let sql = lease_now(sql, now).text(")");
            let sql = not_kept_for_another(sql, node, now)
                .text(" ORDER BY due_at LIMIT ")
                .value(i64::try_from(limit).unwrap_or(i64::MAX));
            Ok(DueConnection::find_by_statement(sql.build())
                .all(&self.read)
                .await?)
        })
        .await
    }

    async fn due_elsewhere(&self, node: NodeId, now: Timestamp) -> Result<bool, StoreError> {
        in_time(async {
            let sql = Sql::on(&self.read)
                .text("SELECT 1 FROM connection_leases WHERE due_at <= ")
                .value(now)
                .text(" AND node <> ")
                .value(node)
                .text(" AND expires_at >= ");
            let sql = lease_now(sql, now)
                .text(" UNION ALL SELECT 1 FROM connection_leases WHERE wanted_by IS NOT NULL AND wanted_by <> ")
                .value(node)
                .text(" AND wanted_until >= ");
            let sql = lease_now(sql, now).text(" AND (node IS NULL OR expires_at < ");
            let statement = lease_now(sql, now).text(") LIMIT 1").build();
            Ok(self.read.query_one_raw(statement).await?.is_some())
        })
        .await
    }

    /// Prolongs every lease this node holds; answers how many.
    pub async fn renew_leases(
        &self,
        node: NodeId,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        in_time(async {
            let sql = Sql::on(&self.write).text("UPDATE connection_leases SET expires_at = ");
            let sql = later(sql, ttl, now)
                .text(
                    " WHERE connection_id IN \
                     (SELECT connection_id FROM connection_leases WHERE node = ",
                )
                .value(node)
                .text(" AND expires_at >= ");
            failpoint::before(Step::LeaseRenew)?;
            let held = in_order(lease_now(sql, now)).execute(&self.write).await?;
            failpoint::after(Step::LeaseRenew)?;
            Ok(held)
        })
        .await
    }

    /// Gives one lease back, so that another node need not wait for its end. `is_rested`: nothing of the
    /// account's quota is used any more.
    pub async fn release_lease(&self, lease: Lease, is_rested: bool) -> Result<(), StoreError> {
        in_time(async {
            failpoint::before(Step::LeaseRelease)?;
            Sql::on(&self.write)
                .text(
                    "UPDATE connection_leases SET node = NULL, expires_at = NULL, \
                     rested_epoch = ",
                )
                .value(is_rested.then_some(lease.epoch))
                .text(" WHERE connection_id = ")
                .value(lease.connection_id)
                .text(" AND node = ")
                .value(lease.node)
                .text(" AND epoch = ")
                .value(lease.epoch)
                .execute(&self.write)
                .await?;
            Ok(failpoint::after(Step::LeaseRelease)?)
        })
        .await
    }

    /// Gives back every lease of a node, or of every node: at the end of a drain, and at the start of
    /// the only daemon on a SQLite file, whose predecessor may have been killed.
    pub async fn release_leases(&self, node: Option<NodeId>) -> Result<(), StoreError> {
        in_time(async {
            let sql = Sql::on(&self.write).text(
            "UPDATE connection_leases SET node = NULL, expires_at = NULL WHERE connection_id IN \
             (SELECT connection_id FROM connection_leases WHERE node IS NOT NULL",
        );
            let sql = match node {
                Some(node) => sql.text(" AND node = ").value(node),
                None => sql,
            };
            failpoint::before(Step::LeaseRelease)?;
            in_order(sql).execute(&self.write).await?;
            Ok(failpoint::after(Step::LeaseRelease)?)
        })
        .await
    }

    /// Takes or keeps the lease outside a claim, for a call that only reads at the provider. An owner
    /// keeps it here although another node waits: the call is short, and its next claim hands over.
    pub async fn take_lease(
        &self,
        connection_id: ConnectionId,
        node: NodeId,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Option<Lease>, StoreError> {
        in_time(async {
            failpoint::before(Step::LeaseTake)?;
            let taken = acquire(&self.write, connection_id, node, ttl, now).await?;
            failpoint::after(Step::LeaseTake)?;
            Ok(taken.map(|row| Lease::of(node, &row)))
        })
        .await
    }

    /// What the connection waits for, and its breaker, as its last owner left them.
    pub async fn wait_and_breaker(
        &self,
        connection_id: ConnectionId,
    ) -> Result<(Option<Wait>, Breaker), StoreError> {
        in_time(async {
            let row = lease::Entity::find_by_id(connection_id)
                .one(&self.read)
                .await?;
            let wait = row.as_ref().and_then(lease::Model::wait);
            let breaker = row.as_ref().map(lease::Model::breaker);
            Ok((wait, breaker.unwrap_or_default()))
        })
        .await
    }

    /// Who holds which lease, for health.
    pub async fn lease_of(
        &self,
        connection_id: ConnectionId,
    ) -> Result<Option<(Option<NodeId>, i64)>, StoreError> {
        let row = lease::Entity::find_by_id(connection_id)
            .one(&self.read)
            .await?;
        Ok(row.map(|row| (row.node, row.epoch)))
    }
}

impl Lease {
    /// That a node has by this row.
    pub(super) fn of(node: NodeId, row: &lease::Model) -> Self {
        Self {
            connection_id: row.connection_id,
            node,
            epoch: row.epoch,
            // The first epoch follows upon nobody's.
            is_rested: row.epoch <= 1 || row.rested_epoch == Some(row.epoch - 1),
        }
    }
}

/// Takes or keeps the lease; `None` while another node holds it. Locks the lease row until the
/// transaction ends, and answers it as it is then: to be had, it may have been waited for.
pub(super) async fn acquire(
    db: &impl ConnectionTrait,
    connection_id: ConnectionId,
    node: NodeId,
    ttl: Duration,
    now: Timestamp,
) -> Result<Option<lease::Model>, StoreError> {
    let sql = Sql::on(db)
        .text("UPDATE connection_leases SET epoch = CASE WHEN node = ")
        .value(node)
        .text(" THEN epoch ELSE epoch + 1 END, wanted_by = CASE WHEN node = ")
        .value(node)
        // Its owner acts on while another node waits; whoever takes it is the one that waited.
        .text(" THEN wanted_by END, node = ")
        .value(node)
        .text(", expires_at = ");
    let sql = later(sql, ttl, now)
        .text(" WHERE connection_id = ")
        .value(connection_id)
        .text(" AND (node IS NULL OR node = ")
        .value(node)
        .text(" OR expires_at < ");
    let sql = lease_now(sql, now).text(")");
    let statement = not_kept_for_another(sql, node, now)
        .text(" RETURNING *")
        .build();
    Ok(lease::Entity::find()
        .from_raw_sql(statement)
        .one(db)
        .await?)
}

/// In whose name something is written that only the one who acts for a connection may write.
#[derive(Clone, Copy, Debug)]
pub enum Fence {
    Lease(Lease),
    /// Whatever epoch the node's lease has: for a supervisor, whose worker died with the lease. An
    /// epoch changes only with the node.
    Node(ConnectionId, NodeId),
}

impl Fence {
    pub(super) fn connection_id(self) -> ConnectionId {
        match self {
            Self::Lease(lease) => lease.connection_id,
            Self::Node(id, _) => id,
        }
    }
}

/// Refuses what a node does whose lease another has taken over. Locks the lease row until the
/// transaction ends, so that nobody takes over meanwhile.
pub(super) async fn fence(db: &impl ConnectionTrait, fence: Fence) -> Result<(), StoreError> {
    let sql = Sql::on(db)
        .text("UPDATE connection_leases SET epoch = epoch WHERE connection_id = ")
        .value(fence.connection_id());
    let sql = match fence {
        Fence::Lease(lease) => sql
            .text(" AND node = ")
            .value(lease.node)
            .text(" AND epoch = ")
            .value(lease.epoch),
        Fence::Node(_, node) => sql.text(" AND node = ").value(node),
    };
    let held = sql.execute(db).await?;
    if held == 1 {
        Ok(())
    } else {
        Err(StoreError::LeaseLost)
    }
}

/// Sets when the connection is due next, from its pending rows; never before the provider allows.
/// A connection that may not act has no due time. The caller has the lease row locked.
pub(super) async fn reschedule(
    db: &impl ConnectionTrait,
    connection_id: ConnectionId,
    wait: Option<Wait>,
    breaker: Breaker,
) -> Result<Option<Timestamp>, StoreError> {
    let earliest = match db
        .query_one_raw(earliest(db, connection_id).build())
        .await?
    {
        Some(row) => Some(Timestamp::try_get(&row, "", "at").map_err(sea_orm::DbErr::from)?),
        None => None,
    };
    let due = earliest.map(|at| wait.map_or(at, |wait| wait.until.max(at)));
    let outage = breaker.outage;
    Sql::on(db)
        .text("UPDATE connection_leases SET not_before = ")
        .value(wait.map(|wait| wait.until))
        .text(", wait_reason = ")
        .value(wait.map(|wait| wait.why))
        .text(", fruitless_rounds = ")
        .value(breaker.fruitless)
        .text(", outage_since = ")
        .value(outage.map(|outage| outage.since))
        .text(", outage_seen_at = ")
        .value(outage.map(|outage| outage.seen_at))
        .text(", due_at = ")
        .value(due)
        .text(" WHERE connection_id = ")
        .value(connection_id)
        .execute(db)
        .await?;
    Ok(due)
}

/// When the first pending row is due: the first of each class of priority, by the index that the claim
/// uses, however many follow.
pub(super) fn earliest(db: &impl ConnectionTrait, connection_id: ConnectionId) -> Sql {
    let mut sql = Sql::on(db).text("SELECT at FROM (");
    for (place, priority) in Priority::HIGHEST_FIRST.into_iter().enumerate() {
        if place > 0 {
            sql = sql.text(" UNION ALL ");
        }
        sql = sql
            .text(
                "SELECT at FROM (SELECT scheduled_for AS at FROM calendar_sync_queue \
                 WHERE status = 'pending' AND connection_id = ",
            )
            .value(connection_id)
            .text(" AND priority = ")
            .value(priority.as_i32())
            .text(" ORDER BY scheduled_for LIMIT 1) first_of_class");
    }
    sql.text(
        ") first WHERE EXISTS (SELECT 1 FROM coach_calendar_connections \
         WHERE status = 'active' AND id = ",
    )
    .value(connection_id)
    .text(") ORDER BY at LIMIT 1")
}

/// Ends a subquery over leases so that its rows are locked in the order everyone locks them in.
fn in_order(sql: Sql) -> Sql {
    sql.text(" ORDER BY connection_id").for_update().text(")")
}

/// Now, by the clock that leases are measured with.
pub(super) fn lease_now(sql: Sql, now: Timestamp) -> Sql {
    if sql.has_own_clock() {
        sql.text("clock_timestamp()")
    } else {
        sql.value(now)
    }
}

/// So much later, by the same clock.
pub(super) fn later(sql: Sql, ttl: Duration, now: Timestamp) -> Sql {
    if sql.has_own_clock() {
        sql.text("clock_timestamp() + make_interval(secs => ")
            .value(ttl.as_secs_f64())
            .text(")")
    } else {
        sql.value(now + ttl)
    }
}

impl Sql {
    fn has_own_clock(&self) -> bool {
        self.backend() == DbBackend::Postgres
    }
}
