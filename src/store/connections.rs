//! Connections as they stand.

use std::collections::{HashMap, HashSet};

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use super::enqueue::lock_leases;
use super::entity::connection;
use super::lateness::oldest_changes;
use super::open::commit;
use super::patience::in_time;
use super::sql::{Sql, lock_coaches};
use super::status::open_counts;
use super::webhooks::{News, tell};
use super::{Fence, Store, StoreError, leases};
use crate::domain::{
    Calendar, CoachId, Connection, ConnectionId, ConnectionStatus, QuarantineReason, Timestamp,
    WebhookEvent,
};
use crate::failpoint::Step;

/// A connection with its open work counted.
#[derive(Clone, Debug)]
pub struct ConnectionView {
    pub connection: Connection,
    /// Rows pending or being worked on.
    pub pending: u64,
    pub failed: u64,
    /// When the oldest change that its calendar does not show was taken in.
    pub oldest_change: Option<Timestamp>,
}

/// Ids of connections set aside that are read at once: enough to see that it is many.
const MOST_SET_ASIDE: i64 = 10_000;

impl Store {
    /// Connections of a coach, those ended left out, oldest first.
    pub async fn connections_of(
        &self,
        coach_id: CoachId,
    ) -> Result<Vec<ConnectionView>, StoreError> {
        let rows = connection::Entity::find()
            .filter(connection::Column::CoachId.eq(coach_id))
            .filter(connection::Column::Status.ne(ConnectionStatus::Disconnected))
            .order_by_asc(connection::Column::CreatedAt)
            .order_by_asc(connection::Column::Id)
            .all(&self.read)
            .await?;
        let ids: Vec<ConnectionId> = rows.iter().map(|row| row.id).collect();
        let mut counts = open_counts(&self.read, &ids).await?;
        let oldest = oldest_changes(&self.read, &ids).await?;
        rows.into_iter()
            .map(|row| view(row, &mut counts, &oldest))
            .collect()
    }

    /// A connection that was not ended.
    pub async fn connection(&self, id: ConnectionId) -> Result<Option<ConnectionView>, StoreError> {
        in_time(async {
            let Some(row) = connection::Entity::find_by_id(id)
                .filter(connection::Column::Status.ne(ConnectionStatus::Disconnected))
                .one(&self.read)
                .await?
            else {
                return Ok(None);
            };
            let mut counts = open_counts(&self.read, &[id]).await?;
            let oldest = oldest_changes(&self.read, &[id]).await?;
            view(row, &mut counts, &oldest).map(Some)
        })
        .await
    }

    /// Connections that are set aside, by id; perhaps one alone, or those after one.
    pub async fn quarantined(
        &self,
        id: Option<ConnectionId>,
        after: Option<ConnectionId>,
        limit: u64,
    ) -> Result<Vec<Connection>, StoreError> {
        let rows = in_time(async {
            let statement = quarantined_page(&self.read, id, after, limit).build();
            let found = connection::Entity::find().from_raw_sql(statement);
            Ok(found.all(&self.read).await?)
        });
        rows.await?.into_iter().map(Connection::try_from).collect()
    }

    /// Which connections are set aside: the first ten thousand.
    pub async fn quarantined_ids(&self) -> Result<HashSet<ConnectionId>, StoreError> {
        in_time(async {
            let rows = self
                .read
                .query_all_raw(quarantined_first(&self.read).build());
            let ids = rows.await?.into_iter().map(|row| row.try_get("", "id"));
            Ok(ids.collect::<Result<_, sea_orm::DbErr>>()?)
        })
        .await
    }

