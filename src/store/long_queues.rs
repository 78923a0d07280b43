//! What is told of a queue that is longer than what is looked at.

use chrono::TimeDelta;
use sea_orm::ConnectionTrait;
use secrecy::SecretString;
use uuid::Uuid;

use super::sql::Sql;
use super::{Lateness, QueueDepth, Store};
use crate::domain::{ConnectionId, JobStatus, ProviderKind, Timestamp};

const GOOGLE: ProviderKind = ProviderKind::Google;
const OUTLOOK: ProviderKind = ProviderKind::Outlook;
const NOW: Timestamp = Timestamp::UNIX_EPOCH;

async fn store() -> Store {
    let url = SecretString::from("sqlite::memory:");
    let store = Store::open(&url).await.expect("open");
    store.migrate().await.expect("migrate");
    // No appointment is needed for what is counted here.
    let free = store.write.execute_unprepared("PRAGMA foreign_keys = OFF");
    free.await.expect("set");
    store
}

/// A connection with work at a time.
async fn connection(store: &Store, place: u128, provider: ProviderKind, due_at: Timestamp) {
    let id = ConnectionId(Uuid::from_u128(place));
    let db = &store.write;
    Sql::on(db)
        .text(
            "INSERT INTO coach_calendar_connections (id, coach_id, provider, account_id, \
             account_email, calendar_id, calendar_name, calendar_is_primary, status, \
             is_sync_enabled, auto_create_events, auto_update_events, include_client_details, \
             add_client_as_attendee, event_title_template, event_description_template, \
             last_sync_status, created_at, updated_at) VALUES (",
        )
        .value(id)
        .text(", ")
        .value(id)
        .text(", ")
        .value(provider)
        .text(
            ", 'a', 'a@example.com', 'c', 'c', TRUE, 'active', TRUE, TRUE, TRUE, FALSE, TRUE, \
             't', 'd', 'pending', '1970-01-01', '1970-01-01')",
        )
        .execute(db)
        .await
        .expect("a connection");
    Sql::on(db)
        .text("INSERT INTO connection_leases (connection_id, due_at) VALUES (")
        .value(id)
        .text(", ")
        .value(due_at)
        .text(")")
        .execute(db)
        .await
        .expect("its lease");
}

/// Failed jobs of that connection, taken in one second after the other.
async fn failed_jobs(store: &Store, count: u32, connection: u128, first: Timestamp) {
    let db = &store.write;
    for place in 0..count {
        let at = first + TimeDelta::seconds(i64::from(place));
        let id = Uuid::from_u128(connection << 64 | u128::from(place));
        Sql::on(db)
            .text(
                "INSERT INTO calendar_sync_queue (id, connection_id, appointment_id, operation, \
                 status, priority, attempts, max_attempts, scheduled_for, created_at, forced, \
                 verify) VALUES (",
            )
            .value(id)
            .text(", ")
            .value(Uuid::from_u128(connection))
            .text(", ")
            .value(id)
            .text(", 'create', 'failed', 10, 5, 5, ")
            .value(at)
            .text(", ")
            .value(at)
            .text(", FALSE, FALSE)")
            .execute(db)
            .await
            .expect("a job");
    }
}

fn of(depth: &[QueueDepth], provider: ProviderKind, status: JobStatus) -> Option<i64> {
    depth
        .iter()
        .find(|row| row.provider == provider && row.status == status)
        .map(|row| row.jobs)
}

#[tokio::test]
async fn jobs_beyond_those_counted_are_not_told_as_none() {
    let store = store().await;
    connection(&store, 1, GOOGLE, NOW).await;
    connection(&store, 2, OUTLOOK, NOW).await;
    failed_jobs(&store, 12, 1, NOW - TimeDelta::hours(1)).await;
    failed_jobs(&store, 5, 2, NOW).await;
    let depth = store.queue_depth_within(10).await.expect("a depth");
    assert_eq!(of(&depth, GOOGLE, JobStatus::Failed), Some(10));
    assert_eq!(of(&depth, OUTLOOK, JobStatus::Failed), None);
    // Where nothing was cut off, nothing is nothing.
    assert_eq!(of(&depth, OUTLOOK, JobStatus::Pending), Some(0));

    let depth = store.queue_depth_within(18).await.expect("a depth");
    assert_eq!(of(&depth, GOOGLE, JobStatus::Failed), Some(12));
    assert_eq!(of(&depth, OUTLOOK, JobStatus::Failed), Some(5));
}

#[tokio::test]
async fn calendars_beyond_those_looked_at_are_not_told_as_current() {
    let store = store().await;
    let later = NOW + TimeDelta::hours(1);
    for place in 1..=4 {
        connection(&store, place, OUTLOOK, NOW).await;
    }
    // Held back by an outage.
    connection(&store, 9, GOOGLE, later).await;
    let outlook = Lateness {
        provider: OUTLOOK,
        due_at: Some(NOW),
        oldest_change: None,
    };
    let google = Lateness {
        provider: GOOGLE,
        due_at: Some(later),
        oldest_change: None,
    };
    let late = store.lateness_within(4).await.expect("lateness");
    assert_eq!(late, std::slice::from_ref(&outlook));
    let late = store.lateness_within(6).await.expect("lateness");
    assert_eq!(late, [google, outlook]);
}

#[tokio::test]
async fn a_provider_without_work_is_current() {
    let store = store().await;
    let late = store.lateness().await.expect("lateness");
    let nothing = |late: &Lateness| late.due_at.is_none() && late.oldest_change.is_none();
    assert!(late.len() == ProviderKind::ALL.len() && late.iter().all(nothing));
}
