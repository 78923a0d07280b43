//! Table `calendar_event_mappings`.

use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;

use crate::domain::{
    AppointmentId, CalendarId, ConnectionId, Etag, EventId, Fingerprint, Fingerprints, Mapping,
    MappingState, Timestamp,
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "calendar_event_mappings")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub connection_id: ConnectionId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub appointment_id: AppointmentId,
    pub state: MappingState,
    pub generation: i32,
    pub calendar_id: CalendarId,
    pub external_event_id: Option<EventId>,
    pub etag: Option<Etag>,
    pub pushed_schedule: Option<String>,
    pub pushed_text: Option<String>,
    pub pushed_guest: Option<String>,
    pub shares_details: bool,
    pub ends_at: Timestamp,
    pub last_synced_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<Model> for Mapping {
    fn from(row: Model) -> Self {
        let pushed = match (row.pushed_schedule, row.pushed_text) {
            (Some(schedule), Some(text)) => Some(Fingerprints {
                schedule: Fingerprint(schedule),
                text: Fingerprint(text),
                guest: row.pushed_guest.map(Fingerprint),
            }),
            (None, _) | (_, None) => None,
        };
        Self {
            connection_id: row.connection_id,
            appointment_id: row.appointment_id,
            state: row.state,
            generation: row.generation,
            calendar_id: row.calendar_id,
            event_id: row.external_event_id,
            etag: row.etag,
            pushed,
            shares_details: row.shares_details,
            ends_at: row.ends_at,
            last_synced_at: row.last_synced_at,
        }
    }
}

impl ActiveModel {
    pub(in crate::store) fn of(mapping: &Mapping, now: Timestamp) -> Self {
        let (schedule, text, guest) = match &mapping.pushed {
            Some(pushed) => (
                Some(pushed.schedule.0.clone()),
                Some(pushed.text.0.clone()),
                pushed.guest.as_ref().map(|guest| guest.0.clone()),
            ),
            None => (None, None, None),
        };
        Self {
            connection_id: Set(mapping.connection_id),
            appointment_id: Set(mapping.appointment_id),
            state: Set(mapping.state),
            generation: Set(mapping.generation),
            calendar_id: Set(mapping.calendar_id.clone()),
            external_event_id: Set(mapping.event_id.clone()),
            etag: Set(mapping.etag.clone()),
            pushed_schedule: Set(schedule),
            pushed_text: Set(text),
            pushed_guest: Set(guest),
            shares_details: Set(mapping.shares_details),
            ends_at: Set(mapping.ends_at),
            last_synced_at: Set(mapping.last_synced_at),
            created_at: Set(now),
            updated_at: Set(now),
        }
    }
}
