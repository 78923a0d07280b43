//! How long an address waits that sends tokens nobody believes.

use std::time::Duration;

/// So many are judged at once: frontends and people err.
const FREE: u32 = 10;
/// After that, before the next one is judged; doubles each time.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Since its last bad token. Longer than any wait: sitting one out is no fresh start.
pub(super) const FORGOTTEN_AFTER: Duration = Duration::from_secs(900);

/// What is known of one address.
#[derive(Debug, Default)]
pub(super) struct BadTokens {
    judged: u32,
    /// On the monotonic clock.
    wait_until: Duration,
}

impl BadTokens {
    /// One more. An error if it comes too early to be judged: how long to wait.
    pub(super) fn one_more(&mut self, now: Duration) -> Result<(), Duration> {
        if now < self.wait_until {
            return Err(self.wait_until - now);
        }
        self.judged = self.judged.saturating_add(1);
        if let Some(beyond) = self.judged.checked_sub(FREE) {
            let doubled = 2_u32.saturating_pow(beyond);
            self.wait_until = now + FIRST_WAIT.saturating_mul(doubled).min(LONGEST_WAIT);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_free_and_then_the_wait_doubles_up_to_its_longest() {
        let mut known = BadTokens::default();
        let mut now = Duration::ZERO;
        for _ in 0..FREE {
            assert_eq!(known.one_more(now), Ok(()));
        }
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            let wait = Duration::from_secs(seconds);
            assert_eq!(known.one_more(now), Err(wait));
            // What comes too early makes the wait no longer.
            now += wait / 2;
            assert_eq!(known.one_more(now), Err(wait / 2));
            now += wait / 2;
            assert_eq!(known.one_more(now), Ok(()));
        }
    }
}
