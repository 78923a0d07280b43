//! How far behind calendars are, by a few index lookups however long the queue is.
//!
//! A change counts from when it was taken in (`created_at`; changes that fold into an open row keep the
//! first one's) until its row ends. A row that was given up counts as failed, not as late.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult};

use super::patience::in_time;
use super::sql::Sql;
use super::{Store, StoreError};
use crate::domain::{ConnectionId, ProviderKind, Timestamp};

/// Connections looked at for one answer: those due first.
const MOST_CONNECTIONS: i64 = 10_000;

/// How late the active connections of one provider are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lateness {
    pub provider: ProviderKind,
    /// When the connection that has waited longest for its turn was due; perhaps in the future. `None`:
    /// none has work.
    pub due_at: Option<Timestamp>,
    /// When the oldest change that a calendar does not show was taken in.
    pub oldest_change: Option<Timestamp>,
}

#[derive(FromQueryResult)]
struct LateRow {
    provider: ProviderKind,
    due_at: Option<Timestamp>,
    oldest_change: Option<Timestamp>,
    /// Connections looked at, active or not.
    connections: i64,
}

#[derive(FromQueryResult)]
struct OldestChange {
    connection_id: ConnectionId,
    oldest_change: Option<Timestamp>,
}

impl Store {
    /// By provider, those included that are late with nothing. Of more than ten thousand connections with
    /// work those that are due first are looked at; a provider that was not reached is left out: nothing
    /// is known of it then. Connections that nobody may act for (their coach must sign in again, say) are
    /// not late: they are counted by their status.
    pub async fn lateness(&self) -> Result<Vec<Lateness>, StoreError> {
        in_time(self.lateness_within(MOST_CONNECTIONS)).await
    }

    pub(super) async fn lateness_within(&self, most: i64) -> Result<Vec<Lateness>, StoreError> {
        let statement = lateness_of(&self.read, most).build();
        let rows = LateRow::find_by_statement(statement).all(&self.read);
        Ok(known(&rows.await?, most))
    }
}

/// What the rows tell, and of whom they tell that there is nothing.
fn known(rows: &[LateRow], most: i64) -> Vec<Lateness> {
    let looked_at: i64 = rows.iter().map(|row| row.connections).sum();
    let are_all = looked_at < most;
    let late = |provider| {
        let row = rows.iter().find(|row| row.provider == provider);
        Lateness {
            provider,
            due_at: row.and_then(|row| row.due_at),
            oldest_change: row.and_then(|row| row.oldest_change),
        }
    };
    ProviderKind::ALL
        .into_iter()
        .map(late)
        .filter(|late| are_all || late.due_at.is_some())
        .collect()
}

/// No part of it may need a sort: PostgreSQL, told to avoid one, would walk all connections instead.
pub(super) fn lateness_of(db: &impl ConnectionTrait, most: i64) -> Sql {
    let sql = Sql::on(db).text(
        "SELECT late.provider, MIN(late.due_at) AS due_at, \
         MIN(late.oldest_change) AS oldest_change, COUNT(*) AS connections FROM (\
         SELECT c.provider, CASE WHEN c.status = 'active' THEN due.due_at END AS due_at, \
         CASE WHEN c.status = 'active' THEN ",
    );
    oldest_change(sql, "due.connection_id")
        .text(
            " END AS oldest_change FROM (SELECT connection_id, due_at FROM connection_leases \
             WHERE due_at IS NOT NULL ORDER BY due_at LIMIT ",
        )
        .value(most)
        .text(
            ") due JOIN coach_calendar_connections c ON c.id = due.connection_id\
             ) late GROUP BY late.provider",
        )
}

/// When the oldest change that is not in the calendar was taken in, of those connections that have one.
pub(super) async fn oldest_changes(
    db: &impl ConnectionTrait,
    ids: &[ConnectionId],
) -> Result<HashMap<ConnectionId, Timestamp>, StoreError> {
    let rows = OldestChange::find_by_statement(oldest_changes_of(db, ids).build())
        .all(db)
        .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| Some((row.connection_id, row.oldest_change?)))
        .collect())
}

pub(super) fn oldest_changes_of(db: &impl ConnectionTrait, ids: &[ConnectionId]) -> Sql {
    let sql = Sql::on(db).text("SELECT c.id AS connection_id, ");
    oldest_change(sql, "c.id")
        .text(" AS oldest_change FROM coach_calendar_connections c WHERE c.id IN ")
        .list(ids.iter().copied())
}

/// The first open row of one connection, in the order of the index over connection, status and age.
fn oldest_change(sql: Sql, connection: &str) -> Sql {
    let backend = sql.backend();
    let first = |status: &str| {
        let (which, order) = in_order_of_age(backend, connection, status);
        format!(
            "SELECT taken_in_at FROM (SELECT q.created_at AS taken_in_at \
             FROM calendar_sync_queue q WHERE {which} AND q.appointment_id IS NOT NULL \
             ORDER BY {order} LIMIT 1) first_{status}"
        )
    };
    sql.text("(SELECT MIN(taken_in_at) FROM (")
        .text(&first("pending"))
        .text(" UNION ALL ")
        .text(&first("processing"))
        .text(") open_rows)")
}

/// Which rows, and their order, in words that let only one index spare the sort.
fn in_order_of_age(backend: DbBackend, connection: &str, status: &str) -> (String, &'static str) {
    match backend {
        // A column that equals something has no part in an order. With statistics from a time of few
        // rows every index that ends with the age would then look as good as the right one: by
        // connection and age (the whole history is read), by status and age (a whole backlog).
        DbBackend::Postgres => (
            format!(
                "q.connection_id >= {connection} AND q.connection_id <= {connection} \
                 AND q.status >= '{status}' AND q.status <= '{status}'"
            ),
            "q.connection_id, q.status, q.created_at, q.id",
        ),
        // The status is a subquery so that no index over pending rows alone seems to fit: those would
        // have to be read and sorted, all of a backlog.
        _ => (
            format!("q.connection_id = {connection} AND q.status = (SELECT '{status}')"),
            "q.created_at, q.id",
        ),
    }
}
