//! How the daemon fares: for load balancers, operators and Prometheus.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::{Json, PlainText};
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};

use super::ApiState;
use super::access::Bearer;
use super::document::Tag;
use super::ports::{ActorReport, Readiness};
use super::problem::{Refused, refusals};

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

refusals! {
    ToOperators: [];
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
    /// Of this node, for operators: one entry for each actor that runs.
    #[oai(path = "/health/actors", method = "get", operation_id = "get_actors")]
    async fn get_actors(
        &self,
        bearer: Bearer,
        state: Data<&Arc<ApiState>>,
    ) -> Result<Json<ActorReport>, Refused<ToOperators>> {
        bearer.is_operator()?;
        Ok(Json(state.health.actors().await))
    }

    /// Metrics for Prometheus.
    ///
    /// Of this node, in the OpenMetrics text format.
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
