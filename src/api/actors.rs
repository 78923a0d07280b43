//! The supervision tree as operators see it: one page of its connections, under the numbers of all.

use poem_openapi::types::Example;
use poem_openapi::{Enum, Object};

use super::UtcTime;
use crate::domain::{ConnectionId, Timestamp};

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

/// Which connections of the tree to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActorQuery {
    pub state: Option<ActorState>,
    pub connection_id: Option<ConnectionId>,
    /// Those whose ids come later.
    pub after: Option<ConnectionId>,
    pub limit: u64,
}

impl ActorQuery {
    /// Whether a connection is asked for, on whatever page.
    pub fn matches(&self, id: ConnectionId, state: ActorState) -> bool {
        self.connection_id.is_none_or(|wanted| wanted == id)
            && self.state.is_none_or(|wanted| wanted == state)
    }
}

/// How the connections of this node stand, all of them: filters and pages do not change these.
#[derive(Clone, Debug, Default, PartialEq, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct ActorTotals {
    /// Connections with actors, but for those set aside. Those with nothing to do have none.
    pub connections: u64,
    pub starting: u64,
    pub running: u64,
    pub idle: u64,
    pub waiting: u64,
    pub restarting: u64,
    /// Set aside, on whatever node; counted up to 10,000. Absent while the database does not answer.
    pub quarantined: Option<u64>,
    /// Restarts of those actors and of the node's own parts together.
    pub restarts: u64,
    /// By how much the oldest due work among them is late.
    pub worst_lag_seconds: f64,
}

/// The supervision tree from its root, with one page of its connections.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub struct ActorTree {
    pub totals: ActorTotals,
    /// Leads to the next page of connections; absent on the last one.
    pub next_cursor: Option<String>,
    #[oai(flatten)]
    pub root: ActorReport,
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
    /// In our own words. Of the whole daemon: what the tree lacks, and why.
    pub last_error: Option<String>,
    /// By how much its oldest due work is late.
    pub lag_seconds: Option<f64>,
    pub limiter: Option<LimiterReport>,
    /// The node that acts for the connection, if it is not this one.
    pub owner: Option<String>,
    /// Children that were asked for and are not on this page.
    pub omitted: Option<u64>,
    pub children: Vec<ActorReport>,
}

impl ActorReport {
    /// An actor of which nothing more is known.
    pub fn new(kind: &str, state: ActorState, since: Timestamp) -> Self {
        Self {
            kind: kind.to_owned(),
            id: None,
            connection_id: None,
            state,
            since: UtcTime(since),
            restarts: 0,
            last_progress_at: None,
            last_error: None,
            lag_seconds: None,
            limiter: None,
            owner: None,
            omitted: None,
            children: Vec::new(),
        }
    }
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

impl Example for ActorTree {
    fn example() -> Self {
        let at =
            |minute: i64| Timestamp::UNIX_EPOCH + chrono::TimeDelta::minutes(30_000_000 + minute);
        let id = Some(ConnectionId(uuid::Uuid::from_u128(
            0x67e5_5044_10b1_426f_9247_bb68_0e5f_e0c8,
        )));
        let worker = ActorReport {
            connection_id: id,
            last_progress_at: Some(UtcTime(at(57))),
            lag_seconds: Some(1.5),
            limiter: Some(LimiterReport {
                units: 600,
                window_seconds: 60.0,
                blocked_until: Some(UtcTime(at(60))),
            }),
            ..ActorReport::new("connection_worker", ActorState::Waiting, at(57))
        };
        let supervisor = ActorReport {
            connection_id: id,
            children: vec![worker],
            ..ActorReport::new("connection_supervisor", ActorState::Waiting, at(57))
        };
        let connections = ActorReport {
            omitted: Some(1_299),
            children: vec![supervisor],
            ..ActorReport::new("connections", ActorState::Running, at(0))
        };
        Self {
            totals: ActorTotals {
                connections: 100_000,
                running: 120,
                idle: 98_580,
                waiting: 1_300,
                quarantined: Some(0),
                worst_lag_seconds: 4.2,
                ..ActorTotals::default()
            },
            next_cursor: Some("AZgNLnwAeqqLuwEjRWeJqw".to_owned()),
            root: ActorReport {
                id: Some("01980d2e-7c00-7aaa-8bbb-0123456789ab".to_owned()),
                children: vec![
                    ActorReport::new("queue_poller", ActorState::Running, at(0)),
                    connections,
                    ActorReport::new("housekeeper", ActorState::Running, at(0)),
                    ActorReport::new("webhook_deliverer", ActorState::Running, at(0)),
                ],
                ..ActorReport::new("daemon", ActorState::Running, at(0))
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_asks_for_what_fits_all_that_it_names() {
        let [one, other] = [1, 2].map(|id| ConnectionId(uuid::Uuid::from_u128(id)));
        let everything = ActorQuery {
            state: None,
            connection_id: None,
            after: None,
            limit: 10,
        };
        assert!(everything.matches(one, ActorState::Idle));
        let waiting = ActorQuery {
            state: Some(ActorState::Waiting),
            ..everything
        };
        assert!(waiting.matches(one, ActorState::Waiting));
        assert!(!waiting.matches(one, ActorState::Idle));
        let of_one = ActorQuery {
            connection_id: Some(one),
            ..waiting
        };
        assert!(of_one.matches(one, ActorState::Waiting));
        assert!(!of_one.matches(other, ActorState::Waiting));
    }
}
