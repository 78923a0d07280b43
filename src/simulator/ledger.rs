//! What happened: every effect on a calendar, and how many calls led there.
//!
//! Memory is bounded: of effects, of creates per key and of first receipts a million each are kept,
//! of single calls a few thousand. Beyond that the oldest effects and calls go, and new keys are no
//! longer counted.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::{ProviderKind, Timestamp};

use super::account::{AccountKey, Marks};
use super::message::Moment;

const KEPT: usize = 1_000_000;
const KEPT_CALLS: usize = 20_000;

/// What a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallKind {
    Authorize,
    TokenExchange,
    Refresh,
    Revoke,
    Userinfo,
    /// One calendar or the list of them.
    Calendars,
    Get,
    List,
    Create,
    Update,
    Delete,
    Batch,
}

/// How a calendar changed, or that the provider mailed a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectKind {
    Create,
    /// A cancelled event was put back.
    Restore,
    Update,
    Delete,
    /// One message to one guest.
    Mail,
    /// An update dropped the join link of an online meeting.
    MeetingLost,
}

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// An application, through the API.
    Client,
    /// The coach or a guest, in the provider's own pages.
    Person,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// From 1, without gaps.
    pub seq: u64,
    pub at: Timestamp,
    /// When the call that caused it arrived, on the simulator's monotonic clock.
    pub received_micros: u64,
    pub provider: ProviderKind,
    pub account: String,
    pub calendar_id: String,
    pub event_id: String,
    pub operation: EffectKind,
    pub actor: Actor,
    /// When the event begins after this; absent if nothing is left of it.
    pub starts_at: Option<Timestamp>,
    pub event_key: Option<String>,
    pub appointment_id: Option<String>,
}

/// Calls answered with one status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallCount {
    pub provider: ProviderKind,
    pub operation: CallKind,
    /// 0: the connection was cut instead of an answer.
    pub status: u16,
    pub count: u64,
}

/// One call and how it was answered. A part of a batch is a call of its own, beside the batch's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenCall {
    pub at: Timestamp,
    pub provider: ProviderKind,
    pub operation: CallKind,
    /// Absent where no token or code told.
    pub account: Option<String>,
    /// 0: the connection was cut instead of an answer.
    pub status: u16,
}

impl SeenCall {
    pub(super) fn new(
        at: Moment,
        provider: ProviderKind,
        operation: CallKind,
        account: Option<&AccountKey>,
        status: u16,
    ) -> Self {
        Self {
            at: at.now,
            provider,
            operation,
            account: account.map(|key| key.email.clone()),
            status,
        }
    }
}

/// Effects and counts since the start or the last reset.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    effects: VecDeque<Effect>,
    recorded: u64,
    totals: HashMap<(ProviderKind, EffectKind), u64>,
    calls: BTreeMap<(ProviderKind, CallKind, u16), u64>,
    latest_calls: VecDeque<SeenCall>,
    creates: HashMap<(ProviderKind, String), u32>,
    receipts: HashMap<String, Duration>,
}

/// Where an effect took place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) account: &'a AccountKey,
    pub(super) calendar_id: &'a str,
    pub(super) event_id: &'a str,
    pub(super) starts_at: Option<Timestamp>,
    pub(super) marks: &'a Marks,
}

impl Ledger {
    pub(super) fn record(
        &mut self,
        at: Moment,
        actor: Actor,
        operation: EffectKind,
        place: Place<'_>,
    ) {
        let provider = place.account.provider;
        self.recorded += 1;
        *self.totals.entry((provider, operation)).or_default() += 1;
        if operation == EffectKind::Create
            && let Some(key) = &place.marks.event_key
        {
            let full = self.creates.len() >= KEPT;
            let key = (provider, key.clone());
            if !full || self.creates.contains_key(&key) {
                *self.creates.entry(key).or_default() += 1;
            }
        }
        if self.effects.len() >= KEPT {
            self.effects.pop_front();
        }
        self.effects.push_back(Effect {
            seq: self.recorded,
            at: at.now,
            received_micros: u64::try_from(at.elapsed.as_micros()).unwrap_or(u64::MAX),
            provider,
            account: place.account.email.clone(),
            calendar_id: place.calendar_id.to_owned(),
            event_id: place.event_id.to_owned(),
            operation,
            actor,
            starts_at: place.starts_at,
            event_key: place.marks.event_key.clone(),
            appointment_id: place.marks.appointment_id.clone(),
        });
    }

    /// Notes that a call naming this appointment arrived; only the first counts.
    pub(super) fn receive(&mut self, at: Moment, marks: &Marks) {
        if let Some(appointment) = &marks.appointment_id
            && self.receipts.len() < KEPT
            && !self.receipts.contains_key(appointment)
        {
            self.receipts.insert(appointment.clone(), at.elapsed);
        }
    }

    pub(super) fn count_call(&mut self, call: SeenCall) {
        let kind = (call.provider, call.operation, call.status);
        *self.calls.entry(kind).or_default() += 1;
        if self.latest_calls.len() >= KEPT_CALLS {
            self.latest_calls.pop_front();
        }
        self.latest_calls.push_back(call);
    }

    /// The latest calls for an account, oldest first.
    pub(super) fn calls_of(&self, account: &AccountKey) -> Vec<SeenCall> {
        self.latest_calls
            .iter()
            .filter(|call| {
                call.provider == account.provider && call.account.as_ref() == Some(&account.email)
            })
            .cloned()
            .collect()
    }

    /// Up to `limit` effects after the one numbered `seq`.
    pub(super) fn after(&self, seq: u64, limit: usize) -> Vec<Effect> {
        let first = self.effects.partition_point(|effect| effect.seq <= seq);
        self.effects
            .iter()
            .skip(first)
            .take(limit)
            .cloned()
            .collect()
    }

    pub(super) fn recorded(&self) -> u64 {
        self.recorded
    }

    pub(super) fn dropped(&self) -> u64 {
        self.recorded - u64::try_from(self.effects.len()).unwrap_or(0)
    }

    pub(super) fn total(&self, provider: ProviderKind, operation: EffectKind) -> u64 {
        self.totals
            .get(&(provider, operation))
            .copied()
            .unwrap_or_default()
    }

    pub(super) fn calls(&self) -> Vec<CallCount> {
        self.calls
            .iter()
            .map(|((provider, operation, status), count)| CallCount {
                provider: *provider,
                operation: *operation,
                status: *status,
                count: *count,
            })
            .collect()
    }

    /// How often an event was created with this key.
    pub(super) fn creates_of(&self, provider: ProviderKind, key: &str) -> u32 {
        self.creates
            .get(&(provider, key.to_owned()))
            .copied()
            .unwrap_or_default()
    }

    /// Keys with which more than one event was created.
    pub(super) fn keys_created_twice(&self) -> Vec<(ProviderKind, String, u32)> {
        self.creates
            .iter()
            .filter(|(_, count)| **count > 1)
            .map(|((provider, key), count)| (*provider, key.clone(), *count))
            .collect()
    }

    pub(super) fn first_receipt(&self, appointment_id: &str) -> Option<Duration> {
        self.receipts.get(appointment_id).copied()
    }
}
