//! The platform going on with its day: every few seconds an appointment moves, comes or goes.
//!
//! The number of appointments is bounded: what was called off is booked again before anything new is
//! made, and beyond [`MOST`] what is over is taken for a new date.

use std::time::Duration;

use chrono::{DurationRound, TimeDelta};

use super::scene::Booking;
use crate::demo::api::Api;
use crate::domain::{AppointmentId, AppointmentStatus, Entropy, Timestamp};

/// Between two changes, shortened at random by up to half.
const PACE: Duration = Duration::from_secs(8);
/// The first cancellation comes at this step, so that everybody gets to see one.
const FIRST_CANCELLATION: u32 = 3;
const FEWEST_CONFIRMED: usize = 6;
const MOST: usize = 18;
/// New times lie within so many hours from now.
const AHEAD_HOURS: u32 = 9 * 24;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Move,
    Cancel,
    Book,
}

/// Never ends by itself, unless the API refuses a report.
pub(super) async fn keep_alive(
    api: &Api,
    mut bookings: Vec<Booking>,
    entropy: &dyn Entropy,
) -> anyhow::Result<()> {
    for number in 1.. {
        api.clock.sleep(entropy.jitter().spread(PACE)).await;
        let now = api.clock.now();
        let step = choose(number, &bookings, now, entropy);
        if let Some(changed) = apply(step, &mut bookings, now, entropy) {
            api.report(changed.id, &changed.body()).await?;
        }
    }
    Ok(())
}

fn choose(number: u32, bookings: &[Booking], now: Timestamp, entropy: &dyn Entropy) -> Step {
    let confirmed = upcoming(bookings, now).count();
    if confirmed < FEWEST_CONFIRMED {
        return Step::Book;
    }
    if number == FIRST_CANCELLATION {
        return Step::Cancel;
    }
    match below(6, entropy) {
        0..=2 => Step::Move,
        3 => Step::Cancel,
        _ => Step::Book,
    }
}

/// Does the step to one of the bookings and returns it as it now is.
fn apply(
    step: Step,
    bookings: &mut Vec<Booking>,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Option<Booking> {
    let starts_at = some_time(now, entropy);
    let position = match step {
        Step::Move | Step::Cancel => any(upcoming(bookings, now).collect(), entropy),
        Step::Book => any(bookable(bookings, now), entropy),
    };
    let Some(position) = position else {
        return (step == Step::Book && bookings.len() < MOST)
            .then(|| {
                let like = any((0..bookings.len()).collect(), entropy)?;
                let id = AppointmentId::generate(now, entropy);
                let new = bookings[like].again(id, starts_at);
                bookings.push(new.clone());
                Some(new)
            })
            .flatten();
    };
    let booking = &mut bookings[position];
    booking.revision += 1;
    match step {
        Step::Move => booking.starts_at = starts_at,
        Step::Cancel => booking.status = AppointmentStatus::Cancelled,
        Step::Book => {
            booking.status = AppointmentStatus::Confirmed;
            booking.starts_at = starts_at;
        }
    }
    Some(booking.clone())
}

/// Positions of the bookings that may get another date: those called off, or, if there is no room
/// for new ones, those that are over.
fn bookable(bookings: &[Booking], now: Timestamp) -> Vec<usize> {
    let off = |booking: &Booking| booking.status == AppointmentStatus::Cancelled;
    let over = |booking: &Booking| bookings.len() >= MOST && booking.starts_at <= now;
    let all = bookings.iter().enumerate();
    all.filter(|(_, booking)| off(booking) || over(booking))
        .map(|(position, _)| position)
        .collect()
}

/// Positions of the confirmed bookings that have not begun.
fn upcoming(bookings: &[Booking], now: Timestamp) -> impl Iterator<Item = usize> {
    bookings
        .iter()
        .enumerate()
        .filter(move |(_, booking)| {
            booking.status == AppointmentStatus::Confirmed && booking.starts_at > now
        })
        .map(|(position, _)| position)
}

fn any(positions: Vec<usize>, entropy: &dyn Entropy) -> Option<usize> {
    let count = u32::try_from(positions.len()).ok()?;
    let chosen = below(count.max(1), entropy);
    positions.into_iter().nth(usize::try_from(chosen).ok()?)
}

/// A full or half hour ahead, by day in Europe.
fn some_time(now: Timestamp, entropy: &dyn Entropy) -> Timestamp {
    let half_hours = i64::from(2 + below(AHEAD_HOURS * 2, entropy));
    let at = now + TimeDelta::minutes(30 * half_hours);
    let at = at.duration_trunc(TimeDelta::minutes(30)).unwrap_or(at);
    match chrono::Timelike::hour(&at) {
        0..=6 => at + TimeDelta::hours(8),
        7..=17 => at,
        _ => at + TimeDelta::hours(14),
    }
}

fn below(count: u32, entropy: &dyn Entropy) -> u32 {
    entropy.jitter().0 % count
}

#[cfg(test)]
mod tests {
    use super::super::scene;
    use super::*;
    use crate::domain::{CoachId, SeededEntropy};

    #[test]
    fn the_day_goes_on_for_ever_within_bounds() {
        let entropy = SeededEntropy::from_seed(5);
        let mut now: Timestamp = "2026-11-22T11:00:00Z".parse().expect("an instant");
        let mut bookings = scene::week(CoachId(uuid::Uuid::nil()), now, &entropy);
        let mut seen = Vec::new();
        for number in 1..20_000 {
            now += TimeDelta::seconds(6);
            let step = choose(number, &bookings, now, &entropy);
            let changed = apply(step, &mut bookings, now, &entropy);
            if let Some(changed) = &changed {
                assert!(changed.status != AppointmentStatus::Confirmed || changed.starts_at > now);
                seen.push(step);
            }
            assert!(bookings.len() <= MOST);
        }
        for step in [Step::Move, Step::Cancel, Step::Book] {
            assert!(
                seen.iter().filter(|done| **done == step).count() > 1_000,
                "{step:?}"
            );
        }
        assert!(upcoming(&bookings, now).count() >= FEWEST_CONFIRMED - 1);
    }
}
