//! The watchdog: notices who has work and does not get on with it.
//!
//! Every call, transaction and wait of ours is bounded, so an actor that stays at one thing for minutes
//! is a fault of ours or of the machine. Getting on is any step: a round, an answer of the provider's within
//! one, a poll, a piece of tidying. Waiting for a limit, an outage or a retry is no fault: what waits is
//! due later. Nor is a database that does not answer: that is said elsewhere.
//!
//! Looks every [`TURN`], and counts for how long it has found somebody with work at exactly the same
//! point, on the monotonic clock alone. Time in which it did not look itself counts for little: a
//! machine that slept, or a wall clock that was set, makes nobody stuck.
//!
//! Whoever is stuck is named in the log, once, and in `/health/actors`. Readiness fails, and a service
//! manager with a watchdog starts the process anew, only if that could help: when an actor is stuck on
//! which all connections depend, when most of the workers that have work are, and more than one, or when
//! the watchdog itself does not look. One connection alone takes no node out of service.

mod standing;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::{Clock, ConnectionId};

pub(crate) use standing::Watched;
use standing::{Standing, Who};

/// How often it looks.
const TURN: Duration = Duration::from_secs(30);
/// The most that counts between two looks.
const MOST_BETWEEN_LOOKS: Duration = Duration::from_secs(60);
/// It looks every [`TURN`]: after this long it does not look at all.
const STALE: Duration = Duration::from_secs(90);

/// Somebody with work, and for how long it has stood where it stands.
#[derive(Clone, Copy, Debug)]
struct Seen {
    standing: Standing,
    unchanged: Duration,
}

impl Seen {
    fn is_stuck(&self) -> bool {
        self.unchanged >= self.standing.patience
    }
}

/// What was found; shared with those who ask for it.
#[derive(Clone, Debug)]
pub(crate) struct WatchdogHandle(Arc<Mutex<Found>>);

#[derive(Debug)]
struct Found {
    with_work: HashMap<Who, Seen>,
    /// On the monotonic clock.
    looked_at: Duration,
}

impl Found {
    fn stuck(&self) -> impl Iterator<Item = (&Who, &Seen)> {
        self.with_work.iter().filter(|(_, seen)| seen.is_stuck())
    }

    /// Workers that are stuck, and all that have work.
    fn workers(&self) -> (usize, usize) {
        let is_worker = |who: &Who| matches!(who, Who::Worker(_));
        let stuck = self.stuck().filter(|(who, _)| is_worker(who)).count();
        (
            stuck,
            self.with_work.keys().filter(|who| is_worker(who)).count(),
        )
    }
}

impl WatchdogHandle {
    pub(crate) fn beginning_at(monotonic: Duration) -> Self {
        Self(Arc::new(Mutex::new(Found {
            with_work: HashMap::new(),
            looked_at: monotonic,
        })))
    }

    /// What a new start might mend, in words without any id; `None` if all goes on.
    pub(crate) fn trouble(&self, clock: &dyn Clock) -> Option<String> {
        let found = self.lock();
        let silent = clock.monotonic().saturating_sub(found.looked_at);
        if silent >= STALE {
            let seconds = silent.as_secs();
            return Some(format!("the watchdog has not looked for {seconds} s"));
        }
        let of_all = found
            .stuck()
            .filter(|(who, _)| !matches!(who, Who::Worker(_)));
        let mut words: Vec<String> = of_all
            .map(|(who, seen)| format!("{who} {}", seen.standing))
            .collect();
        words.sort_unstable();
        let (stuck, all) = found.workers();
        if stuck > 1 && stuck * 2 > all {
            words.push(format!(
                "{stuck} of the {all} workers with work do not get on; /health/actors names them"
            ));
        }
        (!words.is_empty()).then(|| words.join("; "))
    }

    /// What is to be said where there is no trouble.
    pub(crate) fn detail(&self) -> String {
        match self.lock().workers() {
            (0, _) => "nobody is stuck".to_owned(),
            (stuck, all) => format!(
                "{stuck} of the {all} workers with work do not get on; /health/actors names them"
            ),
        }
    }

    /// Whether the connection's worker is stuck, and at what.
    pub(crate) fn trouble_of(&self, connection: ConnectionId) -> Option<String> {
        let found = self.lock();
        let seen = found.with_work.get(&Who::Worker(connection));
        let stuck = seen.filter(|seen| seen.is_stuck())?;
        Some(format!("stuck: it {}", stuck.standing))
    }

    /// Whether it has looked lately, and nothing is in trouble that a new start might mend.
    pub(crate) fn is_content(&self, clock: &dyn Clock) -> bool {
        self.trouble(clock).is_none()
    }

    fn looked(&self, with_work: HashMap<Who, Standing>, at: Duration) {
        let mut found = self.lock();
        let passed = at.saturating_sub(found.looked_at).min(MOST_BETWEEN_LOOKS);
        let mut before = std::mem::take(&mut found.with_work);
        found.looked_at = at;
        for (who, standing) in with_work {
            let earlier = before.get(&who).copied();
            let same = earlier.filter(|seen| seen.standing == standing);
            let unchanged = same.map_or(Duration::ZERO, |seen| seen.unchanged + passed);
            let seen = Seen {
                standing,
                unchanged,
            };
            if same.is_some() {
                before.remove(&who);
            }
            if seen.is_stuck() && !same.is_some_and(|seen| seen.is_stuck()) {
                let connection = who.connection();
                tracing::error!(
                    connection.id = connection.map(tracing::field::display),
                    "{who} {standing}"
                );
            }
            found.with_work.insert(who, seen);
        }
        for (who, _) in before.iter().filter(|(_, seen)| seen.is_stuck()) {
            let connection = who.connection();
            tracing::info!(
                connection.id = connection.map(tracing::field::display),
                "{who} was stuck, and got on"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks again and again, until `stop`.
pub(crate) async fn watch(
    watchdog: WatchdogHandle,
    clock: Arc<dyn Clock>,
    watched: Watched,
    stop: CancellationToken,
) {
    loop {
        watchdog.looked(watched.with_work(clock.now()), clock.monotonic());
        tokio::select! {
            () = clock.sleep(TURN) => {}
            () = stop.cancelled() => return,
        }
    }
}
