//! SQLite's write-ahead log, copied back beside the work instead of in front of it.
//!
//! Left to itself, the commit that finds the log long copies it back before it returns, and everyone
//! who waits for the one writer waits for that too. Here another connection does it now and then; a
//! commit only does it itself should this ever fall far behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sea_orm::{ConnectionTrait, DatabaseConnection};
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Transactions between two copies: a few megabytes of log.
const TRANSACTIONS: u32 = 100;
/// Pages of log, 4 KiB each, at which a commit copies them back itself.
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
    pub(super) fn through(connection: DatabaseConnection) -> Self {
        let due = Arc::new(Notify::new());
        let stop = CancellationToken::new();
        tokio::spawn(copy_back(connection, due.clone(), stop.clone()));
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

async fn copy_back(connection: DatabaseConnection, due: Arc<Notify>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = due.notified() => {}
            () = stop.cancelled() => return,
        }
        // PASSIVE waits for nobody and holds up nobody; what it must leave, the next one takes.
        let copied = connection
            .execute_unprepared("PRAGMA wal_checkpoint(PASSIVE)")
            .await;
        if let Err(error) = copied {
            tracing::debug!(error = %error, "the write-ahead log was not copied back");
        }
    }
}
