//! The audit trail: who asked for what. It refers to no other table, for it outlives what it is about.

use sea_orm_migration::prelude::*;

use crate::{drop_table, one_of, run};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const EVENTS: &str = "audit_events";
const SIGN_INS: &str = "sign_ins";
const ROLES: [&str; 4] = ["coach", "service", "admin", "command_line"];
/// Whoever began a sign-in is who connected; null if a node of an older version began it.
const ADDED: [&str; 2] = ["actor", "role"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(events()).await?;
        for column in ADDED {
            let column = ColumnDef::new(column).text().take();
            let add = Table::alter().table(SIGN_INS).add_column(column).to_owned();
            manager.alter_table(add).await?;
        }
        run(
            manager,
            &[
                // Newest first, and retention.
                "CREATE INDEX audit_by_age ON audit_events (at, id)",
                "CREATE INDEX audit_by_coach ON audit_events (coach_id, at, id)",
                "CREATE INDEX audit_by_connection ON audit_events (connection_id, at, id)",
                "CREATE INDEX audit_by_action ON audit_events (action, at, id)",
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in ADDED {
            let drop = Table::alter()
                .table(SIGN_INS)
                .drop_column(column)
                .to_owned();
            manager.alter_table(drop).await?;
        }
        drop_table(manager, EVENTS).await
    }
}

fn events() -> TableCreateStatement {
    Table::create()
        .table(EVENTS)
        .col(ColumnDef::new("id").uuid().not_null().primary_key())
        .col(ColumnDef::new("at").timestamp_with_time_zone().not_null())
        // The `sub` of the token.
        .col(ColumnDef::new("actor").text().not_null())
        .col(ColumnDef::new("role").text().not_null())
        // No check of its words: there will be more of them.
        .col(ColumnDef::new("action").text().not_null())
        .col(ColumnDef::new("coach_id").uuid())
        .col(ColumnDef::new("connection_id").uuid())
        // The appointment or job that was meant.
        .col(ColumnDef::new("subject_id").uuid())
        // A JSON object of field names, switches and counts.
        .col(ColumnDef::new("details").text().not_null())
        .col(ColumnDef::new("request_id").text())
        .check(one_of("role", &ROLES))
        .to_owned()
}
