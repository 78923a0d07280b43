//! Encrypting stored tokens anew under the first key of the ring, beside a daemon that may be
//! replacing them: a row that changed meanwhile is looked at again.

use crate::domain::{ConnectionId, Entropy};
use crate::security::{Context, KeyRing, Sealed, Unreadable, places};
use crate::store::{SealedTokens, Store, StoreError, StoredTokens};

/// Rows read and stored at once: few statements, for each waits its turn among the daemon's, and yet
/// none for whose rows a worker waits long.
const PAGE: u64 = 250;
/// How often a row that keeps changing is tried (a refresh takes an hour to come around again), and a
/// database that is busy.
const TRIES: usize = 5;

/// What a rotation did.
#[derive(Debug, Default)]
pub struct Rotation {
    pub resealed: u64,
    /// Were under the first key already.
    pub current: u64,
    pub unreadable: Vec<(ConnectionId, Unreadable)>,
    /// Changed each time they were tried; running it again tries them again.
    pub left: u64,
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
        rotate_page(store, keys, entropy, page, &mut rotation).await?;
    }
}

async fn rotate_page(
    store: &Store,
    keys: &KeyRing,
    entropy: &dyn Entropy,
    mut page: Vec<StoredTokens>,
    rotation: &mut Rotation,
) -> Result<(), StoreError> {
    for _ in 0..TRIES {
        let mut resealed = Vec::new();
        for stored in page {
            match reseal(keys, entropy, &stored) {
                Ok(Some(anew)) => resealed.push((stored, anew)),
                Ok(None) => rotation.current += 1,
                Err(why) => rotation.unreadable.push((stored.connection_id, why)),
            }
        }
        if resealed.is_empty() {
            return Ok(());
        }
        let others = patiently(store, &resealed).await?;
        rotation.resealed += (resealed.len() - others.len()) as u64;
        page = Vec::new();
        for id in others {
            // One that was disconnected meanwhile has nothing left to encrypt.
            page.extend(store.tokens(id).await?);
        }
    }
    rotation.left += page.len() as u64;
    Ok(())
}

async fn patiently(
    store: &Store,
    resealed: &[(StoredTokens, SealedTokens)],
) -> Result<Vec<ConnectionId>, StoreError> {
    let mut tries = 1;
    loop {
        match store.reseal_tokens(resealed).await {
            Err(error) if error.is_transient() && tries < TRIES => tries += 1,
            ended => return ended,
        }
    }
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
