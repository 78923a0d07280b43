//! Stored secrets under the first key of the ring, beside a daemon that may be changing them.

use crate::domain::{Entropy, WebhookId};
use crate::security::{Context, KeyRing, Sealed, Unreadable, places};
use crate::store::{SealedSecrets, Store, StoreError};

/// What became of the secrets of webhooks.
#[derive(Debug, Default)]
pub struct SecretRotation {
    pub resealed: u64,
    pub unreadable: Vec<(WebhookId, Unreadable)>,
}

/// # Errors
/// Whatever the database refuses; what was done by then stays done, and running it again goes on.
pub async fn rotate_secrets(
    store: &Store,
    keys: &KeyRing,
    entropy: &dyn Entropy,
) -> Result<SecretRotation, StoreError> {
    let mut rotation = SecretRotation::default();
    let mut left: Vec<WebhookId> = store
        .webhook_secrets(None)
        .await?
        .iter()
        .map(|stored| stored.webhook_id)
        .collect();
    while let Some(id) = left.pop() {
        let Some(stored) = store.webhook_secrets(Some(id)).await?.into_iter().next() else {
            // Deleted meanwhile.
            continue;
        };
        match reseal(keys, entropy, &stored) {
            Ok(resealed) if resealed == stored => {}
            Ok(resealed) => {
                if store.reseal_webhook_secrets(&stored, &resealed).await? {
                    rotation.resealed += 1;
                } else {
                    // Replaced by hand this very moment.
                    left.push(id);
                }
            }
            Err(unreadable) => rotation.unreadable.push((id, unreadable)),
        }
    }
    Ok(rotation)
}

fn reseal(
    keys: &KeyRing,
    entropy: &dyn Entropy,
    stored: &SealedSecrets,
) -> Result<SealedSecrets, Unreadable> {
    let anew = |text: &str, place: Context| {
        let sealed = Sealed::from_stored(text.to_owned());
        if keys.is_current(&sealed) {
            return Ok(text.to_owned());
        }
        let opened = keys.open(&sealed, place)?;
        Ok(keys.seal(&opened, place, entropy).into_string())
    };
    let id = stored.webhook_id;
    let previous = stored.previous.as_deref();
    Ok(SealedSecrets {
        webhook_id: id,
        current: anew(&stored.current, places::webhook_secret(id))?,
        // It ends in a day: one that cannot be read is dropped now.
        previous: previous.and_then(|text| anew(text, places::previous_webhook_secret(id)).ok()),
    })
}
