//! The schema: forwards, backwards, and never below a newer one. And that what runs often is
//! answered by an index.

use calendar_integration::domain::{CoachId, JobStatus};
use calendar_integration::store::{AuditFilter, JobFilter, PageRequest, Store, StoreError};
use uuid::Uuid;

use crate::support::{TestDatabase, is_postgres};

async fn opened(database: &TestDatabase) -> Store {
    Store::open(&database.url().into()).await.expect("it opens")
}

/// Tables and indexes, as the database itself tells them.
async fn objects(database: &TestDatabase) -> Vec<String> {
    let query = if is_postgres() {
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' \
         UNION ALL SELECT table_name || ' ' || column_name || ' ' || data_type || ' ' || is_nullable \
         FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1"
    } else {
        "SELECT COALESCE(sql, name) FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY 1"
    };
    database.texts(query, 0).await
}

#[tokio::test]
async fn the_schema_goes_up_down_and_up_again_to_the_same() {
    let database = TestDatabase::create().await;
    let store = opened(&database).await;
    store.migrate().await.expect("up");
    let first = objects(&database).await;
    let tables = [
        "coach_calendar_connections",
        "calendar_event_mappings",
        "calendar_sync_queue",
    ];
    let others = [
        "appointments",
        "connection_leases",
        "audit_events",
        "webhooks",
        "webhook_deliveries",
    ];
    for table in tables.iter().chain(&others) {
        assert!(first.iter().any(|object| object.contains(table)), "{table}");
    }
    store.migrate_down(None).await.expect("down");
    let left = objects(&database).await;
    assert!(
        left.iter()
            .all(|object| object.contains("seaql_migrations")),
        "{left:?}"
    );
    store.migrate().await.expect("up again");
    assert_eq!(objects(&database).await, first);

    // Step by step, too.
    let steps = store.schema().await.expect("a schema").applied.len();
    for step in 1..=steps {
        store.migrate_down(Some(1)).await.expect("one down");
        let schema = store.schema().await.expect("a schema");
        assert_eq!(schema.pending.len(), step);
    }
    store.migrate().await.expect("up once more");
    assert_eq!(objects(&database).await, first);
    store.close().await;
}

#[tokio::test]
async fn a_newer_schema_is_left_alone() {
    let database = TestDatabase::create().await;
    let store = opened(&database).await;
    store.migrate().await.expect("up");
    let newer = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_newer', 1)";
    database.run(newer).await;
    for refused in [store.migrate().await, store.migrate_down(None).await] {
        let error = refused.expect_err("refused");
        assert!(matches!(error, StoreError::NewerSchema(step) if step == "m9999_newer"));
    }
    store.close().await;
}

