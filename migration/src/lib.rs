//! The schema, as steps that run forwards and backwards on SQLite and PostgreSQL alike.
//!
//! Append-only: a released step is never edited. Within a release every step is additive, so that an
//! older node may run beside a newer one. Times are UTC; words of a state are guarded by checks.

use sea_orm_migration::prelude::*;
pub use sea_orm_migration::{MigratorTrait, SchemaManager};

mod m0001_connections;
mod m0002_appointments;
mod m0003_queue;
mod m0004_sign_ins;
mod m0005_nodes;
mod m0006_outages;
mod m0007_fewer_reads;
mod m0008_idempotency;
mod m0009_audit;
mod m0010_webhooks;
mod m0011_settled_jobs;
mod m0012_causes;
mod m0013_set_aside;
mod m0014_jobs_by_status;
mod m0015_rested_leases;

#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_connections::Migration),
            Box::new(m0002_appointments::Migration),
            Box::new(m0003_queue::Migration),
            Box::new(m0004_sign_ins::Migration),
            Box::new(m0005_nodes::Migration),
            Box::new(m0006_outages::Migration),
            Box::new(m0007_fewer_reads::Migration),
            Box::new(m0008_idempotency::Migration),
            Box::new(m0009_audit::Migration),
            Box::new(m0010_webhooks::Migration),
            Box::new(m0011_settled_jobs::Migration),
            Box::new(m0012_causes::Migration),
            Box::new(m0013_set_aside::Migration),
            Box::new(m0014_jobs_by_status::Migration),
            Box::new(m0015_rested_leases::Migration),
        ]
    }
}

/// A check that a text column holds one of these words.
fn one_of(column: &'static str, words: &[&'static str]) -> SimpleExpr {
    Expr::col(column).is_in(words.iter().copied())
}

/// Runs statements that the builder has no words for, such as partial indexes. Both databases must
/// read them.
async fn run(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    for statement in statements {
        manager
            .get_connection()
            .execute_unprepared(statement)
            .await?;
    }
    Ok(())
}

async fn drop_table(manager: &SchemaManager<'_>, table: &'static str) -> Result<(), DbErr> {
    manager
        .drop_table(Table::drop().table(table).to_owned())
        .await
}
