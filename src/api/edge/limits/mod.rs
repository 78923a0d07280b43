//! How much one address, one caller and one guesser of tokens may ask.
//!
//! Three counts, all in the memory of this node: requests of an address, before anybody is believed;
//! requests of a caller, once it is; and bad tokens of an address, whose answers come ever later. What
//! was idle is forgotten, and there is a most of each, so that strangers cannot fill the memory.
//!
//! A good token is heard at once however many bad ones its address sent: many share one address, and a
//! stranger among them must not lock the platform out.

mod address;
mod bad_tokens;
mod recent;

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::RateLimiter;
use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use poem::Request;
use tokio::sync::Semaphore;

pub(in crate::api) use self::address::Address;
use self::bad_tokens::BadTokens;
use self::recent::Recent;
use crate::api::problem::{Code, Problem};
use crate::config::{Quota, RequestConfig};
use crate::domain::Clock;
use crate::rate_clock::RateClock;
use crate::security::api_token::{Caller, Role};

/// Answers held back at a time. Beyond it they are given at once: to wait costs a connection.
const MOST_HELD_BACK: usize = 256;

type Limiter = RateLimiter<NotKeyed, InMemoryState, RateClock, NoOpMiddleware<Nanos>>;

/// Who asked how much, on this node.
pub struct RequestLimits {
    config: RequestConfig,
    clock: RateClock,
    addresses: Mutex<Recent<Address, Limiter>>,
    callers: Mutex<Recent<Caller, Limiter>>,
    bad_tokens: Mutex<Recent<Address, BadTokens>>,
    held_back: Semaphore,
}

impl std::fmt::Debug for RequestLimits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestLimits")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl RequestLimits {
    pub fn new(config: RequestConfig, clock: Arc<dyn Clock>) -> Self {
        // One that was idle for its window is full again: forgetting it changes nothing.
        let of_callers = config.per_coach.per.max(config.per_service.per);
        Self {
            addresses: Mutex::new(Recent::forgetting_after(config.per_address.per)),
            callers: Mutex::new(Recent::forgetting_after(of_callers)),
            bad_tokens: Mutex::new(Recent::forgetting_after(bad_tokens::FORGOTTEN_AFTER)),
            held_back: Semaphore::new(MOST_HELD_BACK),
            clock: RateClock(clock),
            config,
        }
    }

    /// Where the request comes from.
    pub(super) fn address_of(&self, request: &Request) -> Address {
        Address::of(request, &self.config.trusted_proxies)
    }

    /// Counts a request of the address, whoever makes it.
    pub(in crate::api) fn admit_address(&self, address: Address) -> Result<(), Problem> {
        let full = || self.limiter(self.config.per_address);
        let mut addresses = lock(&self.addresses);
        self.take(addresses.of(address, self.clock.0.monotonic(), full))
    }

    /// Counts a request of the caller.
    pub(in crate::api) fn admit_caller(&self, caller: &Caller) -> Result<(), Problem> {
        let quota = match caller.role() {
            Role::Coach => self.config.per_coach,
            Role::Service | Role::Admin => self.config.per_service,
        };
        let full = || self.limiter(quota);
        let mut callers = lock(&self.callers);
        self.take(callers.of(caller.clone(), self.clock.0.monotonic(), full))
    }

    /// Counts a token of the address that was not believed, and returns when it may be told.
    pub(in crate::api) async fn note_bad_token(&self, address: Address) {
        let now = self.clock.0.monotonic();
        let delay = lock(&self.bad_tokens)
            .of(address, now, BadTokens::default)
            .one_more();
        if !delay.is_zero()
            && let Ok(_place) = self.held_back.try_acquire()
        {
            self.clock.0.sleep(delay).await;
        }
    }

    fn take(&self, limiter: &Limiter) -> Result<(), Problem> {
        limiter.check().map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now());
            Problem::new(Code::TooManyRequests).come_back_in(wait)
        })
    }

    /// Full: a whole window's requests at once, and from then on at the quota's rate.
    fn limiter(&self, quota: Quota) -> Limiter {
        let period = (quota.per / quota.units.get()).max(Duration::from_nanos(1));
        let rate = governor::Quota::with_period(period)
            // Only a period of zero is refused.
            .unwrap_or_else(|| governor::Quota::per_second(NonZeroU32::MAX))
            .allow_burst(quota.units);
        RateLimiter::direct_with_clock(rate, self.clock.clone())
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Section, Sources};
    use crate::domain::ManualClock;

    fn limits(pairs: &[(&str, &str)]) -> (RequestLimits, Arc<ManualClock>) {
        let clock = ManualClock::starting_at(chrono::DateTime::UNIX_EPOCH);
        let config = RequestConfig::load(&Sources::of_pairs(pairs.iter().copied()));
        let limits = RequestLimits::new(config.expect("allowed"), clock.clone());
        (limits, clock)
    }

    fn caller(role: Role, subject: &str) -> Caller {
        Caller::new(role, subject).expect("a caller")
    }

    #[test]
    fn each_caller_has_a_window_of_its_own_that_refills() {
        let (limits, clock) = limits(&[
            ("REQUEST_LIMIT_PER_COACH", "2/1m"),
            ("REQUEST_LIMIT_PER_SERVICE", "3/1m"),
        ]);
        let coaches = [1, 2].map(|n| caller(Role::Coach, &uuid::Uuid::from_u128(n).to_string()));
        let service = caller(Role::Service, "same");
        let admin = caller(Role::Admin, "same");
        for (caller, most) in [
            (&coaches[0], 2),
            (&coaches[1], 2),
            (&service, 3),
            (&admin, 3),
        ] {
            let admitted = (0..10)
                .filter(|_| limits.admit_caller(caller).is_ok())
                .count();
            assert_eq!(admitted, most, "{caller}");
        }
        clock.advance(Duration::from_secs(29));
        assert!(limits.admit_caller(&coaches[0]).is_err());
        clock.advance(Duration::from_secs(1));
        assert!(limits.admit_caller(&coaches[0]).is_ok());
        assert!(limits.admit_caller(&coaches[0]).is_err());
    }
}