    /// Sets a connection aside, with the reason in words for the coach, or takes it back, in the name of
    /// the node that acts for it. That it has recovered is told once it has carried something.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if another node acts for the connection by now.
    pub async fn set_connection_status(
        &self,
        fence: Fence,
        set_aside: Option<(QuarantineReason, &str)>,
        due_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        in_time(async {
            let status = match set_aside {
                Some(_) => ConnectionStatus::Quarantined,
                None => ConnectionStatus::Active,
            };
            let id = fence.connection_id();
            let tx = self.begin().await?;
            let Some(before) = locked(&tx, id).await? else {
                return Ok(());
            };
            leases::fence(&tx, fence).await?;
            // What the coach ended or must repair is not ours to change.
            match before.status {
                ConnectionStatus::Disconnected | ConnectionStatus::NeedsReauth => return Ok(()),
                ConnectionStatus::Active | ConnectionStatus::Quarantined => {}
            }
            let words = set_aside.map(|(_, words)| words);
            set_status(&tx, id, status, words, now).await?;
            Sql::on(&tx)
                .text("UPDATE connection_leases SET due_at = ")
                .value(due_at)
                .text(" WHERE connection_id = ")
                .value(id)
                .execute(&tx)
                .await?;
            let mut news = Vec::new();
            if let Some((why, _)) = set_aside
                && set_aside_anew(&tx, id, now).await?
            {
                let whose = (id, before.coach_id, before.provider);
                let event = WebhookEvent::ConnectionQuarantined;
                let why = Some(why.code());
                news.push(News::of_connection(event, whose, "quarantined", why));
            }
            let told = tell(&tx, &news, now).await?;
            commit(tx, Step::ConnectionStatus).await?;
            self.told(told);
            Ok(())
        })
        .await
    }
}

/// The connection with its coach and lease locked, whatever its status.
pub(super) async fn locked(
    db: &impl ConnectionTrait,
    id: ConnectionId,
) -> Result<Option<Connection>, StoreError> {
    let Some(row) = connection::Entity::find_by_id(id).one(db).await? else {
        return Ok(None);
    };
    lock_coaches(db, [row.coach_id]).await?;
    lock_leases(db, &[id]).await?;
    let mut query = connection::Entity::find_by_id(id);
    if db.get_database_backend() == DbBackend::Postgres {
        query = query.lock_exclusive();
    }
    query.one(db).await?.map(Connection::try_from).transpose()
}

/// Notes since when the connection has been set aside; false if it carried nothing since it last was.
async fn set_aside_anew(
    db: &impl ConnectionTrait,
    id: ConnectionId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let noted = Sql::on(db)
        .text("UPDATE coach_calendar_connections SET set_aside_at = ")
        .value(now)
        .text(" WHERE set_aside_at IS NULL AND id = ")
        .value(id)
        .execute(db)
        .await?;
    Ok(noted == 1)
}

pub(super) async fn set_status(
    db: &impl ConnectionTrait,
    id: ConnectionId,
    status: ConnectionStatus,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    Sql::on(db)
        .text("UPDATE coach_calendar_connections SET status = ")
        .value(status)
        .text(", status_reason = ")
        .value(reason.map(str::to_owned))
        .text(", updated_at = ")
        .value(now)
        .text(" WHERE id = ")
        .value(id)
        .execute(db)
        .await?;
    Ok(())
}

/// A page of those set aside. The status is written as in the index over these alone: a bound one would
/// not find it.
pub(super) fn quarantined_page(
    db: &impl ConnectionTrait,
    id: Option<ConnectionId>,
    after: Option<ConnectionId>,
    limit: u64,
) -> Sql {
    let mut sql =
        Sql::on(db).text("SELECT * FROM coach_calendar_connections WHERE status = 'quarantined'");
    if let Some(id) = id {
        sql = sql.text(" AND id = ").value(id);
    }
    if let Some(after) = after {
        sql = sql.text(" AND id > ").value(after);
    }
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    sql.text(" ORDER BY id LIMIT ").value(limit)
}

pub(super) fn quarantined_first(db: &impl ConnectionTrait) -> Sql {
    Sql::on(db)
        .text("SELECT id FROM coach_calendar_connections WHERE status = 'quarantined' ORDER BY id LIMIT ")
        .value(MOST_SET_ASIDE)
}

fn view(
    row: connection::Model,
    counts: &mut HashMap<ConnectionId, (u64, u64)>,
    oldest: &HashMap<ConnectionId, Timestamp>,
) -> Result<ConnectionView, StoreError> {
    let (pending, failed) = counts.remove(&row.id).unwrap_or_default();
    Ok(ConnectionView {
        oldest_change: oldest.get(&row.id).copied(),
        connection: row.try_into()?,
        pending,
        failed,
    })
}

/// The calendar's zone as stored.
pub(super) fn zone_name(calendar: &Calendar) -> Option<String> {
    calendar.time_zone.map(|zone| zone.name().to_owned())
}
