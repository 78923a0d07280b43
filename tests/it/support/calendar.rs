//! What calendars hold, as the providers see it.

use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::{
    CoachEdit, EffectKind, EventSelector, FaultEffect, FaultRule, LiveEvent,
};
use uuid::Uuid;

use super::{TestDaemon, until};

/// The account that stories use when one is enough.
pub(crate) const COACH_EMAIL: &str = "coach@example.com";

/// A server error that passes.
pub(crate) fn retried(times: u32) -> FaultRule {
    FaultRule::always(FaultEffect::status(503)).times(times)
}

impl TestDaemon {
    pub(crate) fn events(&self, provider: ProviderKind, email: &str) -> Vec<LiveEvent> {
        self.calendars.live_events(provider, email, None)
    }

    /// The event of an appointment, once it is there and as wanted.
    pub(crate) async fn event(
        &self,
        provider: ProviderKind,
        email: &str,
        appointment: Uuid,
        mut is_as_wanted: impl FnMut(&LiveEvent) -> bool,
    ) -> LiveEvent {
        let id = appointment.to_string();
        super::eventually("the event is as wanted", async || {
            let mut events = self.events(provider, email);
            events.retain(|event| event.appointment_id.as_deref() == Some(&id));
            assert!(events.len() <= 1, "more than one event: {events:?}");
            events.pop().filter(&mut is_as_wanted)
        })
        .await
    }

    pub(crate) async fn no_events(&self, provider: ProviderKind, email: &str) {
        until("the calendar is empty", || {
            self.events(provider, email).is_empty()
        })
        .await;
    }

    pub(crate) fn edit(&self, provider: ProviderKind, appointment: Uuid, edit: &CoachEdit) {
        let event = EventSelector::AppointmentId(appointment.to_string());
        self.calendars
            .edit(provider, COACH_EMAIL, &event, edit)
            .expect("the coach can do that");
    }

    pub(crate) fn fail(&self, rule: FaultRule) -> u64 {
        self.calendars.add_fault(rule).expect("room for a rule")
    }

    /// Creates that took effect.
    pub(crate) fn creates(&self, provider: ProviderKind) -> u64 {
        self.calendars.total(provider, EffectKind::Create)
    }

    /// Calls about events, whatever the answer.
    pub(crate) fn event_calls(&self, provider: ProviderKind) -> u64 {
        use calendar_integration::simulator::CallKind::{Create, Delete, Get, List, Update};
        [Create, Update, Delete, Get, List]
            .into_iter()
            .map(|kind| self.calendars.call_count(provider, kind))
            .sum()
    }

    pub(crate) fn no_duplicates(&self) {
        let duplicates = self.calendars.duplicates();
        assert!(duplicates.is_empty(), "{duplicates:?}");
    }
}
