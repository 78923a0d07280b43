//! The audit trail, for operators.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::Query;
use poem_openapi::payload::Json;

use super::access::Bearer;
use super::document::Tag;
use super::problem::{Refused, refusals};
use super::view::AuditPageView;
use super::{ApiState, BASE_PATH, UtcTime, cursor};
use crate::domain::{AuditAction, AuditEventId, CoachId, ConnectionId};
use crate::store::AuditFilter;

pub(super) struct AuditApi;

refusals! {
    ToList: [InvalidCursor];
}

#[OpenApi(prefix_path = BASE_PATH, tag = "Tag::Audit")]
impl AuditApi {
    /// Who asked for what, newest first.
    ///
    /// Connecting, disconnecting, changes of settings, syncs by hand, failed jobs that were tried again,
    /// erasures of appointments and of coaches, key rotations that were started; of webhooks: registering,
    /// changing, new secrets, replays, deleting.
    #[oai(path = "/audit", method = "get", operation_id = "list_audit_events")]
    #[expect(
        clippy::too_many_arguments,
        reason = "one per parameter of the request"
    )]
    async fn list_audit_events(
        &self,
        bearer: Bearer,
        state: Data<&Arc<ApiState>>,
        coach_id: Query<Option<CoachId>>,
        connection_id: Query<Option<ConnectionId>>,
        #[oai(example = "an_action")] action: Query<Option<AuditAction>>,
        /// Those of then or later.
        #[oai(example = "a_time")]
        from: Query<Option<UtcTime>>,
        /// Those from before.
        to: Query<Option<UtcTime>>,
        /// At most so many; 50 if not given.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<u64>>,
        /// `next_cursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<AuditPageView>, Refused<ToList>> {
        bearer.is_operator()?;
        let after = cursor.0.as_deref().map(cursor::read).transpose()?;
        let filter = AuditFilter {
            coach_id: coach_id.0,
            connection_id: connection_id.0,
            action: action.0,
            from: from.0.map(|at| at.0),
            to: to.0.map(|at| at.0),
        };
        let page = state
            .store
            .audit_events(
                filter,
                after.map(|(at, id)| (at, AuditEventId(id))),
                limit.0.unwrap_or(cursor::DEFAULT_LIMIT),
            )
            .await?;
        Ok(Json(page.into()))
    }
}

fn an_action() -> Option<AuditAction> {
    Some(AuditAction::SettingsChanged)
}

fn a_time() -> Option<UtcTime> {
    Some(UtcTime(
        chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::days(20_800),
    ))
}
