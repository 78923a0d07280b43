//! Webhooks, and what was told to them.

use std::collections::BTreeMap;

use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::body::Sent;
use crate::api::{UtcTime, cursor};
use crate::domain::{
    DeliveryId, DeliveryStatus, DisabledReason, Timestamp, WebhookEvent, WebhookId,
};
use crate::store::{self, Delivery, DeliveryPage, StoreError};

/// An address that is told what happens.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Webhook", example)]
pub(in crate::api) struct WebhookView {
    id: WebhookId,
    url: String,
    /// What it is told.
    events: Vec<WebhookEvent>,
    /// Off: nothing is told to it, and what happens meanwhile is not made up for.
    is_enabled: bool,
    #[oai(nullable)]
    disabled_at: Option<UtcTime>,
    #[oai(nullable)]
    disabled_reason: Option<DisabledReason>,
    /// The first attempt that failed since the last one that succeeded. Five days of that disable it.
    #[oai(nullable)]
    failing_since: Option<UtcTime>,
    /// Deliveries under way or waiting, counted up to 10,000.
    pending: u64,
    /// Until when deliveries carry a second signature, made with the secret before this one.
    #[oai(nullable)]
    previous_secret_until: Option<UtcTime>,
    created_at: UtcTime,
    updated_at: UtcTime,
}

impl WebhookView {
    pub(in crate::api) fn new(view: store::WebhookView) -> Self {
        let store::WebhookView { webhook, pending } = view;
        Self {
            id: webhook.id,
            url: webhook.url,
            events: webhook.events,
            is_enabled: webhook.disabled.is_none(),
            disabled_at: webhook.disabled.map(|(at, _)| at.into()),
            disabled_reason: webhook.disabled.map(|(_, why)| why),
            failing_since: webhook.failing_since.map(UtcTime),
            pending,
            previous_secret_until: webhook.previous_secret_until.map(UtcTime),
            created_at: webhook.created_at.into(),
            updated_at: webhook.updated_at.into(),
        }
    }
}

fn example_time() -> UtcTime {
    UtcTime(Timestamp::UNIX_EPOCH + chrono::TimeDelta::days(20_800))
}

impl Example for WebhookView {
    fn example() -> Self {
        Self {
            id: WebhookId(Uuid::from_u128(0x0193_6b5e_5c00_7000_8000_0000_0000_0001)),
            url: "https://booking.example.org/hooks/calendar".to_owned(),
            events: vec![
                WebhookEvent::ConnectionNeedsReauth,
                WebhookEvent::ConnectionDisconnected,
            ],
            is_enabled: true,
            disabled_at: None,
            disabled_reason: None,
            failing_since: None,
            pending: 0,
            previous_secret_until: None,
            created_at: example_time(),
            updated_at: example_time(),
        }
    }
}

/// All webhooks, oldest first.
#[derive(Debug, Object)]
#[oai(rename = "WebhookList")]
pub(in crate::api) struct WebhookList {
    pub(in crate::api) webhooks: Vec<WebhookView>,
}

/// A webhook to register.
#[derive(Debug, Object)]
#[oai(rename = "WebhookRegistration", deny_unknown_fields)]
pub(in crate::api) struct RegistrationBody {
    /// Where events are sent to: an https URL that leads to the public internet.
    #[oai(validator(min_length = 1, max_length = 2048))]
    pub(in crate::api) url: String,
    /// What it is told; everything if absent.
    #[oai(nullable, validator(min_items = 1, max_items = 20))]
    pub(in crate::api) events: Option<Vec<WebhookEvent>>,
}

impl Sent for RegistrationBody {
    const MAX_BYTES: usize = 32 * 1024;
}

/// What is to be different; what is absent or null stays as it is.
#[derive(Debug, Object)]
#[oai(rename = "WebhookChanges", deny_unknown_fields)]
pub(in crate::api) struct WebhookChangesBody {
    #[oai(nullable, validator(min_length = 1, max_length = 2048))]
    pub(in crate::api) url: Option<String>,
    #[oai(nullable, validator(min_items = 1, max_items = 20))]
    pub(in crate::api) events: Option<Vec<WebhookEvent>>,
    /// Off: what is pending is given up, and can be replayed. On: it is told what happens from now on.
    #[oai(nullable)]
    pub(in crate::api) is_enabled: Option<bool>,
}

impl Sent for WebhookChangesBody {
    const MAX_BYTES: usize = RegistrationBody::MAX_BYTES;
}

/// A webhook that was registered.
#[derive(Debug, Object)]
#[oai(rename = "RegisteredWebhook", example)]
pub(in crate::api) struct RegisteredView {
    pub(in crate::api) webhook: WebhookView,
    /// What deliveries are signed with. Shown this once.
    pub(in crate::api) secret: String,
}

impl Example for RegisteredView {
    fn example() -> Self {
        Self {
            webhook: WebhookView::example(),
            secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(),
        }
    }
}

/// A secret that took the place of another.
#[derive(Debug, Object)]
#[oai(rename = "RotatedSecret", example)]
pub(in crate::api) struct RotatedView {
    /// What deliveries are signed with from now on. Shown this once.
    pub(in crate::api) secret: String,
    /// Until when they carry a signature with the one before, too; null if that one could not be read.
    #[oai(nullable)]
    pub(in crate::api) previous_secret_until: Option<UtcTime>,
}

