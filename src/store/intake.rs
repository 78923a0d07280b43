//! Appointments as the platform reports them, taken in.
//!
//! Reports of one appointment are serial by its row. A row that is not there yet is inserted before
//! anything is decided, so that of two first reports one waits for the other, whichever coaches they name.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use super::appointments::{load, queue_changed};
use super::enqueue::Order;
use super::entity::appointment;
use super::open::commit;
use super::patience::in_time;
use super::sql::lock_coaches;
use super::{Store, StoreError};
use crate::domain::{Appointment, AppointmentId, Cause, CoachId, ConnectionId, Timestamp};
use crate::failpoint::Step;
use crate::plan::{Outcome, receive};

/// How often to begin anew because an appointment changed hands, or was forgotten, that very moment.
const ROUNDS: usize = 5;

/// What a report changed. Durable when answered.
#[derive(Clone, Debug, Default)]
pub struct Intake {
    /// In the order of the report.
    pub results: Vec<(AppointmentId, Outcome)>,
    /// Rows that are pending because of it.
    pub queued: u64,
    /// Connections to wake.
    pub connections: Vec<ConnectionId>,
}

impl Store {
    /// Takes in what the platform reports, all or nothing, and queues what it changes.
    pub async fn report(
        &self,
        reported: &[Appointment],
        max_attempts: i32,
        cause: &Cause,
        now: Timestamp,
    ) -> Result<Intake, StoreError> {
        in_time(self.take_in(reported, max_attempts, cause, now)).await
    }

    async fn take_in(
        &self,
        reported: &[Appointment],
        max_attempts: i32,
        cause: &Cause,
        now: Timestamp,
    ) -> Result<Intake, StoreError> {
        for _ in 0..ROUNDS {
            let taken_in = self.try_to_take_in(reported, max_attempts, cause, now);
            if let Some(intake) = taken_in.await? {
                return Ok(intake);
            }
        }
        Err(StoreError::contended())
    }

    /// `None` if others changed meanwhile whom it concerns.
    async fn try_to_take_in(
        &self,
        reported: &[Appointment],
        max_attempts: i32,
        cause: &Cause,
        now: Timestamp,
    ) -> Result<Option<Intake>, StoreError> {
        let tx = self.begin().await?;
        let stored = stored_coaches(&tx, reported).await?;
        let named = reported.iter().map(|appointment| appointment.coach_id);
        let coaches: BTreeSet<CoachId> = named.chain(stored.values().copied()).collect();
        lock_coaches(&tx, coaches.iter().copied()).await?;
        let is_new = |appointment: &&Appointment| !stored.contains_key(&appointment.id);
        let inserted = insert_new(&tx, reported.iter().filter(is_new), now).await?;
        let ids: BTreeSet<AppointmentId> = reported
            .iter()
            .map(|appointment| appointment.id)
            .filter(|id| !inserted.contains_key(id))
            .collect();
        let mut known = load(&tx, ids.iter().copied()).await?;
        let is_locked = |appointment: &Appointment| coaches.contains(&appointment.coach_id);
        if known.len() < ids.len() || !known.values().all(is_locked) {
            return Ok(None);
        }

        let mut results = Vec::with_capacity(reported.len());
        let mut writes: BTreeMap<AppointmentId, Appointment> = BTreeMap::new();
        let mut changed: Vec<AppointmentId> = Vec::new();
        for appointment in reported {
            let (outcome, taken) = receive(known.get(&appointment.id), appointment);
            results.push((appointment.id, outcome));
            match outcome {
                Outcome::Created | Outcome::Updated => changed.push(appointment.id),
                // The revision may be newer all the same.
                Outcome::Unchanged => {}
                Outcome::Stale => continue,
            }
            known.insert(appointment.id, taken.clone());
            writes.insert(appointment.id, taken);
        }
        changed.sort_unstable();
        changed.dedup();

        writes.retain(|id, taken| inserted.get(id).is_none_or(|inserted| *inserted != taken));
        // Where events are that the appointment's old coach leaves behind, mappings tell.
        save(&tx, writes.values(), now).await?;
        let order = Order::of_change(max_attempts, now, cause);
        let (queued, connections) = queue_changed(&tx, &changed, order).await?;
        commit(tx, Step::Intake).await?;
        Ok(Some(Intake {
            results,
            queued,
            connections,
        }))
    }
}

/// Whose the reported appointments are that are known.
async fn stored_coaches(
    db: &impl ConnectionTrait,
    reported: &[Appointment],
) -> Result<HashMap<AppointmentId, CoachId>, StoreError> {
    let ids = reported.iter().map(|appointment| appointment.id);
    let stored = appointment::Entity::find()
        .filter(appointment::Column::Id.is_in(ids))
        .all(db)
        .await?;
    Ok(stored.iter().map(|row| (row.id, row.coach_id)).collect())
}

/// Inserts those that nobody else inserts this moment, each as it is reported first; answers which.
async fn insert_new<'a>(
    db: &impl ConnectionTrait,
    appointments: impl Iterator<Item = &'a Appointment>,
    now: Timestamp,
) -> Result<BTreeMap<AppointmentId, &'a Appointment>, StoreError> {
    // In one order for everyone: each waits for the others row by row.
    let mut new: BTreeMap<AppointmentId, &Appointment> = BTreeMap::new();
    for appointment in appointments {
        new.entry(appointment.id).or_insert(appointment);
    }
    if new.is_empty() {
        return Ok(new);
    }
    let rows = new
        .values()
        .map(|appointment| appointment::ActiveModel::reported(appointment, now));
    let inserted: BTreeSet<AppointmentId> = appointment::Entity::insert_many(rows)
        .on_conflict(
            OnConflict::column(appointment::Column::Id)
                .do_nothing()
                .to_owned(),
        )
        .exec_with_returning_keys(db)
        .await?
        .into_iter()
        .collect();
    new.retain(|id, _| inserted.contains(id));
    Ok(new)
}

async fn save<'a>(
    db: &impl ConnectionTrait,
    appointments: impl ExactSizeIterator<Item = &'a Appointment>,
    now: Timestamp,
) -> Result<(), StoreError> {
    if appointments.len() == 0 {
        return Ok(());
    }
    let columns = [
        appointment::Column::CoachId,
        appointment::Column::Status,
        appointment::Column::StartsAt,
        appointment::Column::EndsAt,
        appointment::Column::TimeZone,
        appointment::Column::ClientName,
        appointment::Column::ClientEmail,
        appointment::Column::Notes,
        appointment::Column::Location,
        appointment::Column::MeetingUrl,
        appointment::Column::Revision,
        appointment::Column::ErasedAt,
        appointment::Column::UpdatedAt,
    ];
    let rows = appointments.map(|reported| appointment::ActiveModel::reported(reported, now));
    appointment::Entity::insert_many(rows)
        .on_conflict(
            OnConflict::column(appointment::Column::Id)
                .update_columns(columns)
                .to_owned(),
        )
        .exec_without_returning(db)
        .await?;
    Ok(())
}
