//! What can go wrong with the database, by what should happen next.

use sea_orm::{DbErr, RuntimeErr, sqlx};

use crate::failpoint::Injected;

/// A database operation that did not happen. Nothing of its transaction did.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// May work when tried again: connection lost, lock held, deadlock, disk full for now.
    #[error("the database is not available for now")]
    Unavailable(#[source] DbErr),
    /// Another node acts for this connection by now: what this one did must not be recorded.
    #[error("the lease of the connection is held by another node")]
    LeaseLost,
    /// A stored value that no code of this version writes.
    #[error("table {table} holds a value in {column} that this version does not know")]
    Inconsistent {
        table: &'static str,
        column: &'static str,
    },
    /// The database was migrated by a newer version of this program.
    #[error(
        "the database has the newer schema step {0}; start the version of calendar-integration that made it, or restore an older backup"
    )]
    NewerSchema(String),
    /// Another process uses this SQLite file.
    #[error(
        "another daemon uses this SQLite database; stop it, or use PostgreSQL to run several nodes"
    )]
    InUse,
    /// A bug of ours: a statement the database refuses.
    #[error("the database refused a statement")]
    Refused(#[source] DbErr),
}

impl StoreError {
    pub(crate) fn inconsistent(table: &'static str, column: &'static str) -> Self {
        Self::Inconsistent { table, column }
    }

    /// It was given up because it took too long; whether it happened is unknown.
    pub(crate) fn too_late() -> Self {
        let reason = "the database did not answer in time".to_owned();
        Self::Unavailable(DbErr::Conn(RuntimeErr::Internal(reason)))
    }

    /// Others kept changing the same rows.
    pub(crate) fn contended() -> Self {
        let reason = "others kept changing the same rows".to_owned();
        Self::Unavailable(DbErr::Conn(RuntimeErr::Internal(reason)))
    }

    /// Whether the same operation may work a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::LeaseLost
            | Self::Inconsistent { .. }
            | Self::NewerSchema(_)
            | Self::InUse
            | Self::Refused(_) => false,
        }
    }
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        if may_pass(&error) {
            Self::Unavailable(error)
        } else {
            Self::Refused(error)
        }
    }
}

impl From<Injected> for StoreError {
    fn from(injected: Injected) -> Self {
        Self::Unavailable(DbErr::Conn(RuntimeErr::Internal(injected.to_string())))
    }
}

fn may_pass(error: &DbErr) -> bool {
    match error {
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => true,
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
            match error.as_ref() {
                sqlx::Error::Database(refusal) => refusal
                    .code()
                    .is_some_and(|code| is_passing_code(code.as_ref())),
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed => true,
                _ => false,
            }
        }
        _ => false,
    }
}

/// SQLSTATE classes of PostgreSQL (appendix A of its manual) and result codes of SQLite
/// (sqlite.org/rescode.html); the two cannot be confused, for a SQLSTATE has five characters.
fn is_passing_code(code: &str) -> bool {
    if code.len() == 5 {
        // Connection trouble, rollback (deadlock, serialization), resources, intervention, system
        // error; a read-only transaction after a failover, one that a paused process kept open for too
        // long, a lock that was not to be had in time.
        return ["08", "40", "53", "57", "58"].contains(&&code[..2])
            || ["25006", "25P03", "55P03"].contains(&code);
    }
    // The low byte is the primary code: busy, locked, read-only, I/O error, full, cannot open.
    code.parse::<u32>()
        .is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 8 | 10 | 13 | 14))
}

#[cfg(test)]
mod tests {
    use sea_orm::ConnectionTrait;

    use super::super::Store;
    use crate::domain::SystemClock;

    #[tokio::test]
    async fn a_sqlite_file_that_only_reads_for_a_while_is_waited_for() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("test.db");
        let url = format!("sqlite://{}?mode=rwc", path.display()).into();
        let store = Store::open(&url).await.expect("opened");
        store.migrate().await.expect("a schema");
        let only_read = async |on: &str| {
            let pragma = format!("PRAGMA query_only = {on}");
            store.write.execute_unprepared(&pragma).await.expect("set");
        };
        let now = SystemClock::shared().now();
        only_read("ON").await;
        let refused = store.forget_sign_ins(now).await.expect_err("it only reads");
        assert!(refused.is_transient(), "{refused:?}");
        only_read("OFF").await;
        store.forget_sign_ins(now).await.expect("it writes again");
    }
}
