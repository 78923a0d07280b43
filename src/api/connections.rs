//! Connected calendar accounts: what they are set to, how they stand, and their end.

use std::sync::Arc;

use poem::Endpoint;
use poem::web::Data;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};

use super::access::Bearer;
use super::body::{JsonBody, Sent};
use super::document::Tag;
use super::entity_tag::{Condition, EntityTag, Tagged};
use super::idempotency::{IdempotencyKey, once, once_with};
use super::ports::Unreachable;
use super::problem::{Code, FieldProblem, Problem, Refused, refusals};
use super::view::{
    CalendarList, CalendarView, ConnectionList, ConnectionView, SettingsBody, SyncStatusView,
    TestReportView,
};
use super::{ApiState, BASE_PATH};
use crate::domain::{
    AppointmentId, Calendar, CalendarId, CoachId, Connection, ConnectionId, FailureCode,
    SettingsChanges, SyncFailure, SyncId,
};
use crate::plan::check_template;
use crate::store::{self, SettingsRefusal, SettingsRequest, SyncRefusal};

pub(super) struct ConnectionsApi;

#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct SyncRequest {
    /// Only this appointment.
    #[oai(nullable)]
    appointment_id: Option<AppointmentId>,
}

impl Sent for SyncRequest {
    const MAX_BYTES: usize = 4 * 1024;
}

#[derive(ApiResponse)]
enum ChangeAnswer {
    /// As it now is.
    #[oai(status = 200)]
    Changed(
        Json<ConnectionView>,
        /// The `etag` of the connection.
        #[oai(header = "ETag")]
        String,
    ),
}

/// A sync that was started.
#[derive(Debug, Object)]
struct StartedSync {
    sync_id: SyncId,
    /// Appointments that are carried because of it.
    queued: u64,
}

#[derive(ApiResponse)]
enum SyncAnswer {
    /// Started. While a full sync is running, it is that one.
    #[oai(status = 202)]
    Started(Json<StartedSync>),
}

#[derive(Clone, Copy, Debug, Enum)]
#[oai(rename_all = "snake_case")]
enum EndedStatus {
    Disconnected,
}

/// A connection that was ended.
#[derive(Debug, Object)]
struct EndedConnection {
    id: ConnectionId,
    status: EndedStatus,
    /// Whether the provider has no grant of ours any more. Microsoft offers no way to end one; Google's
    /// is left alone while another connection uses the account.
    provider_access_revoked: bool,
}

refusals! {
    OfCoach: [];
    OfConnection: [ConnectionNotFound];
    ToChange: [
        ConnectionNotFound, PreconditionFailed, InvalidBody, PayloadTooLarge, UnsupportedMediaType,
        InvalidSettings, NeedsReauth, ConnectionBusy, ProviderUnavailable, ProviderRateLimited,
        ProviderFailed,
    ];
    ToSync: [
        ConnectionNotFound, AppointmentNotFound, InvalidBody, PayloadTooLarge,
        UnsupportedMediaType, SyncDisabled, NeedsReauth, IdempotencyKeyInUse, IdempotencyKeyReused, KeptAnswerUnreadable,
    ];
    ToTest: [
        ConnectionNotFound, ConnectionBusy, PayloadTooLarge, IdempotencyKeyInUse,
        IdempotencyKeyReused, KeptAnswerUnreadable,
    ];
    ToAskProvider: [
        ConnectionNotFound, NeedsReauth, ConnectionBusy, ProviderUnavailable, ProviderRateLimited,
        ProviderFailed,
    ];
}

