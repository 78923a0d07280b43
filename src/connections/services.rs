//! The calendar services as the workers share them: client, sign-in client, limit, pause.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::limiter::{ConnectionBudget, Limiter};
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
    shared: Option<Arc<Limiter>>,
    pause: Mutex<Option<Pause>>,
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
            shared: provider_quota
                .map(|quota| Arc::new(Limiter::new(quota, RateScope::Provider, clock.clone()))),
            pause: Mutex::new(None),
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

    /// Whether the provider is paused at `now`. When a pause ends, callers probe it again.
    pub fn paused(&self, now: Timestamp) -> Option<Pause> {
        self.lock().clone().filter(|pause| pause.until > now)
    }

    /// Why the provider was paused, until a call succeeds again.
    pub fn trouble(&self) -> Option<Pause> {
        self.lock().clone()
    }

    pub(super) fn pause(&self, until: Timestamp, failure: &SyncFailure) {
        *self.lock() = Some(Pause {
            until,
            code: failure.code(),
            detail: failure.to_string(),
        });
    }

    pub(super) fn works(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Pause>> {
        self.pause.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The providers that are configured.
pub type Services = BTreeMap<ProviderKind, Service>;
