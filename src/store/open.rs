//! Opening a database: pools, pragmas, exclusivity, schema.

use std::fs::{File, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use migration::{Migrator, MigratorTrait, SchemaManager};
use sea_orm::sqlx::postgres::PgPoolOptions;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{self, Connection};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend,
    DbErr, RuntimeErr, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::StoreError;
use super::checkpoint::{Checkpoints, LAST_RESORT_PAGES};
use super::patience::in_time;
use crate::failpoint::{self, Step};

/// How long a statement waits for another process that writes to the same SQLite file.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a transaction waits for a connection of the pool before the caller is told to come back.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// What PostgreSQL is told once connected, for poolers in between refuse options at the start of a
/// connection.
///
/// How long a statement may wait for a lock, and a transaction for its next statement: one whose client
/// is gone must neither queue for locks nor keep them. The first is the longer one: who waits for a lock
/// that a paused process holds outlasts its transaction, and gets it. And to find rows by index and one by one. Nearly
/// all that a daemon asks for is a few rows by key, of tables that grow by 100,000 rows in seconds, while
/// plans rest on statistics that are a minute old, or were made when a table had ten rows and reading
/// it whole was right. What counts a whole backlog pays for that with some tenths of a second. An
/// `ORDER BY` needs an index that has its order beside the key: without one, a table is walked in the
/// order of another.
const SESSION: &str = "SET lock_timeout = '6s'; SET idle_in_transaction_session_timeout = '5s'; \
     SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; \
     SET enable_sort = off; SET jit = off";
/// But a migration takes as long as it takes, and so does the turn before.
const UNSET_TIMEOUTS: &str =
    "SET LOCAL lock_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0";
/// `on` where nothing can be written, as at a standby.
const READ_ONLY: &str = "SHOW transaction_read_only";
/// How long a connection that comes back to the pool may take to say that it is in order.
const RETURN_TIMEOUT: Duration = Duration::from_secs(3);
/// The age at which a connection is replaced, so that after a failover none stays long with a server
/// that was demoted and only reads.
const OLDEST_CONNECTION: Duration = Duration::from_secs(300);
const SQLITE_READERS: u32 = 4;
/// KiB of pages a connection keeps in memory: the upper pages of all indexes, and the system's cache
/// has the others. Not much more, for a commit that balanced a tree walks through all that is kept.
const SQLITE_CACHE: u32 = 4 * 1024;
const POSTGRES_CONNECTIONS: u32 = 16;

/// The table of steps, as the migrator calls it.
const STEPS: &str = "seaql_migrations";

/// Any number, as long as it stays the same.
const MIGRATION_LOCK: i64 = 0x63_61_6c_69_6e_74;

/// Claims and settles that use the database at once. Fewer than PostgreSQL's pool holds, and in a
/// queue of their own before SQLite's one writer: however many calendars wake up together, an API
/// call waits for a few of them at most.
const ROUNDS_AT_ONCE: usize = 8;

/// The open database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pub(super) read: DatabaseConnection,
    pub(super) write: DatabaseConnection,
    /// Claims and settles under way, see [`ROUNDS_AT_ONCE`].
    rounds: Arc<Semaphore>,
    /// Something was written down for a webhook.
    pub(super) webhook_news: Arc<Notify>,
    /// Of a SQLite file.
    checkpoints: Option<Arc<Checkpoints>>,
    /// Held while a daemon uses a SQLite file; released by the system even after kill -9.
    _lock: Option<Arc<File>>,
}

/// Which steps of the schema are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaStatus {
    pub applied: Vec<String>,
    pub pending: Vec<String>,
    /// Applied by a newer version of this program.
    pub unknown: Vec<String>,
}

impl Store {
    /// Opens the database for a daemon: on SQLite no second daemon may, for a file knows no leases
    /// between machines. Tools that only read or rotate use [`Store::open_beside`].
    ///
    /// # Errors
    /// [`StoreError::InUse`] if another daemon has the SQLite file, [`StoreError::Unavailable`] if
    /// the database cannot be reached.
    pub async fn open(url: &SecretString) -> Result<Self, StoreError> {
        let lock = match sqlite_file(url) {
            Some(path) => Some(Arc::new(lock_beside(path)?)),
            None => None,
        };
        let mut store = Self::open_beside(url).await?;
        store._lock = lock;
        Ok(store)
    }

    /// Whether the URL names a SQLite file that is not there yet. Opening it would make it.
    pub fn is_yet_to_be_made(url: &SecretString) -> bool {
        sqlite_file(url).is_some_and(|path| !path.exists())
    }

    /// The file of a SQLite URL, whether it is there or not.
    pub fn file_of(url: &SecretString) -> Option<PathBuf> {
        sqlite_file(url)
    }

