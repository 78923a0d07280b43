//! What runs behind the ports, played by state.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;

use crate::api::ports::{
    ActorQuery, ActorReport, ActorState, ActorTotals, ActorTree, Health, LiveConnections,
    Readiness, ReadyPart, TestReport, Unreachable, Waker,
};
use crate::domain::{Calendar, CalendarId, CoachId, ConnectionId, SyncFailure};

/// The calendars every account has, and who was woken.
#[derive(Default)]
pub(super) struct Fakes {
    woken: Mutex<Vec<ConnectionId>>,
    calendars: Mutex<Vec<Calendar>>,
    is_busy: Mutex<bool>,
    tested: Mutex<u32>,
    /// While true, a live call does not end.
    is_slow: tokio::sync::watch::Sender<bool>,
}

impl Fakes {
    pub(super) fn woken(&self) -> Vec<ConnectionId> {
        std::mem::take(&mut *lock(&self.woken))
    }

    pub(super) fn be_slow(&self, is_slow: bool) {
        self.is_slow.send_replace(is_slow);
    }

    /// How often a connection was tried since this was asked last.
    pub(super) fn tested(&self) -> u32 {
        std::mem::take(&mut *lock(&self.tested))
    }

    pub(super) fn offer(&self, id: &str) {
        lock(&self.calendars).push(Calendar {
            id: id.into(),
            name: id.to_owned(),
            time_zone: None,
            primary: false,
        });
    }

    pub(super) fn be_busy(&self, is_busy: bool) {
        *lock(&self.is_busy) = is_busy;
    }

    fn reached(&self) -> Result<(), Unreachable> {
        if *lock(&self.is_busy) {
            Err(Unreachable::Busy)
        } else {
            Ok(())
        }
    }
}

fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().expect("no test panicked in here")
}

impl Waker for Fakes {
    fn wake(&self, connections: &[ConnectionId]) {
        lock(&self.woken).extend(connections);
    }

    fn coach_changed(&self, _coach_id: CoachId) {}
}

#[async_trait]
impl LiveConnections for Fakes {
    async fn test(&self, _id: ConnectionId) -> Result<TestReport, Unreachable> {
        self.reached()?;
        *lock(&self.tested) += 1;
        let mut slow = self.is_slow.subscribe();
        // Its sender is ours.
        let _ = slow.wait_for(|is_slow| !is_slow).await;
        Ok(TestReport {
            ok: true,
            calendar_name: Some("Mine".to_owned()),
            account_email: "coach@example.com".to_owned(),
            latency: Duration::from_millis(12),
            problem: None,
        })
    }

    async fn calendars(
        &self,
        _id: ConnectionId,
    ) -> Result<Result<Vec<Calendar>, SyncFailure>, Unreachable> {
        self.reached()?;
        Ok(Ok(lock(&self.calendars).clone()))
    }

    async fn calendar(
        &self,
        _id: ConnectionId,
        wanted: CalendarId,
    ) -> Result<Result<Option<Calendar>, SyncFailure>, Unreachable> {
        self.reached()?;
        let calendars = lock(&self.calendars);
        let found = calendars.iter().find(|calendar| calendar.id == wanted);
        Ok(Ok(found.cloned()))
    }
}

/// A daemon of which one part is down.
pub(super) struct HealthFake;

#[async_trait]
impl Health for HealthFake {
    async fn ready(&self) -> Readiness {
        Readiness {
            ok: false,
            parts: vec![ReadyPart {
                name: "database".to_owned(),
                ok: false,
                detail: "does not answer".to_owned(),
            }],
        }
    }

    async fn actors(&self, _query: ActorQuery) -> ActorTree {
        ActorTree {
            totals: ActorTotals::default(),
            next_cursor: None,
            root: ActorReport::new("daemon", ActorState::Running, chrono::DateTime::UNIX_EPOCH),
        }
    }

    async fn metrics(&self) -> String {
        // Stands for any bug: what a client may see of a panic is tested with it.
        panic!("secret of the inside")
    }

    fn answered(&self, _method: &str, route: &str, _status: u16, _took: Duration) {
        assert!(!route.contains("0000"), "a template, and no path: {route}");
    }
}
