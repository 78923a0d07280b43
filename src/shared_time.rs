//! One time for all nodes: the database's.
//!
//! Due times are absolute and read by whichever node acts next; lease times are the database's own.
//! If each node went by its host's clock, what one queues would be due minutes late at another whose
//! clock is behind. So every node's clock follows PostgreSQL's, asked again and again, and goes on by
//! itself while the database is away. A SQLite file has one node, whose own clock is as good as any.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::{Clock, Reading};
use crate::store::{Store, StoreError};

const TURN: Duration = Duration::from_secs(5);
/// An answer that took longer says too little.
const SLOWEST: Duration = Duration::from_secs(1);

/// Asks once. Before anything else reads the clock, so that it need not jump.
pub(crate) async fn follow_once(store: &Store, clock: &dyn Clock) -> Result<(), StoreError> {
    let asked = clock.monotonic();
    let Some(now) = store.time().await? else {
        return Ok(());
    };
    let took = clock.monotonic().saturating_sub(asked);
    if took <= SLOWEST {
        clock.follow(Reading {
            now,
            at: asked + took / 2,
            uncertainty: took,
        });
    }
    Ok(())
}

/// Asks again and again, until `stop`.
pub(crate) async fn follow(
    store: Store,
    clock: std::sync::Arc<dyn Clock>,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = clock.sleep(TURN) => {}
            () = stop.cancelled() => return,
        }
        if let Err(error) = follow_once(&store, clock.as_ref()).await {
            tracing::debug!(error = %error, "the database was not asked for its time");
        }
    }
}
