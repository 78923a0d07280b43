//! Encrypting stored tokens anew under the first key of the ring, beside a daemon that may be
//! replacing them: a row that changed meanwhile is looked at again.

use crate::domain::{ConnectionId, Entropy};
use crate::security::{Context, KeyRing, Sealed, Unreadable, places};
use crate::store::{SealedTokens, Store, StoreError, StoredTokens};

/// Rows read at once.
const PAGE: u64 = 500;
/// How often a row that keeps changing is tried; a refresh takes an hour to come around again.
const TRIES: usize = 5;

/// What a rotation did.
#[derive(Debug, Default)]
pub struct Rotation {
    pub resealed: u64,
    /// Were under the first key already.
    pub current: u64,
    pub unreadable: Vec<(ConnectionId, Unreadable)>,
}

/// # Errors
/// Whatever the database refuses; rows done by then stay done, and running it again goes on.
pub async fn rotate(
    store: &Store,
    keys: &KeyRing,
    entropy: &dyn Entropy,
) -> Result<Rotation, StoreError> {
    let mut rotation = Rotation::default();
    let mut after = None;
    loop {
        let page = store.tokens_page(after, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(rotation);
        };
        after = Some(last.connection_id);
        for stored in page {
            rotate_one(store, keys, entropy, stored, &mut rotation).await?;
        }
    }
}

async fn rotate_one(
    store: &Store,
    keys: &KeyRing,
    entropy: &dyn Entropy,
    mut stored: StoredTokens,
    rotation: &mut Rotation,
) -> Result<(), StoreError> {
    for _ in 0..TRIES {
        let id = stored.connection_id;
        let resealed = match reseal(keys, entropy, &stored) {
            Ok(Some(resealed)) => resealed,
            Ok(None) => {
                rotation.current += 1;
                return Ok(());
            }
            Err(unreadable) => {
                rotation.unreadable.push((id, unreadable));
                return Ok(());
            }
        };
        if store.reseal_tokens(&stored, &resealed).await? {
            rotation.resealed += 1;
            return Ok(());
        }
        match store.tokens(id).await? {
            Some(changed) => stored = changed,
            // Disconnected meanwhile: nothing is left to encrypt.
            None => return Ok(()),
        }
    }
    Ok(())
}

/// `None` if both tokens are under the first key already.
fn reseal(
    keys: &KeyRing,
    entropy: &dyn Entropy,
    stored: &StoredTokens,
) -> Result<Option<SealedTokens>, Unreadable> {
    let sealed = |text: &str| Sealed::from_stored(text.to_owned());
    let (access, refresh) = (
        sealed(&stored.sealed.access),
        sealed(&stored.sealed.refresh),
    );
    if keys.is_current(&access) && keys.is_current(&refresh) {
        return Ok(None);
    }
    let anew = |text: &Sealed, place: Context| {
        let opened = keys.open(text, place)?;
        Ok(keys.seal(&opened, place, entropy).into_string())
    };
    Ok(Some(SealedTokens {
        access: anew(&access, places::access_token(stored.connection_id))?,
        refresh: anew(&refresh, places::refresh_token(stored.connection_id))?,
        access_expires_at: stored.sealed.access_expires_at,
    }))
}
