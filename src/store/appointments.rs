//! Appointments as reported, and how each stands in each calendar.

use std::collections::HashMap;

use sea_orm::sea_query::LockType;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, ExprTrait, QueryFilter,
    QueryOrder, QuerySelect,
};

use super::audit::{Entry, record};
use super::enqueue::{Order, Pairs, queue};
use super::entity::{appointment, connection, job, mapping};
use super::open::commit;
use super::patience::in_time;
use super::sql::lock_coaches;
use super::{Intake, Job, Store, StoreError, erased};
use crate::domain::{
    Appointment, AppointmentId, AuditAction, CoachId, Connection, ConnectionId, ConnectionStatus,
    JobStatus, Mapping, Origin, Timestamp,
};
use crate::failpoint::Step;

/// How an appointment stands in one calendar: what planning needs to explain it.
#[derive(Clone, Debug)]
pub struct EventStatus {
    pub connection: Connection,
    pub mapping: Option<Mapping>,
    /// The row that is open or being worked on.
    pub job: Option<Job>,
}

#[derive(Clone, Copy, Debug)]
pub struct PageRequest {
    pub coach_id: CoachId,
    /// Appointments that start in `from..to`.
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    pub after: Option<(Timestamp, AppointmentId)>,
    pub limit: u64,
}

/// Appointments by start, and where the next page starts.
#[derive(Clone, Debug)]
pub struct AppointmentPage {
    pub appointments: Vec<Appointment>,
    pub next: Option<(Timestamp, AppointmentId)>,
}

