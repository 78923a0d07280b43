//! How far behind calendars are, by a few index lookups however long the queue is.
//!
//! A change counts from when it was taken in (`created_at`; changes that fold into an open row keep the
//! first one's) until its row ends. A row that was given up counts as failed, not as late.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, FromQueryResult};

use super::patience::in_time;
use super::sql::Sql;
use super::{Store, StoreError};
use crate::domain::{ConnectionId, ProviderKind, Timestamp};

/// Connections looked at for one answer: those due first.
const MOST_CONNECTIONS: i64 = 10_000;

/// How late the active connections of one provider are.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct Lateness {
    pub provider: ProviderKind,
    /// When the connection that has waited longest for its turn was due; perhaps in the future.
    pub due_at: Option<Timestamp>,
    /// When the oldest change that a calendar does not show was taken in.
    pub oldest_change: Option<Timestamp>,
}

#[derive(FromQueryResult)]
struct OldestChange {
    connection_id: ConnectionId,
    oldest_change: Option<Timestamp>,
}

impl Store {
    /// By provider; one without work is left out. Of more than ten thousand connections with work those
    /// that are due first are looked at. Connections that nobody may act for (their coach must sign in
    /// again, say) are not late: they are counted by their status.
    pub async fn lateness(&self) -> Result<Vec<Lateness>, StoreError> {
        in_time(async {
            let sql = Sql::on(&self.read).text(
                "SELECT late.provider, MIN(late.due_at) AS due_at, \
                 MIN(late.oldest_change) AS oldest_change FROM (\
                 SELECT c.provider, l.due_at, ",
            );
            let statement = oldest_change(sql, "l.connection_id")
                .text(
                    " AS oldest_change FROM (SELECT connection_id, due_at FROM connection_leases \
                     WHERE due_at IS NOT NULL ORDER BY due_at LIMIT ",
                )
                .value(MOST_CONNECTIONS)
                .text(
                    ") l JOIN coach_calendar_connections c ON c.id = l.connection_id \
                     WHERE c.status = 'active') late GROUP BY late.provider",
                )
                .build();
            Ok(Lateness::find_by_statement(statement)
                .all(&self.read)
                .await?)
        })
        .await
    }
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

/// The first open row of one connection, in the order of the index over connection, status and age. The
/// status is a subquery so that no index over pending rows alone seems to fit: those would have to be
/// read and sorted, all of a backlog.
fn oldest_change(sql: Sql, connection: &str) -> Sql {
    let first = |status: &str| {
        format!(
            "SELECT taken_in_at FROM (SELECT q.created_at AS taken_in_at \
             FROM calendar_sync_queue q WHERE q.connection_id = {connection} \
             AND q.status = (SELECT '{status}') AND q.appointment_id IS NOT NULL \
             ORDER BY q.created_at, q.id LIMIT 1) first_{status}"
        )
    };
    sql.text("(SELECT MIN(taken_in_at) FROM (")
        .text(&first("pending"))
        .text(" UNION ALL ")
        .text(&first("processing"))
        .text(") open_rows)")
}
