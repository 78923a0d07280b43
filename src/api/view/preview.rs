//! An event as it would appear, before anything is saved.

use chrono::SecondsFormat;
use chrono_tz::Tz;
use poem_openapi::Object;

use super::appointment::ClientView;
use crate::domain::{AppointmentId, EventContent, ProviderKind};
use crate::provider::kept_title;

/// Said wherever an Outlook event would have a guest.
const OUTLOOK_MAILS: &str = "Outlook mails every guest an invitation, and a message for every change \
     and cancellation, and cannot be told not to.";

/// What the calendar would show.
#[derive(Object)]
#[oai(rename = "PreviewedEvent")]
pub(in crate::api) struct PreviewedEvent {
    title: String,
    description: String,
    /// RFC 3339, with the offset of `time_zone`.
    starts_at: String,
    ends_at: String,
    /// The calendar's, or the appointment's where the provider does not say which the calendar has.
    time_zone: String,
    #[oai(nullable)]
    location: Option<String>,
    attendees: Vec<ClientView>,
    /// What those guests get from the provider, if that cannot be helped.
    #[oai(nullable)]
    guest_note: Option<String>,
}

impl PreviewedEvent {
    pub(in crate::api) fn new(
        content: EventContent,
        provider: ProviderKind,
        calendar_zone: Option<Tz>,
    ) -> Self {
        let zone = calendar_zone.unwrap_or(content.time_zone);
        let local = |at: crate::domain::Timestamp| {
            at.with_timezone(&zone)
                .to_rfc3339_opts(SecondsFormat::Secs, true)
        };
        let is_mailed = content.attendee.is_some() && provider == ProviderKind::Outlook;
        Self {
            title: kept_title(provider, &content.title),
            description: content.description,
            starts_at: local(content.starts_at),
            ends_at: local(content.ends_at),
            time_zone: zone.name().to_owned(),
            location: content.location,
            attendees: content.attendee.into_iter().map(ClientView::from).collect(),
            guest_note: is_mailed.then(|| OUTLOOK_MAILS.to_owned()),
        }
    }
}

/// The event of one appointment under settings that were not saved, in both privacy modes.
#[derive(Object)]
#[oai(rename = "SettingsPreview")]
pub(in crate::api) struct PreviewView {
    /// The appointment shown.
    #[oai(nullable)]
    pub(in crate::api) appointment_id: Option<AppointmentId>,
    /// There is no upcoming appointment, so a made-up one is shown.
    pub(in crate::api) is_example: bool,
    /// Which of the two these settings ask for.
    pub(in crate::api) include_client_details: bool,
    pub(in crate::api) details_off: PreviewedEvent,
    pub(in crate::api) details_on: PreviewedEvent,
    /// Why the event would not be written so, in a sentence for the coach.
    #[oai(nullable)]
    pub(in crate::api) not_written_because: Option<String>,
    /// Events in the calendar that saving these settings would rewrite, move or remove; counted among
    /// 10,000.
    pub(in crate::api) rewritten_events: u64,
}
