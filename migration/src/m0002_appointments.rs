//! Appointments as they now are, and the event that stands for each in each calendar.

use sea_orm_migration::prelude::*;

use crate::{drop_table, one_of, run};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const APPOINTMENTS: &str = "appointments";
const MAPPINGS: &str = "calendar_event_mappings";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(appointments()).await?;
        manager.create_table(mappings()).await?;
        run(
            manager,
            &[
                // Pages of a coach's appointments.
                "CREATE INDEX appointments_by_start ON appointments (coach_id, starts_at, id)",
                // A full sync takes those that have not ended.
                "CREATE INDEX appointments_to_come ON appointments (coach_id, ends_at) \
                 WHERE status = 'confirmed'",
                "CREATE INDEX appointments_to_forget ON appointments (id) \
                 WHERE erased_at IS NOT NULL",
                "CREATE INDEX mappings_by_appointment \
                 ON calendar_event_mappings (appointment_id)",
                "CREATE INDEX mappings_by_state \
                 ON calendar_event_mappings (connection_id, state)",
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_table(manager, MAPPINGS).await?;
        drop_table(manager, APPOINTMENTS).await
    }
}

fn appointments() -> TableCreateStatement {
    Table::create()
        .table(APPOINTMENTS)
        .col(ColumnDef::new("id").uuid().not_null().primary_key())
        .col(ColumnDef::new("coach_id").uuid().not_null())
        .col(ColumnDef::new("status").text().not_null())
        .col(
            ColumnDef::new("starts_at")
                .timestamp_with_time_zone()
                .not_null(),
        )
        .col(
            ColumnDef::new("ends_at")
                .timestamp_with_time_zone()
                .not_null(),
        )
        .col(ColumnDef::new("time_zone").text().not_null())
        .col(ColumnDef::new("client_name").text().not_null())
        .col(ColumnDef::new("client_email").text().not_null())
        .col(ColumnDef::new("notes").text())
        .col(ColumnDef::new("location").text())
        .col(ColumnDef::new("meeting_url").text())
        .col(ColumnDef::new("revision").big_integer())
        // Set on erasure, when the client's details are emptied; the row goes with its last event.
        .col(ColumnDef::new("erased_at").timestamp_with_time_zone())
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
        .check(one_of(
            "status",
            &["pending", "confirmed", "completed", "cancelled", "no_show"],
        ))
        .check(Expr::col("ends_at").gt(Expr::col("starts_at")))
        .to_owned()
}

fn mappings() -> TableCreateStatement {
    Table::create()
        .table(MAPPINGS)
        .col(ColumnDef::new("connection_id").uuid().not_null())
        .col(ColumnDef::new("appointment_id").uuid().not_null())
        .col(ColumnDef::new("state").text().not_null())
        .col(ColumnDef::new("generation").integer().not_null())
        .col(ColumnDef::new("calendar_id").text().not_null())
        .col(ColumnDef::new("external_event_id").text())
        .col(ColumnDef::new("etag").text())
        // Fingerprints of what was last pushed; the texts themselves are not kept.
        .col(ColumnDef::new("pushed_schedule").text())
        .col(ColumnDef::new("pushed_text").text())
        .col(ColumnDef::new("pushed_guest").text())
        .col(ColumnDef::new("shares_details").boolean().not_null())
        .col(
            ColumnDef::new("ends_at")
                .timestamp_with_time_zone()
                .not_null(),
        )
        .col(ColumnDef::new("last_synced_at").timestamp_with_time_zone())
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
        // One event at most per appointment and connection.
        .primary_key(Index::create().col("connection_id").col("appointment_id"))
        .foreign_key(
            ForeignKey::create()
                .from(MAPPINGS, "connection_id")
                .to("coach_calendar_connections", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .foreign_key(
            ForeignKey::create()
                .from(MAPPINGS, "appointment_id")
                .to(APPOINTMENTS, "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .check(one_of("state", &["creating", "live", "absent"]))
        .check(Expr::col("generation").gte(1))
        .check(
            Expr::col("state")
                .ne("live")
                .or(Expr::col("external_event_id").is_not_null()),
        )
        .to_owned()
}
