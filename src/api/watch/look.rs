//! One look: how the connections of a stream stand, and what of that its reader has not seen.
//!
//! Events come in an order in which each can be understood by what came before: a connection, the
//! progress of its sync, the jobs that ended. The position moves with every event, so that a reader who
//! leaves between two of them misses nothing.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use poem_openapi::types::ToJSON;
use serde_json::Value;

use super::message::{
    ConnectionEvent, DisconnectedConnection, DisconnectedEvent, EndedJobs, JobsEvent,
    ProgressEvent, StatusEvent, SyncProgressOf,
};
use super::position::{Digest, MOST_CONNECTIONS, Position, Seen};
use crate::api::ApiState;
use crate::api::view::{ConnectionView, JobView, ProgressView};
use crate::changes::Subject;
use crate::domain::{CoachId, ConnectionId, Timestamp};
use crate::store::{self, Ended, Job, StoreError, SyncProgress};

/// Jobs that one event tells of.
const MOST_JOBS: i64 = 100;
/// What of a connection changes with every moment or round, and is told only with the rest.
const UNTOLD: [&str; 2] = ["freshness_seconds", "updated_at"];

/// What a stream is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scope {
    Connection(ConnectionId),
    Coach(CoachId),
}

impl Scope {
    /// What is to be watched, with these connections seen.
    pub(super) fn subjects(self, position: &Position) -> HashSet<Subject> {
        match self {
            Self::Connection(id) => HashSet::from([id.into()]),
            Self::Coach(id) => {
                let connections = position.seen.keys().map(|id| Subject::from(*id));
                connections.chain([id.into()]).collect()
            }
        }
    }
}

/// What a look found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) events: Vec<StatusEvent>,
    /// There are more jobs than were read.
    pub(super) more: bool,
    /// There is nothing more to tell, ever.
    pub(super) over: bool,
}

/// How one connection stands, as far as it is told.
struct Standing {
    view: store::ConnectionView,
    progress: Option<SyncProgress>,
    jobs: Vec<Job>,
    /// After which those jobs ended, or where a stream that has told nothing begins.
    last_ended: Ended,
}

/// Looks, and moves the position to what is then told.
pub(super) async fn look(
    state: &ApiState,
    scope: Scope,
    position: &mut Position,
) -> Result<Found, StoreError> {
    if let Scope::Connection(only) = scope {
        // An id of another stream may come along.
        position.seen.retain(|id, _| *id == only);
    }
    // Known before anything is read: what ends from here on is told.
    let begins = Ended {
        at: state.clock.now(),
        ..Ended::NONE
    };
    let standings = standings(state, scope, position).await?;
    if position.began == Ended::NONE {
        position.began = begins;
    }
    Ok(compare(standings, scope, position, state.clock.now()))
}

async fn standings(
    state: &ApiState,
    scope: Scope,
    position: &Position,
) -> Result<BTreeMap<ConnectionId, Standing>, StoreError> {
    let store = &state.store;
    let present: BTreeSet<ConnectionId> = match scope {
        Scope::Connection(id) => BTreeSet::from([id]),
        Scope::Coach(id) => {
            let all = store.connections_of(id).await?;
            let ids = all.into_iter().map(|view| view.connection.id);
            ids.take(MOST_CONNECTIONS).collect()
        }
    };
    let mut standings = BTreeMap::new();
    for id in present {
        let seen = position.seen.get(&id);
        // First where jobs have ended up to, then what is shown of the connection: what ends in between
        // is told, and not taken as known.
        let after = match seen {
            Some(seen) => Some(seen.ended),
            None => Some(position.began).filter(|began| *began != Ended::NONE),
        };
        let (last_ended, jobs) = match after {
            Some(after) => (after, store.ended_after(id, after, MOST_JOBS).await?),
            None => (store.last_ended(id).await?, Vec::new()),
        };
        let progress = store.sync_progress(id).await?;
        if let Some(view) = store.connection(id).await? {
            let standing = Standing {
                view,
                progress,
                jobs,
                last_ended,
            };
            standings.insert(id, standing);
        }
    }
    Ok(standings)
}

/// What of it is new to the reader.
fn compare(
    standings: BTreeMap<ConnectionId, Standing>,
    scope: Scope,
    position: &mut Position,
    now: Timestamp,
) -> Found {
    let mut found = Found::default();
    let gone: Vec<ConnectionId> = position
        .seen
        .keys()
        .copied()
        .filter(|id| !standings.contains_key(id))
        .collect();
    for id in gone {
        if let Some(seen) = position.seen.remove(&id) {
            // Should it come back, what was told of it is not told again.
            position.began = position.began.max(seen.ended);
        }
        found
            .events
            .push(StatusEvent::Disconnected(DisconnectedEvent {
                id: position.write(),
                data: DisconnectedConnection { connection_id: id },
            }));
    }
    found.over = matches!(scope, Scope::Connection(_)) && standings.is_empty();
    for (id, standing) in standings {
        found.more |= i64::try_from(standing.jobs.len()).unwrap_or(i64::MAX) >= MOST_JOBS;
        compare_one(id, standing, position, now, &mut found.events);
    }
    found
}

fn compare_one(
    id: ConnectionId,
    standing: Standing,
    position: &mut Position,
    now: Timestamp,
    events: &mut Vec<StatusEvent>,
) {
    let view = ConnectionView::new(standing.view, now);
    let connection = Digest::of(Some(&lasting(&view)));
    let known = position.seen.get(&id).copied();
    let mut seen = known.unwrap_or(Seen {
        connection,
        progress: Digest::default(),
        ended: standing.last_ended,
    });
    if known.is_none_or(|known| known.connection != connection) {
        seen.connection = connection;
        position.seen.insert(id, seen);
        events.push(StatusEvent::Connection(ConnectionEvent {
            id: position.write(),
            data: Box::new(view),
        }));
    }
    let current = standing.progress.map(ProgressView::from);
    let shown = current.as_ref().map(ToJSON::to_json_string);
    let progress = Digest::of(shown.as_deref());
    if seen.progress != progress {
        seen.progress = progress;
        position.seen.insert(id, seen);
        events.push(StatusEvent::Progress(ProgressEvent {
            id: position.write(),
            data: SyncProgressOf {
                connection_id: id,
                current,
            },
        }));
    }
    if let Some(last) = standing.jobs.last().and_then(Ended::of) {
        seen.ended = last;
        position.seen.insert(id, seen);
        events.push(StatusEvent::Jobs(JobsEvent {
            id: position.write(),
            data: EndedJobs {
                connection_id: id,
                jobs: standing.jobs.into_iter().map(JobView::from).collect(),
            },
        }));
    }
}

/// What is shown of a connection, but for what changes all the time.
fn lasting(view: &ConnectionView) -> String {
    let mut shown = view.to_json().unwrap_or_default();
    if let Value::Object(fields) = &mut shown {
        fields.retain(|name, _| !UNTOLD.contains(&name.as_str()));
    }
    shown.to_string()
}