#[OpenApi(prefix_path = BASE_PATH, tag = "Tag::Connections")]
impl ConnectionsApi {
    /// Connections of a coach.
    ///
    /// Active ones and ones that need attention; ended ones are left out.
    #[oai(
        path = "/connections/:id",
        method = "get",
        operation_id = "list_connections"
    )]
    async fn list_connections(
        &self,
        bearer: Bearer,
        state: Data<&Arc<ApiState>>,
        /// Here the id of a **coach**; everywhere else below `/connections` that of a connection.
        id: Path<CoachId>,
        /// The `ETag` of the answer that the client has.
        #[oai(name = "If-None-Match")]
        if_none_match: Condition,
    ) -> Result<Tagged<ConnectionList>, Refused<OfCoach>> {
        bearer.may_name(id.0)?;
        let found = state.store.connections_of(id.0).await?;
        let answer = ConnectionList::new(&found, state.clock.now());
        let at_rest = ConnectionList::at_rest(&found);
        Ok(Tagged::of_state(&at_rest, answer, &if_none_match))
    }

    /// Change settings of a connection.
    ///
    /// What is not given stays as it is. What the change means for events is carried at once. With
    /// `If-Match` it is made only if nobody changed the connection since the client saw it.
    #[oai(
        path = "/connections/:id",
        method = "put",
        operation_id = "update_connection"
    )]
    async fn update_connection(
        &self,
        bearer: Bearer,
        state: Data<&Arc<ApiState>>,
        id: Path<ConnectionId>,
        /// The `etag` of the connection as the client has it, or several, or `*`.
        #[oai(name = "If-Match")]
        if_match: Condition,
        body: JsonBody<SettingsBody>,
    ) -> Result<ChangeAnswer, Refused<ToChange>> {
        let before = visible(&bearer, &state, id.0).await?;
        let allows = |connection: &Connection| {
            let present = EntityTag::of_settings(connection);
            if_match.allows(&present)
        };
        // Asked again where it is written; but for what is outdated already no provider is called.
        if !allows(&before.connection) {
            return Err(Code::PreconditionFailed.into());
        }
        let (changes, calendar_id) = body.0.into_parts();
        check_templates(&changes)?;
        let calendar = match calendar_id {
            Some(wanted) if wanted != before.connection.calendar.id => {
                Some(writable_calendar(&state, id.0, wanted).await?)
            }
            Some(_) | None => None,
        };
        let now = state.clock.now();
        let request = SettingsRequest {
            changes: &changes,
            calendar: calendar.as_ref(),
            fresh_sync_id: SyncId::generate(now, &*state.entropy),
            max_attempts: state.max_attempts,
            origin: &bearer.origin(),
            now,
        };
        let changed = state.store.change_settings(id.0, request, allows).await?;
        changed.map_err(|refusal| match refusal {
            SettingsRefusal::NotFound => Code::ConnectionNotFound,
            SettingsRefusal::NotAllowed => Code::PreconditionFailed,
        })?;
        state.waker.wake(&[id.0]);
        let after = visible(&bearer, &state, id.0).await?;
        let tag = EntityTag::of_settings(&after.connection).to_string();
        let view = ConnectionView::new(after, now);
        Ok(ChangeAnswer::Changed(Json(view), tag))
    }

    /// End a connection.
    ///
    /// Its tokens are wiped here and, where it can be done, revoked at the provider. Its events stay
    /// in the calendar.
    #[oai(
        path = "/connections/:id",
        method = "delete",
        operation_id = "disconnect"
    )]
    async fn disconnect(
        &self,
        bearer: Bearer,
        state: Data<&Arc<ApiState>>,
        id: Path<ConnectionId>,
    ) -> Result<Json<EndedConnection>, Refused<OfConnection>> {
        visible(&bearer, &state, id.0).await?;
        let Some(ended) = state.flow.end(id.0, &bearer.origin()).await? else {
            return Err(Code::ConnectionNotFound.into());
        };
        tracing::info!(connection.id = %id.0, caller = %bearer.caller(), "connection ended");
        state.waker.wake(&[id.0]);
        Ok(Json(EndedConnection {
            id: id.0,
            status: EndedStatus::Disconnected,
            provider_access_revoked: ended.revoked,
        }))
    }

    /// Sync now: everything, or one appointment.
    ///
    /// Applies everything, the switches for creating and updating aside. Starts at once; while a full
    /// sync is running, the same `sync_id` comes back.
    #[oai(
        path = "/connections/:id/sync",
        method = "post",
        transform = "sync_once",
        operation_id = "sync_now",
        request_header(
            name = "Idempotency-Key",
            ty = "IdempotencyKey",
            description = "Sent again with the same key, it is carried out once."
        )
    )]
    async fn sync_now(
        &self,
        bearer: Bearer,
        state: Data<&Arc<ApiState>>,
        id: Path<ConnectionId>,
        body: JsonBody<Option<SyncRequest>>,
    ) -> Result<SyncAnswer, Refused<ToSync>> {
        visible(&bearer, &state, id.0).await?;
        let now = state.clock.now();
        let started = state
            .store
            .sync_now(
                id.0,
                body.0.and_then(|request| request.appointment_id),
                SyncId::generate(now, &*state.entropy),
                state.max_attempts,
                &bearer.origin(),
                now,
            )
            .await?;
        let started = started.map_err(|refusal| match refusal {
            SyncRefusal::NotFound => Code::ConnectionNotFound,
            SyncRefusal::SyncDisabled => Code::SyncDisabled,
            SyncRefusal::NeedsReauth => Code::NeedsReauth,
            SyncRefusal::UnknownAppointment => Code::AppointmentNotFound,
        })?;
        state.waker.wake(&[id.0]);
        Ok(SyncAnswer::Started(Json(StartedSync {
            sync_id: started.sync_id,
            queued: started.queued,
        })))
    }

    /// Try a connection with a live call.
    ///
    /// Looks at the calendar at the provider and changes nothing. What is wrong is part of the answer.
    #[oai(
        path = "/connections/:id/test",
        method = "post",
        transform = "once",
        operation_id = "test_connection",
        request_header(
            name = "Idempotency-Key",
            ty = "IdempotencyKey",
            description = "Sent again with the same key, it is carried out once."
        )
    )]
    async fn test_connection(
        &self,
        bearer: Bearer,
        state: Data<&Arc<ApiState>>,
        id: Path<ConnectionId>,
    ) -> Result<Json<TestReportView>, Refused<ToTest>> {
        visible(&bearer, &state, id.0).await?;
        let report = state.live.test(id.0).await.map_err(unreachable)?;
        Ok(Json(report.into()))
    }

    /// How the work of a connection stands.
    ///
    /// Counts of appointments by what is left to do for them, the full sync under way, and recent jobs.
    #[oai(
        path = "/connections/:id/sync-status",
        method = "get",
        operation_id = "get_sync_status"
    )]
    async fn get_sync_status(
        &self,
        bearer: Bearer,
        state: Data<&Arc<ApiState>>,
        id: Path<ConnectionId>,
    ) -> Result<Json<SyncStatusView>, Refused<OfConnection>> {
        let view = visible(&bearer, &state, id.0).await?;
        let status = state.store.sync_status(id.0).await?;
        let now = state.clock.now();
        Ok(Json(SyncStatusView::new(view.connection, status, now)))
    }

    /// Calendars of the account that can be written to.
    ///
    /// Asked of the provider. The `id` of one is what the setting `calendar_id` takes.
    #[oai(
        path = "/connections/:id/calendars",
        method = "get",
        operation_id = "list_calendars"
    )]
    async fn list_calendars(
        &self,
        bearer: Bearer,
        state: Data<&Arc<ApiState>>,
        id: Path<ConnectionId>,
    ) -> Result<Json<CalendarList>, Refused<ToAskProvider>> {
        let view = visible(&bearer, &state, id.0).await?;
        let found = state.live.calendars(id.0).await.map_err(unreachable)?;
        let found = found.map_err(|failure| Problem::of_provider(&failure, state.clock.now()))?;
        let selected = &view.connection.calendar.id;
        let calendars = found
            .into_iter()
            .map(|calendar| CalendarView::new(calendar, selected))
            .collect();
        Ok(Json(CalendarList { calendars }))
    }
}

