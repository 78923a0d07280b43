//! What a backlog costs a database that does not know of it yet: PostgreSQL keeps plans that it made
//! while tables were small, and its statistics are a minute old.

use calendar_integration::domain::ProviderKind;
use serde_json::json;
use uuid::Uuid;

use crate::support::{Session, TestDaemon, eventually, needs_postgres};

const GOOGLE: ProviderKind = ProviderKind::Google;
const BACKLOG: usize = 3_000;
/// More than the executions after which a connection keeps a plan.
const CHANGES: usize = 30;

async fn change(daemon: &TestDaemon, coach: Uuid) {
    for _ in 0..CHANGES {
        let session = Session::tomorrow(coach, daemon.now());
        daemon.service().report(&session).await;
    }
}

#[tokio::test]
async fn a_backlog_is_never_read_whole_however_small_the_tables_were_before_on_postgres() {
    needs_postgres();
    let mut daemon = TestDaemon::start().await;
    let (quiet, blocked) = (Uuid::new_v4(), Uuid::new_v4());
    let id = daemon.connect(GOOGLE, quiet, "quiet@example.com").await;
    daemon.connect(GOOGLE, blocked, "blocked@example.com").await;
    change(&daemon, quiet).await;
    daemon.calendars.revoke(GOOGLE, "blocked@example.com");
    daemon
        .calendars
        .expire_access_tokens(GOOGLE, "blocked@example.com");
    for _ in 0..BACKLOG / 1_000 {
        let items: Vec<_> = (0..1_000)
            .map(|_| Session::tomorrow(blocked, daemon.now()).item())
            .collect();
        let batch = json!({"appointments": items});
        let service = daemon.service();
        let reply = service.post("appointments/batch", Some(&batch)).await;
        reply.expect(200);
    }
    change(&daemon, quiet).await;
    daemon.service().settled(id).await;
    daemon.stop().await;

    // A connection tells what it read when it ends.
    let others = "SELECT 'open' FROM pg_stat_activity WHERE datname = current_database() \
                  AND pid <> pg_backend_pid()";
    eventually("every connection has ended", async || {
        daemon
            .database
            .texts(others, 0)
            .await
            .is_empty()
            .then_some(())
    })
    .await;
    let read_whole = format!(
        "SELECT relname || ': ' || seq_tup_read FROM pg_stat_user_tables \
         WHERE seq_tup_read >= {BACKLOG}"
    );
    let read_whole = daemon.database.texts(&read_whole, 0).await;
    assert!(read_whole.is_empty(), "{read_whole:?}");
}
