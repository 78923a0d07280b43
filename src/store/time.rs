//! What time it is, and what to do about times that are no longer what they were.

use chrono::TimeDelta;
use sea_orm::{ConnectionTrait, DbErr, QueryResult, TryGetable};

use super::patience::in_time;
use super::sql::Sql;
use super::{Store, StoreError};
use crate::domain::{ConnectionId, Timestamp};

impl Store {
    /// The time of the database that several nodes share; `None` on SQLite, which has no clock.
    pub async fn time(&self) -> Result<Option<Timestamp>, StoreError> {
        if self.is_sqlite() {
            return Ok(None);
        }
        let ask = Sql::on(&self.read).text("SELECT clock_timestamp() AS now");
        let row = in_time(async { Ok(self.read.query_one_raw(ask.build()).await?) }).await?;
        row.map(|row| Ok(Timestamp::try_get(&row, "", "now").map_err(DbErr::from)?))
            .transpose()
    }

    /// The clock was set back by `by` to `now`. What was to happen soon would now happen that much
    /// later. Nobody can tell which times were set when: all that waits is due at once, which costs a
    /// try each, except what the provider told a connection to wait for; that keeps its length.
    pub async fn clock_was_set_back(
        &self,
        by: TimeDelta,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        in_time(async {
            let tx = self.begin().await?;
            let waiting = Sql::on(&tx)
                .text("SELECT connection_id, not_before FROM connection_leases WHERE due_at > ")
                .value(now)
                .text(" OR not_before > ")
                .value(now)
                .text(" ORDER BY connection_id")
                .for_update();
            let waiting = tx.query_all_raw(waiting.build()).await?;
            Sql::on(&tx)
                .text("UPDATE calendar_sync_queue SET scheduled_for = ")
                .value(now)
                .text(" WHERE status = 'pending' AND scheduled_for > ")
                .value(now)
                .execute(&tx)
                .await?;
            Sql::on(&tx)
                .text("UPDATE connection_leases SET due_at = ")
                .value(now)
                .text(" WHERE due_at > ")
                .value(now)
                .execute(&tx)
                .await?;
            Sql::on(&tx)
                .text("UPDATE webhook_deliveries SET due_at = ")
                .value(now)
                .text(" WHERE status = 'pending' AND due_at > ")
                .value(now)
                .execute(&tx)
                .await?;
            for row in waiting {
                let (id, not_before) = told_to_wait(&row)?;
                let Some(until) = not_before.filter(|until| *until > now) else {
                    continue;
                };
                let until = (until - by).max(now);
                Sql::on(&tx)
                    .text("UPDATE connection_leases SET not_before = ")
                    .value(until)
                    .text(", due_at = CASE WHEN due_at IS NULL THEN NULL ELSE ")
                    .value(until)
                    .text(" END WHERE connection_id = ")
                    .value(id)
                    .execute(&tx)
                    .await?;
            }
            tx.commit().await.map_err(StoreError::from)
        })
        .await
    }
}

fn told_to_wait(row: &QueryResult) -> Result<(ConnectionId, Option<Timestamp>), StoreError> {
    let id = ConnectionId::try_get(row, "", "connection_id").map_err(DbErr::from)?;
    let until = Option::<Timestamp>::try_get(row, "", "not_before").map_err(DbErr::from)?;
    Ok((id, until))
}
