//! Faults inside a batch: which parts run, and what becomes of their answers.

use crate::simulator::message::Reply;
use crate::simulator::random::Dice;

use super::{BatchForm, FaultEffect};

/// What a batch is to do with its parts. Decided before the first one runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct BatchFault {
    /// Parts that are not carried out, by position.
    skipped: Vec<usize>,
    skipped_are_missing: bool,
    form: Option<BatchForm>,
}

/// An answer to one part.
#[derive(Clone, Debug)]
pub(crate) struct PartAnswer {
    pub(crate) id: Option<String>,
    pub(crate) reply: Reply,
}

impl BatchFault {
    pub(crate) fn plan(effect: Option<&FaultEffect>, parts: usize, dice: &Dice) -> Self {
        let mut plan = Self::default();
        if let Some(FaultEffect::HalfBatch { missing }) = effect {
            plan.skipped = dice.order(parts).split_off(parts / 2);
            plan.skipped_are_missing = *missing;
        }
        if let Some(FaultEffect::BatchAnswer { form }) = effect {
            plan.form = Some(*form);
        }
        plan
    }

    pub(crate) fn skips(&self, position: usize) -> bool {
        self.skipped.contains(&position)
    }

    /// The answers in their order, as they go out.
    pub(crate) fn apply(&self, mut answers: Vec<PartAnswer>) -> Vec<PartAnswer> {
        if self.skipped_are_missing {
            let mut position = 0;
            answers.retain(|_| {
                position += 1;
                !self.skips(position - 1)
            });
        }
        match self.form {
            None => {}
            Some(BatchForm::Missing) => {
                answers.pop();
            }
            Some(BatchForm::Duplicate) => answers.extend(answers.last().cloned()),
            Some(BatchForm::Extra) => answers.push(PartAnswer {
                id: Some("nobody-asked".to_owned()),
                reply: Reply::json(200, &serde_json::json!({})),
            }),
            Some(BatchForm::Reordered) => answers.reverse(),
        }
        answers
    }
}

/// How a fault meets a single part.
#[derive(Clone, Debug)]
pub(crate) enum PartFault {
    /// Not carried out; answered with this status and code.
    Instead(u16, Option<String>, Option<String>),
    /// Carried out, but answered as unavailable.
    AnswerUnavailable,
    /// Carried out, but answered with nothing in it.
    AnswerHollow,
}

impl From<FaultEffect> for PartFault {
    fn from(effect: FaultEffect) -> Self {
        match effect {
            FaultEffect::Status {
                status,
                code,
                retry_after,
            } => Self::Instead(status, code, retry_after),
            FaultEffect::Echo { status } => Self::Instead(status, None, None),
            FaultEffect::AnswerLost | FaultEffect::ResetMidBody => Self::AnswerUnavailable,
            FaultEffect::Html
            | FaultEffect::Empty
            | FaultEffect::TruncatedJson
            | FaultEffect::WrongTypes
            | FaultEffect::Altered { .. }
            | FaultEffect::HugeBody { .. }
            | FaultEffect::GzipBomb { .. } => Self::AnswerHollow,
            FaultEffect::Hang
            | FaultEffect::Redirect
            | FaultEffect::ResetBeforeAnswer
            | FaultEffect::Trickle { .. }
            | FaultEffect::HalfBatch { .. }
            | FaultEffect::BatchAnswer { .. } => Self::Instead(503, None, None),
        }
    }
}
