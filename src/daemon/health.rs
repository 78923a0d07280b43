//! Readiness and the tree of actors, put together from the records each part keeps.

use std::collections::HashMap;
use std::time::Duration;

use super::ports::Ports;
use crate::api::UtcTime;
use crate::api::ports::{ActorReport, ActorState, LimiterReport, Readiness, ReadyPart};
use crate::connections::{ConnectionSnapshot, Trouble, WorkerState};
use crate::domain::{ConnectionId, NodeId, Timestamp};
use crate::nodes::Hearing;

/// Connections set aside that one answer lists.
const MOST_SET_ASIDE: u64 = 100;
/// Connections with actors that one answer lists.
const MOST_CONNECTIONS: usize = 1_000;
/// Nodes that one answer lists.
const MOST_NODES: u64 = 100;

pub(super) async fn ready(ports: &Ports) -> Readiness {
    readiness(ports, database(ports).await)
}

/// As [`ready`], but a database that does not answer for so long counts as one that is not there.
pub(super) async fn ready_within(ports: &Ports, patience: Duration) -> Readiness {
    let answered = tokio::time::timeout(patience, database(ports)).await;
    let silent = |_| part("database", false, "", "does not answer");
    readiness(ports, answered.unwrap_or_else(silent))
}

fn readiness(ports: &Ports, database: ReadyPart) -> Readiness {
    let mut parts = vec![
        database,
        poller(ports),
        part(
            "supervisors",
            ports.connections.is_running(),
            "running",
            "the connections actor is not running; it is being restarted",
        ),
        wakeups(ports),
    ];
    let now = ports.context.clock.now();
    for (kind, service) in &ports.context.services {
        let name = format!("provider_{kind}");
        let (ok, detail) = match service.trouble() {
            None => (true, "configured".to_owned()),
            Some(Trouble::SetUp(pause)) => {
                let until = pause.until.max(now);
                let code = pause.code.as_str();
                let detail = pause.detail;
                (false, format!("paused until {until} ({code}): {detail}"))
            }
            // Said, but no reason to take this daemon out of service: it is well, takes changes, and
            // another in its place would do no better.
            Some(Trouble::Outage {
                since,
                next_probe_at,
            }) => {
                let next = next_probe_at.max(now);
                (
                    true,
                    format!("in an outage, seen since {since}; next probe {next}; nothing is lost"),
                )
            }
        };
        parts.push(ReadyPart { name, ok, detail });
    }
    Readiness {
        ok: parts.iter().all(|part| part.ok),
        parts,
    }
}

async fn database(ports: &Ports) -> ReadyPart {
    let answered = ports.context.store.ping().await;
    let trouble = answered.as_ref().err().map(ToString::to_string);
    part(
        "database",
        answered.is_ok(),
        "answers",
        trouble.as_deref().unwrap_or_default(),
    )
}

fn poller(ports: &Ports) -> ReadyPart {
    let seen = ports.poller.snapshot();
    if !ports.poller.is_running() {
        return part(
            "queue_poller",
            false,
            "",
            "not running; it is being restarted",
        );
    }
    match seen.last_error {
        Some(error) => part("queue_poller", false, "", &error),
        None => part("queue_poller", true, "running", ""),
    }
}

/// Never a reason to be taken out of service: without hints from other nodes the poll finds the work.
fn wakeups(ports: &Ports) -> ReadyPart {
    let detail = match ports.context.nodes.hearing() {
        Hearing::NotNeeded => "not needed: a SQLite database has one node".to_owned(),
        Hearing::Connecting => "connecting".to_owned(),
        Hearing::Listening => "listening".to_owned(),
        Hearing::PollingOnly(why) => format!(
            "polling only: what other nodes take in starts within SYNC_POLL_INTERVAL ({why})"
        ),
    };
    part("node_wakeups", true, &detail, "")
}

fn part(name: &str, ok: bool, good: &str, bad: &str) -> ReadyPart {
    ReadyPart {
        name: name.to_owned(),
        ok,
        detail: if ok { good } else { bad }.to_owned(),
    }
}