fn sync_once<E: Endpoint>(operation: E) -> impl Endpoint {
    once_with::<Option<SyncRequest>, _>(operation)
}

/// The connection, if it is the caller's to see: another's looks like none.
pub(super) async fn visible(
    bearer: &Bearer,
    state: &ApiState,
    id: ConnectionId,
) -> Result<store::ConnectionView, Problem> {
    let found = state.store.connection(id).await?;
    found
        .filter(|view| bearer.sees(view.connection.coach_id))
        .ok_or_else(|| Problem::new(Code::ConnectionNotFound))
}

fn unreachable(why: Unreachable) -> Problem {
    match why {
        Unreachable::Busy => Problem::new(Code::ConnectionBusy),
        Unreachable::NotFound => Problem::new(Code::ConnectionNotFound),
    }
}

pub(super) fn check_templates(changes: &SettingsChanges) -> Result<(), Problem> {
    let templates = [
        ("/event_title_template", &changes.event_title_template),
        (
            "/event_description_template",
            &changes.event_description_template,
        ),
    ];
    let mut errors = Vec::new();
    for (pointer, template) in templates {
        let checked = template.as_deref().map_or(Ok(()), check_template);
        if let Err(error) = checked {
            errors.push(FieldProblem {
                pointer: pointer.to_owned(),
                detail: error.to_string(),
            });
        }
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Problem::new(Code::InvalidSettings).with_errors(errors))
    }
}

pub(super) async fn writable_calendar(
    state: &ApiState,
    id: ConnectionId,
    wanted: CalendarId,
) -> Result<Calendar, Problem> {
    let refused = |why: &str| Problem::new(Code::InvalidSettings).at("/calendar_id", why);
    match state.live.calendar(id, wanted).await.map_err(unreachable)? {
        Ok(Some(calendar)) => Ok(calendar),
        Ok(None) => Err(refused("the account has no such calendar")),
        Err(SyncFailure::Permanent {
            code: FailureCode::CalendarNotFound,
            ..
        }) => Err(refused("the account has no such calendar")),
        Err(SyncFailure::Permanent {
            code: FailureCode::CalendarReadOnly,
            ..
        }) => Err(refused("the calendar cannot be written to")),
        Err(failure) => Err(Problem::of_provider(&failure, state.clock.now())),
    }
}
