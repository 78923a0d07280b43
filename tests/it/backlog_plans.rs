//! What a backlog costs a database that does not know of it yet: PostgreSQL keeps plans that it made
//! while tables were small, and its statistics are a minute old.

use std::time::Duration;

use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::Window;
use serde_json::json;
use uuid::Uuid;

use crate::support::{Session, Setup, TestDaemon, eventually, needs_postgres, until};

const GOOGLE: ProviderKind = ProviderKind::Google;
/// As many as one batch holds.
const BACKLOG: usize = 1_000;
/// More than the executions after which a connection keeps a plan.
const CHANGES: usize = 30;

async fn change(daemon: &TestDaemon, coach: Uuid) {
    for _ in 0..CHANGES {
        let session = Session::tomorrow(coach, daemon.now());
        daemon.service().report(&session).await;
    }
}

#[tokio::test]
async fn a_backlog_is_read_once_however_small_the_tables_were_before_on_postgres() {
    needs_postgres();
    let mut daemon = Setup::default()
        .set("GOOGLE_LIMIT_PER_USER", "1000000/1m")
        .simulate(|config| {
            let plenty = Window::new(1_000_000, Duration::from_secs(60));
            config.limits.google_per_user = plenty;
        })
        .start()
        .await;
    let (quiet, busy) = (Uuid::new_v4(), Uuid::new_v4());
    daemon.connect(GOOGLE, quiet, "quiet@example.com").await;
    daemon.connect(GOOGLE, busy, "busy@example.com").await;
    change(&daemon, quiet).await;
    let service = daemon.service();
    let items: Vec<_> = (0..BACKLOG)
        .map(|_| Session::tomorrow(busy, daemon.now()).item())
        .collect();
    let batch = json!({"appointments": items});
    let reply = service.post("appointments/batch", Some(&batch)).await;
    reply.expect(200);
    change(&daemon, quiet).await;
    // The status is not asked for: it counts.
    until("all are there", || {
        daemon.events(GOOGLE, "busy@example.com").len() == BACKLOG
    })
    .await;
    daemon.stop().await;

    // A connection tells what it read when it ends.
    let others = "SELECT 'open' FROM pg_stat_activity WHERE datname = current_database() \
                  AND pid <> pg_backend_pid()";
    eventually("every connection has ended", async || {
        let open = daemon.database.texts(others, 0).await;
        open.is_empty().then_some(())
    })
    .await;
    let most = BACKLOG * 10;
    let read_whole = format!(
        "SELECT relname || ': ' || seq_tup_read FROM pg_stat_user_tables \
           WHERE seq_tup_read > {BACKLOG} \
         UNION ALL SELECT indexrelname || ': ' || idx_tup_read FROM pg_stat_user_indexes \
           WHERE idx_tup_read > {most}"
    );
    let read_whole = daemon.database.texts(&read_whole, 0).await;
    assert!(read_whole.is_empty(), "{read_whole:?}");
}
