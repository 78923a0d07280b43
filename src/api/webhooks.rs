//! Webhooks, for operators: who is told what happens, and what was told.

use std::sync::Arc;

use poem::Endpoint;
use poem::web::Data;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};
use secrecy::ExposeSecret;
use url::Url;

use super::access::Bearer;
use super::body::JsonBody;
use super::document::Tag;
use super::idempotency::{IdempotencyKey, once, once_with};
use super::problem::{Code, Problem, Refused, refusals};
use super::view::{
    DeliveryPageView, DeliveryView, RegisteredView, RegistrationBody, RotatedView,
    WebhookChangesBody, WebhookList, WebhookView,
};
use super::{ApiState, BASE_PATH, UtcTime, cursor};
use crate::domain::{DeliveryId, DeliveryStatus, WebhookId};
use crate::store::{self, DeliveryFilter, MOST_WEBHOOKS, ReplayRefusal};
use crate::webhooks::{self, Registration};

pub(super) struct WebhooksApi;

#[derive(ApiResponse)]
enum RegisterAnswer {
    /// Registered. The secret is shown this once.
    #[oai(status = 201)]
    Registered(Json<RegisteredView>),
}

#[derive(ApiResponse)]
enum DeleteAnswer {
    /// Forgotten.
    #[oai(status = 204)]
    Deleted,
}

#[derive(ApiResponse)]
enum ReplayAnswer {
    /// It is pending again.
    #[oai(status = 202)]
    Pending(Json<DeliveryView>),
}

/// Deliveries that are sent again.
#[derive(Debug, Object)]
struct Replayed {
    queued: u64,
}

#[derive(ApiResponse)]
enum ReplayAllAnswer {
    /// They are pending again.
    #[oai(status = 202)]
    Queued(Json<Replayed>),
}

refusals! {
    ToListWebhooks: [];
    OfWebhook: [WebhookNotFound];
    ToRegister: [
        InvalidBody, PayloadTooLarge, UnsupportedMediaType, InvalidWebhook, TooManyWebhooks,
        WebhookExists, IdempotencyKeyInUse, IdempotencyKeyReused, KeptAnswerUnreadable,
    ];
    ToChangeWebhook: [
        WebhookNotFound, InvalidBody, PayloadTooLarge, UnsupportedMediaType, InvalidWebhook,
        WebhookExists,
    ];
    ToRotate: [WebhookNotFound, PayloadTooLarge, IdempotencyKeyInUse, IdempotencyKeyReused, KeptAnswerUnreadable];
    ToListDeliveries: [WebhookNotFound, InvalidCursor];
    ToReplay: [
        WebhookNotFound, DeliveryNotFound, WebhookDisabled, DeliveryPending, PayloadTooLarge,
        IdempotencyKeyInUse, IdempotencyKeyReused, KeptAnswerUnreadable,
    ];
    ToReplayAll: [
        WebhookNotFound, WebhookDisabled, PayloadTooLarge, IdempotencyKeyInUse,
        IdempotencyKeyReused, KeptAnswerUnreadable,
    ];
}

