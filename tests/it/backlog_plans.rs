//! What a backlog costs a database that does not know of it yet: PostgreSQL keeps plans that it made
//! while tables were small, and its statistics are a minute old.

use std::time::Duration;

use calendar_integration::domain::ConnectionId;
use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::Window;
use calendar_integration::store::Store;
use serde_json::json;
use uuid::Uuid;

use crate::support::{Session, Setup, TestDaemon, TestDatabase, eventually, needs_postgres, until};

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

    all_have_told(&daemon.database).await;
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

/// A connection tells what it read when it ends.
async fn all_have_told(database: &TestDatabase) {
    let others = "SELECT 'open' FROM pg_stat_activity WHERE datname = current_database() \
                  AND pid <> pg_backend_pid()";
    eventually("every connection has ended", async || {
        let open = database.texts(others, 0).await;
        open.is_empty().then_some(())
    })
    .await;
}

/// Many connections, of which a hundred have had one change each and some are set aside.
const A_SHORT_HISTORY: &str = "
    SET session_replication_role = replica;
    ALTER TABLE calendar_sync_queue SET (autovacuum_enabled = off);
    ALTER TABLE coach_calendar_connections SET (autovacuum_enabled = off);
    ALTER TABLE connection_leases SET (autovacuum_enabled = off);
    INSERT INTO coach_calendar_connections (id, coach_id, provider, account_id, account_email,
        calendar_id, calendar_name, calendar_is_primary, status, is_sync_enabled,
        auto_create_events, auto_update_events, include_client_details, add_client_as_attendee,
        event_title_template, event_description_template, last_sync_status, created_at, updated_at)
    SELECT lpad(to_hex(n), 32, '0')::uuid, gen_random_uuid(), 'google', n, 'e', 'c', 'c', true,
        CASE WHEN n % 1000 = 0 THEN 'quarantined' ELSE 'active' END, true, true, true, false, true,
        't', 'd', 'pending', now(), now() FROM generate_series(1, 20000) n;
    INSERT INTO connection_leases (connection_id, due_at)
    SELECT id, CASE WHEN row_number() OVER (ORDER BY id) <= 100 THEN now() END
        FROM coach_calendar_connections;
    INSERT INTO calendar_sync_queue (id, connection_id, appointment_id, operation, status,
        priority, attempts, max_attempts, scheduled_for, created_at, forced, verify, completed_at)
    SELECT gen_random_uuid(), connection_id, gen_random_uuid(), 'create', 'completed', 10, 1, 5,
        now(), now() - interval '1 day', false, false, now()
        FROM connection_leases WHERE due_at IS NOT NULL;
    ANALYZE";
/// Then each of the hundred gets a history, and two changes to come.
const A_LONG_ONE: &str = "
    SET session_replication_role = replica;
    INSERT INTO calendar_sync_queue (id, connection_id, appointment_id, operation, status,
        priority, attempts, max_attempts, scheduled_for, created_at, forced, verify, completed_at)
    SELECT gen_random_uuid(), connection_id, gen_random_uuid(), 'create',
        CASE WHEN n <= 200 THEN 'completed' ELSE 'pending' END, 10, 1, 5,
        now(), now() - interval '1 day' + n * interval '1 minute', false, false,
        CASE WHEN n <= 200 THEN now() END
        FROM connection_leases, generate_series(1, 202) n WHERE due_at IS NOT NULL";

#[tokio::test]
async fn what_operators_ask_for_reads_neither_history_nor_who_is_well_on_postgres() {
    needs_postgres();
    let database = TestDatabase::create().await;
    let store = Store::open(&database.url().into()).await.expect("open");
    store.migrate().await.expect("migrate");
    database.run(A_SHORT_HISTORY).await;
    database.run(A_LONG_ONE).await;
    store.close().await;
    all_have_told(&database).await;
    database.run("SELECT pg_stat_reset()").await;
    all_have_told(&database).await;

    let store = Store::open(&database.url().into()).await.expect("open");
    let first = ConnectionId(Uuid::from_u128(1));
    // More often than the executions after which a connection keeps a plan.
    for _ in 0..8 {
        let set_aside = store.quarantined(None, Some(first), 200).await;
        assert_eq!(set_aside.expect("a page").len(), 20);
        let ids = store.quarantined_ids().await.expect("ids");
        assert_eq!(ids.len(), 20);
        let late = store.lateness().await.expect("lateness");
        assert!(late.iter().any(|late| late.oldest_change.is_some()));
        let connection = store.connection(first).await.expect("an answer");
        assert_eq!(connection.expect("a connection").pending, 2);
    }
    store.close().await;
    all_have_told(&database).await;
    let read = "SELECT indexrelname || ': ' || idx_tup_read FROM pg_stat_user_indexes \
                WHERE idx_tup_read > 5000 \
                UNION ALL SELECT relname || ': ' || seq_tup_read FROM pg_stat_user_tables \
                WHERE seq_tup_read > 5000";
    let read = database.texts(read, 0).await;
    assert!(read.is_empty(), "{read:?}");
}
