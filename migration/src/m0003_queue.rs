//! The sync queue: which (connection, appointment) may differ from the calendar.

use sea_orm_migration::prelude::*;

use crate::{drop_table, one_of, run};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const QUEUE: &str = "calendar_sync_queue";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(queue()).await?;
        run(
            manager,
            &[
                // Changes of one appointment coalesce into one row, which a failed one becomes again.
                "CREATE UNIQUE INDEX queue_one_open \
                 ON calendar_sync_queue (connection_id, appointment_id) \
                 WHERE status IN ('pending', 'failed')",
                // A connection's work is serial: an appointment is never worked on twice at once.
                "CREATE UNIQUE INDEX queue_one_processing \
                 ON calendar_sync_queue (connection_id, appointment_id) \
                 WHERE status = 'processing'",
                "CREATE UNIQUE INDEX queue_one_full_sync \
                 ON calendar_sync_queue (connection_id) \
                 WHERE operation = 'full_sync' AND status = 'processing'",
                // The claim, class by class of priority, earliest first.
                "CREATE INDEX queue_to_claim \
                 ON calendar_sync_queue (connection_id, priority, scheduled_for) \
                 WHERE status = 'pending'",
                // When a connection is due next.
                "CREATE INDEX queue_next_due \
                 ON calendar_sync_queue (connection_id, scheduled_for) \
                 WHERE status = 'pending'",
                "CREATE INDEX queue_by_connection \
                 ON calendar_sync_queue (connection_id, status, created_at, id)",
                "CREATE INDEX queue_recent \
                 ON calendar_sync_queue (connection_id, created_at, id)",
                "CREATE INDEX queue_by_status ON calendar_sync_queue (status, created_at, id)",
                "CREATE INDEX queue_by_age ON calendar_sync_queue (created_at, id)",
                "CREATE INDEX queue_by_appointment ON calendar_sync_queue (appointment_id)",
                "CREATE INDEX queue_by_sync ON calendar_sync_queue (sync_id, status) \
                 WHERE sync_id IS NOT NULL",
                // Retention.
                "CREATE INDEX queue_ended ON calendar_sync_queue (completed_at) \
                 WHERE status IN ('completed', 'cancelled')",
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_table(manager, QUEUE).await
    }
}

fn queue() -> TableCreateStatement {
    Table::create()
        .table(QUEUE)
        .col(ColumnDef::new("id").uuid().not_null().primary_key())
        .col(ColumnDef::new("connection_id").uuid().not_null())
        // Null for a full sync, which stands for many.
        .col(ColumnDef::new("appointment_id").uuid())
        .col(ColumnDef::new("operation").text().not_null())
        .col(ColumnDef::new("status").text().not_null())
        .col(ColumnDef::new("priority").integer().not_null())
        .col(ColumnDef::new("attempts").integer().not_null())
        .col(ColumnDef::new("max_attempts").integer().not_null())
        .col(
            ColumnDef::new("scheduled_for")
                .timestamp_with_time_zone()
                .not_null(),
        )
        .col(ColumnDef::new("started_at").timestamp_with_time_zone())
        .col(ColumnDef::new("completed_at").timestamp_with_time_zone())
        .col(ColumnDef::new("error_code").text())
        .col(ColumnDef::new("error_message").text())
        .col(
            ColumnDef::new("created_at")
                .timestamp_with_time_zone()
                .not_null(),
        )
        // Why it runs, where that changes what it may do; flags of coalesced rows add up.
        .col(ColumnDef::new("forced").boolean().not_null())
        .col(ColumnDef::new("verify").boolean().not_null())
        // The full sync it is part of.
        .col(ColumnDef::new("sync_id").uuid())
        .foreign_key(
            ForeignKey::create()
                .from(QUEUE, "connection_id")
                .to("coach_calendar_connections", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .foreign_key(
            ForeignKey::create()
                .from(QUEUE, "appointment_id")
                .to("appointments", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .check(one_of(
            "operation",
            &["create", "update", "delete", "full_sync"],
        ))
        .check(one_of(
            "status",
            &["pending", "processing", "completed", "failed", "cancelled"],
        ))
        .check(
            Expr::col("operation")
                .eq("full_sync")
                .eq(Expr::col("appointment_id").is_null()),
        )
        .check(Expr::col("attempts").gte(0))
        .to_owned()
}
