//! 5: a PostgreSQL that only reads, as a full or demoted one does. Needs PostgreSQL.

use super::platform::{Platform, becomes_ready, becomes_unready};
use crate::support::{TestDaemon, needs_postgres};

const END_SESSIONS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
     WHERE datname = current_database() AND pid <> pg_backend_pid()";

#[tokio::test]
async fn a_database_that_only_reads_is_said_and_waited_for() {
    needs_postgres();
    let daemon = TestDaemon::start().await;
    let mut platform = Platform::with_calendars(&daemon).await;
    let api = daemon.service();
    platform.report_new(&daemon).await;
    let name = daemon.database.name();
    let read_only = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    daemon.database.run(&read_only).await;
    daemon.database.run(END_SESSIONS).await;
    for _ in 0..3 {
        platform.is_refused(&daemon, &api).await;
    }
    becomes_unready(&api).await;
    // The sessions that only read are still there; the daemon must leave them by itself.
    let reset = format!("ALTER DATABASE {name} RESET default_transaction_read_only");
    let writing = format!("BEGIN READ WRITE; {reset}; COMMIT");
    daemon.database.run(&writing).await;
    becomes_ready(&api).await;
    platform.report_refused(&api).await;
    platform.agrees_with(&daemon).await;
}
