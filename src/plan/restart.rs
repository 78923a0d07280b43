//! When a crashed worker comes back, and when its connection is set aside.

use std::time::Duration;

use crate::domain::Jitter;

/// How patient a supervisor is.
#[derive(Clone, Copy, Debug)]
pub struct RestartPolicy {
    /// The first delay; it doubles with each further crash in a row.
    pub base: Duration,
    pub cap: Duration,
    /// Crashes in a row, without one finished round between them, that set the connection aside.
    pub tolerated: u32,
    /// How long it is set aside before one more try.
    pub cool_down: Duration,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(100),
            cap: Duration::from_secs(30),
            tolerated: 5,
            cool_down: Duration::from_secs(15 * 60),
        }
    }
}

/// What a supervisor does about a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    After(Duration),
    /// Give up on this one connection, for this long.
    Quarantine(Duration),
}

/// `crashes` counts those in a row, this one included, from 1.
pub fn restart(policy: RestartPolicy, crashes: u32, jitter: Jitter) -> Restart {
    if crashes > policy.tolerated {
        return Restart::Quarantine(jitter.spread(policy.cool_down));
    }
    let doublings = crashes.saturating_sub(1).min(20);
    let delay = policy.base.saturating_mul(1 << doublings).min(policy.cap);
    Restart::After(jitter.spread(delay))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_comes_back_ever_later_and_is_then_set_aside() {
        let policy = RestartPolicy::default();
        let most = Jitter(u32::MAX);
        assert_eq!(restart(policy, 1, most), Restart::After(policy.base));
        assert_eq!(restart(policy, 3, most), Restart::After(policy.base * 4));
        assert_eq!(
            restart(policy, 6, most),
            Restart::Quarantine(policy.cool_down)
        );
    }
}
