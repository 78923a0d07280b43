//! The gate to one provider: what holds back every connection of this process at once.
//!
//! Three things do. A limit of the provider for everybody: until it ends, no exception. Our set-up,
//! which the provider does not accept; where an account's organisation may have decided that for itself,
//! a second connection must have been told the same, and nobody anything else between. And an outage:
//! [`SHUT_BY`] distinct connections in a row got nothing but failures that speak of one, and nobody
//! anything else between them. One connection never shuts the gate, however often it fails, and one
//! sensible answer to anybody opens it: a bad account is its own trouble.
//!
//! While it is shut, one connection at a time is let through as a probe, in an outage at intervals from
//! [`FIRST_PROBE`] to [`LAST_PROBE`]. The others stand in line: each is told a later place than the one
//! before, so that a million waiting connections ask no more often than a few. Being held back costs no
//! attempt.
//!
//! Nothing of this is stored. Every connection keeps its own breaker beside its lease
//! (`plan::breaker`), so that after a restart each comes with one change, and the first few shut the
//! gate again.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use crate::domain::{
    ConnectionId, FailureCode, RateScope, SyncFailure, Timestamp, Wait, WaitReason,
};
use crate::plan::Heard;

/// Distinct connections that must have failed.
const SHUT_BY: usize = 5;
/// How close together: five mailboxes with trouble of their own over days are no outage.
const TOGETHER: TimeDelta = TimeDelta::minutes(10);
const FIRST_PROBE: TimeDelta = TimeDelta::seconds(5);
const LAST_PROBE: TimeDelta = TimeDelta::minutes(1);
/// How long a probe may take before another connection is let through.
const PROBE_TURN: TimeDelta = TimeDelta::minutes(1);
/// The distance of two places in line, and the longest wait in it.
const PLACE: TimeDelta = TimeDelta::milliseconds(200);
const LONGEST_LINE: TimeDelta = TimeDelta::minutes(5);

/// Our set-up at the provider is wrong: nobody calls it for a while, and no coach is to blame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    pub until: Timestamp,
    pub code: FailureCode,
    /// For the operator.
    pub detail: String,
}

/// Why nobody but probes is let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Over when the operator mends it.
    SetUp(Pause),
    /// Over when the provider works again.
    Outage {
        since: Timestamp,
        next_probe_at: Timestamp,
    },
}

#[derive(Debug, Default)]
pub(super) struct Gate {
    limited_until: Option<Timestamp>,
    /// Who failed since anybody last heard anything sensible, and when.
    failing: BTreeMap<ConnectionId, Timestamp>,
    /// Whose access was refused for our set-up since then, if that may concern it alone.
    refused: Option<ConnectionId>,
    shut: Option<Shut>,
}

#[derive(Debug)]
struct Shut {
    why: Why,
    since: Timestamp,
    probe_at: Timestamp,
    prober: Option<ConnectionId>,
    /// Probes that failed.
    failed: u32,
    /// Who was told to wait since the last probe.
    in_line: i32,
}

#[derive(Debug)]
enum Why {
    SetUp { code: FailureCode, detail: String },
    Outage,
}

impl Gate {
    /// Whether `who` has to wait; otherwise it may call, perhaps as a probe.
    pub(super) fn ask(&mut self, who: ConnectionId, now: Timestamp) -> Option<Wait> {
        if let Some(until) = self.limited_until(now) {
            let why = WaitReason::Limit;
            return Some(Wait { until, why });
        }
        let shut = self.shut.as_mut()?;
        if shut.probe_at <= now {
            shut.prober = Some(who);
            shut.probe_at = now + PROBE_TURN;
            shut.in_line = 0;
        }
        // A probe may ask again: once for its token, once for its change.
        if shut.prober == Some(who) {
            return None;
        }
        let place = (PLACE * shut.in_line).min(LONGEST_LINE);
        shut.in_line = shut.in_line.saturating_add(1);
        Some(Wait {
            until: shut.probe_at + place,
            why: match shut.why {
                Why::SetUp { .. } => WaitReason::SetUp,
                Why::Outage => WaitReason::Outage,
            },
        })
    }

