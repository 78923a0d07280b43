//! The tree of actors, put together from the records each part keeps.
//!
//! Connections come in the order of their ids, whether they have actors here or are set aside, so that
//! a page goes on where the last one ended whatever happened meanwhile.

use std::collections::HashMap;

use super::ports::Ports;
use crate::api::UtcTime;
use crate::api::ports::{
    ActorQuery, ActorReport, ActorState, ActorTotals, ActorTree, LimiterReport, connection_cursor,
};
use crate::connections::{ConnectionSnapshot, WorkerState};
use crate::domain::{Connection, ConnectionId, NodeId, Timestamp};

/// Nodes that one answer lists.
const MOST_NODES: u64 = 100;

/// A connection of the page.
enum Shown {
    WithActors(Box<ConnectionSnapshot>),
    SetAside(Box<Connection>),
}

impl Shown {
    fn id(&self) -> ConnectionId {
        match self {
            Self::WithActors(seen) => seen.connection_id,
            Self::SetAside(connection) => connection.id,
        }
    }
}

pub(super) async fn actors(ports: &Ports, query: ActorQuery) -> ActorTree {
    let now = ports.context.clock.now();
    let snapshots = ports.connections.snapshots();
    let mut totals = totals(&snapshots, now);
    let store = &ports.context.store;
    totals.quarantined = store.quarantined_count().await.unwrap_or_default();

    let matching: Vec<ConnectionSnapshot> = snapshots
        .into_iter()
        .filter(|seen| query.matches(seen.connection_id, state(seen, now)))
        .collect();
    let with_actors = matching.len();
    let here = matching
        .into_iter()
        .map(|seen| Shown::WithActors(Box::new(seen)));
    let set_aside = set_aside(ports, query).await;
    let set_aside = set_aside
        .into_iter()
        .map(|connection| Shown::SetAside(Box::new(connection)));
    let (shown, next) = page(here.chain(set_aside).collect(), query);
    let shown_here = shown
        .iter()
        .filter(|shown| matches!(shown, Shown::WithActors(_)))
        .count();
    let omitted = with_actors.saturating_sub(shown_here);
    let connections = ActorReport {
        children: supervisors(ports, shown, now).await,
        omitted: u64::try_from(omitted).ok().filter(|omitted| *omitted > 0),
        ..ActorReport::new(
            "connections",
            running(ports.connections.is_running()),
            ports.started_at,
        )
    };
    let housekeeper = ActorReport::new(
        "housekeeper",
        running(ports.housekeeper.is_running()),
        ports.started_at,
    );
    let mut children = vec![poller(ports), connections, housekeeper, deliverer(ports)];
    children.extend(other_nodes(ports).await);
    ActorTree {
        totals,
        next_cursor: next.map(connection_cursor),
        root: ActorReport {
            id: Some(ports.context.node.to_string()),
            children,
            ..ActorReport::new("daemon", ActorState::Running, ports.started_at)
        },
    }
}

/// What is asked for, in the order of ids, and after which id the next page begins.
fn page(mut matching: Vec<Shown>, query: ActorQuery) -> (Vec<Shown>, Option<ConnectionId>) {
    matching.retain(|shown| query.after.is_none_or(|after| shown.id().0 > after.0));
    matching.sort_by_key(|shown| shown.id().0);
    let most = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let is_last = matching.len() <= most;
    matching.truncate(most);
    let next = matching.last().map(Shown::id).filter(|_| !is_last);
    (matching, next)
}

fn totals(snapshots: &[ConnectionSnapshot], now: Timestamp) -> ActorTotals {
    let mut totals = ActorTotals::default();
    for seen in snapshots {
        totals.connections += 1;
        totals.restarts = totals.restarts.saturating_add(seen.restarts);
        let lag = lag_seconds(seen, now).unwrap_or_default();
        totals.worst_lag_seconds = totals.worst_lag_seconds.max(lag);
        match state(seen, now) {
            ActorState::Starting => totals.starting += 1,
            ActorState::Running => totals.running += 1,
            ActorState::Idle => totals.idle += 1,
            ActorState::Waiting => totals.waiting += 1,
            ActorState::Restarting => totals.restarting += 1,
            // Of no worker.
            ActorState::Quarantined | ActorState::Draining | ActorState::Stopped => {}
        }
    }
    totals
}

fn poller(ports: &Ports) -> ActorReport {
    let seen = ports.poller.snapshot();
    ActorReport {
        last_progress_at: seen.last_poll_at.map(UtcTime),
        last_error: seen.last_error,
        ..ActorReport::new(
            "queue_poller",
            running(ports.poller.is_running()),
            ports.started_at,
        )
    }
}

