//! The tree of actors, put together from the records each part keeps, and from what the database adds.
//!
//! Connections come in the order of their ids, whether they have actors here or are set aside, so that
//! a page goes on where the last one ended whatever happened meanwhile. One that was set aside keeps its
//! actors for some minutes: it is shown, and counted, as set aside alone.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::ports::Ports;
use crate::api::UtcTime;
use crate::api::ports::{
    ActorQuery, ActorReport, ActorState, ActorTotals, ActorTree, LimiterReport, connection_cursor,
};
use crate::connections::{ConnectionSnapshot, WorkerState};
use crate::domain::{Connection, ConnectionId, NodeId, Timestamp};
use crate::root::Child;
use crate::store::{Peer, StoreError};

/// Nodes that one answer lists.
const MOST_NODES: u64 = 100;
/// Who looks at the tree of a daemon in trouble is not kept waiting for its database.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection of the page.
enum Shown<'a> {
    WithActors(&'a ConnectionSnapshot),
    SetAside(Box<Connection>),
}

impl Shown<'_> {
    fn id(&self) -> ConnectionId {
        match self {
            Self::WithActors(seen) => seen.connection_id,
            Self::SetAside(connection) => connection.id,
        }
    }
}

/// What the database knows beside the records.
#[derive(Default)]
struct Stored {
    set_aside: SetAside,
    nodes: Vec<Peer>,
}

/// Connections that are set aside.
#[derive(Default)]
struct SetAside {
    /// All of them, up to ten thousand.
    ids: HashSet<ConnectionId>,
    /// Those asked for, one more than a page holds.
    asked_for: Vec<Connection>,
}

pub(super) async fn actors(ports: &Ports, query: ActorQuery) -> ActorTree {
    let now = ports.context.clock.now();
    let stored = within_patience(stored(ports, query)).await;
    let missing = stored.as_ref().err().map(ToString::to_string);
    let Stored { set_aside, nodes } = stored.unwrap_or_default();
    let mut snapshots = ports.connections.snapshots();
    snapshots.retain(|seen| !set_aside.ids.contains(&seen.connection_id));
    let mut totals = totals(&snapshots, now);
    totals.restarts = totals.restarts.saturating_add(ports.lives.restarts());
    totals.quarantined = missing
        .is_none()
        .then(|| u64::try_from(set_aside.ids.len()).unwrap_or(u64::MAX));

    let Page {
        shown,
        next,
        omitted,
    } = page(&snapshots, set_aside.asked_for, query, now);
    let owners = match missing {
        None => within_patience(owners(ports, &shown, now)).await,
        Some(_) => Ok(HashMap::new()),
    };
    let missing = missing.or(owners.as_ref().err().map(ToString::to_string));
    let connections = ActorReport {
        children: supervisors(ports, shown, &owners.unwrap_or_default(), now),
        omitted,
        ..child(ports, Child::Connections, ports.connections.is_running())
    };
    let is_running = ports.housekeeper.is_running();
    let housekeeper = child(ports, Child::Housekeeper, is_running);
    let mut children = vec![poller(ports), connections, housekeeper, deliverer(ports)];
    children.extend(other_nodes(ports, nodes));
    ActorTree {
        totals,
        next_cursor: next.map(connection_cursor),
        root: ActorReport {
            id: Some(ports.context.node.to_string()),
            last_error: missing.map(|why| {
                format!("not all is shown of connections set aside, owners and other nodes: {why}")
            }),
            children,
            ..ActorReport::new("daemon", ActorState::Running, ports.started_at)
        },
    }
}

async fn within_patience<T>(
    question: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let answer = tokio::time::timeout(PATIENCE, question).await;
    answer.unwrap_or_else(|_| Err(StoreError::too_late()))
}

async fn stored(ports: &Ports, query: ActorQuery) -> Result<Stored, StoreError> {
    let store = &ports.context.store;
    let mut ids = store.quarantined_ids().await?;
    let are_asked_for = query
        .state
        .is_none_or(|wanted| wanted == ActorState::Quarantined);
    let asked_for = if are_asked_for {
        store
            .quarantined(query.connection_id, query.after, query.limit + 1)
            .await?
    } else {
        Vec::new()
    };
    // Of more than ten thousand, too, each is shown once.
    ids.extend(asked_for.iter().map(|connection| connection.id));
    Ok(Stored {
        set_aside: SetAside { ids, asked_for },
        nodes: store.live_nodes(MOST_NODES).await?,
    })
}

struct Page<'a> {
    shown: Vec<Shown<'a>>,
    /// After which id the next page begins.
    next: Option<ConnectionId>,
    /// Connections with actors that were asked for and are not shown.
    omitted: Option<u64>,
}

/// What is asked for, in the order of ids. None of the snapshots is also set aside.
fn page(
    snapshots: &[ConnectionSnapshot],
    set_aside: Vec<Connection>,
    query: ActorQuery,
    now: Timestamp,
) -> Page<'_> {
    let most = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let mut matching: Vec<&ConnectionSnapshot> = snapshots
        .iter()
        .filter(|seen| query.matches(seen.connection_id, state(seen, now)))
        .collect();
    let with_actors = matching.len();
    matching.retain(|seen| query.after.is_none_or(|after| seen.connection_id > after));
    // Of very many only a page is put in order, and the one that says whether there is another.
    if matching.len() > most {
        matching.select_nth_unstable_by_key(most, |seen| seen.connection_id);
        matching.truncate(most + 1);
    }
    let set_aside = set_aside.into_iter().map(Box::new).map(Shown::SetAside);
    let mut shown: Vec<Shown<'_>> = matching
        .into_iter()
        .map(Shown::WithActors)
        .chain(set_aside)
        .collect();
    shown.sort_by_key(Shown::id);
    let is_last = shown.len() <= most;
    shown.truncate(most);
    let shown_here = shown
        .iter()
        .filter(|shown| matches!(shown, Shown::WithActors(_)))
        .count();
    let omitted = with_actors.saturating_sub(shown_here);
    Page {
        next: shown.last().map(Shown::id).filter(|_| !is_last),
        shown,
        omitted: u64::try_from(omitted).ok().filter(|omitted| *omitted > 0),
    }
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

