//! A lease on its way from one node to another: who acts, who waits, and the handing over.
//!
//! A node that must act for a connection another node holds (somebody asked it to) writes its wish on
//! the lease. The owner sees it at its next look, between two rounds, and gives the lease up. Until
//! the wish ends the lease is kept for that node: neither the owner nor a third takes it meanwhile.

use std::time::Duration;

use sea_orm::{ConnectionTrait, FromQueryResult, TryGetable};

use super::leases::{later, lease_now};
use super::patience::in_time;
use super::sql::Sql;
use super::{Store, StoreError};
use crate::domain::{ConnectionId, NodeId, Timestamp};
use crate::failpoint::{self, Step};

/// Connections asked about in one statement.
const AT_ONCE: usize = 1_000;

#[derive(FromQueryResult)]
struct OwnerRow {
    connection_id: ConnectionId,
    owner: Option<NodeId>,
}

impl Store {
    /// Which other live node acts, or is about to act, for each of these connections; `None` where
    /// this node does or nobody. Connections that are no more are left out.
    pub async fn owners(
        &self,
        ids: &[ConnectionId],
        node: NodeId,
        now: Timestamp,
    ) -> Result<Vec<(ConnectionId, Option<NodeId>)>, StoreError> {
        in_time(async {
            let mut owners = Vec::with_capacity(ids.len());
            for ids in ids.chunks(AT_ONCE) {
                let sql = Sql::on(&self.read)
                    .text("SELECT connection_id, CASE WHEN node <> ")
                    .value(node)
                    .text(" AND expires_at >= ");
                let sql = lease_now(sql, now)
                    .text(" THEN node WHEN wanted_by <> ")
                    .value(node)
                    .text(" AND wanted_until >= ");
                let sql = lease_now(sql, now)
                .text(" THEN wanted_by END AS owner FROM connection_leases WHERE connection_id IN ")
                .list(ids.iter().copied());
                let rows = OwnerRow::find_by_statement(sql.build())
                    .all(&self.read)
                    .await?;
                owners.extend(rows.into_iter().map(|row| (row.connection_id, row.owner)));
            }
            Ok(owners)
        })
        .await
    }

    /// Writes on the lease that this node waits for it; not while another node does.
    pub async fn want_lease(
        &self,
        connection_id: ConnectionId,
        node: NodeId,
        patience: Duration,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        in_time(async {
            failpoint::before(Step::LeaseWant)?;
            let sql = Sql::on(&self.write)
                .text("UPDATE connection_leases SET wanted_by = ")
                .value(node)
                .text(", wanted_until = ");
            let sql = later(sql, patience, now)
                .text(" WHERE connection_id = ")
                .value(connection_id)
                .text(" AND node <> ")
                .value(node)
                .text(" AND (wanted_by IS NULL OR wanted_by = ")
                .value(node)
                .text(" OR wanted_until < ");
            lease_now(sql, now).text(")").execute(&self.write).await?;
            Ok(failpoint::after(Step::LeaseWant)?)
        })
        .await
    }

    /// Connections this node holds and others wait for: seen also without a message.
    pub async fn wanted_from(
        &self,
        node: NodeId,
        now: Timestamp,
    ) -> Result<Vec<ConnectionId>, StoreError> {
        let sql = Sql::on(&self.read)
            .text("SELECT connection_id FROM connection_leases WHERE wanted_by IS NOT NULL AND node = ")
            .value(node)
            .text(" AND wanted_until >= ");
        let statement = lease_now(sql, now).text(" LIMIT ").value(1_000_i64).build();
        let rows = self.read.query_all_raw(statement).await?;
        rows.iter()
            .map(|row| {
                ConnectionId::try_get(row, "", "connection_id")
                    .map_err(|error| StoreError::from(sea_orm::DbErr::from(error)))
            })
            .collect()
    }
}

/// Gives the lease up if it is this node's and another waits for it; answers whether it was.
pub(super) async fn hand_over(
    db: &impl ConnectionTrait,
    connection_id: ConnectionId,
    node: NodeId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sql = Sql::on(db)
        .text("UPDATE connection_leases SET node = NULL, expires_at = NULL WHERE connection_id = ")
        .value(connection_id)
        .text(" AND node = ")
        .value(node)
        .text(" AND wanted_by <> ")
        .value(node)
        .text(" AND wanted_until >= ");
    Ok(lease_now(sql, now).execute(db).await? == 1)
}

/// Ends a condition under which a lease may be taken: it is not kept for another node.
pub(super) fn not_kept_for_another(sql: Sql, node: NodeId, now: Timestamp) -> Sql {
    let sql = sql
        .text(" AND (wanted_by IS NULL OR node = ")
        .value(node)
        .text(" OR wanted_by = ")
        .value(node)
        .text(" OR wanted_until < ");
    lease_now(sql, now).text(")")
}
