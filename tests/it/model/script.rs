//! What happens in a run, drawn from its seed and from nothing else.

use calendar_integration::simulator::{BatchForm, CallKind, FaultEffect, FaultRule};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::desk::{CALENDARS, CLIENTS, NOTES, SLOTS, UNTOUCHED};

/// Which node is asked; on SQLite there is only the first.
#[derive(Clone, Copy, Debug)]
pub(super) enum Via {
    First,
    Second,
}

/// What is reported of an appointment.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    /// Confirmed, at a later time than ever before.
    Move {
        client: usize,
        notes: Option<usize>,
    },
    /// The last report once more.
    Again,
    Status(&'static str),
    /// Confirmed, with the other coach.
    Reassign,
}

/// What a coach does in the calendar's own pages.
#[derive(Clone, Copy, Debug)]
pub(super) enum ByHand {
    Delete,
    Title,
    Colour,
    Move,
    AllDay,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Report(usize, Change, Via),
    /// Several at once in one call.
    Batch(Vec<(usize, Change)>, Via),
    /// So many later and later times of one appointment, in parallel through every node.
    Storm(usize, usize),
    /// An older revision than the last one.
    Stale(usize, Via),
    Erase(usize, Via),
    Switch(usize, Value, Via),
    Target(usize, Via),
    SyncNow(usize, Via),
    Disconnect(usize, Via),
    SignIn(usize),
    Revoke(usize),
    Expire(usize),
    ByHand(usize, usize, ByHand),
    Trouble(FaultRule),
    Chaos(f64, u64),
    Calm,
    /// Looks at the work of a calendar so many times.
    Watch(usize, usize),
    KillFirst,
    StopFirst,
    KillSecond,
}

pub(super) fn script(seed: u64, steps: usize) -> Vec<Step> {
    let mut dice = StdRng::seed_from_u64(seed);
    (0..steps).map(|_| step(&mut dice)).collect()
}

fn step(dice: &mut StdRng) -> Step {
    let slot = dice.random_range(0..SLOTS);
    let calendar = dice.random_range(0..CALENDARS.len());
    let via = via(dice);
    match dice.random_range(0..100) {
        0..25 => Step::Report(slot, change(dice), via),
        25..33 => Step::Batch(
            (slot..SLOTS)
                .step_by(1 + dice.random_range(0..3))
                .map(|slot| (slot, change(dice)))
                .collect(),
            via,
        ),
        33..36 => Step::Storm(slot, dice.random_range(2..6)),
        36..39 => Step::Stale(slot, via),
        39..42 => Step::Erase(slot, via),
        42..50 => Step::Switch(calendar, switch(dice, calendar), via),
        50..52 => Step::Target(calendar, via),
        52..55 => Step::SyncNow(calendar, via),
        55..57 => Step::Disconnect(calendar, via),
        57..60 => Step::SignIn(calendar),
        60..62 => Step::Revoke(calendar),
        62..64 => Step::Expire(calendar),
        64..74 => Step::ByHand(calendar, slot, by_hand(dice)),
        74..84 => Step::Trouble(trouble(dice)),
        84..86 => Step::Chaos(dice.random_range(0.05..0.35), dice.random()),
        86..88 => Step::Calm,
        88..93 => Step::Watch(calendar, dice.random_range(1..12)),
        93..96 => Step::KillFirst,
        96..97 => Step::StopFirst,
        _ => Step::KillSecond,
    }
}

fn via(dice: &mut StdRng) -> Via {
    if dice.random_bool(0.5) {
        Via::First
    } else {
        Via::Second
    }
}

fn change(dice: &mut StdRng) -> Change {
    match dice.random_range(0..20) {
        0..10 => Change::Move {
            client: dice.random_range(0..CLIENTS.len()),
            notes: dice
                .random_bool(0.7)
                .then(|| dice.random_range(0..NOTES.len())),
        },
        10..12 => Change::Again,
        12..15 => Change::Status("cancelled"),
        15 => Change::Status("pending"),
        16 => Change::Status("completed"),
        17 => Change::Status("no_show"),
        _ => Change::Reassign,
    }
}

fn switch(dice: &mut StdRng, calendar: usize) -> Value {
    let on = dice.random_bool(0.5);
    // What is never switched off there is never caught up with: it must come by itself.
    let choices = if calendar == UNTOUCHED { 3 } else { 6 };
    match dice.random_range(0..choices) {
        0 | 1 => json!({"include_client_details": on}),
        2 => json!({"add_client_as_attendee": on}),
        3 => json!({"auto_create_events": on}),
        4 => json!({"auto_update_events": on}),
        _ => json!({"is_sync_enabled": on}),
    }
}

fn by_hand(dice: &mut StdRng) -> ByHand {
    match dice.random_range(0..5) {
        0 => ByHand::Delete,
        1 => ByHand::Title,
        2 => ByHand::Colour,
        3 => ByHand::Move,
        _ => ByHand::AllDay,
    }
}

/// Trouble that ends, and that tells no lies about events: what a provider says is not there, is not.
fn trouble(dice: &mut StdRng) -> FaultRule {
    use CallKind::{Batch, Create, Delete, Get, List, Refresh, Update};
    let times = dice.random_range(1..4);
    let kinds = [
        Create, Create, Update, Update, Delete, Batch, Batch, Get, List, Refresh,
    ];
    let kind = kinds[dice.random_range(0..kinds.len())];
    let effect = match dice.random_range(0..16) {
        0 => FaultEffect::too_many_requests(["0", "0.3", "1"][dice.random_range(0..3)]),
        1 | 2 => FaultEffect::status([500, 502, 503][dice.random_range(0..3)]),
        3..6 => FaultEffect::AnswerLost,
        6 => FaultEffect::ResetBeforeAnswer,
        7 => FaultEffect::ResetMidBody,
        8 => FaultEffect::Html,
        9 => FaultEffect::Empty,
        10 => FaultEffect::TruncatedJson,
        11 => FaultEffect::WrongTypes,
        12 => FaultEffect::Hang,
        13 => return half_batch(dice).times(times),
        14 => return odd_batch(dice).times(times),
        _ => return FaultRule::once(FaultEffect::status(412)).at(Update),
    };
    FaultRule::once(effect).at(kind).times(times)
}

fn half_batch(dice: &mut StdRng) -> FaultRule {
    let missing = dice.random_bool(0.5);
    FaultRule::once(FaultEffect::HalfBatch { missing }).at(CallKind::Batch)
}

fn odd_batch(dice: &mut StdRng) -> FaultRule {
    let form = match dice.random_range(0..4) {
        0 => BatchForm::Missing,
        1 => BatchForm::Duplicate,
        2 => BatchForm::Extra,
        _ => BatchForm::Reordered,
    };
    FaultRule::once(FaultEffect::BatchAnswer { form }).at(CallKind::Batch)
}