impl Store {
    /// Begins to erase an appointment: its client's details are emptied at once, its events are
    /// removed as work, and the row goes with the last of them. `None` if it is not known.
    pub async fn erase(
        &self,
        id: AppointmentId,
        max_attempts: i32,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<Option<Intake>, StoreError> {
        in_time(async {
            let tx = self.begin().await?;
            let Some(row) = appointment::Entity::find_by_id(id).one(&tx).await? else {
                return Ok(None);
            };
            lock_coaches(&tx, [row.coach_id]).await?;
            let found = load(&tx, [id]).await?;
            if found.get(&id).is_none_or(|appointment| appointment.erased) {
                return Ok(None);
            }
            erased::empty(&tx, now)
                .text("id = ")
                .value(id)
                .execute(&tx)
                .await?;
            let order = Order::of_change(max_attempts, now, &origin.cause);
            let (queued, connections) = queue_changed(&tx, &[id], order).await?;
            erased::forget(&tx, Some(&[id])).await?;
            let entry = Entry {
                coach_id: Some(row.coach_id),
                subject_id: Some(id.0),
                ..Entry::of(origin, AuditAction::AppointmentErased)
            };
            record(&tx, &entry, now).await?;
            commit(tx, Step::Erase).await?;
            Ok(Some(Intake {
                results: Vec::new(),
                queued,
                connections,
            }))
        })
        .await
    }

    /// An appointment that is not being erased, with how it stands in each calendar.
    pub async fn appointment(
        &self,
        id: AppointmentId,
    ) -> Result<Option<(Appointment, Vec<EventStatus>)>, StoreError> {
        let row = appointment::Entity::find_by_id(id).one(&self.read).await?;
        let Some(row) = row.filter(|row| row.erased_at.is_none()) else {
            return Ok(None);
        };
        let appointment = Appointment::try_from(row)?;
        let mut mappings: HashMap<ConnectionId, Mapping> = mapping::Entity::find()
            .filter(mapping::Column::AppointmentId.eq(id))
            .all(&self.read)
            .await?
            .into_iter()
            .map(|row| (row.connection_id, row.into()))
            .collect();
        let mut jobs: Vec<Job> = job::Entity::find()
            .filter(job::Column::AppointmentId.eq(id))
            .filter(job::Column::Status.is_in([
                JobStatus::Pending,
                JobStatus::Processing,
                JobStatus::Failed,
            ]))
            .all(&self.read)
            .await?
            .into_iter()
            .map(Job::from)
            .collect();
        super::jobs::put_off(&self.read, &mut jobs).await?;
        let mut jobs: HashMap<ConnectionId, Job> = jobs
            .into_iter()
            .map(|job| (job.connection_id, job))
            .collect();
        let connections = connection::Entity::find()
            .filter(
                Condition::any()
                    .add(connection::Column::CoachId.eq(appointment.coach_id))
                    .add(connection::Column::Id.is_in(mappings.keys().copied())),
            )
            .filter(connection::Column::Status.ne(ConnectionStatus::Disconnected))
            .order_by_asc(connection::Column::CreatedAt)
            .all(&self.read)
            .await?;
        let mut statuses = Vec::with_capacity(connections.len());
        for row in connections {
            statuses.push(EventStatus {
                mapping: mappings.remove(&row.id),
                job: jobs.remove(&row.id),
                connection: row.try_into()?,
            });
        }
        Ok(Some((appointment, statuses)))
    }

    pub async fn appointments(&self, page: PageRequest) -> Result<AppointmentPage, StoreError> {
        let mut query = appointment::Entity::find()
            .filter(appointment::Column::CoachId.eq(page.coach_id))
            .filter(appointment::Column::ErasedAt.is_null())
            .order_by_asc(appointment::Column::StartsAt)
            .order_by_asc(appointment::Column::Id)
            .limit(page.limit.saturating_add(1));
        if let Some(from) = page.from {
            query = query.filter(appointment::Column::StartsAt.gte(from));
        }
        if let Some(to) = page.to {
            query = query.filter(appointment::Column::StartsAt.lt(to));
        }
        if let Some((starts_at, id)) = page.after {
            query = query.filter(
                Condition::any()
                    .add(appointment::Column::StartsAt.gt(starts_at))
                    .add(
                        appointment::Column::StartsAt
                            .eq(starts_at)
                            .and(appointment::Column::Id.gt(id)),
                    ),
            );
        }
        let rows = query.all(&self.read).await?;
        let mut appointments = rows
            .into_iter()
            .map(Appointment::try_from)
            .collect::<Result<Vec<_>, _>>()?;
        let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let more = appointments.len() > limit;
        appointments.truncate(limit);
        let next = appointments
            .last()
            .filter(|_| more)
            .map(|last| (last.starts_at, last.id));
        Ok(AppointmentPage { appointments, next })
    }
}

/// Whether syncing this appointment in this connection makes sense: it is the coach's, or an event
/// of it is there.
pub(super) async fn belongs_to(
    db: &impl ConnectionTrait,
    id: AppointmentId,
    connection: &Connection,
) -> Result<bool, StoreError> {
    let known = load(db, [id]).await?;
    let Some(appointment) = known.get(&id) else {
        return Ok(false);
    };
    if appointment.coach_id == connection.coach_id {
        return Ok(true);
    }
    let mapped = mapping::Entity::find_by_id((connection.id, id))
        .one(db)
        .await?;
    Ok(mapped.is_some())
}

pub(super) async fn queue_changed(
    db: &impl ConnectionTrait,
    changed: &[AppointmentId],
    order: Order<'_>,
) -> Result<(u64, Vec<ConnectionId>), StoreError> {
    if changed.is_empty() {
        return Ok((0, Vec::new()));
    }
    queue(db, Pairs::Appointments(changed), order).await
}

pub(super) async fn load(
    db: &impl ConnectionTrait,
    ids: impl IntoIterator<Item = AppointmentId>,
) -> Result<HashMap<AppointmentId, Appointment>, StoreError> {
    let mut query = appointment::Entity::find().filter(appointment::Column::Id.is_in(ids));
    if db.get_database_backend() == DbBackend::Postgres {
        // Not FOR UPDATE: a claim that holds the lease may be inserting a mapping, whose foreign key
        // asks for the key of this row.
        query = query
            .order_by_asc(appointment::Column::Id)
            .lock(LockType::NoKeyUpdate);
    }
    let rows = query.all(db).await?;
    rows.into_iter()
        .map(|row| Ok((row.id, row.try_into()?)))
        .collect()
}
