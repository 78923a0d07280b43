//! What the API asks of the running daemon. It knows no actors: whoever runs them implements these.

use std::time::Duration;

use async_trait::async_trait;
use poem_openapi::Object;

pub use super::actors::{
    ActorQuery, ActorReport, ActorState, ActorTotals, ActorTree, LimiterReport,
};
use super::cursor;
use crate::domain::{Calendar, CalendarId, CoachId, ConnectionId, FailureCode, SyncFailure};

/// Tells whoever acts for these connections to look for work, and whoever watches them to look at them. A
/// hint: losing one loses no work.
pub trait Waker: Send + Sync {
    fn wake(&self, connections: &[ConnectionId]);

    /// This coach has a connection more: whoever watches the coach is to look.
    fn coach_changed(&self, coach_id: CoachId);
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

    /// The supervision tree, from its root, with the connections asked for.
    async fn actors(&self, query: ActorQuery) -> ActorTree;

    /// All metrics in the text format of Prometheus.
    async fn metrics(&self) -> String;

    /// A request was answered. `route` is the template that it matched, never the path.
    fn answered(&self, method: &str, route: &str, status: u16, took: Duration);
}

/// The cursor of the page after the one that ends with this connection.
pub fn connection_cursor(last: ConnectionId) -> String {
    cursor::write_id(last.0)
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
