//! Coaches who leave.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use poem::web::Data;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};

use super::access::Bearer;
use super::document::Tag;
use super::problem::{Refused, refusals};
use super::{ApiState, BASE_PATH};
use crate::domain::{CoachId, ConnectionId};
use crate::store::StoreError;

/// Connections of one coach that are ended at once.
const ENDED_AT_ONCE: usize = 8;

pub(super) struct CoachesApi;

/// A coach who was forgotten.
#[derive(Debug, Object)]
struct ForgottenCoach {
    id: CoachId,
    /// Connections ended because of it.
    disconnected: u64,
}

#[derive(ApiResponse)]
enum ForgetAnswer {
    /// Forgotten. Also answered for a coach who was not known.
    #[oai(status = 202)]
    Forgotten(Json<ForgottenCoach>),
}

refusals! {
    ToForget: [];
}

#[OpenApi(prefix_path = BASE_PATH, tag = "Tag::Coaches")]
impl CoachesApi {
    /// Forget a coach.
    ///
    /// Ends every connection, then forgets connections, appointments, mappings and jobs. Events stay
    /// in the calendars; but an event of an appointment that the coach took over from another, and that
    /// is still in the other's calendar, is removed there as soon as that is possible.
    #[oai(
        path = "/coaches/:coach_id",
        method = "delete",
        operation_id = "forget_coach"
    )]
    async fn forget_coach(
        &self,
        bearer: Bearer,
        state: Data<&Arc<ApiState>>,
        coach_id: Path<CoachId>,
    ) -> Result<ForgetAnswer, Refused<ToForget>> {
        bearer.is_platform()?;
        let mut connections = state.store.all_connections_of(coach_id.0).await?;
        let origin = bearer.origin();
        let end = async |id: ConnectionId| {
            Ok::<_, StoreError>(state.flow.end(id, &origin).await?.is_some())
        };
        let ended = stream::iter(connections.clone()).map(end);
        // Each may wait for its provider.
        let ended = ended.buffer_unordered(ENDED_AT_ONCE);
        let ended: Vec<bool> = ended.try_collect().await?;
        let disconnected = ended.into_iter().map(u64::from).sum();
        let now = state.clock.now();
        let others = state
            .store
            .forget_coach(coach_id.0, state.max_attempts, &origin, now)
            .await?;
        connections.extend(others);
        tracing::info!(coach.id = %coach_id.0, caller = %bearer.caller(), "coach forgotten");
        state.waker.wake(&connections);
        Ok(ForgetAnswer::Forgotten(Json(ForgottenCoach {
            id: coach_id.0,
            disconnected,
        })))
    }
}
