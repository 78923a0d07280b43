//! Ending the waits of a provider's connections when what they wait for is over.
//!
//! Done for connections of every node: another node's gate may not have noticed yet, but a connection
//! that looks too early loses nothing, and it is its own node that then decides. Only lease rows are
//! touched, some at a time in the order of their ids, and only those that wait for this very reason: a
//! limit is never cut short, also if it was set a moment ago by a round under way. A node that owns a
//! connection hears of its new due time at its next poll.

use chrono::TimeDelta;
use sea_orm::{ConnectionTrait, TryGetable};

use super::patience::in_time;
use super::sql::Sql;
use super::{DueConnection, Store, StoreError};
use crate::domain::{ConnectionId, ProviderKind, Timestamp, WaitReason};
use crate::failpoint::{self, Step};

/// How fast connections come back: ten every tenth of a second.
const AT_ONCE: usize = 10;
const STEP: TimeDelta = TimeDelta::milliseconds(100);

/// Forgets what a connection waited for and what it remembers of failures, as its access ends or is
/// given anew. A limit is the account's, whoever asks with whatever access; one without a reason was
/// set by an older version.
pub(super) fn end_all_but_limits(update: Sql) -> Sql {
    let limit = WaitReason::Limit;
    update
        .text("not_before = CASE WHEN wait_reason <> ")
        .value(limit)
        .text(" THEN NULL ELSE not_before END, wait_reason = CASE WHEN wait_reason <> ")
        .value(limit)
        .text(" THEN NULL ELSE wait_reason END, fruitless_rounds = 0, outage_since = NULL, outage_seen_at = NULL")
}

impl Store {
    /// Makes connections of the provider that wait for this reason due, a few at a time; answers which
    /// are due when.
    pub async fn end_waits(
        &self,
        provider: ProviderKind,
        why: WaitReason,
        now: Timestamp,
    ) -> Result<Vec<DueConnection>, StoreError> {
        let waiting = in_time(self.waiting(provider, why)).await?;
        let mut woken = Vec::with_capacity(waiting.len());
        let mut due_at = now;
        for some in waiting.chunks(AT_ONCE) {
            in_time(self.end_some(some, why, due_at)).await?;
            woken.extend(some.iter().map(|id| DueConnection {
                connection_id: *id,
                due_at,
            }));
            due_at += STEP;
        }
        Ok(woken)
    }

    async fn waiting(
        &self,
        provider: ProviderKind,
        why: WaitReason,
    ) -> Result<Vec<ConnectionId>, StoreError> {
        let statement = Sql::on(&self.read)
            .text(
                "SELECT l.connection_id FROM connection_leases l \
                 JOIN coach_calendar_connections c ON c.id = l.connection_id \
                 WHERE l.wait_reason = ",
            )
            .value(why)
            .text(" AND l.due_at IS NOT NULL AND c.status = 'active' AND c.provider = ")
            .value(provider)
            .text(" ORDER BY l.connection_id")
            .build();
        self.read
            .query_all_raw(statement)
            .await?
            .iter()
            .map(|row| {
                ConnectionId::try_get(row, "", "connection_id")
                    .map_err(|error| StoreError::from(sea_orm::DbErr::from(error)))
            })
            .collect()
    }

    async fn end_some(
        &self,
        ids: &[ConnectionId],
        why: WaitReason,
        due_at: Timestamp,
    ) -> Result<(), StoreError> {
        failpoint::before(Step::EndWaits)?;
        Sql::on(&self.write)
            .text("UPDATE connection_leases SET not_before = NULL, wait_reason = NULL, due_at = ")
            .value(due_at)
            .text(" WHERE connection_id IN (SELECT connection_id FROM connection_leases WHERE wait_reason = ")
            .value(why)
            .text(" AND due_at > ")
            .value(due_at)
            .text(" AND connection_id IN ")
            .list(ids.iter().copied())
            .text(" ORDER BY connection_id")
            .for_update()
            .text(")")
            .execute(&self.write)
            .await?;
        Ok(failpoint::after(Step::EndWaits)?)
    }
}
