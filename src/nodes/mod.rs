//! This node among the others on one PostgreSQL.
//!
//! Owns who else is alive ([`census`]), which part of the providers' quotas is this node's, the hints
//! that go to the owners of connections and come from other nodes ([`outbox`], [`mod@listen`], in the words
//! of [`message`]), and what of all that health shows. The database is the only coordinator: every
//! hint is also in its rows, where the poll finds it. Leaves the leases themselves to `connections`.
//!
//! **Hints.** Work for a connection that another live node owns is told to that node by NOTIFY: the
//! first at once, what follows within [`outbox::PACE`] together, for a NOTIFY per row would take most
//! of the database's write throughput. The outbox is bounded; what does not fit becomes "look at the
//! database". Where LISTEN does not work (a transaction pooler takes the connection away between two
//! statements), the slow poll finds the work instead.
//!
//! **Quotas of a whole provider** are divided by live nodes rather than leased token by token: a node
//! asks the database once per census, not once per call, and goes on through a short outage. What a
//! quota loses by it is the part of nodes that are idle, which matters only close to the quota. Parts
//! add up to one at most, whoever joins, leaves or falls silent: each census is serial, a node takes
//! no more than the others leave, and uses less before it says so (see `plan::share`). A joining node
//! therefore waits a moment, until the others have answered its message with a census of their own.
//!
//! **Changes** of what a connection shows travel the same way, to every node: any may have a stream of
//! live status that somebody reads. Who watches nothing passes them over.
//!
//! On SQLite there is one node: nothing here runs, and its part is the whole.

mod census;
mod listen;
mod message;
mod outbox;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::outbox::Outbox;
use crate::changes::Subject;
use crate::domain::{ConnectionId, NodeId, ProviderKind, Timestamp};

pub use listen::Hearing;
pub(crate) use listen::listen;
pub(crate) use outbox::{deliver, say_look};

/// What a node knows of the others, shared by all its parts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Nodes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// There can be no other: a SQLite file is for one daemon.
    single: bool,
    started_at: Timestamp,
    standing: Mutex<Standing>,
    /// One census at a time.
    turn: tokio::sync::Mutex<()>,
    share_arrived: tokio::sync::Notify,
    outbox: Mutex<Outbox>,
    filled: tokio::sync::Notify,
    hearing: Mutex<Hearing>,
}

/// As the last census found it.
#[derive(Clone, Debug)]
struct Standing {
    others: Vec<NodeId>,
    share: f64,
    /// On the monotonic clock; `None` before the first.
    asked_at: Option<Duration>,
    next_death: Option<Duration>,
    /// When one of the others was missed, on the monotonic clock.
    last_death: Option<Duration>,
}

impl Nodes {
    pub fn new(single: bool, started_at: Timestamp) -> Self {
        Self(Arc::new(Inner {
            single,
            started_at,
            standing: Mutex::new(Standing {
                others: Vec::new(),
                share: if single { 1.0 } else { 0.0 },
                asked_at: None,
                next_death: None,
                last_death: None,
            }),
            turn: tokio::sync::Mutex::default(),
            share_arrived: tokio::sync::Notify::new(),
            outbox: Mutex::default(),
            filled: tokio::sync::Notify::new(),
            hearing: Mutex::new(if single {
                Hearing::NotNeeded
            } else {
                Hearing::Connecting
            }),
        }))
    }

    /// Whether no other node was alive at the last look.
    pub fn is_alone(&self) -> bool {
        self.0.single || lock(&self.0.standing).others.is_empty()
    }

    pub fn hearing(&self) -> Hearing {
        lock(&self.0.hearing).clone()
    }

    /// Passes a hint on to whoever acts for these connections, which may be this node.
    pub fn pass_on(&self, ids: impl IntoIterator<Item = ConnectionId>) {
        self.put(|outbox| outbox.wake(ids));
    }

    /// What these show may have changed: streams of live status at other nodes should look.
    pub(crate) fn changed(&self, subjects: impl IntoIterator<Item = Subject>) {
        if !self.is_alone() {
            self.put(|outbox| outbox.changed(subjects));
        }
    }

    /// A provider refuses everybody until then: the other nodes should know.
    pub fn limited(&self, provider: ProviderKind, until: Timestamp) {
        self.put(|outbox| outbox.limit(provider, until));
    }

    fn put(&self, change: impl FnOnce(&mut Outbox)) {
        if self.0.single {
            return;
        }
        change(&mut lock(&self.0.outbox));
        self.0.filled.notify_one();
    }

    fn hear(&self, hearing: Hearing) {
        *lock(&self.0.hearing) = hearing;
    }

    fn standing(&self) -> Standing {
        lock(&self.0.standing).clone()
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