/// One of those that the root starts again, with why it last ended.
fn child(ports: &Ports, child: Child, is_running: bool) -> ActorReport {
    let life = ports.lives.of(child);
    let since = life.as_ref().map_or(ports.started_at, |life| life.since);
    let state = running(is_running);
    ActorReport {
        restarts: life.as_ref().map_or(0, |life| life.restarts),
        last_error: life.and_then(|life| life.last_error),
        ..ActorReport::new(child.name(), state, since)
    }
}

fn poller(ports: &Ports) -> ActorReport {
    let seen = ports.poller.snapshot();
    let report = child(ports, Child::Poller, ports.poller.is_running());
    ActorReport {
        last_progress_at: seen.last_poll_at.map(UtcTime),
        last_error: seen.last_error.or(report.last_error),
        ..report
    }
}

fn deliverer(ports: &Ports) -> ActorReport {
    let seen = ports.deliverer.snapshot();
    let report = child(ports, Child::Deliverer, ports.deliverer.is_running());
    ActorReport {
        last_progress_at: seen.last_look_at.map(UtcTime),
        last_error: seen.last_error.or(report.last_error),
        ..report
    }
}

fn supervisors(
    ports: &Ports,
    shown: Vec<Shown<'_>>,
    owners: &HashMap<ConnectionId, NodeId>,
    now: Timestamp,
) -> Vec<ActorReport> {
    let report = |shown: Shown<'_>| match shown {
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
            ..supervisor(ports, seen, now)
        },
    };
    shown.into_iter().map(report).collect()
}

/// The nodes beside this one. Their trees are theirs to show.
fn other_nodes(ports: &Ports, alive: Vec<Peer>) -> impl Iterator<Item = ActorReport> {
    let here = ports.context.node;
    alive
        .into_iter()
        .filter(move |node| node.id != here)
        .map(|node| ActorReport {
            id: Some(node.id.to_string()),
            ..ActorReport::new("other_node", ActorState::Running, node.started_at)
        })
}

/// Who acts for the connections known here that are another node's.
async fn owners(
    ports: &Ports,
    shown: &[Shown<'_>],
    now: Timestamp,
) -> Result<HashMap<ConnectionId, NodeId>, StoreError> {
    let elsewhere: Vec<ConnectionId> = shown
        .iter()
        .filter_map(|shown| match shown {
            Shown::WithActors(seen) if seen.state == WorkerState::ElsewhereOwned => {
                Some(seen.connection_id)
            }
            Shown::WithActors(_) | Shown::SetAside(_) => None,
        })
        .collect();
    if elsewhere.is_empty() {
        return Ok(HashMap::new());
    }
    let context = &ports.context;
    let owners = context.store.owners(&elsewhere, context.node, now).await?;
    Ok(owners
        .into_iter()
        .filter_map(|(id, owner)| Some((id, owner?)))
        .collect())
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

fn supervisor(ports: &Ports, seen: &ConnectionSnapshot, now: Timestamp) -> ActorReport {
    let state = state(seen, now);
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
    let stuck = ports.watchdog.trouble_of(seen.connection_id);
    let last_error = stuck.or_else(|| seen.last_error.clone());
    let worker = ActorReport {
        connection_id: Some(seen.connection_id),
        last_progress_at: seen.last_progress_at.map(UtcTime),
        last_error: last_error.clone(),
        lag_seconds: lag_seconds(seen, now),
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
        last_error,
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

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn id(place: u128) -> ConnectionId {
        ConnectionId(Uuid::from_u128(place))
    }

    fn idle(place: u128) -> ConnectionSnapshot {
        ConnectionSnapshot {
            connection_id: id(place),
            provider: None,
            state: WorkerState::Idle,
            since: Timestamp::UNIX_EPOCH,
            restarts: 0,
            rounds: 0,
            exchanges: 0,
            last_progress_at: None,
            last_error: None,
            not_before: None,
            due_at: None,
            lease_epoch: None,
        }
    }

    #[test]
    fn pages_of_many_hold_the_lowest_ids_in_order_and_say_how_many_they_left_out() {
        // In no order of their own: 37 and 100 have no common divisor.
        let snapshots: Vec<_> = (0..100).map(|place| idle(place * 37 % 100)).collect();
        let mut query = ActorQuery {
            state: None,
            connection_id: None,
            after: None,
            limit: 30,
        };
        let mut seen = Vec::new();
        for (length, goes_on) in [(30, true), (30, true), (30, true), (10, false)] {
            let page = page(&snapshots, Vec::new(), query, Timestamp::UNIX_EPOCH);
            assert_eq!(page.shown.len(), length);
            assert_eq!(page.omitted, u64::try_from(100 - length).ok());
            assert_eq!(page.next.is_some(), goes_on);
            seen.extend(page.shown.iter().map(Shown::id));
            query.after = page.next;
        }
        assert_eq!(seen, (0..100).map(id).collect::<Vec<_>>());
    }
}
