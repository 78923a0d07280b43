//! The end of a run: trouble ceases, everybody is signed in, the work drains; then every calendar is
//! compared with the desk, and every effect with the ones before it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use calendar_integration::demo::{Holding, audit};
use calendar_integration::domain::{AppointmentId, CoachId};
use calendar_integration::simulator::{Actor, Duplicate, Effect, EffectKind};
use serde_json::{Value, json};
use uuid::Uuid;

use super::desk::{CLIENTS, Calendar, NOTES};
use super::run::Run;
use super::script::Via;
use crate::support::eventually_every;

const PAUSE: Duration = Duration::from_millis(50);

impl Run {
    pub(super) async fn conclude(&mut self) {
        self.first.calendars.clear_faults();
        let all = 0..self.desk.calendars.len();
        // Before anything is carried that the coaches held back.
        for calendar in all.clone() {
            self.drained(calendar).await;
        }
        self.keeps_secrets();
        for calendar in all.clone() {
            let on = json!({"is_sync_enabled": true, "auto_create_events": true, "auto_update_events": true});
            self.put(calendar, &on, Via::Second).await;
            if self.desk.calendars[calendar].needs_sync {
                self.sync_now(calendar, Via::First).await;
            }
        }
        for calendar in all {
            self.drained(calendar).await;
        }
        self.keeps_secrets();
        self.is_exact();
        self.nothing_is_twice();
        self.order_is_kept();
    }

    /// Waits until nothing is left to do. Whose grant ended signs in again, and only they: that
    /// would catch up with work that was lost.
    async fn drained(&mut self, calendar: usize) {
        loop {
            if !self.desk.calendars[calendar].connected {
                self.signs_in(calendar).await;
            }
            let (connection, status) = self.at_rest(calendar).await;
            if connection["status"] != "needs_reauth" {
                assert_eq!(connection["status"], "active", "{connection}");
                assert_eq!(status["failed"], 0, "{status}");
                return;
            }
            self.desk.calendars[calendar].connected = false;
        }
    }

    /// Nothing is in the way, but a busy machine may take too long for it once or twice.
    async fn signs_in(&mut self, calendar: usize) {
        for _ in 0..5 {
            if self.sign_in(calendar).await {
                return;
            }
        }
        panic!("calendar {calendar}: its coach cannot sign in, and nothing is in the way");
    }

    /// The connection and its work, when there is nothing to do or nothing can be done.
    async fn at_rest(&self, calendar: usize) -> (Value, Value) {
        let Calendar {
            id, coach, email, ..
        } = &self.desk.calendars[calendar];
        let api = self.api(Via::First);
        let what = format!("calendar {calendar} of {email} drains");
        eventually_every(PAUSE, &what, async || {
            let connection = api.connection(*coach, *id).await;
            let status = api.sync_status(*id).await;
            let none_left = status["pending"] == 0 && status["processing"] == 0;
            let is_quiet = none_left && status["current"].is_null();
            if is_quiet || connection["status"] == "needs_reauth" {
                return Some((connection, status));
            }
            let seen = format!("{connection:#}\n{status:#}");
            self.story.last_look.replace(seen);
            None
        })
        .await
    }

    fn keeps_secrets(&self) {
        let secrets = CLIENTS.iter().flat_map(|(name, email)| [*name, *email]);
        let secrets: Vec<&str> = secrets.chain(NOTES).collect();
        let discreet = |calendar: &&Calendar| !calendar.shares_details;
        for calendar in self.desk.calendars.iter().filter(discreet) {
            for event in self.first.events(calendar.provider, &calendar.email) {
                let appointment = event.appointment_id.clone().unwrap_or_default();
                let out_of_reach = calendar
                    .beyond
                    .iter()
                    .any(|id| id.to_string() == appointment);
                let shown = event.fields.to_string();
                let told: Vec<_> = secrets.iter().filter(|one| shown.contains(**one)).collect();
                assert!(
                    told.is_empty() || out_of_reach,
                    "{told:?} is shown\n{}",
                    self.history(calendar, &appointment)
                );
            }
        }
    }