    /// Until when the provider limits everybody, if it does.
    pub(super) fn limited_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.limited_until.filter(|until| *until > now)
    }

    /// Takes note of a round; answers whether the gate opened.
    pub(super) fn heard(&mut self, who: ConnectionId, heard: Heard, now: Timestamp) -> bool {
        match heard {
            Heard::Sense | Heard::Trouble => {
                self.failing.clear();
                self.refused = None;
                return self.shut.take().is_some();
            }
            Heard::Outage => self.failed(who, now),
            Heard::Limit | Heard::Nothing => {
                if let Some(shut) = self.probed_by(who) {
                    shut.prober = None;
                    shut.probe_at = now;
                }
            }
        }
        false
    }

    fn failed(&mut self, who: ConnectionId, now: Timestamp) {
        if let Some(shut) = self.probed_by(who) {
            let pause = match shut.why {
                Why::SetUp { .. } => PROBE_TURN,
                Why::Outage => (FIRST_PROBE * (1 << shut.failed.min(10))).min(LAST_PROBE),
            };
            shut.failed = shut.failed.saturating_add(1);
            shut.prober = None;
            shut.probe_at = now + pause;
        }
        if self.shut.is_some() {
            return;
        }
        self.failing.insert(who, now);
        self.failing.retain(|_, at| now - *at <= TOGETHER);
        if self.failing.len() >= SHUT_BY {
            self.failing.clear();
            self.shut = Some(Shut::new(Why::Outage, now, now + FIRST_PROBE));
        }
    }

    fn probed_by(&mut self, who: ConnectionId) -> Option<&mut Shut> {
        self.shut.as_mut().filter(|shut| shut.prober == Some(who))
    }

    /// The provider limits everybody until then.
    pub(super) fn limit(&mut self, until: Timestamp) {
        self.limited_until = self.limited_until.max(Some(until));
    }

    /// The provider does not accept our set-up, as it told `who`; it is tried again then. Answers whether
    /// everybody waits for that.
    pub(super) fn refused(
        &mut self,
        who: ConnectionId,
        failure: &SyncFailure,
        until: Timestamp,
        now: Timestamp,
    ) -> bool {
        let is_known = matches!(&self.shut, Some(shut) if matches!(shut.why, Why::SetUp { .. }));
        let is_another = self.refused.is_some_and(|first| first != who);
        if perhaps_alone(failure) && !is_known && !is_another {
            self.refused = Some(who);
            // Of an outage it says nothing.
            self.heard(who, Heard::Nothing, now);
            return false;
        }
        let why = Why::SetUp {
            code: failure.code(),
            detail: failure.to_string(),
        };
        self.shut = Some(Shut::new(why, now, until));
        true
    }

    /// All waits keep their length.
    pub(super) fn clock_was_set_back(&mut self, by: TimeDelta) {
        self.limited_until = self.limited_until.map(|until| until - by);
        for failed_at in self.failing.values_mut() {
            *failed_at -= by;
        }
        if let Some(shut) = &mut self.shut {
            shut.since -= by;
            shut.probe_at -= by;
        }
    }

    pub(super) fn trouble(&self) -> Option<Trouble> {
        let shut = self.shut.as_ref()?;
        Some(match &shut.why {
            Why::SetUp { code, detail } => Trouble::SetUp(Pause {
                until: shut.probe_at,
                code: *code,
                detail: detail.clone(),
            }),
            Why::Outage => Trouble::Outage {
                since: shut.since,
                next_probe_at: shut.probe_at,
            },
        })
    }
}

/// Whether the refusal may concern the one alone that met it.
fn perhaps_alone(failure: &SyncFailure) -> bool {
    matches!(
        failure,
        SyncFailure::Operator {
            scope: RateScope::Connection,
            ..
        }
    )
}

