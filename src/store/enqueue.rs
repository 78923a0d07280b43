//! Putting work into the queue: one set-based statement, however many rows it makes.
//!
//! A row says that (connection, appointment) may differ from the calendar; what is to be done is
//! planned when it is taken. While a row is open, further changes of the appointment fold into it; a
//! failed row becomes pending again; a row being worked on gets a successor.

use sea_orm::{ConnectionTrait, TryGetable};
use serde_json::json;

use super::audit::{Entry, record};
use super::open::commit;
use super::patience::in_time;
use super::sql::Sql;
use super::{Store, StoreError, ended};
use crate::domain::{
    AppointmentId, AuditAction, Cause, CoachId, ConnectionId, ConnectionStatus, Flags, Origin,
    Priority, SyncId, Timestamp,
};
use crate::failpoint::Step;

/// Which (connection, appointment) pairs to queue.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pairs<'a> {
    /// These appointments: in every calendar of their coach, and wherever an event of theirs is.
    Appointments(&'a [AppointmentId]),
    /// What a coach who leaves has left in the calendars of others.
    LeftBehind(CoachId),
    /// One connection: what is to come, what is in the calendar, and what failed.
    FullSync(ConnectionId),
    /// One connection: events that may show client details.
    SharingDetails(ConnectionId),
    /// One appointment in one connection.
    One(ConnectionId, AppointmentId),
}

/// How to queue them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order<'a> {
    pub(super) priority: Priority,
    pub(super) flags: Flags,
    pub(super) sync_id: Option<SyncId>,
    pub(super) max_attempts: i32,
    pub(super) now: Timestamp,
    pub(super) cause: &'a Cause,
}

impl<'a> Order<'a> {
    /// Something changed on our side.
    pub(super) fn of_change(max_attempts: i32, now: Timestamp, cause: &'a Cause) -> Self {
        Self {
            priority: Priority::Change,
            flags: Flags::CHANGE,
            sync_id: None,
            max_attempts,
            now,
            cause,
        }
    }
}

/// A sync that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuedSync {
    pub sync_id: SyncId,
    pub queued: u64,
}

/// Why no sync is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncRefusal {
    NotFound,
    SyncDisabled,
    NeedsReauth,
    UnknownAppointment,
}

