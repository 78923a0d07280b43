//! Our monotonic clock as governor reads it, so that tests move its rate limiters.

use std::sync::Arc;

use governor::clock::Clock as GovernorClock;
use governor::nanos::Nanos;

use crate::domain::Clock;

#[derive(Clone, Debug)]
pub(crate) struct RateClock(pub(crate) Arc<dyn Clock>);

impl GovernorClock for RateClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.monotonic().into()
    }
}
