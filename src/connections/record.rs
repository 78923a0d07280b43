//! What operators see of one connection's actors, kept beside them so that looking never disturbs.
//!
//! Survives a worker's crash, unlike the worker's own state.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::{ConnectionId, ProviderKind, Timestamp};

/// What a worker is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerState {
    Starting,
    Idle,
    Working,
    /// Crashed; comes back after a delay.
    Restarting,
    /// Another node acts for this connection.
    ElsewhereOwned,
}

impl WorkerState {
    pub const ALL: [Self; 5] = [
        Self::Starting,
        Self::Idle,
        Self::Working,
        Self::Restarting,
        Self::ElsewhereOwned,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Idle => "idle",
            Self::Working => "working",
            Self::Restarting => "restarting",
            Self::ElsewhereOwned => "owned_elsewhere",
        }
    }
}

/// The record at one moment.
#[derive(Clone, Debug)]
pub struct ConnectionSnapshot {
    pub connection_id: ConnectionId,
    pub provider: Option<ProviderKind>,
    pub state: WorkerState,
    pub since: Timestamp,
    pub restarts: u64,
    /// Rounds that ended as planned.
    pub rounds: u64,
    /// Calls of those rounds, and of the one under way, that were answered.
    pub exchanges: u64,
    pub last_progress_at: Option<Timestamp>,
    pub last_error: Option<String>,
    /// When the provider, or our limiter, lets the connection call again.
    pub not_before: Option<Timestamp>,
    /// When there is something to do next, as far as the worker knows.
    pub due_at: Option<Timestamp>,
    pub lease_epoch: Option<i64>,
}

/// Shared by the registry, the supervisor and the worker of one connection.
#[derive(Debug)]
pub(super) struct Record {
    inner: Mutex<ConnectionSnapshot>,
    rounds: AtomicU64,
    exchanges: AtomicU64,
    /// A hint is in the worker's mailbox already: one is enough, and keeps the mailbox small.
    hinted: AtomicBool,
}

impl Record {
    pub(super) fn new(connection_id: ConnectionId, now: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(ConnectionSnapshot {
                connection_id,
                provider: None,
                state: WorkerState::Starting,
                since: now,
                restarts: 0,
                rounds: 0,
                exchanges: 0,
                last_progress_at: None,
                last_error: None,
                not_before: None,
                due_at: None,
                lease_epoch: None,
            }),
            rounds: AtomicU64::new(0),
            exchanges: AtomicU64::new(0),
            hinted: AtomicBool::new(false),
        })
    }

    pub(super) fn snapshot(&self) -> ConnectionSnapshot {
        ConnectionSnapshot {
            rounds: self.rounds(),
            exchanges: self.exchanges.load(Ordering::Relaxed),
            ..self.lock().clone()
        }
    }

    pub(super) fn state(&self) -> WorkerState {
        self.lock().state
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut ConnectionSnapshot)) {
        change(&mut self.lock());
    }

    pub(super) fn enter(&self, state: WorkerState, now: Timestamp) {
        self.update(|record| {
            if record.state != state {
                record.state = state;
                record.since = now;
            }
        });
    }

    pub(super) fn round_ended(&self, now: Timestamp) {
        self.rounds.fetch_add(1, Ordering::Relaxed);
        self.update(|record| record.last_progress_at = Some(now));
    }

    /// The provider has answered.
    pub(super) fn exchanged(&self) {
        self.exchanges.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// Whether the caller is the one to send the hint.
    pub(super) fn first_hint(&self) -> bool {
        !self.hinted.swap(true, Ordering::AcqRel)
    }

    /// Whether a hint is on its way.
    pub(super) fn is_hinted(&self) -> bool {
        self.hinted.load(Ordering::Acquire)
    }

    /// The hint was received: what comes from now on needs another.
    pub(super) fn take_hint(&self) {
        self.hinted.store(false, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, ConnectionSnapshot> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
