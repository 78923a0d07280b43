//! The control plane: HTTP in, JSON out, described by its own OpenAPI document.
//!
//! Owns the form of requests, answers and errors, who may do what, and which store function or port
//! a request leads to. An operation reads, asks one thing and converts; decisions are in `plan`, rows
//! in `store`, sign-ins in `oauth`, and what runs is behind [`ports`]: no actor is named here.
//!
//! One file per tag. Every operation names the problems it may answer (see `problem`), and takes a
//! `Bearer` unless anyone may call it.

mod access;
mod actors;
mod appointments;
mod audit;
mod body;
mod coaches;
mod connect;
mod connections;
mod cursor;
mod document;
mod edge;
mod entity_tag;
mod health;
mod idempotency;
pub mod ports;
mod preview;
mod problem;
mod queue;
#[cfg(test)]
mod tests;
mod time;
mod view;
mod watch;
mod webhooks;

use std::sync::Arc;

use poem::{Endpoint, IntoEndpoint, Response, Route, get};

pub use body::BodyRoom;
pub use document::document;
pub use edge::RequestLimits;
pub use time::UtcTime;
pub use watch::StatusStreams;

use self::ports::{Health, LiveConnections, Waker};
use crate::changes::Changes;
use crate::config::HttpConfig;
use crate::domain::{Clock, Entropy};
use crate::oauth::ConnectFlow;
use crate::security::api_token::Verifier;
use crate::store::Store;
use crate::traces::Traces;
use crate::webhooks::Registrations;

/// Under which everything but health, metrics, documents and pages lies.
pub const BASE_PATH: &str = "/api/calendar-integration";

/// Everything an operation may need.
pub struct ApiState {
    pub store: Store,
    pub verifier: Arc<Verifier>,
    pub limits: RequestLimits,
    pub bodies: BodyRoom,
    pub flow: Arc<ConnectFlow>,
    pub webhooks: Registrations,
    pub waker: Arc<dyn Waker>,
    pub live: Arc<dyn LiveConnections>,
    pub health: Arc<dyn Health>,
    pub traces: Traces,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub changes: Changes,
    pub streams: StatusStreams,
    /// How browsers reach us, and from which pages.
    pub web: HttpConfig,
    /// Failed attempts before a job is given up.
    pub max_attempts: i32,
}

impl std::fmt::Debug for ApiState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiState").finish_non_exhaustive()
    }
}

/// The whole HTTP surface. `pages` are served beside the API, such as `/dashboard`.
pub fn service(state: ApiState, pages: Route) -> impl Endpoint<Output = Response> + 'static {
    let routes = pages
        .at("/openapi.json", get(document::json_endpoint()))
        .at("/openapi.yaml", get(document::yaml_endpoint()))
        .at("/docs", get(document::page_endpoint()))
        .nest("/", document::service().into_endpoint());
    edge::Edge::new(routes, Arc::new(state))
}
