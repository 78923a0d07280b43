//! One attempt to deliver: from the signature to the record of what became of it.
//!
//! Whether there is one is the [`deliverer`](super::deliverer)'s to say, and what a failure means the
//! [`schedule`](super::schedule)'s.

use secrecy::SecretString;
use url::Url;

use super::schedule::{FailedAttempt, hurries, judge};
use super::secret::Key;
use super::sender::{Answer, CALL_TIMEOUT, Message, Sender};
use crate::connections::WorkerContext;
use crate::domain::{DeliveryError, DisabledReason, Timestamp, WebhookId};
use crate::security::{Context, Sealed, places};
use crate::store::{DeliveryEnd, DueDelivery, EndedDelivery, SettledDelivery, WebhookTarget};

/// One attempt, from the signature to its record.
pub(super) async fn deliver(
    context: &WorkerContext,
    sender: &Sender,
    target: &WebhookTarget,
    due: DueDelivery,
) {
    if !is_time_left(&due, context.clock.now()) {
        // Sent by whoever claims it next.
        tracing::warn!(webhook.id = %target.id, delivery.id = %due.id, "a delivery was claimed and not sent in time");
        return;
    }
    let started = context.clock.monotonic();
    let answer = attempt(context, sender, target, &due).await;
    let took = context.clock.monotonic().saturating_sub(started);
    let now = context.clock.now();
    let jitter = context.entropy.jitter();
    let ended = EndedDelivery {
        webhook_id: target.id,
        url: &target.url,
        position: due.position,
        node: context.node,
        claimed_until: due.claimed_until,
        response_status: answer.status,
        error: answer.error,
        now,
    };
    let failed = answer.error.map(|error| FailedAttempt {
        error,
        attempts: due.attempts,
        retry_after: answer.retry_after,
    });
    let settled = context.store.settle_delivery(&ended, |at| match failed {
        Some(failed) => judge(failed, at, now, jitter),
        None => DeliveryEnd::Delivered,
    });
    match settled.await {
        Ok(Some(settled)) => {
            context.metrics.delivered(settled.end, took);
            report(target, &due, &ended, settled.end);
            follow_up(context, target.id, settled, now).await;
        }
        Ok(None) => {
            tracing::debug!(webhook.id = %target.id, delivery.id = %due.id, "what became of a delivery was no longer asked");
        }
        // Sent again, under the same id, once the claim has ended.
        Err(error) => {
            tracing::warn!(webhook.id = %target.id, delivery.id = %due.id, error = %error, "what became of a delivery was not recorded");
        }
    }
}

/// Whether a call that takes as long as it may ends before the claim does.
fn is_time_left(due: &DueDelivery, now: Timestamp) -> bool {
    (due.claimed_until - now)
        .to_std()
        .is_ok_and(|left| left >= CALL_TIMEOUT)
}

/// What one attempt means for all that is pending at the webhook.
async fn follow_up(
    context: &WorkerContext,
    id: WebhookId,
    settled: SettledDelivery,
    now: Timestamp,
) {
    let store = &context.store;
    let done = match settled.end {
        DeliveryEnd::Disabled(_) => store.give_up_disabled(id, now).await.map(drop),
        DeliveryEnd::Delivered if hurries(settled.recovered_from, now) => {
            store.hurry_deliveries(id, now).await
        }
        DeliveryEnd::Delivered | DeliveryEnd::Again(_) | DeliveryEnd::GivenUp => Ok(()),
    };
    if let Err(error) = done {
        // The housekeeper gives up the rest; what was put off is due at its time.
        tracing::warn!(webhook.id = %id, error = %error, "what is pending at a webhook was not seen to");
    }
}

async fn attempt(
    context: &WorkerContext,
    sender: &Sender,
    target: &WebhookTarget,
    due: &DueDelivery,
) -> Answer {
    let Some(keys) = keys(context, target) else {
        return Answer::failed(DeliveryError::SecretUnreadable);
    };
    let Ok(url) = Url::parse(&target.url) else {
        return Answer::failed(DeliveryError::AddressNotAllowed);
    };
    let message = Message {
        id: due.id,
        body: &due.payload,
        keys: &keys,
        now: context.clock.now(),
    };
    sender.send(&url, &message).await
}

/// The current secret and, for a while, the one before; `None` if the former cannot be read.
fn keys(context: &WorkerContext, target: &WebhookTarget) -> Option<Vec<Key>> {
    let open = |text: &str, place: Context| -> Option<SecretString> {
        context
            .keys
            .open(&Sealed::from_stored(text.to_owned()), place)
            .ok()
    };
    let current = open(&target.secret, places::webhook_secret(target.id))?;
    let previous = target.previous_secret.as_deref();
    let previous = previous.and_then(|text| open(text, places::previous_webhook_secret(target.id)));
    let mut keys = vec![Key::of(&current)?];
    keys.extend(previous.as_ref().and_then(Key::of));
    Some(keys)
}

/// The address is not in the log: it may hold a secret of its receiver's.
fn report(target: &WebhookTarget, due: &DueDelivery, ended: &EndedDelivery<'_>, end: DeliveryEnd) {
    let error = ended.error.map(DeliveryError::as_str);
    let (webhook, delivery) = (target.id, due.id);
    let (event, status) = (due.event_type.as_str(), ended.response_status);
    match end {
        DeliveryEnd::Delivered => {
            tracing::debug!(webhook.id = %webhook, delivery.id = %delivery, event, "delivered");
        }
        DeliveryEnd::Again(at) => {
            tracing::warn!(webhook.id = %webhook, delivery.id = %delivery, event, error, status, next_attempt_at = %at, "a delivery failed; it is tried again");
        }
        DeliveryEnd::GivenUp => {
            tracing::error!(webhook.id = %webhook, delivery.id = %delivery, event, error, status, "a delivery was given up; it can be replayed");
        }
        DeliveryEnd::Disabled(why) => {
            let why = match why {
                DisabledReason::Gone => "it answered 410",
                DisabledReason::Failing => "it took nothing for days",
                DisabledReason::Requested => "an operator switched it off",
            };
            tracing::error!(webhook.id = %webhook, delivery.id = %delivery, error, status, why, "a webhook was disabled; nothing is told to it until it is enabled again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::DeliveryId;

    #[test]
    fn nothing_is_sent_that_could_outlive_its_claim() {
        let until = Timestamp::UNIX_EPOCH + chrono::TimeDelta::minutes(1);
        let due = DueDelivery {
            position: 1,
            id: DeliveryId(uuid::Uuid::nil()),
            event_type: "connection.connected".to_owned(),
            payload: "{}".to_owned(),
            attempts: 0,
            claimed_until: until,
        };
        let left = |seconds| is_time_left(&due, until - chrono::TimeDelta::seconds(seconds));
        assert!(left(60) && left(20));
        assert!(!left(19) && !left(0) && !left(-5));
    }
}
