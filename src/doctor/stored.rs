//! The database: its disk, clock and schema, the keys its rows need, and what its history tells.

use std::collections::BTreeMap;

use super::{Finding, Verdict, clock, disk, grants};
use crate::config::DatabaseConfig;
use crate::domain::SystemClock;
use crate::security::{KeyRing, Sealed, places};
use crate::store::{Store, StoreError};

const PAGE: u64 = 500;

pub(super) async fn examine(database: &DatabaseConfig, keys: Option<&KeyRing>) -> Vec<Finding> {
    let disk = Store::file_of(&database.url).and_then(|file| disk::examine(&file));
    if Store::is_yet_to_be_made(&database.url) {
        let detail = "the SQLite file is not there yet; `serve` makes it when it starts";
        return [Finding::good("database", detail)]
            .into_iter()
            .chain(disk)
            .collect();
    }
    let store = match Store::open_beside(&database.url).await {
        Ok(store) => store,
        Err(error) => return vec![unreachable(&error)],
    };
    let mut findings = vec![Finding::good("database", "answers")];
    findings.extend(disk);
    findings.extend(clock::of_database(&store).await);
    match store.schema().await {
        Ok(schema) if !schema.unknown.is_empty() => findings.push(Finding::new(
            Verdict::Bad,
            "schema",
            format!("a newer version has made {}", schema.unknown.join(", ")),
            "start the version that made it, or restore a backup from before",
        )),
        Ok(schema) if schema.pending.is_empty() => {
            findings.push(Finding::good("schema", "up to date"));
            findings.extend(grants::examine(&store, SystemClock::shared().now()).await);
            if let Some(keys) = keys {
                findings.push(stored_tokens(&store, keys).await);
            }
        }
        Ok(schema) => findings.push(Finding::new(
            Verdict::Doubtful,
            "schema",
            format!("{} steps are not applied yet", schema.pending.len()),
            "`serve` applies them when it starts; `migrate up` does now",
        )),
        Err(error) => findings.push(unreachable(&error)),
    }
    store.close().await;
    findings
}

fn unreachable(error: &StoreError) -> Finding {
    Finding::new(
        Verdict::Bad,
        "database",
        error.to_string(),
        "check DATABASE_URL, that the server runs, and that the user may connect",
    )
}

async fn stored_tokens(store: &Store, keys: &KeyRing) -> Finding {
    let mut readable = 0_u64;
    let mut unreadable: BTreeMap<String, u64> = BTreeMap::new();
    let mut after = None;
    loop {
        let page = match store.tokens_page(after, PAGE).await {
            Ok(page) => page,
            Err(error) => return unreachable(&error),
        };
        let Some(last) = page.last() else { break };
        after = Some(last.connection_id);
        for stored in page {
            let id = stored.connection_id;
            let texts = [
                (&stored.sealed.access, places::access_token(id)),
                (&stored.sealed.refresh, places::refresh_token(id)),
            ];
            let opened = texts.into_iter().find_map(|(text, place)| {
                keys.open(&Sealed::from_stored(text.clone()), place).err()
            });
            match opened {
                None => readable += 1,
                Some(why) => *unreadable.entry(why.to_string()).or_default() += 1,
            }
        }
    }
    if unreadable.is_empty() {
        return Finding::good(
            "stored tokens",
            format!("{readable} connections, all readable"),
        );
    }
    let reasons: Vec<String> = unreadable
        .iter()
        .map(|(why, count)| format!("{count} connections: {why}"))
        .collect();
    Finding::new(
        Verdict::Bad,
        "stored tokens",
        reasons.join("; "),
        "put the missing key back into TOKEN_ENCRYPTION_KEYS, or have these coaches sign in again",
    )
}
