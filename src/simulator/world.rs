//! All the simulator's memory behind one lock, held for microseconds and never across an await.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use url::Url;

use crate::domain::{Clock, Entropy, ProviderKind, Timestamp};

use super::account::{AccountKey, Accounts, Marks};
use super::config::SimulatorConfig;
use super::faults::{FaultEffect, Faults};
use super::ledger::{Actor, CallKind, EffectKind, Ledger, Place};
use super::message::{Call, Moment};
use super::quota::SlidingWindow;
use super::random::Dice;
use super::tokens::Tokens;

/// What request handlers, the handle and the control API share.
#[derive(Debug)]
pub(super) struct Shared {
    world: Mutex<World>,
    pub(super) config: Arc<SimulatorConfig>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) url: Url,
}

impl Shared {
    pub(super) fn new(
        config: SimulatorConfig,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        url: Url,
    ) -> Self {
        let config = Arc::new(config);
        Self {
            world: Mutex::new(World {
                dice: Dice::from_seed(config.seed),
                base: url.as_str().trim_end_matches('/').to_owned(),
                config: config.clone(),
                entropy,
                accounts: Accounts::default(),
                tokens: Tokens::default(),
                ledger: Ledger::default(),
                faults: Faults::default(),
                google_project: SlidingWindow::default(),
                versions: 0,
            }),
            config,
            clock,
            url,
        }
    }

    /// The state. A handler that panicked left it whole enough: every change is a few inserts.
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn moment(&self) -> Moment {
        Moment {
            now: self.clock.now(),
            elapsed: self.clock.monotonic(),
        }
    }
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) config: Arc<SimulatorConfig>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) dice: Dice,
    /// Origin of the simulator, for links to next pages.
    pub(super) base: String,
    pub(super) accounts: Accounts,
    pub(super) tokens: Tokens,
    pub(super) ledger: Ledger,
    pub(super) faults: Faults,
    pub(super) google_project: SlidingWindow,
    versions: u64,
}

impl World {
    /// A number no event and no version of one had before.
    pub(super) fn next_version(&mut self) -> u64 {
        self.versions += 1;
        self.versions
    }

    /// The scripted fault that a call of this kind meets, if any.
    pub(super) fn draw_fault(
        &mut self,
        provider: ProviderKind,
        kind: CallKind,
        account: Option<&AccountKey>,
        call: &Call,
    ) -> Option<FaultEffect> {
        self.faults.draw(provider, kind, account, call, &self.dice)
    }

    pub(super) fn record(
        &mut self,
        at: Moment,
        operation: EffectKind,
        account: &AccountKey,
        calendar_id: &str,
        event: (&str, &Marks),
    ) {
        let starts_at = self.starts_at(account, calendar_id, event.0);
        self.ledger.record(
            at,
            Actor::Client,
            operation,
            Place {
                account,
                calendar_id,
                event_id: event.0,
                starts_at,
                marks: event.1,
            },
        );
    }

    /// When an event begins, if anything is left of it.
    pub(super) fn starts_at(
        &self,
        account: &AccountKey,
        calendar_id: &str,
        event_id: &str,
    ) -> Option<Timestamp> {
        let calendar = self.accounts.get(account)?.calendar(calendar_id)?;
        Some(calendar.events.get(event_id)?.starts_at)
    }

    pub(super) fn expiry(&self, now: Timestamp) -> Timestamp {
        now + self.config.limits.access_token_lifetime
    }

    /// Forgets accounts, tokens, effects and faults.
    pub(super) fn reset(&mut self) {
        self.accounts.clear();
        self.tokens.clear();
        self.ledger = Ledger::default();
        self.faults = Faults::default();
        self.google_project = SlidingWindow::default();
    }
}
