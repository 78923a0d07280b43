//! Faults at random, repeatable from a seed as long as calls come in the same order.

use crate::simulator::ledger::CallKind;
use crate::simulator::random::Dice;

use super::FaultEffect;

#[derive(Debug)]
pub(super) struct Chaos {
    rate: f64,
    dice: Dice,
}

impl Chaos {
    pub(super) fn new(rate: f64, seed: u64) -> Self {
        Self {
            rate,
            dice: Dice::from_seed(seed),
        }
    }

    pub(super) fn rate(&self) -> f64 {
        self.rate
    }

    /// What happens to a call: mostly nothing. Signing in is spared, for a person would just try
    /// again and a harness does not.
    pub(super) fn draw(&mut self, kind: CallKind) -> Option<FaultEffect> {
        match kind {
            CallKind::Authorize | CallKind::TokenExchange | CallKind::Userinfo => return None,
            CallKind::Refresh
            | CallKind::Revoke
            | CallKind::Calendars
            | CallKind::Get
            | CallKind::List
            | CallKind::Create
            | CallKind::Update
            | CallKind::Delete
            | CallKind::Batch => {}
        }
        if !self.dice.chance(self.rate) {
            return None;
        }
        let choices = if kind == CallKind::Batch { 8 } else { 6 };
        Some(match self.dice.below(choices) {
            0 => FaultEffect::status(429),
            1 => FaultEffect::too_many_requests(if self.dice.coin() { "1" } else { "2" }),
            2 => FaultEffect::status(500),
            3 => FaultEffect::status(503),
            4 => FaultEffect::ResetBeforeAnswer,
            5 => FaultEffect::AnswerLost,
            _ => FaultEffect::HalfBatch {
                missing: self.dice.coin(),
            },
        })
    }
}
