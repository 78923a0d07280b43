//! What goes on whoever still waits for it: the second visits, and the ends of grants.
//!
//! A browser that is closed, or shows the page anew, ends its request. What was begun with its state and
//! its code goes on all the same, for neither can be used again; and the same browser, come back
//! meanwhile, is answered as the one before would have been.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::Finished;

/// Second visits at once. Each ends by itself, soon.
const MOST: usize = 256;

/// The state and the browser, both hashed.
pub(super) type Visit = (String, Option<String>);
/// `None` after a panic.
type Ending = Shared<BoxFuture<'static, Option<Finished>>>;

/// Cheap to clone; all clones are the same.
#[derive(Clone, Default)]
pub struct UnderWay {
    tasks: TaskTracker,
    visits: Arc<Mutex<HashMap<Visit, Ending>>>,
}

impl std::fmt::Debug for UnderWay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UnderWay")
            .field("tasks", &self.tasks.len())
            .finish_non_exhaustive()
    }
}

impl UnderWay {
    /// Resolves once nothing is under way any more.
    pub async fn wait(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    pub(super) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.tasks.spawn(task.in_current_span())
    }

    /// How this visit ends: `finish` says so, unless it is under way already. `None` if it panics, and
    /// if there are too many others.
    pub(super) async fn visit(
        &self,
        visit: Visit,
        finish: impl Future<Output = Finished> + Send + 'static,
    ) -> Option<Finished> {
        let ending = self.ending(visit, finish)?;
        ending.await
    }

    fn ending(
        &self,
        visit: Visit,
        finish: impl Future<Output = Finished> + Send + 'static,
    ) -> Option<Ending> {
        let mut visits = lock(&self.visits);
        if let Some(ending) = visits.get(&visit) {
            return Some(ending.clone());
        }
        if visits.len() >= MOST {
            return None;
        }
        let place = Place {
            visits: self.visits.clone(),
            visit: visit.clone(),
        };
        let task = self.spawn(async move {
            let _place = place;
            finish.await
        });
        let ending = task.map(Result::ok).boxed().shared();
        visits.insert(visit, ending.clone());
        Some(ending)
    }
}

/// Of a visit among those under way; given up with it, also by a panic.
struct Place {
    visits: Arc<Mutex<HashMap<Visit, Ending>>>,
    visit: Visit,
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.visits).remove(&self.visit);
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked while it held the lock left the list whole.
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
