//! Writing set-based statements that both databases read.
//!
//! Placeholders are `$1`, `$2`, … on both. The few words in which the two differ are here.

use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};
use sha2::{Digest, Sha256};

use crate::domain::{CoachId, ProviderKind, Timestamp};
use crate::store::StoreError;

/// A statement under construction: text, with each value bound where it is written.
#[derive(Debug)]
pub(super) struct Sql {
    backend: DbBackend,
    text: String,
    values: Vec<Value>,
}

impl Sql {
    pub(super) fn on(db: &impl ConnectionTrait) -> Self {
        Self {
            backend: db.get_database_backend(),
            text: String::new(),
            values: Vec::new(),
        }
    }

    pub(super) fn backend(&self) -> DbBackend {
        self.backend
    }

    pub(super) fn text(mut self, text: &str) -> Self {
        self.text.push_str(text);
        self
    }

    pub(super) fn value(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self.text.push('$');
        self.text.push_str(&self.values.len().to_string());
        self
    }

    /// `($1, $2, …)`; an empty list matches nothing.
    pub(super) fn list<V: Into<Value>>(mut self, values: impl IntoIterator<Item = V>) -> Self {
        self.text.push('(');
        for (position, value) in values.into_iter().enumerate() {
            if position > 0 {
                self.text.push(',');
            }
            self = self.value(value);
        }
        if self.text.ends_with('(') {
            self.text.push_str("NULL");
        }
        self.text.push(')');
        self
    }

    /// A fresh id, made by the database because the number of rows is only known there. As in a UUID
    /// of version 7 it begins with the time in milliseconds, so that new rows are neighbours in the
    /// index and not each on a page of its own.
    pub(super) fn new_id(self, now: Timestamp) -> Self {
        let [_, _, time @ ..] = now.timestamp_millis().to_be_bytes();
        let time = time.to_vec();
        match self.backend {
            DbBackend::Postgres => self
                .text("encode(overlay(uuid_send(gen_random_uuid()) placing ")
                .value(time)
                .text(" from 1), 'hex')::uuid"),
            _ => self
                .text("CAST(")
                .value(time)
                .text(" || randomblob(10) AS BLOB)"),
        }
    }

    /// A column no index is to be chosen for. Statistics of a backlog that has just come are missing or
    /// old: any `status = …` is then taken to be rarer than a list of ids, and 100,000 rows would be
    /// read to find the few asked for.
    pub(super) fn plain_column(self, name: &str) -> Self {
        self.text("COALESCE(")
            .text(name)
            .text(", ")
            .text(name)
            .text(")")
    }

    /// Locks the rows a subquery selects, where that is needed.
    pub(super) fn for_update(self) -> Self {
        match self.backend {
            DbBackend::Postgres => self.text(" FOR UPDATE"),
            _ => self,
        }
    }

    /// As [`for_update`](Self::for_update), yet others may go on referring to the rows.
    pub(super) fn for_no_key_update(self) -> Self {
        match self.backend {
            DbBackend::Postgres => self.text(" FOR NO KEY UPDATE"),
            _ => self,
        }
    }

    /// Keeps the rows a statement finds in this table from being deleted, where that is needed.
    pub(super) fn for_key_share(self, table: &str) -> Self {
        match self.backend {
            DbBackend::Postgres => self.text(" FOR KEY SHARE OF ").text(table),
            _ => self,
        }
    }

    pub(super) fn build(self) -> Statement {
        Statement::from_sql_and_values(self.backend, self.text, self.values)
    }

    pub(super) async fn execute(self, db: &impl ConnectionTrait) -> Result<u64, StoreError> {
        Ok(db.execute_raw(self.build()).await?.rows_affected())
    }
}

/// Makes what is done for these coaches serial until the transaction ends.
pub(super) async fn lock_coaches(
    db: &impl ConnectionTrait,
    coaches: impl IntoIterator<Item = CoachId>,
) -> Result<(), StoreError> {
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    let mut keys: Vec<i64> = coaches.into_iter().map(lock_key).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        lock(db, key).await?;
    }
    Ok(())
}

/// Makes connecting and disconnecting this account serial until the transaction ends, whichever coaches
/// do so.
pub(super) async fn lock_account(
    db: &impl ConnectionTrait,
    provider: ProviderKind,
    account_id: &str,
) -> Result<(), StoreError> {
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    let hash = Sha256::digest(format!("{provider} {account_id}"));
    let mut key = [0; 8];
    key.copy_from_slice(&hash[..8]);
    lock(db, i64::from_be_bytes(key)).await
}

async fn lock(db: &impl ConnectionTrait, key: i64) -> Result<(), StoreError> {
    Sql::on(db)
        .text("SELECT pg_advisory_xact_lock(")
        .value(key)
        .text(")")
        .execute(db)
        .await?;
    Ok(())
}

fn lock_key(coach: CoachId) -> i64 {
    let (high, low) = coach.0.as_u64_pair();
    (high ^ low).cast_signed()
}
