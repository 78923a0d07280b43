//! How long an address waits for its answer that sends tokens nobody believes.
//!
//! The answer is 401 in any case, and soon: many share one address, and an honest page among them must
//! hear that it needs another token.

use std::time::Duration;

/// So many are answered at once: frontends and people err.
const FREE: u32 = 10;
/// The next one's answer comes so much later; doubles each time.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// Far below what a request may take.
const LONGEST_DELAY: Duration = Duration::from_secs(2);
/// Since its last bad token.
pub(super) const FORGOTTEN_AFTER: Duration = Duration::from_secs(900);

/// What is known of one address.
#[derive(Debug, Default)]
pub(super) struct BadTokens {
    seen: u32,
}

impl BadTokens {
    /// One more: how long its answer is held back.
    pub(super) fn one_more(&mut self) -> Duration {
        let doublings = self.seen.checked_sub(FREE);
        self.seen = self.seen.saturating_add(1);
        doublings.map_or(Duration::ZERO, |doublings| {
            let factor = 2_u32.saturating_pow(doublings);
            FIRST_DELAY.saturating_mul(factor).min(LONGEST_DELAY)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_free_and_then_the_delay_doubles_up_to_its_longest() {
        let mut known = BadTokens::default();
        for _ in 0..FREE {
            assert_eq!(known.one_more(), Duration::ZERO);
        }
        for milliseconds in [100, 200, 400, 800, 1_600, 2_000, 2_000] {
            assert_eq!(known.one_more(), Duration::from_millis(milliseconds));
        }
        for _ in 0..100 {
            assert_eq!(known.one_more(), LONGEST_DELAY);
        }
    }
}
