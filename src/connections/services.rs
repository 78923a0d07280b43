//! The calendar services as the workers share them: client, sign-in client, limit, gate.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::TimeDelta;

use super::gate::{Gate, Trouble};
use super::limiter::{ConnectionBudget, Limiter};
use super::shared_limiter::{SharedLimiter, Tokens};
use crate::config::Quota;
use crate::domain::{Clock, ConnectionId, ProviderKind, SyncFailure, Timestamp, Wait};
use crate::oauth::OAuthClient;
use crate::plan::Heard;
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
            own: Arc::new(Limiter::new(self.account_quota, clock.clone())),
            provider: self.shared.clone(),
        }
    }

    /// From now on this part of what the provider allows us altogether is this node's.
    pub(crate) fn use_share(&self, share: f64, tokens: Tokens) {
        if let Some(shared) = &self.shared {
            shared.use_share(share, tokens);
        }
    }

    /// Whether `who` has to wait with everybody else; see [`Gate`].
    pub(super) fn ask(&self, who: ConnectionId, now: Timestamp) -> Option<Wait> {
        self.lock().ask(who, now)
    }

    /// Until when the provider limits everybody, if it does; see [`Gate`].
    pub(super) fn limited_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.lock().limited_until(now)
    }

    /// Takes note of a round; answers whether the provider is open again by it.
    pub(super) fn heard(&self, who: ConnectionId, heard: Heard, now: Timestamp) -> bool {
        self.lock().heard(who, heard, now)
    }

    /// Why nobody but probes calls the provider, until a call succeeds again.
    pub fn trouble(&self) -> Option<Trouble> {
        self.lock().trouble()
    }

    /// The provider limits everybody until then.
    pub(crate) fn limit(&self, until: Timestamp) {
        self.lock().limit(until);
    }

    /// The provider does not accept our set-up; answers whether everybody waits for that.
    pub(super) fn refused(
        &self,
        who: ConnectionId,
        failure: &SyncFailure,
        until: Timestamp,
        now: Timestamp,
    ) -> bool {
        self.lock().refused(who, failure, until, now)
    }

    pub(crate) fn clock_was_set_back(&self, by: TimeDelta) {
        self.lock().clock_was_set_back(by);
    }

    fn lock(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The providers that are configured.
pub type Services = BTreeMap<ProviderKind, Service>;