    fn is_exact(&self) {
        for calendar in &self.desk.calendars {
            let mut events = self.first.events(calendar.provider, &calendar.email);
            events.retain(|event| {
                let is = |id: &Uuid| event.appointment_id == Some(id.to_string());
                !calendar.beyond.iter().any(is)
            });
            let holding = Holding {
                provider: calendar.provider,
                account: calendar.email.clone(),
                coach: CoachId(calendar.coach),
                calendar_id: calendar.target.clone(),
                events,
            };
            let reports = self.desk.reports();
            let reports = reports.map(|told| (AppointmentId(told.id), told.body()));
            let found = audit(&holding, calendar.sharing(), reports).expect("reports");
            let told: Vec<String> = found.iter().map(ToString::to_string).collect();
            let concerned = self.desk.slots.iter().map(|slot| slot.session.id);
            let histories = concerned
                .map(|id| id.to_string())
                .filter(|id| told.iter().any(|line| line.contains(id)))
                .map(|id| self.history(calendar, &id));
            let histories: Vec<String> = histories.collect();
            assert!(told.is_empty(), "{told:#?}\n{}", histories.join("\n"));
        }
    }

    /// One event at most of an appointment, and one create at most under a key. What was erased is
    /// forgotten with its keys: reported again, it begins anew.
    fn nothing_is_twice(&self) {
        let twice = self.first.calendars.duplicates();
        let is_live = |one: &Duplicate| matches!(one, Duplicate::LiveEvents { .. });
        assert!(!twice.iter().any(is_live), "{twice:?}");
        let mut creates = HashMap::<(String, Uuid), usize>::new();
        for effect in self.first.calendars.effects(0, usize::MAX) {
            if effect.operation == EffectKind::Create {
                let id = effect.appointment_id.and_then(|id| id.parse().ok());
                let id = id.expect("an event of an appointment");
                let key = effect.event_key.expect("an event with a key");
                *creates.entry((key, id)).or_default() += 1;
            }
        }
        for ((key, id), count) in creates {
            let lives = 1 + self.desk.erasures.get(&id).copied().unwrap_or_default();
            assert!(count <= lives, "{id}: {count} creates under {key}");
        }
    }

    /// What was written of an appointment never goes back to an older version.
    fn order_is_kept(&self) {
        let mut newest = HashMap::<(String, String, String), i32>::new();
        for effect in self.first.calendars.effects(0, usize::MAX) {
            let Some(version) = self.written(&effect) else {
                continue;
            };
            let appointment = effect.appointment_id.unwrap_or_default();
            let key = (
                effect.provider.to_string(),
                effect.account.clone(),
                appointment.clone(),
            );
            let before = newest.insert(key, version).unwrap_or(version);
            let of = |calendar: &&Calendar| {
                calendar.provider == effect.provider && calendar.email == effect.account
            };
            let calendar = self.desk.calendars.iter().find(of).expect("a calendar");
            assert!(
                before <= version,
                "version {version} was written after {before}\n{}",
                self.history(calendar, &appointment)
            );
        }
    }

    /// The version that an application's call left in the calendar.
    fn written(&self, effect: &Effect) -> Option<i32> {
        let writes = match effect.operation {
            EffectKind::Create | EffectKind::Restore | EffectKind::Update => true,
            EffectKind::Delete | EffectKind::Mail | EffectKind::MeetingLost => false,
        };
        if !writes || effect.actor == Actor::Person {
            return None;
        }
        let appointment = effect.appointment_id.as_deref()?;
        self.desk.version(appointment, effect.starts_at?)
    }

    /// What was asked for and what was done, for one appointment in one calendar.
    fn history(&self, calendar: &Calendar, appointment: &str) -> String {
        let mut lines = BTreeMap::<usize, String>::new();
        let asked = self.desk.reports();
        for told in asked.filter(|told| told.id.to_string() == appointment) {
            lines.insert(
                lines.len(),
                format!(
                    "  asked: {} {} {} {}",
                    told.coach, told.status, told.starts_at, told.client
                ),
            );
        }
        let effects = self.first.calendars.effects(0, usize::MAX).into_iter();
        let of_it = effects.filter(|effect| {
            effect.appointment_id.as_deref() == Some(appointment)
                && effect.provider == calendar.provider
                && effect.account == calendar.email
        });
        for effect in of_it {
            lines.insert(
                lines.len(),
                format!(
                    "  done: {} {:?} by {:?} in {} of {:?}, key {:?}, then at {:?}",
                    effect.at,
                    effect.operation,
                    effect.actor,
                    effect.calendar_id,
                    effect.event_id,
                    effect.event_key,
                    effect.starts_at
                ),
            );
        }
        let lines: Vec<String> = lines.into_values().collect();
        format!("{calendar:?}, {appointment}:\n{}", lines.join("\n"))
    }
}
