//! The longest that work waits for the database: what actors read and write, and what requests write.
//!
//! A server that is gone resets nothing: without a bound, whoever was waiting for it would wait until
//! the system gives its sockets up, a quarter of an hour later. What is not in here has another bound, or
//! needs none: a request is ended after its 30 seconds whatever it waits for, and for the tidying of the
//! housekeeper nobody waits.

use std::time::Duration;

use super::StoreError;

/// Longer than waiting for a connection and for a lock together.
const LONGEST: Duration = Duration::from_secs(13);

/// An operation, given up when it takes too long. Nobody knows then whether it happened: as after a
/// crash, what is done next must be right in both cases.
pub(super) async fn in_time<T>(
    operation: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    tokio::time::timeout(LONGEST, operation)
        .await
        .unwrap_or_else(|_| Err(StoreError::too_late()))
}