    /// Opens the database beside a daemon that may be using it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the database cannot be reached.
    pub async fn open_beside(url: &SecretString) -> Result<Self, StoreError> {
        let (read, write) = if url.expose_secret().starts_with("sqlite:") {
            make_private(url);
            // One writer: transactions queue in the pool instead of failing as busy.
            let write = Database::connect(sqlite(url, 1)).await?;
            let read = if is_in_memory(url) {
                write.clone()
            } else {
                Database::connect(sqlite(url, SQLITE_READERS)).await?
            };
            (read, write)
        } else {
            let pool = Database::connect(postgres(url)).await?;
            (pool.clone(), pool)
        };
        let checkpoints =
            sqlite_file(url).map(|_| Arc::new(Checkpoints::through(read.clone(), write.clone())));
        Ok(Self {
            read,
            write,
            rounds: Arc::new(Semaphore::new(ROUNDS_AT_ONCE)),
            webhook_news: Arc::default(),
            checkpoints,
            _lock: None,
        })
    }

    /// Brings the schema up to this version.
    ///
    /// # Errors
    /// [`StoreError::NewerSchema`] if a newer version has been here.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let turn = self.migration_turn().await?;
        self.refuse_newer_schema().await?;
        failpoint::before(Step::Migrate)?;
        Migrator::up(&self.write, None).await?;
        failpoint::after(Step::Migrate)?;
        if let Some(turn) = turn {
            turn.commit().await?;
        }
        Ok(())
    }

    /// Nodes that start at the same time on a new PostgreSQL take turns, each until its transaction
    /// ends. A SQLite file has one daemon.
    async fn migration_turn(&self) -> Result<Option<DatabaseTransaction>, StoreError> {
        if self.is_sqlite() {
            return Ok(None);
        }
        let turn = self.begin().await?;
        turn.execute_unprepared(UNSET_TIMEOUTS).await?;
        turn.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
            .await?;
        Ok(Some(turn))
    }

    /// Takes the schema back by `steps`, all of it for `None`. Destroys what those steps hold.
    ///
    /// # Errors
    /// [`StoreError::NewerSchema`] if a newer version has been here.
    pub async fn migrate_down(&self, steps: Option<u32>) -> Result<(), StoreError> {
        self.refuse_newer_schema().await?;
        Migrator::down(&self.write, steps).await?;
        Ok(())
    }

    /// Only looks: a database without a schema stays without one.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the database cannot be reached.
    pub async fn schema(&self) -> Result<SchemaStatus, StoreError> {
        self.ping().await?;
        // The table of steps comes with the first step; without it there is none.
        let has_any = SchemaManager::new(&self.read).has_table(STEPS).await?;
        let applied: Vec<String> = if has_any {
            let rows = Migrator::get_migration_models(&self.read).await?;
            rows.into_iter().map(|row| row.version).collect()
        } else {
            Vec::new()
        };
        let known = known_steps();
        let unknown = applied.iter().filter(|step| !known.contains(step));
        let unknown = unknown.cloned().collect();
        let pending = known
            .into_iter()
            .filter(|step| !applied.contains(step))
            .collect();
        Ok(SchemaStatus {
            applied,
            pending,
            unknown,
        })
    }

    async fn refuse_newer_schema(&self) -> Result<(), StoreError> {
        let known = known_steps();
        match self
            .applied_steps()
            .await?
            .into_iter()
            .find(|step| !known.contains(step))
        {
            Some(unknown) => Err(StoreError::NewerSchema(unknown)),
            None => Ok(()),
        }
    }

    async fn applied_steps(&self) -> Result<Vec<String>, StoreError> {
        Migrator::install(&self.write).await?;
        let rows = Migrator::get_migration_models(&self.write).await?;
        Ok(rows.into_iter().map(|row| row.version).collect())
    }

    /// Whether the database answers, and on PostgreSQL whether it also writes.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        if self.is_sqlite() {
            return in_time(async {
                self.read.execute_unprepared("SELECT 1").await?;
                Ok(())
            })
            .await;
        }
        let ask = Statement::from_string(DbBackend::Postgres, READ_ONLY);
        let row = in_time(async { Ok(self.read.query_one_raw(ask).await?) }).await?;
        let answer = row
            .map(|row| row.try_get_by_index::<String>(0))
            .transpose()?;
        if answer.as_deref() == Some("off") {
            return Ok(());
        }
        let reason = "the database only reads for now".to_owned();
        Err(StoreError::Unavailable(DbErr::Conn(RuntimeErr::Internal(
            reason,
        ))))
    }

    /// Ends both pools, letting transactions under way finish.
    pub async fn close(self) {
        // What does not close now is closed by the system when the process ends.
        let _ = self.read.close().await;
        let _ = self.write.close().await;
    }

    pub(super) async fn begin(&self) -> Result<DatabaseTransaction, StoreError> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        if let Some(checkpoints) = &self.checkpoints {
            checkpoints.transaction_begins();
        }
        Ok(self.write.begin_with_options(options).await?)
    }

    /// Waits for a turn of the background work. It must be held until the transaction ends.
    pub(super) async fn round(&self) -> Option<OwnedSemaphorePermit> {
        // Never closed, so never an error.
        self.rounds.clone().acquire_owned().await.ok()
    }

    pub fn is_sqlite(&self) -> bool {
        self.write.get_database_backend() == DbBackend::Sqlite
    }
}

