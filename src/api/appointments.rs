//! Appointments as the booking platform reports them, and where each stands.

use std::sync::Arc;

use poem::Endpoint;
use poem::web::Data;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};

use super::access::{Bearer, for_the_platform};
use super::body::JsonBody;
use super::document::Tag;
use super::entity_tag::{Condition, Tagged};
use super::idempotency::{IdempotencyKey, once_with};
use super::problem::{Code, FieldProblem, Problem, Refused, refusals};
use super::view::{
    AppointmentBody, AppointmentPageView, AppointmentView, BatchBody, ExplainedAppointmentView,
};
use super::{ApiState, BASE_PATH, UtcTime, cursor};
use crate::domain::{Appointment, AppointmentId, Cause, CoachId};
use crate::plan::Outcome;
use crate::store::{Intake, PageRequest};

pub(super) struct AppointmentsApi;

/// What became of a report.
#[derive(Debug, Object)]
struct Receipt {
    id: AppointmentId,
    outcome: Outcome,
    /// Changes of calendars that are carried because of it.
    queued: u64,
}

#[derive(ApiResponse)]
enum ReportAnswer {
    /// Taken in; durable.
    #[oai(status = 200)]
    Known(Json<Receipt>),
    /// Taken in for the first time; durable.
    #[oai(status = 201)]
    Created(Json<Receipt>),
}

/// What became of one report of a batch.
#[derive(Debug, Object)]
struct BatchResult {
    id: AppointmentId,
    outcome: Outcome,
}

/// What became of a batch.
#[derive(Debug, Object)]
struct BatchReceipt {
    /// In the order of the reports.
    results: Vec<BatchResult>,
    /// Changes of calendars that are carried because of it.
    queued: u64,
}

/// An erasure that has begun.
#[derive(Debug, Object)]
struct ErasureReceipt {
    id: AppointmentId,
    /// Calendars the appointment is removed from.
    queued: u64,
}

#[derive(ApiResponse)]
enum EraseAnswer {
    /// Begun: client details are gone here, events go next.
    #[oai(status = 202)]
    Begun(Json<ErasureReceipt>),
}

refusals! {
    ToReport: [InvalidBody, InvalidAppointment, PayloadTooLarge, UnsupportedMediaType];
    ToReportBatch: [
        InvalidBody, InvalidAppointment, PayloadTooLarge, UnsupportedMediaType,
        IdempotencyKeyInUse, IdempotencyKeyReused, KeptAnswerUnreadable,
    ];
    OfAppointment: [AppointmentNotFound];
    ToList: [InvalidCursor];
}

