//! The calendar services as the workers share them: client, sign-in client, limit, pause.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::TimeDelta;

use super::limiter::{ConnectionBudget, Limiter};
use super::shared_limiter::{SharedLimiter, Tokens};
use crate::config::Quota;
use crate::domain::{Clock, FailureCode, ProviderKind, RateScope, SyncFailure, Timestamp};
use crate::oauth::OAuthClient;
use crate::provider::CalendarProvider;

/// One configured provider.
#[derive(Debug)]
pub struct Service {
    pub api: Arc<dyn CalendarProvider>,
    pub oauth: OAuthClient,
    /// Per account.
    account_quota: Quota,
    shared: Option<Arc<SharedLimiter>>,
    gate: Mutex<Gate>,
}

/// How long the others wait for the one that probes.
const PROBE_TURN: TimeDelta = TimeDelta::minutes(1);

/// What holds everybody back.
#[derive(Debug, Default)]
struct Gate {
    pause: Option<Pause>,
    limited_until: Option<Timestamp>,
}

/// Our set-up at the provider is wrong: nobody calls it for a while, and no coach is to blame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    pub until: Timestamp,
    pub code: FailureCode,
    /// For the operator.
    pub detail: String,
}

impl Service {
    pub fn new(
        api: Arc<dyn CalendarProvider>,
        oauth: OAuthClient,
        account_quota: Quota,
        provider_quota: Option<Quota>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        Self {
            api,
            oauth,
            account_quota,
            shared: provider_quota.map(|quota| Arc::new(SharedLimiter::new(quota, clock.clone()))),
            gate: Mutex::default(),
        }
    }

    /// What one account may use.
    pub fn account_quota(&self) -> Quota {
        self.account_quota
    }

    /// A budget for one connection; it outlives the connection's worker, so that a crash does not
    /// refill it.
    pub(super) fn budget(&self, clock: &Arc<dyn Clock>) -> ConnectionBudget {
        ConnectionBudget {
            own: Arc::new(Limiter::new(
                self.account_quota,
                RateScope::Connection,
                clock.clone(),
            )),
            provider: self.shared.clone(),
        }
    }

    /// From now on this part of what the provider allows us altogether is this node's.
    pub(crate) fn use_share(&self, share: f64, tokens: Tokens) {
        if let Some(shared) = &self.shared {
            shared.use_share(share, tokens);
        }
    }

    /// Until when nobody calls the provider, if anybody should not.
    ///
    /// When a pause ends, the first to ask goes through as a probe, and the others wait another turn:
    /// a secret that is still wrong is refused once, not once per connection.
    pub(super) fn closed_until(&self, now: Timestamp) -> Option<Timestamp> {
        let mut gate = self.lock();
        if let Some(until) = gate.limited_until.filter(|until| *until > now) {
            return Some(until);
        }
        let pause = gate.pause.as_mut()?;
        if pause.until > now {
            return Some(pause.until);
        }
        pause.until = now + PROBE_TURN;
        None
    }

    /// Why the provider was paused, until a call succeeds again.
    pub fn trouble(&self) -> Option<Pause> {
        self.lock().pause.clone()
    }

    /// The provider limits everybody until then.
    pub(crate) fn close(&self, until: Timestamp) {
        let mut gate = self.lock();
        gate.limited_until = gate.limited_until.max(Some(until));
    }

    pub(super) fn pause(&self, until: Timestamp, failure: &SyncFailure) {
        self.lock().pause = Some(Pause {
            until,
            code: failure.code(),
            detail: failure.to_string(),
        });
    }

    pub(super) fn works(&self) {
        self.lock().pause = None;
    }

    fn lock(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The providers that are configured.
pub type Services = BTreeMap<ProviderKind, Service>;
