//! Whether the providers' usual quotas would make a run too long, and what to do then.

use std::collections::HashMap;

use super::changes::Change;
use crate::domain::CoachId;
use crate::simulator::{Limits, SimulatorConfig, Window};

/// Replays that the quotas alone make longer than this get higher ones.
const LONGEST_MINUTES: usize = 3;
/// Quota units of the dearest way to carry one change: a Google PATCH.
const UNITS_PER_CHANGE: usize = 3;

/// The quotas of a replay: the usual ones times a factor, for the simulator and the daemon alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quotas {
    factor: usize,
}

impl Quotas {
    /// So many times the usual.
    pub(super) fn times(factor: usize) -> Self {
        Self { factor }
    }

    /// Estimates without coalescing, so that the real replay is never longer.
    pub(super) fn for_changes(changes: &[Change]) -> Self {
        let mut per_coach = HashMap::<CoachId, usize>::new();
        for change in changes {
            *per_coach.entry(change.appointment.coach_id).or_default() += 1;
        }
        let busiest = per_coach.values().max().copied().unwrap_or_default();
        let usual = Limits::default();
        let minutes = |units: usize, window: Window| {
            units.div_ceil(window.units)
                * usize::try_from(window.length.as_secs().div_ceil(60)).unwrap_or(1)
        };
        let longest = [
            minutes(busiest * UNITS_PER_CHANGE, usual.google_per_user),
            minutes(changes.len() * UNITS_PER_CHANGE, usual.google_per_project),
            // What fits into one window need not wait for its end.
            if busiest <= usual.microsoft_per_mailbox.units {
                0
            } else {
                minutes(busiest, usual.microsoft_per_mailbox)
            },
        ]
        .into_iter()
        .max()
        .unwrap_or_default();
        Self {
            factor: longest.div_ceil(LONGEST_MINUTES).max(1),
        }
    }

    #[expect(
        clippy::print_stdout,
        reason = "tells how the run differs from the usual"
    )]
    pub(super) fn announce(self) {
        if self.factor > 1 {
            println!(
                "The usual quotas would hold this run up; simulator and daemon get {} times as much:",
                self.factor
            );
            for (name, value) in self.settings() {
                println!("  {name}={value}");
            }
        }
    }

    /// For the daemon; nothing where the usual ones do.
    pub(super) fn settings(self) -> Vec<(&'static str, String)> {
        if self.factor == 1 {
            return Vec::new();
        }
        let limits = self.limits();
        let quota = |window: Window| format!("{}/{}s", window.units, window.length.as_secs());
        vec![
            ("GOOGLE_LIMIT_PER_USER", quota(limits.google_per_user)),
            ("GOOGLE_LIMIT_PER_PROJECT", quota(limits.google_per_project)),
            (
                "MICROSOFT_LIMIT_PER_MAILBOX",
                quota(limits.microsoft_per_mailbox),
            ),
        ]
    }

    pub(super) fn simulator(self) -> SimulatorConfig {
        SimulatorConfig {
            limits: self.limits(),
            ..SimulatorConfig::default()
        }
    }

    fn limits(self) -> Limits {
        let usual = Limits::default();
        let more =
            |window: Window| Window::new(window.units.saturating_mul(self.factor), window.length);
        Limits {
            google_per_user: more(usual.google_per_user),
            google_per_project: more(usual.google_per_project),
            microsoft_per_mailbox: more(usual.microsoft_per_mailbox),
            ..usual
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::AppointmentId;
    use serde_json::json;

    fn changes(count: usize) -> Vec<Change> {
        let body = json!({
            "coach_id": "3e2434e3-7af0-47bc-88d6-af57da711448", "status": "confirmed",
            "starts_at": "2027-01-07T10:00:00Z", "ends_at": "2027-01-07T11:00:00Z",
            "time_zone": "UTC", "client": {"name": "Ada", "email": "ada@example.com"},
        });
        let change = Change {
            id: AppointmentId(uuid::Uuid::nil()),
            appointment: serde_json::from_value(body.clone()).expect("an appointment"),
            body,
        };
        vec![change; count]
    }

    #[test]
    fn quotas_are_raised_only_for_long_replays_and_for_both_sides_alike() {
        let small = Quotas::for_changes(&changes(500));
        assert_eq!((small.factor, small.settings().len()), (1, 0));
        let large = Quotas::for_changes(&changes(2_000));
        assert_eq!(large.factor, 4);
        assert_eq!(large.simulator().limits.google_per_user.units, 2_400);
        assert!(
            large
                .settings()
                .contains(&("GOOGLE_LIMIT_PER_USER", "2400/60s".to_owned()))
        );
    }
}