impl Store {
    /// "Sync now": everything of the connection, or one appointment. While a full sync runs, its id
    /// is answered, and what it has still to do is done as if asked for by hand.
    pub async fn sync_now(
        &self,
        connection_id: ConnectionId,
        appointment_id: Option<AppointmentId>,
        fresh_id: SyncId,
        max_attempts: i32,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<Result<QueuedSync, SyncRefusal>, StoreError> {
        in_time(async {
            let tx = self.begin().await?;
            let Some(view) = super::connections::locked(&tx, connection_id).await? else {
                return Ok(Err(SyncRefusal::NotFound));
            };
            match view.status {
                ConnectionStatus::Disconnected => return Ok(Err(SyncRefusal::NotFound)),
                ConnectionStatus::NeedsReauth => return Ok(Err(SyncRefusal::NeedsReauth)),
                // Someone looks at it: worth another try before the cool-down ends.
                ConnectionStatus::Quarantined => {
                    super::connections::set_status(
                        &tx,
                        connection_id,
                        ConnectionStatus::Active,
                        None,
                        now,
                    )
                    .await?;
                }
                ConnectionStatus::Active => {}
            }
            if !view.settings.is_sync_enabled {
                return Ok(Err(SyncRefusal::SyncDisabled));
            }
            let order = Order {
                priority: Priority::Manual,
                flags: Flags::MANUAL,
                sync_id: None,
                max_attempts,
                now,
                cause: &origin.cause,
            };
            let queued = match appointment_id {
                Some(appointment_id) => {
                    let known = super::appointments::belongs_to(&tx, appointment_id, &view).await?;
                    if !known {
                        return Ok(Err(SyncRefusal::UnknownAppointment));
                    }
                    let queued =
                        enqueue(&tx, Pairs::One(connection_id, appointment_id), order).await?;
                    QueuedSync {
                        sync_id: fresh_id,
                        queued,
                    }
                }
                None => full_sync(&tx, connection_id, fresh_id, order).await?,
            };
            wake(&tx, &[connection_id], now).await?;
            // Whoever is told of the one that runs has started none.
            if queued.sync_id == fresh_id {
                let entry = Entry {
                    coach_id: Some(view.coach_id),
                    connection_id: Some(connection_id),
                    subject_id: appointment_id.map(|id| id.0),
                    details: json!({ "sync_id": queued.sync_id, "queued": queued.queued }),
                    ..Entry::of(origin, AuditAction::SyncStarted)
                };
                record(&tx, &entry, now).await?;
            }
            commit(tx, Step::SyncNow).await?;
            Ok(Ok(queued))
        })
        .await
    }
}

/// Queues all of a connection under one sync id: that of the full sync under way, if there is one.
pub(super) async fn full_sync(
    db: &impl ConnectionTrait,
    connection_id: ConnectionId,
    fresh_id: SyncId,
    order: Order<'_>,
) -> Result<QueuedSync, StoreError> {
    let running = Sql::on(db)
        .text("SELECT id FROM calendar_sync_queue WHERE operation = 'full_sync' AND status = 'processing' AND connection_id = ")
        .value(connection_id)
        .build();
    let running = match db.query_one_raw(running).await? {
        Some(row) => Some(SyncId::try_get(&row, "", "id").map_err(sea_orm::DbErr::from)?),
        None => None,
    };
    let sync_id = running.unwrap_or(fresh_id);
    let order = Order {
        sync_id: Some(sync_id),
        ..order
    };
    let queued = enqueue(db, Pairs::FullSync(connection_id), order).await?;
    if running.is_some() {
        // What is queued again is not done, and its earlier row would count it twice.
        Sql::on(db)
            .text(
                "UPDATE calendar_sync_queue SET sync_id = NULL \
                 WHERE status IN ('processing', 'completed', 'cancelled') \
                 AND EXISTS (SELECT 1 FROM calendar_sync_queue anew WHERE anew.status = 'pending' \
                   AND anew.sync_id = calendar_sync_queue.sync_id \
                   AND anew.connection_id = calendar_sync_queue.connection_id \
                   AND anew.appointment_id = calendar_sync_queue.appointment_id) AND sync_id = ",
            )
            .value(sync_id)
            .execute(db)
            .await?;
    }
    if running.is_none() {
        let (status, ended_at) = if queued == 0 {
            let ended_at = ended::end_at(db, connection_id, order.now).await?;
            ("completed", Some(ended_at))
        } else {
            ("processing", None)
        };
        Sql::on(db)
            .text("INSERT INTO calendar_sync_queue (id, connection_id, operation, status, priority, attempts, max_attempts, scheduled_for, started_at, completed_at, created_at, forced, verify, sync_id) VALUES (")
            .value(sync_id)
            .text(",")
            .value(connection_id)
            .text(",'full_sync',")
            .value(status)
            .text(",")
            .value(order.priority.as_i32())
            .text(",0,1,")
            .value(order.now)
            .text(",")
            .value(order.now)
            .text(",")
            .value(ended_at)
            .text(",")
            .value(order.now)
            .text(",")
            .value(order.flags.forced)
            .text(",")
            .value(order.flags.verify)
            // Its own row is no part of what it counts.
            .text(",NULL)")
            .execute(db)
            .await?;
    }
    Ok(QueuedSync { sync_id, queued })
}

/// Locks the leases of the connections these pairs concern, queues, and makes them due; answers how
/// many rows are pending because of it, and the connections.
pub(super) async fn queue(
    db: &impl ConnectionTrait,
    pairs: Pairs<'_>,
    order: Order<'_>,
) -> Result<(u64, Vec<ConnectionId>), StoreError> {
    let connections = concerned(db, pairs).await?;
    lock_leases(db, &connections).await?;
    let queued = enqueue(db, pairs, order).await?;
    wake(db, &connections, order.now).await?;
    Ok((queued, connections))
}

/// Queues the pairs; answers how many rows are pending because of it. The caller has locked the
/// leases of the connections concerned, and wakes them afterwards.
pub(super) async fn enqueue(
    db: &impl ConnectionTrait,
    pairs: Pairs<'_>,
    order: Order<'_>,
) -> Result<u64, StoreError> {
    let sql = Sql::on(db)
        .text(
            "INSERT INTO calendar_sync_queue (id, connection_id, appointment_id, operation, status, \
             priority, attempts, max_attempts, scheduled_for, created_at, forced, verify, sync_id, \
             request_id, traceparent) \
             SELECT ",
        )
        .new_id(order.now)
        .text(
            ", c.id, a.id, \
             CASE WHEN a.erased_at IS NOT NULL OR a.status IN ('pending', 'cancelled') \
                    OR a.coach_id <> c.coach_id THEN 'delete' \
                  WHEN m.state IS NOT NULL AND m.state <> 'absent' THEN 'update' \
                  ELSE 'create' END, \
             'pending', ",
        )
        .value(order.priority.as_i32())
        .text(", 0, ")
        .value(order.max_attempts)
        .text(", ")
        .value(order.now)
        .text(", ")
        .value(order.now)
        .text(", ")
        .value(order.flags.forced)
        .text(", ")
        .value(order.flags.verify)
        .text(", ")
        .value(order.sync_id)
        .text(", ")
        .value(order.cause.request_id.clone())
        .text(", ")
        .value(order.cause.traceparent.clone())
        .text(" FROM (");
    pairs
        .select(sql, order.now)
        .text(
            ") pairs \
             JOIN appointments a ON a.id = pairs.appointment_id \
             JOIN coach_calendar_connections c ON c.id = pairs.connection_id \
             LEFT JOIN calendar_event_mappings m \
               ON m.connection_id = c.id AND m.appointment_id = a.id \
             WHERE c.status <> 'disconnected' \
               AND (c.is_sync_enabled OR a.erased_at IS NOT NULL OR m.shares_details)",
        )
        // One that another calendar's settle is forgetting this moment is waited for and left out;
        // unlocked, it would be seen here and gone when its key is asked for.
        .for_key_share("a")
        .text(
            " \
             ON CONFLICT (connection_id, appointment_id) WHERE status IN ('pending', 'failed') \
             DO UPDATE SET status = 'pending', operation = excluded.operation, attempts = 0, \
               scheduled_for = excluded.scheduled_for, completed_at = NULL, \
               priority = CASE WHEN excluded.priority > calendar_sync_queue.priority \
                 THEN excluded.priority ELSE calendar_sync_queue.priority END, \
               forced = (calendar_sync_queue.forced OR excluded.forced), \
               verify = (calendar_sync_queue.verify OR excluded.verify), \
               sync_id = COALESCE(excluded.sync_id, calendar_sync_queue.sync_id), \
               request_id = COALESCE(excluded.request_id, calendar_sync_queue.request_id), \
               traceparent = COALESCE(excluded.traceparent, calendar_sync_queue.traceparent)",
        )
        .execute(db)
        .await
}

impl Pairs<'_> {
    pub(super) fn select(self, sql: Sql, now: Timestamp) -> Sql {
        match self {
            Pairs::Appointments(ids) => sql
                .text(
                    "SELECT c.id AS connection_id, a.id AS appointment_id FROM appointments a \
                     JOIN coach_calendar_connections c ON c.coach_id = a.coach_id WHERE a.id IN ",
                )
                .list(ids.iter().copied())
                .text(
                    " UNION SELECT connection_id, appointment_id FROM calendar_event_mappings \
                     WHERE state <> 'absent' AND appointment_id IN ",
                )
                .list(ids.iter().copied())
                // Work under way may be making an event in a calendar that has no mapping yet.
                .text(" UNION SELECT connection_id, appointment_id FROM calendar_sync_queue WHERE ")
                .plain_column("status")
                .text(" IN ('pending', 'processing', 'failed') AND appointment_id IN ")
                .list(ids.iter().copied()),
            Pairs::LeftBehind(coach_id) => sql
                .text(
                    "SELECT m.connection_id, m.appointment_id FROM appointments erased \
                     JOIN calendar_event_mappings m ON m.appointment_id = erased.id \
                     AND m.state <> 'absent' \
                     WHERE erased.erased_at IS NOT NULL AND erased.coach_id = ",
                )
                .value(coach_id),
            Pairs::FullSync(id) => sql
                .text(
                    "SELECT c.id AS connection_id, a.id AS appointment_id \
                     FROM coach_calendar_connections c JOIN appointments a \
                     ON a.coach_id = c.coach_id AND a.status = 'confirmed' \
                     AND a.erased_at IS NULL AND a.ends_at > ",
                )
                .value(now)
                .text(" WHERE c.id = ")
                .value(id)
                .text(
                    " UNION SELECT connection_id, appointment_id FROM calendar_event_mappings \
                     WHERE state IN ('creating', 'live') AND connection_id = ",
                )
                .value(id)
                .text(
                    " UNION SELECT connection_id, appointment_id FROM calendar_sync_queue \
                     WHERE status IN ('pending', 'failed') AND appointment_id IS NOT NULL \
                     AND connection_id = ",
                )
                .value(id),
            Pairs::SharingDetails(id) => sql
                .text(
                    "SELECT connection_id, appointment_id FROM calendar_event_mappings \
                     WHERE shares_details AND state IN ('creating', 'live') AND connection_id = ",
                )
                .value(id),
            Pairs::One(connection_id, appointment_id) => sql
                .text("SELECT ")
                .value(connection_id)
                .text(" AS connection_id, ")
                .value(appointment_id)
                .text(" AS appointment_id"),
        }
    }
}