/// What is asked for at every wake, poll and page, in the words of the store.
const OFTEN: [(&str, &str); 24] = [
    (
        "the claim",
        "SELECT * FROM calendar_sync_queue WHERE status = 'pending' AND connection_id = ID \
         AND priority = 10 AND scheduled_for <= NOW ORDER BY scheduled_for LIMIT 50",
    ),
    (
        "when a connection is due next",
        "SELECT MIN(q.scheduled_for) FROM calendar_sync_queue q \
         WHERE q.status = 'pending' AND q.connection_id = ID",
    ),
    (
        "which connections are due",
        "SELECT connection_id, due_at FROM connection_leases WHERE due_at <= NOW \
         ORDER BY due_at LIMIT 1000",
    ),
    (
        "at a start: who waits for a provider",
        "SELECT l.connection_id FROM connection_leases l \
         JOIN coach_calendar_connections c ON c.id = l.connection_id \
         WHERE l.wait_reason = 'not_configured' AND l.due_at IS NOT NULL \
         AND c.status = 'active' AND c.provider = 'google' ORDER BY l.connection_id",
    ),
    (
        "at a start: whose leases are left",
        "SELECT connection_id FROM connection_leases WHERE node IS NOT NULL ORDER BY node, connection_id",
    ),
    (
        "how much is open",
        "SELECT status, COUNT(*) AS jobs FROM calendar_sync_queue WHERE connection_id = ID \
         AND status IN ('pending', 'processing', 'failed') AND appointment_id IS NOT NULL \
         GROUP BY status",
    ),
    (
        "how many events there are",
        "SELECT COUNT(*) AS jobs FROM calendar_event_mappings WHERE connection_id = ID \
         AND state = 'live'",
    ),
    (
        "recent jobs",
        "SELECT * FROM calendar_sync_queue WHERE connection_id = ID \
         ORDER BY created_at DESC, id DESC LIMIT 20",
    ),
    (
        "what ended last",
        "SELECT completed_at, id FROM calendar_sync_queue WHERE completed_at IS NOT NULL \
         AND connection_id = ID ORDER BY completed_at DESC, id DESC LIMIT 1",
    ),
    (
        "what ended since",
        "SELECT * FROM calendar_sync_queue WHERE completed_at IS NOT NULL \
         AND (completed_at, id) > (NOW, ID) AND connection_id = ID ORDER BY completed_at, id LIMIT 100",
    ),
    (
        "a coach's appointments",
        "SELECT * FROM appointments WHERE coach_id = ID AND starts_at >= NOW \
         ORDER BY starts_at, id LIMIT 50",
    ),
    (
        "failed jobs",
        "SELECT * FROM calendar_sync_queue WHERE status = 'failed' \
         ORDER BY created_at DESC, id DESC LIMIT 50",
    ),
    (
        "a page of the audit trail",
        "SELECT * FROM audit_events WHERE at >= NOW AND at < NOW AND at <= NOW \
         AND (at < NOW OR (at = NOW AND id < ID)) ORDER BY at DESC, id DESC LIMIT 50",
    ),
    (
        "a coach's audit trail",
        "SELECT * FROM audit_events WHERE coach_id = ID ORDER BY at DESC, id DESC LIMIT 50",
    ),
    (
        "a connection's audit trail",
        "SELECT * FROM audit_events WHERE connection_id = ID \
         ORDER BY at DESC, id DESC LIMIT 50",
    ),
    (
        "one action in the audit trail",
        "SELECT * FROM audit_events WHERE action = 'connected' \
         ORDER BY at DESC, id DESC LIMIT 50",
    ),
    (
        "what of the audit trail is too old",
        "SELECT id FROM audit_events WHERE at < NOW ORDER BY at, id LIMIT 1000",
    ),
    (
        "what a webhook is to be told",
        "SELECT d.position FROM webhook_deliveries d WHERE d.status = 'pending' \
         AND d.webhook_id = ID AND d.due_at <= NOW \
         AND (d.claimed_until IS NULL OR d.claimed_until <= NOW OR d.claimed_until > NOW) \
         AND NOT EXISTS (SELECT 1 FROM webhook_deliveries b WHERE b.status = 'pending' \
         AND b.webhook_id = d.webhook_id AND b.subject = d.subject AND b.position < d.position) \
         ORDER BY d.due_at LIMIT 8",
    ),
    (
        "when a webhook is to be told something next",
        "SELECT due_at FROM webhook_deliveries WHERE status = 'pending' AND webhook_id = ID \
         AND due_at > NOW ORDER BY due_at LIMIT 1",
    ),
    (
        "what is being told",
        "SELECT claimed_until FROM webhook_deliveries WHERE claimed_until IS NOT NULL \
         AND webhook_id = ID AND claimed_until > NOW ORDER BY claimed_until LIMIT 1",
    ),
    (
        "deliveries to a webhook",
        "SELECT * FROM webhook_deliveries WHERE webhook_id = ID AND created_at <= NOW \
         AND (created_at < NOW OR (created_at = NOW AND id < ID)) \
         ORDER BY created_at DESC, id DESC LIMIT 50",
    ),
    (
        "failed deliveries to a webhook",
        "SELECT * FROM webhook_deliveries WHERE webhook_id = ID AND status = 'failed' \
         ORDER BY created_at DESC, id DESC LIMIT 50",
    ),
    (
        "how much webhooks are to be told",
        "SELECT created_at FROM webhook_deliveries WHERE status = 'pending' AND position > 0 \
         ORDER BY position LIMIT 10000",
    ),
    (
        "which deliveries are too old",
        "SELECT position FROM webhook_deliveries WHERE status IN ('delivered', 'failed') \
         AND completed_at < NOW LIMIT 1000",
    ),
];

#[tokio::test]
async fn what_is_asked_often_is_answered_by_an_index() {
    let database = TestDatabase::create().await;
    let store = opened(&database).await;
    store.migrate().await.expect("up");
    let (explain, column, id, now) = if is_postgres() {
        // Small tables are read whole whatever there is; without that way the planner must show
        // that it has another.
        let url = "SET enable_seqscan = off";
        let name = "SELECT current_database()::text";
        let name = database.texts(name, 0).await.remove(0);
        let lasting = url.replace("SET", &format!("ALTER DATABASE {name} SET"));
        database.run(&lasting).await;
        (
            "EXPLAIN",
            0,
            "'00000000-0000-0000-0000-000000000001'::uuid",
            "now()",
        )
    } else {
        ("EXPLAIN QUERY PLAN", 3, "x'01'", "'2027-01-01'")
    };
    for (what, query) in OFTEN {
        let query = query.replace("ID", id).replace("NOW", now);
        let lines = database.texts(&format!("{explain} {query}"), column).await;
        let plan = lines.join("\n");
        // An index of failed jobs alone is read from its end.
        let of_these_alone = |line: &str| line.ends_with("USING INDEX queue_failed");
        let reads_all = |line: &String| line.contains("SCAN ") && !of_these_alone(line);
        let scans = plan.contains("Seq Scan") || lines.iter().any(reads_all);
        let uses_index = plan.contains("Index") || plan.contains("INDEX");
        assert!(uses_index && !scans, "{what}:\n{plan}");
        assert!(
            !plan.contains("TEMP B-TREE FOR ORDER BY"),
            "{what} sorts:\n{plan}"
        );
        let sorts_all = plan
            .lines()
            .any(|line| line.trim_start().starts_with("Sort  ("));
        assert!(
            !sorts_all || what == "how much is open" || what.starts_with("at a start"),
            "{what} sorts:\n{plan}"
        );
    }
    // And the store's own words are these: they run.
    let page = PageRequest {
        coach_id: CoachId(Uuid::nil()),
        from: None,
        to: None,
        after: None,
        limit: 1,
    };
    store.appointments(page).await.expect("a page");
    let filter = JobFilter {
        status: Some(JobStatus::Failed),
        connection_id: None,
    };
    store.jobs(filter, None, 1).await.expect("a page");
    let all = AuditFilter::default();
    store.audit_events(all, None, 1).await.expect("a page");
    store.close().await;
}
