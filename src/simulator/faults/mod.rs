//! Trouble on request: scripted rules, and chaos at a rate.
//!
//! Owns which call meets which fault. What a fault does to an answer on the wire is in [`wire`],
//! to a batch in [`batch`]; a provider only renders its own error bodies.

pub(super) mod batch;
mod chaos;
pub(super) mod wire;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::ProviderKind;

use super::account::AccountKey;
use super::ledger::CallKind;
use super::message::Call;
use super::random::Dice;

use chaos::Chaos;

/// More rules than this are refused: a script that long is a loop gone wrong.
const MOST_RULES: usize = 10_000;

/// Which calls meet which fault. Fields left out match everything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    #[serde(default)]
    pub provider: Option<ProviderKind>,
    #[serde(default)]
    pub operation: Option<CallKind>,
    /// E-mail address of the account.
    #[serde(default)]
    pub account: Option<String>,
    /// Only calls whose path or body holds this text, such as the id of an appointment.
    #[serde(default)]
    pub containing: Option<String>,
    /// Matching calls to let pass first.
    #[serde(default)]
    pub skip: u32,
    /// How many calls meet it; without it every one does.
    #[serde(default)]
    pub times: Option<u32>,
    /// Of the matching calls only about this share, from 0 to 1, meets it.
    #[serde(default)]
    pub probability: Option<f64>,
    pub effect: FaultEffect,
}

impl FaultRule {
    pub fn always(effect: FaultEffect) -> Self {
        Self {
            provider: None,
            operation: None,
            account: None,
            containing: None,
            skip: 0,
            times: None,
            probability: None,
            effect,
        }
    }

    pub fn once(effect: FaultEffect) -> Self {
        Self::always(effect).times(1)
    }

    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    pub fn skip(mut self, calls: u32) -> Self {
        self.skip = calls;
        self
    }

    pub fn on(mut self, provider: ProviderKind) -> Self {
        self.provider = Some(provider);
        self
    }

    pub fn at(mut self, operation: CallKind) -> Self {
        self.operation = Some(operation);
        self
    }

    pub fn of(mut self, account: &str) -> Self {
        self.account = Some(account.to_lowercase());
        self
    }

    pub fn containing(mut self, text: impl Into<String>) -> Self {
        self.containing = Some(text.into());
        self
    }

    pub fn with_probability(mut self, probability: f64) -> Self {
        self.probability = Some(probability);
        self
    }
}

/// What goes wrong.
///
/// In a batch a rule for `create`, `get`, … meets the *parts*: `status` answers the part so,
/// `answer_lost` carries it out and answers 503, `altered` and the garbage kinds carry it out and
/// answer with an empty object, everything else answers 503 without carrying it out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultEffect {
    /// An error instead of the call. Without `code` the provider's usual one for the status.
    Status {
        status: u16,
        #[serde(default)]
        code: Option<String>,
        /// Sent as it is, so that garbage can be tried.
        #[serde(default)]
        retry_after: Option<String>,
    },
    /// An error whose texts repeat what was sent: address, headers and body. Not carried out.
    Echo { status: u16 },
    /// No answer, ever. The call is not carried out.
    Hang,
    /// Sent on to the address it came to, method and body kept. The call is not carried out.
    Redirect,
    /// The connection is cut; the call is not carried out.
    ResetBeforeAnswer,
    /// Carried out; the connection is cut in the middle of the answer.
    ResetMidBody,
    /// Carried out; the connection is cut before the answer.
    AnswerLost,
    /// Carried out; the answer keeps its status, but its body is a web page.
    Html,
    /// Carried out; the answer keeps its status, but has no body.
    Empty,
    /// Carried out; the body stops half-way, and says that this is all.
    TruncatedJson,
    /// Carried out; every text in the body is a number and every number a text.
    WrongTypes,
    /// Carried out; members of the answer's object are replaced or added; null takes one out.
    Altered { members: Map<String, Value> },
    /// Carried out; the body is this long.
    HugeBody { megabytes: u32 },
    /// Carried out; the body is compressed and this long when expanded.
    GzipBomb { megabytes: u32 },
    /// Carried out; the body comes in pieces of `bytes`, one every `every_ms` milliseconds.
    Trickle { bytes: usize, every_ms: u64 },
    /// Half of a batch's parts are carried out; the others answer 503 or are missing.
    HalfBatch {
        #[serde(default)]
        missing: bool,
    },
    /// All parts are carried out; the answer is not as it should be.
    BatchAnswer { form: BatchForm },
}

impl FaultEffect {
    pub fn status(status: u16) -> Self {
        Self::Status {
            status,
            code: None,
            retry_after: None,
        }
    }

    /// The answer with these members changed.
    pub fn altered<const N: usize>(members: [(&str, Value); N]) -> Self {
        let members = members.map(|(name, value)| (name.to_owned(), value));
        Self::Altered {
            members: members.into_iter().collect(),
        }
    }

    /// 429 with this `Retry-After`.
    pub fn too_many_requests(retry_after: &str) -> Self {
        Self::Status {
            status: 429,
            code: None,
            retry_after: Some(retry_after.to_owned()),
        }
    }

    pub(super) fn is_for_batches(&self) -> bool {
        matches!(self, Self::HalfBatch { .. } | Self::BatchAnswer { .. })
    }
}