#[OpenApi(prefix_path = BASE_PATH, tag = "Tag::Appointments")]
impl AppointmentsApi {
    /// Report an appointment as it now is.
    ///
    /// Creates or replaces it. Reporting the same again changes nothing and queues nothing.
    #[oai(
        path = "/appointments/:id",
        method = "put",
        transform = "for_the_platform",
        operation_id = "put_appointment"
    )]
    async fn put_appointment(
        &self,
        bearer: Bearer,
        state: Data<&Arc<ApiState>>,
        id: Path<AppointmentId>,
        body: JsonBody<AppointmentBody>,
    ) -> Result<ReportAnswer, Refused<ToReport>> {
        bearer.is_platform()?;
        let appointment = body.0.into_appointment(id.0).map_err(invalid)?;
        let intake = take_in(&state, &[appointment], bearer.cause()).await?;
        let outcome = intake.results.first().map(|(_, outcome)| *outcome);
        let receipt = Receipt {
            id: id.0,
            outcome: outcome.unwrap_or(Outcome::Unchanged),
            queued: intake.queued,
        };
        Ok(match receipt.outcome {
            Outcome::Created => ReportAnswer::Created(Json(receipt)),
            Outcome::Updated | Outcome::Unchanged | Outcome::Stale => {
                ReportAnswer::Known(Json(receipt))
            }
        })
    }

    /// Report up to 1,000 appointments as they now are, all or none.
    ///
    /// As one by one, in their order, but durable together: if one is refused, none is taken in, and
    /// the errors name each that is wrong.
    #[oai(
        path = "/appointments/batch",
        method = "post",
        transform = "batch_once",
        operation_id = "put_appointments",
        request_header(
            name = "Idempotency-Key",
            ty = "IdempotencyKey",
            description = "Sent again with the same key, it is carried out once."
        )
    )]
    async fn put_appointments(
        &self,
        bearer: Bearer,
        state: Data<&Arc<ApiState>>,
        body: JsonBody<BatchBody>,
    ) -> Result<Json<BatchReceipt>, Refused<ToReportBatch>> {
        bearer.is_platform()?;
        let mut appointments = Vec::with_capacity(body.0.appointments.len());
        let mut errors = Vec::new();
        for (index, item) in body.0.appointments.into_iter().enumerate() {
            match item.into_appointment(&format!("/appointments/{index}")) {
                Ok(appointment) => appointments.push(appointment),
                Err(problems) => errors.extend(problems),
            }
        }
        if !errors.is_empty() {
            return Err(invalid(errors).into());
        }
        let intake = take_in(&state, &appointments, bearer.cause()).await?;
        let results = intake.results.into_iter();
        Ok(Json(BatchReceipt {
            results: results
                .map(|(id, outcome)| BatchResult { id, outcome })
                .collect(),
            queued: intake.queued,
        }))
    }

    /// An appointment, and why it is or is not in each calendar.
    ///
    /// One entry for each connection of its coach, with the event there or the reason why there is none.
    #[oai(
        path = "/appointments/:id",
        method = "get",
        operation_id = "get_appointment"
    )]
    async fn get_appointment(
        &self,
        bearer: Bearer,
        state: Data<&Arc<ApiState>>,
        id: Path<AppointmentId>,
        /// The `ETag` of the answer that the client has.
        #[oai(name = "If-None-Match")]
        if_none_match: Condition,
    ) -> Result<Tagged<ExplainedAppointmentView>, Refused<OfAppointment>> {
        let found = state.store.appointment(id.0).await?;
        let Some((appointment, mut statuses)) =
            found.filter(|(appointment, _)| bearer.sees(appointment.coach_id))
        else {
            return Err(Code::AppointmentNotFound.into());
        };
        // The coach who had it before may still show it: not the business of the one who has it now.
        statuses.retain(|status| bearer.sees(status.connection.coach_id));
        let now = state.clock.now();
        let view = ExplainedAppointmentView::new(appointment, statuses, now);
        Ok(Tagged::new(view, &if_none_match))
    }

    /// Appointments of a coach, by start.
    ///
    /// A page at a time. Erased ones are left out.
    #[oai(
        path = "/appointments",
        method = "get",
        operation_id = "list_appointments"
    )]
    #[expect(
        clippy::too_many_arguments,
        reason = "one per parameter of the request"
    )]
    async fn list_appointments(
        &self,
        bearer: Bearer,
        state: Data<&Arc<ApiState>>,
        coach_id: Query<CoachId>,
        /// Those that start then or later.
        from: Query<Option<UtcTime>>,
        /// Those that start before.
        to: Query<Option<UtcTime>>,
        /// At most so many; 50 if not given.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<u64>>,
        /// `next_cursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<AppointmentPageView>, Refused<ToList>> {
        bearer.may_name(coach_id.0)?;
        let after = cursor.0.as_deref().map(cursor::read).transpose()?;
        let page = state
            .store
            .appointments(PageRequest {
                coach_id: coach_id.0,
                from: from.0.map(|at| at.0),
                to: to.0.map(|at| at.0),
                after: after.map(|(at, id)| (at, AppointmentId(id))),
                limit: limit.0.unwrap_or(cursor::DEFAULT_LIMIT),
            })
            .await?;
        let appointments = page.appointments.into_iter();
        Ok(Json(AppointmentPageView {
            appointments: appointments.map(AppointmentView::from).collect(),
            next_cursor: page.next.map(|(at, id)| cursor::write(at, id.0)),
        }))
    }

    /// Erase an appointment: from every calendar, then from here.
    ///
    /// Client details are gone when this answers; events follow as fast as their providers allow.
    #[oai(
        path = "/appointments/:id",
        method = "delete",
        operation_id = "erase_appointment"
    )]
    async fn erase_appointment(
        &self,
        bearer: Bearer,
        state: Data<&Arc<ApiState>>,
        id: Path<AppointmentId>,
    ) -> Result<EraseAnswer, Refused<OfAppointment>> {
        bearer.is_platform()?;
        let now = state.clock.now();
        let origin = bearer.origin();
        let erased = state
            .store
            .erase(id.0, state.max_attempts, &origin, now)
            .await?;
        let Some(intake) = erased else {
            return Err(Code::AppointmentNotFound.into());
        };
        tracing::info!(appointment.id = %id.0, caller = %bearer.caller(), "erasure begun");
        state.waker.wake(&intake.connections);
        Ok(EraseAnswer::Begun(Json(ErasureReceipt {
            id: id.0,
            queued: intake.queued,
        })))
    }
}

fn batch_once<E: Endpoint>(operation: E) -> impl Endpoint {
    for_the_platform(once_with::<BatchBody, _>(operation))
}

async fn take_in(
    state: &ApiState,
    reported: &[Appointment],
    cause: &Cause,
) -> Result<Intake, Problem> {
    let now = state.clock.now();
    let intake = state
        .store
        .report(reported, state.max_attempts, cause, now)
        .await?;
    state.waker.wake(&intake.connections);
    Ok(intake)
}

fn invalid(errors: Vec<FieldProblem>) -> Problem {
    Problem::new(Code::InvalidAppointment).with_errors(errors)
}
