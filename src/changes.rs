//! Who wants to hear that something of a connection may have changed: the streams of live status.
//!
//! A change is a hint and says only "look again": what is new is in the database. Whoever changes what a
//! connection shows touches it after the commit (the API through its `Waker`, the work on connections
//! itself), and tells the other nodes, who touch it there (see `nodes`). Nothing is kept for those who do
//! not watch, and however often something is touched before a watcher looks, it looks once.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use uuid::Uuid;

use crate::domain::{CoachId, ConnectionId};

/// What is watched: a connection, or which connections a coach has. Their ids never meet, for both are
/// UUIDs, so that one set holds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Subject(pub(crate) Uuid);

impl From<ConnectionId> for Subject {
    fn from(id: ConnectionId) -> Self {
        Self(id.0)
    }
}

impl From<CoachId> for Subject {
    fn from(id: CoachId) -> Self {
        Self(id.0)
    }
}

/// Shared by those who change and those who watch, on one node. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Changes(Arc<Mutex<Watchers>>);

#[derive(Debug, Default)]
struct Watchers {
    next: u64,
    by_subject: HashMap<Subject, HashMap<u64, Arc<Notify>>>,
}

/// One who watches, until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    changes: Changes,
    id: u64,
    subjects: HashSet<Subject>,
    touched: Arc<Notify>,
}

impl Changes {
    /// These may have changed.
    pub(crate) fn touch(&self, subjects: impl IntoIterator<Item = Subject>) {
        let watchers = self.lock();
        if watchers.by_subject.is_empty() {
            return;
        }
        for subject in subjects {
            let watching = watchers.by_subject.get(&subject).into_iter().flatten();
            for (_, touched) in watching {
                touched.notify_one();
            }
        }
    }

    /// Anything may have changed.
    pub(crate) fn touch_all(&self) {
        let watchers = self.lock();
        for touched in watchers.by_subject.values().flat_map(HashMap::values) {
            touched.notify_one();
        }
    }

    /// Somebody who watches nothing yet.
    pub(crate) fn watch(&self) -> Watch {
        let mut watchers = self.lock();
        let id = watchers.next;
        watchers.next += 1;
        Watch {
            changes: self.clone(),
            id,
            subjects: HashSet::new(),
            touched: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Watchers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// Watches these, and no others any more; answers whether it did not watch all of them before.
    pub(crate) fn follow(&mut self, subjects: HashSet<Subject>) -> bool {
        if subjects == self.subjects {
            return false;
        }
        let is_more = !subjects.is_subset(&self.subjects);
        let mut watchers = self.changes.lock();
        for gone in self.subjects.difference(&subjects) {
            watchers.forget(*gone, self.id);
        }
        for new in subjects.difference(&self.subjects) {
            let watching = watchers.by_subject.entry(*new).or_default();
            watching.insert(self.id, self.touched.clone());
        }
        drop(watchers);
        self.subjects = subjects;
        is_more
    }

    /// Returns when one of them was touched since this last returned.
    pub(crate) async fn touched(&self) {
        self.touched.notified().await;
    }
}

impl Watchers {
    fn forget(&mut self, subject: Subject, id: u64) {
        if let Some(watching) = self.by_subject.get_mut(&subject) {
            watching.remove(&id);
            if watching.is_empty() {
                self.by_subject.remove(&subject);
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watchers = self.changes.lock();
        for subject in &self.subjects {
            watchers.forget(*subject, self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn subjects(ids: &[u128]) -> HashSet<Subject> {
        let subject = |id: &u128| Subject(Uuid::from_u128(*id));
        ids.iter().map(subject).collect()
    }

    fn is_touched(watch: &Watch) -> bool {
        watch.touched().now_or_never().is_some()
    }

    #[test]
    fn who_watches_hears_once_of_many_changes_and_nothing_of_others() {
        let changes = Changes::default();
        let (mut one, mut other) = (changes.watch(), changes.watch());
        assert!(one.follow(subjects(&[1, 2])));
        assert!(other.follow(subjects(&[2])));
        assert!(!other.follow(subjects(&[2])));
        for _ in 0..1_000 {
            changes.touch(subjects(&[1, 3]));
        }
        assert!(is_touched(&one) && !is_touched(&one));
        assert!(!is_touched(&other));
        changes.touch_all();
        assert!(is_touched(&one) && is_touched(&other));
    }

    #[test]
    fn nothing_is_kept_for_those_who_watch_no_more() {
        let changes = Changes::default();
        let mut watch = changes.watch();
        watch.follow(subjects(&[1, 2]));
        watch.follow(subjects(&[2, 3]));
        changes.touch(subjects(&[1]));
        assert!(!is_touched(&watch));
        drop(watch);
        assert!(changes.lock().by_subject.is_empty());
    }
}
