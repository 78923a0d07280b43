//! Whether the keys that are set open everything that is stored sealed.

use std::collections::BTreeMap;

use super::stored::unreachable;
use super::{Finding, Verdict};
use crate::domain::{SystemClock, Timestamp};
use crate::security::{Context, KeyRing, Sealed, Unreadable, places};
use crate::store::{Store, StoreError};

const PAGE: u64 = 500;
/// An answer may have 128 KB.
const ANSWERS_PAGE: u64 = 50;

/// How many rows open, and why the others do not.
#[derive(Debug, Default)]
struct Tally {
    readable: u64,
    unreadable: BTreeMap<String, u64>,
}

pub(super) async fn examine(store: &Store, keys: &KeyRing) -> Vec<Finding> {
    let now = SystemClock::shared().now();
    vec![
        judge(
            "stored tokens",
            "connections",
            tokens(store, keys).await,
            "put the missing key back into TOKEN_ENCRYPTION_KEYS, or have these coaches sign in again",
        ),
        judge(
            "webhook secrets",
            "webhooks",
            webhook_secrets(store, keys, now).await,
            "put the missing key back into TOKEN_ENCRYPTION_KEYS, or give these webhooks new secrets \
             (POST .../rotate-secret)",
        ),
        judge(
            "kept answers",
            "kept answers",
            kept_answers(store, keys, now).await,
            "put the missing key back into TOKEN_ENCRYPTION_KEYS, or wait: they end within 24 hours, and \
             until then whoever repeats their requests is answered 503 kept_answer_unreadable",
        ),
    ]
}

impl Tally {
    fn count<'a>(&mut self, keys: &KeyRing, row: impl IntoIterator<Item = (&'a str, Context)>) {
        let refused = row
            .into_iter()
            .find_map(|(text, place)| opens(keys, text, place).err());
        match refused {
            None => self.readable += 1,
            Some(why) => *self.unreadable.entry(why.to_string()).or_default() += 1,
        }
    }
}

fn opens(keys: &KeyRing, text: &str, place: Context) -> Result<(), Unreadable> {
    let sealed = Sealed::from_stored(text.to_owned());
    keys.open(&sealed, place).map(drop)
}

async fn tokens(store: &Store, keys: &KeyRing) -> Result<Tally, StoreError> {
    let mut tally = Tally::default();
    let mut after = None;
    loop {
        let page = store.tokens_page(after, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(tally);
        };
        after = Some(last.connection_id);
        for stored in &page {
            let id = stored.connection_id;
            let access = (&*stored.sealed.access, places::access_token(id));
            let refresh = (&*stored.sealed.refresh, places::refresh_token(id));
            tally.count(keys, [access, refresh]);
        }
    }
}

async fn webhook_secrets(
    store: &Store,
    keys: &KeyRing,
    now: Timestamp,
) -> Result<Tally, StoreError> {
    let mut tally = Tally::default();
    for stored in store.webhook_secrets(None).await? {
        let id = stored.webhook_id;
        let lasts = stored.previous_until.is_some_and(|until| until > now);
        let previous = stored.previous.as_deref().filter(|_| lasts);
        let previous = previous.map(|text| (text, places::previous_webhook_secret(id)));
        let current = (&*stored.current, places::webhook_secret(id));
        tally.count(keys, std::iter::once(current).chain(previous));
    }
    Ok(tally)
}

async fn kept_answers(store: &Store, keys: &KeyRing, now: Timestamp) -> Result<Tally, StoreError> {
    let mut tally = Tally::default();
    let mut after: Option<String> = None;
    loop {
        let page = store
            .answers_page(after.as_deref(), ANSWERS_PAGE, now)
            .await?;
        let Some(last) = page.last() else {
            return Ok(tally);
        };
        after = Some(last.key_hash.clone());
        for stored in &page {
            tally.count(keys, [(&*stored.body, places::kept_answer(stored.holder))]);
        }
    }
}

fn judge(
    subject: &str,
    rows: &str,
    counted: Result<Tally, StoreError>,
    remedy: &'static str,
) -> Finding {
    let tally = match counted {
        Ok(tally) => tally,
        Err(error) => return unreachable(&error),
    };
    if tally.unreadable.is_empty() {
        let detail = format!("{} {rows}, all readable", tally.readable);
        return Finding::good(subject, detail);
    }
    let reasons = tally.unreadable.iter();
    let reasons: Vec<String> = reasons
        .map(|(why, count)| format!("{count} {rows}: {why}"))
        .collect();
    Finding::new(Verdict::Bad, subject, reasons.join("; "), remedy)
}
