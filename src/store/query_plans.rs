//! How SQLite finds the few rows a round is about, asked of the statements the store itself makes.

use sea_orm::{
    ActiveEnum, ConnectionTrait, DatabaseConnection, DbBackend, Iterable, QueryTrait, Statement,
};
use secrecy::SecretString;
use uuid::Uuid;

use super::enqueue::Pairs;
use super::sql::Sql;
use super::{Ended, JobFilter, Store};
use super::{claim, connections, ended, jobs, lateness, leases, settle, status, webhooks};
use crate::domain::{AppointmentId, ConnectionId, JobId, JobStatus, Timestamp, WebhookId};

/// As many as one round has: a few would be looked up one by one in any case.
const ROWS: u128 = 50;

const QUEUE: &str = "calendar_sync_queue";

/// The lines of SQLite's plan that read a table.
async fn reads_of(table: &str, db: &DatabaseConnection, sql: Sql) -> Vec<String> {
    reads_by(table, db, sql.build()).await
}

async fn reads_by(table: &str, db: &DatabaseConnection, statement: Statement) -> Vec<String> {
    let explain = format!("EXPLAIN QUERY PLAN {}", statement.sql);
    let values = statement.values.expect("bound values");
    let statement = Statement::from_sql_and_values(DbBackend::Sqlite, explain, values);
    let lines = db.query_all_raw(statement).await.expect("a plan");
    lines
        .iter()
        .map(|line| line.try_get("", "detail").expect("a line"))
        .filter(|line: &String| line.contains(table))
        .collect()
}

#[tokio::test]
async fn a_backlog_is_not_read_to_find_a_few_of_its_rows() {
    let url = SecretString::from("sqlite::memory:");
    let store = Store::open(&url).await.expect("open");
    store.migrate().await.expect("migrate");
    let db = &store.write;
    let now = Timestamp::UNIX_EPOCH;
    let ids = || (0..ROWS).map(Uuid::from_u128);
    let jobs: Vec<JobId> = ids().map(JobId).collect();
    let appointments: Vec<AppointmentId> = ids().map(AppointmentId).collect();
    let connection = ConnectionId(Uuid::nil());
    let statements = [
        (QUEUE, "id=?", claim::take(db, &jobs, now)),
        (QUEUE, "id=?", settle::complete(db, jobs, now)),
        (
            QUEUE,
            "appointment_id=?",
            settle::queued_anew(db, connection, appointments.clone()),
        ),
        (
            QUEUE,
            "connection_id=? AND priority=?",
            leases::earliest(db, connection),
        ),
        (QUEUE, "appointment_id=?", claim::inherit(db, connection)),
        ("open", "appointment_id=?", claim::fold(db, connection)),
        (
            QUEUE,
            "appointment_id=?",
            Pairs::Appointments(&appointments).select(Sql::on(db), now),
        ),
        (
            // Each open row's table name in a plan is its alias.
            "q USING",
            "connection_id=? AND status=?",
            lateness::oldest_changes_of(db, &[connection]),
        ),
        (
            QUEUE,
            "connection_id=? AND completed_at>?",
            ended::last_ended(db, connection),
        ),
        (
            QUEUE,
            "connection_id=? AND (completed_at,id)>(?,?)",
            ended::ended_after(db, connection, Ended::NONE, 100),
        ),
        (
            "q USING",
            "connection_id=? AND status=?",
            lateness::lateness_of(db, 10),
        ),
        (
            "calendar_event_mappings",
            "appointment_id=?",
            claim::mappings_of(db, connection, &appointments),
        ),
        (
            "SEARCH d",
            "webhook_id=? AND due_at<?",
            webhooks::due(db, WebhookId(Uuid::nil()), 8, now),
        ),
        (
            "SEARCH b",
            "webhook_id=? AND subject=? AND position<?",
            webhooks::due(db, WebhookId(Uuid::nil()), 8, now),
        ),
    ];
    for (table, by, sql) in statements {
        let reads = reads_of(table, db, sql).await;
        let key = format!("({by})");
        assert!(!reads.is_empty(), "{by}");
        assert!(reads.iter().all(|read| read.ends_with(&key)), "{reads:?}");
    }
}

#[tokio::test]
async fn jobs_of_one_status_are_found_without_reading_the_others() {
    let url = SecretString::from("sqlite::memory:");
    let store = Store::open(&url).await.expect("open");
    store.migrate().await.expect("migrate");
    let db = &store.write;
    let place = (Timestamp::UNIX_EPOCH, JobId(Uuid::nil()));
    for last in [None, Some(&place)] {
        let reads = reads_of(QUEUE, db, jobs::failed_after(db, None, last)).await;
        let index = "USING INDEX queue_failed";
        assert!(reads.len() == 1 && reads[0].contains(index), "{reads:?}");
    }
    let all = JobStatus::iter().filter(|status| *status != JobStatus::Completed);
    for status in all {
        let filter = JobFilter {
            status: Some(status),
            ..JobFilter::default()
        };
        let index = format!("USING INDEX queue_{}", status.to_value());
        for statement in [
            jobs::page(filter, None, 10).build(DbBackend::Sqlite),
            status::oldest_of(db, status, 10).build(),
        ] {
            let reads = reads_by(QUEUE, db, statement).await;
            assert!(reads.len() == 1 && reads[0].ends_with(&index), "{reads:?}");
        }
    }
}

#[tokio::test]
async fn those_set_aside_are_found_without_reading_the_others() {
    let url = SecretString::from("sqlite::memory:");
    let store = Store::open(&url).await.expect("open");
    store.migrate().await.expect("migrate");
    let db = &store.write;
    let first = Some(ConnectionId(Uuid::nil()));
    for sql in [
        connections::quarantined_first(db),
        connections::quarantined_page(db, None, None, 200),
        connections::quarantined_page(db, None, first, 200),
    ] {
        let reads = reads_of("coach_calendar_connections", db, sql).await;
        let by = "connections_set_aside_by_id";
        assert!(reads.len() == 1 && reads[0].contains(by), "{reads:?}");
    }
}
