//! How what we hold is written as JSON. Separate from the domain types, so that neither pulls the
//! other along when it changes.

mod appointment;
mod audit;
mod connection;
mod job;
mod preview;
mod webhook;

pub(super) use appointment::{
    AppointmentBody, AppointmentPageView, AppointmentView, BatchBody, ExplainedAppointmentView,
};
pub(super) use audit::AuditPageView;
pub(super) use connection::{
    CalendarList, CalendarView, ConnectionList, ConnectionView, ProgressView, SettingsBody,
    SyncStatusView, TestReportView,
};
pub(super) use job::{JobPageView, JobView};
pub(super) use preview::{PreviewView, PreviewedEvent};
pub(super) use webhook::{
    DeliveryPageView, DeliveryView, RegisteredView, RegistrationBody, RotatedView,
    WebhookChangesBody, WebhookList, WebhookView,
};
