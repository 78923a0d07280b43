//! What the API asks of the running daemon. It knows no actors: whoever runs them implements these.

use std::time::Duration;

use async_trait::async_trait;
use poem_openapi::{Enum, Object};

use super::UtcTime;
use crate::domain::{Calendar, CalendarId, ConnectionId, FailureCode, SyncFailure};

/// Tells whoever acts for these connections to look for work. A hint: losing one loses no work.
pub trait Waker: Send + Sync {
    fn wake(&self, connections: &[ConnectionId]);
}

/// Live calls with a connection's own access, made under its lease.
#[async_trait]
pub trait LiveConnections: Send + Sync {
    /// Tries the connection; its provider's refusal is a report, not an error.
    async fn test(&self, id: ConnectionId) -> Result<TestReport, Unreachable>;

    /// Calendars of the account that can be written to.
    async fn calendars(
        &self,
        id: ConnectionId,
    ) -> Result<Result<Vec<Calendar>, SyncFailure>, Unreachable>;

    /// One calendar that can be written to; `None` if there is none of that id.
    async fn calendar(
        &self,
        id: ConnectionId,
        calendar: CalendarId,
    ) -> Result<Result<Option<Calendar>, SyncFailure>, Unreachable>;
}

/// How a connection fared when it was tried.
#[derive(Clone, Debug)]
pub struct TestReport {
    pub ok: bool,
    pub calendar_name: Option<String>,
    pub account_email: String,
    pub latency: Duration,
    /// What is wrong, in our own words; set unless `ok`.
    pub problem: Option<(FailureCode, String)>,
}

/// Why no call was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// Another node acts for it, or it is draining: worth another try in a moment.
    #[error("the connection is busy elsewhere")]
    Busy,
    #[error("there is no such connection")]
    NotFound,
}

/// What operators see.
#[async_trait]
pub trait Health: Send + Sync {
    async fn ready(&self) -> Readiness;

    /// The supervision tree, from its root.
    async fn actors(&self) -> ActorReport;

    /// All metrics in the text format of Prometheus.
    async fn metrics(&self) -> String;

    /// A request was answered. `route` is the template that it matched, never the path.
    fn answered(&self, method: &str, route: &str, status: u16, took: Duration);
}

/// Whether requests and work are being served.
#[derive(Clone, Debug, Object)]
pub struct Readiness {
    /// Whether all parts are.
    pub ok: bool,
    pub parts: Vec<ReadyPart>,
}

/// One part that must run.
#[derive(Clone, Debug, Object)]
pub struct ReadyPart {
    /// Such as `database`, `queue_poller`, `connections`.
    pub name: String,
    pub ok: bool,
    /// How it stands, in words.
    pub detail: String,
}

/// What an actor is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum ActorState {
    Starting,
    Running,
    /// Nothing to do.
    Idle,
    /// Held back until a due time, for instance by a limit.
    Waiting,
    /// Failed; comes back after a delay.
    Restarting,
    /// Failed again and again; comes back after a cool-down.
    Quarantined,
    /// Finishing what it has begun.
    Draining,
    Stopped,
}

/// One actor and those below it.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct ActorReport {
    /// What it is, such as `connection_worker`.
    pub kind: String,
    /// The id of a node; new at every start.
    pub id: Option<String>,
    pub connection_id: Option<ConnectionId>,
    pub state: ActorState,
    /// Since when it is in that state.
    pub since: UtcTime,
    /// How often it was started again.
    pub restarts: u32,
    pub last_progress_at: Option<UtcTime>,
    /// In our own words.
    pub last_error: Option<String>,
    /// By how much its oldest due work is late.
    pub lag_seconds: Option<f64>,
    pub limiter: Option<LimiterReport>,
    /// The node that acts for the connection, if it is not this one.
    pub owner: Option<String>,
    /// Children left out of a long list; idle ones are left out first.
    pub omitted: Option<u64>,
    pub children: Vec<ActorReport>,
}

/// How a rate limiter stands.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct LimiterReport {
    /// Units the provider allows per window.
    pub units: u32,
    pub window_seconds: f64,
    /// No call leaves before then.
    pub blocked_until: Option<UtcTime>,
}
