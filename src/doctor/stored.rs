//! The database: its disk, clock and schema, the keys its rows need, and what its history tells.

use std::path::Path;

use rustix::fs::{Access, access};
use secrecy::{ExposeSecret, SecretString};

use super::{Finding, Verdict, clock, disk, grants, sealed};
use crate::config::DatabaseConfig;
use crate::security::KeyRing;
use crate::store::{Store, StoreError};

pub(super) async fn examine(database: &DatabaseConfig, keys: Option<&KeyRing>) -> Vec<Finding> {
    let disk = Store::file_of(&database.url).and_then(|file| disk::examine(&file));
    if Store::is_yet_to_be_made(&database.url) {
        let finding = yet_to_be_made(&database.url);
        return std::iter::once(finding).chain(disk).collect();
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
            findings.extend(grants::examine(&store).await);
            if let Some(keys) = keys {
                findings.extend(sealed::examine(&store, keys).await);
            }
        }
        Ok(schema) => findings.push(Finding::new(
            Verdict::Doubtful,
            "schema",
            format!("{} steps are not applied yet", schema.pending.len()),
            "`serve` applies them when it starts; `migrate up` does now",
        )),
        Err(error) => findings.push(Finding::new(
            Verdict::Bad,
            "schema",
            error.to_string(),
            "see that the user may read the table seaql_migrations, and that nobody changed it",
        )),
    }
    store.close().await;
    findings
}

pub(super) fn unreachable(error: &StoreError) -> Finding {
    Finding::new(
        Verdict::Bad,
        "database",
        error.to_string(),
        "check DATABASE_URL, that the server runs, and that the user may connect",
    )
}

/// A mistyped path looks like this, too.
fn yet_to_be_made(url: &SecretString) -> Finding {
    const SUBJECT: &str = "database";
    let file = Store::file_of(url).unwrap_or_default();
    let directory = file.parent().filter(|path| *path != Path::new(""));
    let directory = directory.unwrap_or(Path::new("."));
    let bad = |detail: String, remedy: &str| Finding::new(Verdict::Bad, SUBJECT, detail, remedy);
    if !directory.is_dir() {
        return bad(
            format!("the directory {} is not there", directory.display()),
            "check the path in DATABASE_URL, or make the directory",
        );
    }
    if access(directory, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        return bad(
            format!("nothing can be written in {}", directory.display()),
            "let the daemon's user own the directory, or check the path in DATABASE_URL",
        );
    }
    let query = url.expose_secret().split_once('?').map(|(_, query)| query);
    if !query.is_some_and(|query| query.split('&').any(|part| part == "mode=rwc")) {
        return bad(
            format!(
                "{} is not there, and `serve` may not make it",
                file.display()
            ),
            "check the path in DATABASE_URL, or let it end in ?mode=rwc",
        );
    }
    Finding::new(
        Verdict::Doubtful,
        SUBJECT,
        format!(
            "there is nothing at {}; `serve` would begin an empty one",
            file.display()
        ),
        "nothing before the first start; later, check the path in DATABASE_URL and the working directory",
    )
}
