//! Coaches who leave.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use poem::web::Data;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};

use super::access::Bearer;
use super::document::Tag;
use super::problem::{Code, Problem, Refused, refusals};
use super::{ApiState, BASE_PATH};
use crate::domain::{CoachId, ConnectionId, Origin};
use crate::oauth::ConnectFlow;
use crate::store::StoreError;

/// Connections of one coach that are ended at once.
const ENDED_AT_ONCE: usize = 8;
/// How often to end what sign-ins under way connect meanwhile. Each has to finish just between the two
/// steps of a round.
const ROUNDS: usize = 5;

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
        let origin = bearer.origin();
        let mut disconnected = 0;
        for _ in 0..ROUNDS {
            let mut connections = state.store.all_connections_of(coach_id.0).await?;
            disconnected += end_all(&state.flow, &connections, &origin).await?;
            let now = state.clock.now();
            let others = state
                .store
                .forget_coach(coach_id.0, state.max_attempts, &origin, now)
                .await?;
            connections.extend(others.iter().flatten());
            state.waker.wake(&connections);
            if others.is_some() {
                tracing::info!(coach.id = %coach_id.0, caller = %bearer.caller(), "coach forgotten");
                return Ok(ForgetAnswer::Forgotten(Json(ForgottenCoach {
                    id: coach_id.0,
                    disconnected,
                })));
            }
        }
        Err(Problem::new(Code::DatabaseUnavailable).into())
    }
}

/// Answers how many of them were not ended before.
async fn end_all(
    flow: &Arc<ConnectFlow>,
    connections: &[ConnectionId],
    origin: &Origin,
) -> Result<u64, StoreError> {
    let end = async |id| Ok::<_, StoreError>(flow.end(id, origin).await?.is_some());
    let ended = stream::iter(connections.iter().copied()).map(end);
    // Each may wait for its provider.
    let ended = ended.buffer_unordered(ENDED_AT_ONCE);
    let ended: Vec<bool> = ended.try_collect().await?;
    Ok(ended.into_iter().map(u64::from).sum())
}