#[OpenApi(prefix_path = BASE_PATH, tag = "Tag::Webhooks")]
impl WebhooksApi {
    /// Register an address that is told what happens.
    ///
    /// Events are POSTed to it as `WebhookPayload`, signed after the Standard Webhooks specification:
    /// headers `webhook-id`, `webhook-timestamp` (seconds) and `webhook-signature`, which is `v1,` and the
    /// base64 of the HMAC-SHA256 of `id.timestamp.body` under the bytes that the secret's base64 stands
    /// for. Any 2xx within 20 seconds takes it; redirects are not followed. Otherwise it is tried again
    /// after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h and 10 h, later if `Retry-After` asks for that. Each
    /// arrives at least once, and after what happened earlier to the same appointment or connection. 410
    /// disables the webhook at once, five days without a success do too.
    ///
    /// An address has one webhook: for one that is registered already the answer is 409 `webhook_exists`,
    /// which names it. Whoever missed its secret gets a new one with `rotate-secret`.
    #[oai(
        path = "/webhooks",
        method = "post",
        transform = "register_once",
        operation_id = "register_webhook",
        request_header(
            name = "Idempotency-Key",
            ty = "IdempotencyKey",
            description = "Sent again with the same key, it is carried out once."
        )
    )]
    async fn register_webhook(
        &self,
        bearer: Bearer,
        state: Data<&Arc<ApiState>>,
        body: JsonBody<RegistrationBody>,
    ) -> Result<RegisterAnswer, Refused<ToRegister>> {
        bearer.is_operator()?;
        let asked = Registration {
            url: address(&body.0.url)?,
            events: body.0.events.unwrap_or_default(),
        };
        let registered = state.webhooks.register(asked, &bearer.origin()).await;
        let registered = registered.map_err(refused)?;
        let view = store::WebhookView {
            webhook: registered.webhook,
            pending: 0,
        };
        Ok(RegisterAnswer::Registered(Json(RegisteredView {
            webhook: WebhookView::new(view),
            secret: registered.secret.expose_secret().to_owned(),
        })))
    }

    /// All webhooks.
    ///
    /// Oldest first; there are at most 32. No secret is shown.
    #[oai(path = "/webhooks", method = "get", operation_id = "list_webhooks")]
    async fn list_webhooks(
        &self,
        bearer: Bearer,
        state: Data<&Arc<ApiState>>,
    ) -> Result<Json<WebhookList>, Refused<ToListWebhooks>> {
        bearer.is_operator()?;
        let found = state.store.webhooks().await?;
        let webhooks = found.into_iter().map(WebhookView::new).collect();
        Ok(Json(WebhookList { webhooks }))
    }

    /// One webhook, and how telling it goes.
    ///
    /// `failing_since` and `pending` say whether it takes what it is told.
    #[oai(
        path = "/webhooks/:webhook_id",
        method = "get",
        operation_id = "get_webhook"
    )]
    async fn get_webhook(
        &self,
        bearer: Bearer,
        state: Data<&Arc<ApiState>>,
        webhook_id: Path<WebhookId>,
    ) -> Result<Json<WebhookView>, Refused<OfWebhook>> {
        bearer.is_operator()?;
        Ok(Json(found(&state, webhook_id.0).await?))
    }

    /// Change a webhook, or switch it off or on again.
    ///
    /// What is not given stays as it is. Events that were written down before go to the new address, too.
    #[oai(
        path = "/webhooks/:webhook_id",
        method = "put",
        operation_id = "update_webhook"
    )]
    async fn update_webhook(
        &self,
        bearer: Bearer,
        state: Data<&Arc<ApiState>>,
        webhook_id: Path<WebhookId>,
        body: JsonBody<WebhookChangesBody>,
    ) -> Result<Json<WebhookView>, Refused<ToChangeWebhook>> {
        bearer.is_operator()?;
        let WebhookChangesBody {
            url,
            events,
            is_enabled,
        } = body.0;
        let url = url.as_deref().map(address).transpose()?;
        let (id, origin) = (webhook_id.0, bearer.origin());
        let changed = state
            .webhooks
            .change(id, url, events, is_enabled, &origin)
            .await;
        changed.map_err(refused)?;
        Ok(Json(found(&state, id).await?))
    }

    /// Forget a webhook.
    ///
    /// With all that was told to it or was yet to be.
    #[oai(
        path = "/webhooks/:webhook_id",
        method = "delete",
        operation_id = "delete_webhook"
    )]
    async fn delete_webhook(
        &self,
        bearer: Bearer,
        state: Data<&Arc<ApiState>>,
        webhook_id: Path<WebhookId>,
    ) -> Result<DeleteAnswer, Refused<OfWebhook>> {
        bearer.is_operator()?;
        let (origin, now) = (bearer.origin(), state.clock.now());
        if state
            .store
            .delete_webhook(webhook_id.0, &origin, now)
            .await?
        {
            Ok(DeleteAnswer::Deleted)
        } else {
            Err(Code::WebhookNotFound.into())
        }
    }

    /// Give a webhook a new secret.
    ///
    /// For 24 hours each delivery carries two signatures, one with the new secret and one with the one
    /// before, so that a receiver can change over without missing any. Within these 24 hours again, only
    /// the newer of the two is replaced, and the 24 hours begin anew: the one the receiver had before
    /// goes on signing, while a new one that was shown in between ends at once.
    #[oai(
        path = "/webhooks/:webhook_id/rotate-secret",
        method = "post",
        transform = "once",
        operation_id = "rotate_webhook_secret",
        request_header(
            name = "Idempotency-Key",
            ty = "IdempotencyKey",
            description = "Sent again with the same key, it is carried out once."
        )
    )]
    async fn rotate_webhook_secret(
        &self,
        bearer: Bearer,
        state: Data<&Arc<ApiState>>,
        webhook_id: Path<WebhookId>,
    ) -> Result<Json<RotatedView>, Refused<ToRotate>> {
        bearer.is_operator()?;
        let origin = bearer.origin();
        let rotated = state.webhooks.rotate_secret(webhook_id.0, &origin).await;
        let rotated = rotated.map_err(refused)?;
        Ok(Json(RotatedView {
            secret: rotated.secret.expose_secret().to_owned(),
            previous_secret_until: rotated.previous_until.map(UtcTime),
        }))
    }

    /// What was told to a webhook, and what is yet to be.
    ///
    /// Newest first, a page at a time. What ended is kept for `WEBHOOK_RETENTION`.
    #[oai(
        path = "/webhooks/:webhook_id/deliveries",
        method = "get",
        operation_id = "list_webhook_deliveries"
    )]
    async fn list_webhook_deliveries(
        &self,
        bearer: Bearer,
        state: Data<&Arc<ApiState>>,
        webhook_id: Path<WebhookId>,
        status: Query<Option<DeliveryStatus>>,
        /// At most so many; 50 if not given.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<u64>>,
        /// `next_cursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<DeliveryPageView>, Refused<ToListDeliveries>> {
        bearer.is_operator()?;
        let after = cursor.0.as_deref().map(cursor::read).transpose()?;
        found(&state, webhook_id.0).await?;
        let filter = DeliveryFilter {
            webhook_id: webhook_id.0,
            status: status.0,
        };
        let page = state
            .store
            .deliveries(
                filter,
                after.map(|(at, id)| (at, DeliveryId(id))),
                limit.0.unwrap_or(cursor::DEFAULT_LIMIT),
            )
            .await?;
        Ok(Json(page.try_into()?))
    }

    /// Tell a webhook something again.
    ///
    /// Something that was delivered or given up, under the same `webhook-id`; its attempts are counted anew.
    #[oai(
        path = "/webhooks/:webhook_id/deliveries/:delivery_id/replay",
        method = "post",
        transform = "once",
        operation_id = "replay_webhook_delivery",
        request_header(
            name = "Idempotency-Key",
            ty = "IdempotencyKey",
            description = "Sent again with the same key, it is carried out once."
        )
    )]
    async fn replay_webhook_delivery(
        &self,
        bearer: Bearer,
        state: Data<&Arc<ApiState>>,
        webhook_id: Path<WebhookId>,
        delivery_id: Path<DeliveryId>,
    ) -> Result<ReplayAnswer, Refused<ToReplay>> {
        bearer.is_operator()?;
        let replayed = state
            .store
            .replay_delivery(
                webhook_id.0,
                delivery_id.0,
                &bearer.origin(),
                state.clock.now(),
            )
            .await?;
        let delivery = replayed.map_err(not_replayed)?;
        Ok(ReplayAnswer::Pending(Json(delivery.try_into()?)))
    }

    /// Tell a webhook all again that was given up.
    ///
    /// What happened at `since` or later, in its order; the answer says how much that is.
    #[oai(
        path = "/webhooks/:webhook_id/replay-failed",
        method = "post",
        transform = "once",
        operation_id = "replay_failed_webhook_deliveries",
        request_header(
            name = "Idempotency-Key",
            ty = "IdempotencyKey",
            description = "Sent again with the same key, it is carried out once."
        )
    )]
    async fn replay_failed_webhook_deliveries(
        &self,
        bearer: Bearer,
        state: Data<&Arc<ApiState>>,
        webhook_id: Path<WebhookId>,
        since: Query<UtcTime>,
    ) -> Result<ReplayAllAnswer, Refused<ToReplayAll>> {
        bearer.is_operator()?;
        let replayed = state
            .store
            .replay_failed(webhook_id.0, since.0.0, &bearer.origin(), state.clock.now())
            .await?;
        let queued = replayed.map_err(not_replayed)?;
        Ok(ReplayAllAnswer::Queued(Json(Replayed { queued })))
    }
}