impl Example for RotatedView {
    fn example() -> Self {
        Self {
            secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(),
            previous_secret_until: Some(example_time()),
        }
    }
}

/// What is sent: the body of a delivery.
#[derive(Clone, Debug, Object)]
#[oai(rename = "WebhookPayload", example)]
pub(in crate::api) struct PayloadView {
    #[oai(rename = "type")]
    type_: WebhookEvent,
    /// When it happened.
    timestamp: UtcTime,
    /// `connection_id`, `coach_id`, `provider` and `status`; `reason`, a stable word, where something went
    /// wrong; of appointments `appointment_id`, and `calendar_event` (`present` or `absent`) once synced.
    /// Nothing of clients or accounts.
    data: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct StoredPayload {
    timestamp: Timestamp,
    data: BTreeMap<String, Value>,
}

impl Example for PayloadView {
    fn example() -> Self {
        let data = json!({
            "connection_id": "01936b5e-5800-7000-8000-000000000002",
            "coach_id": "11111111-1111-4111-8111-111111111111",
            "provider": "google",
            "status": "needs_reauth",
            "reason": "grant_refused",
        });
        Self {
            type_: WebhookEvent::ConnectionNeedsReauth,
            timestamp: example_time(),
            data: serde_json::from_value(data).unwrap_or_default(),
        }
    }
}

/// One event for one webhook.
#[derive(Clone, Debug, Object)]
#[oai(rename = "WebhookDelivery", example)]
pub(in crate::api) struct DeliveryView {
    /// The `webhook-id` of each of its attempts: what a receiver knows it by.
    id: DeliveryId,
    webhook_id: WebhookId,
    status: DeliveryStatus,
    /// Since it was first due, or replayed.
    attempts: i32,
    /// Not before then, and not before what happened earlier to the same appointment or connection was
    /// delivered or given up.
    #[oai(nullable)]
    next_attempt_at: Option<UtcTime>,
    /// When it was delivered or given up.
    #[oai(nullable)]
    completed_at: Option<UtcTime>,
    /// Of the last attempt, if there was an answer.
    #[oai(nullable)]
    response_status: Option<i32>,
    /// Why the last attempt failed: `network`, `timeout`, `address_not_allowed`, `redirected`, `gone`,
    /// `refused`, `secret_unreadable`, `webhook_disabled` or `overdue`.
    #[oai(nullable)]
    error_code: Option<String>,
    payload: PayloadView,
    created_at: UtcTime,
}

impl TryFrom<Delivery> for DeliveryView {
    type Error = StoreError;

    fn try_from(delivery: Delivery) -> Result<Self, StoreError> {
        let unknown = |column| StoreError::inconsistent("webhook_deliveries", column);
        let type_ = WebhookEvent::parse(&delivery.event_type);
        let stored: StoredPayload =
            serde_json::from_str(&delivery.payload).map_err(|_| unknown("payload"))?;
        let is_pending = delivery.status == DeliveryStatus::Pending;
        Ok(Self {
            id: delivery.id,
            webhook_id: delivery.webhook_id,
            status: delivery.status,
            attempts: delivery.attempts,
            next_attempt_at: is_pending.then_some(delivery.due_at.into()),
            completed_at: delivery.completed_at.map(UtcTime),
            response_status: delivery.response_status,
            error_code: delivery.error_code,
            payload: PayloadView {
                type_: type_.ok_or_else(|| unknown("event_type"))?,
                timestamp: stored.timestamp.into(),
                data: stored.data,
            },
            created_at: delivery.created_at.into(),
        })
    }
}

impl Example for DeliveryView {
    fn example() -> Self {
        Self {
            id: DeliveryId(Uuid::from_u128(0x0193_6b5e_5c00_7000_8000_0000_0000_0003)),
            webhook_id: WebhookView::example().id,
            status: DeliveryStatus::Pending,
            attempts: 1,
            next_attempt_at: Some(example_time()),
            completed_at: None,
            response_status: Some(503),
            error_code: Some("refused".to_owned()),
            payload: PayloadView::example(),
            created_at: example_time(),
        }
    }
}

/// Deliveries to a webhook, newest first.
#[derive(Debug, Object)]
#[oai(rename = "WebhookDeliveryPage", example)]
pub(in crate::api) struct DeliveryPageView {
    deliveries: Vec<DeliveryView>,
    /// Leads to the next page; absent on the last one.
    #[oai(skip_serializing_if_is_none)]
    next_cursor: Option<String>,
}

impl TryFrom<DeliveryPage> for DeliveryPageView {
    type Error = StoreError;

    fn try_from(page: DeliveryPage) -> Result<Self, StoreError> {
        let deliveries = page.deliveries.into_iter().map(DeliveryView::try_from);
        Ok(Self {
            deliveries: deliveries.collect::<Result<_, _>>()?,
            next_cursor: page.next.map(|(at, id)| cursor::write(at, id.0)),
        })
    }
}

impl Example for DeliveryPageView {
    fn example() -> Self {
        let delivery = DeliveryView::example();
        Self {
            next_cursor: Some(cursor::write(delivery.created_at.0, delivery.id.0)),
            deliveries: vec![delivery],
        }
    }
}
