//! What settings would do, before they are saved. Nothing here changes anything, so that there is nothing to
//! be carried out once: no `Idempotency-Key` is taken, and no answer kept, which would hold client details.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;

use super::access::Bearer;
use super::body::JsonBody;
use super::connections::{check_templates, visible, writable_calendar};
use super::document::Tag;
use super::problem::{Code, Refused, refusals};
use super::view::{PreviewView, PreviewedEvent, SettingsBody};
use super::{ApiState, BASE_PATH};
use crate::domain::{
    Appointment, AppointmentId, Connection, ConnectionId, Flags, Mapping, SettingsChanges,
    Timestamp,
};
use crate::plan::{Situation, example, is_changed, preview, why_not_written};
use crate::store::StoreError;

pub(super) struct PreviewApi;

/// Events that are looked at to count those that would be rewritten.
const MOST_EVENTS: usize = 10_000;
const EVENTS_AT_ONCE: u64 = 500;

refusals! {
    ToPreview: [
        ConnectionNotFound, AppointmentNotFound, InvalidBody, PayloadTooLarge,
        UnsupportedMediaType, InvalidSettings, NeedsReauth, ConnectionBusy, ProviderUnavailable,
        ProviderRateLimited, ProviderFailed,
    ];
}

#[OpenApi(prefix_path = BASE_PATH, tag = "Tag::Connections")]
impl PreviewApi {
    /// See what settings would do.
    ///
    /// The event of an appointment as the calendar would show it under the settings in the body, in
    /// both privacy modes, and how many events saving them would rewrite. They are taken and checked
    /// as by PUT, and not saved. Only a `calendar_id` that is not the present one asks the provider.
    #[oai(
        path = "/connections/:id/preview",
        method = "post",
        operation_id = "preview_settings"
    )]
    async fn preview_settings(
        &self,
        bearer: Bearer,
        state: Data<&Arc<ApiState>>,
        id: Path<ConnectionId>,
        /// An appointment of the connection's coach. If not given: the next confirmed one, or a made-up
        /// one if there is none.
        appointment_id: Query<Option<AppointmentId>>,
        body: JsonBody<SettingsBody>,
    ) -> Result<Json<PreviewView>, Refused<ToPreview>> {
        let before = visible(&bearer, &state, id.0).await?.connection;
        let (changes, calendar_id) = body.0.into_parts();
        check_templates(&changes)?;
        let mut after = proposed(&before, &changes);
        if let Some(wanted) = calendar_id.filter(|wanted| *wanted != before.calendar.id) {
            after.calendar = writable_calendar(&state, id.0, wanted).await?;
        }
        let now = state.clock.now();
        let shown = shown(&state, appointment_id.0, &after, now).await?;
        let Some((appointment, mapping, is_example)) = shown else {
            return Err(Code::AppointmentNotFound.into());
        };
        let why = why_not_written(Situation {
            appointment: &appointment,
            mapping: mapping.as_ref(),
            connection: &after,
            flags: Flags::CHANGE,
            now,
        });
        let rewritten_events = rewritten(&state, &before, &after, now).await?;
        let both = preview(&appointment, &after.settings);
        let event =
            |content| PreviewedEvent::new(content, after.provider, after.calendar.time_zone);
        Ok(Json(PreviewView {
            appointment_id: (!is_example).then_some(appointment.id),
            is_example,
            include_client_details: after.settings.include_client_details,
            details_off: event(both.details_off),
            details_on: event(both.details_on),
            not_written_because: why.map(|why| why.as_str().to_owned()),
            rewritten_events,
        }))
    }
}

fn proposed(before: &Connection, changes: &SettingsChanges) -> Connection {
    Connection {
        settings: changes.applied_to(&before.settings),
        ..before.clone()
    }
}

/// The appointment to show, what is in the calendar of it, and whether it is made up; `None` if the
/// coach has none of that id.
async fn shown(
    state: &ApiState,
    wanted: Option<AppointmentId>,
    connection: &Connection,
    now: Timestamp,
) -> Result<Option<(Appointment, Option<Mapping>, bool)>, StoreError> {
    let coach_id = connection.coach_id;
    let id = match wanted {
        Some(id) => Some(id),
        None => state.store.next_appointment(coach_id, now).await?,
    };
    let found = match id {
        Some(id) => state.store.appointment(id).await?,
        None => None,
    };
    let own = found.filter(|(appointment, _)| appointment.coach_id == coach_id);
    Ok(match own {
        Some((appointment, statuses)) => {
            let here = statuses
                .into_iter()
                .find(|status| status.connection.id == connection.id);
            Some((appointment, here.and_then(|status| status.mapping), false))
        }
        None if wanted.is_some() => None,
        None => {
            let zone = connection.calendar.time_zone.unwrap_or_default();
            Some((example(coach_id, zone, now), None, true))
        }
    })
}

/// How many events saving would change.
async fn rewritten(
    state: &ApiState,
    before: &Connection,
    after: &Connection,
    now: Timestamp,
) -> Result<u64, StoreError> {
    if before.settings == after.settings && before.calendar.id == after.calendar.id {
        return Ok(0);
    }
    let (mut count, mut seen, mut last) = (0, 0, None);
    while seen < MOST_EVENTS {
        let page = state
            .store
            .events_of(before.id, last, EVENTS_AT_ONCE)
            .await?;
        let Some((newest, _)) = page.last() else {
            break;
        };
        last = Some(newest.id);
        seen += page.len();
        count += page
            .iter()
            .filter(|(appointment, mapping)| is_changed(appointment, mapping, before, after, now))
            .count();
    }
    Ok(u64::try_from(count).unwrap_or(u64::MAX))
}
