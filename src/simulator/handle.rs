//! The controls of a running simulator, for code in the same process.

use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use secrecy::SecretString;
use url::Url;

use crate::domain::ProviderKind;

use super::account::{Access, AccountKey};
use super::coach::{self, CoachEdit, EditError, EventSelector};
use super::faults::{FaultRule, FaultStatus, TooManyRules};
use super::ledger::{CallCount, CallKind, Effect, EffectKind, SeenCall};
use super::tokens::Grant;
use super::view::{self, AccountView, Duplicate, LiveEvent};
use super::world::Shared;

/// Faults, edits by hand and questions. Clones share one simulator.
#[derive(Clone, Debug)]
pub struct SimulatorHandle {
    shared: Arc<Shared>,
}

/// Tokens given out without a sign-in.
#[derive(Debug)]
pub struct IssuedTokens {
    pub access_token: SecretString,
    pub refresh_token: SecretString,
}

impl SimulatorHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub fn url(&self) -> &Url {
        &self.shared.url
    }

    // Faults.

    /// Adds a rule; rules are tried in the order they were added. Answers its id.
    pub fn add_fault(&self, rule: FaultRule) -> Result<u64, TooManyRules> {
        self.shared.world().faults.add(rule)
    }

    pub fn remove_fault(&self, id: u64) -> bool {
        self.shared.world().faults.remove(id)
    }

    /// Every rule and how often it struck.
    pub fn faults(&self) -> Vec<FaultStatus> {
        self.shared.world().faults.status()
    }

    /// Ends all rules and the chaos.
    pub fn clear_faults(&self) {
        self.shared.world().faults.clear();
    }

    /// From now on about `rate` of the calls fail in a random way; 0 ends it. Repeatable from the
    /// seed as long as calls come in the same order. Sign-ins are spared.
    pub fn chaos(&self, rate: f64, seed: u64) {
        self.shared.world().faults.set_chaos(rate, seed);
    }

    pub fn chaos_rate(&self) -> f64 {
        self.shared.world().faults.chaos_rate()
    }

    // Ledger.

    /// Up to `limit` effects after the one numbered `after`; 0 for the first.
    pub fn effects(&self, after: u64, limit: usize) -> Vec<Effect> {
        self.shared.world().ledger.after(after, limit)
    }

    /// How many effects there were, forgotten ones included.
    pub fn effect_count(&self) -> u64 {
        self.shared.world().ledger.recorded()
    }

    /// How many of the oldest effects are forgotten already.
    pub fn effects_dropped(&self) -> u64 {
        self.shared.world().ledger.dropped()
    }

    pub fn total(&self, provider: ProviderKind, operation: EffectKind) -> u64 {
        self.shared.world().ledger.total(provider, operation)
    }

    pub fn calls(&self) -> Vec<CallCount> {
        self.shared.world().ledger.calls()
    }

    /// The latest calls for one account, oldest first, with those of sign-ins and refreshes. Of all
    /// accounts together the last 20,000 are kept.
    pub fn calls_of(&self, provider: ProviderKind, email: &str) -> Vec<SeenCall> {
        let key = AccountKey::new(provider, email);
        self.shared.world().ledger.calls_of(&key)
    }

    /// Calls of one kind, whatever the answer. Parts of batches count as calls of their own kind.
    pub fn call_count(&self, provider: ProviderKind, operation: CallKind) -> u64 {
        self.calls()
            .iter()
            .filter(|calls| calls.provider == provider && calls.operation == operation)
            .map(|calls| calls.count)
            .sum()
    }

    /// How often an event was created with this key.
    pub fn creates_of(&self, provider: ProviderKind, event_key: &str) -> u32 {
        self.shared.world().ledger.creates_of(provider, event_key)
    }

    pub fn duplicates(&self) -> Vec<Duplicate> {
        view::duplicates(&self.shared.world())
    }

    /// When the first call that names the appointment and got past authorization arrived, on the
    /// monotonic clock the simulator was started with.
    pub fn first_receipt(&self, appointment_id: &str) -> Option<Duration> {
        self.shared.world().ledger.first_receipt(appointment_id)
    }

    // Accounts and events.

    pub fn accounts(&self) -> Vec<AccountView> {
        view::accounts(&self.shared.world())
    }

    /// Makes an account before its first consent; one that exists stays as it is.
    pub fn open_account(&self, provider: ProviderKind, email: &str, time_zone: Tz) {
        let mut world = self.shared.world();
        let entropy = world.entropy.clone();
        let key = AccountKey::new(provider, email);
        world.accounts.open(&key, time_zone, entropy.as_ref());
    }

    /// Live events by start, of one calendar or of all.
    pub fn live_events(
        &self,
        provider: ProviderKind,
        email: &str,
        calendar_id: Option<&str>,
    ) -> Vec<LiveEvent> {
        let key = AccountKey::new(provider, email);
        view::live_events(&self.shared.world(), &key, calendar_id)
    }

    /// Does what a person does in the calendar's own pages.
    pub fn edit(
        &self,
        provider: ProviderKind,
        email: &str,
        event: &EventSelector,
        edit: &CoachEdit,
    ) -> Result<(), EditError> {
        let at = self.shared.moment();
        let key = AccountKey::new(provider, email);
        coach::edit(&mut self.shared.world(), at, &key, event, edit)
    }

    /// Gives or takes the right to write to a calendar.
    pub fn set_writable(
        &self,
        provider: ProviderKind,
        email: &str,
        calendar_id: &str,
        writable: bool,
    ) -> Result<(), EditError> {
        let mut world = self.shared.world();
        let calendar = world
            .accounts
            .get_mut(&AccountKey::new(provider, email))
            .ok_or(EditError::NoAccount)?
            .calendar_mut(calendar_id)
            .ok_or(EditError::NoCalendar)?;
        calendar.access = if writable {
            Access::Owner
        } else {
            Access::Reader
        };
        Ok(())
    }

    /// Deletes a calendar with everything in it, as its owner may.
    pub fn delete_calendar(
        &self,
        provider: ProviderKind,
        email: &str,
        calendar_id: &str,
    ) -> Result<(), EditError> {
        let mut world = self.shared.world();
        let state = world
            .accounts
            .get_mut(&AccountKey::new(provider, email))
            .ok_or(EditError::NoAccount)?;
        let before = state.calendars.len();
        state
            .calendars
            .retain(|calendar| calendar.primary || calendar.id != calendar_id);
        if state.calendars.len() == before {
            Err(EditError::NoCalendar)
        } else {
            Ok(())
        }
    }

    // Grants.

    /// Opens the account and consents for it without a browser.
    pub fn grant(
        &self,
        provider: ProviderKind,
        email: &str,
        client_id: &str,
        scopes: &[&str],
    ) -> IssuedTokens {
        let now = self.shared.moment().now;
        let mut world = self.shared.world();
        let (config, entropy) = (world.config.clone(), world.entropy.clone());
        let account = AccountKey::new(provider, email);
        world
            .accounts
            .open(&account, config.time_zone, entropy.as_ref());
        world.tokens.consent(&account, client_id);
        let grant = Grant {
            account,
            client_id: client_id.to_owned(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        };
        let expires_at = world.expiry(now);
        let access = world
            .tokens
            .issue_access(grant.clone(), expires_at, now, entropy.as_ref());
        let most = config.limits.refresh_tokens_per_account;
        let refresh = world
            .tokens
            .issue_refresh(grant, most, now, entropy.as_ref());
        IssuedTokens {
            access_token: access.into(),
            refresh_token: refresh.into(),
        }
    }

    /// Ends everything the account granted, as its owner can in the account's own pages. False if
    /// there was nothing.
    pub fn revoke(&self, provider: ProviderKind, email: &str) -> bool {
        let account = AccountKey::new(provider, email);
        self.shared.world().tokens.revoke(&account)
    }

    /// Ends the access tokens of an account; refreshing still works.
    pub fn expire_access_tokens(&self, provider: ProviderKind, email: &str) {
        let account = AccountKey::new(provider, email);
        self.shared.world().tokens.expire_access(&account);
    }

    /// Every code, verifier and token that is known now, for tests that look where they must not be.
    pub fn secrets(&self) -> Vec<SecretString> {
        let world = self.shared.world();
        world.tokens.secrets().map(SecretString::from).collect()
    }

    /// Forgets accounts, tokens, effects and faults.
    pub fn reset(&self) {
        self.shared.world().reset();
    }
}