fn register_once<E: Endpoint>(operation: E) -> impl Endpoint {
    once_with::<RegistrationBody, _>(operation)
}

async fn found(state: &ApiState, id: WebhookId) -> Result<WebhookView, Problem> {
    let found = state.store.webhook(id).await?;
    found
        .map(WebhookView::new)
        .ok_or_else(|| Problem::new(Code::WebhookNotFound))
}

fn address(text: &str) -> Result<Url, Problem> {
    Url::parse(text).map_err(|_| invalid("must be a URL"))
}

fn invalid(why: impl Into<String>) -> Problem {
    Problem::new(Code::InvalidWebhook).at("/url", why)
}

fn refused(why: webhooks::Refused) -> Problem {
    match why {
        webhooks::Refused::Address(why) => invalid(why.to_string()),
        webhooks::Refused::TooMany => Problem::new(Code::TooManyWebhooks).because(format!(
            "There are {MOST_WEBHOOKS} webhooks, and there may be no more."
        )),
        webhooks::Refused::Exists(id) => Problem::new(Code::WebhookExists)
            .because(format!(
                "Webhook {id} has this address already; change that one."
            ))
            .at("/url", format!("is the address of webhook {id}")),
        webhooks::Refused::NotFound => Problem::new(Code::WebhookNotFound),
        webhooks::Refused::Store(error) => error.into(),
    }
}

fn not_replayed(why: ReplayRefusal) -> Problem {
    Problem::new(match why {
        ReplayRefusal::NoSuchWebhook => Code::WebhookNotFound,
        ReplayRefusal::NoSuchDelivery => Code::DeliveryNotFound,
        ReplayRefusal::Disabled => Code::WebhookDisabled,
        ReplayRefusal::Pending => Code::DeliveryPending,
    })
}
