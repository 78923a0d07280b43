//! An open stream: when to look again, and when to end.
//!
//! It moves only when its reader asks for the next event. Pauses are in real time, as those of a socket:
//! they spare the database and decide nothing. The end of the token is in the daemon's time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::time::Instant;

use super::look::{Scope, look};
use super::message::{EndReason, StatusEvent};
use super::position::Position;
use super::seats::Seat;
use crate::api::ApiState;
use crate::changes::Watch;
use crate::domain::Timestamp;
use crate::store::StoreError;

/// From one look to the next, however much happens meanwhile.
pub(super) const PACE: Duration = Duration::from_millis(500);
/// From one look to the next, though nobody said that anything had changed.
pub(super) const SAFETY: Duration = Duration::from_secs(30);
/// From one look to the next, in times of what the last one took: where much is to be counted, or the
/// database is slow, a stream costs it no more than a tenth of its time.
const SPARED: u32 = 10;
/// The longest that a look may take.
const LONGEST_LOOK: Duration = Duration::from_secs(10);
/// Before looking again when the database did not answer.
const AFTER_TROUBLE: Duration = Duration::from_secs(2);
/// When a reader is to come back, at the latest; at the earliest after half of that. Not all at once,
/// for all leave at once when a daemon stops.
const COME_BACK: Duration = Duration::from_secs(4);

pub(super) struct Stream {
    state: Arc<ApiState>,
    scope: Scope,
    position: Position,
    watch: Watch,
    /// Found and not sent.
    ready: VecDeque<StatusEvent>,
    looked_at: Instant,
    /// What the last look took.
    took: Duration,
    next: Next,
    good_until: Timestamp,
    _seat: Seat,
}

/// What is to be done once all that was found is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Look, when there is something to see.
    Wait,
    /// Look at once: there is more.
    Look,
    /// Look after a while: the database did not answer.
    TryAgain,
    End(EndReason),
    Close,
}

impl Stream {
    /// Looks for the first time, so that whatever stands in the way is told as an answer.
    pub(super) async fn open(
        state: Arc<ApiState>,
        seat: Seat,
        scope: Scope,
        position: Position,
        good_until: Timestamp,
    ) -> Result<Self, StoreError> {
        let mut stream = Self {
            watch: state.changes.watch(),
            state,
            scope,
            position,
            ready: VecDeque::new(),
            looked_at: Instant::now(),
            took: Duration::ZERO,
            next: Next::Wait,
            good_until,
            _seat: seat,
        };
        stream.look().await?;
        Ok(stream)
    }

    /// For the field `retry`, in milliseconds.
    pub(super) fn come_back_after(&self) -> u64 {
        let after = self.state.entropy.jitter().spread(COME_BACK);
        u64::try_from(after.as_millis()).unwrap_or(u64::MAX)
    }

    /// The next event, once there is one; `None`: it is over.
    pub(super) async fn next(&mut self) -> Option<StatusEvent> {
        loop {
            if self.next != Next::Close && self.state.clock.now() >= self.good_until {
                // Nor is anybody told what was found before.
                self.ready.clear();
                self.next = Next::End(EndReason::TokenExpired);
            }
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            match self.next {
                Next::Close => return None,
                Next::End(reason) => {
                    self.next = Next::Close;
                    return Some(StatusEvent::end(reason));
                }
                Next::Wait | Next::Look | Next::TryAgain => self.go_on().await,
            }
        }
    }

    async fn go_on(&mut self) {
        let (state, good_until) = (self.state.clone(), self.good_until);
        // A look that is cut off has moved nothing: it only reads until it has everything.
        let end = tokio::select! {
            biased;
            () = state.streams.stopping() => EndReason::ServerStops,
            () = state.clock.sleep_until(good_until) => EndReason::TokenExpired,
            () = self.look_when_due() => return,
        };
        self.next = Next::End(end);
    }

    async fn look_when_due(&mut self) {
        self.time_to_look().await;
        if let Err(error) = self.look().await {
            tracing::debug!(error = %error, "a stream of live status could not look");
            self.next = Next::TryAgain;
        }
    }

    async fn time_to_look(&self) {
        match self.next {
            Next::Look => tokio::time::sleep_until(self.looked_at + self.took * SPARED).await,
            Next::TryAgain => {
                let pause = AFTER_TROUBLE.max(pace(self.took));
                tokio::time::sleep_until(self.looked_at + pause).await;
            }
            Next::Wait | Next::End(_) | Next::Close => {
                let at_the_latest = self.looked_at + SAFETY;
                let _ = tokio::time::timeout_at(at_the_latest, self.watch.touched()).await;
                tokio::time::sleep_until(self.looked_at + pace(self.took)).await;
            }
        }
        // What was said until now is seen by the look that follows.
        let _ = self.watch.touched().now_or_never();
    }

    async fn look(&mut self) -> Result<(), StoreError> {
        self.looked_at = Instant::now();
        // Watched before it is looked at: what changes in between is looked at again.
        self.watch.follow(self.scope.subjects(&self.position));
        let looking = look(&self.state, self.scope, &mut self.position);
        let found = tokio::time::timeout(LONGEST_LOOK, looking).await;
        self.took = self.looked_at.elapsed();
        let found = found.unwrap_or_else(|_| Err(StoreError::too_late()))?;
        // Of a connection that is new, something may have changed before it was watched.
        let is_new = self.watch.follow(self.scope.subjects(&self.position));
        self.next = match (found.over, found.more || is_new) {
            (true, _) => Next::End(EndReason::Disconnected),
            (false, true) => Next::Look,
            (false, false) => Next::Wait,
        };
        self.ready.extend(found.events);
        Ok(())
    }
}

/// From the beginning of one look to that of the next.
fn pace(took: Duration) -> Duration {
    PACE.max(took * SPARED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_take_a_tenth_of_the_time_at_most() {
        assert_eq!(pace(Duration::ZERO), PACE);
        assert_eq!(pace(Duration::from_millis(50)), PACE);
        for millis in [51, 700, 10_000] {
            let took = Duration::from_millis(millis);
            assert_eq!(pace(took), took * 10);
        }
    }
}
