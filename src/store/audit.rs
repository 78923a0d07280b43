//! The audit trail: who asked for what, written in the transaction that does it. `keys rotate` alone has
//! its line before: it is many transactions, and was begun even if it is interrupted.
//!
//! What we write of our own are ids, field names, switches and counts; nothing of a client, no text of a
//! template and no address. Two words are not ours: `actor` is the `sub` of a token that was believed, and
//! `request_id` is the caller's, if it sent one. A line refers to nothing, so that it outlives what it is
//! about.

use std::collections::BTreeMap;

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder,
    QuerySelect,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::entity::audit_event::{Column, Entity};
use super::sql::Sql;
use super::{Store, StoreError};
use crate::domain::{AuditAction, AuditEventId, CoachId, ConnectionId, Origin, Timestamp};

/// One line of the trail.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEvent {
    pub id: AuditEventId,
    pub at: Timestamp,
    pub origin: Origin,
    pub action: AuditAction,
    pub coach_id: Option<CoachId>,
    pub connection_id: Option<ConnectionId>,
    /// The appointment or job that was meant.
    pub subject_id: Option<Uuid>,
    pub details: BTreeMap<String, Value>,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct AuditFilter {
    pub coach_id: Option<CoachId>,
    pub connection_id: Option<ConnectionId>,
    pub action: Option<AuditAction>,
    /// Lines of `from..to`.
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
}

/// Lines, newest first, and where the next page starts.
#[derive(Clone, Debug)]
pub struct AuditPage {
    pub events: Vec<AuditEvent>,
    pub next: Option<(Timestamp, AuditEventId)>,
}

/// A line about to be written.
pub(super) struct Entry<'a> {
    pub(super) origin: &'a Origin,
    pub(super) action: AuditAction,
    pub(super) coach_id: Option<CoachId>,
    pub(super) connection_id: Option<ConnectionId>,
    pub(super) subject_id: Option<Uuid>,
    /// An object.
    pub(super) details: Value,
}

impl<'a> Entry<'a> {
    pub(super) fn of(origin: &'a Origin, action: AuditAction) -> Self {
        Self {
            origin,
            action,
            coach_id: None,
            connection_id: None,
            subject_id: None,
            details: json!({}),
        }
    }
}

const INSERT: &str = "INSERT INTO audit_events (id, at, actor, role, action, subject_id, details, \
     request_id, coach_id, connection_id) SELECT ";

impl Store {
    pub async fn audit_events(
        &self,
        filter: AuditFilter,
        after: Option<(Timestamp, AuditEventId)>,
        limit: u64,
    ) -> Result<AuditPage, StoreError> {
        let mut wanted = Condition::all()
            .add_option(filter.coach_id.map(|id| Column::CoachId.eq(id)))
            .add_option(filter.connection_id.map(|id| Column::ConnectionId.eq(id)))
            .add_option(filter.action.map(|action| Column::Action.eq(action)))
            .add_option(filter.from.map(|from| Column::At.gte(from)))
            .add_option(filter.to.map(|to| Column::At.lt(to)));
        if let Some((at, id)) = after {
            // Said twice, so that an index leads to the page.
            wanted = wanted.add(Column::At.lte(at)).add(
                Condition::any()
                    .add(Column::At.lt(at))
                    .add(Column::At.eq(at).and(Column::Id.lt(id))),
            );
        }
        let rows = Entity::find()
            .filter(wanted)
            .order_by_desc(Column::At)
            .order_by_desc(Column::Id)
            .limit(limit.saturating_add(1))
            .all(&self.read)
            .await?;
        let mut events = rows
            .into_iter()
            .map(AuditEvent::try_from)
            .collect::<Result<Vec<_>, _>>()?;
        let page = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = events.len() > page;
        events.truncate(page);
        let next = events
            .last()
            .filter(|_| more)
            .map(|event| (event.at, event.id));
        Ok(AuditPage { events, next })
    }

    /// Writes down that all stored tokens are about to be encrypted anew.
    pub async fn record_key_rotation(
        &self,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let entry = Entry::of(origin, AuditAction::KeyRotationStarted);
        record(&self.write, &entry, now).await
    }
}

pub(super) async fn record(
    db: &impl ConnectionTrait,
    entry: &Entry<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (coach_id, connection_id) = (entry.coach_id, entry.connection_id);
    common(Sql::on(db).text(INSERT), entry, now)
        .value(coach_id)
        .text(", ")
        .value(connection_id)
        .execute(db)
        .await?;
    Ok(())
}

/// One line for each of these connections.
pub(super) async fn record_for(
    db: &impl ConnectionTrait,
    connections: &[ConnectionId],
    entry: &Entry<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    common(Sql::on(db).text(INSERT), entry, now)
        .text("c.coach_id, c.id FROM coach_calendar_connections c WHERE c.id IN ")
        .list(connections.iter().copied())
        .execute(db)
        .await?;
    Ok(())
}

/// All but whose calendar it is about.
fn common(sql: Sql, entry: &Entry<'_>, now: Timestamp) -> Sql {
    sql.new_id(now)
        .text(", ")
        .value(now)
        .text(", ")
        .value(entry.origin.actor.subject.as_str())
        .text(", ")
        .value(entry.origin.actor.role)
        .text(", ")
        .value(entry.action)
        .text(", ")
        .value(entry.subject_id)
        .text(", ")
        .value(entry.details.to_string())
        .text(", ")
        .value(entry.origin.cause.request_id.clone())
        .text(", ")
}

/// Leaves who, what and when of a coach who is forgotten, and no more.
pub(super) async fn keep_ids_only(
    db: &impl ConnectionTrait,
    coach_id: CoachId,
) -> Result<(), StoreError> {
    Sql::on(db)
        .text("UPDATE audit_events SET details = '{}', request_id = NULL WHERE coach_id = ")
        .value(coach_id)
        .execute(db)
        .await?;
    Ok(())
}
