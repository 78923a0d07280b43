//! SQLite's write-ahead log, copied back beside the work instead of in front of it.
//!
//! Left to itself, the commit that finds the log long copies it back before it returns, and everyone
//! who waits for the one writer waits for that too. Here another connection does it now and then. It
//! never catches up with a writer that goes on, and the log begins anew only once all of it was copied,
//! so when the log has become long the writer copies the little that is left, between two
//! transactions. A commit only does it itself should all this ever fall far behind.
//!
//! What is erased is overwritten in the database (`secure_delete`), but the log is a history: it is cut
//! off every few minutes, so that nothing erased stays in it for longer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::open::BUSY_TIMEOUT;
use super::patience::in_time;
use super::{Store, StoreError};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement};
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Transactions between two copies: a few megabytes of log.
const TRANSACTIONS: u32 = 100;
/// Pages of log, 4 KiB each, at which the writer finishes a copy.
const LONG: i32 = 4_096;
/// Pages of log at which a commit copies them back itself.
pub(super) const LAST_RESORT_PAGES: u32 = 16_384;

/// How long cutting off the log may wait for readers, while everyone who writes waits for it.
const MOST_FOR_READERS_MS: u32 = 200;

impl Store {
    /// Copies all of SQLite's log back and cuts it off. While somebody reads for longer (a backup), it
    /// is left for the next time.
    pub async fn cut_off_log(&self) -> Result<(), StoreError> {
        if !self.is_sqlite() {
            return Ok(());
        }
        let usual = BUSY_TIMEOUT.as_millis();
        in_time(async {
            // One text, so that nobody else's transaction comes in between and gives up as early.
            let pragmas = format!(
                "PRAGMA busy_timeout = {MOST_FOR_READERS_MS}; PRAGMA wal_checkpoint(TRUNCATE); \
                 PRAGMA busy_timeout = {usual}"
            );
            let cut = self.write.execute_unprepared(&pragmas).await;
            if cut.is_err() {
                let restore = format!("PRAGMA busy_timeout = {usual}");
                self.write.execute_unprepared(&restore).await?;
            }
            cut?;
            Ok(())
        })
        .await
    }
}

/// Counts transactions and copies the log back after every so many.
#[derive(Debug)]
pub(super) struct Checkpoints {
    begun: AtomicU32,
    due: Arc<Notify>,
    _stop: DropGuard,
}

impl Checkpoints {
    /// Works until it is dropped.
    pub(super) fn through(reader: DatabaseConnection, writer: DatabaseConnection) -> Self {
        let due = Arc::new(Notify::new());
        let stop = CancellationToken::new();
        tokio::spawn(copy_back(reader, writer, due.clone(), stop.clone()));
        Self {
            begun: AtomicU32::new(0),
            due,
            _stop: stop.drop_guard(),
        }
    }

    pub(super) fn transaction_begins(&self) {
        let begun = self.begun.fetch_add(1, Ordering::Relaxed);
        if begun.is_multiple_of(TRANSACTIONS) {
            self.due.notify_one();
        }
    }
}

async fn copy_back(
    reader: DatabaseConnection,
    writer: DatabaseConnection,
    due: Arc<Notify>,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = due.notified() => {}
            () = stop.cancelled() => return,
        }
        let copied = match checkpoint(&reader).await {
            Ok(length) if length >= LONG => checkpoint(&writer).await,
            copied => copied,
        };
        if let Err(error) = copied {
            tracing::debug!(error = %error, "the write-ahead log was not copied back");
        }
    }
}

/// Copies what can be copied without waiting for anybody; answers how many pages the log has.
async fn checkpoint(connection: &DatabaseConnection) -> Result<i32, DbErr> {
    let pragma = Statement::from_string(DbBackend::Sqlite, "PRAGMA wal_checkpoint(PASSIVE)");
    let answer = connection.query_one_raw(pragma).await?;
    answer.map_or(Ok(0), |row| row.try_get("", "log"))
}
