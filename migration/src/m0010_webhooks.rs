//! Who is told what happens, and what is still to be told.

use sea_orm_migration::prelude::*;

use crate::{drop_table, one_of, run};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const WEBHOOKS: &str = "webhooks";
const DELIVERIES: &str = "webhook_deliveries";
const CONNECTIONS: &str = "coach_calendar_connections";
/// Since when a connection has carried nothing because it was set aside: it may be active again, and is
/// said to have recovered only once it has carried something.
const SET_ASIDE: &str = "set_aside_at";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(webhooks()).await?;
        manager.create_table(deliveries()).await?;
        let column = ColumnDef::new(SET_ASIDE).timestamp_with_time_zone().take();
        let add = Table::alter()
            .table(CONNECTIONS)
            .add_column(column)
            .to_owned();
        manager.alter_table(add).await?;
        run(
            manager,
            &[
                "CREATE UNIQUE INDEX webhook_deliveries_by_id ON webhook_deliveries (id)",
                // What is due at one webhook.
                "CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook_id, due_at) \
                 WHERE status = 'pending'",
                // What goes before it.
                "CREATE INDEX webhook_deliveries_in_order \
                 ON webhook_deliveries (webhook_id, subject, position) WHERE status = 'pending'",
                // What is being sent, or was when its node died.
                "CREATE INDEX webhook_deliveries_claimed \
                 ON webhook_deliveries (webhook_id, claimed_until) \
                 WHERE claimed_until IS NOT NULL",
                // The oldest of all.
                "CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (position) \
                 WHERE status = 'pending'",
                // Pages, newest first, and replay.
                "CREATE INDEX webhook_deliveries_by_age \
                 ON webhook_deliveries (webhook_id, created_at, id)",
                "CREATE INDEX webhook_deliveries_by_status \
                 ON webhook_deliveries (webhook_id, status, created_at, id)",
                // Retention.
                "CREATE INDEX webhook_deliveries_ended ON webhook_deliveries (completed_at) \
                 WHERE status IN ('delivered', 'failed')",
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let drop = Table::alter()
            .table(CONNECTIONS)
            .drop_column(SET_ASIDE)
            .to_owned();
        manager.alter_table(drop).await?;
        drop_table(manager, DELIVERIES).await?;
        drop_table(manager, WEBHOOKS).await
    }
}

fn webhooks() -> TableCreateStatement {
    Table::create()
        .table(WEBHOOKS)
        .col(ColumnDef::new("id").uuid().not_null().primary_key())
        .col(ColumnDef::new("url").text().not_null())
        // A JSON array of event types. No check of its words: there will be more of them.
        .col(ColumnDef::new("events").text().not_null())
        // Sealed.
        .col(ColumnDef::new("secret").text().not_null())
        // The one before, also sealed, which still signs for a while.
        .col(ColumnDef::new("previous_secret").text())
        .col(ColumnDef::new("previous_secret_until").timestamp_with_time_zone())
        // Both or neither.
        .col(ColumnDef::new("disabled_at").timestamp_with_time_zone())
        .col(ColumnDef::new("disabled_reason").text())
        // The first attempt that failed since the last one that succeeded.
        .col(ColumnDef::new("failing_since").timestamp_with_time_zone())
        .col(
            ColumnDef::new("created_at")
                .timestamp_with_time_zone()
                .not_null(),
        )
        .col(
            ColumnDef::new("updated_at")
                .timestamp_with_time_zone()
                .not_null(),
        )
        .check(one_of("disabled_reason", &["requested", "gone", "failing"]))
        .to_owned()
}

fn deliveries() -> TableCreateStatement {
    Table::create()
        .table(DELIVERIES)
        // Of two about the same subject the lower one goes first.
        .col(
            ColumnDef::new("position")
                .big_integer()
                .not_null()
                .auto_increment()
                .primary_key(),
        )
        // The `webhook-id` that the receiver sees, the same at every attempt.
        .col(ColumnDef::new("id").uuid().not_null())
        .col(ColumnDef::new("webhook_id").uuid().not_null())
        .col(ColumnDef::new("event_type").text().not_null())
        // The appointment or connection it is about.
        .col(ColumnDef::new("subject").uuid().not_null())
        // The body, byte by byte as it is signed.
        .col(ColumnDef::new("payload").text().not_null())
        .col(ColumnDef::new("status").text().not_null())
        // That failed, since it was last due for the first time.
        .col(ColumnDef::new("attempts").integer().not_null())
        .col(
            ColumnDef::new("due_at")
                .timestamp_with_time_zone()
                .not_null(),
        )
        // The node that sends it, and until when nobody else does.
        .col(ColumnDef::new("claimed_by").uuid())
        .col(ColumnDef::new("claimed_until").timestamp_with_time_zone())
        .col(ColumnDef::new("completed_at").timestamp_with_time_zone())
        .col(ColumnDef::new("response_status").integer())
        .col(ColumnDef::new("error_code").text())
        .col(
            ColumnDef::new("created_at")
                .timestamp_with_time_zone()
                .not_null(),
        )
        .foreign_key(
            ForeignKey::create()
                .from(DELIVERIES, "webhook_id")
                .to(WEBHOOKS, "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .check(one_of("status", &["pending", "delivered", "failed"]))
        .to_owned()
}
