//! How long a start takes, from nothing to a request that is answered, with very many stored connections.
//!
//! `cargo bench --bench start`, on SQLite; with `TEST_DATABASE=postgres` and a superuser's
//! `TEST_POSTGRES_URL` on PostgreSQL. The first argument that is a number replaces the 100,000.
//! All but one connection are copies of a real one, each with its own coach and lease row.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

#[expect(dead_code, unused_imports, reason = "the stories use more of it")]
#[path = "../it/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use calendar_integration::domain::ProviderKind;
use uuid::Uuid;

use support::{COACH_EMAIL, Session, TestDaemon, is_postgres};

const STARTS: usize = 7;
/// What is promised.
const GOAL: Duration = Duration::from_millis(300);

fn main() {
    let size = std::env::args().find_map(|argument| argument.parse().ok());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(measure(size.unwrap_or(100_000)));
}

async fn measure(connections: usize) {
    let mut daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let google = ProviderKind::Google;
    let id = daemon.connect(google, coach, COACH_EMAIL).await;
    let session = Session::tomorrow(coach, daemon.now());
    daemon.service().report(&session).await;
    daemon.service().settled(id).await;
    daemon.stop().await;
    let few = starts(&mut daemon).await;
    copy(&daemon, connections).await;
    let many = starts(&mut daemon).await;
    println!("with 1 connection:             {few:?}");
    println!("with {connections} connections: {many:?}");
    println!(
        "goal {GOAL:?}: {}",
        if many <= GOAL { "met" } else { "missed" }
    );
}

/// The median.
async fn starts(daemon: &mut TestDaemon) -> Duration {
    let mut took = Vec::new();
    for _ in 0..STARTS {
        let started = Instant::now();
        daemon.start_again().await;
        daemon.nobody().get("/health/ready").await.expect(200);
        took.push(started.elapsed());
        daemon.stop().await;
    }
    took.sort_unstable();
    println!("  {took:?}");
    took[STARTS / 2]
}

/// Rows of every table that a connection has, but for their ids as the first one's.
async fn copy(daemon: &TestDaemon, connections: usize) {
    let (numbers, new_id) = if is_postgres() {
        (
            format!("SELECT generate_series(1, {connections}) AS n"),
            "gen_random_uuid()",
        )
    } else {
        let counting = "WITH RECURSIVE numbers(n) AS \
                        (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < LAST) SELECT n FROM numbers";
        (
            counting.replace("LAST", &connections.to_string()),
            "randomblob(16)",
        )
    };
    for (table, fresh) in [
        (
            "coach_calendar_connections",
            &[("id", new_id), ("coach_id", new_id), ("account_id", "n")][..],
        ),
        ("connection_leases", &[("connection_id", "made.id")][..]),
    ] {
        let columns = columns(daemon, table).await;
        let values: Vec<&str> = columns
            .iter()
            .map(|column| {
                let replaced = fresh.iter().find(|(name, _)| name == column);
                replaced.map_or(column.as_str(), |(_, value)| value)
            })
            .map(|value| {
                if value == "n" {
                    "CAST(n AS text)"
                } else {
                    value
                }
            })
            .collect();
        let (columns, values) = (columns.join(", "), values.join(", "));
        let from = if table == "connection_leases" {
            "(SELECT id FROM coach_calendar_connections WHERE id NOT IN \
              (SELECT connection_id FROM connection_leases)) made, \
             (SELECT * FROM connection_leases LIMIT 1) first"
                .to_owned()
        } else {
            format!("({numbers}) numbers, (SELECT * FROM {table} LIMIT 1) first")
        };
        let statement = format!("INSERT INTO {table} ({columns}) SELECT {values} FROM {from}");
        daemon.database.run(&statement).await;
    }
    let count = "SELECT CAST(count(*) AS text) FROM connection_leases";
    let made = daemon.database.texts(count, 0).await;
    assert_eq!(made, [(connections + 1).to_string()]);
}

async fn columns(daemon: &TestDaemon, table: &str) -> Vec<String> {
    let (query, column) = if is_postgres() {
        (
            format!(
                "SELECT column_name::text FROM information_schema.columns \
                 WHERE table_schema = 'public' AND table_name = '{table}'"
            ),
            0,
        )
    } else {
        (format!("SELECT name FROM pragma_table_info('{table}')"), 0)
    };
    daemon.database.texts(&query, column).await
}
