//! A database for one test, on the kind that `TEST_DATABASE` names.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use sea_orm::{
    ConnectionTrait, Database, DatabaseTransaction, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait,
};

/// Whether this run is on PostgreSQL. Without `TEST_DATABASE`: SQLite, which needs nothing.
pub(crate) fn is_postgres() -> bool {
    match std::env::var("TEST_DATABASE").as_deref() {
        Ok("postgres") => true,
        Ok("sqlite") | Err(_) => false,
        Ok(other) => panic!("TEST_DATABASE is sqlite or postgres, not {other}"),
    }
}

/// For stories of PostgreSQL's own: on SQLite they are left out by name, and fail if run all the same.
pub(crate) fn needs_postgres() {
    assert!(is_postgres(), "this story needs TEST_DATABASE=postgres");
}

/// For stories of SQLite's own, likewise.
pub(crate) fn needs_sqlite() {
    assert!(!is_postgres(), "this story needs TEST_DATABASE=sqlite");
}

/// A transaction that stays open, and what it has locked.
#[derive(Debug)]
pub(crate) struct Held(DatabaseTransaction);

impl Held {
    pub(crate) async fn let_go(self) {
        self.0.rollback().await.expect("rolled back");
    }

    pub(crate) async fn commit(self) {
        self.0.commit().await.expect("committed");
    }
}

/// Removed when dropped.
#[derive(Debug)]
pub(crate) enum TestDatabase {
    Sqlite(tempfile::TempDir),
    Postgres { server: String, name: String },
}

impl TestDatabase {
    pub(crate) async fn create() -> Self {
        if !is_postgres() {
            return Self::Sqlite(tempfile::tempdir().expect("a directory"));
        }
        let server = std::env::var("TEST_POSTGRES_URL")
            .expect("TEST_POSTGRES_URL names a server for these tests; tests/run starts one");
        Self::on_server(server).await
    }

    /// On this PostgreSQL server.
    pub(crate) async fn on_server(server: String) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("calendar_test_{}_{count}", std::process::id());
        command(&server, &format!("CREATE DATABASE {name}")).await;
        Self::Postgres { server, name }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite(directory) => {
                format!("sqlite://{}/test.db?mode=rwc", directory.path().display())
            }
            Self::Postgres { server, name } => {
                let (host, _) = server.rsplit_once('/').expect("a URL with a database");
                format!("{host}/{name}")
            }
        }
    }

    /// The file of a SQLite.
    pub(crate) fn file(&self) -> PathBuf {
        match self {
            Self::Sqlite(directory) => directory.path().join("test.db"),
            Self::Postgres { .. } => panic!("a PostgreSQL is no file"),
        }
    }

    /// One column of what a query finds; its values must be texts.
    pub(crate) async fn texts(&self, query: &str, column: usize) -> Vec<String> {
        let connection = Database::connect(self.url()).await.expect("it answers");
        let statement = Statement::from_string(connection.get_database_backend(), query);
        let rows = connection.query_all_raw(statement).await.expect("it obeys");
        connection.close().await.expect("closed");
        rows.iter()
            .map(|row| row.try_get_by_index(column).expect("a text"))
            .collect()
    }

    /// Every row of every table as text, under the name of its table.
    pub(crate) async fn rows(&self) -> Vec<(String, String)> {
        let mut rows = Vec::new();
        for table in self.texts(tables(), 0).await {
            let query = match self {
                Self::Postgres { .. } => format!("SELECT row_of::text FROM \"{table}\" row_of"),
                Self::Sqlite(_) => {
                    let columns = self.columns(&table).await;
                    let quoted = columns.iter().map(|name| format!("quote(\"{name}\")"));
                    let row = quoted.collect::<Vec<_>>().join(" || ' ' || ");
                    format!("SELECT {row} FROM \"{table}\"")
                }
            };
            let texts = self.texts(&query, 0).await;
            rows.extend(texts.into_iter().map(|row| (table.clone(), row)));
        }
        rows
    }

    /// The names of a table's columns.
    pub(crate) async fn columns(&self, table: &str) -> Vec<String> {
        let query = match self {
            Self::Postgres { .. } => format!(
                "SELECT column_name::text FROM information_schema.columns \
                 WHERE table_schema = 'public' AND table_name = '{table}'"
            ),
            Self::Sqlite(_) => format!("SELECT name FROM pragma_table_info('{table}')"),
        };
        self.texts(&query, 0).await
    }

    /// What lies in its directory, by file name; nothing for a server.
    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let Self::Sqlite(directory) = self else {
            return Vec::new();
        };
        let entries = std::fs::read_dir(directory.path()).expect("a directory");
        let files = entries.map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name");
            let content = std::fs::read(&path).expect("a file");
            (name.to_string_lossy().into_owned(), content)
        });
        files.collect()
    }

    /// Its name on the server.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Sqlite(_) => panic!("a file has no server"),
            Self::Postgres { name, .. } => name,
        }
    }

    /// Statements in another session, whose transaction stays open.
    pub(crate) async fn hold(&self, statements: &str) -> Held {
        let connection = Database::connect(self.url()).await.expect("it answers");
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let open = connection.begin_with_options(options).await.expect("begun");
        open.execute_unprepared(statements).await.expect("it obeys");
        Held(open)
    }

    /// How many sessions of this PostgreSQL database wait for a lock.
    pub(crate) async fn waits_for_locks(&self) -> usize {
        let waiting = "SELECT pid::text FROM pg_stat_activity \
                       WHERE wait_event_type = 'Lock' AND datname = current_database()";
        self.texts(waiting, 0).await.len()
    }

    /// Statements beside the daemon's own.
    pub(crate) async fn run(&self, statements: &str) {
        command(&self.url(), statements).await;
    }
}

fn tables() -> &'static str {
    if is_postgres() {
        "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'"
    } else {
        "SELECT name FROM sqlite_schema WHERE type = 'table'"
    }
}

async fn command(url: &str, statements: &str) {
    let connection = Database::connect(url).await.expect("it answers");
    connection
        .execute_unprepared(statements)
        .await
        .expect("it obeys");
    connection.close().await.expect("closed");
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Self::Postgres { server, name } = self {
            let server = std::mem::take(server);
            let statement = format!("DROP DATABASE {name} WITH (FORCE)");
            // A runtime of its own: the test's may be ending, or be this very thread.
            let dropped = std::thread::spawn(move || {
                tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime")
                    .block_on(command(&server, &statement));
            });
            // A test that failed for another reason should say that one.
            if dropped.join().is_err() && !std::thread::panicking() {
                panic!("a test database could not be dropped");
            }
        }
    }
}
