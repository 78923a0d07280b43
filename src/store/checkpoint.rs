//! SQLite's write-ahead log, copied back beside the work instead of in front of it.
//!
//! Left to itself, the commit that finds the log long copies it back before it returns, and everyone
//! who waits for the one writer waits for that too. Here another connection does it now and then. It
//! never catches up with a writer that goes on, and the log begins anew only once all of it was copied,
//! so when the log has become long the writer copies the little that is left, between two
//! transactions. A commit only does it itself should all this ever fall far behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement};
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Transactions between two copies: a few megabytes of log.
const TRANSACTIONS: u32 = 100;
/// Pages of log, 4 KiB each, at which the writer finishes a copy.
const LONG: i32 = 4_096;
/// Pages of log at which a commit copies them back itself.
pub(super) const LAST_RESORT_PAGES: u32 = 16_384;

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