fn deliverer(ports: &Ports) -> ActorReport {
    let seen = ports.deliverer.snapshot();
    ActorReport {
        last_progress_at: seen.last_look_at.map(UtcTime),
        last_error: seen.last_error,
        ..ActorReport::new(
            "webhook_deliverer",
            running(ports.deliverer.is_running()),
            ports.started_at,
        )
    }
}

async fn supervisors(ports: &Ports, shown: Vec<Shown>, now: Timestamp) -> Vec<ActorReport> {
    let owners = owners(ports, &shown, now).await;
    let report = |shown: Shown| match shown {
        Shown::SetAside(connection) => ActorReport {
            connection_id: Some(connection.id),
            last_error: connection.status_reason,
            ..ActorReport::new(
                "connection_supervisor",
                ActorState::Quarantined,
                connection.updated_at,
            )
        },
        Shown::WithActors(seen) => ActorReport {
            owner: owners.get(&seen.connection_id).map(ToString::to_string),
            ..supervisor(ports, *seen, now)
        },
    };
    shown.into_iter().map(report).collect()
}

/// The nodes beside this one. Their trees are theirs to show.
async fn other_nodes(ports: &Ports) -> Vec<ActorReport> {
    let alive = ports.context.store.live_nodes(MOST_NODES).await;
    alive
        .unwrap_or_default()
        .into_iter()
        .filter(|node| node.id != ports.context.node)
        .map(|node| ActorReport {
            id: Some(node.id.to_string()),
            ..ActorReport::new("other_node", ActorState::Running, node.started_at)
        })
        .collect()
}

/// Who acts for the connections known here that are another node's.
async fn owners(ports: &Ports, shown: &[Shown], now: Timestamp) -> HashMap<ConnectionId, NodeId> {
    let elsewhere: Vec<ConnectionId> = shown
        .iter()
        .filter_map(|shown| match shown {
            Shown::WithActors(seen) if seen.state == WorkerState::ElsewhereOwned => {
                Some(seen.connection_id)
            }
            Shown::WithActors(_) | Shown::SetAside(_) => None,
        })
        .collect();
    let context = &ports.context;
    let owners = context.store.owners(&elsewhere, context.node, now).await;
    owners
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(id, owner)| Some((id, owner?)))
        .collect()
}

/// Connections that are set aside have no actors; their rows say why.
async fn set_aside(ports: &Ports, query: ActorQuery) -> Vec<Connection> {
    if query
        .state
        .is_some_and(|wanted| wanted != ActorState::Quarantined)
    {
        return Vec::new();
    }
    let store = &ports.context.store;
    let found = store
        .quarantined(query.connection_id, query.after, query.limit + 1)
        .await;
    found.unwrap_or_default()
}

fn state(seen: &ConnectionSnapshot, now: Timestamp) -> ActorState {
    match seen.state {
        WorkerState::Starting => ActorState::Starting,
        WorkerState::Idle if seen.not_before.is_some_and(|until| until > now) => {
            ActorState::Waiting
        }
        WorkerState::Idle | WorkerState::ElsewhereOwned => ActorState::Idle,
        WorkerState::Working => ActorState::Running,
        WorkerState::Restarting => ActorState::Restarting,
    }
}

fn lag_seconds(seen: &ConnectionSnapshot, now: Timestamp) -> Option<f64> {
    let lag = (now - seen.due_at?).to_std().ok()?;
    Some(lag.as_secs_f64())
}

fn supervisor(ports: &Ports, seen: ConnectionSnapshot, now: Timestamp) -> ActorReport {
    let state = state(&seen, now);
    let limiter = seen
        .provider
        .and_then(|provider| ports.context.services.get(&provider))
        .map(|service| {
            let quota = service.account_quota();
            LimiterReport {
                units: quota.units.get(),
                window_seconds: quota.per.as_secs_f64(),
                blocked_until: seen.not_before.filter(|until| *until > now).map(UtcTime),
            }
        });
    let worker = ActorReport {
        connection_id: Some(seen.connection_id),
        last_progress_at: seen.last_progress_at.map(UtcTime),
        last_error: seen.last_error.clone(),
        lag_seconds: lag_seconds(&seen, now),
        limiter,
        ..ActorReport::new("connection_worker", state, seen.since)
    };
    let has_worker = match seen.state {
        WorkerState::Restarting => false,
        WorkerState::Starting
        | WorkerState::Idle
        | WorkerState::Working
        | WorkerState::ElsewhereOwned => true,
    };
    ActorReport {
        connection_id: Some(seen.connection_id),
        restarts: u32::try_from(seen.restarts).unwrap_or(u32::MAX),
        last_error: seen.last_error,
        children: if has_worker { vec![worker] } else { Vec::new() },
        ..ActorReport::new("connection_supervisor", state, seen.since)
    }
}

fn running(is_running: bool) -> ActorState {
    if is_running {
        ActorState::Running
    } else {
        ActorState::Restarting
    }
}
