//! Table `appointments`.

use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;

use crate::domain::{Appointment, AppointmentId, AppointmentStatus, Client, CoachId, Timestamp};
use crate::store::StoreError;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "appointments")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AppointmentId,
    pub coach_id: CoachId,
    pub status: AppointmentStatus,
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
    pub time_zone: String,
    pub client_name: String,
    pub client_email: String,
    pub notes: Option<String>,
    pub location: Option<String>,
    pub meeting_url: Option<String>,
    pub revision: Option<i64>,
    pub erased_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TryFrom<Model> for Appointment {
    type Error = StoreError;

    fn try_from(row: Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            coach_id: row.coach_id,
            status: row.status,
            starts_at: row.starts_at,
            ends_at: row.ends_at,
            time_zone: row
                .time_zone
                .parse()
                .map_err(|_| StoreError::inconsistent("appointments", "time_zone"))?,
            client: Client {
                name: row.client_name,
                email: row.client_email,
            },
            notes: row.notes,
            location: row.location,
            meeting_url: row.meeting_url,
            revision: row.revision,
            erased: row.erased_at.is_some(),
        })
    }
}

impl ActiveModel {
    pub(in crate::store) fn reported(appointment: &Appointment, now: Timestamp) -> Self {
        Self {
            id: Set(appointment.id),
            coach_id: Set(appointment.coach_id),
            status: Set(appointment.status),
            starts_at: Set(appointment.starts_at),
            ends_at: Set(appointment.ends_at),
            time_zone: Set(appointment.time_zone.name().to_owned()),
            client_name: Set(appointment.client.name.clone()),
            client_email: Set(appointment.client.email.clone()),
            notes: Set(appointment.notes.clone()),
            location: Set(appointment.location.clone()),
            meeting_url: Set(appointment.meeting_url.clone()),
            revision: Set(appointment.revision),
            erased_at: Set(None),
            created_at: Set(now),
            updated_at: Set(now),
        }
    }
}