impl Shut {
    fn new(why: Why, since: Timestamp, probe_at: Timestamp) -> Self {
        Self {
            why,
            since,
            probe_at,
            prober: None,
            failed: 0,
            in_line: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn connection(number: u128) -> ConnectionId {
        ConnectionId(Uuid::from_u128(number))
    }

    /// Shut by an outage at the start of time.
    fn shut() -> Gate {
        let mut gate = Gate::default();
        for number in 0..SHUT_BY as u128 {
            assert_eq!(gate.ask(connection(number), at(0)), None);
            gate.heard(connection(number), Heard::Outage, at(0));
        }
        gate
    }

    #[test]
    fn one_connection_never_shuts_the_gate_and_neither_do_failures_days_apart() {
        let mut gate = Gate::default();
        for _ in 0..100 {
            gate.heard(connection(1), Heard::Outage, at(0));
        }
        assert_eq!(gate.ask(connection(2), at(0)), None);
        for number in 0..100 {
            let hour = i64::try_from(number).expect("small") * 3600;
            gate.heard(connection(number), Heard::Outage, at(hour));
            assert_eq!(gate.trouble(), None);
        }
    }

    #[test]
    fn a_success_in_between_keeps_it_open() {
        let mut gate = Gate::default();
        for number in 0..100 {
            if number % 4 == 0 {
                gate.heard(connection(1_000), Heard::Sense, at(0));
            }
            gate.heard(connection(number), Heard::Outage, at(0));
        }
        assert_eq!(gate.trouble(), None);
    }

    #[test]
    fn while_shut_one_probe_at_a_time_goes_through_ever_more_rarely() {
        let mut gate = shut();
        let (mut now, mut probes) = (at(0), Vec::new());
        while now < at(600) {
            // Everybody asks all the time; the probe fails two seconds later.
            let through: Vec<_> = (0..50)
                .map(connection)
                .filter(|who| gate.ask(*who, now).is_none())
                .collect();
            assert!(through.len() <= 1, "{through:?}");
            if let Some(prober) = through.first() {
                probes.push((now - at(0)).num_seconds());
                now += TimeDelta::seconds(2);
                gate.heard(*prober, Heard::Outage, now);
            }
            now += TimeDelta::seconds(1);
        }
        assert_eq!(probes[..4], [5, 12, 24, 46]);
        assert!(probes.len() <= 14, "{probes:?}");
    }

    #[test]
    fn those_who_wait_stand_in_line_so_that_they_do_not_come_all_at_once() {
        let mut gate = shut();
        let waits: Vec<_> = (0..10_000)
            .filter_map(|number| gate.ask(connection(number), at(1)))
            .collect();
        assert_eq!(waits.len(), 10_000);
        assert!(waits.iter().all(|wait| wait.why == WaitReason::Outage));
        assert_eq!(waits[0].until, at(5));
        assert_eq!(waits[100].until, at(25));
        assert_eq!(waits[9_999].until, at(305));
    }

    #[test]
    fn the_first_sensible_answer_opens_it_once() {
        let mut gate = shut();
        assert_eq!(gate.ask(connection(7), at(5)), None);
        assert!(gate.heard(connection(7), Heard::Sense, at(6)));
        assert!(!gate.heard(connection(8), Heard::Sense, at(6)));
        assert_eq!(gate.ask(connection(9), at(6)), None);
    }

    #[test]
    fn a_probe_that_had_nothing_to_send_leaves_its_turn_and_one_that_vanished_loses_it() {
        let mut gate = shut();
        assert_eq!(gate.ask(connection(7), at(5)), None);
        gate.heard(connection(7), Heard::Nothing, at(5));
        assert_eq!(gate.ask(connection(8), at(5)), None);
        assert!(gate.ask(connection(9), at(64)).is_some());
        assert_eq!(gate.ask(connection(9), at(65)), None);
    }

    #[test]
    fn a_wrong_set_up_is_refused_once_a_minute_and_not_once_per_connection() {
        let mut gate = Gate::default();
        let failure = SyncFailure::operator(FailureCode::ClientRejected, "a wrong secret");
        assert!(gate.refused(connection(1), &failure, at(60), at(0)));
        let wait = gate.ask(connection(1), at(30)).expect("a wait");
        assert_eq!((wait.until, wait.why), (at(60), WaitReason::SetUp));
        // The probe fetches a token, and then sends its change.
        assert_eq!(gate.ask(connection(1), at(60)), None);
        assert_eq!(gate.ask(connection(1), at(61)), None);
        assert!(gate.ask(connection(2), at(61)).is_some());
        assert!(gate.refused(connection(1), &failure, at(121), at(61)));
        assert!(gate.ask(connection(1), at(62)).is_some());
        assert!(gate.heard(connection(1), Heard::Sense, at(122)));
        assert_eq!(gate.trouble(), None);
    }

    fn refused_by_its_organisation() -> SyncFailure {
        SyncFailure::Operator {
            code: FailureCode::ClientRejected,
            detail: "not let in".into(),
            scope: RateScope::Connection,
        }
    }

    #[test]
    fn an_organisation_that_does_not_let_us_in_stops_its_own_connection_alone() {
        let failure = refused_by_its_organisation();
        let mut gate = Gate::default();
        for minute in 0..100 {
            let now = at(minute * 60);
            let until = now + TimeDelta::minutes(1);
            assert!(!gate.refused(connection(1), &failure, until, now));
            assert_eq!(gate.trouble(), None);
            assert_eq!(gate.ask(connection(2), now), None);
        }
        // Others work between two organisations' refusals.
        gate.heard(connection(2), Heard::Sense, at(6_000));
        assert!(!gate.refused(connection(3), &failure, at(6_060), at(6_000)));
        assert_eq!(gate.trouble(), None);
        // None does: it is us.
        assert!(gate.refused(connection(1), &failure, at(6_061), at(6_001)));
        assert!(gate.ask(connection(2), at(6_002)).is_some());
        let trouble = gate.trouble();
        assert!(matches!(trouble, Some(Trouble::SetUp(_))), "{trouble:?}");
        // A probe that fares like them keeps it shut, and one that does not opens it.
        assert_eq!(gate.ask(connection(3), at(6_061)), None);
        assert!(gate.refused(connection(3), &failure, at(6_122), at(6_062)));
        assert_eq!(gate.ask(connection(2), at(6_122)), None);
        assert!(gate.heard(connection(2), Heard::Sense, at(6_123)));
        assert_eq!(gate.trouble(), None);
    }

    #[test]
    fn a_probe_that_its_organisation_stops_leaves_its_turn() {
        let mut gate = shut();
        assert_eq!(gate.ask(connection(7), at(5)), None);
        let failure = refused_by_its_organisation();
        assert!(!gate.refused(connection(7), &failure, at(65), at(5)));
        assert_eq!(gate.ask(connection(8), at(5)), None);
        let trouble = gate.trouble();
        assert!(
            matches!(trouble, Some(Trouble::Outage { .. })),
            "{trouble:?}"
        );
    }

    #[test]
    fn a_limit_for_everybody_lets_no_probe_through() {
        let mut gate = shut();
        gate.limit(at(100));
        gate.limit(at(50));
        let wait = gate.ask(connection(1), at(99)).expect("a wait");
        assert_eq!((wait.until, wait.why), (at(100), WaitReason::Limit));
        assert_eq!(gate.ask(connection(1), at(100)), None);
    }

    #[test]
    fn a_clock_that_is_set_back_makes_no_wait_longer() {
        let mut gate = shut();
        gate.limit(at(4));
        gate.clock_was_set_back(TimeDelta::seconds(100));
        let wait = gate.ask(connection(1), at(-97)).expect("a wait");
        assert_eq!((wait.until, wait.why), (at(-96), WaitReason::Limit));
        assert!(gate.ask(connection(1), at(-96)).is_some());
        assert_eq!(gate.ask(connection(1), at(-95)), None);
    }
}