pub(super) async fn actors(ports: &Ports) -> ActorReport {
    let now = ports.context.clock.now();
    let seen = ports.poller.snapshot();
    let poller = ActorReport {
        last_progress_at: seen.last_poll_at.map(UtcTime),
        last_error: seen.last_error,
        ..report(
            "queue_poller",
            running(ports.poller.is_running()),
            ports.started_at,
        )
    };
    let mut snapshots = ports.connections.snapshots();
    // What rests last: of many, those are left out.
    let rests = |seen: &ConnectionSnapshot| seen.state == WorkerState::Idle;
    snapshots.sort_by_key(|seen| (rests(seen), seen.since, seen.connection_id));
    let omitted = snapshots.len().saturating_sub(MOST_CONNECTIONS);
    snapshots.truncate(MOST_CONNECTIONS);
    let owners = owners(ports, &snapshots, now).await;
    let mut supervisors = set_aside(ports).await;
    supervisors.extend(snapshots.into_iter().map(|snapshot| {
        let owner = owners.get(&snapshot.connection_id).copied();
        ActorReport {
            owner: owner.map(|owner| owner.to_string()),
            ..supervisor(ports, snapshot, now)
        }
    }));
    let connections = ActorReport {
        children: supervisors,
        omitted: u64::try_from(omitted).ok().filter(|omitted| *omitted > 0),
        ..report(
            "connections",
            running(ports.connections.is_running()),
            ports.started_at,
        )
    };
    let housekeeper = report(
        "housekeeper",
        running(ports.housekeeper.is_running()),
        ports.started_at,
    );
    let mut children = vec![poller, connections, housekeeper];
    children.extend(other_nodes(ports).await);
    ActorReport {
        id: Some(ports.context.node.to_string()),
        children,
        ..report("daemon", ActorState::Running, ports.started_at)
    }
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
            ..report("other_node", ActorState::Running, node.started_at)
        })
        .collect()
}

/// Who acts for the connections known here that are another node's.
async fn owners(
    ports: &Ports,
    snapshots: &[ConnectionSnapshot],
    now: Timestamp,
) -> HashMap<ConnectionId, NodeId> {
    let elsewhere: Vec<ConnectionId> = snapshots
        .iter()
        .filter(|seen| seen.state == WorkerState::ElsewhereOwned)
        .map(|seen| seen.connection_id)
        .collect();
    let context = &ports.context;
    let owners = context.store.owners(&elsewhere, context.node, now).await;
    owners
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(id, owner)| Some((id, owner?)))
        .collect()
}

/// Connections that are set aside have no actors; their rows say why. Those first: someone should
/// look at them.
async fn set_aside(ports: &Ports) -> Vec<ActorReport> {
    let quarantined = ports.context.store.quarantined(MOST_SET_ASIDE).await;
    quarantined
        .unwrap_or_default()
        .into_iter()
        .map(|connection| ActorReport {
            connection_id: Some(connection.id),
            last_error: connection.status_reason,
            ..report(
                "connection_supervisor",
                ActorState::Quarantined,
                connection.updated_at,
            )
        })
        .collect()
}

fn supervisor(ports: &Ports, seen: ConnectionSnapshot, now: Timestamp) -> ActorReport {
    let state = match seen.state {
        WorkerState::Starting => ActorState::Starting,
        WorkerState::Idle if seen.not_before.is_some_and(|until| until > now) => {
            ActorState::Waiting
        }
        WorkerState::Idle | WorkerState::ElsewhereOwned => ActorState::Idle,
        WorkerState::Working => ActorState::Running,
        WorkerState::Restarting => ActorState::Restarting,
    };
    let lag = seen
        .due_at
        .and_then(|due| (now - due).to_std().ok())
        .map(|lag| lag.as_secs_f64());
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
        lag_seconds: lag,
        limiter,
        ..report("connection_worker", state, seen.since)
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
        ..report("connection_supervisor", state, seen.since)
    }
}

fn running(is_running: bool) -> ActorState {
    if is_running {
        ActorState::Running
    } else {
        ActorState::Restarting
    }
}

fn report(kind: &str, state: ActorState, since: Timestamp) -> ActorReport {
    ActorReport {
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