/// Marks the connections as due now, unless they may not act.
pub(super) async fn wake(
    db: &impl ConnectionTrait,
    connections: &[ConnectionId],
    now: Timestamp,
) -> Result<(), StoreError> {
    Sql::on(db)
        .text("UPDATE connection_leases SET due_at = CASE WHEN not_before > ")
        .value(now)
        .text(" THEN not_before ELSE ")
        .value(now)
        .text(" END WHERE connection_id IN ")
        .list(connections.iter().copied())
        .text(" AND (due_at IS NULL OR due_at > ")
        .value(now)
        .text(
            ") AND EXISTS (SELECT 1 FROM coach_calendar_connections c \
             WHERE c.id = connection_leases.connection_id AND c.status = 'active')",
        )
        .execute(db)
        .await?;
    Ok(())
}

/// Locks the lease rows of these connections, in one order for everyone.
pub(super) async fn lock_leases(
    db: &impl ConnectionTrait,
    connections: &[ConnectionId],
) -> Result<(), StoreError> {
    if db.get_database_backend() == sea_orm::DbBackend::Postgres {
        Sql::on(db)
            .text("SELECT 1 FROM connection_leases WHERE connection_id IN ")
            .list(connections.iter().copied())
            .text(" ORDER BY connection_id")
            .for_update()
            .execute(db)
            .await?;
    }
    Ok(())
}

/// Connections whose calendars these pairs concern.
async fn concerned(
    db: &impl ConnectionTrait,
    pairs: Pairs<'_>,
) -> Result<Vec<ConnectionId>, StoreError> {
    let sql = Sql::on(db).text("SELECT DISTINCT pairs.connection_id FROM (");
    let sql = pairs.select(sql, Timestamp::UNIX_EPOCH).text(
        ") pairs JOIN coach_calendar_connections c ON c.id = pairs.connection_id \
             WHERE c.status <> 'disconnected'",
    );
    let rows = db.query_all_raw(sql.build()).await?;
    rows.iter()
        .map(|row| {
            ConnectionId::try_get(row, "", "connection_id")
                .map_err(|error| StoreError::from(sea_orm::DbErr::from(error)))
        })
        .collect()
}
