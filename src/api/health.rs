//! How the daemon fares: for load balancers, operators and Prometheus.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::param::Query;
use poem_openapi::payload::{Json, PlainText};
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};

use super::ApiState;
use super::access::Bearer;
use super::cursor;
use super::document::Tag;
use super::ports::{ActorQuery, ActorState, ActorTree, Readiness};
use super::problem::{Refused, refusals};
use crate::domain::ConnectionId;

pub(super) struct HealthApi;

#[derive(Clone, Copy, Debug, Enum)]
#[oai(rename_all = "snake_case")]
enum LiveStatus {
    Ok,
}

/// The process answers.
#[derive(Debug, Object)]
struct Live {
    status: LiveStatus,
}

#[derive(ApiResponse)]
enum ReadyAnswer {
    /// Requests and work are being served.
    #[oai(status = 200)]
    Ready(Json<Readiness>),
    /// They are not, or not all; the parts say which.
    #[oai(status = 503)]
    NotReady(
        Json<Readiness>,
        /// Seconds until it is worth another look.
        #[oai(header = "Retry-After")]
        u64,
    ),
}

#[derive(ApiResponse)]
enum MetricsAnswer {
    /// All metrics.
    #[oai(
        status = 200,
        content_type = "text/plain; version=0.0.4; charset=utf-8"
    )]
    Text(PlainText<String>),
}

const LOOK_AGAIN_SECONDS: u64 = 5;
/// Connections on a page of the tree, if not asked otherwise.
const CONNECTIONS_SHOWN: u64 = 200;

refusals! {
    ToOperators: [];
    ToLook: [InvalidCursor];
}

#[OpenApi(tag = "Tag::Health")]
impl HealthApi {
    /// Whether the process answers.
    ///
    /// Says nothing of the database or of what runs: restart the process only if this fails.
    #[oai(path = "/health/live", method = "get", operation_id = "get_liveness")]
    async fn get_liveness(&self) -> Json<Live> {
        Json(Live {
            status: LiveStatus::Ok,
        })
    }

    /// Whether requests and work are being served: database, poller, supervisors.
    ///
    /// Of this node alone. Each part says whether it is in order, and why not; send requests to another
    /// node while this answers 503.
    #[oai(path = "/health/ready", method = "get", operation_id = "get_readiness")]
    async fn get_readiness(&self, state: Data<&Arc<ApiState>>) -> ReadyAnswer {
        let readiness = state.health.ready().await;
        if readiness.ok {
            ReadyAnswer::Ready(Json(readiness))
        } else {
            ReadyAnswer::NotReady(Json(readiness), LOOK_AGAIN_SECONDS)
        }
    }

    /// The supervision tree, with state, restarts, progress and errors.
    ///
    /// At the top are the numbers of all connections of this node; of the connections themselves one
    /// page is shown, in the order of their ids.
    #[oai(path = "/health/actors", method = "get", operation_id = "get_actors")]
    async fn get_actors(
        &self,
        bearer: Bearer,
        state: Data<&Arc<ApiState>>,
        /// Only connections that stand so, such as `restarting`.
        status: Query<Option<ActorState>>,
        connection_id: Query<Option<ConnectionId>>,
        /// At most so many connections; 200 if not given.
        #[oai(validator(minimum(value = "1"), maximum(value = "1000")))]
        limit: Query<Option<u64>>,
        /// `next_cursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<ActorTree>, Refused<ToLook>> {
        bearer.is_operator()?;
        let after = cursor.0.as_deref().map(cursor::read_id).transpose()?;
        let query = ActorQuery {
            state: status.0,
            connection_id: connection_id.0,
            after: after.map(ConnectionId),
            limit: limit.0.unwrap_or(CONNECTIONS_SHOWN),
        };
        Ok(Json(state.health.actors(query).await))
    }

    /// Metrics for Prometheus.
    ///
    /// Of this node, in the text format of Prometheus (version 0.0.4).
    #[oai(path = "/metrics", method = "get", operation_id = "get_metrics")]
    async fn get_metrics(
        &self,
        bearer: Bearer,
        state: Data<&Arc<ApiState>>,
    ) -> Result<MetricsAnswer, Refused<ToOperators>> {
        bearer.is_operator()?;
        Ok(MetricsAnswer::Text(PlainText(state.health.metrics().await)))
    }
}
