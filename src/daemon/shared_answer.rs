//! One question to the database, asked once for all who want to know at the same time.
//!
//! However many ask, and whoever they are, they take one connection of the pool together.

use std::time::Duration;

use tokio::sync::Mutex;

use crate::domain::Clock;

/// What was answered last, and when on the monotonic clock.
#[derive(Debug)]
pub(super) struct SharedAnswer<T> {
    kept: Mutex<Option<(Duration, T)>>,
}

impl<T> Default for SharedAnswer<T> {
    fn default() -> Self {
        Self {
            kept: Mutex::new(None),
        }
    }
}

impl<T: Clone> SharedAnswer<T> {
    /// What was answered less than `good_for` ago; else what is answered now. Whoever comes meanwhile
    /// waits for the one that asks, and takes the same answer.
    pub(super) async fn get<E>(
        &self,
        clock: &dyn Clock,
        good_for: Duration,
        ask: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let mut kept = self.kept.lock().await;
        if let Some((at, answer)) = kept.as_ref()
            && clock.monotonic().saturating_sub(*at) < good_for
        {
            return Ok(answer.clone());
        }
        let answer = ask.await?;
        *kept = Some((clock.monotonic(), answer.clone()));
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::domain::{ManualClock, Timestamp};

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn many_who_ask_at_once_cost_one_question_and_later_ones_another() {
        let clock = ManualClock::starting_at(Timestamp::UNIX_EPOCH);
        let shared = SharedAnswer::default();
        let asked = AtomicU32::new(0);
        let ask = || async {
            let number = asked.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(number)
        };
        let many = (0..100).map(|_| shared.get(clock.as_ref(), SECOND, ask()));
        let answers = futures::future::join_all(many).await;
        assert!(answers.iter().all(|answer| *answer == Ok(0)), "{answers:?}");
        clock.advance(SECOND);
        assert_eq!(shared.get(clock.as_ref(), SECOND, ask()).await, Ok(1));
    }

    #[tokio::test]
    async fn what_was_not_answered_is_asked_again() {
        let clock = ManualClock::starting_at(Timestamp::UNIX_EPOCH);
        let shared = SharedAnswer::default();
        let failed = shared.get(clock.as_ref(), SECOND, async { Err("no") });
        assert_eq!(failed.await, Err("no"));
        let answered = shared.get(clock.as_ref(), SECOND, async { Ok::<_, &str>(7) });
        assert_eq!(answered.await, Ok(7));
    }
}
