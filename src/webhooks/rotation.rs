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
        previous_until: stored.previous_until,
        // It ends in a day: one that cannot be read is dropped now.
        previous: previous.and_then(|text| anew(text, places::previous_webhook_secret(id)).ok()),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use secrecy::ExposeSecret;

    use super::*;
    use crate::domain::{Actor, ActorRole, Cause, Origin, SeededEntropy, SystemClock};
    use crate::security::generate_key_line;
    use crate::webhooks::{Guard, Registration, Registrations, SystemLookup};

    #[tokio::test]
    async fn once_rotated_both_secrets_open_with_the_new_key_alone() {
        let store = Store::open(&"sqlite::memory:".into()).await.expect("open");
        store.migrate().await.expect("a schema");
        let line = |id, seed| {
            let line = generate_key_line(id, &SeededEntropy::from_seed(seed)).expect("a key");
            line.expose_secret().to_owned()
        };
        let ring = |text: &str| KeyRing::parse(&text.into()).expect("a key ring");
        let (old, new) = (line("old", 1), line("new", 2));
        let entropy = Arc::new(SeededEntropy::from_seed(3));
        let registrations = Registrations {
            store: store.clone(),
            keys: ring(&old),
            guard: Guard::new(true, Arc::new(SystemLookup)),
            clock: SystemClock::shared(),
            entropy: entropy.clone(),
        };
        let origin = Origin {
            actor: Actor {
                subject: "ops".to_owned(),
                role: ActorRole::Admin,
            },
            cause: Cause::NONE,
        };
        let asked = Registration {
            url: "http://127.0.0.1/".parse().expect("a URL"),
            events: Vec::new(),
        };
        let first = registrations.register(asked, &origin).await.expect("new");
        let id = first.webhook.id;
        let second = registrations.rotate_secret(id, &origin).await;
        let second = second.expect("a new secret").secret;

        let both = ring(&format!("{new},{old}"));
        for resealed in [1, 0] {
            let rotation = rotate_secrets(&store, &both, &*entropy).await;
            let rotation = rotation.expect("rotated");
            assert_eq!(rotation.resealed, resealed);
            assert!(rotation.unreadable.is_empty());
        }
        let stored = store
            .webhook_secrets(Some(id))
            .await
            .expect("read")
            .remove(0);
        let open = |text: String, place| {
            let opened = ring(&new).open(&Sealed::from_stored(text), place);
            opened.expect("it opens").expose_secret().to_owned()
        };
        let current = open(stored.current, places::webhook_secret(id));
        assert_eq!(current, second.expose_secret());
        let previous = stored.previous.expect("kept");
        let previous = open(previous, places::previous_webhook_secret(id));
        assert_eq!(previous, first.secret.expose_secret());
    }
}
