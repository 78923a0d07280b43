//! Registering, changing and re-keying webhooks: where the guard, the secrets and the rows meet.

use std::sync::Arc;

use chrono::TimeDelta;
use secrecy::SecretString;
use url::Url;

use super::address::{Forbidden, Guard};
use super::secret;
use crate::domain::{Clock, Entropy, Origin, Timestamp, WebhookEvent, WebhookId};
use crate::security::{KeyRing, Sealed, Unreadable, places};
use crate::store::{
    NewWebhook, SealedSecrets, Store, StoreError, Webhook, WebhookChanges, WebhookRefusal,
};

/// How long a secret signs beside the one that took its place.
const OVERLAP: TimeDelta = TimeDelta::hours(24);

/// Registers webhooks and changes them.
#[derive(Clone, Debug)]
pub struct Registrations {
    pub store: Store,
    pub keys: KeyRing,
    pub guard: Guard,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
}

/// What is asked for.
#[derive(Debug)]
pub struct Registration {
    pub url: Url,
    /// All, if there are none.
    pub events: Vec<WebhookEvent>,
}

/// A registered webhook, with its secret in plain text for the only time.
#[derive(Debug)]
pub struct Registered {
    pub webhook: Webhook,
    pub secret: SecretString,
}

/// A new secret, in plain text for the only time.
#[derive(Debug)]
pub struct Rotated {
    pub secret: SecretString,
    /// Until when the one before signs as well; `None` if it could not be read.
    pub previous_until: Option<Timestamp>,
}

/// Why nothing was registered or changed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error(transparent)]
    Address(#[from] Forbidden),
    #[error("there are too many webhooks")]
    TooMany,
    #[error("webhook {0} has this address already")]
    Exists(WebhookId),
    #[error("there is no such webhook")]
    NotFound,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<WebhookRefusal> for Refused {
    fn from(why: WebhookRefusal) -> Self {
        match why {
            WebhookRefusal::TooMany => Self::TooMany,
            WebhookRefusal::Exists(id) => Self::Exists(id),
            WebhookRefusal::NoSuchWebhook => Self::NotFound,
        }
    }
}

impl Registrations {
    pub async fn register(
        &self,
        asked: Registration,
        origin: &Origin,
    ) -> Result<Registered, Refused> {
        self.guard.check_registration(&asked.url).await?;
        let now = self.clock.now();
        let id = WebhookId::generate(now, &*self.entropy);
        let secret = secret::generate(&*self.entropy);
        let sealed = self
            .keys
            .seal(&secret, places::webhook_secret(id), &*self.entropy);
        let new = NewWebhook {
            id,
            url: asked.url.into(),
            events: events(asked.events),
            sealed_secret: sealed.into_string(),
        };
        let webhook = self.store.register_webhook(&new, origin, now).await??;
        Ok(Registered { webhook, secret })
    }

    /// Changes address, events, or whether it is told anything.
    pub async fn change(
        &self,
        id: WebhookId,
        url: Option<Url>,
        wanted: Option<Vec<WebhookEvent>>,
        is_enabled: Option<bool>,
        origin: &Origin,
    ) -> Result<(), Refused> {
        if let Some(url) = &url {
            self.guard.check_registration(url).await?;
        }
        let changes = WebhookChanges {
            url: url.map(String::from),
            events: wanted.map(events),
            is_enabled,
        };
        let now = self.clock.now();
        let changed = self.store.change_webhook(id, &changes, origin, now);
        Ok(changed.await??)
    }

    /// Gives the webhook a new secret. For a day deliveries are signed with both.
    ///
    /// Within that day again, it is the new secret alone that another takes the place of: whoever
    /// repeats a request whose answer was lost does not throw away the one that the receiver knows.
    pub async fn rotate_secret(&self, id: WebhookId, origin: &Origin) -> Result<Rotated, Refused> {
        loop {
            let stored = self.store.webhook_secrets(Some(id)).await?;
            let Some(stored) = stored.into_iter().next() else {
                return Err(Refused::NotFound);
            };
            let now = self.clock.now();
            let secret = secret::generate(&*self.entropy);
            let place = places::webhook_secret(id);
            let sealed = self.keys.seal(&secret, place, &*self.entropy);
            let previous = self.known_to_the_receiver(&stored, now).ok();
            let until = now + OVERLAP;
            let until = if previous.is_some() { until } else { now };
            let rotated = self
                .store
                .rotate_webhook_secret(
                    &stored,
                    sealed.as_str(),
                    previous.as_ref().map(Sealed::as_str),
                    until,
                    origin,
                    now,
                )
                .await?;
            // If not, somebody else was first: on top of theirs.
            if rotated {
                return Ok(Rotated {
                    secret,
                    previous_until: previous.map(|_| until),
                });
            }
        }
    }

    /// The secret that signs beside the new one, sealed for that place: the one that does so already,
    /// while its time lasts, else the current one.
    fn known_to_the_receiver(
        &self,
        stored: &SealedSecrets,
        now: Timestamp,
    ) -> Result<Sealed, Unreadable> {
        let id = stored.webhook_id;
        let place = places::previous_webhook_secret(id);
        let lasts = stored.previous_until.is_some_and(|until| until > now);
        let previous = stored.previous.clone().filter(|_| lasts);
        let previous = previous.map(Sealed::from_stored);
        let opened = match previous.map(|sealed| self.keys.open(&sealed, place)) {
            Some(Ok(opened)) => opened,
            Some(Err(_)) | None => {
                let current = Sealed::from_stored(stored.current.clone());
                self.keys.open(&current, places::webhook_secret(id))?
            }
        };
        Ok(self.keys.seal(&opened, place, &*self.entropy))
    }
}

/// Each once, in their order; all of them if none is named.
fn events(mut asked: Vec<WebhookEvent>) -> Vec<WebhookEvent> {
    if asked.is_empty() {
        return WebhookEvent::ALL.to_vec();
    }
    asked.sort_unstable();
    asked.dedup();
    asked
}
