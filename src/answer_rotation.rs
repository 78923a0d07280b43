//! Encrypting kept answers anew under the first key of the ring, beside a daemon that serves. What is kept
//! never changes: it ends, or stays as it was.

use crate::domain::{Entropy, Timestamp};
use crate::security::{KeyRing, Sealed, places};
use crate::store::{SealedAnswer, Store, StoreError};

/// Rows read and stored at once; an answer may have 128 KB.
const PAGE: u64 = 50;
/// How often a busy database is tried.
const TRIES: usize = 5;

/// What became of kept answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AnswerRotation {
    pub(crate) resealed: u64,
    /// Were under the first key already.
    pub(crate) current: u64,
    /// No key opens them.
    pub(crate) unreadable: u64,
}

/// # Errors
/// Whatever the database refuses; what was done by then stays done, and running it again goes on.
pub(crate) async fn rotate_answers(
    store: &Store,
    keys: &KeyRing,
    entropy: &dyn Entropy,
    now: Timestamp,
) -> Result<AnswerRotation, StoreError> {
    let mut rotation = AnswerRotation::default();
    let mut after: Option<String> = None;
    loop {
        let page = store.answers_page(after.as_deref(), PAGE, now).await?;
        let Some(last) = page.last() else {
            return Ok(rotation);
        };
        after = Some(last.key_hash.clone());
        let mut resealed = Vec::new();
        for stored in page {
            let sealed = Sealed::from_stored(stored.body.clone());
            let place = places::kept_answer(stored.holder);
            if keys.is_current(&sealed) {
                rotation.current += 1;
            } else if let Ok(opened) = keys.open(&sealed, place) {
                resealed.push((stored, keys.seal(&opened, place, entropy).into_string()));
            } else {
                rotation.unreadable += 1;
            }
        }
        if !resealed.is_empty() {
            rotation.resealed += patiently(store, &resealed).await?;
        }
    }
}

async fn patiently(store: &Store, resealed: &[(SealedAnswer, String)]) -> Result<u64, StoreError> {
    let mut tries = 1;
    loop {
        match store.reseal_answers(resealed).await {
            Err(error) if error.is_transient() && tries < TRIES => tries += 1,
            ended => return ended,
        }
    }
}