/// What is wrong with the answer to a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchForm {
    /// One part is not answered.
    Missing,
    /// One part is answered twice.
    Duplicate,
    /// An answer to a part nobody sent.
    Extra,
    /// Answers in another order than the parts.
    Reordered,
}

/// A rule and how often it struck.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultStatus {
    pub id: u64,
    pub rule: FaultRule,
    pub fired: u32,
}

/// There are too many rules.
#[derive(Debug, thiserror::Error)]
#[error("more fault rules than the simulator takes")]
pub struct TooManyRules;

#[derive(Debug, Default)]
pub(super) struct Faults {
    rules: Vec<ActiveRule>,
    last_id: u64,
    chaos: Option<Chaos>,
}

#[derive(Debug)]
struct ActiveRule {
    id: u64,
    rule: FaultRule,
    passed: u32,
    fired: u32,
}

impl Faults {
    pub(super) fn add(&mut self, rule: FaultRule) -> Result<u64, TooManyRules> {
        if self.rules.len() >= MOST_RULES {
            return Err(TooManyRules);
        }
        self.last_id += 1;
        self.rules.push(ActiveRule {
            id: self.last_id,
            rule,
            passed: 0,
            fired: 0,
        });
        Ok(self.last_id)
    }

    pub(super) fn remove(&mut self, id: u64) -> bool {
        let before = self.rules.len();
        self.rules.retain(|active| active.id != id);
        before != self.rules.len()
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
        self.chaos = None;
    }

    /// A rate of zero ends the chaos.
    pub(super) fn set_chaos(&mut self, rate: f64, seed: u64) {
        self.chaos = (rate > 0.0).then(|| Chaos::new(rate, seed));
    }

    pub(super) fn chaos_rate(&self) -> f64 {
        self.chaos.as_ref().map_or(0.0, Chaos::rate)
    }

    pub(super) fn status(&self) -> Vec<FaultStatus> {
        self.rules
            .iter()
            .map(|active| FaultStatus {
                id: active.id,
                rule: active.rule.clone(),
                fired: active.fired,
            })
            .collect()
    }

    /// The first rule that strikes; without one, what chaos has for this call.
    pub(super) fn draw(
        &mut self,
        provider: ProviderKind,
        kind: CallKind,
        account: Option<&AccountKey>,
        call: &Call,
        dice: &Dice,
    ) -> Option<FaultEffect> {
        self.rules.iter_mut().find_map(|active| {
            let strikes = active.strikes(provider, kind, account, call, dice);
            strikes.then(|| active.rule.effect.clone())
        })
    }

    pub(super) fn draw_chaos(&mut self, kind: CallKind) -> Option<FaultEffect> {
        self.chaos.as_mut()?.draw(kind)
    }
}

impl ActiveRule {
    fn strikes(
        &mut self,
        provider: ProviderKind,
        kind: CallKind,
        account: Option<&AccountKey>,
        call: &Call,
        dice: &Dice,
    ) -> bool {
        let rule = &self.rule;
        let matches = rule.provider.is_none_or(|wanted| wanted == provider)
            && rule.operation.is_none_or(|wanted| wanted == kind)
            && rule.account.as_ref().is_none_or(|wanted| {
                account.is_some_and(|key| key.email.eq_ignore_ascii_case(wanted))
            })
            && rule.containing.as_ref().is_none_or(|text| call.holds(text))
            && rule.times.is_none_or(|times| self.fired < times)
            && (kind == CallKind::Batch || !rule.effect.is_for_batches());
        if !matches {
            return false;
        }
        if self.passed < rule.skip {
            self.passed += 1;
            return false;
        }
        if rule.probability.is_some_and(|share| !dice.chance(share)) {
            return false;
        }
        self.fired += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_passes_skips_and_ends() {
        let mut faults = Faults::default();
        let rule = FaultRule::once(FaultEffect::Hang)
            .at(CallKind::Create)
            .skip(1);
        faults.add(rule).expect("there is room");
        let dice = Dice::from_seed(1);
        let call = Call::for_tests(b"");
        let mut draw = |kind| faults.draw(ProviderKind::Google, kind, None, &call, &dice);
        assert_eq!(draw(CallKind::Update), None);
        assert_eq!(draw(CallKind::Create), None);
        assert_eq!(draw(CallKind::Create), Some(FaultEffect::Hang));
        assert_eq!(draw(CallKind::Create), None);
    }

    #[test]
    fn a_rule_for_a_text_meets_the_calls_that_hold_it() {
        let mut faults = Faults::default();
        let rule = FaultRule::always(FaultEffect::Hang).containing("seven");
        faults.add(rule).expect("there is room");
        let dice = Dice::from_seed(1);
        for (body, met) in [("fifty-seven", true), ("", false), ("seve", false)] {
            let call = Call::for_tests(body.as_bytes());
            let drawn = faults.draw(ProviderKind::Google, CallKind::Create, None, &call, &dice);
            assert_eq!(drawn.is_some(), met, "{body}");
        }
    }

    #[test]
    fn rules_are_read_from_flat_json() {
        let rule: FaultRule = serde_json::from_str(
            r#"{"provider":"outlook","operation":"create","times":2,
                "effect":{"kind":"status","status":429,"retry_after":"2.5"}}"#,
        )
        .expect("a rule");
        let expected = FaultRule::always(FaultEffect::too_many_requests("2.5"))
            .on(ProviderKind::Outlook)
            .at(CallKind::Create)
            .times(2);
        assert_eq!(rule, expected);
    }
}