/// Commits what `step` did.
pub(super) async fn commit(tx: DatabaseTransaction, step: Step) -> Result<(), StoreError> {
    failpoint::before(step)?;
    tx.commit().await?;
    Ok(failpoint::after(step)?)
}

fn known_steps() -> Vec<String> {
    Migrator::migrations()
        .iter()
        .map(|step| step.name().to_owned())
        .collect()
}

fn options(url: &SecretString, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url.expose_secret());
    options
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // Statements hold client details as values; nothing of them belongs in a log.
        .sqlx_logging(false);
    options
}

fn postgres(url: &SecretString) -> ConnectOptions {
    let mut options = options(url, POSTGRES_CONNECTIONS);
    options
        .max_lifetime(OLDEST_CONNECTION)
        .map_sqlx_postgres_pool_opts(|pool: PgPoolOptions| {
            let pool = pool.after_connect(|connection, _| {
                Box::pin(async move {
                    sqlx::raw_sql(SESSION).execute(connection).await?;
                    Ok(())
                })
            });
            // The pool asks whether the connection is in order, but without an end: one whose server
            // is gone would keep its place in the pool. Nor does the pool mind one that only reads,
            // because its server was demoted or was full: a new one may be better.
            pool.after_release(|connection, _| {
                Box::pin(async move {
                    let ask = sqlx::query_scalar(READ_ONLY).fetch_one(connection);
                    match tokio::time::timeout(RETURN_TIMEOUT, ask).await {
                        Ok(answer) => answer.map(|read_only: String| read_only == "off"),
                        Err(_) => Err(sqlx::Error::PoolTimedOut),
                    }
                })
            })
        });
    options
}

fn sqlite(url: &SecretString, connections: u32) -> ConnectOptions {
    let mut options = options(url, connections);
    options
        .min_connections(1)
        // A writer that is closed and opened again would lose its page cache, and an in-memory
        // database its content.
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        // When a commit fails for want of room, SQLite has ended the transaction by itself, and the
        // driver still counts it as open: what follows would be a part of a transaction that nobody
        // ever commits, and be acknowledged all the same. Such a connection is replaced.
        .map_sqlx_sqlite_before_acquire(|connection, _| {
            Box::pin(async move { Ok(!connection.is_in_transaction()) })
        })
        .map_sqlx_sqlite_opts(move |options: SqliteConnectOptions| {
            options
                .pragma("cache_size", format!("-{SQLITE_CACHE}"))
                .pragma("wal_autocheckpoint", LAST_RESORT_PAGES.to_string())
                .journal_mode(SqliteJournalMode::Wal)
                // An answered change survives a power cut, not only a crash.
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(BUSY_TIMEOUT)
                // What is erased or wiped is overwritten, and not only let go, free pages included.
                .pragma("secure_delete", "ON")
                .foreign_keys(true)
        });
    options
}

fn is_in_memory(url: &SecretString) -> bool {
    let url = url.expose_secret();
    url.contains(":memory:") || url.contains("mode=memory")
}

fn sqlite_file(url: &SecretString) -> Option<PathBuf> {
    let path = url.expose_secret().strip_prefix("sqlite:")?;
    let path = path.strip_prefix("//").unwrap_or(path);
    let path = path.split('?').next().unwrap_or(path);
    (!is_in_memory(url)).then(|| PathBuf::from(path))
}

/// A file that is yet to be made is for this user alone, for it will hold client details. SQLite gives what it
/// keeps beside it the same permissions.
fn make_private(url: &SecretString) {
    let may_be_made = url.expose_secret().contains("mode=rwc");
    if let Some(path) = sqlite_file(url).filter(|_| may_be_made) {
        let mut options = File::options();
        options.write(true).create_new(true).mode(0o600);
        // One that is there stays as it is; why one cannot be made is SQLite's to say.
        let _ = options.open(path);
    }
}

fn lock_beside(mut path: PathBuf) -> Result<File, StoreError> {
    path.as_mut_os_string().push(".lock");
    let unavailable = |error: std::io::Error| {
        StoreError::Unavailable(DbErr::Conn(RuntimeErr::Internal(format!(
            "the lock file beside the SQLite database cannot be used: {error}"
        ))))
    };
    let file = File::create(path).map_err(unavailable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse),
        Err(TryLockError::Error(error)) => Err(unavailable(error)),
    }
}
