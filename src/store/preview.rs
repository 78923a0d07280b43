//! What a preview of settings is made from. Reads only.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::entity::{appointment, mapping};
use super::{Store, StoreError};
use crate::domain::{
    Appointment, AppointmentId, AppointmentStatus, CoachId, ConnectionId, Mapping, MappingState,
    Timestamp,
};

impl Store {
    /// The coach's next confirmed appointment that has not begun.
    pub async fn next_appointment(
        &self,
        coach_id: CoachId,
        now: Timestamp,
    ) -> Result<Option<AppointmentId>, StoreError> {
        let row = appointment::Entity::find()
            .filter(appointment::Column::CoachId.eq(coach_id))
            .filter(appointment::Column::ErasedAt.is_null())
            .filter(appointment::Column::Status.eq(AppointmentStatus::Confirmed))
            .filter(appointment::Column::StartsAt.gte(now))
            .order_by_asc(appointment::Column::StartsAt)
            .order_by_asc(appointment::Column::Id)
            .one(&self.read)
            .await?;
        Ok(row.map(|row| row.id))
    }

    /// Events that a connection has, or may have, in its calendar, by the ids of their appointments:
    /// those after one.
    pub async fn events_of(
        &self,
        id: ConnectionId,
        after: Option<AppointmentId>,
        limit: u64,
    ) -> Result<Vec<(Appointment, Mapping)>, StoreError> {
        let mut query = mapping::Entity::find()
            .filter(mapping::Column::ConnectionId.eq(id))
            .filter(mapping::Column::State.ne(MappingState::Absent))
            .order_by_asc(mapping::Column::AppointmentId)
            .limit(limit);
        if let Some(after) = after {
            query = query.filter(mapping::Column::AppointmentId.gt(after));
        }
        let mappings = query.all(&self.read).await?;
        let ids = mappings.iter().map(|row| row.appointment_id);
        let rows = appointment::Entity::find()
            .filter(appointment::Column::Id.is_in(ids))
            .all(&self.read)
            .await?;
        let mut appointments = HashMap::with_capacity(rows.len());
        for row in rows {
            appointments.insert(row.id, Appointment::try_from(row)?);
        }
        let mappings = mappings.into_iter();
        Ok(mappings
            .filter_map(|row| {
                let appointment = appointments.remove(&row.appointment_id)?;
                Some((appointment, row.into()))
            })
            .collect())
    }
}
